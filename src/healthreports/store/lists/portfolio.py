"""The portfolio of an account, or of what one user sees of it: totals, a page, weeks.

One pass over the narrow rows of `current_reports` counts and sorts; whole records are read for the
rows of a page only. At a time in the past the same columns come from the reports themselves.
"""

from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
)

from healthreports.core.access import Reach
from healthreports.core.model import Instant
from healthreports.core.portfolio import (
    NEW_FOR_US,
    ROWS_A_PAGE,
    SEVERITY,
    STALE_AFTER_US,
    Change,
    Order,
    PortfolioQuery,
    State,
    Totals,
)
from healthreports.core.vocabulary import Category, Color
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.statement import Statement, among
from healthreports.store.lists import current, words
from healthreports.store.lists.report_query import in_reach
from healthreports.store.lists.selections import in_account
from healthreports.store.lists.words import WordsIn
from healthreports.store.schema.tables import (
    color_column,
    current_reports,
    participations,
    workspaces,
)

Condition = ColumnElement[bool]
Kept = current.Columns

_FIRST_ON_TOP: Final = {State.RED: 0, State.YELLOW: 1, State.NONE: 2, State.GREEN: 3}
# Of a category, that it is not reported says least.
_CATEGORY_ON_TOP: Final = {State.RED: 0, State.YELLOW: 1, State.GREEN: 2, State.NONE: 3}
_NO_DATE: Final = "9999-12-31"


def totals(tx: Transaction, query: PortfolioQuery, reach: Reach, now: Instant) -> Totals:
    """How many workspaces within `reach` there are of each kind, and how many match."""
    statement = _totals_statement(_shape(query, reach))
    [row] = tx.rows(statement, _values(query, reach, now))
    numbers: list[Any] = [int(number) for number in row]
    return Totals(*numbers)


def rows(tx: Transaction, query: PortfolioQuery, reach: Reach, now: Instant) -> list[Row]:
    """A page: the ids of workspace and current report, the color before, in the asked order."""
    statement = _page_statement(_shape(query, reach), query.order, reverse=query.reversed)
    window = {"limit": ROWS_A_PAGE, "offset": (query.page - 1) * ROWS_A_PAGE}
    return tx.rows(statement, _values(query, reach, now) | window)


def states_at(
    tx: Transaction, account_id: int, workspace_ids: tuple[int, ...], time: Instant
) -> dict[int, Color]:
    """The colors that these workspaces had at a time, of those that had a report."""
    values = {"reach_account": account_id, "as_of": time, "workspace_ids": workspace_ids}
    return {
        workspace_id: Color(color) for workspace_id, color in tx.rows(_colors_statement(), values)
    }


class Shape(msgspec.Struct, frozen=True):
    """What the text of a statement depends on."""

    conditions: tuple[str, ...]
    category: Category | None
    in_past: bool
    narrowed: bool


def _shape(query: PortfolioQuery, reach: Reach) -> Shape:
    asked: dict[str, bool] = {
        "status": query.status is not None,
        "reported": query.category is not None and query.category_status is None,
        "category": query.category is not None and query.category_status is not None,
        "stale": query.stale,
        **{change.value: query.change is change for change in Change},
        "text": bool(query.text),
    }
    return Shape(
        conditions=tuple(name for name, is_asked in asked.items() if is_asked),
        category=query.category,
        in_past=query.as_of is not None,
        narrowed=reach.user_id is not None,
    )


def _values(query: PortfolioQuery, reach: Reach, now: Instant) -> dict[str, Any]:
    at = now if query.as_of is None else query.as_of
    values = {
        "reach_account": reach.account_id,
        "reach_user": reach.user_id,
        "as_of": at,
        "stale_before": at - STALE_AFTER_US,
        "new_after": at - NEW_FOR_US,
        "status": query.status,
        "category_status": query.category_status,
    }
    if query.text:
        scope = _told_in(in_past=query.as_of is not None)
        values |= words.asked(reach.account_id, WordsIn.TITLE, "in_title", query.text)
        values |= words.asked(reach.account_id, scope, "in_report", query.text)
    return {name: value for name, value in values.items() if value is not None}


def _told_in(*, in_past: bool) -> WordsIn:
    """Where the words of the report that counts are looked for."""
    return WordsIn.REPORT if in_past else WordsIn.CURRENT


def _color(column: ColumnElement[Any]) -> ColumnElement[str]:
    return func.coalesce(column, State.NONE.value)


def _placed(column: ColumnElement[Any], places: dict[Any, int]) -> ColumnElement[int]:
    """The place of the column's value among `places`."""
    return case(
        *((column == key.value, literal(place, Integer)) for key, place in places.items()),
        else_=literal(-1, Integer),
    )


def _conditions(shape: Shape, kept: Kept) -> dict[str, Condition]:
    severity = _placed(kept["color"], SEVERITY)
    before = _placed(kept["previous_color"], SEVERITY)
    known = kept["previous_color"].is_not(None)
    conditions = {
        "status": _color(kept["color"]) == bindparam("status", type_=Text),
        "stale": kept["created_at"] < bindparam("stale_before", type_=BigInteger),
        Change.WORSE: and_(known, severity > before),
        Change.BETTER: and_(known, severity < before),
        Change.NEW: kept["created_at"] > bindparam("new_after", type_=BigInteger),
        "text": or_(
            words.with_words(kept["workspace_id"], WordsIn.TITLE, "in_title"),
            words.with_words(kept["report_id"], _told_in(in_past=shape.in_past), "in_report"),
        ),
    }
    if shape.category is not None:
        color = kept[color_column(shape.category)]
        conditions["reported"] = color.is_not(None)
        conditions["category"] = _color(color) == bindparam("category_status", type_=Text)
    return conditions


def _from(shape: Shape, *, lateral: bool, reads_workspaces: bool) -> tuple[FromClause, Kept]:
    """What is gone through, and its columns: in the present one narrow row a workspace."""
    origin, kept = current.standing(as_of=shape.in_past, lateral=lateral)
    if reads_workspaces and not shape.in_past:
        its = and_(in_account(workspaces), workspaces.c.id == kept["workspace_id"])
        origin = origin.join(workspaces, its)
    if shape.narrowed:
        its = participations.c.workspace_id == kept["workspace_id"]
        origin = origin.join(participations, its)
    return origin, kept


def _seen(shape: Shape, kept: Kept) -> list[Condition]:
    """It is a workspace whose reports the user sees, and not an archived one."""
    table = workspaces if shape.in_past else current_reports
    return [
        in_account(table),
        kept["archived"] == 0,
        *([current.existed(kept)] if shape.in_past else []),
        *([in_reach] if shape.narrowed else []),
    ]


@lru_cache(maxsize=128)
def _totals_statement(shape: Shape) -> Statement:
    return Statement(_totals(shape, lateral=False), postgres=_totals(shape, lateral=True))


def _totals(shape: Shape, *, lateral: bool) -> Select[Any]:
    origin, kept = _from(shape, lateral=lateral, reads_workspaces=False)
    conditions = _conditions(shape, kept)
    color = _color(kept["color"])
    counted: list[Condition] = [
        *(color == state.value for state in State),
        conditions["stale"],
        conditions[Change.WORSE],
        conditions[Change.NEW],
        and_(literal(value=True), *(conditions[name] for name in shape.conditions)),
    ]
    numbers = [func.coalesce(func.sum(case((one, 1), else_=0)), 0) for one in counted]
    newest = func.coalesce(func.max(kept["created_at"]), 0)
    return select(func.count(), *numbers, newest).select_from(origin).where(*_seen(shape, kept))


@lru_cache(maxsize=128)
def _page_statement(shape: Shape, order: Order, *, reverse: bool) -> Statement:
    return Statement(
        _page(shape, order, reverse=reverse, lateral=False),
        postgres=_page(shape, order, reverse=reverse, lateral=True),
    )


def _page(shape: Shape, order: Order, *, reverse: bool, lateral: bool) -> Select[Any]:
    reads_workspaces = order in _OF_WORKSPACE
    origin, kept = _from(shape, lateral=lateral, reads_workspaces=reads_workspaces)
    conditions = _conditions(shape, kept)
    keys = [*_keys(order, kept), kept["workspace_id"]]
    return (
        select(kept["workspace_id"], kept["report_id"], kept["previous_color"])
        .select_from(origin)
        .where(*_seen(shape, kept), *(conditions[name] for name in shape.conditions))
        .order_by(*(key.desc() if reverse else key.asc() for key in keys))
        .limit(bindparam("limit"))
        .offset(bindparam("offset"))
    )


# What is sorted by something of the workspace itself.
_OF_WORKSPACE: Final = (Order.TITLE, Order.DUE)


def _keys(order: Order, kept: Kept) -> list[ColumnElement[Any]]:
    worst = _placed(_color(kept["color"]), _FIRST_ON_TOP)
    # Never reported is older than any.
    oldest = func.coalesce(kept["created_at"], 0)
    if order in _CATEGORIES:
        color = kept[color_column(_CATEGORIES[order])]
        return [_placed(_color(color), _CATEGORY_ON_TOP), worst, oldest]
    moved = _placed(kept["previous_color"], SEVERITY) - _placed(kept["color"], SEVERITY)
    first = case((kept["previous_color"].is_(None), literal(9, Integer)), else_=moved)
    keys: dict[Order, list[ColumnElement[Any]]] = {
        Order.STATUS: [worst, oldest],
        Order.TITLE: [func.lower(workspaces.c.title)],
        Order.AGE: [oldest],
        Order.TREND: [first, worst, oldest],
        Order.DUE: [func.coalesce(workspaces.c.due_date, _NO_DATE), worst],
    }
    return keys[order]


_CATEGORIES: Final = {Order(category.lower()): category for category in Category}


@lru_cache
def _colors_statement() -> Statement:
    return Statement(_colors_at(lateral=False), postgres=_colors_at(lateral=True))


def _colors_at(*, lateral: bool) -> Select[Any]:
    origin, kept = current.standing(as_of=True, lateral=lateral)
    return (
        select(workspaces.c.id, kept["color"])
        .select_from(origin)
        .where(
            in_account(workspaces),
            among(workspaces.c.id, "workspace_ids"),
            kept["report_id"].is_not(None),
        )
    )
