"""`/search`: workspaces, reports and people by their words."""

from starlette.requests import Request
from starlette.responses import Response

from healthreports.core.model import Actor, Clock
from healthreports.core.vocabulary import MAX_NAME
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.reports import searching
from healthreports.web.kit import session
from healthreports.web.kit.show import page, who


class SearchPage:
    """What the search box on every page leads to."""

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock

    async def show(self, request: Request) -> Response:
        """What is found by the text of the address."""
        text = request.query_params.get("q", "").replace("\0", "").strip()[:MAX_NAME]

        def work(tx: Transaction, actor: Actor) -> dict[str, object]:
            return who(tx, actor) | {"found": searching.search(tx, actor, text)}

        values = await self._gateway.read(session.secret_of(request), work)
        return page(request, "search.html", values | {"text": text, "now": self._clock()})
