"""No statement of a list reads more if there are many times more reports."""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from math import isqrt
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from filling import NUMBERS, Run, filled
from watched import OnPostgres, OnSqlite, Seen

from healthreports.core.access import Reach
from healthreports.core.query import Filter, FilterValue, Query, Sort, Window
from healthreports.core.vocabulary import Kind
from healthreports.store.engine import sqlite
from healthreports.store.engine.database import Version
from healthreports.store.engine.statement import Statement
from healthreports.store.lists import counts, plans, report_query
from healthreports.store.lists import pages as records
from healthreports.store.schema.upgrade import is_server

FEW_REPORTS, MANY_REPORTS = 10_000, 120_000
IN_A_WORKSPACE = 100
# The same number at both sizes (most are empty in the smaller one), so that a user who sees many
# workspaces sees many in both.
WORKSPACES = MANY_REPORTS // IN_A_WORKSPACE
# Users, named by the number of workspaces that they participate in.
IN_FIFTY, IN_HUNDREDS = 2, 3
PLACES = {IN_FIFTY: 50, IN_HUNDREDS: 600}
FIRST_AT = 1_600_000_000_000_000
SPAN_US = 5 * 365 * 86_400 * 1_000_000

# -- the data

# Workspaces with odd ids belong to the first account, so it has half of all.
ACCOUNT = "CASE WHEN {0} % 2 = 1 THEN 1 ELSE 2 + ({0} / 2) % 4 END"
FILL = (
    (
        "INSERT INTO accounts (id, title, name, created_at) "
        "{numbers} SELECT i, 'A', 'a' || i, 0 FROM n WHERE i < 6"
    ),
    "INSERT INTO account_versions (account_id, version, reshaped) SELECT id, 0, 0 FROM accounts",
    """INSERT INTO users (id, account_id, full_name, email_address, created_at)
    {numbers} SELECT i, 1, 'U', 'u' || i, 0 FROM n WHERE i < 4""",
    f"""INSERT INTO workspaces (account_id, id, creator_id, title, archived, access_level,
      clients_see_status_reports, created_at, updated_at)
    {{numbers}} SELECT {ACCOUNT.format("i")}, i, NULL, 'W', 0, 'invitation', 0, 0, 0
    FROM n WHERE i <= {WORKSPACES}""",
    *(
        f"""INSERT INTO participations (account_id, id, workspace_id, user_id, side, permission,
          team_lead, created_at, updated_at)
        {{numbers}} SELECT 1, {user} * 1000 + i, 2 * i - 1, {user}, 'provider', 'edit', 0, 0, 0
        FROM n WHERE i <= {number}"""
        for user, number in PLACES.items()
    ),
    f"""INSERT INTO status_reports (account_id, id, workspace_id, creator_id, color, description,
      budget_color, created_at, updated_at)
    {{numbers}}, w(i, workspace_id) AS (SELECT i, 1 + i % {{full}} FROM n)
    SELECT {ACCOUNT.format("workspace_id")}, i, workspace_id, 1,
      CASE WHEN i % 200 = 1 THEN 'red' WHEN i % 20 = 1 THEN 'yellow' ELSE 'green' END,
      'All is well. Number ' || i, CASE WHEN i % 400 = 1 THEN 'red' ELSE 'green' END,
      {FIRST_AT} + i * {{step}}, {FIRST_AT} + i * {{step}} +
      CASE WHEN i % 7 = 3 THEN (i % 365) * 86400000000 ELSE 0 END FROM w""",
    """INSERT INTO external_references (account_id, id, workspace_id, subject_type, subject_id,
      service_name, service_model, service_model_ref, status, external_status, external_message,
      created_at, updated_at)
    SELECT account_id, id, workspace_id, 'StatusReport', id,
      CASE WHEN id % 7 = 0 THEN 'ledger' ELSE 'tracker' END, 'issue', 'REF-' || id,
      CASE WHEN id % 3 = 0 THEN 'failed' ELSE 'successful' END,
      CASE WHEN id % 11 = 0 THEN 'open' ELSE 'closed' END, 'Synchronised.',
      created_at, created_at
    FROM status_reports WHERE (id + id / {full}) % 10 = 0""",
)


def build(address: str, reports: int) -> str:
    full = reports // IN_A_WORKSPACE
    numbers = NUMBERS[is_server(address)].format(last=reports)

    def fill(run: Run) -> None:
        for text in FILL:
            run(text.format(numbers=numbers, full=full, step=SPAN_US // reports))

    return filled(address, fill)


# -- what a statement does


# The modules that make the statements of a list of status reports.
MODULES = [
    *(
        importlib.import_module(one.name)
        for one in pkgutil.iter_modules(plans.__path__, f"{plans.__name__}.")
    ),
    counts,
    report_query,
]
MAKERS = [
    (module, name)
    for module in MODULES
    for name, one in vars(module).items()
    if hasattr(one, "cache_clear") and one.__module__ == module.__name__
]
# The ways to count that read each report that the best index leaves.
LOOKS = {name for _, name in MAKERS if name.endswith("_count_statement")}
COUNTS = (
    LOOKS
    | {name for module, name in MAKERS if module is counts}
    | {name for name, one in vars(counts).items() if isinstance(one, Statement)}
)


def ready() -> dict[int, str]:
    """The names of the statements that are made at import."""
    return {
        id(one): name
        for module in MODULES
        for name, one in vars(module).items()
        if isinstance(one, Statement)
    }


@contextmanager
def watched_makers() -> Iterator[dict[int, str]]:
    """Yields a dict that records, by the id of each statement, what made it."""
    made = ready()

    def watched(name: str, make: Callable[..., Statement]) -> Callable[..., Statement]:
        @wraps(make)
        def run(*arguments: Any, **options: Any) -> Statement:
            statement = make(*arguments, **options)
            made[id(statement)] = name
            return statement

        return run

    with pytest.MonkeyPatch.context() as patch:
        for module, name in MAKERS:
            patch.setattr(module, name, watched(name, getattr(module, name)))
        yield made


# PostgreSQL's estimate of the cost of planning, for each table of a statement and one more.
PLANNING = 2.5


def settled(own: list[Seen], any_values: list[Seen]) -> list[Seen]:
    """The custom plan of each statement, or the generic one if it would be used and reads more."""
    kept = []
    for mine, general in zip(own, any_values, strict=True):
        tables = 1 + len(re.findall(r"\b(?:FROM|JOIN) \w", mine.text))
        is_kept = general.estimate <= mine.estimate + PLANNING * tables
        kept.append(max(mine, general, key=lambda one: one.cost) if is_kept else mine)
    return kept


# -- the lists


class Case(NamedTuple):
    """A list, as requested by `who`."""

    who: str
    what: str
    query: Query

    def __str__(self) -> str:
        order = f"{self.query.sort.name}{' down' if self.query.sort.descending else ''}"
        return f"{self.who}, {self.what}, by {order}"


WHO = {
    "administrator": Reach(1, None),
    "in fifty": Reach(1, IN_FIFTY),
    "in hundreds": Reach(1, IN_HUNDREDS),
    "one workspace": Reach(1, None),
    "in fifty, one workspace": Reach(1, IN_FIFTY),
    "two workspaces": Reach(1, None),
}
NAMED_WORKSPACES = {
    "one workspace": (7,),
    "in fifty, one workspace": (7,),
    "two workspaces": (7, 9),
}
MIDDLE, EARLY, LATE = (FIRST_AT + SPAN_US * part // 1000 for part in (500, 5, 990))
PREFIX = "external_reference_"
NOBODY = 2**62
NAMED: dict[str, dict[str, FilterValue]] = {
    "all": {},
    **{
        f"{name} {when}": {name: moment}
        for name in report_query.TIME_FILTERS
        for when, moment in (("early", EARLY), ("middle", MIDDLE), ("late", LATE))
    },
    "a day": {"created_after": MIDDLE, "created_before": MIDDLE + 86_400_000_000},
    "created early, updated late": {"created_before": EARLY, "updated_after": LATE},
    "created and updated in the middle": {
        "created_after": MIDDLE - SPAN_US // 100,
        "updated_before": MIDDLE,
    },
    "with references": {"has_external_references": True},
    "without references": {"has_external_references": False},
    "service": {PREFIX + "service_name": "tracker"},
    "model": {PREFIX + "service_model": "issue"},
    "one ref": {PREFIX + "service_model_ref": "REF-2010"},
    "external status": {PREFIX + "external_status": "open"},
    "external message": {PREFIX + "external_message": "Synchronised."},
    "status": {PREFIX + "status": "failed"},
    "nobody's": {PREFIX + "service_name": "nobody's"},
    "some refs": {PREFIX + "service_model_refs": tuple(f"REF-{n}" for n in range(200))},
    "without a service": {"without_external_reference_service_name": "ledger"},
    "two of references": {PREFIX + "service_name": "ledger", PREFIX + "external_status": "open"},
    "service, late": {PREFIX + "service_name": "ledger", "created_after": LATE},
    "without references, late": {"has_external_references": False, "created_after": LATE},
    "green": {"color": ("green",)},
    "red": {"color": ("red",)},
    "red or yellow": {"color": ("red", "yellow")},
    "by one": {"creator_id": (1,)},
    "by nobody": {"creator_id": (NOBODY,)},
    "budget red": {"category_color": "Budget:red"},
    "current": {"current": True},
    "not current": {"current": False},
    "words of few": {"text": "number 2010"},
    "a word of all": {"text": "WELL"},
    "words of few, late": {"text": "number 2010", "created_after": LATE},
    "a word of all, red": {"text": "well", "color": ("red",)},
    "a word of all, current": {"text": "well", "current": True},
    "current and red": {"current": True, "color": ("red",)},
}
ORDERED = (
    "all",
    "created_after late",
    "created_before middle",
    "updated_after middle",
    "service",
    "red",
    "current",
    "words of few",
    "a word of all",
)
SORTS = tuple(
    Sort(name, descending=descending)
    for name in ("id", "created_at", "updated_at")
    for descending in (False, True)
)


def cases() -> Iterator[Case]:
    for who in WHO:
        named = NAMED_WORKSPACES.get(who)
        more: dict[str, FilterValue] = {} if named is None else {"workspace_id": named}
        for name, filters in NAMED.items():
            if who in ("in fifty, one workspace", "two workspaces") and name not in ORDERED:
                continue  # the same as for one workspace
            for sort in SORTS if name in ORDERED else SORTS[:1]:
                asked = tuple(Filter(*one) for one in (more | filters).items())
                yield Case(who, name, Query(Kind.STATUS_REPORTS, asked, sort))
    for who in ("administrator", "in fifty", "in hundreds"):
        for sort in SORTS:
            yield Case(who, "far", Query(Kind.STATUS_REPORTS, (), sort, Window(offset=4_500)))


CASES = tuple(cases())
NO_VERSION = Version(0, 0)


class Ends(NamedTuple):
    """The statements of a list with few reports, and with many."""

    few: list[Seen]
    many: list[Seen]

    def complaints(self, is_wrong: Callable[[Seen], object]) -> str:
        """The wrong statements of the list with many reports."""
        return "\n\n".join(str(one) for one in self.many if is_wrong(one))


class Costs(NamedTuple):
    """How much a statement may read, in the unit of a store.

    It may read `anyway` in every case, `a_row` for each row of the promised bound, and `a_report`
    for each report that must be read to count.
    """

    anyway: int
    a_row: int
    a_report: int


class Pair:
    """Two databases of one store, with few and with many reports."""

    def __init__(self, few: str, many: str, made: dict[int, str]) -> None:
        self.few, self.many = few, many
        self.made = made
        self.costs = Costs(3_000, 4, 8) if is_server(few) else Costs(60_000, 150, 150)
        self.known: dict[Case, Ends] = {}
        self.ways = [self.open(address) for address in (few, many)]

    def open(self, address: str) -> list[Any]:
        if is_server(address):
            plans = ("force_custom_plan", "force_generic_plan")
            return [OnPostgres(address, self.made, one) for one in plans]
        return [OnSqlite(sqlite.connect(Path(address), 1.0), self.made)]

    def ends(self, case: Case) -> Ends:
        if case not in self.known:
            self.known[case] = Ends(*(self.run(way, case) for way in self.ways))
        return self.known[case]

    def run(self, way: list[Any], case: Case) -> list[Seen]:
        each = []
        for tx in way:
            tx.counts.clear()
            tx.seen = []
            records.page(tx, case.query, WHO[case.who], NO_VERSION)
            each.append(tx.seen)
        return settled(*each) if len(each) > 1 else each[0]

    def left(self, case: Case) -> int:
        """How many reports of the larger database the best filter leaves, or the user sees."""
        by: dict[str, list[Filter]] = {}
        for one in case.query.filters:
            by.setdefault(report_query.TIME_FILTERS.get(one.name, one.name), []).append(one)
        counts = [self.count(WHO[case.who], [])]
        counts += [self.count(WHO["administrator"], filters) for filters in by.values()]
        return min(counts)

    def found(self, case: Case) -> int:
        """How many reports of the account have the words that a list searches for."""
        words = [one for one in case.query.filters if one.name == report_query.WORDS]
        return self.count(WHO["administrator"], words)

    def count(self, reach: Reach, filters: list[Filter]) -> int:
        tx = self.ways[1][0]
        return records.page(tx, Query(Kind.STATUS_REPORTS, tuple(filters)), reach, NO_VERSION).count

    def close(self) -> None:
        for way in self.ways:
            for tx in way:
                tx.close()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("plans")
    with watched_makers() as made:
        addresses = []
        for reports in (FEW_REPORTS, MANY_REPORTS):
            if request.param == "sqlite":
                address = str(folder / f"{reports}.sqlite3")
            else:
                address = request.getfixturevalue("cluster").make_database()
            addresses.append(build(address, reports))
        made_pair = Pair(*addresses, made)
        yield made_pair
        made_pair.close()


each_case = pytest.mark.parametrize("case", CASES, ids=str)


# Their input is bounded: a page, what is gathered, the reports with a term, the stretches.
MAY_SORT = {
    "merge_statement",
    "gather_statement",
    "term_statement",
    "any_term_statement",
    "stretches_statement",
}
# The filter is by one time, the order by another: all matches may be at the far end.
AGAINST_EACH_OTHER = {
    ("created_before middle", "updated_at"),
    ("updated_after middle", "created_at"),
    ("created and updated in the middle", "id"),
}


@each_case
def test_a_list_looks_at_no_more_when_there_are_many_times_more_reports(
    pair: Pair, case: Case
) -> None:
    """Four checks in one test, because running the list takes longer than checking it."""
    ends = pair.ends(case)
    assert not ends.complaints(lambda one: one.scans), "a table or an account is gone through"
    assert not ends.complaints(lambda one: one.sorts and one.maker not in MAY_SORT), "sorted"
    if (case.what, case.query.sort.name) not in AGAINST_EACH_OTHER:
        page_is_found_by_the_root_of_what_there_is(pair, case, ends)
    counting_looks_at_no_more_than_what_must_be_looked_at(pair, case, ends)


def page_is_found_by_the_root_of_what_there_is(pair: Pair, case: Case, ends: Ends) -> None:
    window = case.query.window
    promised = isqrt((window.offset + window.limit) * MANY_REPORTS // 2)
    few = sum(one.cost for one in ends.few if one.maker not in COUNTS)
    most = 3 * few + pair.costs.anyway + pair.costs.a_row * promised
    if any(one.name == report_query.WORDS for one in case.query.filters):
        most += pair.costs.a_row * pair.found(case)  # all that have the words are read
    found = [one for one in ends.many if one.maker not in COUNTS]
    assert sum(one.cost for one in found) <= most, "\n\n".join(map(str, found))


def counting_looks_at_no_more_than_what_must_be_looked_at(
    pair: Pair, case: Case, ends: Ends
) -> None:
    few = sum(one.cost for one in ends.few if one.maker in COUNTS)
    counted = [one for one in ends.many if one.maker in COUNTS]
    most = 3 * few + pair.costs.anyway
    if any(one.maker in LOOKS for one in counted):
        most += pair.costs.a_report * pair.left(case)
    if any(one.name == report_query.WORDS for one in case.query.filters):
        most += pair.costs.a_report * pair.found(case)
    assert sum(one.cost for one in counted) <= most, "\n\n".join(map(str, counted))


def test_every_way_to_find_and_to_count_is_among_the_cases(pair: Pair) -> None:
    used = {one.maker for case in CASES for one in pair.ends(case).many}
    every = {name for _, name in MAKERS} | set(ready().values())
    assert every - used - {"_since", "_since_ids"} == set()
