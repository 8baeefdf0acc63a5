"""The sample portfolio: real ratings, with a made-up history beside them that says so.

`gmpp_2024_25.csv` gives one workspace and one status report for each programme. The twelve weeks
before are made up, from nothing but the programme's id, so that ids, dates and colors are the same
in every run.
"""

import csv
import hashlib
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, Final, NamedTuple

from healthreports.core.model import Actor, Instant, User
from healthreports.core.vocabulary import (
    AccountPermission,
    Category,
    Color,
    ParticipationPermission,
    Scope,
)
from healthreports.service.people import accounts, members, workspaces
from healthreports.service.reports import reports
from healthreports.store.engine.database import Transaction

MADE_UP: Final = "Made-up history for the demonstration, published by nobody"
WEEKS: Final = 12
# The ratings are those of the financial year 2024-25; it ended on this day.
PUBLISHED: Final = datetime(2025, 3, 31, 12, tzinfo=UTC)

_RATINGS: Final = {"GREEN": Color.GREEN, "AMBER": Color.YELLOW, "RED": Color.RED}
_SCALE: Final = tuple(Color)
_SAYINGS: Final = {
    Color.GREEN: "Going as planned.",
    Color.YELLOW: "Behind plan; the team has a way back.",
    Color.RED: "Needs a decision by the board before the next report.",
}


class SampleUser(NamedTuple):
    """One person of the demonstration; `participates` goes from department to permission."""

    role: str
    full_name: str
    email_address: str
    permission: AccountPermission
    participates: dict[str, ParticipationPermission]


SAMPLE_USERS: Final = (
    SampleUser(
        "administrator",
        "Alex Administrator",
        "administrator@example.org",
        AccountPermission.ADMINISTRATOR,
        {},
    ),
    SampleUser(
        "editor",
        "Eddie Editor",
        "editor@example.org",
        AccountPermission.COLLABORATOR,
        {"DFT": ParticipationPermission.EDIT, "DWP": ParticipationPermission.VIEW},
    ),
    SampleUser(
        "viewer",
        "Vera Viewer",
        "viewer@example.org",
        AccountPermission.COLLABORATOR,
        {"DFT": ParticipationPermission.VIEW},
    ),
)


def is_loaded(tx: Transaction) -> bool:
    """Whether there is an account already."""
    return not accounts.is_empty(tx)


def load(tx: Transaction) -> None:
    """Store the portfolio in an empty database."""
    published = _instant(PUBLISHED)
    account_id = accounts.create_account(tx, "Sample portfolio", published)
    users = [
        members.create_user(
            tx,
            account_id,
            full_name=one.full_name,
            email_address=one.email_address,
            permission=one.permission,
            now=published,
        )
        for one in SAMPLE_USERS
    ]
    programmes = list(csv.DictReader(_csv().splitlines()))
    workspace_ids = [_load_workspace(tx, programme, users) for programme in programmes]
    administrator = _administrator(users[0])
    for workspace_id, programme in zip(workspace_ids, programmes, strict=True):
        reports.create(tx, administrator, _published(workspace_id, programme), published)
    for week in range(WEEKS):
        made = _instant(PUBLISHED - timedelta(weeks=WEEKS - week))
        for workspace_id, programme in zip(workspace_ids, programmes, strict=True):
            reports.create(tx, administrator, _made_up(workspace_id, programme, week), made)


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


def _load_workspace(tx: Transaction, programme: dict[str, str], users: list[User]) -> int:
    workspace_id = workspaces.make_workspace(
        tx,
        users[0],
        programme["project"],
        _instant(PUBLISHED),
        f"{programme['department']}, {programme['category']}",
    )
    for sample, user in zip(SAMPLE_USERS, users, strict=True):
        permission = sample.participates.get(programme["department"])
        if permission is not None:
            workspaces.join(tx, workspace_id, user, permission, _instant(PUBLISHED))
    return workspace_id


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


def _made_up(workspace_id: int, programme: dict[str, str], week: int) -> dict[str, Any]:
    dice = hashlib.sha256(f"{programme['project_id']}/{week}".encode()).digest()
    rated = _SCALE.index(_RATINGS[programme["rating"]])
    details = [
        {"category": category, "color": color, "description": _SAYINGS[color]}
        for category, roll in zip(Category, dice, strict=False)
        # One in eight is not reported; one in four is a step away from the rating.
        if roll % 8
        for color in [_SCALE[min(max(rated + _step(roll), 0), len(_SCALE) - 1)]]
    ]
    worst = max((_SCALE.index(detail["color"]) for detail in details), default=rated)
    return {
        "workspace_id": workspace_id,
        "color": _SCALE[worst],
        "description": f"{MADE_UP}: week {week + 1} of {WEEKS}.",
        "details": details,
    }


def _step(roll: int) -> int:
    return {0: -1, 1: 1}.get(roll // 8 % 8, 0)
