"""The portfolio of an account, or the part that one user sees: totals, a page, past states.

One pass over the narrow rows of `current_reports` counts and sorts the workspaces. Whole records
are read only for the rows of a page. For a time in the past, the same columns are computed from
the reports themselves.
"""

from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec.structs import replace
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
    literal_column,
    null,
    or_,
    select,
)

from healthreports.core.access import Reach
from healthreports.core.cadence import day_of
from healthreports.core.model import Instant, WorkspaceGroup
from healthreports.core.portfolio import (
    NEW_FOR_US,
    ROWS_A_PAGE,
    SEVERITY,
    Before,
    Change,
    Grouping,
    Order,
    PortfolioQuery,
    ScopeChoice,
    State,
    Totals,
    View,
)
from healthreports.core.vocabulary import Category, Color, Side
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.statement import Statement, among
from healthreports.store.lists import current, words
from healthreports.store.lists.report_query import in_reach
from healthreports.store.lists.selections import GROUPS, in_account
from healthreports.store.lists.words import WordsIn
from healthreports.store.schema.tables import (
    color_column,
    current_reports,
    group_workspaces,
    participations,
    users,
    workspace_groups,
    workspaces,
)

Condition = ColumnElement[bool]
Kept = current.Columns

_FIRST_ON_TOP: Final = {State.RED: 0, State.YELLOW: 1, State.NONE: 2, State.GREEN: 3}
# For a category, "not reported" matters least, so it comes last.
_CATEGORY_ON_TOP: Final = {State.RED: 0, State.YELLOW: 1, State.GREEN: 2, State.NONE: 3}
_NO_DATE: Final = "9999-12-31"
# The most clients that a page offers, and likewise for programmes and owners.
_MOST_CHOICES: Final = 100


def totals(tx: Transaction, query: PortfolioQuery, reach: Reach, now: Instant) -> Totals:
    """The number of workspaces in the query's scope, by kind, and the number that match."""
    statement = _totals_statement(_shape(query, reach))
    [row] = tx.rows(statement, _values(query, reach, now))
    numbers: list[Any] = [int(number) for number in row]
    return Totals(*numbers)


def before(tx: Transaction, query: PortfolioQuery, reach: Reach, at: Instant) -> Before:
    """The number of red, overdue and past-due workspaces in the query's scope at the time `at`."""
    then = replace(query.scope, as_of=at, compared_at=None)
    [row] = tx.rows(_before_statement(_shape(then, reach)), _values(then, reach, at))
    return Before(*map(int, row))


def rows(
    tx: Transaction,
    query: PortfolioQuery,
    reach: Reach,
    now: Instant,
    *,
    most: int = ROWS_A_PAGE,
) -> list[Row]:
    """A page of up to `most` rows in the requested order; if grouped, sorted by group first.

    A row has the id of the workspace, the id of its current report, the color to compare with, the
    instant from which a report is overdue, and the name of its group. A missing value is null.
    """
    shape = _shape(query, reach)
    # The color to compare with is looked up for all workspaces only if rows are filtered or sorted
    # by it. Otherwise it is looked up for the rows of the page.
    is_late = shape.is_compared and _OF_COMPARISON.isdisjoint({query.order, *shape.conditions})
    if is_late:
        shape = replace(shape, is_compared=False)
    statement = _page_statement(shape, query.order, reverse=query.reversed)
    window = {"limit": most, "offset": (query.page - 1) * most}
    found = tx.rows(statement, _values(query, reach, now) | window)
    if not is_late or query.compared_at is None:
        return found
    ids = tuple(row[0] for row in found)
    then = states_at(tx, reach, ids, query.compared_at)
    return [
        (row[0], row[1], then[row[0]][0] if row[0] in then else None, *row[3:]) for row in found
    ]


_OF_COMPARISON: Final = frozenset({Order.TREND, Change.WORSE, Change.BETTER, View.ATTENTION})


def subtotals(
    tx: Transaction, query: PortfolioQuery, reach: Reach, now: Instant
) -> dict[str | None, dict[State, int]]:
    """The number of matching workspaces in each group, by state."""
    found: dict[str | None, dict[State, int]] = {}
    statement = _subtotals_statement(_shape(query, reach))
    for group, state, number in tx.rows(statement, _values(query, reach, now)):
        found.setdefault(group, {})[State(state)] = number
    return found


def states(tx: Transaction, query: PortfolioQuery, reach: Reach, now: Instant) -> dict[State, int]:
    """The number of workspaces in the query's scope, by state."""
    scope = query.scope
    found = tx.rows(_states_statement(_shape(scope, reach)), _values(scope, reach, now))
    return {State(state): number for state, number in found}


def choices(tx: Transaction, reach: Reach) -> tuple[ScopeChoice, ...]:
    """The clients, programmes and owners of the workspaces within `reach`, each kind by name."""
    values = {"reach_account": reach.account_id, "reach_user": reach.user_id}
    return tuple(
        ScopeChoice(row_id, name, number, kind)
        for kind in _CHOOSABLE
        for row_id, name, number in tx.rows(
            _choices_statement(kind, narrowed=reach.user_id is not None), values
        )
    )


def choice(tx: Transaction, reach: Reach, grouping: Grouping, wanted: int) -> str | None:
    """The name of one client, programme or owner of a workspace within `reach`."""
    values = {"reach_account": reach.account_id, "reach_user": reach.user_id, "wanted": wanted}
    narrowed = reach.user_id is not None
    row = tx.row(_choices_statement(grouping, narrowed=narrowed, is_one=True), values)
    return None if row is None else str(row[1])


def owners(tx: Transaction, account_id: int, workspace_ids: tuple[int, ...]) -> dict[int, int]:
    """The owner of each of these workspaces: the team lead on its provider side.

    If a workspace has several, the one with the lowest user id.
    """
    values = {"reach_account": account_id, "workspace_ids": workspace_ids}
    return dict(map(tuple, tx.rows(_OWNERS, values)))


def groups(
    tx: Transaction, account_id: int, workspace_ids: tuple[int, ...]
) -> list[tuple[int, WorkspaceGroup]]:
    """Pairs of a workspace id and a group that the workspace is in, sorted by group name."""
    values = {"reach_account": account_id, "workspace_ids": workspace_ids}
    return [(row[0], GROUPS.read(row[1:])) for row in tx.rows(_GROUPS_OF, values)]


def states_at(
    tx: Transaction,
    reach: Reach,
    workspace_ids: tuple[int, ...],
    time: Instant,
    category: Category | None = None,
) -> dict[int, tuple[State, Instant, Instant | None, bool]]:
    """The state of these workspaces, or of one category in them, at a time.

    Only workspaces that had a report at that time are included. Each has its state, when that was
    reported, when the report was last changed (None: never), and whether the next report was
    overdue.
    """
    values = {"reach_account": reach.account_id, "as_of": time, "workspace_ids": workspace_ids}
    narrowed = reach.user_id is not None
    if narrowed:
        values["reach_user"] = reach.user_id
    return {
        workspace_id: (
            State.NONE if color is None else State(color),
            Instant(reported_at),
            None if updated_at == reported_at else Instant(updated_at),
            overdue_at is not None and overdue_at <= time,
        )
        for workspace_id, color, reported_at, updated_at, overdue_at in tx.rows(
            _states_at_statement(category, narrowed=narrowed), values
        )
    }


class Shape(msgspec.Struct, frozen=True):
    """What the text of a statement depends on."""

    scope: tuple[str, ...]
    conditions: tuple[str, ...]
    category: Category | None
    group: Grouping | None
    in_past: bool
    is_compared: bool
    narrowed: bool


def _shape(query: PortfolioQuery, reach: Reach) -> Shape:
    scope = {
        "text": bool(query.text),
        Grouping.CLIENT: query.client_id is not None,
        Grouping.PROGRAMME: query.programme_id is not None,
        Grouping.OWNER: query.owner_id is not None,
    }
    asked: dict[str, bool] = {
        "status": query.status is not None,
        "reported": query.category is not None and query.category_status is None,
        "category": query.category is not None and query.category_status is not None,
        **{view.value: query.view is view for view in View},
        **{change.value: query.change is change for change in Change},
    }
    return Shape(
        scope=tuple(name for name, is_asked in scope.items() if is_asked),
        conditions=tuple(name for name, is_asked in asked.items() if is_asked),
        category=query.category,
        group=query.group,
        in_past=query.as_of is not None,
        is_compared=query.compared_at is not None,
        narrowed=reach.user_id is not None,
    )


def _values(query: PortfolioQuery, reach: Reach, now: Instant) -> dict[str, Any]:
    at = now if query.as_of is None else query.as_of
    values = {
        "reach_account": reach.account_id,
        "reach_user": reach.user_id,
        "as_of": at,
        "today": day_of(at).isoformat(),
        "new_after": at - NEW_FOR_US,
        "compared_at": query.compared_at,
        "status": query.status,
        "category_status": query.category_status,
        Grouping.CLIENT: query.client_id,
        Grouping.PROGRAMME: query.programme_id,
        Grouping.OWNER: query.owner_id,
    }
    if query.text:
        scope = _told_in(in_past=query.as_of is not None)
        values |= words.asked(reach.account_id, WordsIn.TITLE, "in_title", query.text)
        values |= words.asked(reach.account_id, scope, "in_report", query.text)
    return {str(name): value for name, value in values.items() if value is not None}


def _told_in(*, in_past: bool) -> WordsIn:
    """The scope in which words of reports are searched: current reports, unless in the past."""
    return WordsIn.REPORT if in_past else WordsIn.CURRENT


def _color(column: ColumnElement[Any]) -> ColumnElement[str]:
    return func.coalesce(column, State.NONE.value)


def _placed(column: ColumnElement[Any], places: dict[Any, int]) -> ColumnElement[int]:
    """The number that `places` gives to the column's value; -1 if it gives none."""
    return case(
        *((column == key.value, literal(place, Integer)) for key, place in places.items()),
        else_=literal(-1, Integer),
    )


def _conditions(shape: Shape, kept: Kept) -> dict[str, Condition]:
    severity = _placed(kept["color"], SEVERITY)
    before = _placed(kept["previous_color"], SEVERITY)
    known = kept["previous_color"].is_not(None)
    worse = and_(known, severity > before)
    overdue = kept["overdue_at"] <= bindparam("as_of", type_=BigInteger)
    conditions = {
        "status": _color(kept["color"]) == bindparam("status", type_=Text),
        View.OVERDUE: func.coalesce(overdue, _FALSE),
        View.PAST_DUE: func.coalesce(kept["due_date"] < bindparam("today", type_=Text), _FALSE),
        View.ATTENTION: or_(
            func.coalesce(kept["color"] == literal_column(f"'{Color.RED}'"), _FALSE),
            func.coalesce(worse, _FALSE),
            func.coalesce(overdue, _FALSE),
        ),
        Change.WORSE: worse,
        Change.BETTER: and_(known, severity < before),
        Change.NEW: kept["created_at"] > bindparam("new_after", type_=BigInteger),
        "text": or_(
            words.with_words(kept["workspace_id"], WordsIn.TITLE, "in_title"),
            words.with_words(kept["report_id"], _told_in(in_past=shape.in_past), "in_report"),
        ),
        Grouping.CLIENT: _is_in_group(kept, Grouping.CLIENT),
        Grouping.PROGRAMME: _is_in_group(kept, Grouping.PROGRAMME),
        Grouping.OWNER: select(literal_column("1"))
        .where(*_is_lead(kept["workspace_id"]), _leads.c.user_id == bindparam("owner"))
        .exists(),
    }
    if shape.category is not None:
        color = kept[color_column(shape.category)]
        conditions["reported"] = color.is_not(None)
        conditions["category"] = _color(color) == bindparam("category_status", type_=Text)
    return conditions


_FALSE: Final[ColumnElement[bool]] = literal_column("(0 = 1)")


def _is_in_group(kept: Kept, name: Grouping) -> Condition:
    g = group_workspaces.c
    return (
        select(literal_column("1"))
        .join_from(group_workspaces, workspace_groups, _IS_GROUP)
        .where(
            in_account(group_workspaces),
            _IS_COMPANY[name],
            g.group_id == bindparam(name.value, type_=BigInteger),
            g.workspace_id == kept["workspace_id"],
        )
        .exists()
    )


def _is_lead(workspace_id: ColumnElement[Any]) -> list[Condition]:
    p = _leads.c
    return [
        in_account(_leads),
        p.workspace_id == workspace_id,
        p.side == literal_column(f"'{Side.PROVIDER}'"),
        p.team_lead == literal_column("1"),
    ]


# An alias, because the caller's own participations may be joined too.
_leads: Final = participations.alias("leads")


def _from(shape: Shape, *, lateral: bool, reads_workspaces: bool) -> tuple[FromClause, Kept]:
    """The FROM clause and its columns; for the present, one narrow row for each workspace."""
    origin, kept = current.standing(as_of=shape.in_past, lateral=lateral, narrowed=shape.narrowed)
    if (reads_workspaces or shape.is_compared) and not shape.in_past:
        its = and_(in_account(workspaces), workspaces.c.id == kept["workspace_id"])
        origin = origin.join(workspaces, its)
    if shape.narrowed:
        its = participations.c.workspace_id == kept["workspace_id"]
        origin = origin.join(participations, its)
    if shape.is_compared:
        kept = {**kept, "previous_color": current.color_at("compared_at", narrowed=shape.narrowed)}
    return origin, kept


def _seen(shape: Shape, kept: Kept) -> list[Condition]:
    """The workspace is not archived, and the user may see its reports."""
    table = workspaces if shape.in_past else current_reports
    return [
        in_account(table),
        kept["archived"] == 0,
        *([current.existed(kept)] if shape.in_past else []),
        *([in_reach] if shape.narrowed else []),
    ]


@lru_cache(maxsize=256)
def _totals_statement(shape: Shape) -> Statement:
    return Statement(_totals(shape, lateral=False), postgres=_totals(shape, lateral=True))


def _totals(shape: Shape, *, lateral: bool) -> Select[Any]:
    origin, kept = _from(shape, lateral=lateral, reads_workspaces=False)
    seen = _seen(shape, kept)
    if lateral and (shape.in_past or shape.is_compared):
        # Otherwise PostgreSQL looks up the previous color again for each count that needs it: the
        # page took 207 ms instead of 109 ms at 10,000 workspaces.
        names = {*_COUNTED, *(() if shape.category is None else (color_column(shape.category),))}
        one_each = select(*(kept[name].label(name) for name in sorted(names)))
        once = one_each.select_from(origin).where(*seen).cte("once").prefix_with("MATERIALIZED")
        origin, kept, seen = once, dict(once.c), []
    conditions = _conditions(shape, kept)
    color = _color(kept["color"])
    counted: list[Condition] = [
        *(color == literal_column(f"'{state}'") for state in State),
        conditions[View.OVERDUE],
        conditions[View.PAST_DUE],
        conditions[View.ATTENTION],
        conditions[Change.WORSE],
        conditions[Change.NEW],
        func.coalesce(kept["previous_color"], kept["color"]) == literal_column(f"'{Color.RED}'"),
        and_(literal(value=True), *(conditions[name] for name in shape.conditions)),
    ]
    numbers: list[ColumnElement[Any]] = [_number_of(one) for one in counted]
    newest = func.coalesce(func.max(kept["created_at"]), 0)
    scope = [conditions[name] for name in shape.scope]
    found = select(func.count(), *numbers, newest).select_from(origin)
    return found.where(*seen, *scope)


# The columns that totals need, in addition to the color of a category.
_COUNTED: Final = (
    "workspace_id",
    "report_id",
    "created_at",
    "color",
    "previous_color",
    "overdue_at",
    "due_date",
)


def _number_of(condition: Condition) -> ColumnElement[Any]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


@lru_cache(maxsize=64)
def _before_statement(shape: Shape) -> Statement:
    return Statement(_before(shape, lateral=False), postgres=_before(shape, lateral=True))


def _before(shape: Shape, *, lateral: bool) -> Select[Any]:
    origin, kept = _from(shape, lateral=lateral, reads_workspaces=False)
    conditions = _conditions(shape, kept)
    red = _color(kept["color"]) == literal_column(f"'{Color.RED}'")
    counted = (red, conditions[View.OVERDUE], conditions[View.PAST_DUE])
    numbers: list[ColumnElement[Any]] = [_number_of(one) for one in counted]
    return (
        select(*numbers)
        .select_from(origin)
        .where(*_seen(shape, kept), *(conditions[name] for name in shape.scope))
    )


@lru_cache(maxsize=256)
def _page_statement(shape: Shape, order: Order, *, reverse: bool) -> Statement:
    return Statement(
        _page(shape, order, reverse=reverse, lateral=False),
        postgres=_page(shape, order, reverse=reverse, lateral=True),
    )


def _page(shape: Shape, order: Order, *, reverse: bool, lateral: bool) -> Select[Any]:
    origin, kept = _from(shape, lateral=lateral, reads_workspaces=order is Order.TITLE)
    group, group_key = _group(shape.group, kept)
    # Workspaces without a group come last.
    of_group = (
        [] if shape.group is None else [case((group_key.is_(None), 1), else_=0), group_key, group]
    )
    keys = [*_keys(order, kept), kept["workspace_id"]]
    names = ("workspace_id", "report_id", "previous_color", "overdue_at")
    return (
        select(*(kept[name] for name in names), group.label("of_group"))
        .select_from(origin)
        .where(*_seen(shape, kept), *_matching(shape, kept))
        .order_by(
            *of_group,
            *(key.desc() if reverse else key.asc() for key in keys),
        )
        .limit(bindparam("limit"))
        .offset(bindparam("offset"))
    )


def _matching(shape: Shape, kept: Kept) -> list[Condition]:
    conditions = _conditions(shape, kept)
    return [conditions[name] for name in (*shape.scope, *shape.conditions)]


def _group(group: Grouping | None, kept: Kept) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """The name of the group that a workspace is listed under, and the sort key of that name.

    If the workspace is in several groups, the first one.
    """
    match group:
        case None:
            return null(), null()
        case Grouping.STATUS:
            color = _color(kept["color"])
            return color, _placed(color, _FIRST_ON_TOP)
        case Grouping.OWNER:
            name, key = users.c.full_name, users.c.name_key
            its = select(name).join_from(_leads, users, users.c.id == _leads.c.user_id)
            its = its.where(*_is_lead(kept["workspace_id"]))
        case _:
            name, key = workspace_groups.c.name, workspace_groups.c.name_key
            its = select(name).join_from(group_workspaces, workspace_groups, _IS_GROUP)
            its = its.where(
                in_account(group_workspaces),
                group_workspaces.c.workspace_id == kept["workspace_id"],
                _IS_COMPANY[group],
            )
    first = its.order_by(key, name).limit(literal_column("1"))
    return first.scalar_subquery(), first.with_only_columns(key).scalar_subquery()


_IS_GROUP: Final = and_(
    in_account(workspace_groups), workspace_groups.c.id == group_workspaces.c.group_id
)
_IS_COMPANY: Final = {
    Grouping.CLIENT: workspace_groups.c.company == literal_column("1"),
    Grouping.PROGRAMME: workspace_groups.c.company == literal_column("0"),
}


@lru_cache(maxsize=64)
def _subtotals_statement(shape: Shape) -> Statement:
    return Statement(
        _counted(shape, by_group=True, lateral=False),
        postgres=_counted(shape, by_group=True, lateral=True),
    )


@lru_cache(maxsize=64)
def _states_statement(shape: Shape) -> Statement:
    return Statement(
        _counted(shape, by_group=False, lateral=False),
        postgres=_counted(shape, by_group=False, lateral=True),
    )


def _counted(shape: Shape, *, by_group: bool, lateral: bool) -> Select[Any]:
    """The number of matching workspaces by state and, if `by_group`, by group."""
    origin, kept = _from(shape, lateral=lateral, reads_workspaces=False)
    columns = [_color(kept["color"]).label("of_state")]
    if by_group:
        columns.insert(0, _group(shape.group, kept)[0].label("of_group"))
    one_each = (
        select(*columns)
        .select_from(origin)
        .where(*_seen(shape, kept), *_matching(shape, kept))
        .subquery()
    )
    return select(*one_each.c, func.count()).group_by(*one_each.c)


_CHOOSABLE: Final = (Grouping.CLIENT, Grouping.PROGRAMME, Grouping.OWNER)


@lru_cache
def _choices_statement(grouping: Grouping, *, narrowed: bool, is_one: bool = False) -> Statement:
    g, workspace_id = group_workspaces.c, current_reports.c.workspace_id
    origin: FromClause = current_reports
    if narrowed:
        origin = origin.join(participations, participations.c.workspace_id == workspace_id)
    row_id, name, key = (workspace_groups.c[one] for one in ("id", "name", "name_key"))
    if grouping is Grouping.OWNER:
        row_id, name, key = (users.c[one] for one in ("id", "full_name", "name_key"))
        origin = origin.join(_leads, and_(*_is_lead(workspace_id)))
        origin = origin.join(users, users.c.id == _leads.c.user_id)
    else:
        its = and_(in_account(group_workspaces), g.workspace_id == workspace_id)
        origin = origin.join(group_workspaces, its)
        origin = origin.join(workspace_groups, and_(_IS_GROUP, _IS_COMPANY[grouping]))
    return Statement(
        select(row_id, name, func.count())
        .select_from(origin)
        .where(
            in_account(current_reports),
            current_reports.c.archived == literal_column("0"),
            *([in_reach] if narrowed else []),
            *([row_id == bindparam("wanted", type_=BigInteger)] if is_one else []),
        )
        .group_by(row_id, name, key)
        .order_by(key, row_id)
        .limit(literal_column(str(_MOST_CHOICES)))
    )


_OWNERS: Final = Statement(
    select(_leads.c.workspace_id, func.min(_leads.c.user_id))
    .where(
        in_account(_leads),
        among(_leads.c.workspace_id, "workspace_ids"),
        _leads.c.side == literal_column(f"'{Side.PROVIDER}'"),
        _leads.c.team_lead == literal_column("1"),
    )
    .group_by(_leads.c.workspace_id)
)
_GROUPS_OF: Final = Statement(
    select(group_workspaces.c.workspace_id, *GROUPS.columns)
    .join_from(group_workspaces, workspace_groups, _IS_GROUP)
    .where(in_account(group_workspaces), among(group_workspaces.c.workspace_id, "workspace_ids"))
    .order_by(workspace_groups.c.name_key, workspace_groups.c.id)
)


def _keys(order: Order, kept: Kept) -> list[ColumnElement[Any]]:
    worst = _placed(_color(kept["color"]), _FIRST_ON_TOP)
    # A workspace without a report counts as the oldest.
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
        Order.DUE: [func.coalesce(kept["due_date"], _NO_DATE), worst],
    }
    return keys[order]


_CATEGORIES: Final = {Order(category.lower()): category for category in Category}


@lru_cache
def _states_at_statement(category: Category | None, *, narrowed: bool) -> Statement:
    return Statement(
        _states_at(category, lateral=False, narrowed=narrowed),
        postgres=_states_at(category, lateral=True, narrowed=narrowed),
    )


def _states_at(category: Category | None, *, lateral: bool, narrowed: bool) -> Select[Any]:
    origin, kept = current.standing(as_of=True, lateral=lateral, narrowed=narrowed)
    color = kept["color" if category is None else color_column(category)]
    return (
        select(workspaces.c.id, color, kept["created_at"], kept["updated_at"], kept["overdue_at"])
        .select_from(origin)
        .where(
            in_account(workspaces),
            among(workspaces.c.id, "workspace_ids"),
            kept["report_id"].is_not(None),
        )
    )
