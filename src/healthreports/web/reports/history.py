"""Pages for the versions of a report, for deleted reports, and for archived workspaces."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from healthreports.contract.params import read_id
from healthreports.core.errors import NotFound
from healthreports.core.model import Actor, Clock, Instant
from healthreports.core.vocabulary import DAY_US, Kind
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.people import workspaces
from healthreports.service.reports import history
from healthreports.web.kit import session
from healthreports.web.kit.addresses import REPORTS, WORKSPACES
from healthreports.web.kit.forms import id_in_path, page_number, sent_form, write_once
from healthreports.web.kit.show import lead_to, page, who

_MOST_TEXT: Final = 255


class HistoryPages:
    """The pages of versions, trash and archive. Deleted reports are stored for `trash_days`."""

    def __init__(self, gateway: Gateway, clock: Clock, trash_days: int) -> None:
        self._gateway = gateway
        self._clock = clock
        self._trash_days = trash_days

    async def show_versions(self, request: Request) -> Response:
        """Show the versions of a report, and compare two of them if two are chosen."""
        report_id, number = id_in_path(request, Kind.STATUS_REPORTS), page_number(request)
        chosen = [read_id(request.query_params.get(name, "")) for name in ("older", "newer")]

        def work(tx: Transaction, actor: Actor) -> dict[str, object]:
            values = who(tx, actor)
            values["history"] = history.told(tx, actor, report_id, number)
            values["compared"] = None
            if None not in chosen:
                older, newer = sorted(one or 0 for one in chosen)
                values["compared"] = history.compared(tx, actor, report_id, older, newer)
                values["older"] = older
            return values

        values = await self._gateway.read(session.secret_of(request), work)
        found = values["history"]
        assert isinstance(found, history.History)
        values |= {"number": number, "pages": -(-found.count // history.SHOWN)}
        # Rendering this page compares up to 100 pairs of texts, so it runs in a thread.
        return await asyncio.to_thread(page, request, "versions.html", values)

    async def take_version_back(self, request: Request) -> Response:
        """Restore an earlier version of a report."""
        form = await sent_form(self._gateway, request)
        report_id = id_in_path(request, Kind.STATUS_REPORTS)
        number = read_id(form.fields.get("number", ""))
        if number is None:
            raise NotFound(Kind.STATUS_REPORT_VERSIONS)

        def work(tx: Transaction, actor: Actor, now: Instant) -> str:
            report = history.take_version_back(tx, actor, report_id, number, now)
            return f"{REPORTS}/{report.id}?saved=yes"

        return lead_to(await write_once(self._gateway, form, work, str))

    async def show_trash(self, request: Request) -> Response:
        """Show the deleted reports of a workspace."""
        workspace_id, number = id_in_path(request, Kind.WORKSPACES), page_number(request)

        def work(tx: Transaction, actor: Actor) -> dict[str, object]:
            workspace, found, count = history.trash_of(tx, actor, workspace_id, number)
            return who(tx, actor) | {
                "workspace": workspace,
                "deleted": found,
                "count": count,
                "pages": -(-count // history.SHOWN),
            }

        values = await self._gateway.read(session.secret_of(request), work)
        values |= {
            "number": number,
            "now": self._clock(),
            "kept_us": self._trash_days * DAY_US,
            "trash_days": self._trash_days,
        }
        return page(request, "trash.html", values)

    async def restore(self, request: Request) -> Response:
        """Restore a deleted report."""
        form = await sent_form(self._gateway, request)
        report_id = id_in_path(request, Kind.DELETED_STATUS_REPORTS)

        def work(tx: Transaction, actor: Actor, now: Instant) -> str:
            report = history.restore(tx, actor, report_id, now)
            return f"{REPORTS}/{report.id}"

        return lead_to(await write_once(self._gateway, form, work, str))

    async def purge(self, request: Request) -> Response:
        """Permanently delete a report that is in the trash."""
        form = await sent_form(self._gateway, request)
        report_id = id_in_path(request, Kind.DELETED_STATUS_REPORTS)

        def work(tx: Transaction, actor: Actor, now: Instant) -> str:
            workspace_id = history.deleted_report(tx, actor, report_id).workspace_id
            history.purge(tx, actor, report_id, now)
            return f"{WORKSPACES}/{workspace_id}/deleted"

        return lead_to(await write_once(self._gateway, form, work, str))

    async def show_archive(self, request: Request) -> Response:
        """Show the archived workspaces: all, or those that match a text."""
        text = request.query_params.get("text", "").strip()[:_MOST_TEXT]
        number = page_number(request)

        def work(tx: Transaction, actor: Actor) -> dict[str, object]:
            found = workspaces.archived(tx, actor, text, number)
            return who(tx, actor) | {"found": found, "pages": -(-found.count // workspaces.SHOWN)}

        values = await self._gateway.read(session.secret_of(request), work)
        return page(request, "archive.html", values | {"text": text, "number": number})

    async def bring_back(self, request: Request) -> Response:
        """Take a workspace out of the archive."""
        form = await sent_form(self._gateway, request)
        workspace_id = id_in_path(request, Kind.WORKSPACES)

        def work(tx: Transaction, actor: Actor, now: Instant) -> str:
            workspaces.change_workspace(tx, actor, workspace_id, {"archived": False}, now)
            return f"{WORKSPACES}/{workspace_id}"

        return lead_to(await write_once(self._gateway, form, work, str))
