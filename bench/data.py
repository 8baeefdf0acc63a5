"""The content of every measured server: 10,000 reports, the same for `ours` and for `plain`.

There is one account with 100 workspaces and three users: an administrator; a participant who may
edit in every workspace, so that each of its requests passes the check of participations; and an
outsider who participates in no workspace and must see nothing. `ours` is filled by its services,
`plain` through its ORM, both from `all_reports()`. Both assign ids from 1, so the ids are the same.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, insert

import plain
from healthreports.app import open_database
from healthreports.core.model import Actor, Instant
from healthreports.core.vocabulary import AccountPermission, ParticipationPermission
from healthreports.service.auth import tokens
from healthreports.service.people import accounts, members, workspaces
from healthreports.service.reports import reports
from healthreports.settings import Settings
from healthreports.store.engine.database import Transaction

REPORTS = 10_000
WORKSPACES = 100
USERS = {
    "administrator": AccountPermission.ADMINISTRATOR,
    "participant": AccountPermission.COLLABORATOR,
    "outsider": AccountPermission.COLLABORATOR,
}
ADMINISTRATOR_ID, PARTICIPANT_ID, OUTSIDER_ID = range(1, len(USERS) + 1)
CREATED_FROM = datetime(2024, 1, 1, 9, tzinfo=UTC)

_COLORS = ("green", "yellow", "red")
_CATEGORIES = ("Scope", "Budget", "Schedule", "Client")
_DESCRIPTION = (
    "Week {}: the team closed the open points of the review, two risks moved to the sponsor, "
    "and the next milestone stays where it was planned."
)
_DETAIL = "{} as agreed in the last steering meeting, number {}."


def created_at(number: int) -> datetime:
    """The time at which report `number` (from 0) was created."""
    return CREATED_FROM + timedelta(minutes=17 * number)


def report(number: int) -> dict[str, Any]:
    """The attributes of a report as a client sends them; every second one has 4 details, not 3."""
    return {
        "workspace_id": number % WORKSPACES + 1,
        "color": _COLORS[number % 3],
        "description": _DESCRIPTION.format(number),
        "details": [
            {
                "category": category,
                "color": _COLORS[(number + place) % 3],
                "description": _DETAIL.format(category, number),
            }
            for place, category in enumerate(_CATEGORIES[: 3 + number % 2])
        ],
        "external_reference": {
            "service_name": "tracker",
            "service_model": "epic",
            "service_model_ref": f"EPIC-{number}",
        },
    }


def all_reports() -> Iterator[tuple[datetime, dict[str, Any]]]:
    for number in range(REPORTS):
        yield created_at(number), report(number)


def fill_ours(address: str) -> dict[str, str]:
    """Fill a new database of `ours` in one transaction. Returns the token of each user."""
    database = open_database(Settings(database=address))
    try:
        return database.write_here(_fill_ours)
    finally:
        database.close()


def _fill_ours(tx: Transaction) -> dict[str, str]:
    start = _instant(CREATED_FROM)
    account_id = accounts.create_account(tx, "Benchmark", start)
    users = {
        name: members.create_user(
            tx,
            account_id,
            full_name=f"The {name}",
            email_address=f"{name}@example.org",
            permission=permission,
            now=start,
        )
        for name, permission in USERS.items()
    }
    for number in range(WORKSPACES):
        workspace_id = workspaces.make_workspace(
            tx, users["administrator"], f"Project {number}", start, f"What project {number} is for."
        )
        workspaces.join(tx, workspace_id, users["participant"], ParticipationPermission.EDIT, start)
    creator = Actor(
        user_id=users["participant"].id,
        account_id=account_id,
        permission=USERS["participant"],
        token_id=0,
        scopes=tokens.ALL_SCOPES,
        last_used_at=None,
    )
    for moment, sent in all_reports():
        reports.create(tx, creator, sent, _instant(moment))
    return {name: tokens.issue(tx, user, "bench", start) for name, user in users.items()}


def _instant(moment: datetime) -> Instant:
    return Instant(int(moment.timestamp()) * 1_000_000)


def fill_plain(path: Path, secrets: dict[str, str]) -> None:
    """Fill a new database of `plain` with the same content and the same tokens."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    plain.Base.metadata.create_all(engine)
    with engine.begin() as connection:
        for table, rows in _plain_rows(secrets).items():
            connection.execute(insert(table), rows)
    engine.dispose()


def _plain_rows(secrets: dict[str, str]) -> dict[Any, list[dict[str, Any]]]:
    times = {"created_at": CREATED_FROM, "updated_at": CREATED_FROM}
    reports_, details, references = [], [], []
    for report_id, (moment, sent) in enumerate(all_reports(), start=1):
        made = {"created_at": moment, "updated_at": moment}
        columns = {name: sent[name] for name in ("workspace_id", "color", "description")}
        reports_.append({"account_id": 1, "creator_id": PARTICIPANT_ID, **columns, **made})
        details += [{"report_id": report_id, **detail} for detail in sent["details"]]
        references.append({"report_id": report_id, **sent["external_reference"], **made})
    return {
        plain.User: [
            {
                "account_id": 1,
                "permission": permission.value,
                "full_name": f"The {name}",
                "email_address": f"{name}@example.org",
            }
            for name, permission in USERS.items()
        ],
        plain.Token: [
            {"user_id": user_id, "secret_hash": hashlib.sha256(secrets[name].encode()).hexdigest()}
            for user_id, name in enumerate(USERS, start=1)
        ],
        plain.Workspace: [
            {"account_id": 1, "title": f"Project {number}", **times} for number in range(WORKSPACES)
        ],
        plain.Participation: [
            {"workspace_id": number, "user_id": PARTICIPANT_ID, "permission": "edit"}
            for number in range(1, WORKSPACES + 1)
        ],
        plain.StatusReport: reports_,
        plain.Detail: details,
        plain.ExternalReference: references,
    }
