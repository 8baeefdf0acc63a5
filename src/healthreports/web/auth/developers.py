"""The page for developers: the address of the API, the user's tokens, an example request."""

from starlette.requests import Request
from starlette.responses import Response

from healthreports.contract.params import read_id
from healthreports.core.errors import Invalid
from healthreports.core.model import Actor, Instant
from healthreports.core.vocabulary import DAY_US, DEFAULT_TOKEN_DAYS, MAX_TOKEN_DAYS
from healthreports.service.auth import oauth, tokens
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.lookup import demand_recent_proof
from healthreports.service.people import members
from healthreports.web.kit import session
from healthreports.web.kit.addresses import DEVELOPERS
from healthreports.web.kit.forms import sent_form, whole_number, write_once
from healthreports.web.kit.show import lead_to, page, who


class DeveloperPages:
    """The pages below `/developers`. `origin` is the server's own origin, as clients see it."""

    def __init__(self, gateway: Gateway, origin: str) -> None:
        self._gateway = gateway
        self._origin = origin

    async def show(self, request: Request) -> Response:
        """Show the addresses of the API, and the user's own tokens."""
        return await self._page(request)

    async def make_token(self, request: Request) -> Response:
        """Create a personal token, and show its secret once."""
        form = await sent_form(self._gateway, request)
        fields = form.fields

        def work(tx: Transaction, actor: Actor, now: Instant) -> str:
            demand_recent_proof(actor, now)
            asked = whole_number(fields, "days", MAX_TOKEN_DAYS) or DEFAULT_TOKEN_DAYS
            days = None if "never" in fields else asked
            return tokens.issue(
                tx,
                members.own_user(tx, actor),
                fields.get("name", ""),
                now,
                expires_at=None if days is None else Instant(now + days * DAY_US),
                scopes=tokens.scopes_for(read_only=fields.get("scope") == "read"),
            )

        try:
            secret = await write_once(self._gateway, form, work, lambda _: DEVELOPERS)
        except Invalid as error:
            return await self._page(request, error=error)
        return await self._page(request, made=secret)

    async def revoke_token(self, request: Request) -> Response:
        """Revoke one of the user's own personal tokens."""
        form = await sent_form(self._gateway, request)
        token_id = read_id(request.path_params["id"])
        await self._gateway.write(
            form.writer, lambda tx, actor, now: tokens.revoke_own(tx, actor.user_id, token_id, now)
        )
        return lead_to(DEVELOPERS)

    async def _page(
        self, request: Request, *, made: str | None = None, error: Invalid | None = None
    ) -> Response:
        def work(tx: Transaction, actor: Actor) -> dict[str, object]:
            living = [one for one in tokens.personal(tx, actor.user_id) if one.revoked_at is None]
            return who(tx, actor) | {"tokens": living}

        values = await self._gateway.read(session.secret_of(request), work)
        values |= {
            "made": made,
            "origin": self._origin,
            "oauth": oauth,
            "token_days": DEFAULT_TOKEN_DAYS,
        }
        return page(request, "developers.html", values, error)
