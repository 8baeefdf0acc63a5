"""The sample: half a year of a fictional consultancy, and a portfolio that was published."""

from typing import Final, NamedTuple

from healthreports.core.model import Instant
from healthreports.sample import published, story
from healthreports.sample.consultancy import PEOPLE
from healthreports.service.people import accounts
from healthreports.store.engine.database import Transaction


class SampleUser(NamedTuple):
    """A user of the sample to sign in as."""

    role: str
    full_name: str
    email_address: str


SAMPLE_USERS: Final = (
    SampleUser("administrator", PEOPLE[0].full_name, PEOPLE[0].email_address),
    SampleUser("editor", PEOPLE[1].full_name, PEOPLE[1].email_address),
    SampleUser("viewer", *story.READER[:2]),
    SampleUser("reader", *published.READER),
)


def is_loaded(tx: Transaction) -> bool:
    """Whether there is an account already."""
    return not accounts.is_empty(tx)


def load(tx: Transaction, now: Instant) -> None:
    """Store the sample as it is on the day of `now`, in an empty database."""
    story.load(tx, now)
    published.load(tx)
