"""Compares the portfolio, on both stores, with what plain Python computes from its reports."""

import random
import re
from collections import Counter
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
import pytest

from healthreports.core.access import Reach
from healthreports.core.cadence import day_of, due_on
from healthreports.core.model import Actor, Instant, StatusReport, User, Workspace, WorkspaceGroup
from healthreports.core.portfolio import (
    NEW_FOR_US,
    ROWS_A_PAGE,
    Before,
    Change,
    Grouping,
    Order,
    PortfolioQuery,
    State,
    Totals,
    View,
    state_of,
    trend,
)
from healthreports.core.query import Query, Window
from healthreports.core.vocabulary import (
    DAY_US,
    AccountPermission,
    Category,
    Color,
    Kind,
    ParticipationPermission,
    ReportEvery,
    Scope,
    Side,
    Weekday,
)
from healthreports.service.people import accounts, groups, members, workspaces
from healthreports.service.reports import reports
from healthreports.store.engine.database import Database, Transaction
from healthreports.store.lists import pages as records
from healthreports.store.lists import portfolio
from healthreports.store.people import groups as stored_groups
from healthreports.store.people import workspaces as stored_workspaces
from healthreports.store.people.accounts import version as account_version

NOW = Instant(1_780_000_000_000_000)
WORKSPACES = 70
WRITTEN = 260


class World(msgspec.Struct):
    """An account, its records, and a user who sees a part of it.

    `groups` are the groups of each workspace (clients and programmes) by their ids, and `owners`
    the users who lead it.
    """

    account_id: int
    reader_id: int
    boss_id: int
    workspaces: dict[int, Workspace]
    shown: set[int]
    reports: list[StatusReport]
    groups: dict[int, dict[int, WorkspaceGroup]]
    owners: dict[int, int]


def build(tx: Transaction) -> World:
    dice = random.Random(11)
    account_id = accounts.create_account(tx, "Portfolio", NOW)
    tag = f"portfolio{account_id}"
    boss, reader = (_user(tx, account_id, f"{name}.{tag}@example.org") for name in "br")
    actor = Actor(
        user_id=boss.id,
        account_id=account_id,
        permission=AccountPermission.ADMINISTRATOR,
        token_id=None,
        scopes=frozenset(Scope),
        last_used_at=None,
    )
    world = World(account_id, reader.id, boss.id, {}, set(), [], {}, {})
    kinds = [
        groups.named(tx, actor, name, NOW, company=name.startswith("C"))
        for name in ("Client 1", "Client 2", "Programme 1", "Programme 2")
    ]
    for number in range(WORKSPACES):
        workspace_id = workspaces.make_workspace(tx, boss, f"{dice.choice('abÉé_%')} {number}", NOW)
        kept = stored_workspaces.workspace(tx, account_id, workspace_id)
        assert kept is not None
        changed = msgspec.structs.replace(
            kept,
            due_date=dice.choice([None, "2026-01-31", "2027-05-01"]),
            report_every=dice.choice(list(ReportEvery)),
            report_day=dice.choice(list(Weekday)),
            report_paused_until=dice.choice([None, None, "2026-06-20"]),
            clients_see_status_reports=dice.random() < 0.5,
        )
        stored_workspaces.replace_workspace(tx, kept, changed)
        world.workspaces[workspace_id] = changed
        its = [one for one in kinds if dice.random() < 0.4]
        world.groups[workspace_id] = {one.id: one for one in its}
        for one in its:
            stored_groups.put_workspaces(tx, one, (workspace_id,))
        if dice.random() < 0.7:
            admin = ParticipationPermission.ADMIN
            workspaces.join(tx, workspace_id, boss, admin, NOW, team_lead=True)
            world.owners[workspace_id] = boss.id
        if dice.random() < 0.6:
            side = dice.choice(list(Side))
            workspaces.join(tx, workspace_id, reader, ParticipationPermission.VIEW, NOW, side=side)
            if side is Side.PROVIDER or changed.clients_see_status_reports:
                world.shown.add(workspace_id)
    ids = list(world.workspaces)
    for number in range(WRITTEN):
        # Some workspaces get no report. Some reports have an earlier or equal time to one before.
        when = Instant(NOW - dice.randrange(0, 60) * DAY_US // 2)
        sent = _sent(dice, dice.choice(ids[: WORKSPACES - 8]), number)
        reports.create(tx, actor, sent, when)
    for workspace_id in ids[:3]:
        archived = msgspec.structs.replace(world.workspaces[workspace_id], archived=True)
        stored_workspaces.replace_workspace(tx, world.workspaces[workspace_id], archived)
        world.workspaces[workspace_id] = archived
    return world


def _user(tx: Transaction, account_id: int, email: str) -> User:
    return members.create_user(
        tx,
        account_id,
        full_name=email,
        email_address=email,
        permission=AccountPermission.COLLABORATOR,
        now=NOW,
    )


def _sent(dice: random.Random, workspace_id: int, number: int) -> dict[str, Any]:
    details = [
        {"category": category.value, "color": dice.choice(list(Color)).value}
        for category in Category
        if dice.random() < 0.7
    ]
    color = dice.choice(list(Color)).value
    says = f"Number {number} {dice.choice(['is fine', '100% done', 'under_way'])}."
    return {
        "workspace_id": workspace_id,
        "color": color,
        "description": says,
        "details": details,
    }


@pytest.fixture(scope="module")
def world(database: Database) -> World:
    built = database.write_here(build)
    query = Query(Kind.STATUS_REPORTS, window=Window(10_000, 0, 10_000, 1))
    reach = Reach(built.account_id, None)
    version = database.read_here(lambda tx: account_version(tx, built.account_id))
    page = database.read_here(lambda tx: records.page(tx, query, reach, version))
    built.reports = list(page.records)  # type: ignore[arg-type]  all are reports
    assert len(built.reports) == WRITTEN
    return built


def newest(world: World, workspace_id: int, at: int) -> list[StatusReport]:
    """The current report at a time and the one before it, if they exist."""
    own = [r for r in world.reports if r.workspace_id == workspace_id and r.created_at <= at]
    return sorted(own, key=lambda r: (r.created_at, r.id), reverse=True)[:2]


def plain_words(text: str) -> list[str]:
    return re.findall("[a-z0-9]+", text.lower().replace("é", "e"))


def has_words(asked: str, text: str) -> bool:
    """Whether each requested word is the start of a word of the text."""
    wanted, there = plain_words(asked), plain_words(text)
    return bool(wanted) and all(any(word.startswith(one) for word in there) for one in wanted)


def all_of(report: StatusReport) -> str:
    return " ".join([report.description, *(one.description or "" for one in report.details)])


class Seen(NamedTuple):
    """A workspace at a time: its current report, and the color that it is compared with."""

    workspace: Workspace
    report: StatusReport | None
    before: Color | None

    @property
    def moved(self) -> str | None:
        known = self.report is not None and self.before is not None
        return trend(self.report.color, self.before).value if known else None

    def is_overdue(self, at: int) -> bool:
        due = due_on(self.workspace, self.report and self.report.created_at)
        return due is not None and due < day_of(Instant(at))

    def is_past_due(self, at: int) -> bool:
        due = self.workspace.due_date
        return due is not None and due < day_of(Instant(at)).isoformat()

    def needs_attention(self, at: int) -> bool:
        is_red = self.report is not None and self.report.color is Color.RED
        return is_red or self.moved == "worse" or self.is_overdue(at)


def in_scope(query: PortfolioQuery, world: World, seen: Seen) -> bool:
    workspace_id = seen.workspace.id
    found = [query.owner_id in (None, world.owners.get(workspace_id))]
    found += [
        group_id is None or group_id in world.groups[workspace_id]
        for group_id in (query.client_id, query.programme_id)
    ]
    if query.text:
        texts = [seen.workspace.title, *([all_of(seen.report)] if seen.report else [])]
        found.append(any(has_words(query.text, text) for text in texts))
    return all(found)


def matches(query: PortfolioQuery, seen: Seen, at: int) -> bool:
    report = seen.report
    found = [query.status in (None, state_of(report))]
    if query.category is not None:
        state = state_of(report, query.category)
        wanted = query.category_status
        found.append(state is not State.NONE if wanted is None else state is wanted)
    if query.view is View.OVERDUE:
        found.append(seen.is_overdue(at))
    elif query.view is View.PAST_DUE:
        found.append(seen.is_past_due(at))
    elif query.view is View.ATTENTION:
        found.append(seen.needs_attention(at))
    if query.change is Change.NEW:
        found.append(report is not None and report.created_at > at - NEW_FOR_US)
    elif query.change is not None:
        found.append(seen.moved == query.change.value)
    return all(found)


QUERIES = [
    PortfolioQuery(),
    *(PortfolioQuery(status=state) for state in State),
    *(PortfolioQuery(category=category) for category in Category),
    *(PortfolioQuery(category=Category.BUDGET, category_status=state) for state in State),
    *(PortfolioQuery(view=view) for view in View),
    *(PortfolioQuery(change=change) for change in Change),
    *(
        PortfolioQuery(text=text)
        for text in ("A ", "100%", "under_", "é", "Number 1", "nothing", "%", "'\"")
    ),
    PortfolioQuery(status=State.RED, view=View.OVERDUE, change=Change.WORSE, text="is"),
]


def scoped(world: World) -> list[PortfolioQuery]:
    """Queries for a client, for a programme, for an owner, and for several of them."""
    ids = {one.name: one.id for its in world.groups.values() for one in its.values()}
    client, programme = ids["Client 1"], ids["Programme 2"]
    return [
        PortfolioQuery(client_id=client),
        PortfolioQuery(programme_id=programme, view=View.ATTENTION),
        PortfolioQuery(owner_id=world.boss_id),
        PortfolioQuery(client_id=client, programme_id=programme, owner_id=world.boss_id),
        PortfolioQuery(client_id=client, text="is", status=State.RED),
        PortfolioQuery(client_id=999_999_999),
    ]


@pytest.mark.parametrize("compared_days", [None, 7], ids=["last report", "a week"])
@pytest.mark.parametrize("narrowed", [False, True], ids=["all", "a user"])
@pytest.mark.parametrize("days_ago", [None, 20, 100])
def test_it_counts_and_finds_what_is_there(
    database: Database,
    world: World,
    narrowed: bool,
    days_ago: int | None,
    compared_days: int | None,
) -> None:
    reach = Reach(world.account_id, world.reader_id if narrowed else None)
    at = NOW if days_ago is None else NOW - days_ago * DAY_US
    compared_at = None if compared_days is None else Instant(at - compared_days * DAY_US)
    seen = [
        seen_at(world, one, at, compared_at)
        for one in world.workspaces.values()
        if not one.archived and (not narrowed or one.id in world.shown)
    ]
    # A workspace that had no report and was not created yet is not included.
    seen = [one for one in seen if one.report or one.workspace.created_at <= at]
    assert len(seen) > 10 or days_ago == 100
    # All queries for the present; every ninth for the past, comparisons and a single user.
    every = 1 if days_ago is None and compared_days is None and not narrowed else 9
    for asked in (*QUERIES[::every], *scoped(world)):
        as_of = None if days_ago is None else Instant(at)
        query = msgspec.structs.replace(asked, as_of=as_of, compared_at=compared_at)
        its = [one for one in seen if in_scope(query, world, one)]
        wanted = {
            one.workspace.id: (one.report and one.report.id, one.before)
            for one in its
            if matches(query, one, at)
        }
        rows: list[Any] = []
        for number in (1, 2):
            page = msgspec.structs.replace(query, page=number)
            rows += database.read_here(lambda tx, page=page: portfolio.rows(tx, page, reach, NOW))
        assert {row[0]: (row[1], row[2]) for row in rows} == wanted, query
        assert len(rows) == len(wanted)
        totals = database.read_here(lambda tx, q=query: portfolio.totals(tx, q, reach, NOW))
        assert totals == true_totals(its, at, len(wanted))
        if compared_at is not None:
            then = [
                seen_at(world, one, compared_at, None)
                for one in world.workspaces.values()
                if not one.archived and (not narrowed or one.id in world.shown)
            ]
            then = [one for one in then if one.report or one.workspace.created_at <= compared_at]
            its_then = [one for one in then if in_scope(query, world, one)]
            before = database.read_here(
                lambda tx, q=query: portfolio.before(tx, q, reach, compared_at)
            )
            assert before == Before(
                sum(state_of(one.report) is State.RED for one in its_then),
                sum(one.is_overdue(compared_at) for one in its_then),
                sum(one.is_past_due(compared_at) for one in its_then),
            )
        states = database.read_here(lambda tx, q=query: portfolio.states(tx, q, reach, NOW))
        assert states == Counter(state_of(one.report) for one in its)


def seen_at(world: World, workspace: Workspace, at: int, compared_at: int | None) -> Seen:
    two = newest(world, workspace.id, at)
    if compared_at is None:
        before = two[1].color if len(two) > 1 else None
    else:
        then = newest(world, workspace.id, compared_at)
        before = then[0].color if then else None
    return Seen(workspace, two[0] if two else None, before)


def true_totals(seen: list[Seen], at: int, matching: int) -> Totals:
    states = [state_of(one.report) for one in seen]
    current = [one.report for one in seen if one.report]
    return Totals(
        workspaces=len(seen),
        red=states.count(State.RED),
        yellow=states.count(State.YELLOW),
        green=states.count(State.GREEN),
        none=states.count(State.NONE),
        overdue=sum(one.is_overdue(at) for one in seen),
        past_due=sum(one.is_past_due(at) for one in seen),
        attention=sum(one.needs_attention(at) for one in seen),
        worse=sum(one.moved == "worse" for one in seen),
        new=sum(one.created_at > at - NEW_FOR_US for one in current),
        red_before=sum(
            (one.before or (one.report and one.report.color)) is Color.RED for one in seen
        ),
        matching=matching,
        newest=max((one.created_at for one in current), default=Instant(0)),
    )


@pytest.mark.parametrize("group", Grouping)
@pytest.mark.parametrize("narrowed", [False, True], ids=["all", "a user"])
def test_each_workspace_is_in_one_group_and_counted_there(
    database: Database, world: World, group: Grouping, narrowed: bool
) -> None:
    reach = Reach(world.account_id, world.reader_id if narrowed else None)
    query = PortfolioQuery(group=group, change=Change.NEW)
    rows: list[Any] = []
    for number in (1, 2):
        page = msgspec.structs.replace(query, page=number)
        rows += database.read_here(lambda tx, page=page: portfolio.rows(tx, page, reach, NOW))
    by_id = {one.id: one for one in world.reports}
    assert len({row[0] for row in rows}) == len(rows)
    for row in rows:
        assert row[4] == group_of(world, group, row[0], by_id.get(row[1]))
    names = [row[4] for row in rows]
    assert len([name for name, _ in groupby(names)]) == len(set(names)), "a group is in one piece"
    counted: dict[str | None, Counter[State]] = {}
    for row in rows:
        counted.setdefault(row[4], Counter())[state_of(by_id.get(row[1]))] += 1
    assert database.read_here(lambda tx: portfolio.subtotals(tx, query, reach, NOW)) == counted


def group_of(
    world: World, group: Grouping, workspace_id: int, report: StatusReport | None
) -> str | None:
    if group is Grouping.STATUS:
        return state_of(report)
    if group is Grouping.OWNER:
        return (
            f"b.portfolio{world.account_id}@example.org" if workspace_id in world.owners else None
        )
    names = [
        one.name
        for one in world.groups[workspace_id].values()
        if one.company == (group is Grouping.CLIENT)
    ]
    return min(names, default=None)


@pytest.mark.parametrize("narrowed", [False, True], ids=["all", "a user"])
def test_what_can_be_chosen_is_what_is_seen(
    database: Database, world: World, narrowed: bool
) -> None:
    reach = Reach(world.account_id, world.reader_id if narrowed else None)
    shown = [
        one.id
        for one in world.workspaces.values()
        if not one.archived and (not narrowed or one.id in world.shown)
    ]
    wanted = Counter(
        (one.id, one.name, Grouping.CLIENT if one.company else Grouping.PROGRAMME)
        for workspace_id in shown
        for one in world.groups[workspace_id].values()
    )
    boss = (world.boss_id, f"b.portfolio{world.account_id}@example.org", Grouping.OWNER)
    wanted[boss] = sum(workspace_id in world.owners for workspace_id in shown)
    found = database.read_here(lambda tx: portfolio.choices(tx, reach))
    assert {(one.id, one.name, one.kind): one.workspaces for one in found} == wanted


@pytest.mark.parametrize("order", Order)
def test_the_other_way_round_is_the_same_from_the_end(
    database: Database, world: World, order: Order
) -> None:
    reach = Reach(world.account_id, None)

    def listed(*, turned: bool) -> list[int]:
        found: list[int] = []
        for number in (1, 2):
            query = PortfolioQuery(order=order, reversed=turned, page=number)
            rows = database.read_here(lambda tx, q=query: portfolio.rows(tx, q, reach, NOW))
            found += [row[0] for row in rows]
        return found

    forward = listed(turned=False)
    assert len(forward) > ROWS_A_PAGE
    assert len(set(forward)) == len(forward)
    assert listed(turned=True) == forward[::-1]


def test_the_worst_and_then_the_oldest_are_on_top(database: Database, world: World) -> None:
    reach = Reach(world.account_id, None)
    rows = database.read_here(lambda tx: portfolio.rows(tx, PortfolioQuery(), reach, NOW))
    places = [State.RED, State.YELLOW, State.NONE, State.GREEN]
    by_id = {report.id: report for report in world.reports}
    keys = [
        (places.index(state_of(by_id.get(row[1]))), by_id[row[1]].created_at if row[1] else 0)
        for row in rows
    ]
    assert keys == sorted(keys)
    assert {key[0] for key in keys} >= {0, 1}
