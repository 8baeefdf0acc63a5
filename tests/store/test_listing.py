"""A list of reports, by any plan and count, is what a check of every single report gives."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from operator import attrgetter
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import func, select, text

from conftest import new_address
from effort import effort
from healthreports.app import open_database
from healthreports.contract.resources import STATUS_REPORTS
from healthreports.core.access import Reach
from healthreports.core.model import (
    Detail,
    ExternalReference,
    Instant,
    Participation,
    StatusReport,
    User,
    Workspace,
)
from healthreports.core.query import Filter, Query, Sort, Window
from healthreports.core.vocabulary import (
    MAX_LISTED,
    AccountPermission,
    Category,
    Color,
    Kind,
    ParticipationPermission,
    Side,
    SubjectType,
    SyncStatus,
)
from healthreports.settings import Settings
from healthreports.store.engine.database import Database, Row, Transaction, Version
from healthreports.store.engine.statement import Statement, Values
from healthreports.store.lists import kept, verify
from healthreports.store.lists.counters import BLOCK_SHIFTS, TIME_SHIFTS
from healthreports.store.lists.counts import LOOKING, SUMS
from healthreports.store.lists.plans.base import Plan
from healthreports.store.lists.plans.blocks import Blocks
from healthreports.store.lists.plans.choice import (
    PLANS,
    Facts,
    Thresholds,
    choose,
    choose_after,
    planned,
)
from healthreports.store.lists.plans.gather import Gather
from healthreports.store.lists.plans.known import Known
from healthreports.store.lists.plans.merge import Merge
from healthreports.store.lists.plans.terms import AnyTerm, Term
from healthreports.store.lists.plans.walk import Walk
from healthreports.store.people import accounts, members, workspaces
from healthreports.store.reports import references, reports
from healthreports.store.schema.tables import account_versions
from healthreports.store.schema.upgrade import upgrade
from postgres_kit import EVERY_STORE, STORES

DAY = 86_400 * 1_000_000
NARROW, WIDE = TIME_SHIFTS
FAR_PAST, FAR_FUTURE = -62_135_596_800_000_000, 253_402_300_799_999_999
LAST_ID = 2**63 - 1


# The thresholds as they are, and so low that few workspaces and reports count as many.
REAL, SMALL = Thresholds(), Thresholds(few=3, near=5)


class Watched(Transaction):
    """A transaction with its own cache; counts statements that add new reports to a count."""

    def __init__(self, tx: Transaction, counts: dict[object, Any]) -> None:
        super().__init__(counts)
        self.tx = tx
        self.has_rowids = tx.has_rowids
        self.added = 0

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        self.added += "known_last" in values
        return self.tx.rows(statement, values)

    def text_of(self, statement: Statement) -> str:
        return self.tx.text_of(statement)

    def run_each(self, statement: Statement, many: Sequence[Values]) -> None:
        self.tx.run_each(statement, many)

    def new_ids(self, table: str, number: int) -> Sequence[int]:
        return self.tx.new_ids(table, number)


# -- the data, and the expected results


@dataclass
class World:
    """All data of a database, as Python values."""

    database: Database
    reports: dict[int, StatusReport] = field(default_factory=dict)
    references: dict[int, list[ExternalReference]] = field(default_factory=dict)
    workspaces: dict[int, Workspace] = field(default_factory=dict)
    sides: dict[tuple[int, int], Side] = field(default_factory=dict)
    accounts: list[int] = field(default_factory=list)
    users: list[tuple[int, int]] = field(default_factory=list)

    @property
    def reaches(self) -> list[Reach]:
        everything = [Reach(account, None) for account in self.accounts]
        return everything + [Reach(account, user) for account, user in self.users]

    @property
    def askers(self) -> st.SearchStrategy[Reach]:
        """Users who see all or much of the largest account are drawn more often than others."""
        many = [
            reach
            for reach in self.reaches
            if sum(user == reach.user_id for _, user in self.sides) > SMALL.few
        ]
        return st.one_of(
            st.just(self.reaches[0]), st.sampled_from(many), st.sampled_from(self.reaches)
        )

    def sees(self, reach: Reach, report: StatusReport) -> bool:
        if report.account_id != reach.account_id:
            return False
        if reach.user_id is None:
            return True
        side = self.sides.get((report.workspace_id, reach.user_id))
        shown = self.workspaces[report.workspace_id].clients_see_status_reports
        return side is Side.PROVIDER or (side is Side.CLIENT and shown)

    def matches(self, query: Query, report: StatusReport) -> bool:
        having = self.references.get(report.id, [])
        on_one: list[Callable[[ExternalReference], bool]] = []
        for one in query.filters:
            value: Any = one.value
            name = one.name.removeprefix("external_reference_")
            if name in TIMES:
                what, side = name.rsplit("_", 1)
                moment = getattr(report, f"{what}_at")
                holds = moment > value if side == "after" else moment < value
            elif name == "workspace_id":
                holds = report.workspace_id in value
            elif name == "has_external_references":
                holds = bool(having) == value
            elif name == "without_external_reference_service_name":
                holds = all(each.service_name != value for each in having)
            elif one.name in LOOKS_AT:
                holds = LOOKS_AT[one.name](self, report, value)
            elif name == "service_model_refs":
                on_one.append(lambda each, among=value: each.service_model_ref in among)
                continue
            else:
                read = attrgetter(name)
                on_one.append(lambda each, read=read, wanted=value: read(each) == wanted)
                continue
            if not holds:
                return False
        return not on_one or any(all(holds(each) for holds in on_one) for each in having)

    def newest(self, workspace_id: int) -> int:
        """The id of the newest report of a workspace."""
        there = [one for one in self.reports.values() if one.workspace_id == workspace_id]
        return max(there, key=lambda one: (one.created_at, one.id)).id

    def all_that_match(self, query: Query, reach: Reach) -> list[StatusReport]:
        found = [
            report
            for report in self.reports.values()
            if self.sees(reach, report) and self.matches(query, report)
        ]
        found.sort(key=attrgetter("id"))
        found.sort(key=attrgetter(query.sort.name), reverse=query.sort.descending)
        return found


def has_words(report: StatusReport, asked: str) -> bool:
    """Whether each requested word is the start of a word of the report."""
    texts = [report.description, *(one.description or "" for one in report.details)]
    there = [word for text in texts for word in text.lower().replace("é", "e").split()]
    wanted = asked.lower().replace("é", "e").split()
    return bool(wanted) and all(any(one.startswith(w) for one in there) for w in wanted)


def has_category(report: StatusReport, asked: str) -> bool:
    return any(f"{one.category}:{one.color}" == asked for one in report.details)


LOOKS_AT: dict[str, Callable[[World, StatusReport, Any], bool]] = {
    "color": lambda _, report, wanted: report.color in wanted,
    "creator_id": lambda _, report, wanted: report.creator_id in wanted,
    "category_color": lambda _, report, wanted: has_category(report, wanted),
    "current": lambda world, report, wanted: (
        (world.newest(report.workspace_id) == report.id) == wanted
    ),
    "text": lambda _, report, wanted: has_words(report, wanted),
}
TEXTS = ("all is well", "late again", "Très tard", "allright")
TIMES = ("created_after", "created_before", "updated_after", "updated_before")
SORTS = tuple(
    Sort(name, descending=descending)
    for name in ("id", "created_at", "updated_at")
    for descending in (False, True)
)
# Few values each, so that filters match many, few, one or none.
SERVICES = ("jira", "jira", "jira", "Jira", "Tåg & co")
ATTRIBUTES: dict[str, tuple[str | None, ...]] = {
    "service_model": ("issue", "issue", "issue", "deal"),
    "service_model_ref": ("1", "2", "3", "4", "jira", "x" * 255),
    "external_status": ("open", "open", "done", None),
    "external_message": ("late", "m" * 2_000, None, None),
    "status": (SyncStatus.SUCCESSFUL, SyncStatus.SUCCESSFUL, SyncStatus.FAILED),
}


_names = count()


def add_account(tx: Transaction, world: World) -> int:
    account_id = accounts.insert_account(tx, "A", f"a{next(_names)}", Instant(0))
    world.accounts.append(account_id)
    return account_id


def add_user(tx: Transaction, world: World, account_id: int) -> int:
    number = len(world.users)
    new = User(
        id=0,
        account_id=account_id,
        full_name="U",
        email_address=f"u{account_id}.{number}@example.org",
        headline=None,
        photo_path=None,
    )
    user_id = members.insert_user(tx, new, AccountPermission.COLLABORATOR, Instant(0))
    world.users.append((account_id, user_id))
    return user_id


def add_workspace(tx: Transaction, world: World, account_id: int, *, shown: bool) -> int:
    new = Workspace(
        id=0,
        account_id=account_id,
        creator_id=None,
        title="W",
        description=None,
        archived=False,
        access_level="invitation",
        clients_see_status_reports=shown,
        start_date=None,
        due_date=None,
        created_at=Instant(0),
        updated_at=Instant(0),
    )
    workspace_id = workspaces.insert_workspace(tx, new)
    world.workspaces[workspace_id] = replace(new, id=workspace_id)
    return workspace_id


def join(tx: Transaction, world: World, workspace_id: int, user_id: int, side: Side) -> None:
    new = Participation(
        id=0,
        account_id=world.workspaces[workspace_id].account_id,
        workspace_id=workspace_id,
        user_id=user_id,
        side=side,
        permission=ParticipationPermission.VIEW,
        team_lead=False,
        created_at=Instant(0),
        updated_at=Instant(0),
    )
    workspaces.insert_participation(tx, new, "u")
    world.sides[workspace_id, user_id] = side


def a_report(
    world: World, workspace_id: int, user_id: int, created: int, updated: int
) -> StatusReport:
    chance = Random(f"{workspace_id} {created} {updated}")
    return StatusReport(
        id=0,
        account_id=world.workspaces[workspace_id].account_id,
        workspace_id=workspace_id,
        creator_id=user_id,
        updater_id=None,
        color=a_color(chance),
        description=chance.choice(TEXTS),
        details=some_details(chance),
        created_at=Instant(created),
        updated_at=Instant(updated),
    )


def a_color(chance: Random) -> Color:
    return chance.choices(tuple(Color), (20, 5, 1))[0]


def some_details(chance: Random) -> tuple[Detail, ...]:
    return tuple(
        Detail(category, a_color(chance), chance.choice((None, *TEXTS)))
        for category in Category
        if chance.random() < 0.3
    )


def a_reference(subject: StatusReport | Workspace, service: str, chance: Random) -> Any:
    is_report = isinstance(subject, StatusReport)
    return ExternalReference(
        id=0,
        account_id=subject.account_id,
        workspace_id=subject.workspace_id if is_report else subject.id,
        subject_type=SubjectType.STATUS_REPORT if is_report else SubjectType.WORKSPACE,
        subject_id=subject.id,
        service_name=service,
        external_link=None,
        locked=None,
        created_at=Instant(0),
        updated_at=Instant(0),
        last_synced_at=None,
        **{name: chance.choice(values) for name, values in ATTRIBUTES.items()},
    )


def refer(tx: Transaction, world: World, report_id: int, service: str, chance: Random) -> None:
    """Give a report a reference, which replaces the one of the same service."""
    having = world.references.setdefault(report_id, [])
    new = a_reference(world.reports[report_id], service, chance)
    old = next((one for one in having if one.service_name == service), None)
    new = replace(new, id=old.id if old else 0)
    stored = references.put(tx, having, new)
    world.references[report_id] = [*(one for one in having if one is not old), stored]


def skip_ids(tx: Transaction, number: int) -> None:
    """Skip so many ids before the next report, as if others had written meanwhile."""
    if not number:
        return
    if type(tx).__name__.startswith("Postgres"):
        ahead = "SELECT setval('status_reports_ids', nextval('status_reports_ids') + :number)"
        tx.rows(Statement(text(ahead)), {"number": number})
    else:
        tx.new_ids("status_reports", number)


def moments_of(chance: Random, number: int) -> tuple[int, int]:
    """When report `number` was created and changed: in sequence, or at a border of a period."""
    created = (number - 100) * 2 * DAY
    if chance.random() < 0.4:
        shift = chance.choice((NARROW, WIDE))
        created = (chance.randint(-3, 4) << shift) + chance.randint(-1, 1)
    updated = created
    if chance.random() < 0.3:
        updated += chance.choice((1, DAY, 200 * DAY, 1 << WIDE))
    elif chance.random() < 0.1:
        updated = chance.choice((0, -1, -(1 << WIDE), 1 << WIDE))
    return created, updated


# From a user who sees nothing to a user who sees everything, on either side.
PLACES = (
    (0, Side.PROVIDER),
    (1, Side.PROVIDER),
    (3, Side.PROVIDER),
    (4, Side.PROVIDER),
    (11, Side.PROVIDER),
    (11, Side.CLIENT),
    (2, Side.CLIENT),
    (21, Side.PROVIDER),
)


def fill(tx: Transaction, world: World) -> None:
    """Three accounts, with most, some and none of the reports; their ids are interleaved."""
    chance = Random(7)
    large, small, _ = (add_account(tx, world) for _ in range(3))
    spaces = {
        account: [add_workspace(tx, world, account, shown=i % 2 == 0) for i in range(number)]
        for account, number in ((large, 21), (small, 8))
    }
    for account, mine in spaces.items():
        for number, side in PLACES:
            user_id = add_user(tx, world, account)
            for place, one in enumerate(chance.sample(mine, min(number, len(mine)))):
                other = Side.CLIENT if side is Side.PROVIDER else Side.PROVIDER
                join(tx, world, one, user_id, other if place % 7 == 6 else side)
    number = 0
    for batch in range(60):
        account = small if batch % 4 == 3 else large
        authors = [user for of, user in world.users if of == account]
        # Some workspaces get most of the reports; the last one of each account gets none.
        mine = spaces[account][:-1]
        new = []
        for _ in range(chance.randint(1, 9)):
            number += 1
            space = mine[int(len(mine) * chance.random() ** 2)]
            author = authors[int(len(authors) * chance.random() ** 2)]
            new.append(a_report(world, space, author, *moments_of(chance, number)))
        for stored in reports.insert(tx, account, new):
            world.reports[stored.id] = stored
        skip_ids(tx, chance.choice((0, 0, 2, 600, 1024, 5_000, 1 << 20)))
    for report_id in sorted(world.reports):
        services = chance.sample(sorted(set(SERVICES)), chance.choice((0, 0, 0, 1, 1, 2, 3)))
        for service in services:
            refer(tx, world, report_id, service, chance)
    for workspace in list(world.workspaces.values()):  # their ids are also ids of reports
        references.put(tx, [], a_reference(workspace, "jira", chance))
    change_some(tx, world, chance)


def change_some(tx: Transaction, world: World, chance: Random) -> None:
    """Make some counts go down, and the bounds of blocks wider than the reports in them."""
    changed = chance.sample(sorted(world.reports), 60)
    for report_id in changed[:30]:
        change(tx, world, report_id, chance.randint(-400, 400) * DAY)
    for report_id in changed[30:]:
        delete(tx, world, report_id)


def change(tx: Transaction, world: World, report_id: int, now: int) -> None:
    old = world.reports[report_id]
    chance = Random(now)
    new = replace(
        old,
        color=a_color(chance),
        description=chance.choice(TEXTS),
        details=some_details(chance),
        updated_at=Instant(now),
    )
    reports.replace(tx, old, new)
    world.reports[report_id] = new


def delete(tx: Transaction, world: World, report_id: int) -> None:
    reports.delete_with_references(tx, world.reports.pop(report_id))
    world.references.pop(report_id, None)


def new_database(store: str, request: pytest.FixtureRequest, folder: Path) -> Database:
    made = new_address(store, request, folder)
    upgrade(made)
    return open_database(Settings(database=made))


@pytest.fixture(
    scope="module",
    params=[
        *STORES,
        *(pytest.param(one, marks=pytest.mark.thorough) for one in EVERY_STORE[len(STORES) :]),
    ],
)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    database = new_database(request.param, request, tmp_path_factory.mktemp("listing"))
    made = World(database)
    database.write_here(partial(fill, world=made))
    yield made
    database.close()


@pytest.fixture(params=STORES)
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """An empty database."""
    made = new_database(request.param, request, tmp_path_factory.mktemp("listing"))
    yield made
    made.close()


# -- queries


def moments(world: World) -> st.SearchStrategy[int]:
    """Times for filters: close to those of reports, at a border of a period, or far away."""
    there = {report.created_at for report in world.reports.values()}
    there |= {report.updated_at for report in world.reports.values()}
    borders = {number << shift for number in range(-4, 6) for shift in (NARROW, NARROW + 5, WIDE)}
    close = st.sampled_from(sorted(there | borders))
    return st.one_of(
        st.builds(int.__add__, close, st.integers(-1, 1)),
        close,
        st.sampled_from([FAR_PAST, FAR_FUTURE, 0]),
    )


def filter_values(world: World, workspaces: int) -> dict[str, st.SearchStrategy[Any]]:
    spaces = st.sampled_from([*world.workspaces, 0, LAST_ID])
    listed = st.lists(spaces, unique=True, min_size=0, max_size=workspaces)
    texts = {"service_name": SERVICES, **ATTRIBUTES}
    exact = {
        f"external_reference_{name}": st.sampled_from(
            [*(str(one) for one in values if one is not None), "nobody's", "a\0"]
        )
        for name, values in texts.items()
    }
    refs = st.sampled_from([*map(str, range(9)), "jira", "x" * 255, "a\0"])
    return {
        **dict.fromkeys(TIMES, moments(world)),
        "workspace_id": listed.map(tuple),
        "has_external_references": st.booleans(),
        **exact,
        "external_reference_service_model_refs": st.lists(refs, unique=True, max_size=4).map(tuple),
        "without_external_reference_service_name": exact["external_reference_service_name"],
        "color": st.lists(st.sampled_from(tuple(Color)), unique=True, min_size=1).map(tuple),
        "creator_id": st.lists(
            st.sampled_from([*(user for _, user in world.users), 0, LAST_ID]), max_size=3
        ).map(tuple),
        "category_color": st.sampled_from([f"{a}:{b}" for a in Category for b in Color]),
        "current": st.booleans(),
        "text": st.sampled_from(["al", "ALL is", "late", "tres t", "très", "none", "!", "well w"]),
    }


def test_every_filter_is_asked_for(world: World) -> None:
    assert filter_values(world, 3).keys() == {one.name for one in STATUS_REPORTS.filters}


def queries(world: World, workspaces: int) -> st.SearchStrategy[Query]:
    values = filter_values(world, workspaces)
    on_reference = [name for name in values if name.startswith("external_reference_")]
    any_ref = ["external_reference_service_model_refs"]

    def some(among: Sequence[str], least: int, most: int) -> st.SearchStrategy[list[str]]:
        return st.lists(st.sampled_from(among), unique=True, min_size=least, max_size=most)

    names = st.one_of(
        st.just([]),
        st.just([]),
        some(TIMES[:2], 1, 2),
        some(TIMES[2:], 1, 2),
        some(TIMES, 2, 3),
        some(sorted(values), 1, 1),
        some(on_reference, 1, 2),
        st.just(any_ref),
        st.just(["has_external_references", "without_external_reference_service_name"]),
        some(TIMES, 1, 1).map(any_ref.__add__),
        some(sorted(LOOKS_AT), 1, 1),
        some(TIMES, 0, 1).map(["current"].__add__),
        some(sorted(values), 1, 4),
    )

    def filters(chosen: list[str]) -> st.SearchStrategy[tuple[Filter, ...]]:
        return st.tuples(*(values[name].map(partial(Filter, name)) for name in chosen))

    offsets = st.one_of(st.just(0), st.integers(0, 12), st.integers(0, 300))
    return asking(names.flatmap(filters), offsets)


def asking(
    filters: st.SearchStrategy[tuple[Filter, ...]], offsets: st.SearchStrategy[int]
) -> st.SearchStrategy[Query]:
    windows = st.builds(Window, st.one_of(st.integers(1, 20), st.just(200)), offsets)
    return st.builds(Query, st.just(Kind.STATUS_REPORTS), filters, st.sampled_from(SORTS), windows)


def far(world: World) -> st.SearchStrategy[Query]:
    """A page anywhere in the list of all reports."""
    return asking(st.just(()), st.integers(6, len(world.reports)))


def broad(_: World) -> st.SearchStrategy[Query]:
    """A filter by a time that excludes no report."""
    early = st.builds(Filter, st.sampled_from(TIMES[::2]), st.just(FAR_PAST))
    return asking(st.tuples(early), st.integers(0, 5))


def in_one_workspace(world: World) -> st.SearchStrategy[Query]:
    of_one = st.sampled_from(sorted(world.workspaces)).map(
        lambda one: Filter("workspace_id", (one,))
    )
    in_time = st.builds(Filter, st.sampled_from(TIMES), moments(world))
    return asking(st.one_of(st.tuples(of_one), st.tuples(of_one, in_time)), st.integers(0, 20))


class Taken(NamedTuple):
    """How often each plan and each way to count was chosen."""

    plans: Counter[tuple[type[Plan], bool]]
    counts: Counter[str]


def agrees(  # noqa: PLR0917  a query, and how it is answered
    world: World,
    tx: Transaction,
    query: Query,
    reach: Reach,
    version: Version,
    thresholds: Thresholds,
    taken: Taken,
) -> None:
    """Assert that the chosen plan, and every other possible plan, finds the page and the count."""
    wanted = world.all_that_match(query, reach)
    first = query.window.offset
    on_page = wanted[first : first + query.window.limit]
    plan, sizes, _ = choose(tx, query, reach, version, thresholds)
    assert sizes.matching == len(wanted)
    taken.plans[type(plan), plan.asked.narrowed] += 1
    taken.counts[sizes.counted_by] += 1
    if not on_page:  # then no plan is run
        return
    facts = Facts(plan.asked, query.sort, query.window, sizes, thresholds)
    for one in PLANS:
        if one.serves(plan.asked, query.sort) and (one is not Known or sizes.ids is not None):
            other = planned(one, facts)
            marks = other.rows(tx)
            assert [*kept.marked(tx, reach.account_id, marks)] == on_page, one
            assert other.count(tx) == len(wanted), one


NO_VERSION = Version(0, 0)


def test_a_list_of_workspaces_is_never_longer_than_what_is_merged() -> None:
    assert REAL.few >= MAX_LISTED


def test_the_data_have_every_kind_of_block_and_stretch(world: World) -> None:
    """Otherwise the tests below would prove little."""
    large = [one for one in world.reports.values() if one.account_id == world.accounts[0]]
    for shift in BLOCK_SHIFTS:
        blocks = Counter(one.id >> shift for one in large)
        assert len(blocks) > 2
        assert max(blocks.values()) > 1
    for name in ("created_at", "updated_at"):
        moments = Counter(getattr(one, name) for one in large)
        assert max(moments.values()) > 1
        assert min(moments) < 0 < max(moments)
        for shift in TIME_SHIFTS:
            assert len({moment >> shift for moment in moments}) > 4


@pytest.mark.parametrize("thresholds", [REAL, SMALL], ids=["real", "small"])
def test_a_page_is_what_a_look_at_every_report_gives(world: World, thresholds: Thresholds) -> None:
    taken = Taken(Counter(), Counter())

    def run(asked: st.SearchStrategy[Query], *tries: int) -> None:
        @effort(*tries)
        @given(query=asked, reach=world.askers)
        def a_page_agrees(query: Query, reach: Reach) -> None:
            world.database.read_here(
                lambda tx: agrees(
                    world, Watched(tx, {}), query, reach, NO_VERSION, thresholds, taken
                )
            )

        a_page_agrees()

    # As many examples as are needed to use every plan.
    few = 2 if thresholds is REAL else 1
    run(queries(world, min(thresholds.few, 30)), 300 // few, 10_000)
    run(far(world), 50 // few, 1_000)
    run(in_one_workspace(world), 30 // few, 1_000)
    run(broad(world), 100 // few, 1_000)
    if thresholds is SMALL:  # with the real ones, no user sees many and no page is far
        assert {plan for plan, _ in taken.plans} == set(PLANS)
        assert {plan for plan, narrowed in taken.plans if narrowed} >= {Walk, Gather, Blocks, Term}
        says = {one.says for one in SUMS} | {LOOKING}
        assert says <= taken.counts.keys()


def test_a_stream_goes_on_after_any_id_with_what_a_look_at_every_report_gives(
    world: World,
) -> None:
    taken: Counter[type[Plan]] = Counter()
    asked = queries(world, 30).map(lambda one: replace(one, sort=Sort()))
    ids = st.sampled_from(sorted(world.reports))
    places = st.one_of(st.just(0), st.builds(int.__add__, ids, st.integers(-1, 1)))

    @effort(60, 5_000)
    @given(
        query=asked,
        reach=world.askers,
        after_id=places,
        number=st.integers(1, 30),
    )
    def a_part_agrees(query: Query, reach: Reach, after_id: int, number: int) -> None:
        def work(tx: Transaction) -> list[StatusReport]:
            plan = choose_after(
                Watched(tx, {}), query, reach, NO_VERSION, after_id=after_id, number=number
            )
            taken[type(plan)] += 1
            return [*kept.marked(tx, reach.account_id, plan.rows(tx))]

        rest = [one for one in world.all_that_match(query, reach) if one.id > after_id]
        assert world.database.read_here(work) == rest[:number]

    a_part_agrees()
    assert {Merge, Term, AnyTerm, Blocks, Walk} <= taken.keys()


# -- cached counts


def settle(tx: Transaction, world: World) -> None:
    """An account of five workspaces: a user in all, a user in two, a client in four of them."""
    account = add_account(tx, world)
    spaces = [add_workspace(tx, world, account, shown=i == 0) for i in range(5)]
    for number in (5, 2):
        user_id = add_user(tx, world, account)
        for one in spaces[:number]:
            join(tx, world, one, user_id, Side.PROVIDER)
    client = add_user(tx, world, account)
    for one in spaces[1:]:
        join(tx, world, one, client, Side.CLIENT)


class Step(NamedTuple):
    """A kind of change; `seed` decides its details."""

    what: str
    seed: int


CHANGES = ("add", "add", "add", "change", "delete", "refer", "join", "show")


def take(tx: Transaction, world: World, step: Step) -> None:
    """Make the change and update the account's version, both as the services do."""
    chance = Random(step.seed)
    [account] = world.accounts
    there = sorted(world.reports)
    if step.what == "add":
        _, author = world.users[0]
        space = chance.choice(sorted(world.workspaces))
        new = a_report(world, space, author, *moments_of(chance, chance.randint(0, 200)))
        for stored in reports.insert(tx, account, [new]):
            world.reports[stored.id] = stored
            if chance.random() < 0.4:
                refer(tx, world, stored.id, chance.choice(SERVICES), chance)
    elif step.what == "change" and there:
        change(tx, world, chance.choice(there), chance.randint(-100, 100) * DAY)
    elif step.what == "delete" and there:
        delete(tx, world, chance.choice(there))
    elif step.what == "refer" and there:
        refer(tx, world, chance.choice(there), chance.choice(SERVICES), chance)
    elif step.what == "join":
        _, user_id = world.users[1]
        free = [one for one in world.workspaces if (one, user_id) not in world.sides]
        for one in free[:1]:
            join(tx, world, one, user_id, Side.PROVIDER)
    elif step.what == "show":
        shown = world.workspaces[chance.choice(sorted(world.workspaces))]
        other = replace(shown, clients_see_status_reports=not shown.clients_see_status_reports)
        workspaces.replace_workspace(tx, shown, other)
        world.workspaces[shown.id] = other
    accounts.touch(tx, account, only_reports=step.what in {"add", "change"})


def test_what_was_counted_before_a_change_is_right_after_it(database: Database) -> None:
    taken = Taken(Counter(), Counter())
    added: Counter[bool] = Counter()

    @effort(20, 1_000)
    @given(data=st.data())
    def counts_agree(data: st.DataObject) -> None:
        world = World(database)
        database.write_here(partial(settle, world=world))
        [account] = world.accounts
        asked = data.draw(st.lists(queries(world, 3), min_size=2, max_size=4), "queries")
        seeds = st.integers(0, 1_000_000)
        steps = data.draw(
            st.lists(st.builds(Step, st.sampled_from(CHANGES), seeds), min_size=3, max_size=8),
            "steps",
        )
        known: dict[object, Any] = {}

        def ask(tx: Transaction) -> None:
            version = accounts.version(tx, account)
            watched = Watched(tx, known)
            for query in asked:
                for reach in world.reaches:
                    agrees(world, watched, query, reach, version, SMALL, taken)
            added[watched.added > 0] += 1

        for step in (Step("add", 1), *steps):
            database.write_here(partial(take, world=world, step=step))
            database.read_here(ask)

    counts_agree()
    assert added[True] > 0, "what was remembered was added to"


# A snapshot begins with the first read.
FIRST_READ = Statement(select(func.count()).select_from(account_versions))
LATER = (
    (),
    (Filter("created_after", FAR_PAST),),
    (Filter("without_external_reference_service_name", "nobody's"),),
    (Filter("updated_after", FAR_PAST),),
)


@pytest.mark.parametrize("filters", LATER, ids=lambda each: each[0].name if each else "none")
def test_what_a_newer_snapshot_counted_is_not_told_to_an_older_one(
    database: Database, filters: tuple[Filter, ...]
) -> None:
    world = World(database)
    database.write_here(partial(settle, world=world))
    database.write_here(partial(take, world=world, step=Step("add", 1)))
    reaches = world.reaches
    query = Query(Kind.STATUS_REPORTS, filters)
    known: dict[object, Any] = {}

    def ask(tx: Transaction, version: Version) -> list[int]:
        watched = Watched(tx, known)
        return [choose(watched, query, reach, version, SMALL).sizes.matching for reach in reaches]

    def ask_now(tx: Transaction) -> list[int]:
        return ask(tx, accounts.version(tx, world.accounts[0]))

    def older(tx: Transaction) -> tuple[list[int], list[int]]:
        before = accounts.version(tx, world.accounts[0])
        tx.rows(FIRST_READ, {})
        database.write_here(partial(take, world=world, step=Step("add", 2)))
        with ThreadPoolExecutor(1) as elsewhere:
            newer = elsewhere.submit(database.read_here, ask_now).result()
        return ask(tx, before), newer

    old = [len(world.all_that_match(query, reach)) for reach in reaches]
    told, newer = database.read_here(older)
    assert told == old
    assert newer == [len(world.all_that_match(query, reach)) for reach in reaches]
    assert newer != told
    assert database.read_here(ask_now) == newer


def test_what_is_counted_of_the_data_is_what_is_there(world: World) -> None:
    assert world.database.read_here(verify.differences) == []
