"""Validation of workspaces, participations, groups and memberships, and of names and passwords.

Each `check_` function for a body returns a draft and all its problems (5.6); the others return only
the problems. Contract: 7.1 to 7.4.
"""

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from healthreports.core.errors import Fault, Problem
from healthreports.core.rules.reading import BodyReader, Sent, is_storable
from healthreports.core.rules.references import ReferenceDraft, reference_of
from healthreports.core.vocabulary import (
    MAX_ACCOUNT_NAME,
    MAX_DESCRIPTION,
    MAX_LINK,
    MAX_LISTED,
    MAX_NAME,
    MAX_PASSWORD,
    MAX_REDIRECT_URIS,
    MIN_PASSWORD,
    SIDE_OF,
    AccessLevel,
    AccountPermission,
    ParticipationPermission,
    ReportEvery,
    Side,
    SideRole,
    Weekday,
)

# A private-use URI scheme of an application has a dot, like its maker's domain (RFC 8252, 7.1).
_OWN_SCHEME: Final = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+", re.ASCII)
# Account names appear in addresses. They have a letter, so that none looks like an id.
_ACCOUNT_NAME: Final = re.compile("(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_HOST_AND_PORT: Final = re.compile(r"([a-zA-Z0-9.-]+|\[[0-9a-fA-F:.]+\])(:\d+)?", re.ASCII)
# Attributes of the reference API that set the rights of a participant, in different terms.
_PARTICIPATION_RIGHTS: Final = (
    "access_level",
    "permissions",
    "can_invite",
    "can_schedule_their_hours",
    "can_schedule_team_hours",
    "can_edit_todos",
)
# The words in the reference's list of values; its text has the other words.
_ALSO_ROLES: Final = {"consultant": SideRole.MAVEN.value, "client": SideRole.BUYER.value}
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class WorkspaceDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace as sent; what was not sent is UNSET."""

    title: str | UnsetType = UNSET
    description: str | None | UnsetType = UNSET
    archived: bool | UnsetType = UNSET
    clients_see_status_reports: bool | UnsetType = UNSET
    start_date: str | None | UnsetType = UNSET
    due_date: str | None | UnsetType = UNSET
    report_every: ReportEvery | UnsetType = UNSET
    report_day: Weekday | UnsetType = UNSET
    report_paused_until: str | None | UnsetType = UNSET


class WorkspaceLinks(msgspec.Struct, frozen=True, kw_only=True):
    """The links to other objects in the body of a workspace; what was not sent is UNSET (7.1).

    `creator_side` is the side of the user who creates the workspace. `lead_id` is the user who
    leads its provider side.
    """

    creator_side: Side = Side.PROVIDER
    lead_id: int | UnsetType = UNSET
    group_ids: tuple[int, ...] | UnsetType = UNSET
    reference: ReferenceDraft | UnsetType = UNSET


class ParticipationDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A participation as sent; what was not sent is UNSET."""

    workspace_id: int | UnsetType = UNSET
    user_id: int | UnsetType = UNSET
    side: Side | UnsetType = UNSET
    permission: ParticipationPermission | UnsetType = UNSET
    team_lead: bool | UnsetType = UNSET


class GroupDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace group as sent; what was not sent is UNSET (7.6)."""

    name: str | UnsetType = UNSET
    company: bool | UnsetType = UNSET
    notes: str | None | UnsetType = UNSET
    contact_name: str | None | UnsetType = UNSET
    email: str | None | UnsetType = UNSET
    website: str | None | UnsetType = UNSET


class GroupChange(msgspec.Struct, frozen=True):
    """The workspaces to add to a group, and those to remove from it (7.6)."""

    add: tuple[int, ...]
    remove: tuple[int, ...]


class MembershipDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An account membership as sent, with its new user; what was not sent is UNSET."""

    full_name: str | UnsetType = UNSET
    email_address: str | UnsetType = UNSET
    permission: AccountPermission | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


def check_workspace(
    sent: Sent, *, new: bool
) -> tuple[WorkspaceDraft, WorkspaceLinks, list[Problem]]:
    """Read the body of a workspace; a new one needs a title. Contract: 7.1."""
    body = BodyReader(sent)
    body.refuse("participations")
    body.choice("access_level", AccessLevel, required=False)
    draft = WorkspaceDraft(
        title=body.text("title", MAX_NAME, required=new, trimmed=True),
        description=body.text_or_null("description", MAX_DESCRIPTION),
        archived=body.flag("archived"),
        clients_see_status_reports=body.flag("clients_see_status_reports"),
        start_date=body.date_or_null("start_date"),
        due_date=body.date_or_null("due_date"),
        report_every=body.choice("report_every", ReportEvery, required=False),
        report_day=body.choice("report_day", Weekday, required=False),
        report_paused_until=body.date_or_null("report_paused_until"),
    )
    role = body.choice("creator_role", SideRole, required=False, also=_ALSO_ROLES) if new else UNSET
    links = WorkspaceLinks(
        creator_side=Side.PROVIDER if role is UNSET else SIDE_OF[role],
        lead_id=body.identity_or_unset("primary_maven_id"),
        group_ids=body.identities("workspace_group_ids", MAX_LISTED),
        reference=reference_of(body),
    )
    return draft, links, body.problems


def check_participation(sent: Sent, *, new: bool) -> tuple[ParticipationDraft, list[Problem]]:
    """Read the body of a participation; a new one names the workspace and the user.

    Contract: 7.3.
    """
    body = BodyReader(sent)
    body.refuse(*_PARTICIPATION_RIGHTS)
    draft = ParticipationDraft(
        workspace_id=body.identity("workspace_id") if new else UNSET,
        user_id=body.identity("user_id") if new else UNSET,
        side=_side(body),
        permission=body.choice("permission", ParticipationPermission, required=False),
        team_lead=body.flag("team_lead"),
    )
    return draft, body.problems


def _side(body: BodyReader) -> Side | UnsetType:
    """The side, from our `side`, from the reference's `role`, or from both if they agree."""
    side = body.choice("side", Side, required=False)
    role = body.choice("role", SideRole, required=False)
    if role is UNSET:
        return side
    if side is not UNSET and side is not SIDE_OF[role]:
        return body.note("role", Fault.CONTRADICTS, ("side",))
    return SIDE_OF[role]


def check_group(sent: Sent, *, new: bool) -> tuple[GroupDraft, GroupChange, list[Problem]]:
    """Read the body of a workspace group; a new one needs a name. Contract: 7.6."""
    body = BodyReader(sent)
    draft = GroupDraft(
        name=body.text("name", MAX_NAME, required=new, trimmed=True),
        company=body.flag("company"),
        notes=body.text_or_null("notes", MAX_DESCRIPTION),
        contact_name=body.text_or_null("contact_name", MAX_NAME),
        email=body.text_or_null("email", MAX_NAME),
        website=body.text_or_null("website", MAX_LINK),
    )
    added = body.identities("add_workspace_ids", MAX_LISTED)
    removed = UNSET if new else body.identities("remove_workspace_ids", MAX_LISTED)
    change = GroupChange(
        add=() if added is UNSET else added, remove=() if removed is UNSET else removed
    )
    return draft, change, body.problems


def check_membership(sent: Sent, *, new: bool) -> tuple[MembershipDraft, list[Problem]]:
    """Read the body of an account membership; a new one needs the person and the permission."""
    body = BodyReader(sent)
    body.refuse("default_read_only")
    draft = MembershipDraft(
        full_name=body.text("full_name", MAX_NAME, required=True, trimmed=True) if new else UNSET,
        email_address=body.address("email_address") if new else UNSET,
        permission=body.choice("permission", AccountPermission, required=new),
        disabled=body.flag("disabled"),
    )
    return draft, body.problems


def check_typed(sent: Sent, field: str) -> tuple[str | UnsetType, list[Problem]]:
    """The name that was sent to confirm a deletion, and its problems."""
    body = BodyReader(sent)
    return body.text(field, MAX_NAME, required=True, trimmed=True), body.problems


def check_address(sent: Sent) -> tuple[str | UnsetType, list[Problem]]:
    """The e-mail address that was sent, and its problems."""
    body = BodyReader(sent)
    return body.address("email_address"), body.problems


def check_taker(sent: Sent) -> tuple[int | UnsetType, list[Problem]]:
    """The id of the user who takes over the participations of another, and its problems."""
    body = BodyReader(sent)
    return body.identity("taker_id"), body.problems


def check_names(**names: str) -> list[Problem]:
    """The problems in texts that a person typed and that must not be blank, by attribute."""
    problems = []
    for name, text in names.items():
        if not text.strip():
            problems.append(Problem(name, Fault.MISSING))
        elif len(text) > MAX_NAME:
            problems.append(Problem(name, Fault.TOO_LONG, limit=MAX_NAME))
        elif not is_storable(text):
            problems.append(Problem(name, Fault.UNSTORABLE))
    return problems


def check_redirect_uris(uris: tuple[str, ...]) -> list[Problem]:
    """The problems in the redirect URIs of an application (RFC 9700, 2.1)."""
    if len(uris) > MAX_REDIRECT_URIS:
        return [Problem("redirect_uris", Fault.TOO_MANY, limit=MAX_REDIRECT_URIS)]
    if len(set(uris)) < len(uris) or not all(map(_is_redirect, uris)):
        return [Problem("redirect_uris", Fault.NOT_A_REDIRECT)]
    return []


def check_account_name(name: str) -> list[Problem]:
    """The problems in an account name. Valid: lowercase letters, digits, single hyphens between."""
    if len(name) > MAX_ACCOUNT_NAME:
        return [Problem("name", Fault.TOO_LONG, limit=MAX_ACCOUNT_NAME)]
    return [] if _ACCOUNT_NAME.fullmatch(name) else [Problem("name", Fault.NOT_AN_ACCOUNT_NAME)]


def check_password(password: str) -> list[Problem]:
    """The problems in the length and characters of a new password (NIST SP 800-63B, 3.1.1.2)."""
    if len(password) < MIN_PASSWORD:
        return [Problem("password", Fault.TOO_SHORT, limit=MIN_PASSWORD)]
    if len(password) > MAX_PASSWORD:
        return [Problem("password", Fault.TOO_LONG, limit=MAX_PASSWORD)]
    return [] if is_storable(password) else [Problem("password", Fault.UNSTORABLE)]


def _is_redirect(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    if len(text) > MAX_LINK or not text.isascii() or not text.isprintable():
        return False
    if " " in text or "\\" in text or "#" in text:
        return False
    if parts.scheme in ("http", "https"):
        known = parts.scheme == "https" or parts.hostname in _LOOPBACK
        return known and _HOST_AND_PORT.fullmatch(parts.netloc) is not None
    return _OWN_SCHEME.fullmatch(parts.scheme) is not None
