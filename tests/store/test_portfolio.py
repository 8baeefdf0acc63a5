"""The portfolio against what a few lines of Python make of the same reports, on both databases."""

import random
import re
from typing import Any

import msgspec
import pytest

from healthreports.core.access import Reach
from healthreports.core.model import Actor, Instant, StatusReport, User, Workspace
from healthreports.core.portfolio import (
    NEW_FOR_US,
    ROWS_A_PAGE,
    STALE_AFTER_US,
    Change,
    Order,
    PortfolioQuery,
    State,
    Totals,
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
    Scope,
    Side,
)
from healthreports.service.people import accounts, members, workspaces
from healthreports.service.reports import reports
from healthreports.store.engine.database import Database, Transaction
from healthreports.store.lists import pages as records
from healthreports.store.lists import portfolio
from healthreports.store.people import workspaces as stored_workspaces
from healthreports.store.people.accounts import version as account_version

NOW = Instant(1_780_000_000_000_000)
WORKSPACES = 70
WRITTEN = 260


class World(msgspec.Struct):
    """An account, what is in it, and a user who sees a part of it."""

    account_id: int
    reader_id: int
    workspaces: dict[int, Workspace]
    shown: set[int]
    reports: list[StatusReport]


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
    world = World(account_id, reader.id, {}, set(), [])
    for number in range(WORKSPACES):
        workspace_id = workspaces.make_workspace(tx, boss, f"{dice.choice('abÉé_%')} {number}", NOW)
        kept = stored_workspaces.workspace(tx, account_id, workspace_id)
        assert kept is not None
        changed = msgspec.structs.replace(
            kept,
            due_date=dice.choice([None, "2026-01-31", "2027-05-01"]),
            clients_see_status_reports=dice.random() < 0.5,
        )
        stored_workspaces.replace_workspace(tx, kept, changed)
        world.workspaces[workspace_id] = changed
        if dice.random() < 0.6:
            side = dice.choice(list(Side))
            workspaces.join(tx, workspace_id, reader, ParticipationPermission.VIEW, NOW, side=side)
            if side is Side.PROVIDER or changed.clients_see_status_reports:
                world.shown.add(workspace_id)
    ids = list(world.workspaces)
    for number in range(WRITTEN):
        # Some workspaces get none, and some reports come late with an earlier time, or the same.
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
    built.reports = list(page.records)  # type: ignore[arg-type]  all of that kind
    assert len(built.reports) == WRITTEN
    return built


def newest(world: World, workspace_id: int, at: int) -> list[StatusReport]:
    """The current report at a time and the one before, those that are there."""
    own = [r for r in world.reports if r.workspace_id == workspace_id and r.created_at <= at]
    return sorted(own, key=lambda r: (r.created_at, r.id), reverse=True)[:2]


def plain_words(text: str) -> list[str]:
    return re.findall("[a-z0-9]+", text.lower().replace("é", "e"))


def has_words(asked: str, text: str) -> bool:
    """Each word that is asked for begins one of the text's."""
    wanted, there = plain_words(asked), plain_words(text)
    return bool(wanted) and all(any(word.startswith(one) for word in there) for one in wanted)


def all_of(report: StatusReport) -> str:
    return " ".join([report.description, *(one.description or "" for one in report.details)])


def matches(query: PortfolioQuery, workspace: Workspace, two: list[StatusReport], at: int) -> bool:
    report = two[0] if two else None
    before = two[1].color if len(two) > 1 else None
    moved = None if report is None or before is None else trend(report.color, before).value
    found = [query.status in (None, state_of(report))]
    if query.category is not None:
        state = state_of(report, query.category)
        wanted = query.category_status
        found.append(state is not State.NONE if wanted is None else state is wanted)
    if query.stale:
        found.append(report is not None and at - report.created_at > STALE_AFTER_US)
    if query.change is Change.NEW:
        found.append(report is not None and report.created_at > at - NEW_FOR_US)
    elif query.change is not None:
        found.append(moved == query.change.value)
    if query.text:
        texts = [workspace.title, *(all_of(one) for one in two[:1])]
        found.append(any(has_words(query.text, text) for text in texts))
    return all(found)


QUERIES = [
    PortfolioQuery(),
    *(PortfolioQuery(status=state) for state in State),
    *(PortfolioQuery(category=category) for category in Category),
    *(PortfolioQuery(category=Category.BUDGET, category_status=state) for state in State),
    PortfolioQuery(stale=True),
    *(PortfolioQuery(change=change) for change in Change),
    *(
        PortfolioQuery(text=text)
        for text in ("A ", "100%", "under_", "é", "Number 1", "nothing", "%", "'\"")
    ),
    PortfolioQuery(status=State.RED, stale=True, change=Change.WORSE, text="is"),
]


@pytest.mark.parametrize("narrowed", [False, True], ids=["all", "a user"])
@pytest.mark.parametrize("days_ago", [None, 0, 5, 20, 100])
def test_it_counts_and_finds_what_is_there(
    database: Database, world: World, narrowed: bool, days_ago: int | None
) -> None:
    reach = Reach(world.account_id, world.reader_id if narrowed else None)
    at = NOW if days_ago is None else NOW - days_ago * DAY_US
    seen = {
        one.id: newest(world, one.id, at)
        for one in world.workspaces.values()
        if not one.archived and (not narrowed or one.id in world.shown)
    }
    # What had no report yet, and was not made yet, was not there.
    seen = {
        workspace_id: two
        for workspace_id, two in seen.items()
        if two or world.workspaces[workspace_id].created_at <= at
    }
    assert len(seen) > 10 or days_ago == 100
    for asked in QUERIES:
        query = msgspec.structs.replace(asked, as_of=None if days_ago is None else Instant(at))
        wanted = {
            workspace_id: (two[0].id if two else None, two[1].color if len(two) > 1 else None)
            for workspace_id, two in seen.items()
            if matches(query, world.workspaces[workspace_id], two, at)
        }
        rows: list[Any] = []
        for number in (1, 2):
            page = msgspec.structs.replace(query, page=number)
            rows += database.read_here(lambda tx, page=page: portfolio.rows(tx, page, reach, NOW))
        assert {row[0]: (row[1], row[2]) for row in rows} == wanted, query
        assert len(rows) == len(wanted)
        totals = database.read_here(lambda tx, q=query: portfolio.totals(tx, q, reach, NOW))
        assert totals == true_totals(seen, at, len(wanted))


def true_totals(seen: dict[int, list[StatusReport]], at: int, matching: int) -> Totals:
    states = [state_of(two[0] if two else None) for two in seen.values()]
    current = [two[0] for two in seen.values() if two]
    return Totals(
        workspaces=len(seen),
        red=states.count(State.RED),
        yellow=states.count(State.YELLOW),
        green=states.count(State.GREEN),
        none=states.count(State.NONE),
        stale=sum(at - one.created_at > STALE_AFTER_US for one in current),
        worse=sum(
            len(two) > 1 and trend(two[0].color, two[1].color).value == "worse"
            for two in seen.values()
        ),
        new=sum(one.created_at > at - NEW_FOR_US for one in current),
        matching=matching,
        newest=max((one.created_at for one in current), default=Instant(0)),
    )


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
