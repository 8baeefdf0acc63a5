"""Who may do what, as one table and one function.

The contract leaves permissions to the account (5.1, 5.2): what an actor cannot see is not there,
what it sees but may not change is forbidden. `service/` asks here; lists are narrowed by `Reach`,
so that counts are right.
"""

from enum import StrEnum

import msgspec

from healthreports.core.model import Actor, Participation
from healthreports.core.vocabulary import AccountPermission, ParticipationPermission


class Action(StrEnum):
    """What can be done with the status reports and external references of a workspace."""

    SEE = "see"
    WRITE = "write"


class Standing(StrEnum):
    """How an actor stands to one workspace of its own account."""

    ADMINISTRATOR = "administrator"
    EDITOR = "editor"
    VIEWER = "viewer"
    OUTSIDER = "outsider"


ALLOWED: dict[Standing, frozenset[Action]] = {
    Standing.ADMINISTRATOR: frozenset({Action.SEE, Action.WRITE}),
    Standing.EDITOR: frozenset({Action.SEE, Action.WRITE}),
    Standing.VIEWER: frozenset({Action.SEE}),
    Standing.OUTSIDER: frozenset(),
}

_STANDING_OF = {
    ParticipationPermission.EDIT: Standing.EDITOR,
    ParticipationPermission.VIEW: Standing.VIEWER,
}


class Reach(msgspec.Struct, frozen=True):
    """Which records an actor sees: all of an account, or, with `user_id`, its own workspaces'."""

    account_id: int
    user_id: int | None


def standing(actor: Actor, participation: Participation | None) -> Standing:
    """How `actor` stands to a workspace of its account in which it has `participation`, if any."""
    if actor.permission is AccountPermission.ADMINISTRATOR:
        return Standing.ADMINISTRATOR
    if participation is None:
        return Standing.OUTSIDER
    return _STANDING_OF[participation.permission]


def may(actor: Actor, action: Action, participation: Participation | None) -> bool:
    """Whether `actor` may do `action` in a workspace in which it has `participation`, if any."""
    return action in ALLOWED[standing(actor, participation)]


def reach(actor: Actor) -> Reach:
    """What `actor` sees: an administrator the whole account, anyone else where it participates."""
    everything = actor.permission is AccountPermission.ADMINISTRATOR
    return Reach(actor.account_id, None if everything else actor.user_id)
