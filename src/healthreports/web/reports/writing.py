"""The form for a report: its preview, its draft, and conflicts with a colleague's changes.

The form works without scripts. With scripts, the preview is updated while the user types. What was
previewed is stored as a draft until the report is published or the draft is discarded.
"""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from healthreports.contract.failure import sentence_of
from healthreports.core import compare
from healthreports.core.errors import HealthReportsError, Invalid, Overtaken, Problem
from healthreports.core.model import Actor, Clock, Instant, StatusReport, Workspace
from healthreports.core.rules.reports import check_report_change
from healthreports.core.vocabulary import Category, Color, Kind
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.reports import drafting, editing
from healthreports.web.kit import prose, session
from healthreports.web.kit.addresses import REPORTS
from healthreports.web.kit.forms import (
    Fields,
    SentForm,
    id_in_path,
    sent_form,
    typed,
    write_once,
)
from healthreports.web.kit.show import lead_to, page, who

_SEEN: Final = "seen"
# Characters; longer than any entity tag of this server.
_MOST_TAG: Final = 100
_PREVIEW: Final = "preview"
_DISCARD: Final = "discard"
# The button that publishes the content of the last report again.
_SAME: Final = "same"
# The fields that the user fills in.
_NAMES: Final = (
    "color",
    "description",
    *(f"{one.lower()}_{part}" for one in Category for part in ("color", "description")),
)


class _Begun(msgspec.Struct, frozen=True):
    """What a form is about: the report to change (None: a new report), and the one before it."""

    workspace: Workspace
    report: StatusReport | None
    before: StatusReport | None
    asker: dict[str, object]
    kept: drafting.Draft | None = None
    is_kept: bool = True

    @property
    def key(self) -> tuple[int, int | None]:
        """The key of its draft: the id of the workspace, and of the report to change."""
        return self.workspace.id, None if self.report is None else self.report.id

    @property
    def shown(self) -> StatusReport | None:
        """The report that the form first shows: the one to change, or else the current one."""
        return self.report or self.before


class WritingPages:
    """The forms for a new report and for a change."""

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock

    async def begin(self, request: Request) -> Response:
        """Show the form with the user's draft, or else with the report that it starts from."""
        now = self._clock()

        def work(tx: Transaction, actor: Actor) -> _Begun:
            begun = _begun(tx, actor, request)
            kept = drafting.find(tx, actor, *begun.key, now)
            return msgspec.structs.replace(begun, kept=kept)

        begun = await self._gateway.read(session.secret_of(request), work)
        fields = _fields_of(begun.shown) if begun.kept is None else begun.kept.fields
        return await self._form(request, begun, fields)

    async def save(self, request: Request) -> Response:
        """Save a new report or a change, show its preview, or discard its draft."""
        form = await sent_form(self._gateway, request)
        fields = form.fields
        if _PREVIEW in fields:
            begun = await self._keep(request, form)
            part = "_preview.html" if "hx-request" in request.headers else None
            return await self._form(request, begun, fields, part=part)
        if _DISCARD in fields:
            await self._gateway.write(
                form.writer,
                lambda tx, actor, _: drafting.discard(tx, actor, *_begun(tx, actor, request).key),
            )
            return lead_to(request.url.path)
        try:
            leads_to = await write_once(
                self._gateway,
                form,
                lambda tx, actor, now: self._written(tx, actor, request, fields, now),
                str,
            )
        except (Invalid, Overtaken) as error:
            return await self._form(request, await self._keep(request, form), fields, error)
        return lead_to(leads_to)

    async def _keep(self, request: Request, form: SentForm) -> _Begun:
        """Store what was typed as a draft; if nothing was changed, delete the draft.

        Returns what the form is about.
        """
        typed_fields = {name: form.fields.get(name, "").replace("\r\n", "\n") for name in _NAMES}

        def work(tx: Transaction, actor: Actor, now: Instant) -> _Begun:
            begun = _begun(tx, actor, request)
            seen = _fields_of(begun.shown)
            if all(text == seen.get(name, "") for name, text in typed_fields.items()):
                drafting.discard(tx, actor, *begun.key)
                return begun
            fields = typed_fields | {_SEEN: form.fields.get(_SEEN, "")[:_MOST_TAG]}
            is_kept = drafting.keep(tx, actor, *begun.key, fields, now)
            return msgspec.structs.replace(begun, is_kept=is_kept)

        return await self._gateway.write(form.writer, work)

    def _written(
        self, tx: Transaction, actor: Actor, request: Request, fields: Fields, now: Instant
    ) -> str:
        """Store the report, and return the address of its page."""
        if _SAME in fields and _is_new(request):
            _workspace, newest = editing.begin(tx, actor, id_in_path(request, Kind.WORKSPACES))
            fields = {_SEEN: fields.get(_SEEN, ""), **_fields_of(newest)}
        tags, seen, sent = self._gateway.tags, fields.get(_SEEN, ""), _sent(fields)
        if _is_new(request):
            sent["workspace_id"] = id_in_path(request, Kind.WORKSPACES)
            report = editing.add(tx, actor, sent, now, tags, seen=seen)
        else:
            report_id = id_in_path(request, Kind.STATUS_REPORTS)
            report = editing.edit(tx, actor, report_id, sent, now, tags, seen=seen)
        drafting.discard(tx, actor, report.workspace_id, None if _is_new(request) else report.id)
        return f"{REPORTS}/{report.id}?saved=yes"

    async def _form(
        self,
        request: Request,
        begun: _Begun,
        fields: Fields,
        error: HealthReportsError | None = None,
        part: str | None = None,
    ) -> Response:
        draft = _draft(begun, fields)
        seen = _fields_of(begun.shown)
        is_begun = any(typed(fields.get(name, "")) != seen.get(name, "").strip() for name in _NAMES)
        await prose.prepare([draft])
        values = begun.asker | {
            "workspace": begun.workspace,
            "report": begun.report,
            "before": begun.before,
            "fields": fields,
            # The tag that the user sent, so that a change made meanwhile is still a conflict.
            "seen": fields.get(_SEEN, self._tag(begun.shown)),
            "draft": draft,
            "hints": compare.hints(begun.before, draft) if draft and is_begun else (),
            "kept": begun.kept,
            "is_kept": begun.is_kept,
            "is_begun": is_begun,
            "faults": {},
            "theirs": None,
        }
        if isinstance(error, Invalid):
            problems = _of_form(fields, error.problems)
            values["faults"] = {name: sentence_of(one) for name, one in problems.items()}
            error = Invalid(tuple(problems.values()))
        if isinstance(error, Overtaken):
            values |= {"theirs": error.report, "seen": self._tag(error.report)}
        return page(request, part or "report_form.html", values, error)

    def _tag(self, report: StatusReport | None) -> str:
        return "" if report is None else self._gateway.tags.of_state(report)


def _begun(tx: Transaction, actor: Actor, request: Request) -> _Begun:
    """What a form is about. Raises NotFound, Forbidden."""
    if _is_new(request):
        workspace_id = id_in_path(request, Kind.WORKSPACES)
        workspace, newest = editing.begin(tx, actor, workspace_id)
        return _Begun(workspace, None, newest, who(tx, actor))
    report_id = id_in_path(request, Kind.STATUS_REPORTS)
    workspace, report, before = editing.begin_change(tx, actor, report_id)
    return _Begun(workspace, report, before, who(tx, actor))


def _is_new(request: Request) -> bool:
    return request.url.path.startswith("/workspaces")


def _fields_of(report: StatusReport | None) -> dict[str, str]:
    """The form fields with the content of `report`."""
    if report is None:
        return {}
    fields = {"color": str(report.color), "description": report.description}
    for detail in report.details:
        fields[f"{detail.category.lower()}_color"] = detail.color
        fields[f"{detail.category.lower()}_description"] = detail.description or ""
    return fields


def _sent(fields: Fields) -> dict[str, object]:
    """The fields in the form of a request body. Contract: 5.2."""
    details = []
    for category in _reported(fields):
        name = category.lower()
        detail = {"category": category.value}
        if color := fields.get(f"{name}_color", ""):
            detail["color"] = color
        if text := typed(fields.get(f"{name}_description", "")):
            detail["description"] = text
        details.append(detail)
    sent: dict[str, object] = {
        "description": typed(fields.get("description", "")),
        "details": details,
    }
    if fields.get("color"):
        sent["color"] = fields["color"]
    return sent


def _reported(fields: Fields) -> list[Category]:
    return [
        category
        for category in Category
        if fields.get(f"{category.lower()}_color")
        or fields.get(f"{category.lower()}_description", "").strip()
    ]


def _of_form(fields: Fields, problems: tuple[Problem, ...]) -> dict[str, Problem]:
    """The problems by form field; each one names the field as the form labels it."""
    reported = _reported(fields)
    found = {}
    for problem in problems:
        name, label = problem.field, problem.field
        if name.startswith("details["):
            place, _, attribute = name.removeprefix("details[").partition("].")
            category = reported[int(place)].lower()
            name = f"{category}_{attribute}"
            label = f"{category} notes" if attribute == "description" else f"{category} status"
        elif name == "description":
            label = "summary"
        elif name == "color":
            label = "overall status"
        found[name] = msgspec.structs.replace(problem, field=label)
    return found


def _draft(begun: _Begun, fields: Fields) -> StatusReport | None:
    """The report as it would be stored, for the preview; None if it is not valid yet."""
    draft, problems = check_report_change(_sent(fields))
    if problems or not isinstance(draft.color, Color) or not draft.description:
        return None
    return StatusReport(
        id=0,
        account_id=begun.workspace.account_id,
        workspace_id=begun.workspace.id,
        creator_id=0,
        updater_id=None,
        color=draft.color,
        description=str(draft.description),
        details=draft.details if isinstance(draft.details, tuple) else (),
        created_at=Instant(0),
        updated_at=Instant(0),
    )
