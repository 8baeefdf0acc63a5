"""Reads the attributes of a body: typed values, and a problem for each one that is invalid.

The contract requires all problems of a request at once (5.6), so reading raises nothing. A value
that is missing or invalid reads as UNSET, and its problem is noted. Contract: 1.4, 5.6, 5.7.
"""

import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from healthreports.core.errors import Fault, Problem
from healthreports.core.vocabulary import (
    MAX_ID,
    MAX_LINK,
    MAX_NAME,
)

# The attributes of a body, with values as JSON can express them.
Sent = Mapping[str, Any]
Choice = TypeVar("Choice", bound=StrEnum)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+")
_FLAGS: Final = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}


def values_sent(draft: msgspec.Struct) -> dict[str, Any]:
    """The attributes of a draft that were sent, by name."""
    return {n: v for n, v in msgspec.structs.asdict(draft).items() if v is not UNSET}


@cache
def _by_value(options: type[Choice]) -> Mapping[str, Choice]:
    # To call the enum class takes ten times as long, and a file may have millions of colors.
    return {option.value: option for option in options}


class BodyReader:
    """Reads typed values from the attributes `sent`, and notes a problem for each invalid one.

    Problems carry the full name of the attribute, such as `details[0].color`.
    """

    def __init__(self, sent: Sent, path: str = "", problems: list[Problem] | None = None) -> None:
        self.sent = sent
        self.path = path
        self.problems: list[Problem] = [] if problems is None else problems

    def note(
        self, name: str, fault: Fault, options: tuple[str, ...] = (), limit: int = 0
    ) -> UnsetType:
        """Note that an attribute is invalid; the value then reads as UNSET."""
        self.problems.append(Problem(self.path + name, fault, options, limit))
        return UNSET

    def text(
        self, name: str, limit: int, *, required: bool, trimmed: bool = False
    ) -> str | UnsetType:
        """A text of up to `limit` characters that is not blank."""
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
        """A text of up to `limit` characters, or null."""
        value = self.sent.get(name, UNSET)
        if value is None or value is UNSET:
            return value
        return self._checked_text(name, value, limit)

    def reference(self, name: str) -> str | UnsetType:
        """The id of an object in another system: any text, or an integer (1.4, 4.6)."""
        value = self.sent.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_ID:
            return str(value)
        return self.text(name, MAX_NAME, required=True)

    def link_or_null(self, name: str) -> str | None | UnsetType:
        """An http or https address, or null."""
        link = self.text_or_null(name, MAX_LINK)
        if link == "":  # a form has no other way to send null
            return None
        if link is None or link is UNSET or _is_web_link(link):
            return link
        return self.note(name, Fault.NOT_A_LINK)

    def flag_or_null(self, name: str) -> bool | None | UnsetType:
        """True or false, as in JSON or in a form, or null."""
        value = self.sent.get(name, UNSET)
        if value is None or value is UNSET:
            return value
        if isinstance(value, bool | str) and value in _FLAGS:
            return _FLAGS[value]
        return self.note(name, Fault.NOT_A_BOOLEAN)

    def flag(self, name: str) -> bool | UnsetType:
        """True or false."""
        value = self.flag_or_null(name)
        return self.note(name, Fault.NOT_A_BOOLEAN) if value is None else value

    def date_or_null(self, name: str) -> str | None | UnsetType:
        """A calendar date, or null."""
        value = self.sent.get(name, UNSET)
        if value == "":  # a form has no other way to send null
            return None
        if value is None or value is UNSET:
            return value
        if isinstance(value, str) and _is_date(value):
            return value
        return self.note(name, Fault.NOT_A_DATE)

    def address(self, name: str) -> str | UnsetType:
        """A required e-mail address."""
        value = self.text(name, MAX_NAME, required=True, trimmed=True)
        if value is UNSET or is_address(value):
            return value
        return self.note(name, Fault.NOT_AN_ADDRESS)

    def choice(
        self,
        name: str,
        options: type[Choice],
        *,
        required: bool,
        also: Mapping[str, str] = MappingProxyType({}),
    ) -> Choice | UnsetType:
        """One of `options`; `also` maps other words to some of them."""
        if name not in self.sent:
            return self.note(name, Fault.MISSING) if required else UNSET
        value = self.sent[name]
        if isinstance(value, str):
            value = also.get(value, value)
        found = _by_value(options).get(value) if isinstance(value, str) else None
        return self.note(name, Fault.NOT_IN, tuple(options)) if found is None else found

    def identity(self, name: str) -> int | UnsetType:
        """A required id: a JSON string or integer (1.4). `service` checks whether it is known."""
        if self.sent.get(name) in (None, ""):
            return self.note(name, Fault.MISSING)
        value = self.sent[name]
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < MAX_NAME:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_ID:
            return value
        return self.note(name, Fault.UNKNOWN_OBJECT)

    def identities(self, name: str, most: int) -> tuple[int, ...] | UnsetType:
        """An array of ids; each is in the result once, in the order sent."""
        if name not in self.sent:
            return UNSET
        values = self.sent[name]
        if not isinstance(values, list):
            return self.note(name, Fault.NOT_AN_ARRAY)
        if len(values) > most:
            return self.note(name, Fault.TOO_MANY, limit=most)
        found: dict[int, None] = {}
        for value in values:
            one = BodyReader({name: value}, self.path, self.problems).identity(name)
            if one is UNSET:
                return UNSET
            found[one] = None
        return tuple(found)

    def identity_or_unset(self, name: str) -> int | UnsetType:
        """An optional id. Null means that there is none, as in an answer, and reads as UNSET."""
        return UNSET if self.sent.get(name) is None else self.identity(name)

    def refuse(self, *names: str) -> None:
        """Note a problem for each of these attributes, which would set rights and is not supported.

        To ignore such an attribute would give more rights, or fewer, than the sender expects (1.4).
        """
        for name in names:
            if name in self.sent:
                self.note(name, Fault.NOT_SERVED)

    def nested(self, name: str) -> "BodyReader | None":
        """The reader of an object inside this one; None if there is none."""
        if name not in self.sent:
            return None
        value = self.sent[name]
        if isinstance(value, Mapping):
            return BodyReader(value, f"{self.path}{name}.", self.problems)
        self.note(name, Fault.NOT_AN_OBJECT)
        return None

    def array(self, name: str, most: int, limit: int) -> "list[BodyReader] | UnsetType":
        """A reader for each object of an array. An array with more than `most` is not read.

        `limit` is the number of elements that can be valid.
        """
        if name not in self.sent:
            return UNSET
        value = self.sent[name]
        if not isinstance(value, list):
            return self.note(name, Fault.NOT_AN_ARRAY)
        if len(value) > most:
            return self.note(name, Fault.TOO_MANY, limit=limit)
        readings = []
        for place, element in enumerate(value):
            if isinstance(element, Mapping):
                readings.append(BodyReader(element, f"{self.path}{name}[{place}].", self.problems))
            else:
                self.note(f"{name}[{place}]", Fault.NOT_AN_OBJECT)
        return readings

    def _checked_text(self, name: str, value: object, limit: int) -> str | UnsetType:
        if not isinstance(value, str):
            return self.note(name, Fault.NOT_TEXT)
        if len(value) > limit:
            return self.note(name, Fault.TOO_LONG, limit=limit)
        if not is_storable(value):
            return self.note(name, Fault.UNSTORABLE)
        return value


def is_storable(text: str) -> bool:
    """Whether `text` can be stored: it has no U+0000 and no lone surrogate (5.7).

    Neither database stores U+0000 in text, and a lone surrogate is not a character.
    """
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def kept_address(text: str) -> str:
    """An e-mail address as it is stored: in lowercase, without spaces around it."""
    return text.strip().lower()


def is_address(text: str) -> bool:
    """Whether `text` has the form of an e-mail address; only mail can show whether it exists."""
    return _ADDRESS.fullmatch(text) is not None


def _is_date(text: str) -> bool:
    """Whether `text` is a date like 2026-11-24 (ISO 8601); the library reads other forms too."""
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
