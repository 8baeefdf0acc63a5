"""Every statement restricts each table that grows to one account, by a bound parameter.

The keys of these tables also allow a distributed PostgreSQL (Citus) to store each account in one
place.
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from itertools import product
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import (
    Alias,
    BindParameter,
    Column,
    CompoundSelect,
    Delete,
    ForeignKeyConstraint,
    FromClause,
    Insert,
    Join,
    Select,
    Table,
    UniqueConstraint,
    Update,
    bindparam,
    exists,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, ClauseElement
from sqlalchemy.sql.selectable import CTE, Lateral, Subquery

import healthreports.store
from effort import effort
from healthreports.core.portfolio import Change, Grouping, Order, View
from healthreports.core.query import Sort
from healthreports.core.vocabulary import Category, Kind
from healthreports.store.auth import audit
from healthreports.store.engine.statement import Statement
from healthreports.store.lists import counters, counts, portfolio, statements, tallies
from healthreports.store.lists.plans import merge, terms
from healthreports.store.lists.report_query import AFTER_ID, HAS_NOT
from healthreports.store.lists.selections import SELECTIONS, Beside
from healthreports.store.lists.statements import Rows
from healthreports.store.schema.tables import metadata, participations, status_reports, workspaces

# -- the tables

GROWING = {table for table in metadata.tables.values() if "account_id" in table.primary_key.columns}


@pytest.mark.parametrize("table", sorted(GROWING, key=str), ids=str)
def test_the_account_is_part_of_every_key_of_a_table_that_grows(table: Table) -> None:
    assert next(iter(table.primary_key.columns)).name == "account_id"
    for one in table.constraints:
        if isinstance(one, UniqueConstraint):
            assert "account_id" in one.columns
    for index in table.indexes:
        assert next(iter(index.columns)).name == "account_id"


def all_foreign_keys() -> list[ForeignKeyConstraint]:
    keys = [key for table in metadata.tables.values() for key in table.foreign_key_constraints]
    return sorted(keys, key=lambda key: (key.table.name, str(key.name)))


def name_of(key: ForeignKeyConstraint) -> str:
    return f"{key.table.name}, {', '.join(key.column_keys)}"


@pytest.mark.parametrize("key", all_foreign_keys(), ids=name_of)
def test_what_refers_to_a_table_that_grows_stays_in_the_account(key: ForeignKeyConstraint) -> None:
    if key.referred_table not in GROWING:
        return  # a distributed database has such a table in every place
    assert key.table in GROWING
    assert ("account_id", "account_id") in {
        (element.parent.name, element.column.name) for element in key.elements
    }


def test_the_tables_that_grow_are_those_that_hold_reports_and_what_belongs_to_them() -> None:
    """No other test would notice a table that is in this set by mistake."""
    assert {table.name for table in GROWING} == {
        "account_versions",
        "workspaces",
        "participations",
        "status_reports",
        "external_references",
        "report_counts",
        "report_blocks",
        "report_terms",
        "imports",
        "current_reports",
        "workspace_groups",
        "group_workspaces",
        "report_versions",
        "deleted_reports",
        "purges",
        "idempotency_keys",
        "saved_views",
        "drafts",
        "audit_events",
    }


# -- what a statement lacks

DIALECT = sqlite.dialect()
COMPILER = DIALECT.statement_compiler(DIALECT, None)


def lacking(statement: ClauseElement) -> list[str]:
    """The tables that grow and that a statement uses without a bound account."""
    return list(_lacking(statement, frozenset()))


def _lacking(element: Any, around: frozenset[FromClause]) -> Iterator[str]:
    """`around` are the tables of the statements around `element`, which are already checked."""
    if isinstance(element, Select):
        yield from _in_select(element, around)
    elif isinstance(element, (Subquery, CTE, Lateral, CompoundSelect)):
        inner = around if isinstance(element, (Lateral, CompoundSelect)) else frozenset()
        # SQLAlchemy may keep a subquery inside the lateral element.
        kept = element.element if isinstance(element, Lateral) else element
        for child in (kept if isinstance(kept, Subquery) else element).get_children():
            yield from _lacking(child, inner)
    elif isinstance(element, (Update, Delete)):
        yield from _unless_bound([element.table], element._where_criteria)  # noqa: SLF001  no other way
        for one in element._where_criteria:  # noqa: SLF001  as above
            yield from _lacking(one, frozenset([element.table]))
    elif isinstance(element, Insert):
        if element.table in GROWING and element.select is not None:
            yield from _lacking(element.select, frozenset())
    else:
        for child in element.get_children():
            if not isinstance(child, (Table, Alias)):
                yield from _lacking(child, around)


def _in_select(element: Select[Any], around: frozenset[FromClause]) -> Iterator[str]:
    tables: list[FromClause] = []
    conditions = list(element._where_criteria)  # noqa: SLF001  no other way
    beside: list[Any] = []
    # `get_final_froms` would use a compiler that knows neither database.
    state = element._compile_state_factory(element, COMPILER)  # noqa: SLF001  as above
    for origin in state._get_display_froms():  # noqa: SLF001  as above
        _take_apart(origin, tables, conditions, beside)
    yield from _unless_bound([one for one in tables if one not in around], conditions)
    inner = around | frozenset(tables)
    for one in beside:
        yield from _lacking(one, inner)
    for one in (*conditions, *element._raw_columns, *element._order_by_clauses):  # noqa: SLF001  as above
        if not isinstance(one, FromClause):
            yield from _lacking(one, inner)


def _take_apart(
    origin: FromClause, tables: list[FromClause], conditions: list[Any], beside: list[Any]
) -> None:
    if isinstance(origin, Join):
        _take_apart(origin.left, tables, conditions, beside)
        _take_apart(origin.right, tables, conditions, beside)
        conditions.append(origin.onclause)
    elif isinstance(origin, (Subquery, CTE, Lateral)):
        beside.append(origin)
    else:
        tables.append(origin)


def _unless_bound(tables: list[FromClause], conditions: Any) -> Iterator[str]:
    bound = {
        id(side.table)
        for condition in conditions
        for one in _parts(condition)
        if isinstance(one, BinaryExpression) and one.operator is operators.eq
        for side, other in ((_shown(one.left), one.right), (one.right, one.left))
        if isinstance(side, Column) and side.name == "account_id"
        if isinstance(other, BindParameter)
    }
    for table in tables:
        origin = table.element if isinstance(table, Alias) else table
        if origin in GROWING and id(table) not in bound:
            yield str(table.name)


def _shown(side: Any) -> Any:
    """The column, if an addition hides it from SQLite's indexes; else `side` itself."""
    is_hidden = isinstance(side, BinaryExpression) and side.operator is operators.add
    return side.left if is_hidden else side


def _parts(condition: Any) -> Iterator[Any]:
    """The conditions that are combined by AND."""
    if isinstance(condition, BooleanClauseList) and condition.operator is operators.and_:
        for part in condition.clauses:
            yield from _parts(part)
    else:
        yield condition


own = participations.alias("own")
here = status_reports.c.account_id == bindparam("a")
there = exists().where(own.c.workspace_id == status_reports.c.workspace_id)
WRONG = {
    "no condition": (select(status_reports), ["status_reports"]),
    "by a join alone": (
        select(workspaces.c.id)
        .join_from(status_reports, workspaces, here & (workspaces.c.id == status_reports.c.id))
        .where(workspaces.c.account_id == status_reports.c.account_id),
        ["workspaces"],
    ),
    "one of two": (
        select(status_reports).where(here | (status_reports.c.id == 1)),
        ["status_reports"],
    ),
    "not that account": (
        select(status_reports).where(status_reports.c.account_id != bindparam("a")),
        ["status_reports"],
    ),
    "an alias": (select(own.c.id).where(participations.c.account_id == 1), ["own"]),
    "a subquery": (select(status_reports).where(here, ~there), ["own"]),
    "a subquery that is compared": (
        select(status_reports).where(here, there == bindparam("b")),
        ["own"],
    ),
    "a column": (select(select(func.max(own.c.id)).scalar_subquery()), ["own"]),
    "an order": (select(func.now()).order_by(select(own.c.id).scalar_subquery()), ["own"]),
    "a derived table": (select(select(own.c.id).subquery().c.id), ["own"]),
    "a table that a derived one only looks like": (
        select(status_reports.c.id)
        .where(here)
        .join_from(status_reports, select(status_reports.c.id).subquery("s"), literal(1) == 1),
        ["status_reports"],
    ),
    "one of a union": (
        select(status_reports.c.id).where(here).union_all(select(status_reports.c.id)),
        ["status_reports"],
    ),
    "a common table": (select(select(own.c.id).cte("c").c.id), ["own"]),
    "an update": (update(workspaces).where(workspaces.c.id == 1), ["workspaces"]),
}
WRONG["a copy"] = (
    participations.insert().from_select(["id"], select(own.c.id)),
    ["own"],
)


@pytest.mark.parametrize(("clause", "places"), WRONG.values(), ids=WRONG)
def test_what_lacks_the_account_is_found(clause: Any, places: list[str]) -> None:
    found = lacking(clause)
    # SQLAlchemy may list the outer table again among the tables of a statement inside it.
    assert set(places) <= set(found)


RIGHT = {
    "a condition": select(status_reports).where(here),
    "in a join": select(own.c.id).join_from(
        own, status_reports, here & (own.c.account_id == bindparam("a"))
    ),
    "in a subquery": select(status_reports).where(
        here, ~there.where(own.c.account_id == bindparam("a"))
    ),
    "a table that does not grow": select(metadata.tables["users"]),
}


@pytest.mark.parametrize("clause", RIGHT.values(), ids=RIGHT)
def test_what_has_the_account_is_not_found(clause: Any) -> None:
    assert lacking(clause) == []


# -- all statements


def store_modules() -> list[ModuleType]:
    return [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(healthreports.store.__path__, "healthreports.store.")
        if not found.ispkg
    ]


def ready_statements() -> dict[str, Statement]:
    """The statements that modules make when they are imported."""
    found = {}
    for module in store_modules():
        short = module.__name__.rpartition(".")[2]
        for name, value in vars(module).items():
            many = value if isinstance(value, tuple) else (value,)
            for number, one in enumerate(many):
                if isinstance(one, Statement):
                    found[f"{short}.{name}{f' {number}' if one is not value else ''}"] = one
    return found


REPORT_FILTERS = (
    *SELECTIONS[Kind.STATUS_REPORTS].filters,
    *SELECTIONS[Kind.STATUS_REPORTS].on_reference,
)
IN_A_LIST = tuple(name for name in REPORT_FILTERS if name != "workspace_id")
EXTRA = (AFTER_ID, HAS_NOT)
SORTS = tuple(
    Sort(name, descending=descending)
    for name in ("id", "created_at", "updated_at")
    for descending in (False, True)
)
KINDS = list(SELECTIONS)
NAMES = ((), *((name,) for name in (*IN_A_LIST, *EXTRA)), (*IN_A_LIST, *EXTRA))
EITHER = (False, True)

# The possible values of each parameter of a maker, by its name.
SHAPES = tuple(
    portfolio.Shape(scope, conditions, Category.BUDGET, group, in_past, is_compared, narrowed)
    for scope, conditions in (
        ((), ()),
        (("text", *list(Grouping)[:3]), ("status", "reported", "category", *View, *Change)),
    )
    for in_past in EITHER
    for narrowed in EITHER
    # Each grouping once, sometimes with a comparison.
    for group, is_compared in ((None, in_past), (tuple(Grouping)[2 * in_past + narrowed], True))
)
CHOICES: dict[str, tuple[Any, ...]] = {
    "names": NAMES,
    "sort": SORTS,
    "size": (1, 4),
    "number": (1, 4),
    "rows": tuple(Rows),
    "column": ("created_at", "updated_at"),
    "narrowed": EITHER,
    "limited": EITHER,
    "bounded": EITHER,
    "by_filter": EITHER,
    "finding": EITHER,
    "order": tuple(Order),
    "reverse": EITHER,
    "shape": SHAPES,
    "category": (None, Category.BUDGET),
    "grouping": tuple(Grouping)[:3],
    "is_one": EITHER,
}
# The values of parameters that depend on each other.
TOGETHER: dict[str, list[dict[str, Any]]] = {
    **{
        f"audit.{name}": [{"names": names} for names in ((), *((one,) for one in audit.FILTERS))]
        for name in ("_page_statement", "_count_statement")
    },
    "statements.page_statement": [
        {"kind": kind, "names": names, "sort": Sort(sort)}
        for kind in KINDS
        for sort in SELECTIONS[kind].sorts
        for names in ((), (*SELECTIONS[kind].filters, *SELECTIONS[kind].on_reference))
    ],
    # Each order once, each shape once.
    "portfolio._page_statement": [
        *({"shape": SHAPES[0], "order": order, "reverse": False} for order in Order),
        *({"shape": shape, "order": Order.TITLE, "reverse": True} for shape in SHAPES),
    ],
    "statements.count_statement": [
        {"kind": kind, "names": names}
        for kind in KINDS
        for names in ((), (*SELECTIONS[kind].filters, *SELECTIONS[kind].on_reference))
    ],
    "sums._among_statement": [
        {"kind": Kind.WORKSPACES, "classes": frozenset({0}), "name": "except"},
        {"kind": Kind.USERS, "classes": frozenset({0, 1}), "name": "without_users"},
    ],
    "sums._within_statement": [
        {"kind": kind, "classes": classes, "name": name}
        for kind, tally in tallies.TALLIES.items()
        for name in tally.times
        if not name.endswith("_date")
        for classes in (frozenset({0}), frozenset({0, 1}))
    ],
    "statements.by_ids_statement": [{"kind": kind} for kind in KINDS],
    "statements.beside_statement": [
        {"kind": kind, "name": name}
        for kind in KINDS
        for name, one in SELECTIONS[kind].associations.items()
        if isinstance(one, Beside)
    ],
    "statements.beside_count_statement": [
        {"kind": kind, "name": name}
        for kind in KINDS
        for name, one in SELECTIONS[kind].associations.items()
        if isinstance(one, Beside)
    ],
    "seek.stretches_statement": [
        {"sort": sort, "shift": shift}
        for sort in SORTS
        for shift in (counters.BLOCK_SHIFTS if sort.name == "id" else counters.TIME_SHIFTS)
    ],
}


def makers() -> dict[str, Any]:
    """The functions that make statements and cache them."""
    return {
        f"{module.__name__.rpartition('.')[2]}.{name}": one
        for module in store_modules()
        for name, one in vars(module).items()
        if hasattr(one, "cache_clear")
        and one.__module__ == module.__name__
        and inspect.signature(one).return_annotation in {Statement, "Statement"}
    }


def choices_of(name: str, maker: Any) -> Iterator[dict[str, Any]]:
    """All arguments that a maker may be called with."""
    for given in TOGETHER.get(name, [{}]):
        open_names = [one for one in inspect.signature(maker).parameters if one not in given]
        for values in product(*(CHOICES[one] for one in open_names)):
            yield given | dict(zip(open_names, values, strict=True))


# The statements that lack the account, and why they may.
MAY_LACK = {
    "workspaces._ACCOUNT_OF_WORKSPACE": "the command line names a workspace alone",
    "words.EMPTY": "rebuild goes through everything",
    "words._OPEN_TERMS": "differences goes through everything",
    "words._SOME_TERMS": "differences goes through everything",
    "words._CLOSE_TERMS": "differences goes through everything",
    **{
        name: "rebuild and differences go through everything"
        for name, one in ready_statements().items()
        if name.startswith("verify.") and (lacking(one.clause) or isinstance(one.clause, Delete))
    },
}


def assert_account_leads(statement: Statement) -> None:
    assert lacking(statement.clause) == [], statement.for_sqlite.text
    assert lacking(statement.postgres) == [], statement.for_postgres.text
    assert "account_id + 0" not in statement.for_postgres.text
    if isinstance(statement.postgres, Insert) and statement.postgres.table in GROWING:
        _, _, listed = statement.for_postgres.text.partition("(")
        assert "account_id" in listed.partition(")")[0].split(", ")


@pytest.mark.parametrize("name", sorted(ready_statements()))
def test_a_statement_has_the_account_of_every_table_that_grows(name: str) -> None:
    statement = ready_statements()[name]
    if name in MAY_LACK:
        assert lacking(statement.clause) or not isinstance(statement.clause, Select)
    else:
        assert_account_leads(statement)


@pytest.mark.parametrize("name", sorted(makers()))
def test_a_made_statement_has_the_account_of_every_table_that_grows(name: str) -> None:
    maker = makers()[name]
    made = list(choices_of(name, maker))
    assert made
    # Of a maker with thousands of statements, only every so many; make fuzz tests all.
    every = max(1, len(made) // effort(40, 1_000_000).max_examples)
    for arguments in made[::every]:
        assert_account_leads(maker.__wrapped__(**arguments))


def test_no_exception_is_left_over() -> None:
    assert MAY_LACK.keys() <= ready_statements().keys()


# Calls that make statements, and the functions that do so without being a caching maker.
MAKES = {"Statement", "insertion", "replacement", "deletion"}
ON_THE_FLY = {
    ("statement", "insertion"),
    ("statement", "replacement"),
    ("statement", "deletion"),
    ("merge", "__init__"),  # for a part of a statement that a maker makes
    ("verify", "_wrong_blocks"),  # for `differences`, which reads everything
    ("verify", "_some"),  # as above
}


def test_statements_are_made_at_import_or_by_makers_that_keep_them() -> None:
    """Therefore the tests above cover all of them."""
    found = set()
    kept = set(makers())
    for module in store_modules():
        short = module.__name__.rpartition(".")[2]
        for function in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(function, ast.FunctionDef) and f"{short}.{function.name}" not in kept:
                for call in ast.walk(function):
                    if isinstance(call, ast.Call) and ast.unparse(call.func) in MAKES:
                        found.add((short, function.name))
    assert found == ON_THE_FLY


def test_the_modules_that_lists_are_made_of_have_makers() -> None:
    """Otherwise `makers` would not collect all of them."""
    for module, least in ((merge, 2), (terms, 4), (counts, 3), (statements, 4)):
        short = module.__name__.rpartition(".")[2]
        assert sum(name.startswith(f"{short}.") for name in makers()) >= least
