"""The first page: the status of all workspaces now, on a past day, or week by week."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from healthreports.contract.moments import as_datetime, read_instant
from healthreports.contract.params import read_id
from healthreports.core.access import MAY_CREATE_WORKSPACES
from healthreports.core.model import Actor, Clock, Instant
from healthreports.core.portfolio import (
    ROWS_A_PAGE,
    WEEKS_BESIDE,
    WEEKS_SHOWN,
    Change,
    Grouping,
    Order,
    Portfolio,
    PortfolioQuery,
    State,
    View,
)
from healthreports.core.vocabulary import DAY_US, MAX_NAME, AuditAction, Category
from healthreports.exports import sheet
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.people import accounts, views
from healthreports.service.reports import drafting
from healthreports.service.reports import portfolio as service
from healthreports.web.kit import charts, session
from healthreports.web.kit.addresses import CADENCE, HOME, PORTFOLIO_FILE
from healthreports.web.kit.documents import Documents
from healthreports.web.kit.forms import chosen, sent_form, write_once
from healthreports.web.kit.show import address_of, file_of, lead_to, page, who

_PAGE: Final = re.compile(r"[1-9][0-9]{0,6}", re.ASCII)
# A day from 1900 to 2999: no report is older, and the weeks before 1900 can still be computed.
_DAY: Final = re.compile(r"(?:19|2\d)\d\d-\d\d-\d\d", re.ASCII)
_WEEKS: Final = "weeks"
_ME: Final = "me"
_STEPS: Final = {"week": 7, "month": 28}
# The parameters that a link to another order, page or view keeps.
_KEPT: Final[tuple[str, ...]] = (
    "text",
    "client",
    "programme",
    "owner",
    "show",
    "status",
    "category",
    "category_status",
    "change",
    "as_of",
    "compare",
    "group",
    "view",
    "lane",
    "order",
    "reversed",
)
# The parameters that say how to show workspaces, not which of them.
_LOOK: Final = ("as_of", "compare", "group", "view", "lane", "order", "reversed")
# The parameters that the link of a count keeps. The link adds the filter that is counted.
_SCOPE: Final = (
    "text",
    "client",
    "programme",
    "owner",
    "as_of",
    "compare",
    "group",
    "view",
    "lane",
)
# The parameters that select workspaces, without those for a date, an order or a view.
_NARROWS: Final = tuple(name for name in _KEPT if name not in _LOOK)
STATE_WORDS: Final = {
    State.RED: "Red",
    State.YELLOW: "Yellow",
    State.GREEN: "Green",
    State.NONE: "No report",
}
_VIEW_WORDS: Final = {
    View.ATTENTION: "Needs attention",
    View.OVERDUE: "Overdue",
    View.PAST_DUE: "Past due date",
}
_CHANGE_WORDS: Final = {
    Change.WORSE: "Got worse",
    Change.BETTER: "Got better",
    Change.NEW: "Reported this week",
}


class Chip(msgspec.Struct, frozen=True):
    """An active filter: its text, and the address of the page without it."""

    says: str
    without: str


class PortfolioPage:
    """`/`."""

    def __init__(self, gateway: Gateway, documents: Documents, clock: Clock) -> None:
        self._gateway = gateway
        self._documents = documents
        self._clock = clock

    async def download_csv(self, request: Request) -> Response:
        """Download the matching workspaces as CSV."""
        return await self._download(request, sheet.csv_of, sheet.CSV, "csv")

    async def download_xlsx(self, request: Request) -> Response:
        """Download the matching workspaces as an Excel workbook."""
        return await self._download(request, sheet.xlsx_of, sheet.XLSX, "xlsx")

    async def save_view(self, request: Request) -> Response:
        """Save the current view under a name, and show it."""
        form = await sent_form(self._gateway, request)
        params = dict(parse_qsl(form.fields.get("query", "")))
        kept = {name: params[name] for name in _KEPT if params.get(name)}

        def work(tx: Transaction, actor: Actor, _now: Instant) -> str:
            views.save(tx, actor, form.fields.get("name", ""), urlencode(kept))
            return _address(kept)()

        return lead_to(await write_once(self._gateway, form, work, str))

    async def forget_view(self, request: Request) -> Response:
        """Delete a saved view."""
        form = await sent_form(self._gateway, request)

        def work(tx: Transaction, actor: Actor, _now: Instant) -> str:
            views.forget(tx, actor, form.fields.get("name", ""))
            return HOME

        return lead_to(await write_once(self._gateway, form, work, str))

    async def _download(
        self, request: Request, write: Callable[[sheet.Sheet], bytes], media_type: str, ending: str
    ) -> Response:
        params = {name: text for name, text in request.query_params.items() if text}
        now = self._clock()

        def work(tx: Transaction, actor: Actor) -> sheet.Sheet:
            query = query_of(params, actor, now)
            at = now if query.as_of is None else query.as_of
            rows = [sheet.row_of(one, at) for one in service.every_standing(tx, actor, query, now)]
            title = f"Portfolio of {accounts.account_title(tx, actor)}, {_day_of(at)}"
            return sheet.Sheet(title, rows)

        asker = session.secret_of(request)
        after = {
            "file": f"portfolio.{ending}",
            "filters": [name for name in _KEPT if name in params],
        }
        await self._gateway.note(asker, address_of(request), AuditAction.REPORTS_EXPORTED, after)
        table = await self._gateway.read(asker, work)
        content = await self._documents.of_table(asker, lambda: write(table))
        return file_of(content, media_type, f"portfolio-{_day_of(now)}.{ending}")

    async def show(self, request: Request) -> Response:
        """Show the portfolio that the address asks for. Invalid parameters are ignored."""
        params = {name: text for name, text in request.query_params.items() if text}
        now = self._clock()
        weeks = params.get("view") == _WEEKS
        lane = chosen(Category, params.get("lane"))

        names: dict[Grouping, str] = {}

        def work(
            tx: Transaction, actor: Actor
        ) -> tuple[PortfolioQuery, Portfolio, dict[str, object]]:
            query = query_of(params, actor, now)
            found = service.standings(
                tx,
                actor,
                query,
                now,
                weeks=WEEKS_SHOWN if weeks else WEEKS_BESIDE,
                lane=lane if weeks else None,
                has_trend=not weeks,
            )
            may_create = actor.permission in MAY_CREATE_WORKSPACES
            more = {"may_create": may_create, "views": views.saved(tx, actor), "drafts": []}
            if params.get("owner") == _ME:
                more["drafts"] = drafting.begun(tx, actor, now)
            names.update(service.chosen(tx, actor, query))
            return query, found, who(tx, actor) | more

        query, found, asker = await self._gateway.read(session.secret_of(request), work)
        kept = {name: params[name] for name in _KEPT if name in params}
        at = now if query.as_of is None else query.as_of
        in_scope = {name: text for name, text in kept.items() if name in _SCOPE}
        values = asker | {
            "portfolio": found,
            "query": query,
            "asked": kept,
            "now": at,
            "today": f"{as_datetime(now):%Y-%m-%d}",
            "earlier": _day_of(at - DAY_US),
            "later": _day_of(at + DAY_US) if at + DAY_US < now else None,
            "weeks": weeks,
            "lane": lane,
            "with_": _address(kept),
            "as_file": _address(kept, PORTFOLIO_FILE),
            "cadence": _address({name: kept[name] for name in _NARROWS if name in kept}, CADENCE)(),
            "scoped": _address(in_scope),
            "order_by": _order_by(kept, query),
            "scope_off": _address({name: kept[name] for name in _LOOK if name in kept})(),
            "pages": -(-found.totals.matching // ROWS_A_PAGE),
            "chips": list(_chips(kept, query, names)),
            "is_filtered": query.scope
            != PortfolioQuery(as_of=query.as_of, compared_at=query.compared_at)
            or found.totals.matching != found.totals.workspaces,
            "shown_query": urlencode(kept),
            "is_mine": params.get("owner") == _ME,
            "state_words": STATE_WORDS,
            "compare": params.get("compare", ""),
            "by_client": query.group is Grouping.CLIENT,
            "bars": charts.bars(found.trend),
            "bars_size": (charts.BARS_WIDTH, charts.BARS_HEIGHT),
        }
        return page(request, "timeline.html" if weeks else "portfolio.html", values)


def query_of(params: Mapping[str, str], actor: Actor, now: Instant) -> PortfolioQuery:
    """The query that the parameters of an address ask for. Invalid parameters are ignored."""
    number, owner = params.get("page", "1"), params.get("owner", "")
    as_of = _end_of_day(params.get("as_of", ""))
    return PortfolioQuery(
        text=params.get("text", "").replace("\0", "").strip()[:MAX_NAME],
        client_id=read_id(params.get("client", "")),
        programme_id=read_id(params.get("programme", "")),
        owner_id=actor.user_id if owner == _ME else read_id(owner),
        view=chosen(View, params.get("show")),
        status=chosen(State, params.get("status")),
        category=chosen(Category, params.get("category")),
        category_status=chosen(State, params.get("category_status")),
        change=chosen(Change, params.get("change")),
        group=chosen(Grouping, params.get("group")),
        order=chosen(Order, params.get("order")) or Order.STATUS,
        reversed=params.get("reversed") == "yes",
        page=int(number) if _PAGE.fullmatch(number) else 1,
        as_of=as_of,
        compared_at=_compared(params.get("compare", ""), now if as_of is None else as_of),
    )


def _compared(text: str, at: Instant) -> Instant | None:
    """The moment to compare with: a week or 28 days before `at`, or the end of an earlier day.

    None if each workspace is compared with its own previous report.
    """
    if text in _STEPS:
        return Instant(at - _STEPS[text] * DAY_US)
    day = _end_of_day(text)
    return day if day is not None and day < at else None


def _end_of_day(text: str) -> Instant | None:
    """The last moment of a day in UTC; None if `text` is not a day from 1900 to 2999."""
    if not _DAY.fullmatch(text):
        return None
    try:
        return Instant(read_instant(text) + DAY_US - 1)
    except ValueError:
        return None


def _day_of(moment: int) -> str:
    return f"{as_datetime(Instant(moment)):%Y-%m-%d}"


def _chips(
    kept: dict[str, str], query: PortfolioQuery, names: Mapping[Grouping, str]
) -> Iterator[Chip]:
    """The active filters in words, each with the address that leaves it out."""
    without = _address(kept)
    if query.text:
        yield Chip(f"“{query.text}”", without(text=None, page=None))
    ids = {
        Grouping.CLIENT: query.client_id,
        Grouping.PROGRAMME: query.programme_id,
        Grouping.OWNER: query.owner_id,
    }
    for kind, row_id in ids.items():
        if row_id is not None:
            says = f"{kind.value.capitalize()}: {names.get(kind, 'unknown')}"
            yield Chip(says, without(**{kind.value: None, "page": None}))
    if query.view is not None:
        yield Chip(_VIEW_WORDS[query.view], without(show=None, page=None))
    if query.status is not None:
        yield Chip(STATE_WORDS[query.status], without(status=None, page=None))
    if query.category is not None:
        says = "reported" if query.category_status is None else STATE_WORDS[query.category_status]
        yield Chip(
            f"{query.category.value}: {says.lower()}",
            without(category=None, category_status=None, page=None),
        )
    if query.change is not None:
        yield Chip(_CHANGE_WORDS[query.change], without(change=None, page=None))


def _address(kept: dict[str, str], path: str = HOME) -> Callable[..., str]:
    """Return a function that makes an address from `kept` and changes to it; None removes one."""

    def address(ending: str = "", **other: str | int | None) -> str:
        asked = {name: text for name, text in (kept | other).items() if text is not None}
        return f"{path}{ending}?{urlencode(asked)}" if asked else f"{path}{ending}"

    return address


def _order_by(kept: dict[str, str], query: PortfolioQuery) -> Callable[[str], str]:
    """Return a function that makes the address of an order, and reverses the current order."""

    def address(order: str) -> str:
        turned = order == query.order and not query.reversed
        return _address(kept)(order=order, reversed="yes" if turned else None)

    return address
