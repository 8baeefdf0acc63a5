"""Share links: created and revoked on a report's page, opened by readers without an account.

The secret is in the query string, which the log never contains.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from healthreports.contract.params import read_id
from healthreports.core.errors import NotFound
from healthreports.core.model import Actor, Clock, Instant
from healthreports.core.vocabulary import Category, Kind, Through
from healthreports.exports import badge
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.limits import Limits
from healthreports.service.reports import sharing
from healthreports.web.kit import prose
from healthreports.web.kit.addresses import REPORTS, SHARED
from healthreports.web.kit.documents import Documents
from healthreports.web.kit.forms import id_in_path, sent_form, write_once
from healthreports.web.kit.show import address_of, file_of, lead_to, page
from healthreports.web.reports.records import RecordPages

LINK: Final = "link"


class SharingPages:
    """The forms that create and revoke links, and what links open. `origin` is the server's URL."""

    def __init__(  # noqa: PLR0917  all that these pages depend on
        self,
        gateway: Gateway,
        limits: Limits,
        documents: Documents,
        records: RecordPages,
        clock: Clock,
        origin: str,
    ) -> None:
        self._gateway = gateway
        self._limits = limits
        self._documents = documents
        self._records = records
        self._clock = clock
        self._origin = origin

    async def make(self, request: Request) -> Response:
        """Create a link, and show its address. It is shown only once."""
        form = await sent_form(self._gateway, request)
        fields = form.fields
        report_id = id_in_path(request, Kind.STATUS_REPORTS)
        hidden = frozenset(one for one in Category if f"hide_{one.lower()}" in fields)

        def work(tx: Transaction, actor: Actor, now: Instant) -> str:
            return sharing.make(
                tx,
                actor,
                report_id,
                now,
                days=read_id(fields.get("days", "")) or 0,
                hidden=hidden,
                follows=fields.get("what") == "current",
            )

        secret = await write_once(self._gateway, form, work, lambda _: f"{REPORTS}/{report_id}")
        address = f"{self._origin}{SHARED}?{LINK}={secret}"
        picture = f"{self._origin}{SHARED}/badge.svg?{LINK}={secret}"
        return await self._records.show_report(request, made=(address, picture))

    async def revoke(self, request: Request) -> Response:
        """Revoke a link."""
        writer, fields, _ = await sent_form(self._gateway, request)
        link_id = id_in_path(request, Kind.STATUS_REPORTS)
        report_id = read_id(fields.get("report", ""))
        if report_id is None:
            raise NotFound(Kind.STATUS_REPORTS)
        await self._gateway.write(
            writer,
            lambda tx, actor, now: sharing.revoke(tx, actor, link_id, now),
        )
        return lead_to(f"{REPORTS}/{report_id}")

    async def open(self, request: Request) -> Response:
        """Show the report that a link leads to."""
        shared = await self._opened(request)
        if sharing.last_opening_is_stale(shared.link, self._clock()):
            await self._gateway.write_unnamed(
                lambda tx, now: sharing.note_opening(tx, shared.link, now),
                Through.SHARE_LINK,
                address_of(request),
                through_id=shared.link.id,
                account_id=shared.link.account_id,
            )
        await prose.prepare([shared.report])
        values = {
            "shared": shared,
            "report": shared.report,
            "now": self._clock(),
            "secret": request.query_params.get(LINK, ""),
        }
        return page(request, "shared.html", values, has_forms=False)

    async def show_badge(self, request: Request) -> Response:
        """Show the status of that report as a picture that other sites may embed."""
        shared = await self._opened(request)
        content = badge.of_report(shared.workspace, shared.report)
        return file_of(content, "image/svg+xml", embedded=True)

    async def download_pdf(self, request: Request) -> Response:
        """Download the report that a link leads to as PDF."""
        shared = await self._opened(request)
        content = await self._documents.of_report(
            address_of(request),
            shared.workspace,
            shared.report,
            shared.author,
            shared.link.hidden,
        )
        return file_of(content, "application/pdf", f"status-report-{shared.report.id}.pdf")

    async def _opened(self, request: Request) -> sharing.SharedReport:
        await self._limits.admit_stranger(address_of(request))
        secret = request.query_params.get(LINK, "")
        return await self._gateway.read_unnamed(lambda tx, now: sharing.opened(tx, secret, now))
