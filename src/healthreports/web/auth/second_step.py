"""The second step of signing in: give a second factor, or set up the first one."""

import asyncio
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from healthreports.core.errors import (
    HealthReportsError,
    Invalid,
    SignInRefused,
    TooManyRequests,
    Unauthenticated,
)
from healthreports.core.model import Clock
from healthreports.service.auth import factors
from healthreports.service.auth.factors import MadeFactor
from healthreports.service.auth.second_step import SecondStep, Ways
from healthreports.service.auth.sign_in import SignIn
from healthreports.web.kit import session
from healthreports.web.kit.addresses import HOME, SIGN_IN
from healthreports.web.kit.forms import Fields
from healthreports.web.kit.qr import qr_code
from healthreports.web.kit.show import lead_to, page, visitor_of

_NEXT: Final = "next"


class SecondStepPage:
    """The page `/sign-in/second`."""

    def __init__(self, second: SecondStep, sign_in: SignIn, clock: Clock) -> None:
        self._second = second
        self._sign_in = sign_in
        self._clock = clock

    async def ask(self, request: Request) -> Response:
        """Ask for the second factor."""
        wanted = session.our_path(request.query_params.get(_NEXT)) or HOME
        try:
            return await self._page(request, wanted)
        except Unauthenticated:
            return _from_the_start(wanted)

    async def take(self, request: Request) -> Response:
        """Check the second factor and finish signing in."""
        fields = await session.read_stranger_form(request)
        wanted = session.our_path(fields.get(_NEXT)) or HOME
        answer = session.answer_in(request, fields.get("code", ""), fields.get("passkey", ""))
        try:
            half = session.half_of(request)
            opened = await self._second.finish(half, answer, visitor_of(request))
        except Unauthenticated:
            return _from_the_start(wanted)
        except (SignInRefused, TooManyRequests) as error:
            return await self._page(request, wanted, error)
        return lead_to(await session.enter(request, opened, self._sign_in, wanted))

    async def set_up(self, request: Request) -> Response:
        """Set up the user's first second factor, sign in, and show the recovery codes once."""
        fields = await session.read_stranger_form(request)
        wanted = session.our_path(fields.get(_NEXT)) or HOME
        try:
            half = session.half_of(request)
            made = await read_factor(request, fields, self._second, self._clock)
            opened, codes = await self._second.set_up(half, made, visitor_of(request))
        except Unauthenticated:
            return _from_the_start(wanted)
        except Invalid as error:
            return await self._page(request, wanted, error)
        session.drop_what_is_asked(request)
        await session.enter(request, opened, self._sign_in, wanted)
        return page(request, "codes.html", {"codes": codes, "next": wanted})

    async def _page(
        self, request: Request, wanted: str, error: HealthReportsError | None = None
    ) -> Response:
        ways = await self._second.asked_of(session.half_of(request))
        values: dict[str, object] = {"ways": ways, "next": wanted}
        if ways.kinds:
            values["passkey"] = passkey_asked(request, self._second, ways, self._clock)
        else:
            again = error is not None
            values |= await setting_up(request, self._second, ways, self._clock, again=again)
        return page(request, "second_step.html", values, error)


def _from_the_start(wanted: str) -> Response:
    """Redirect to the sign-in page: there is no pending sign-in, or it expired."""
    return lead_to(f"{SIGN_IN}?expired=yes&next={quote(wanted, safe='')}")


def passkey_asked(request: Request, second: SecondStep, ways: Ways, clock: Clock) -> str | None:
    """The options for using one of the user's passkeys as JSON; None if that is not possible."""
    if not ways.passkeys or second.passkeys.here is None:
        return None
    return second.passkeys.to_use(ways.passkeys, session.ask_for_passkey(request, clock()))


async def setting_up(
    request: Request, second: SecondStep, ways: Ways, clock: Clock, *, again: bool
) -> dict[str, object]:
    """The values of a page that sets up a second factor; `again` if it is shown after an error."""
    secret = session.totp_secret_of(request, again=again)
    new_passkey = None
    if second.passkeys.here is not None:
        challenge = session.ask_for_passkey(request, clock(), new=True)
        new_passkey = await asyncio.to_thread(
            second.passkeys.to_make, ways.user, ways.passkeys, challenge
        )
    return {
        "totp_secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        "qr": qr_code(factors.totp_address(secret, ways.user, ways.account)),
        "new_passkey": new_passkey,
    }


async def read_factor(
    request: Request, fields: Fields, second: SecondStep, clock: Clock
) -> MadeFactor:
    """Read the second factor that a form sets up, and check it. Raises Invalid."""
    name = fields.get("name", "").strip()
    if sent := fields.get("passkey", ""):
        challenge = session.challenge_for_new(request)
        made = await asyncio.to_thread(second.passkeys.made, sent, challenge, clock())
        return factors.made_passkey(name, made)
    secret = session.totp_secret_of(request, again=True)
    return factors.made_totp(name, secret, fields.get("code", ""), clock())
