"""A model of status reports in memory, which does what the wire contract states and no more.

If the contract leaves a choice, the model accepts every choice and adopts the server's answer.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

COLORS = ("green", "yellow", "red")
CATEGORIES = ("Scope", "Budget", "Schedule", "Client")
KINDS = {
    "creator": "users",
    "updater": "users",
    "workspace": "workspaces",
    "external_references": "external_references",
}
INSTANTS = ("created_after", "created_before", "updated_after", "updated_before")
REFERENCE_NAMES = ("service_name", "service_model", "service_model_ref")
REFERENCE_TEXTS = ("external_status", "external_message", "external_link")
REFERENCE_FILTERS = {
    f"external_reference_{name}": name
    for name in (*REFERENCE_NAMES, "external_status", "external_message", "status")
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Span:
    """The time span of one request by our clock: the server's `now` is strictly inside it."""

    begin: datetime
    end: datetime

    def is_after(self, instant: datetime) -> bool:
        if self.begin < instant < self.end:
            raise Undecided
        return instant <= self.begin

    def holds(self, text: str) -> bool:
        shown = datetime.fromisoformat(text)
        return self.begin.replace(microsecond=0) <= shown <= self.end


class Undecided(Exception):
    """The instant is inside the time span of a request, so either answer is right."""


@dataclass
class Report:
    id: int
    workspace_id: str
    creator_id: str
    color: str
    description: str
    created: Span
    updated: Span
    details: list[dict[str, Any]] = field(default_factory=list)
    references: dict[str, dict[str, Any]] = field(default_factory=dict)
    updater_id: str | None = None


@dataclass
class Refused:
    """The answer is 400 for this parameter."""

    parameter: str


@dataclass
class Page:
    reports: list[Report]
    meta: dict[str, int]
    include: set[str]


def ruby_integer(text: str) -> int:
    """Ruby's `String#to_i`."""
    match = re.match(r"\s*([+-]?[0-9]+(?:_[0-9]+)*)", text)
    return int(match[1].replace("_", "")) if match else 0


def last_values(pairs: Pairs) -> dict[str, str]:
    return dict(pairs)


def included(pairs: Pairs) -> set[str]:
    return set(last_values(pairs).get("include", "").split(",")) & set(KINDS)


def instant(text: str) -> datetime | None:
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def boolean(text: str) -> bool | None:
    return {"true": True, "TRUE": True, "false": False, "FALSE": False}.get(text)


class Model:
    """The reports of one account, and who may do what."""

    def __init__(self, readable: dict[str, list[str]], writable: dict[str, list[str]]) -> None:
        self.readable = readable
        self.writable = writable
        self.reports: dict[int, Report] = {}

    # -- who sees what

    def visible(self, role: str) -> list[Report]:
        spaces = self.readable[role]
        return [self.reports[key] for key in sorted(self.reports) if self.sees(spaces, key)]

    def sees(self, spaces: list[str], key: int) -> bool:
        return self.reports[key].workspace_id in spaces

    def find(self, role: str, path_id: str) -> Report | None:
        if not re.fullmatch("[0-9]+", path_id) or int(path_id) not in self.reports:
            return None
        return self.reports[int(path_id)] if self.sees(self.readable[role], int(path_id)) else None

    def may_write(self, role: str, workspace_id: object) -> bool:
        return str(workspace_id) in self.writable[role]

    # -- the list

    def page(self, role: str, pairs: Pairs) -> Page | Refused:
        sent = {name: value for name, value in last_values(pairs).items() if value}
        refused = bad_parameter(sent)
        if refused:
            return Refused(refused)
        rows = [
            one
            for one in self.visible(role)
            if fits(one, sent) and self.fits_current(one, sent.get("current", ""))
        ]
        rows = ordered(rows, sent.get("order", ""))
        if "only" in sent:
            wanted = {int(part) for part in plain_ids(sent["only"])}
            rows = [one for one in rows if one.id in wanted]
        size = ruby_integer(sent.get("per_page", "20"))
        size = 20 if size < 1 else min(size, 200)
        number = ruby_integer(sent.get("page", "1"))
        meta = {
            "count": len(rows),
            "page_count": -(-len(rows) // size),
            "page_number": number if rows else 0,
            "page_size": size,
        }
        if "only" in sent:
            shown = rows
        elif "limit" in sent and "offset" in sent:
            limit = min(max(ruby_integer(sent["limit"]), 1), 200)
            start = max(ruby_integer(sent["offset"]), 0)
            shown = rows[start : start + limit]
        else:
            start = (max(number, 1) - 1) * size
            shown = rows[start : start + size]
        return Page(shown, meta, included(pairs))

    def fits_current(self, report: Report, sent: str) -> bool:
        """Whether the report passes the filter `current`; a newer report has a higher id."""
        newest = max(
            one.id for one in self.reports.values() if one.workspace_id == report.workspace_id
        )
        return boolean(sent) is None or boolean(sent) == (report.id == newest)

    # -- validation

    def faults(self, attributes: dict[str, Any], role: str, *, creating: bool) -> list[str]:
        """The names of the invalid fields, sorted: one name for each fault."""
        found = []
        if creating and not self._is_known_space(role, attributes.get("workspace_id")):
            found.append("workspace_id")
        if (creating or "color" in attributes) and attributes.get("color") not in COLORS:
            found.append("color")
        if (creating or "description" in attributes) and not is_text(
            attributes.get("description"), 1, 50_000
        ):
            found.append("description")
        if "details" in attributes:
            found += detail_faults(attributes["details"])
        if "external_reference" in attributes:
            found += reference_faults(attributes["external_reference"])
        return sorted(found)

    def _is_known_space(self, role: str, value: object) -> bool:
        return type(value) in (str, int) and str(value) in self.readable[role]


def bad_parameter(sent: dict[str, str]) -> str | None:
    for name in INSTANTS:
        if name in sent and instant(sent[name]) is None:
            return name
    if not re.fullmatch("[0-9]+(,[0-9]+)*", sent.get("workspace_id", "1")):
        return "workspace_id"
    if boolean(sent.get("has_external_references", "true")) is None:
        return "has_external_references"
    if len(sent.get("external_reference_service_model_refs", "").split(",")) > 200:
        return "external_reference_service_model_refs"
    return bad_extension(sent)


def bad_extension(sent: dict[str, str]) -> str | None:
    if not set(sent.get("color", "red").split(",")) <= set(COLORS):
        return "color"
    if not re.fullmatch("[0-9]+(,[0-9]+)*", sent.get("creator_id", "1")):
        return "creator_id"
    category, _, color = sent.get("category_color", "Budget:red").partition(":")
    if category not in CATEGORIES or color not in COLORS:
        return "category_color"
    if boolean(sent.get("current", "true")) is None:
        return "current"
    return None


def plain_ids(text: str) -> list[str]:
    return [part for part in text.split(",") if re.fullmatch("[0-9]+", part)]


def fits(report: Report, sent: dict[str, str]) -> bool:
    moments = {"created": report.created, "updated": report.updated}
    for name in INSTANTS:
        if name in sent:
            which, _, side = name.partition("_")
            at = instant(sent[name])
            assert at is not None
            if moments[which].is_after(at) != (side == "after"):
                return False
    if "workspace_id" in sent and report.workspace_id not in sent["workspace_id"].split(","):
        return False
    if "has_external_references" in sent and boolean(sent["has_external_references"]) != bool(
        report.references
    ):
        return False
    if sent.get("without_external_reference_service_name") in report.references:
        return False
    return fits_extension(report, sent) and fits_reference(report.references.values(), sent)


def fits_extension(report: Report, sent: dict[str, str]) -> bool:
    details = {f"{one['category']}:{one['color']}" for one in report.details}
    return (
        ("color" not in sent or report.color in sent["color"].split(","))
        and ("creator_id" not in sent or report.creator_id in sent["creator_id"].split(","))
        and ("category_color" not in sent or sent["category_color"] in details)
        and ("text" not in sent or has_words(report, sent["text"]))
    )


def has_words(report: Report, asked: str) -> bool:
    """Whether each searched word (a-z, 0-9) is a prefix of a word in the report's texts."""
    texts = [report.description, *(one["description"] or "" for one in report.details)]
    plain = re.sub(r"[^\w\s]|_", " ", " ".join(texts).casefold())
    wanted = re.findall("[a-z0-9]+", asked.lower())
    return bool(wanted) and all(
        any(word.startswith(one) for word in plain.split()) for one in wanted
    )


def fits_reference(references: Iterable[dict[str, Any]], sent: dict[str, str]) -> bool:
    wanted = {key: sent[name] for name, key in REFERENCE_FILTERS.items() if name in sent}
    refs = sent.get("external_reference_service_model_refs")
    if not wanted and refs is None:
        return True
    return any(
        all(one[key] == value for key, value in wanted.items())
        and (refs is None or one["service_model_ref"] in refs.split(","))
        for one in references
    )


def ordered(rows: list[Report], order: str) -> list[Report]:
    name, _, direction = order.partition(":")
    keys = {
        "id": lambda one: one.id,
        "created_at": lambda one: one.created.begin,
        "updated_at": lambda one: one.updated.begin,
    }
    if name not in keys:
        return rows
    return sorted(rows, key=keys[name], reverse=direction == "desc")


def is_text(value: object, low: int, high: int) -> bool:
    return (
        isinstance(value, str)
        and low <= len(value.strip()) <= high
        and not re.search("[\0\ud800-\udfff]", value)
    )


def detail_faults(details: object) -> list[str]:
    if not isinstance(details, list):
        return ["details"]
    found, seen = [], []
    for index, detail in enumerate(details):
        at = f"details[{index}]"
        if not isinstance(detail, dict):
            found.append(at)
            continue
        category = detail.get("category")
        if category not in CATEGORIES or category in seen:
            found.append(f"{at}.category")
        seen.append(category)
        if detail.get("color") not in COLORS:
            found.append(f"{at}.color")
        text = detail.get("description")
        if text is not None and not is_text(text, 0, 10_000):
            found.append(f"{at}.description")
    return found


def reference_faults(reference: object) -> list[str]:
    if not isinstance(reference, dict):
        return ["external_reference"]
    found = [name for name in REFERENCE_NAMES if not is_text(reference.get(name), 1, 255)]
    for name in REFERENCE_TEXTS:
        value = reference.get(name)
        if value is None:
            continue
        is_wrong_link = name == "external_link" and not str(value).startswith(
            ("http://", "https://")
        )
        if is_wrong_link or not is_text(value, 0, 2_000):
            found.append(name)
    if reference.get("locked") not in (None, True, False, "true", "false"):
        found.append("locked")
    return [f"external_reference.{name}" for name in found]
