"""Pages for the user's own second factors and recovery codes."""

from starlette.requests import Request
from starlette.responses import Response

from healthreports.contract.params import read_id
from healthreports.core.errors import Invalid
from healthreports.core.model import Actor, Clock, Instant
from healthreports.service.auth import factors
from healthreports.service.auth.second_step import SecondStep
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.lookup import demand_recent_proof
from healthreports.web.auth.second_step import read_factor, setting_up
from healthreports.web.kit import session
from healthreports.web.kit.addresses import ACCOUNT, FACTORS
from healthreports.web.kit.forms import sent_form, write_once
from healthreports.web.kit.show import lead_to, page, who


class FactorPages:
    """The pages below `/account/factors`."""

    def __init__(self, gateway: Gateway, second: SecondStep, clock: Clock) -> None:
        self._gateway = gateway
        self._second = second
        self._clock = clock

    async def ask(self, request: Request) -> Response:
        """Show the form for adding a second factor; it asks for proof that the user has it."""
        await self._demand_proof(request)  # the page shows the secret of the new factor
        return await self._page(request)

    async def add(self, request: Request) -> Response:
        """Add a second factor. With the first one, show the recovery codes once."""
        form = await sent_form(self._gateway, request)
        # Checked before the factor is read: a challenge is valid once, and the form is sent again.
        await self._demand_proof(request)
        try:
            made = await read_factor(request, form.fields, self._second, self._clock)
            codes = await write_once(
                self._gateway,
                form,
                lambda tx, actor, now: factors.add(tx, actor, made, now),
                lambda _: ACCOUNT,
            )
        except Invalid as error:
            return await self._page(request, error)
        session.drop_what_is_asked(request)
        return await self._shown(request, codes) if codes else lead_to(ACCOUNT)

    async def remove(self, request: Request) -> Response:
        """Remove a second factor."""
        form = await sent_form(self._gateway, request)
        factor_id = read_id(request.path_params["id"]) or 0
        await self._gateway.write(
            form.writer, lambda tx, actor, now: factors.remove(tx, actor, factor_id, now)
        )
        return lead_to(ACCOUNT)

    async def renew_codes(self, request: Request) -> Response:
        """Create new recovery codes, and show them once."""
        form = await sent_form(self._gateway, request)

        def work(tx: Transaction, actor: Actor, now: Instant) -> list[str]:
            return factors.renew_codes(tx, actor, now)

        codes = await write_once(self._gateway, form, work, lambda _: ACCOUNT)
        return await self._shown(request, codes)

    async def _demand_proof(self, request: Request) -> None:
        await self._gateway.read(
            session.secret_of(request),
            lambda _tx, actor: demand_recent_proof(actor, self._clock()),
        )

    async def _shown(self, request: Request, codes: list[str]) -> Response:
        values = await self._gateway.read(session.secret_of(request), who)
        return page(request, "codes.html", values | {"codes": codes, "next": ACCOUNT})

    async def _page(self, request: Request, error: Invalid | None = None) -> Response:
        secret = session.secret_of(request)
        values = await self._gateway.read(secret, who)
        ways = await self._second.ways_again(secret)
        again = error is not None
        values |= await setting_up(request, self._second, ways, self._clock, again=again)
        return page(request, "factor_new.html", values | {"action": FACTORS}, error)
