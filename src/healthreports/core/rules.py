"""What makes a body right: attributes as sent -> a draft, and every fault in it.

Checking is a value, not an exception: the contract wants all faults of a request at once (5.6), so
each function returns the draft as far as it could be read together with its problems. Attributes
that the contract does not name are ignored (1.4). Follows sections 3.3, 5.2 to 5.7.
"""

import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from healthreports.core.errors import Fault, Problem
from healthreports.core.model import Detail, Instant
from healthreports.core.vocabulary import (
    MAX_DESCRIPTION,
    MAX_DETAIL_DESCRIPTION,
    MAX_ID,
    MAX_LINK,
    MAX_NAME,
    MAX_PASSWORD,
    MAX_REDIRECT_URIS,
    MIN_PASSWORD,
    AccountPermission,
    Category,
    Color,
    ParticipationPermission,
    Side,
    SubjectType,
    SyncStatus,
)

# What JSON can say, once read.
Sent = Mapping[str, Any]
Choice = TypeVar("Choice", bound=StrEnum)

# Four categories, so more than four details cannot be right; up to here each one's fault is named.
MAX_DETAILS_READ: Final = 100

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+")
# A scheme of an application's own has a dot, as the names of its maker (RFC 8252, 7.1).
_OWN_SCHEME: Final = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+", re.ASCII)
_HOST_AND_PORT: Final = re.compile(r"([a-zA-Z0-9.-]+|\[[0-9a-fA-F:.]+\])(:\d+)?", re.ASCII)
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_FLAGS: Final = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}
_CATEGORY_ORDER: Final = {category: place for place, category in enumerate(Category)}


class ReferenceDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An external reference as sent; what was not sent is UNSET and stays as it is (5.4, 7)."""

    service_name: str | UnsetType = UNSET
    service_model: str | UnsetType = UNSET
    service_model_ref: str | UnsetType = UNSET
    status: SyncStatus | UnsetType = UNSET
    external_status: str | None | UnsetType = UNSET
    external_message: str | None | UnsetType = UNSET
    external_link: str | None | UnsetType = UNSET
    locked: bool | None | UnsetType = UNSET


class Subject(msgspec.Struct, frozen=True):
    """Which object an external reference is for (7)."""

    type: SubjectType
    id: int


class ReportDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A status report as sent; what was not sent is UNSET (5.2, 5.3)."""

    workspace_id: int | UnsetType = UNSET
    color: Color | UnsetType = UNSET
    description: str | UnsetType = UNSET
    details: tuple[Detail, ...] | UnsetType = UNSET
    reference: ReferenceDraft | UnsetType = UNSET


class ReportLine(msgspec.Struct, frozen=True, kw_only=True):
    """A status report as a line of a file has it, to be kept as it was elsewhere.

    `number` counts lines from 1, `end` bytes of the file up to behind the line. A time or a person
    that the line does not name is None. `problems` are those of reading it.
    """

    number: int
    end: int
    sent: Mapping[str, object]
    created_at: Instant | None = None
    updated_at: Instant | None = None
    creator_id: int | None = None
    updater_id: int | None = None
    problems: tuple[Problem, ...] = ()


class WorkspaceDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace as sent; what was not sent is UNSET."""

    title: str | UnsetType = UNSET
    description: str | None | UnsetType = UNSET
    archived: bool | UnsetType = UNSET
    clients_see_status_reports: bool | UnsetType = UNSET
    start_date: str | None | UnsetType = UNSET
    due_date: str | None | UnsetType = UNSET


class ParticipationDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A participation as sent; what was not sent is UNSET."""

    workspace_id: int | UnsetType = UNSET
    user_id: int | UnsetType = UNSET
    side: Side | UnsetType = UNSET
    permission: ParticipationPermission | UnsetType = UNSET
    team_lead: bool | UnsetType = UNSET


class MembershipDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An account membership as sent, with the user it is made for; not sent is UNSET."""

    full_name: str | UnsetType = UNSET
    email_address: str | UnsetType = UNSET
    permission: AccountPermission | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


def check_workspace(sent: Sent, *, new: bool) -> tuple[WorkspaceDraft, list[Problem]]:
    """Read the body of a workspace; a new one needs a title."""
    reading = _Reading(sent)
    draft = WorkspaceDraft(
        title=reading.text("title", MAX_NAME, required=new, trimmed=True),
        description=reading.text_or_null("description", MAX_DESCRIPTION),
        archived=reading.flag("archived"),
        clients_see_status_reports=reading.flag("clients_see_status_reports"),
        start_date=reading.date_or_null("start_date"),
        due_date=reading.date_or_null("due_date"),
    )
    return draft, reading.problems


def check_participation(sent: Sent, *, new: bool) -> tuple[ParticipationDraft, list[Problem]]:
    """Read the body of a participation; a new one needs all but `side` and `team_lead`."""
    reading = _Reading(sent)
    draft = ParticipationDraft(
        workspace_id=reading.identity("workspace_id") if new else UNSET,
        user_id=reading.identity("user_id") if new else UNSET,
        side=reading.choice("side", Side, required=False),
        permission=reading.choice("permission", ParticipationPermission, required=new),
        team_lead=reading.flag("team_lead"),
    )
    return draft, reading.problems


def check_membership(sent: Sent, *, new: bool) -> tuple[MembershipDraft, list[Problem]]:
    """Read the body of an account membership; a new one needs the person and the permission."""
    reading = _Reading(sent)
    draft = MembershipDraft(
        full_name=reading.text("full_name", MAX_NAME, required=True, trimmed=True)
        if new
        else UNSET,
        email_address=reading.address("email_address") if new else UNSET,
        permission=reading.choice("permission", AccountPermission, required=new),
        disabled=reading.flag("disabled"),
    )
    return draft, reading.problems


def check_new_report(sent: Sent) -> tuple[ReportDraft, list[Problem]]:
    """Read the body of a create. Required: workspace_id, color, description. Contract: 5.2."""
    reading = _Reading(sent)
    workspace_id = reading.identity("workspace_id")
    draft = _report(reading, required=True)
    return msgspec.structs.replace(draft, workspace_id=workspace_id), reading.problems


def check_report_change(sent: Sent) -> tuple[ReportDraft, list[Problem]]:
    """Read the body of an update: nothing is required, `workspace_id` is ignored. Contract: 5.3."""
    reading = _Reading(sent)
    return _report(reading, required=False), reading.problems


def check_reference(sent: Sent) -> tuple[Subject | None, ReferenceDraft, list[Problem]]:
    """Read the body of an external reference that names its subject. Contract: 7."""
    reading = _Reading(sent)
    subject_type = reading.choice("subject_type", SubjectType, required=True)
    subject_id = reading.identity("subject_id")
    status = reading.choice("status", SyncStatus, required=False)
    draft = msgspec.structs.replace(_reference(reading), status=status)
    if subject_type is UNSET or subject_id is UNSET:
        return None, draft, reading.problems
    return Subject(subject_type, subject_id), draft, reading.problems


def check_names(**names: str) -> list[Problem]:
    """The faults in texts that may not be blank, as a person typed them, by attribute."""
    problems = []
    for name, text in names.items():
        if not text.strip():
            problems.append(Problem(name, Fault.MISSING))
        elif len(text) > MAX_NAME:
            problems.append(Problem(name, Fault.TOO_LONG, limit=MAX_NAME))
        elif not _is_storable(text):
            problems.append(Problem(name, Fault.UNSTORABLE))
    return problems


def check_redirect_uris(uris: tuple[str, ...]) -> list[Problem]:
    """The faults in the addresses that an application may be sent back to (RFC 9700, 2.1)."""
    if len(uris) > MAX_REDIRECT_URIS:
        return [Problem("redirect_uris", Fault.TOO_MANY, limit=MAX_REDIRECT_URIS)]
    if len(set(uris)) < len(uris) or not all(map(_is_redirect, uris)):
        return [Problem("redirect_uris", Fault.NOT_A_REDIRECT)]
    return []


def check_password(password: str) -> list[Problem]:
    """The faults in a new password: its length, and nothing else (NIST SP 800-63B, 3.1.1.2)."""
    if len(password) < MIN_PASSWORD:
        return [Problem("password", Fault.TOO_SHORT, limit=MIN_PASSWORD)]
    if len(password) > MAX_PASSWORD:
        return [Problem("password", Fault.TOO_LONG, limit=MAX_PASSWORD)]
    return [] if _is_storable(password) else [Problem("password", Fault.UNSTORABLE)]


def kept_address(text: str) -> str:
    """An e-mail address as it is kept: its case and the blanks around it do not count."""
    return text.strip().lower()


def is_address(text: str) -> bool:
    """Whether `text` has the form of an e-mail address; only mail can tell whether it is one."""
    return _ADDRESS.fullmatch(text) is not None


def values_sent(draft: msgspec.Struct) -> dict[str, Any]:
    """What was sent of a draft, by the name of the attribute."""
    return {n: v for n, v in msgspec.structs.asdict(draft).items() if v is not UNSET}


def _report(reading: "_Reading", *, required: bool) -> ReportDraft:
    description = reading.text("description", MAX_DESCRIPTION, required=required, trimmed=True)
    nested = reading.nested("external_reference")
    return ReportDraft(
        color=reading.choice("color", Color, required=required),
        description=description,
        details=_details(reading),
        reference=UNSET if nested is None else _reference(nested),
    )


def _reference(reading: "_Reading") -> ReferenceDraft:
    return ReferenceDraft(
        service_name=reading.text("service_name", MAX_NAME, required=True),
        service_model=reading.text("service_model", MAX_NAME, required=True),
        service_model_ref=reading.reference("service_model_ref"),
        external_status=reading.text_or_null("external_status", MAX_NAME),
        external_message=reading.text_or_null("external_message", MAX_LINK),
        external_link=reading.link_or_null("external_link"),
        locked=reading.flag_or_null("locked"),
    )


def _details(reading: "_Reading") -> tuple[Detail, ...] | UnsetType:
    elements = reading.array("details", MAX_DETAILS_READ)
    if elements is UNSET:
        return UNSET
    seen: set[Category] = set()
    details: list[Detail] = []
    for element in elements:
        category = element.choice("category", Category, required=True)
        color = element.choice("color", Color, required=True)
        description = element.text_or_null("description", MAX_DETAIL_DESCRIPTION)
        if category is UNSET:
            continue
        if category in seen:
            element.note("category", Fault.REPEATED)
        seen.add(category)
        if color is not UNSET:
            said = None if description is UNSET else description
            details.append(Detail(category, color, said))
    return tuple(sorted(details, key=lambda detail: _CATEGORY_ORDER[detail.category]))


@cache
def _by_value(options: type[Choice]) -> Mapping[str, Choice]:
    # Calling the class takes ten times as long, and a file has millions of colors.
    return {option.value: option for option in options}


class _Reading:
    """Takes typed values out of what was sent; notes each fault under the attribute's full name.

    A value that is not there or not right reads as UNSET.
    """

    def __init__(self, sent: Sent, path: str = "", problems: list[Problem] | None = None) -> None:
        self.sent = sent
        self.path = path
        self.problems: list[Problem] = [] if problems is None else problems

    def note(
        self, name: str, fault: Fault, options: tuple[str, ...] = (), limit: int = 0
    ) -> UnsetType:
        self.problems.append(Problem(self.path + name, fault, options, limit))
        return UNSET

    def text(
        self, name: str, limit: int, *, required: bool, trimmed: bool = False
    ) -> str | UnsetType:
        if name not in self.sent:
            return self.note(name, Fault.MISSING) if required else UNSET
        value = self.sent[name]
        if value is None:
            return self.note(name, Fault.MISSING)
        if trimmed and isinstance(value, str):
            value = value.strip()
        checked = self._checked_text(name, value, limit)
        if checked is not UNSET and not checked.strip():
            return self.note(name, Fault.MISSING)
        return checked

    def text_or_null(self, name: str, limit: int) -> str | None | UnsetType:
        value = self.sent.get(name, UNSET)
        if value is None or value is UNSET:
            return value
        return self._checked_text(name, value, limit)

    def reference(self, name: str) -> str | UnsetType:
        """The id of something elsewhere: any text; a client may hold a number (1.4, 4.6)."""
        value = self.sent.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_ID:
            return str(value)
        return self.text(name, MAX_NAME, required=True)

    def link_or_null(self, name: str) -> str | None | UnsetType:
        link = self.text_or_null(name, MAX_LINK)
        if link == "":  # a form has no other way to say null
            return None
        if link is None or link is UNSET or _is_web_link(link):
            return link
        return self.note(name, Fault.NOT_A_LINK)

    def flag_or_null(self, name: str) -> bool | None | UnsetType:
        value = self.sent.get(name, UNSET)
        if value is None or value is UNSET:
            return value
        if isinstance(value, bool | str) and value in _FLAGS:
            return _FLAGS[value]
        return self.note(name, Fault.NOT_A_BOOLEAN)

    def flag(self, name: str) -> bool | UnsetType:
        value = self.flag_or_null(name)
        return self.note(name, Fault.NOT_A_BOOLEAN) if value is None else value

    def date_or_null(self, name: str) -> str | None | UnsetType:
        value = self.sent.get(name, UNSET)
        if value == "":  # a form has no other way to say null
            return None
        if value is None or value is UNSET:
            return value
        if isinstance(value, str) and _is_date(value):
            return value
        return self.note(name, Fault.NOT_A_DATE)

    def address(self, name: str) -> str | UnsetType:
        value = self.text(name, MAX_NAME, required=True, trimmed=True)
        if value is UNSET or is_address(value):
            return value
        return self.note(name, Fault.NOT_AN_ADDRESS)

    def choice(self, name: str, options: type[Choice], *, required: bool) -> Choice | UnsetType:
        if name not in self.sent:
            return self.note(name, Fault.MISSING) if required else UNSET
        value = self.sent[name]
        found = _by_value(options).get(value) if isinstance(value, str) else None
        return self.note(name, Fault.NOT_IN, tuple(options)) if found is None else found

    def identity(self, name: str) -> int | UnsetType:
        """Ids may be JSON strings or integers (1.4); whether one is known, `service` finds out."""
        if self.sent.get(name) in (None, ""):
            return self.note(name, Fault.MISSING)
        value = self.sent[name]
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < MAX_NAME:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_ID:
            return value
        return self.note(name, Fault.UNKNOWN_OBJECT)

    def nested(self, name: str) -> "_Reading | None":
        if name not in self.sent:
            return None
        value = self.sent[name]
        if isinstance(value, Mapping):
            return _Reading(value, f"{self.path}{name}.", self.problems)
        self.note(name, Fault.NOT_AN_OBJECT)
        return None

    def array(self, name: str, most: int) -> "list[_Reading] | UnsetType":
        if name not in self.sent:
            return UNSET
        value = self.sent[name]
        if not isinstance(value, list):
            return self.note(name, Fault.NOT_AN_ARRAY)
        if len(value) > most:
            return self.note(name, Fault.TOO_MANY, limit=len(Category))
        readings = []
        for place, element in enumerate(value):
            if isinstance(element, Mapping):
                readings.append(_Reading(element, f"{self.path}{name}[{place}].", self.problems))
            else:
                self.note(f"{name}[{place}]", Fault.NOT_AN_OBJECT)
        return readings

    def _checked_text(self, name: str, value: object, limit: int) -> str | UnsetType:
        if not isinstance(value, str):
            return self.note(name, Fault.NOT_TEXT)
        if len(value) > limit:
            return self.note(name, Fault.TOO_LONG, limit=limit)
        if not _is_storable(value):
            return self.note(name, Fault.UNSTORABLE)
        return value


def _is_storable(text: str) -> bool:
    """Neither database keeps U+0000 in text, and a lone surrogate is not a character (5.7)."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_date(text: str) -> bool:
    """A calendar date as ISO 8601 writes it; the library reads other forms too."""
    if _DATE.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_web_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and text.isprintable()


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
