"""The published portfolio: real ratings of real programmes, and nothing else.

Each programme in `gmpp_2024_25.csv` becomes one workspace with one status report.
"""

import csv
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final

from msgspec.structs import replace

from healthreports.core.model import Actor, Instant, User
from healthreports.core.vocabulary import (
    AccountPermission,
    Color,
    ParticipationPermission,
    ReportEvery,
    Scope,
)
from healthreports.service.people import accounts, members, workspaces
from healthreports.service.reports import reports
from healthreports.store.engine.database import Transaction
from healthreports.store.people import workspaces as stored

ACCOUNT: Final = "Government major projects 2024-25"
READER: Final = ("Pat Reader", "reader@example.org")
# The ratings are those of the financial year 2024-25, which ended on this day.
PUBLISHED: Final = datetime(2025, 3, 31, 12, tzinfo=UTC)

_RATINGS: Final = {"GREEN": Color.GREEN, "AMBER": Color.YELLOW, "RED": Color.RED}


def load(tx: Transaction) -> None:
    """Store the published portfolio in a separate account."""
    published = _instant(PUBLISHED)
    account_id = accounts.create_account(tx, ACCOUNT, published)
    name, email = READER
    user = members.create_user(
        tx,
        account_id,
        full_name=name,
        email_address=email,
        permission=AccountPermission.ADMINISTRATOR,
        now=published,
    )
    for programme in csv.DictReader(_csv().splitlines()):
        workspace_id = _load_workspace(tx, programme, user)
        reports.create(tx, _administrator(user), _published(workspace_id, programme), published)


def _csv() -> str:
    return (files("healthreports.sample") / "gmpp_2024_25.csv").read_text("utf-8")


def _instant(moment: datetime) -> Instant:
    return Instant(int(moment.timestamp()) * 1_000_000)


def _administrator(user: User) -> Actor:
    return Actor(
        user_id=user.id,
        account_id=user.account_id,
        permission=AccountPermission.ADMINISTRATOR,
        token_id=0,
        scopes=frozenset(Scope),
        last_used_at=None,
    )


def _load_workspace(tx: Transaction, programme: dict[str, str], user: User) -> int:
    says = f"{programme['department']}, {programme['category']}"
    made = workspaces.make_workspace(tx, user, programme["project"], _instant(PUBLISHED), says)
    before = stored.workspace(tx, user.account_id, made)
    assert before is not None  # it was just made
    workspaces.join(
        tx, made, user, ParticipationPermission.ADMIN, _instant(PUBLISHED), team_lead=True
    )
    # The ratings are published once a year, and the sample has only one year.
    stored.replace_workspace(tx, before, replace(before, report_every=ReportEvery.NEVER))
    return made


def _published(workspace_id: int, programme: dict[str, str]) -> dict[str, Any]:
    cost, variance = programme["whole_life_cost_gbp_m"], programme["variance_pct"]
    return {
        "workspace_id": workspace_id,
        "color": _RATINGS[programme["rating"]],
        "description": (
            f"Published delivery confidence for 2024-25: {programme['rating']}. Whole-life cost: "
            f"{f'£{cost} million' if cost else 'not published'}. "
            f"Variance: {f'{variance} %' if variance else 'not published'}."
        ),
        "external_reference": {
            "service_name": "gmpp",
            "service_model": "programme",
            "service_model_ref": programme["project_id"],
        },
    }
