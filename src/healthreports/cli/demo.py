"""The demonstration: a server with the sample portfolio and a token for each role."""

import os
import secrets
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from healthreports.app import now, open_database
from healthreports.cli.serve import address, listen, run
from healthreports.core.errors import Invalid, Unauthenticated
from healthreports.sample import portfolio, story
from healthreports.sample.consultancy import COMPANY
from healthreports.service.auth import tokens
from healthreports.service.auth.sign_in import is_password, set_password
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


class Secrets(msgspec.Struct, frozen=True):
    """What the demonstration prints: a token for each role, and one password for all users."""

    tokens: dict[str, str]
    password: str


def demo(settings: Settings) -> int:
    """Prepare the database, print how to use it, serve. Returns the exit code.

    Raises WrongSchema, OSError.
    """
    if not is_server(settings.database):
        Path(settings.database).parent.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database)
    listening = listen(settings)
    made = prepare(settings)
    greeting = _greeting(address(settings, listening), shown(settings.database), made)
    return run(settings, listening, lambda: print(greeting, flush=True))


def prepare(settings: Settings) -> Secrets:
    """Load the portfolio unless it is loaded. Returns the secrets that give access to it.

    With SQLite the secrets are stored in a file next to the database, so that a later start has the
    same ones. Raises WrongSchema if the database has other data, OSError.
    """
    file = None if is_server(settings.database) else Path(f"{settings.database}.secrets")
    kept = None if file is None else _kept(file)
    database = open_database(settings)
    try:
        if kept is not None and database.read_here(lambda tx: _open_it(tx, kept)):
            return kept
        made = database.write_here(_prepare)
    except Invalid as error:
        raise WrongSchema(
            f"{shown(settings.database)} holds other data; "
            "the demonstration needs a database of its own"
        ) from error
    finally:
        database.close()
    if file is not None:
        # Only the owner may read it. It is created again, because an existing file would keep its
        # permissions.
        file.unlink(missing_ok=True)
        with open(file, "xb", opener=partial(os.open, mode=0o600)) as opened:
            opened.write(msgspec.json.encode(made))
    return made


def _kept(file: Path) -> Secrets | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Secrets)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _open_it(tx: Transaction, kept: Secrets) -> bool:
    """Whether all stored tokens and the password are still valid."""
    try:
        actors = [tokens.authenticate(tx, one, now()) for one in kept.tokens.values()]
    except Unauthenticated:
        return False
    return set(kept.tokens) == set(_WHO) and all(
        is_password(tx, one.user_id, kept.password) for one in actors
    )


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
