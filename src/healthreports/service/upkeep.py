"""What whoever runs the server does for the database itself."""

from healthreports.store.engine.database import Transaction
from healthreports.store.lists import counters as tally


def wrong_counts(tx: Transaction) -> list[str]:
    """Where what is counted of reports is not what is there, a line for each."""
    return tally.differences(tx)


def count_anew(tx: Transaction) -> None:
    """Count all reports anew. Nobody may write meanwhile."""
    tally.rebuild(tx)
