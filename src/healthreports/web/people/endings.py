"""Pages that permanently delete a workspace or the account, with confirmation and export."""

import time
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from healthreports.contract.lines import JSON_LINES
from healthreports.core.errors import Invalid
from healthreports.core.model import Actor, Instant, Workspace
from healthreports.core.query import Filter, Query
from healthreports.core.vocabulary import AuditAction, Kind
from healthreports.edge.stream import Piece, streamed
from healthreports.service import ending
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.lookup import after as found_after
from healthreports.service.lookup import demand_administrator, visible
from healthreports.web.kit import session
from healthreports.web.kit.addresses import HOME, SETTINGS, WORKSPACES
from healthreports.web.kit.forms import faults_of, id_in_path, sent_form
from healthreports.web.kit.show import address_of, lead_to, page, who

_AT_ONCE: Final = 500
# How long one request continues to delete. The user sends the form again to delete the rest.
_GOES_ON_S: Final = 15.0


class EndingPages:
    """The pages that delete permanently."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def ask_workspace(self, request: Request) -> Response:
        """Ask for the title of the workspace, to confirm its deletion."""
        return await self._workspace_page(request)

    async def delete_workspace(self, request: Request) -> Response:
        """Delete a workspace, piece by piece."""
        form = await sent_form(self._gateway, request)
        workspace_id = id_in_path(request, Kind.WORKSPACES)
        typed = form.fields.get("title", "")

        def begin(tx: Transaction, actor: Actor, now: Instant) -> None:
            ending.begin_workspace(tx, actor, workspace_id, {"title": typed}, now)

        def piece(tx: Transaction, actor: Actor, now: Instant) -> bool:
            return ending.go_on(tx, actor, workspace_id, now)

        try:
            await self._gateway.write(form.writer, begin)
        except Invalid as error:
            return await self._workspace_page(request, error=error)
        end = time.monotonic() + _GOES_ON_S
        while await self._gateway.write(form.writer, piece):
            if time.monotonic() > end:
                return await self._workspace_page(request, is_under_way=True)
        return lead_to(f"{HOME}?deleted=yes")

    async def export_workspace(self, request: Request) -> Response:
        """Export the reports of a workspace as JSON lines that can be imported."""
        workspace_id = id_in_path(request, Kind.WORKSPACES)
        of_it = (Filter("workspace_id", (workspace_id,)),)
        return await self._export(request, f"workspace-{workspace_id}", of_it)

    async def export_account(self, request: Request) -> Response:
        """Export the reports of the account as JSON lines that can be imported."""
        return await self._export(request, "account", ())

    async def close_account(self, request: Request) -> Response:
        """Close the account: nobody can sign in, and its contents are deleted within minutes."""
        form = await sent_form(self._gateway, request)
        sent = {"account_name": form.fields.get("account_name", "")}
        try:
            await self._gateway.write(
                form.writer, lambda tx, actor, now: ending.delete_account(tx, actor, sent, now)
            )
        except Invalid as error:
            return await self._account_page(request, error)
        session.sign_out(request)
        return page(request, "closed.html", {})

    async def ask_account(self, request: Request) -> Response:
        """Ask for the name of the account, to confirm its deletion."""
        return await self._account_page(request)

    async def _export(self, request: Request, name: str, filters: tuple[Filter, ...]) -> Response:
        secret, last_id = session.secret_of(request), 0
        query = Query(Kind.STATUS_REPORTS, filters)

        def work(tx: Transaction, actor: Actor) -> tuple[bytes, int | None]:
            demand_administrator(actor)
            found = found_after(tx, actor, query, last_id, _AT_ONCE)
            piece = JSON_LINES.write(found, not last_id)
            return piece, found[-1].id if len(found) == _AT_ONCE else None

        async def next_piece() -> Piece:
            nonlocal last_id
            if not last_id:
                exported = {"file": f"{name}.ndjson"}
                action = AuditAction.REPORTS_EXPORTED
                await self._gateway.note(secret, address_of(request), action, exported)
            piece, following = await self._gateway.read_on(secret, work)
            last_id = following or last_id
            return piece, following is not None

        with_body = request.method == "GET"
        file = f"{name}.ndjson"
        return await streamed(JSON_LINES.media_type, file, next_piece, with_body=with_body)

    async def _workspace_page(
        self, request: Request, *, error: Invalid | None = None, is_under_way: bool = False
    ) -> Response:
        workspace_id = id_in_path(request, Kind.WORKSPACES)

        def work(tx: Transaction, actor: Actor) -> dict[str, object]:
            workspace = visible(tx, actor, Workspace, workspace_id)
            demand_administrator(actor)
            return who(tx, actor) | {
                "workspace": workspace,
                "of": ending.of_workspace(tx, actor, workspace_id),
            }

        values = await self._gateway.read(session.secret_of(request), work)
        values |= {
            "address": f"{WORKSPACES}/{workspace_id}",
            "faults": faults_of(error),
            "is_under_way": is_under_way,
        }
        return page(request, "workspace_delete.html", values, error)

    async def _account_page(self, request: Request, error: Invalid | None = None) -> Response:
        def work(tx: Transaction, actor: Actor) -> dict[str, object]:
            demand_administrator(actor)
            return who(tx, actor) | ending.of_account(tx, actor)

        values = await self._gateway.read(session.secret_of(request), work)
        values |= {"back": SETTINGS, "faults": faults_of(error)}
        return page(request, "account_delete.html", values, error)
