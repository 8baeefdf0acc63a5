"""Asking who sits at the browser to prove again who it is, in the middle of what it wants to do."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from healthreports.core.errors import HealthReportsError, Invalid, TooManyRequests
from healthreports.core.model import Clock
from healthreports.service.auth.second_step import SecondStep
from healthreports.web.auth.oidc import Provider
from healthreports.web.auth.second_step import passkey_asked
from healthreports.web.kit import session
from healthreports.web.kit.show import Handler, address_of, page

# The fields of a proof begin so; the others are of the form that was sent.
_PROOF: Final = "proof_"


class Again:
    """Repeats what was refused for want of a proof, once the proof is there.

    The page holds what was sent, and sends it again to the same address with the proof beside it.
    """

    def __init__(self, second: SecondStep, provider: Provider | None, clock: Clock) -> None:
        self._second = second
        self._provider = provider
        self._clock = clock

    async def __call__(self, request: Request, handler: Handler) -> Response:
        """Ask for a proof, or take it and let `handler` answer."""
        fields = await session.read_form(request)
        sent = {name: text for name, text in fields.items() if not name.startswith(_PROOF)}
        proof = {name: text for name, text in fields.items() if name not in sent}
        if not proof:
            return await self._page(request, sent)
        answer = session.answer_in(
            request, proof.get("proof_code", ""), proof.get("proof_passkey", "")
        )
        try:
            await self._second.prove_again(
                session.secret_of(request),
                proof.get("proof_password", ""),
                answer,
                address_of(request),
            )
        except (Invalid, TooManyRequests) as error:
            return await self._page(request, sent, error)
        return await handler(request)

    async def _page(
        self, request: Request, sent: dict[str, str], error: HealthReportsError | None = None
    ) -> Response:
        ways = await self._second.ways_again(session.secret_of(request))
        values: dict[str, object] = {
            "ways": ways,
            "sent": sent,
            "provider": None if self._provider is None else self._provider.name,
            "passkey": passkey_asked(request, self._second, ways, self._clock),
        }
        return page(request, "again.html", values, error)
