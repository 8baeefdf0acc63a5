"""Ask a signed-in user to prove again who they are, in the middle of another action."""

from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from healthreports.core.errors import HealthReportsError, Invalid, TooManyRequests
from healthreports.core.model import Clock
from healthreports.service.auth.second_step import SecondStep
from healthreports.web.auth.oidc import Provider
from healthreports.web.auth.second_step import passkey_asked
from healthreports.web.kit import session
from healthreports.web.kit.addresses import AGAIN, HOME
from healthreports.web.kit.forms import PROOF
from healthreports.web.kit.show import Handler, address_of, lead_to, page

_NEXT: Final = "next"


class Again:
    """Asks for a proof and then repeats the request that was refused without one.

    The page contains the fields of the refused form, and sends them again to the same address
    together with the proof. `pages` are the paths that can be read with GET.
    """

    def __init__(
        self,
        second: SecondStep,
        provider: Provider | None,
        clock: Clock,
        pages: Collection[str],
    ) -> None:
        self._second = second
        self._provider = provider
        self._clock = clock
        self._pages = pages

    async def __call__(self, request: Request, handler: Handler) -> Response:
        """Ask for a proof; if the request contains one, check it and call `handler`."""
        if request.method != "POST":
            return await self._page(request, _asked_again(request), {})
        fields = await session.read_form(request)
        sent = {name: text for name, text in fields.items() if not name.startswith(PROOF)}
        here = f"{request.url.path}?{request.url.query}".rstrip("?")
        if len(sent) == len(fields):
            return await self._page(request, here, sent)
        try:
            await self._prove(request, fields)
        except (Invalid, TooManyRequests) as error:
            return await self._page(request, here, sent, error)
        return await handler(request)

    async def take(self, request: Request) -> Response:
        """Check the proof of a user who asked for a page with GET, and redirect to the page."""
        session.secret_of(request)  # the form of an anonymous request is not read
        fields = await session.read_form(request)
        wanted = session.our_path(request.query_params.get(_NEXT)) or HOME
        try:
            await self._prove(request, fields)
        except (Invalid, TooManyRequests) as error:
            return await self._page(request, _to(wanted), {}, error)
        return lead_to(wanted)

    async def _prove(self, request: Request, fields: Mapping[str, str]) -> None:
        code, passkey = fields.get(f"{PROOF}code", ""), fields.get(f"{PROOF}passkey", "")
        await self._second.prove_again(
            session.secret_of(request),
            fields.get(f"{PROOF}password", ""),
            session.answer_in(request, code, passkey),
            address_of(request),
        )

    async def _page(
        self,
        request: Request,
        action: str,
        sent: Mapping[str, str],
        error: HealthReportsError | None = None,
    ) -> Response:
        ways = await self._second.ways_again(session.secret_of(request))
        values: dict[str, object] = {
            "ways": ways,
            "action": action,
            "sent": sent,
            "back": self._page_of(request),
            "provider": None if self._provider is None else self._provider.name,
            "passkey": passkey_asked(request, self._second, ways, self._clock),
        }
        return page(request, "again.html", values, error)

    def _page_of(self, request: Request) -> str:
        """The path of the page that had the form: the nearest parent path that can be read."""
        path = session.our_path(request.query_params.get(_NEXT)) or request.url.path
        while path and path not in self._pages:
            path = path.rpartition("/")[0]
        return path or HOME


def _asked_again(request: Request) -> str:
    return _to(f"{request.url.path}?{request.url.query}".rstrip("?"))


def _to(wanted: str) -> str:
    return f"{AGAIN}?{_NEXT}={quote(wanted, safe='')}"
