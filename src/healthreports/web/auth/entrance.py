"""Signing in and out."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from healthreports.core.errors import (
    HealthReportsError,
    SignInRefused,
    TooManyRequests,
    Unauthenticated,
)
from healthreports.service.auth.sign_in import SignIn
from healthreports.service.gateway import Gateway
from healthreports.service.limits import Limits
from healthreports.service.people import accounts
from healthreports.web.auth.oidc import Provider
from healthreports.web.kit import session
from healthreports.web.kit.addresses import CALLBACK, SIGN_IN
from healthreports.web.kit.show import address_of, lead_to, page

_NEXT: Final = "next"
_HOME: Final = "/"
_MAX_NEXT: Final = 1_500


class Entrance:
    """The pages around a session. `origin` is our own address as a browser sees it."""

    def __init__(
        self,
        gateway: Gateway,
        sign_in: SignIn,
        limits: Limits,
        provider: Provider | None,
        origin: str,
    ) -> None:
        self._gateway = gateway
        self._sign_in = sign_in
        self._limits = limits
        self._provider = provider
        self._origin = origin

    async def ask(self, request: Request) -> Response:
        """Ask for e-mail address and password."""
        wanted = session.our_path(request.query_params.get(_NEXT)) or _HOME
        if await self._is_signed_in(request):
            return lead_to(wanted)
        found = await self._gateway.read_unnamed(lambda tx, _now: accounts.all_accounts(tx))
        return self._form(request, wanted, is_new=not found)

    async def take(self, request: Request) -> Response:
        """Sign in with e-mail address and password."""
        fields = await session.read_stranger_form(request)
        wanted = session.our_path(fields.get(_NEXT)) or _HOME
        email_address = fields.get("email_address", "")
        try:
            secret = await self._sign_in.with_password(
                email_address, fields.get("password", ""), address_of(request)
            )
        except (SignInRefused, TooManyRequests) as error:
            return self._form(request, wanted, email_address, error)
        session.sign_in(request, secret)
        return lead_to(wanted)

    async def leave(self, request: Request) -> Response:
        """Sign out."""
        await session.read_stranger_form(request)
        await self._sign_in.out(session.secret_of(request))
        session.sign_out(request)
        return lead_to(SIGN_IN)

    async def ask_provider(self, request: Request) -> Response:
        """Send the browser to the provider."""
        if self._provider is None:
            return lead_to(SIGN_IN)
        wanted = session.our_path(request.query_params.get(_NEXT)) or _HOME
        # A cookie holds 4,096 bytes, and what the provider is to send back needs its part of them.
        request.session[_NEXT] = wanted if len(wanted) <= _MAX_NEXT else _HOME
        await self._limits.admit_stranger(address_of(request))
        return await self._provider.begin(request, self._origin + CALLBACK)

    async def come_back(self, request: Request) -> Response:
        """Sign in whom the provider names."""
        if self._provider is None:
            return lead_to(SIGN_IN)
        await self._limits.admit_stranger(address_of(request))
        wanted = session.our_path(request.session.get(_NEXT)) or _HOME
        try:
            one = await self._provider.end(request)
            secret = await self._sign_in.with_identity(
                self._provider.issuer, one.subject, one.email_address, verified=one.verified
            )
        except SignInRefused as error:
            return self._form(request, wanted, error=error)
        session.sign_in(request, secret)
        return lead_to(wanted)

    async def _is_signed_in(self, request: Request) -> bool:
        try:
            await self._gateway.read(session.secret_of(request), lambda _tx, _actor: None)
        except Unauthenticated:
            return False
        return True

    def _form(
        self,
        request: Request,
        wanted: str,
        email_address: str = "",
        error: HealthReportsError | None = None,
        *,
        is_new: bool = False,
    ) -> Response:
        values = {
            "is_new": is_new,
            "next": wanted,
            "email_address": email_address,
            "provider": self._provider and self._provider.name,
        }
        return page(request, "sign_in.html", values, error)
