"""The pages of a workspace and of a report, and the files of a report."""

import asyncio
from datetime import date
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from healthreports.contract.params import read_id
from healthreports.core.cadence import day_of
from healthreports.core.model import Actor, Clock, Instant, Workspace
from healthreports.core.vocabulary import DEFAULT_SHARE_DAYS, MAX_SHARE_DAYS, Kind
from healthreports.exports import badge, markdown
from healthreports.exports.pdf import missing_in, texts_of
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.reports import drafting, portfolio, reports, sharing
from healthreports.web.kit import charts, prose, session
from healthreports.web.kit.addresses import WORKSPACES
from healthreports.web.kit.documents import Documents
from healthreports.web.kit.forms import id_in_path, page_number, sent_form, write_once
from healthreports.web.kit.show import file_of, lead_to, page, who

_A_PAIR: Final = 2


class RecordPages:
    """The read-only pages below `/workspaces` and `/reports`, and the deletion of a report."""

    def __init__(
        self, gateway: Gateway, documents: Documents, clock: Clock, trash_days: int
    ) -> None:
        self._trash_days = trash_days
        self._gateway = gateway
        self._documents = documents
        self._clock = clock

    async def show_workspace(self, request: Request) -> Response:
        """Show a workspace: its current report, what changed, its history."""
        workspace_id = id_in_path(request, Kind.WORKSPACES)
        number, now = page_number(request), self._clock()
        params = request.query_params
        ids = [one for name in ("first", "second") if (one := read_id(params.get(name, "")))]

        def work(
            tx: Transaction, actor: Actor
        ) -> tuple[portfolio.WorkspaceStory, dict[str, object]]:
            story = portfolio.workspace_story(tx, actor, workspace_id, number)
            kept = drafting.find(tx, actor, workspace_id, None, now)
            current = story.current
            return story, who(tx, actor) | {
                "kept": kept if story.may_report else None,
                "picked": portfolio.picked(tx, actor, workspace_id, ids),
                "links": sharing.links(tx, actor, current.report, now)
                if current is not None and current.may_share
                else [],
            }

        story, asker = await self._gateway.read(session.secret_of(request), work)
        await prose.prepare([None if story.current is None else story.current.report])
        picked = asker["picked"]
        assert isinstance(picked, tuple)
        values = {
            "story": story,
            "pair": portfolio.Pair(*picked) if len(picked) == _A_PAIR else None,
            "now": now,
            "number": number,
            "deleted": read_id(params.get("deleted", "")),
            "pages": -(-story.count // portfolio.HISTORY),
            "picture": charts.lanes(story.history, now) if story.history else None,
            "picture_width": charts.LANES_WIDTH,
            "progress": _progress(story.workspace, now),
        }
        return page(request, "workspace.html", asker | values)

    async def show_report(self, request: Request, made: tuple[str, str] | None = None) -> Response:
        """Show one report, on the screen and in print.

        `made` holds the addresses of a new share link and of its badge.
        """
        report_id, now = id_in_path(request, Kind.STATUS_REPORTS), self._clock()
        is_saved = "saved" in request.query_params

        def work(tx: Transaction, actor: Actor) -> tuple[portfolio.Story, dict[str, object]]:
            story = portfolio.story(tx, actor, report_id)
            links = sharing.links(tx, actor, story.report, now)
            then = portfolio.next_overdue(tx, actor, now) if is_saved else None
            return story, who(tx, actor) | {"story": story, "links": links, "then": then}

        story, values = await self._gateway.read(session.secret_of(request), work)
        await prose.prepare([story.report])
        values |= {
            "lacks": await asyncio.to_thread(missing_in, *texts_of(story.workspace, story.report)),
            "made": made,
            "days": DEFAULT_SHARE_DAYS,
            "most_days": MAX_SHARE_DAYS,
            "trash_days": self._trash_days,
            "now": now,
            "saved": request.query_params.get("saved", ""),
        }
        return page(request, "report.html", values)

    async def download_markdown(self, request: Request) -> Response:
        """Send one report as Markdown."""
        story = await self._story(request)
        return file_of(
            markdown.of_report(story.workspace, story.report, story.author),
            "text/markdown; charset=utf-8",
        )

    async def download_pdf(self, request: Request) -> Response:
        """Download one report as PDF."""
        story = await self._story(request)
        content = await self._documents.of_report(
            session.secret_of(request), story.workspace, story.report, story.author
        )
        return file_of(content, "application/pdf", f"status-report-{story.report.id}.pdf")

    async def show_badge(self, request: Request) -> Response:
        """Show the status of one report as a small picture."""
        story = await self._story(request)
        return file_of(badge.of_report(story.workspace, story.report), "image/svg+xml")

    async def delete_report(self, request: Request) -> Response:
        """Delete one report."""
        form = await sent_form(self._gateway, request)
        report_id = id_in_path(request, Kind.STATUS_REPORTS)

        def work(tx: Transaction, actor: Actor, now: Instant) -> str:
            workspace_id = portfolio.story(tx, actor, report_id).workspace.id
            reports.delete(tx, actor, report_id, now)
            return f"{WORKSPACES}/{workspace_id}?deleted={report_id}"

        return lead_to(await write_once(self._gateway, form, work, str))

    async def _story(self, request: Request) -> portfolio.Story:
        report_id = id_in_path(request, Kind.STATUS_REPORTS)
        return await self._gateway.read(
            session.secret_of(request), lambda tx, actor: portfolio.story(tx, actor, report_id)
        )


def _progress(workspace: Workspace, now: Instant) -> float | None:
    """The fraction of the time between a workspace's dates that has passed, from 0 to 1."""
    if workspace.start_date is None or workspace.due_date is None:
        return None
    start, due = (date.fromisoformat(one) for one in (workspace.start_date, workspace.due_date))
    days = (due - start).days
    return min(max((day_of(now) - start).days / days, 0.0), 1.0) if days > 0 else None
