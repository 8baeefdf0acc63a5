"""Pages for signing in and out."""

import logging
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from healthreports.core.errors import (
    HealthReportsError,
    SeveralAccounts,
    SignInRefused,
    TooManyRequests,
    Unauthenticated,
)
from healthreports.core.model import Clock
from healthreports.core.vocabulary import MAX_ACCOUNT_NAME, SECOND_US
from healthreports.service.auth.second_step import SecondStep
from healthreports.service.auth.sessions import Opened
from healthreports.service.auth.sign_in import SignIn
from healthreports.service.gateway import Gateway
from healthreports.service.limits import Limits
from healthreports.service.people import accounts
from healthreports.web.auth.oidc import Provider
from healthreports.web.kit import session
from healthreports.web.kit.addresses import CALLBACK, INVITATION, SIGN_IN
from healthreports.web.kit.show import address_of, lead_to, page, visitor_of

log: Final = logging.getLogger("healthreports")

_NEXT: Final = "next"
_ACCOUNT: Final = "account"
_ANOTHER: Final = "another"
# Session keys used while the browser is at the provider. They are cleared before each redirect.
_NAMED: Final = "account_named"
_AGAIN: Final = "again"
_ON_THE_WAY: Final = (_NEXT, _NAMED, _AGAIN, INVITATION)
_HOME: Final = "/"
_MAX_NEXT: Final = 1_000


class Entrance:
    """The pages that open and end sessions. `origin` is the server's origin, as browsers see it."""

    def __init__(  # noqa: PLR0917  the dependencies of all ways to sign in
        self,
        gateway: Gateway,
        sign_in: SignIn,
        second: SecondStep,
        limits: Limits,
        provider: Provider | None,
        clock: Clock,
        origin: str,
    ) -> None:
        self._gateway = gateway
        self._sign_in = sign_in
        self._second = second
        self._clock = clock
        self._limits = limits
        self._provider = provider
        self._origin = origin
        self._warned = False

    async def ask(self, request: Request) -> Response:
        """Show the sign-in form. A user who is already signed in is redirected."""
        self._warn_of_plain_cookies(request)
        wanted = session.our_path(request.query_params.get(_NEXT)) or _HOME
        account = _account_in(request)
        if _ANOTHER not in request.query_params:
            if account and session.switch(request, account):
                return lead_to(wanted)
            here = account in ("", session.account_of(request))
            if here and await self._is_signed_in(request):
                return lead_to(wanted)
        is_new = await self._gateway.read_unnamed(lambda tx, _now: accounts.is_empty(tx))
        return self._form(request, wanted, account=account, is_new=is_new)

    async def take(self, request: Request) -> Response:
        """Sign in with e-mail address and password."""
        fields = await session.read_stranger_form(request)
        wanted = session.our_path(fields.get(_NEXT)) or _HOME
        email_address = fields.get("email_address", "")
        account = fields.get(_ACCOUNT, _account_in(request) or session.account_of(request))
        try:
            opened = await self._sign_in.with_password(
                email_address, fields.get("password", ""), visitor_of(request), account
            )
        except (SignInRefused, TooManyRequests) as error:
            return self._form(request, wanted, email_address, error, account=account)
        return await self._enter(request, opened, wanted)

    async def take_passkey(self, request: Request) -> Response:
        """Sign in with only a passkey."""
        fields = await session.read_stranger_form(request)
        wanted = session.our_path(fields.get(_NEXT)) or _HOME
        answer = session.answer_in(request, "", fields.get("passkey", ""))
        try:
            opened = await self._second.with_passkey(answer, visitor_of(request))
        except (SignInRefused, TooManyRequests) as error:
            return self._form(request, wanted, error=error)
        return await self._enter(request, opened, wanted)

    async def switch(self, request: Request) -> Response:
        """Show another account that the browser is signed in to."""
        fields = await session.read_stranger_form(request)
        account = fields.get(_ACCOUNT, "")
        if session.switch(request, account):
            return lead_to(_HOME)
        return lead_to(f"{SIGN_IN}?{_ACCOUNT}={quote(account, safe='')}")

    async def leave(self, request: Request) -> Response:
        """Sign out of all accounts."""
        await session.read_stranger_form(request)
        session.secret_of(request)  # raises Unauthenticated if the user is not signed in
        await self._sign_in.out(session.sign_out(request), address_of(request))
        return lead_to(SIGN_IN)

    async def ask_provider(self, request: Request) -> Response:
        """Redirect the browser to the provider, to sign in or to prove again who the user is."""
        wanted = session.our_path(request.query_params.get(_NEXT)) or _HOME
        # A cookie holds 4,096 bytes, and the OpenID Connect state needs part of them.
        kept = {_NEXT: wanted if len(wanted) <= _MAX_NEXT else _HOME, _NAMED: _account_in(request)}
        if _AGAIN in request.query_params:
            kept[_AGAIN] = "yes"
        return await self._to_provider(request, kept)

    async def accept_by_provider(self, request: Request) -> Response:
        """Redirect the browser to the provider, to accept an invitation with an identity there."""
        await session.read_stranger_form(request)
        secret = request.query_params.get(INVITATION, "")
        await self._sign_in.invited(secret, address_of(request))
        return await self._to_provider(request, {INVITATION: secret})

    async def come_back(self, request: Request) -> Response:
        """Handle the return from the provider: sign in, accept an invitation, or take a proof."""
        if self._provider is None:
            return lead_to(SIGN_IN)
        address = address_of(request)
        await self._limits.admit_stranger(address)
        kept = {name: request.session.get(name) for name in _ON_THE_WAY}
        wanted = session.our_path(kept[_NEXT]) or _HOME
        named = kept[_NAMED] or ""
        try:
            who = await self._provider.end(request, self._now_s() if kept[_AGAIN] else None)
            if kept[_AGAIN]:
                await self._second.prove_again_by_identity(session.secret_of(request), who)
                return lead_to(wanted)
            if invitation := kept[INVITATION]:
                opened = await self._sign_in.accept_by_identity(
                    invitation, who, visitor_of(request)
                )
            else:
                opened = await self._sign_in.with_identity(who, visitor_of(request), named)
        except SeveralAccounts as error:
            return self._form(request, wanted, error=error, choices=error.names)
        except SignInRefused as error:
            self._sign_in.failed("provider")
            return self._form(request, wanted, error=error, account=named)
        return await self._enter(request, opened, wanted)

    def _warn_of_plain_cookies(self, request: Request) -> None:
        """Warn once if browsers use https through a proxy but the public URL setting lacks it."""
        said = request.headers.get("x-forwarded-proto", request.url.scheme)
        if said == "https" and not self._warned and not self._origin.startswith("https:"):
            self._warned = True
            log.warning(
                "browsers use https, but HEALTHREPORTS_PUBLIC_URL does not begin with https: "
                "the session cookie is not Secure"
            )

    async def _to_provider(self, request: Request, kept: dict[str, str]) -> Response:
        if self._provider is None:
            return lead_to(SIGN_IN)
        session.drop_what_is_asked(request)  # the size of a cookie is limited
        for name in _ON_THE_WAY:
            request.session.pop(name, None)
        request.session.update(kept)
        await self._limits.admit_stranger(address_of(request))
        try:
            again = _AGAIN in kept
            return await self._provider.begin(request, self._origin + CALLBACK, again=again)
        except SignInRefused as error:
            return self._form(request, kept.get(_NEXT, _HOME), error=error)

    async def _enter(self, request: Request, opened: Opened, wanted: str) -> Response:
        return lead_to(await session.enter(request, opened, self._sign_in, wanted))

    def _now_s(self) -> int:
        return self._clock() // SECOND_US

    async def _is_signed_in(self, request: Request) -> bool:
        try:
            await self._gateway.read(session.secret_of(request), lambda _tx, _actor: None)
        except Unauthenticated:
            return False
        return True

    def _passkey(self, request: Request) -> str | None:
        """The options for using a passkey as JSON; None if passkeys or passwords are off."""
        passkeys = self._second.passkeys
        if passkeys.here is None or not self._sign_in.passwords:
            return None
        return passkeys.to_use((), session.ask_for_passkey(request, self._clock()))

    def _form(
        self,
        request: Request,
        wanted: str,
        email_address: str = "",
        error: HealthReportsError | None = None,
        *,
        account: str = "",
        choices: Sequence[str] = (),
        is_new: bool = False,
    ) -> Response:
        values = {
            "is_new": is_new,
            "expired": "expired" in request.query_params,
            "next": wanted,
            "email_address": email_address,
            "account_name": account or session.account_of(request),
            "choices": choices,
            "passwords": self._sign_in.passwords,
            "provider": self._provider and self._provider.name,
            "passkey": self._passkey(request),
        }
        return page(request, "sign_in.html", values, error)


def _account_in(request: Request) -> str:
    """The account name in the query string, cut to `MAX_ACCOUNT_NAME`."""
    return request.query_params.get(_ACCOUNT, "")[:MAX_ACCOUNT_NAME]
