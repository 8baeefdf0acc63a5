"""Who may do what, for each cell of the table."""

import pytest

from healthreports.core.access import (
    ALLOWED,
    MAY_CREATE_WORKSPACES,
    MAY_MANAGE_PEOPLE,
    Action,
    Reach,
    may,
    reach,
)
from healthreports.core.model import Actor, Instant, Participation, StatusReport, Workspace
from healthreports.core.vocabulary import (
    AccountPermission,
    Color,
    ParticipationPermission,
    Scope,
    Side,
)

# The columns: permission in the account, permission in the workspace, see the workspace, see
# reports, create a report, change a report of another user, change one's own report, change the
# workspace.
TABLE = """
administrator    -               yes yes yes yes yes yes
administrator    provider-view   yes yes yes yes yes yes
administrator    client-view     yes yes yes yes yes yes
reports_viewer   -               yes yes no  no  yes no
reports_viewer   provider-view   yes yes no  no  yes no
reports_viewer   provider-edit   yes yes yes no  yes no
reports_viewer   client-admin    yes yes no  no  yes no
project_lead     -               no  no  no  no  no  no
project_lead     provider-admin  yes yes yes yes yes yes
project_creator  -               no  no  no  no  no  no
project_creator  provider-edit   yes yes yes no  yes no
collaborator     -               no  no  no  no  no  no
collaborator     provider-view   yes yes no  no  yes no
collaborator     provider-edit   yes yes yes no  yes no
collaborator     provider-admin  yes yes yes yes yes yes
collaborator     client-view     yes no  no  no  no  no
collaborator     client-edit     yes no  no  no  no  no
collaborator     client-admin    yes no  no  no  no  no
collaborator     shown-view      yes yes no  no  yes no
collaborator     shown-admin     yes yes no  no  yes no
"""
ASKED = (
    (Action.SEE_WORKSPACE, False),
    (Action.SEE_REPORTS, False),
    (Action.CREATE_REPORT, False),
    (Action.CHANGE_REPORT, False),
    (Action.CHANGE_REPORT, True),
    (Action.CHANGE_WORKSPACE, False),
)
ROWS = [line.split() for line in TABLE.strip().splitlines()]
CELLS = [
    pytest.param(
        account, place, action, own, answer == "yes", id=f"{account} {place} {action} {own}"
    )
    for account, place, *answers in ROWS
    for (action, own), answer in zip(ASKED, answers, strict=True)
]
THEN = Instant(0)


def actor(permission: str) -> Actor:
    return Actor(
        user_id=7,
        account_id=3,
        permission=AccountPermission(permission),
        token_id=1,
        scopes=frozenset(Scope),
        last_used_at=None,
    )


def workspace(*, shown: bool = False, archived: bool = False) -> Workspace:
    return Workspace(
        id=1,
        account_id=3,
        creator_id=None,
        title="W",
        description=None,
        archived=archived,
        access_level="invitation",
        clients_see_status_reports=shown,
        start_date=None,
        due_date=None,
        created_at=THEN,
        updated_at=THEN,
    )


def participation(place: str) -> Participation | None:
    if place == "-":
        return None
    side, permission = place.split("-")
    return Participation(
        id=1,
        account_id=3,
        workspace_id=1,
        user_id=7,
        side=Side.PROVIDER if side == "provider" else Side.CLIENT,
        permission=ParticipationPermission(permission),
        team_lead=False,
        created_at=THEN,
        updated_at=THEN,
    )


def report(creator_id: int) -> StatusReport:
    return StatusReport(
        id=1,
        account_id=3,
        workspace_id=1,
        creator_id=creator_id,
        updater_id=None,
        color=Color.RED,
        description="D",
        details=(),
        created_at=THEN,
        updated_at=THEN,
    )


def is_allowed(account: str, place: str, action: Action, *, own: bool, archived: bool) -> bool:
    return may(
        actor(account),
        action,
        workspace(shown=place.startswith("shown"), archived=archived),
        participation(place),
        report(7 if own else 8),
    )


@pytest.mark.parametrize(("account", "place", "action", "own", "allowed"), CELLS)
def test_each_cell(account: str, place: str, action: Action, own: bool, allowed: bool) -> None:
    assert is_allowed(account, place, action, own=own, archived=False) is allowed


@pytest.mark.parametrize(("account", "place", "action", "own", "allowed"), CELLS)
def test_an_archived_workspace_is_for_reading_only(
    account: str,
    place: str,
    action: Action,
    own: bool,
    allowed: bool,
) -> None:
    reads = action in (Action.SEE_WORKSPACE, Action.SEE_REPORTS)
    assert is_allowed(account, place, action, own=own, archived=True) is (allowed and reads)


def test_the_table_has_a_row_for_every_permission() -> None:
    assert {row[0] for row in ROWS} == set(AccountPermission)
    assert {row[1].split("-")[1] for row in ROWS if row[1] != "-"} == set(ParticipationPermission)
    assert all(action in Action for actions in ALLOWED.values() for action in actions)


@pytest.mark.parametrize(
    ("permission", "sees_all", "creates", "manages"),
    [
        ("administrator", True, True, True),
        ("reports_viewer", True, False, False),
        ("project_lead", False, True, False),
        ("project_creator", False, True, False),
        ("collaborator", False, False, False),
    ],
)
def test_what_a_permission_gives_in_the_account(
    permission: str,
    sees_all: bool,
    creates: bool,
    manages: bool,
) -> None:
    assert reach(actor(permission)) == Reach(account_id=3, user_id=None if sees_all else 7)
    assert (AccountPermission(permission) in MAY_CREATE_WORKSPACES) is creates
    assert (AccountPermission(permission) in MAY_MANAGE_PEOPLE) is manages
