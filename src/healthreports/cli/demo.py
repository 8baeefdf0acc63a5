"""The demonstration: a database with the sample portfolio, a token for each role, a server."""

import secrets
from pathlib import Path
from typing import Final, NamedTuple

from healthreports.app import now, open_database
from healthreports.cli.serve import address, listen, run
from healthreports.core.errors import Invalid
from healthreports.sample import portfolio, story
from healthreports.sample.consultancy import COMPANY
from healthreports.service.auth import tokens
from healthreports.service.auth.sign_in import set_password
from healthreports.service.people import members
from healthreports.settings import Settings
from healthreports.store.engine.database import Transaction
from healthreports.store.schema.upgrade import WrongSchema, is_server, shown, upgrade

_PURPOSE: Final = "demo"
_WHO: Final = {
    "administrator": f"leads delivery at {COMPANY}",
    "editor": "writes reports there",
    "viewer": "reads them at a client",
    "reader": "reads what was published of real programmes",
}


class Secrets(NamedTuple):
    """What the demonstration prints: a token for each role, one password for all of them."""

    tokens: dict[str, str]
    password: str


def demo(settings: Settings) -> int:
    """Prepare, print and serve. Returns the exit code. Raises WrongSchema, OSError."""
    if not is_server(settings.database):
        Path(settings.database).parent.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database)
    listening = listen(settings)
    made = prepare(settings)
    greeting = _greeting(address(settings, listening), shown(settings.database), made)
    return run(settings, listening, lambda: print(greeting, flush=True))


def prepare(settings: Settings) -> Secrets:
    """Load the portfolio unless it is there. Returns new secrets.

    Raises WrongSchema where other data are there.
    """
    database = open_database(settings)
    try:
        return database.write_here(_prepare)
    except Invalid as error:
        raise WrongSchema(
            f"{shown(settings.database)} holds other data; "
            "the demonstration wants a database of its own"
        ) from error
    finally:
        database.close()


def _prepare(tx: Transaction) -> Secrets:
    if not portfolio.is_loaded(tx):
        portfolio.load(tx, now())
    password = secrets.token_urlsafe(12)
    made = {}
    for sample in portfolio.SAMPLE_USERS:
        user = members.named_user(tx, sample.email_address)
        made[sample.role] = tokens.issue(tx, user, _PURPOSE, now())
        set_password(tx, user, password, now(), keep_tokens=True)
    return Secrets(made, password)


def _greeting(base: str, path: str, made: Secrets) -> str:
    api = f"{base}/api/v1"
    bearer = f'-H "Authorization: Bearer {made.tokens["administrator"]}"'
    body = (
        '{"status_report": {"workspace_id": "1", "color": "red", '
        '"description": "The supplier is late.", '
        '"details": [{"category": "Schedule", "color": "red"}]}}'
    )
    roles = "\n".join(f"  {role:<14} {secret}" for role, secret in made.tokens.items())
    people = "\n".join(
        f"          {one.email_address:<27} {_WHO[one.role]}" for one in portfolio.SAMPLE_USERS
    )
    shown_report = f"status_reports/{story.SHOWN_REPORT}"
    return f"""
healthreports with sample data (database {path})

Base URL  {api}
Browse    {base}/docs
Pages     {base}/
Sign in   with the password {made.password} as
{people}

Tokens
{roles}

Try
  curl {bearer} "{api}/status_reports?per_page=2"

  curl {bearer} "{api}/{shown_report}?include=workspace,creator,external_references"

  curl {bearer} -H "Content-Type: application/json" -d '{body}' "{api}/status_reports"

Stop with Ctrl-C.
"""
