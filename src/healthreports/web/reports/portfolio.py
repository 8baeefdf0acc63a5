"""The first page: how all workspaces stand, now, at a time in the past, or through the weeks."""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from healthreports.contract.moments import as_datetime, read_instant
from healthreports.core.access import MAY_CREATE_WORKSPACES
from healthreports.core.model import Actor, Clock, Instant
from healthreports.core.portfolio import (
    ROWS_A_PAGE,
    STALE_AFTER_US,
    Change,
    Order,
    Portfolio,
    PortfolioQuery,
    State,
)
from healthreports.core.vocabulary import DAY_US, MAX_NAME, Category
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.reports import portfolio as service
from healthreports.web.kit import session
from healthreports.web.kit.addresses import HOME
from healthreports.web.kit.forms import chosen
from healthreports.web.kit.show import page, who

_PAGE: Final = re.compile(r"[1-9][0-9]{0,6}", re.ASCII)
# Nobody reported before; and a page can count weeks back from there.
_DAY: Final = re.compile(r"(?:19|2\d)\d\d-\d\d-\d\d", re.ASCII)
_WEEKS: Final = "weeks"
# What a link to another order, page or view keeps.
_KEPT: Final[tuple[str, ...]] = (
    "status",
    "category",
    "category_status",
    "stale",
    "change",
    "text",
    "as_of",
    "view",
    "order",
    "reversed",
)


class PortfolioPage:
    """`/`."""

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock

    async def show(self, request: Request) -> Response:
        """The portfolio as the address asks for it; what it cannot mean is left out."""
        params = {name: text for name, text in request.query_params.items() if text}
        query, now = _query(params), self._clock()
        weeks = params.get("view") == _WEEKS

        def work(tx: Transaction, actor: Actor) -> tuple[Portfolio, dict[str, object]]:
            found = service.standings(tx, actor, query, now, weeks=weeks)
            return found, who(tx, actor) | {"may_create": actor.permission in MAY_CREATE_WORKSPACES}

        found, asker = await self._gateway.read(session.secret_of(request), work)
        kept = {name: params[name] for name in _KEPT if name in params}
        values = asker | {
            "portfolio": found,
            "query": query,
            "asked": kept,
            "now": now if query.as_of is None else query.as_of,
            "today": f"{as_datetime(now):%Y-%m-%d}",
            "weeks": weeks,
            "with_": _address(kept),
            "order_by": _order_by(kept, query),
            "pages": -(-found.totals.matching // ROWS_A_PAGE),
            "stale_days": STALE_AFTER_US // DAY_US,
            "is_filtered": query
            != PortfolioQuery(
                order=query.order, reversed=query.reversed, page=query.page, as_of=query.as_of
            ),
        }
        return page(request, "portfolio.html", values)


def _query(params: dict[str, str]) -> PortfolioQuery:
    number = params.get("page", "1")
    return PortfolioQuery(
        status=chosen(State, params.get("status")),
        category=chosen(Category, params.get("category")),
        category_status=chosen(State, params.get("category_status")),
        stale=params.get("stale") == "yes",
        change=chosen(Change, params.get("change")),
        text=params.get("text", "").replace("\0", "").strip()[:MAX_NAME],
        order=chosen(Order, params.get("order")) or Order.STATUS,
        reversed=params.get("reversed") == "yes",
        page=int(number) if _PAGE.fullmatch(number) else 1,
        as_of=_end_of_day(params.get("as_of", "")),
    )


def _end_of_day(text: str) -> Instant | None:
    """The last moment of a day in UTC, of a day that can be written with weeks before it."""
    if not _DAY.fullmatch(text):
        return None
    try:
        return Instant(read_instant(text) + DAY_US - 1)
    except ValueError:
        return None


def _address(kept: dict[str, str]) -> Callable[..., str]:
    """Makes the address of what is shown but for some of what was asked; None leaves out."""

    def address(**other: str | int | None) -> str:
        asked = {name: text for name, text in (kept | other).items() if text is not None}
        return f"{HOME}?{urlencode(asked)}" if asked else HOME

    return address


def _order_by(kept: dict[str, str], query: PortfolioQuery) -> Callable[[str], str]:
    """Makes the address of another order; of the same one, the other way round."""

    def address(order: str) -> str:
        turned = order == query.order and not query.reversed
        return _address(kept)(order=order, reversed="yes" if turned else None)

    return address
