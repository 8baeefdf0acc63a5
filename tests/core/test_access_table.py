"""Who may do what, cell by cell."""

import pytest

from healthreports.core.access import Action, Reach, may, reach
from healthreports.core.model import Actor, Participation
from healthreports.core.vocabulary import AccountPermission, ParticipationPermission

TABLE = """
                            see   write
administrator  -            yes   yes
administrator  view         yes   yes
collaborator   -            no    no
collaborator   view         yes   no
collaborator   edit         yes   yes
"""
CELLS = [
    (account, participation, action, allowed == "yes")
    for account, participation, *cells in (line.split() for line in TABLE.strip().splitlines()[1:])
    for action, allowed in zip(("see", "write"), cells, strict=True)
]


def actor(permission: str) -> Actor:
    return Actor(
        user_id=7, account_id=3, permission=AccountPermission(permission), account_version=1
    )


@pytest.mark.parametrize(("permission", "participates", "action", "allowed"), CELLS)
def test_each_cell(permission: str, participates: str, action: str, allowed: bool) -> None:  # noqa: FBT001  a cell of the table
    participation = None
    if participates != "-":
        participation = Participation(
            workspace_id=1, user_id=7, permission=ParticipationPermission(participates)
        )
    assert may(actor(permission), Action(action), participation) is allowed


def test_an_administrator_reaches_the_account_and_anyone_else_its_own_workspaces() -> None:
    assert reach(actor("administrator")) == Reach(account_id=3, user_id=None)
    assert reach(actor("collaborator")) == Reach(account_id=3, user_id=7)
