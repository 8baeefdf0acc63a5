"""The settings of an account, for its administrators."""

from starlette.requests import Request
from starlette.responses import Response

from healthreports.core.errors import Invalid
from healthreports.core.model import Actor, Instant
from healthreports.core.vocabulary import FactorDemand
from healthreports.service.auth import factors
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.lookup import demand_administrator
from healthreports.service.people import accounts
from healthreports.web.kit import session
from healthreports.web.kit.addresses import SETTINGS
from healthreports.web.kit.forms import Fields, chosen, faults_of, sent_form
from healthreports.web.kit.show import lead_to, page, who


class SettingsPage:
    """`/settings`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def show(self, request: Request) -> Response:
        """Show the settings of the account."""
        return await self._page(request)

    async def rename(self, request: Request) -> Response:
        """Change the title of the account and the name to sign in by."""
        form = await sent_form(self._gateway, request)
        title, name = form.fields.get("title", "").strip(), form.fields.get("name", "").strip()

        def work(tx: Transaction, actor: Actor, _now: Instant) -> None:
            demand_administrator(actor)
            accounts.rename_account(tx, actor.account_id, name, title)

        try:
            await self._gateway.write(form.writer, work)
        except Invalid as error:
            return await self._page(request, error, form.fields)
        return lead_to(f"{SETTINGS}?saved=yes")

    async def demand_factor(self, request: Request) -> Response:
        """Set which users must sign in with a second factor."""
        form = await sent_form(self._gateway, request)
        of = chosen(FactorDemand, form.fields.get("second_factor")) or FactorDemand.NOBODY
        try:
            await self._gateway.write(
                form.writer, lambda tx, actor, now: factors.demand(tx, actor, of, now)
            )
        except Invalid as error:
            return await self._page(request, error, form.fields)
        return lead_to(f"{SETTINGS}?saved=yes")

    async def _page(
        self, request: Request, error: Invalid | None = None, sent: Fields | None = None
    ) -> Response:
        def work(tx: Transaction, actor: Actor) -> dict[str, object]:
            demand_administrator(actor)
            return who(tx, actor) | {
                "title": accounts.account_title(tx, actor),
                "name": accounts.account_name(tx, actor.account_id),
                "second_factor": factors.demanded_of(tx, actor.account_id),
            }

        values = await self._gateway.read(session.secret_of(request), work)
        values |= {"demands": tuple(FactorDemand), "faults": faults_of(error)}
        values |= {"done": "The settings are saved." if "saved" in request.query_params else ""}
        return page(request, "settings.html", values | dict(sent or {}), error)
