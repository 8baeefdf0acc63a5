"""Validation of the body of a status report.

Each function takes the attributes as sent. It returns a draft with the attributes that could be
read, and all problems (5.6). Attributes that the contract does not name are ignored (1.4).
Contract: 3.3, 5.2 to 5.7.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from healthreports.core.errors import Fault, Problem
from healthreports.core.model import Detail, Instant
from healthreports.core.rules.reading import BodyReader, Sent
from healthreports.core.rules.references import ReferenceDraft, reference_of
from healthreports.core.vocabulary import (
    MAX_DESCRIPTION,
    MAX_DETAIL_DESCRIPTION,
    Category,
    Color,
)

# There are four categories, so more than four details cannot be valid. Up to this number of
# details, the problems of each are reported.
MAX_DETAILS_READ: Final = 100
_CATEGORY_ORDER: Final = {category: place for place, category in enumerate(Category)}


class ReportDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A status report as sent; what was not sent is UNSET (5.2, 5.3)."""

    workspace_id: int | UnsetType = UNSET
    color: Color | UnsetType = UNSET
    description: str | UnsetType = UNSET
    details: tuple[Detail, ...] | UnsetType = UNSET
    reference: ReferenceDraft | UnsetType = UNSET


class ReportLine(msgspec.Struct, frozen=True, kw_only=True):
    """A status report from a line of a file, to be stored as it was in another system.

    `number` is the number of the line, from 1. `end` is the end of the line, in bytes from the
    start of the file. A time or a person that the line does not name is None.
    `workspace_created_at` is when the workspace of the report was created. `problems` are those of
    the attributes that only a line can have.
    """

    number: int
    end: int
    sent: Mapping[str, object]
    created_at: Instant | None = None
    updated_at: Instant | None = None
    creator_id: int | None = None
    updater_id: int | None = None
    workspace_created_at: Instant | None = None
    problems: tuple[Problem, ...] = ()


def check_new_report(sent: Sent) -> tuple[ReportDraft, list[Problem]]:
    """Read the body of a create. Required: workspace_id, color, description. Contract: 5.2."""
    body = BodyReader(sent)
    workspace_id = body.identity("workspace_id")
    draft = _report(body, required=True)
    return msgspec.structs.replace(draft, workspace_id=workspace_id), body.problems


def check_report_change(sent: Sent) -> tuple[ReportDraft, list[Problem]]:
    """Read the body of an update: nothing is required, `workspace_id` is ignored. Contract: 5.3."""
    body = BodyReader(sent)
    return _report(body, required=False), body.problems


def _report(body: BodyReader, *, required: bool) -> ReportDraft:
    description = body.text("description", MAX_DESCRIPTION, required=required, trimmed=True)
    return ReportDraft(
        color=body.choice("color", Color, required=required),
        description=description,
        details=_details(body),
        reference=reference_of(body),
    )


def _details(body: BodyReader) -> tuple[Detail, ...] | UnsetType:
    elements = body.array("details", MAX_DETAILS_READ, len(Category))
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
