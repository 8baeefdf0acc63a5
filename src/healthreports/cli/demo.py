"""The demonstration: a database with the sample portfolio, a token for each role, a server."""

from typing import Final

from healthreports.app import now, open_database
from healthreports.cli.serve import address, listen, run
from healthreports.core.errors import Invalid
from healthreports.sample import portfolio
from healthreports.service import people, tokens
from healthreports.settings import Settings
from healthreports.store.database import Transaction
from healthreports.store.upgrade import WrongSchema, upgrade

_PURPOSE: Final = "demo"


def demo(settings: Settings) -> int:
    """Prepare, print and serve. Returns the exit code. Raises WrongSchema, OSError."""
    path = settings.database_path
    path.parent.mkdir(parents=True, exist_ok=True)
    upgrade(path)
    listening = listen(settings)
    secrets = prepare(settings)
    print(_greeting(address(settings, listening), str(path), secrets), flush=True)
    return run(settings, listening)


def prepare(settings: Settings) -> dict[str, str]:
    """Load the portfolio unless it is there. Returns a new token for each role.

    Raises WrongSchema where other data are there.
    """
    database = open_database(settings)
    try:
        return database.write_here(_prepare)
    except Invalid as error:
        raise WrongSchema(
            f"{settings.database} holds other data; the demonstration wants a database of its own"
        ) from error
    finally:
        database.close()


def _prepare(tx: Transaction) -> dict[str, str]:
    if not portfolio.is_loaded(tx):
        portfolio.load(tx)
    return {
        sample.role: tokens.issue(
            tx, people.user_by_email(tx, sample.email_address), _PURPOSE, now()
        )
        for sample in portfolio.SAMPLE_USERS
    }


def _greeting(base: str, path: str, secrets: dict[str, str]) -> str:
    api = f"{base}/api/v1"
    bearer = f'-H "Authorization: Bearer {secrets["administrator"]}"'
    body = (
        '{"status_report": {"workspace_id": "1", "color": "red", '
        '"description": "The supplier is late.", '
        '"details": [{"category": "Schedule", "color": "red"}]}}'
    )
    roles = "\n".join(f"  {role:<14} {secret}" for role, secret in secrets.items())
    return f"""
healthreports with the sample portfolio (database {path})

Base URL  {api}
Browse    {base}/docs

Tokens
{roles}

Try
  curl {bearer} "{api}/status_reports?per_page=2"

  curl {bearer} "{api}/status_reports/1?include=workspace,creator,external_references"

  curl {bearer} -H "Content-Type: application/json" -d '{body}' "{api}/status_reports"

Stop with Ctrl-C.
"""
