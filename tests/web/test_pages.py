"""The pages for reading: the portfolio, a workspace, a report, and the files of a report."""

import re
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from page_kit import (
    Node,
    Site,
    day,
    fields_of,
    form_of,
    long_day,
    proof_of,
    read,
    short_day,
    weekday,
)
from starlette.routing import Route

from conftest import Account, Server
from healthreports.app import now
from healthreports.core.model import Instant
from healthreports.core.vocabulary import DAY_US, Side
from healthreports.web.pages import page_routes

# Tests of what the databases count, sort and compare run on both stores.
# The other pages are the same on either store.
pytestmark = pytest.mark.one_store


HUGE = "9" * 40
BACK = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}"
ON = "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"
SCRIPT = "<script>alert(1)</script>"
ODD = f"{SCRIPT}\"'><img src=x onerror=alert(1)>&amp;{{{{7*7}}}}"


@pytest.fixture
def site(server: Server, account: Account) -> Iterator[Site]:
    made = Site(server, account)
    yield made
    made.close()


@pytest.fixture
def five(site: Site) -> Site:
    """Five workspaces that differ in everything that a portfolio sorts and filters by."""
    site.together(lambda: _make_five(site))
    return site


def _make_five(site: Site) -> None:
    for first in site.account.workspaces:
        site.change_workspace(first, archived=True)
    bridge = site.workspace("Bridge", due_date=day(-30))
    site.report(bridge, "green", ago=10)
    site.report(
        bridge, "red", ago=3, text="The crane broke. 100% of it.", scope="green", client="yellow"
    )
    site.join(bridge, "viewer", side=Side.CLIENT)
    site.join(bridge, "editor", "edit", team_lead=True)
    # Its reports were due 23 and 9 days ago, whatever day it is.
    canal = site.workspace("Canal", report_day=weekday(9))
    site.report(canal, "red", ago=40)
    site.report(canal, "yellow", ago=20, text="Nearly dug.", budget="red")
    dome = site.workspace("Dome", due_date=day(10))
    site.report(dome, "green", ago=1)
    site.workspace("Ferry")
    avenue = site.workspace("avenue")
    site.report(avenue, "green", ago=8)
    site.report(avenue, "green", ago=5, text="Trees_planted.", client="green")


def rows(page: Node) -> list[list[str]]:
    """The cells of the table of workspaces, or of the timeline."""
    found = []
    for table in (*page.all("table", "portfolio"), *page.all("table", "weeks")):
        for row in table.one("tbody").all("tr"):
            if "of-group" not in row.attrs.get("class", ""):
                head, *cells = [one for one in row.walk() if one.tag in ("th", "td")]
                found.append([head.one("a", "name").text, *(cell.text for cell in cells)])
    return found


def titles(page: Node) -> list[str]:
    return [row[0] for row in rows(page)]


def of_row(page: Node, title: str) -> list[str]:
    [found] = [row for row in rows(page) if row[0] == title]
    return found


def led_by(page: Node) -> list[tuple[str, str, str]]:
    """The links to some of the workspaces: what each counts, the number it shows, its address."""
    found = []
    for link in page.one("nav", "tabs").all("a"):
        numbers = [one.text for one in link.all("small")]
        if numbers:
            [number] = numbers
            found.append((link.text.removesuffix(number).strip(), number, link.attrs["href"]))
    return found + [
        (link.all("span")[0].text, link.one("b", "figure").text, link.attrs["href"])
        for link in page.one("ul", "figures").all("a")
    ]


def counts(page: Node) -> dict[str, str]:
    """The numbers above the table, by what they count."""
    found: dict[str, str] = {}
    for what, number, _ in led_by(page):
        assert found.setdefault(what, number) == number, "what is counted twice is as many twice"
    return found


def trend_of(page: Node) -> list[dict[str, str]]:
    """How many workspaces had each status at the end of each of the last weeks, oldest first."""
    table = page.one("section", "trend").one("table")
    names = [one.text for one in table.one("thead").all("th")]
    weeks = []
    for row in table.one("tbody").all("tr"):
        cells = [one.text for one in row.walk() if one.tag in ("th", "td")]
        weeks.append(dict(zip(names, cells, strict=True)))
    assert len(weeks) == 12
    return weeks


def states_of(page: Node) -> dict[str, str]:
    """How many workspaces have each status."""
    week = trend_of(page)[-1]
    return {name: number for name, number in week.items() if name != "Week to"}


def found_of(page: Node) -> str:
    """How many workspaces are listed, out of how many, and on which page of how many."""
    said = page.one("div", "filters").one("span", "push").text
    return said.partition(" · ")[0]


def chips(page: Node) -> dict[str, str]:
    """The active filters, and the address that removes each of them."""
    ends = ": remove this filter"
    found = page.one("div", "filters").all("a", "chip")
    assert all(one.text.endswith(ends) for one in found)
    return {one.text.removesuffix(ends): one.attrs["href"] for one in found}


def day_shown(page: Node) -> str:
    """The day that a portfolio shows."""
    return page.one("div", "stepper").one("summary").text


def test_a_row_says_how_a_workspace_stands(five: Site) -> None:
    page = five.page("/")
    title, status, strip, marks, summary, owner, updated, due = of_row(page, "Bridge")
    assert (title, status) == ("Bridge", "Red was green")
    assert strip == ""
    [cell] = [
        one
        for one in page.one("table", "portfolio").one("tbody").all("tr")
        if one.one("a", "name").text == "Bridge"
    ]
    weeks = cell.one("svg", "strip", role="img").attrs["aria-label"].split(", ")
    assert weeks == ["no report"] * 10 + ["green", "red"]
    assert marks == "Scope: green. Budget: no report. Schedule: no report. Client: yellow."
    assert summary == "The crane broke."
    assert owner.endswith("The editor")
    assert cell.one("span", "owner").attrs["title"] == "The editor"
    assert updated == "3 days ago"
    assert cell.one("td", "c-when").one("a").attrs["title"] == f"{long_day(3)}, The editor"
    assert due == short_day(-30)


def test_a_workspace_without_a_report_has_a_row_that_says_so(five: Site) -> None:
    ferry = of_row(five.page("/"), "Ferry")
    assert ferry[1] == "No report"
    assert ferry[6] == "never"
    assert ferry[4:6] == ["", ""]
    assert len(ferry) == 8


def test_a_report_that_is_overdue_is_marked(five: Site) -> None:
    """This includes a workspace that never had a report."""
    made = five.workspace("Gate", report_day=weekday(9), created_at=at(ago=11))
    five.workspace("Hall", report_every="never", created_at=at(ago=300))
    page = five.page("/")
    updated = {row[0]: row[6] for row in rows(page)}
    assert updated == {
        "Bridge": "3 days ago",
        "Canal": "9 days overdue",
        "Dome": "yesterday",
        "Ferry": "never",
        "Gate": "9 days overdue",
        "Hall": "never",
        "avenue": "5 days ago",
    }
    late = [one.text for one in page.all("a", "late") + page.all("span", "late")]
    assert late == ["9 days overdue"] * 2
    five.change_workspace(made, report_day=weekday(1), created_at=at(ago=1))
    assert of_row(five.page("/"), "Gate")[6] == "1 day overdue"
    # A report that is due today is not overdue yet.
    five.change_workspace(made, report_day=weekday())
    assert of_row(five.page("/"), "Gate")[6] == "never"


def at(ago: float) -> Instant:
    return Instant(int(now() - ago * DAY_US))


def test_a_due_date_that_is_past_is_marked(five: Site) -> None:
    past = {row[0]: row[-1] for row in rows(five.page("/"))}
    assert past["Dome"] == f"{short_day(10)} is past"
    assert past["Bridge"] == short_day(-30)
    assert past["Canal"] == ""
    five.change_workspace(five.workspace("Gate"), due_date=day(-400))
    assert of_row(five.page("/"), "Gate")[-1] == long_day(-400)


def test_above_the_table_stands_how_many_there_are_of_each_kind(five: Site) -> None:
    page = five.page("/")
    assert counts(page) == {
        "All": "5",
        "Needs attention": "2",
        "Overdue": "1",
        "Red": "1",
        "Got worse": "1",
        "Past due date": "1",
    }
    assert states_of(page) == {"Red": "1", "Yellow": "1", "Green": "2", "No report": "1"}
    assert page.one("section", "trend").one("span", "note").text == (
        "workspaces, 3 reported this week"
    )
    assert page.one("section", "trend").one("b", "figure").text == "5"


SCOPES = [
    {},
    {"text": "broke"},
    {"text": "dug", "group": "status"},
    {"owner": "me"},
    {"owner": "{editor}"},
    {"client": "{client}"},
    {"programme": "{programme}", "compare": "week"},
    {"client": "{client}", "programme": "{programme}"},
    {"as_of": "{before}"},
    {"compare": "month"},
    {"group": "client", "order": "due", "reversed": "yes"},
    {"show": "overdue", "status": "yellow", "change": "better", "category": "Budget", "page": "2"},
]


def test_each_tab_and_figure_leads_to_as_many_rows_as_it_says(five: Site) -> None:
    by_title = ids_by_title(five)
    words = {
        "editor": str(five.account.users["editor"].id),
        "client": str(five.group("Acme", by_title["Bridge"], by_title["Canal"])),
        "programme": str(five.group("South", by_title["Canal"], by_title["avenue"], company=False)),
        "before": day(6),
    }
    five.join(by_title["Dome"], "administrator", "admin", team_lead=True)
    for scope in SCOPES:
        asked = {name: text.format(**words) for name, text in scope.items()}
        page = five.page("/", **asked)
        for what, number, address in led_by(page):
            assert len(rows(five.page(address))) == int(number), (asked, what)
            assert counts(five.page(address)) == counts(page), (asked, what)
        weeks = five.page("/", **asked, view="weeks")
        for link in weeks.one("nav", "tabs").all("a"):
            shown = rows(five.page(link.attrs["href"]))
            for number in link.all("small"):
                assert len(shown) == int(number.text), (asked, link.text)


def ids_by_title(site: Site) -> dict[str, str]:
    """The ids of all listed workspaces, by title."""
    return {
        one.text: one.attrs["href"].rpartition("/")[2] for one in site.page("/").all("a", "name")
    }


def test_the_weeks_above_the_table_are_those_of_the_workspaces_in_it(five: Site) -> None:
    """Each row has a strip; the bars and their table show all rows together."""
    page = five.page("/")
    weeks = trend_of(page)
    ends = [long_day(7 * ago) for ago in reversed(range(12))]
    assert [one["Week to"] for one in weeks] == ends
    strips = [
        one.attrs["aria-label"].split(", ")
        for one in page.one("table", "portfolio").all("svg", "strip")
    ]
    for place, week in enumerate(weeks):
        for state in ("Red", "Yellow", "Green"):
            there = [one for one in strips if one[place] == state.lower()]
            assert week[state] == str(len(there)), (week, state)


def test_the_weeks_that_are_over_follow_what_is_changed_later(five: Site) -> None:
    """The figures of a past week are cached; a later change of a report or a workspace counts."""
    by_title = ids_by_title(five)

    def then() -> dict[str, str]:
        return {name: one for name, one in trend_of(five.page("/"))[-3].items() if one != "0"}

    known = {"Week to": long_day(14)}
    assert then() == known | {"Yellow": "1"}
    made = five.report(by_title["Dome"], "red", ago=15)
    assert then() == known | {"Yellow": "1", "Red": "1"}
    five.account.report(workspace_id=by_title["Dome"], color="green")
    assert then() == known | {"Yellow": "1", "Red": "1"}
    assert five.account.api.delete(f"/status_reports/{made}").is_success
    assert then() == known | {"Yellow": "1"}
    answer = five.account.api.put(
        f"/workspaces/{by_title['Canal']}", json={"workspace": {"archived": True}}
    )
    assert answer.is_success
    assert then() == known


ORDERS = {
    "status": ["Bridge", "Canal", "Ferry", "avenue", "Dome"],
    "title": ["avenue", "Bridge", "Canal", "Dome", "Ferry"],
    "age": ["Ferry", "Canal", "avenue", "Bridge", "Dome"],
    "trend": ["Bridge", "avenue", "Canal"],
    "due": ["Dome", "Bridge"],
    "budget": ["Canal"],
    "client": ["Bridge", "avenue"],
    "scope": ["Bridge"],
}


def test_the_portfolio_is_in_the_asked_order(five: Site) -> None:
    for order, expected in ORDERS.items():
        found = titles(five.page("/", order=order))
        assert found[: len(expected)] == expected, order
        assert sorted(found) == sorted(ORDERS["title"])
        assert titles(five.page("/", order=order, reversed="yes")) == found[::-1], order


def test_the_head_of_a_column_leads_to_its_order_and_then_the_other_way_round(five: Site) -> None:
    page = five.page("/", status="green")
    heads = page.one("table", "portfolio").one("thead").all("a")
    assert len(heads) == 8
    for place, head in enumerate(heads):
        once = five.page(head.attrs["href"])
        [sorted_by] = [one for one in once.all("th") if "aria-sort" in one.attrs]
        first = sorted_by.attrs["aria-sort"]
        again = once.one("table", "portfolio").one("thead").all("a")[place]
        assert again in sorted_by.all("a")
        twice = five.page(again.attrs["href"])
        [sorted_by] = [one for one in twice.all("th") if "aria-sort" in one.attrs]
        assert {first, sorted_by.attrs["aria-sort"]} == {"ascending", "descending"}
        assert titles(twice) == titles(once)[::-1]
        assert sorted(titles(once)) == ["Dome", "avenue"], "the filter is kept"


# The query, the workspaces that match, and the total. A text also limits the total.
FILTERS: list[tuple[dict[str, str], set[str], int]] = [
    ({"status": "red"}, {"Bridge"}, 5),
    ({"status": "green"}, {"Dome", "avenue"}, 5),
    ({"status": "none"}, {"Ferry"}, 5),
    ({"category": "Client"}, {"Bridge", "avenue"}, 5),
    ({"category": "Client", "category_status": "green"}, {"avenue"}, 5),
    ({"category": "Budget", "category_status": "none"}, {"Bridge", "Dome", "Ferry", "avenue"}, 5),
    ({"show": "attention"}, {"Bridge", "Canal"}, 5),
    ({"show": "overdue"}, {"Canal"}, 5),
    ({"show": "past_due"}, {"Dome"}, 5),
    ({"change": "worse"}, {"Bridge"}, 5),
    ({"change": "better"}, {"Canal"}, 5),
    ({"change": "new"}, {"Bridge", "Dome", "avenue"}, 5),
    ({"text": "bRiD"}, {"Bridge"}, 1),
    ({"text": "crane BROKE"}, {"Bridge"}, 1),
    ({"text": " nearly "}, {"Canal"}, 1),
    ({"text": "100%"}, {"Bridge"}, 1),
    ({"text": "%"}, set(), 0),
    ({"text": "_plant"}, {"avenue"}, 1),
    ({"text": "\\"}, set(), 0),
    ({"status": "green", "change": "new", "text": "tree"}, {"avenue"}, 1),
    ({"status": "red", "change": "better"}, set(), 5),
    ({"status": "red", "text": "all is well"}, set(), 1),
    ({"show": "attention", "status": "yellow"}, {"Canal"}, 5),
    ({"show": "overdue", "change": "worse"}, set(), 5),
    ({"show": "past_due", "text": "dome"}, {"Dome"}, 1),
    ({"text": "all is well"}, {"Dome"}, 1),
]


def test_filters_keep_what_they_say(five: Site) -> None:
    """With `as_of` today they keep the same as without it."""
    for asked, expected, of in FILTERS:
        for more in ({}, {"as_of": day()}):
            page = five.page("/", **(asked | more))
            assert set(titles(page)) == expected, asked
            assert found_of(page) == f"{len(expected)} of {of}", asked
            assert counts(page)["All"] == str(of), asked
            assert ("No workspace matches." in page.text) == (not expected)
            assert set(titles(five.page("/", **(asked | more), view="weeks"))) == expected, asked


def test_what_needs_attention_is_red_or_got_worse_or_is_overdue(site: Site) -> None:
    def work() -> None:
        reds, worse, better, late = (site.workspace(one) for one in ("Red", "Worse", "Up", "Late"))
        site.report(reds, "red", ago=1)
        site.report(worse, "green", ago=2)
        site.report(worse, "yellow", ago=1)
        site.report(better, "red", ago=2)
        site.report(better, "yellow", ago=1)
        site.report(late, "green", ago=30)

    site.together(work)
    page = site.page("/", show="attention")
    assert set(titles(page)) == {"Red", "Worse", "Late"}
    assert counts(page)["Needs attention"] == "3"


def test_what_is_asked_stands_there_and_each_filter_is_taken_off_by_itself(five: Site) -> None:
    client, programme = five.group("Acme"), five.group("South", company=False)
    asked = {
        "text": 'a "b" <c>',
        "client": str(client),
        "programme": str(programme),
        "owner": str(five.account.users["editor"].id),
        "show": "overdue",
        "status": "red",
        "category": "Client",
        "category_status": "none",
        "change": "new",
    }
    others = {"as_of": day(3), "compare": "week", "group": "owner", "order": "age"}
    others |= {"reversed": "yes"}
    page = five.page("/", **asked, **others, page="2")
    on = chips(page)
    assert list(on) == [
        '“a "b" <c>”',
        "Client: unknown",
        "Programme: unknown",
        "Owner: The editor",
        "Overdue",
        "Red",
        "Client: no report",
        "Reported this week",
    ]
    alone = [{name} for name in asked if not name.startswith("category")]
    alone.insert(6, {"category", "category_status"})
    for (says, address), names in zip(on.items(), alone, strict=True):
        left = {name: text for name, text in asked.items() if name not in names}
        assert query_of(address) == left | others, says
    # The form for a day keeps all parameters but the page.
    day_form = page.one("div", "stepper").one("form")
    assert fields_of(day_form) == asked | others
    [other_form] = [
        one for one in page.all("form") if one.all("input", name="compare", type="date")
    ]
    assert fields_of(other_form) == asked | others | {"compare": ""}
    [everything] = [one for one in page.all("a") if one.text == "Show all"]
    assert query_of(everything.attrs["href"]) == others
    assert "Compare: a week ago" in [one.text for one in page.all("summary")]
    assert "Group: owner" in [one.text for one in page.all("summary")]
    weeks = five.page("/", **asked, **others, view="weeks", lane="Scope")
    assert list(chips(weeks)) == list(on)
    kept = {"view": "weeks", "lane": "Scope"}
    assert fields_of(weeks.one("div", "stepper").one("form")) == asked | others | kept


def query_of(address: str) -> dict[str, str]:
    leads_to = urlsplit(address)
    assert leads_to.path == "/"
    return dict(httpx.QueryParams(leads_to.query).multi_items())


def test_the_menus_lead_to_what_they_say(five: Site) -> None:
    by_title = ids_by_title(five)
    five.group("Acme", by_title["Bridge"], by_title["Dome"])
    five.group("South", by_title["Canal"], company=False)
    page = five.page("/", order="title", page="3")
    menus = {one.one("summary").text: one for one in page.one("div", "sheet").all("details")}
    assert list(menus) == ["Status", "Client", "Programme", "Owner", "Category", "Change"]
    for name in ("Client", "Programme", "Owner"):
        assert menus[name].all("a"), name
        for link in menus[name].all("a"):
            shown = five.page(link.attrs["href"])
            number = link.one("small").text
            assert found_of(shown) == f"{number} of {number}", link.text
            assert list(chips(shown)) == [f"{name}: {link.text.removesuffix(number).strip()}"]
    said = {
        (name, link.text): set(titles(five.page(link.attrs["href"])))
        for name in ("Status", "Change")
        for link in menus[name].all("a")
    }
    assert said == {
        ("Status", "Red"): {"Bridge"},
        ("Status", "Yellow"): {"Canal"},
        ("Status", "Green"): {"Dome", "avenue"},
        ("Status", "No report"): {"Ferry"},
        ("Change", "Got worse"): {"Bridge"},
        ("Change", "Got better"): {"Canal"},
        ("Change", "Reported this week"): {"Bridge", "Dome", "avenue"},
    }
    assert len(menus["Category"].all("a")) == 16
    assert [one.text for one in menus["Category"].all("h3")] == [
        "Scope",
        "Budget",
        "Schedule",
        "Client",
    ]
    yellow = menus["Category"].all("a")[13]
    assert query_of(yellow.attrs["href"]) == {
        "category": "Client",
        "category_status": "yellow",
        "order": "title",
    }
    assert titles(five.page(yellow.attrs["href"])) == ["Bridge"]


def test_a_day_that_is_not_over_counts_what_came_since(site: Site) -> None:
    first = site.account.workspaces[0]
    red = {"as_of": day(), "status": "red"}
    assert "0 of 2" in site.page("/", **red).text
    site.report(first, "red")
    assert "1 of 2" in site.page("/", **red).text
    # A past day is cached until the data of that day is changed.
    past = site.report(first, "red", ago=3)
    asked = {"as_of": day(2), "status": "red"}
    assert "1 of 1" in site.page("/", **asked).text  # the other one did not exist yet
    assert site.account.api.delete(f"/status_reports/{past}").is_success
    assert "1 of 1" not in site.page("/", **asked).text


@pytest.mark.both_stores
def test_as_of_a_day_shows_how_it_was_then(five: Site) -> None:
    page = five.page("/", as_of=day(6))
    then = {row[0]: row for row in rows(page)}
    # Those without a report were created later. Bridge had only one, so its status did not change.
    assert {title: row[1] for title, row in then.items()} == {
        "Bridge": "Green",
        "Canal": "Yellow was red",
        "avenue": "Green",
    }
    assert then["Bridge"][6] == "4 days ago"
    assert then["Canal"][6] == "3 days overdue"
    assert counts(page)["All"] == "3"
    assert counts(page)["Overdue"] == "1"
    assert counts(page)["Past due date"] == "0"
    assert states_of(page) == {"Red": "0", "Yellow": "1", "Green": "2", "No report": "0"}
    assert page.one("section", "trend").one("span", "note").text == (
        "workspaces, 2 reported this week"
    )
    assert day_shown(page) == long_day(6)
    assert page.one("table", "portfolio").one("caption").text == f"Workspaces, {long_day(6)}"
    assert titles(five.page("/", as_of=day(6), change="better")) == ["Canal"]
    assert counts(five.page("/", as_of=day(9)))["Overdue"] == "0"
    before, after = (page.one("div", "stepper").one("a", rel=one) for one in ("prev", "next"))
    assert day_shown(five.page(before.attrs["href"])) == long_day(7)
    assert day_shown(five.page(after.attrs["href"])) == long_day(5)


def test_the_day_after_yesterday_is_today(five: Site) -> None:
    assert not five.page("/").one("div", "stepper").all("a", rel="next")
    yesterday = five.page(five.page("/").one("div", "stepper").one("a", rel="prev").attrs["href"])
    assert day_shown(yesterday) == long_day(1)
    [*_, after] = yesterday.one("div", "stepper").all("a")
    assert after.attrs["href"] == "/"
    assert day_shown(five.page("/")) == "Today"


def test_a_time_of_a_day_means_that_day_or_nothing(five: Site) -> None:
    page = five.page("/", as_of=f"{day(6)}T12:00:00Z")
    assert day_shown(page) in ("Today", long_day(6))
    assert len(rows(page)) == (5 if day_shown(page) == "Today" else 3)


def test_each_workspace_is_compared_with_its_last_report_or_with_a_day(site: Site) -> None:
    def work() -> None:
        for first in site.account.workspaces:
            site.change_workspace(first, archived=True)
        arch = site.workspace("Arch", due_date=day(2), report_day=weekday(3))
        for color, ago in (("green", 20), ("red", 5), ("yellow", 2)):
            site.report(arch, color, ago=ago)
        barn = site.workspace("Barn", report_day=weekday(4))
        site.report(barn, "red", ago=15)
        site.report(site.workspace("Cave"), "red", ago=4)

    site.together(work)
    shown = {
        asked: {row[0]: row[1] for row in rows(site.page("/", compare=asked))}
        for asked in ("", "week", "month", day(4), day(3), day(21), "x", day(-1))
    }
    last = {"Arch": "Yellow was red", "Barn": "Red", "Cave": "Red"}
    from_green = {"Arch": "Yellow was green", "Barn": "Red", "Cave": "Red"}
    from_none = {"Arch": "Yellow", "Barn": "Red", "Cave": "Red"}
    assert shown == {
        "": last,
        "week": from_green,
        "month": from_none,
        day(4): last,
        day(3): last,
        day(21): from_none,
        "x": last,
        day(-1): last,
    }
    assert deltas(site.page("/")) == {"Red": "down by 1"}
    # At that time Arch was green, Barn red and Cave had no report; nothing was due or overdue.
    week = site.page("/", compare="week")
    assert deltas(week) == {"Red": "up by 1", "Overdue": "up by 1", "Past due date": "up by 1"}
    assert deltas(site.page("/", compare=day(3))) == {
        "Red": "down by 1",
        "Overdue": "no change",
        "Past due date": "up by 1",
    }
    assert titles(site.page("/", compare="week", change="worse")) == ["Arch"]
    assert titles(site.page("/", compare="week", change="better")) == []
    assert titles(site.page("/", change="better")) == ["Arch"]
    assert counts(week)["Got worse"] == "1"
    assert counts(site.page("/"))["Got worse"] == "0"
    # For a day in the past, `week` means the day one week before it.
    one, other = (
        site.page("/", as_of=day(1), compare=asked, order="title") for asked in ("week", day(8))
    )
    assert rows(one) == rows(other)
    assert rows(one)[0][1] == "Yellow was green"
    assert (counts(one), deltas(one)) == (counts(other), deltas(other))
    assert deltas(one)["Red"] == "up by 1"
    assert f"Compare: {long_day(8)}" in [summary.text for summary in other.all("summary")]


def deltas(page: Node) -> dict[str, str]:
    """How the figures differ from the earlier ones, if they show this."""
    found = {}
    for one in page.one("ul", "figures").all("a"):
        for delta in one.all("span", "delta"):
            said = " ".join(delta.text.lstrip("▲▼").split())
            found[one.all("span")[0].text] = re.sub(r"by(\d)", r"by \1", said)
    return found


@pytest.fixture
def grouped(site: Site) -> Site:
    """Workspaces with clients, programmes and owners; Dock has two clients."""

    def work() -> None:
        for first in site.account.workspaces:
            site.change_workspace(first, archived=True)
        ids = {}
        for title, color, owner in (
            ("Arch", "red", "editor"),
            ("Barn", "green", "administrator"),
            ("Cave", "red", "editor"),
            ("Dock", "yellow", None),
            ("Edge", None, None),
        ):
            ids[title] = site.workspace(title)
            if color is not None:
                site.report(ids[title], color, ago=2)
            if owner is not None:
                site.join(ids[title], owner, "admin", team_lead=True)
        site.group("Acme", ids["Arch"], ids["Barn"], ids["Dock"])
        site.group("Best", ids["Cave"], ids["Dock"])
        site.group("Void")
        site.group("North", ids["Barn"], ids["Cave"], company=False)
        # A participant who does not lead owns nothing; neither does the lead of the client side.
        site.join(ids["Barn"], "viewer")
        site.join(ids["Cave"], "outsider", "edit", side=Side.CLIENT, team_lead=True)

    site.together(work)
    return site


def groups_of(page: Node) -> list[tuple[str, str, list[str]]]:
    """For each group: its name, how many workspaces it says have each status, and its rows."""
    found: list[tuple[str, str, list[str]]] = []
    for row in page.one("table", "portfolio").one("tbody").all("tr"):
        if "of-group" in row.attrs.get("class", ""):
            head = row.one("th", scope="rowgroup")
            marks = head.one("span", "marks")
            says = [one.text for one in marks.inside if isinstance(one, Node)]
            numbers = ", ".join(says)
            name = head.text.removesuffix(marks.text).strip()
            found.append((name, numbers, []))
        else:
            found[-1][2].append(row.one("a", "name").text)
    return found


@pytest.mark.both_stores
def test_rows_are_grouped_with_how_many_stand_how(grouped: Site) -> None:
    """A workspace in two groups is counted in the first only, so the counts add up to the rows."""
    expected = {
        "client": [
            ("Acme", "1 red, 1 yellow, 1 green", ["Arch", "Barn", "Dock"]),
            ("Best", "1 red", ["Cave"]),
            ("No client", "1 no report", ["Edge"]),
        ],
        "programme": [
            ("North", "1 red, 1 green", ["Barn", "Cave"]),
            ("No programme", "1 red, 1 yellow, 1 no report", ["Arch", "Dock", "Edge"]),
        ],
        "owner": [
            ("The administrator", "1 green", ["Barn"]),
            ("The editor", "2 red", ["Arch", "Cave"]),
            ("No owner", "1 yellow, 1 no report", ["Dock", "Edge"]),
        ],
        "status": [
            ("Red", "2 red", ["Arch", "Cave"]),
            ("Yellow", "1 yellow", ["Dock"]),
            ("No report", "1 no report", ["Edge"]),
            ("Green", "1 green", ["Barn"]),
        ],
    }
    for group, found in expected.items():
        for more in ({}, {"as_of": day()}):
            page = grouped.page("/", group=group, order="title", **more)
            assert groups_of(page) == found, group
            turned = grouped.page("/", group=group, order="title", reversed="yes", **more)
            assert groups_of(turned) == [(one, how, rest[::-1]) for one, how, rest in found]
            assert found_of(page) == "5 of 5"
            assert counts(page) == counts(grouped.page("/", **more)), "a group changes no count"


def test_a_group_says_how_many_of_those_that_match(grouped: Site) -> None:
    best = filter_ids(grouped)["Client"]["Best"]
    assert groups_of(grouped.page("/", group="client", status="red")) == [
        ("Acme", "1 red", ["Arch"]),
        ("Best", "1 red", ["Cave"]),
    ]
    # Dock is listed under its first client even if the filter names another one.
    found = groups_of(grouped.page("/", group="client", client=best, order="title"))
    assert sorted(row for *_, listed in found for row in listed) == ["Cave", "Dock"]
    assert groups_of(grouped.page("/", group="owner", show="attention")) == [
        ("The editor", "2 red", ["Arch", "Cave"])
    ]


def test_groups_and_menus_are_in_the_order_of_names_whatever_their_case(grouped: Site) -> None:
    by_title = ids_by_title(grouped)
    grouped.group("beam", by_title["Edge"])
    page = grouped.page("/", group="client")
    assert [name for name, *_ in groups_of(page)] == ["Acme", "beam", "Best"]
    assert list(filter_ids(grouped)["Client"]) == ["Acme", "beam", "Best"]


def filter_ids(site: Site, role: str = "administrator") -> dict[str, dict[str, str]]:
    """The clients, programmes and owners that a page offers, with their ids."""
    found: dict[str, dict[str, str]] = {}
    for menu in site.page("/", role).one("div", "sheet").all("details"):
        name = menu.one("summary").text
        if name in ("Client", "Programme", "Owner"):
            found[name] = {
                link.text.removesuffix(link.one("small").text).strip(): query_of(
                    link.attrs["href"]
                )[name.lower()]
                for link in menu.all("a")
            }
    return found


def test_a_filter_is_named_however_many_there_are(site: Site) -> None:
    """A menu lists a hundred clients; a workspace's page links to any client."""
    first = site.account.workspaces[0]
    ids: list[int] = []
    site.together(lambda: ids.extend(site.group(f"Client {one:03}", first) for one in range(102)))
    assert len(filter_ids(site)["Client"]) == 100
    links = site.page(f"/workspaces/{first}").one("p", "crumb").all("a")
    assert links[-1].attrs["href"] == f"/?client={ids[-1]}"
    page = site.page(links[-1].attrs["href"])
    assert titles(page) == ["First"]
    assert list(chips(page)) == ["Client: Client 101"]


def test_a_group_goes_on_on_the_next_page(site: Site) -> None:
    def work() -> None:
        made = [site.workspace(f"W {number:02}") for number in range(60)]
        site.group("Acme", *made)

    site.together(work)
    first = site.page("/", group="client", order="title")
    second = site.page(first.one("a", rel="next").attrs["href"])
    assert [(name, how, len(listed)) for name, how, listed in groups_of(first)] == [
        ("Acme", "60 no report", 50)
    ]
    assert [(name, how, len(listed)) for name, how, listed in groups_of(second)] == [
        ("Acme", "60 no report", 10),
        ("No client", "2 no report", 2),
    ]


def test_a_portfolio_is_narrowed_to_a_client_a_programme_or_an_owner(grouped: Site) -> None:
    ids = filter_ids(grouped)
    assert {kind: list(names) for kind, names in ids.items()} == {
        "Client": ["Acme", "Best"],
        "Programme": ["North"],
        "Owner": ["The administrator", "The editor"],
    }
    owner, users = ids["Owner"], grouped.account.users
    assert owner["The editor"] == str(users["editor"].id)
    narrowed: list[tuple[dict[str, str], set[str]]] = [
        ({"client": ids["Client"]["Acme"]}, {"Arch", "Barn", "Dock"}),
        ({"client": ids["Client"]["Best"]}, {"Cave", "Dock"}),
        ({"programme": ids["Programme"]["North"]}, {"Barn", "Cave"}),
        ({"owner": owner["The editor"]}, {"Arch", "Cave"}),
        ({"owner": owner["The administrator"]}, {"Barn"}),
        ({"owner": "me"}, {"Barn"}),
        ({"owner": str(users["viewer"].id)}, set()),
        ({"owner": str(users["outsider"].id)}, set()),
        ({"client": ids["Client"]["Acme"], "programme": ids["Programme"]["North"]}, {"Barn"}),
        ({"client": ids["Client"]["Best"], "owner": owner["The editor"]}, {"Cave"}),
        ({"client": ids["Client"]["Acme"], "owner": "me", "text": "arch"}, set()),
        ({"client": "x", "programme": "1.0", "owner": "Me"}, set(ids_by_title(grouped))),
        ({"client": "0"}, set()),
        ({"client": "999999999"}, set()),
        ({"programme": "999999999"}, set()),
        ({"owner": "999999999"}, set()),
    ]
    for asked, expected in narrowed:
        for more in ({}, {"as_of": day()}, {"compare": "week"}, {"group": "client"}):
            page = grouped.page("/", **asked, **more)
            assert set(titles(page)) == expected, asked
            number = len(expected)
            assert found_of(page) == f"{number} of {number}", asked
            assert counts(page).get("All", str(number)) == str(number), asked
            if "text" not in asked:
                assert sum(map(int, states_of(page).values())) == number, asked
        assert set(titles(grouped.page("/", **asked, view="weeks"))) == expected, asked


def test_mine_is_what_i_own(grouped: Site) -> None:
    for role, expected in (("editor", {"Arch", "Cave"}), ("viewer", set()), ("outsider", set())):
        page = grouped.page("/", role, owner="me")
        assert set(titles(page)) == expected, role
        assert found_of(page) == f"{len(expected)} of {len(expected)}"
    [mine] = [one for one in grouped.page("/").one("nav", "tabs").all("a") if one.text == "Mine"]
    page = grouped.page(mine.attrs["href"])
    assert titles(page) == ["Barn"]
    [here] = [one.text for one in page.one("nav", "tabs").all("a") if "aria-current" in one.attrs]
    assert here == "Mine"
    assert list(chips(page)) == ["Owner: The administrator"]
    [every] = [one for one in page.one("nav", "tabs").all("a") if one.text == "All"]
    assert len(rows(grouped.page(every.attrs["href"]))) == 5


def test_a_row_names_the_clients_of_a_workspace_or_else_its_programmes(grouped: Site) -> None:
    page = grouped.page("/")
    below = {
        one.one("a", "name").text: [sub.text for sub in one.all("span", "sub")]
        for one in page.one("table", "portfolio").one("tbody").all("tr")
    }
    assert below == {
        "Arch": ["Acme"],
        "Barn": ["Acme"],
        "Cave": ["Best"],
        "Dock": ["Acme, Best"],
        "Edge": [],
    }
    grouped.group("South", ids_by_title(grouped)["Edge"], company=False)
    [edge] = [
        one.one("span", "sub").text
        for one in grouped.page("/").one("table", "portfolio").one("tbody").all("tr")
        if one.one("a", "name").text == "Edge"
    ]
    assert edge == "South"


SEEN_BY_ALL = (
    {},
    {"view": "weeks"},
    {"view": "weeks", "lane": "Scope"},
    *({"group": one} for one in ("client", "programme", "owner", "status")),
    *({"show": one} for one in ("attention", "overdue", "past_due")),
    *({"compare": one} for one in ("week", "month")),
    {"as_of": "{today}"},
    {"as_of": "{today}", "compare": "week", "group": "client"},
    {"owner": "me"},
    {"owner": "{owner}"},
    {"client": "{client}", "group": "owner"},
    {"client": "{client}", "view": "weeks"},
    {"programme": "{programme}"},
    {"client": "{of_both}", "group": "client", "compare": "month"},
    {"text": "hidden"},
    {"text": "secret", "as_of": "{today}"},
    {"status": "red", "change": "worse", "category": "Scope"},
    {"page": "2"},
)


def test_who_sees_half_of_the_workspaces_is_told_nothing_of_the_others(site: Site) -> None:
    """Every page is exactly as it was before the others existed."""
    first = int(site.account.workspaces[0])
    site.report(first, "green", ago=40)
    site.report(first, "yellow", ago=3, text="Seen by all.")
    words = {
        "today": day(),
        "owner": str(site.account.users["outsider"].id),
        "client": str(site.group("Hidden client")),
        "programme": str(site.group("Hidden programme", company=False)),
        "of_both": str(site.group("Shared client", first)),
    }

    def seen() -> list[str]:
        pages = []
        for asked in SEEN_BY_ALL:
            params = {name: text.format(**words) for name, text in asked.items()}
            answer = site.at("viewer").get("/", params=params)
            assert answer.status_code == 200
            pages.append(re.sub(r'name="once" value="[^"]*"', "", answer.text))
        return pages

    before = seen()

    def work() -> None:
        hidden = [site.workspace(f"Hidden {number}", due_date=day(9)) for number in range(60)]
        for one in hidden:
            site.report(one, "green", ago=50)
            site.report(one, "red", ago=30, text="Secret words.", scope="red")
            site.join(one, "outsider", "admin", team_lead=True)
        # The viewer sees the workspace, but not its reports.
        site.join(hidden[0], "viewer", "view", side=Side.CLIENT)
        for number in (words["client"], words["programme"], words["of_both"]):
            put = {"workspace_group": {"add_workspace_ids": list(map(str, hidden))}}
            added.append((number, put))

    added: list[tuple[str, dict]] = []
    site.together(work)
    for number, put in added:
        assert site.account.api.put(f"/workspace_groups/{number}", json=put).is_success
    mine = site.page("/")
    assert counts(mine)["All"] == "62"
    assert "Hidden client" in mine.text, "it is there, for who may see it"
    for asked, one, other in zip(SEEN_BY_ALL, before, seen(), strict=True):
        assert other == one, asked
        for word in ("Hidden", "Secret words", "The outsider"):
            assert word not in one, asked
    # Even a user who asks for it by its id learns neither its name nor whether it exists.
    asked = {name: words[name] for name in ("client", "programme", "owner")}
    page = site.page("/", "viewer", **asked)
    assert list(chips(page)) == ["Client: unknown", "Programme: unknown", "Owner: unknown"]
    unknown = dict.fromkeys(asked, "999999999")
    assert counts(page) == counts(site.page("/", "viewer", **unknown))
    assert trend_of(page) == trend_of(site.page("/", "viewer", **unknown))


def test_who_left_or_never_was_in_a_workspace_is_named_as_its_author(site: Site) -> None:
    """The reader does not see such a person, but sees the report."""
    first = site.account.workspaces[0]
    for by in ("administrator", "outsider"):
        made = site.report(first, "red", by=by)
        for address in ("/", f"/?as_of={day()}", "/?view=weeks"):
            assert titles(site.page(address, "viewer")) == ["First"]
        for address in ("/", f"/?as_of={day()}"):
            link = site.page(address, "viewer").one("a", href=f"/reports/{made}")
            assert link.attrs["title"] == f"{long_day()}, The {by}"
        assert f"The {by}" in site.page(f"/workspaces/{first}", "viewer").text
        assert f"The {by}" in site.page(f"/reports/{made}", "viewer").text
        assert site.at("viewer").get(f"/reports/{made}.md").status_code == 200


def test_where_all_reports_are_overdue_the_last_day_is_one_click_away(site: Site) -> None:
    assert "Every report is overdue" not in site.page("/").text  # nobody has reported yet
    first, second = map(int, site.account.workspaces)
    site.report(first, "green", ago=40)
    site.report(second, "red", ago=20)
    page = site.page("/")
    assert f"Every report is overdue. The newest is of {long_day(20)}" in page.text
    [link] = [one for one in page.all("a") if one.text == "see how things stood"]
    then = site.page(link.attrs["href"])
    assert day_shown(then) == long_day(20)
    assert "Every report is overdue" not in then.text
    assert counts(then)["Red"] == "1"
    site.report(first, "green", ago=1)
    assert "Every report is overdue" not in site.page("/").text


def test_the_weeks_show_a_status_for_each_of_half_a_year(five: Site) -> None:
    page = five.page("/", view="weeks", order="title")
    heads = [one.text for one in page.one("table", "weeks").one("thead").all("th")]
    assert len(heads) == 28
    assert (heads[0], heads[-1]) == ("Workspace", "Due")
    ends = [f"Week to {long_day(7 * ago)}" for ago in reversed(range(26))]
    assert all(head.startswith(end) for head, end in zip(heads[1:-1], ends, strict=True))
    weeks = {title: states for title, *states, _due in rows(page)}
    assert list(weeks) == ["avenue", "Bridge", "Canal", "Dome", "Ferry"]
    assert weeks["Canal"][-7:] == [
        "No report",
        "Red",
        "Red, carried over",
        "Red, overdue",
        "Yellow",
        "Yellow, overdue",
        "Yellow, overdue",
    ]
    assert weeks["Bridge"][-3:] == ["No report", "Green", "Red"]
    assert set(weeks["Ferry"]) == {"No report"}
    assert {len(states) for states in weeks.values()} == {26}
    dues = {row[0]: row[-1] for row in rows(page)}
    assert (dues["Bridge"], dues["Dome"], dues["Canal"]) == (short_day(-30), short_day(10), "")
    assert page.one("h1").text == "Timeline"


def test_the_weeks_of_a_category_are_shown(five: Site) -> None:
    lanes = {
        lane: {title: states for title, *states, _ in rows(five.page("/", view="weeks", lane=lane))}
        for lane in ("", "Budget", "Client", "scope")
    }
    assert lanes["Budget"]["Canal"][-5:] == ["No report"] * 2 + ["Red", *["Red, overdue"] * 2]
    assert lanes["Client"]["Bridge"][-2:] == ["No report", "Yellow"]
    assert set(lanes["Budget"]["Bridge"]) == {"No report"}
    assert lanes["scope"] == lanes[""], "that is none"
    page = five.page("/", view="weeks", lane="Budget")
    [menu] = [one for one in page.all("details") if "Show: Budget" in one.one("summary").text]
    assert [one.text for one in menu.all("a")] == [
        "Overall",
        "Scope",
        "Budget",
        "Schedule",
        "Client",
    ]
    [listed] = [one for one in page.all("a") if one.text == "As a list"]
    assert listed.attrs["href"] == "/"


# A page, with its style sheet and its scripts, must be smaller than this, in bytes.
LIGHT = 150_000


@pytest.fixture
def many(site: Site) -> Site:
    """One workspace more than fits on a page; every workspace has all details."""

    def work() -> None:
        shades = ("red", "Late.")
        for number in range(51):
            made = site.workspace(f"Programme {number:02} with a title as long as they are")
            site.report(made, "red", ago=200, scope=shades, budget=shades, schedule=shades)
            site.report(made, "red", ago=number, scope=shades, budget=shades, schedule=shades)

    site.together(work)
    return site


def test_fifty_rows_are_a_page(many: Site) -> None:
    first = many.page("/", status="red", order="title")
    assert len(rows(first)) == 50
    assert found_of(first) == "51 of 53, page 1 of 2"
    assert not first.all("nav", "pager")[0].all("a", rel="prev")
    second = many.page(first.one("a", rel="next").attrs["href"])
    assert found_of(second) == "51 of 53, page 2 of 2"
    assert titles(second) == ["Programme 50 with a title as long as they are"]
    assert not second.one("nav", "pager").all("a", rel="next")
    back = many.page(second.one("nav", "pager").one("a", rel="prev").attrs["href"])
    assert titles(back) == titles(first)
    weeks = many.page("/", view="weeks", status="red")
    states = {state for _, *states, _due in rows(weeks) for state in states}
    assert states == {"Red", "Red, carried over", "Red, overdue"}
    assert len(rows(weeks)) == 50
    assert len(rows(many.page(weeks.one("a", rel="next").attrs["href"]))) == 1


def test_fifty_rows_weigh_little(many: Site) -> None:
    for asked in ({"status": "red", "order": "title"}, {"view": "weeks", "status": "red"}):
        answer = many.at().get("/", params=asked)
        page = read(answer)
        assert len(rows(page)) == 50
        loads = [one.attrs["href"] for one in page.all("link")]
        loads += [one.attrs["src"] for one in page.all("script")]
        beside = sum(len(many.at().get(address).content) for address in loads)
        assert beside > 20_000
        assert len(answer.content) + beside < LIGHT, asked


def test_who_participates_nowhere_is_told_whom_to_ask(site: Site) -> None:
    page = site.page("/", "outsider")
    assert rows(page) == []
    assert "You participate in no workspace" in page.text
    assert not page.all("a", href="/workspaces/new")


def test_who_may_make_the_first_workspace_is_shown_how(site: Site) -> None:
    for first in site.account.workspaces:
        site.change_workspace(first, archived=True)
    page = site.page("/")
    assert "Nothing here yet" in page.text
    assert page.all("a", href="/workspaces/new")


def test_one_sees_the_workspaces_one_may_see(site: Site, other_account: Account) -> None:
    assert set(titles(site.page("/"))) == {"First", "Second"}
    assert titles(site.page("/", "viewer")) == ["First"]
    assert counts(site.page("/", "viewer"))["All"] == "1"
    other = Site(site.server, other_account)
    other.report(other_account.workspaces[0], "red")
    client = str(other.group("Theirs", other_account.workspaces[0]))
    assert counts(site.page("/"))["Red"] == "0"
    assert "Theirs" not in site.page("/").text
    theirs = str(other_account.users["editor"].id)
    assert titles(site.page("/", owner=theirs)) == []
    assert titles(site.page("/", client=client)) == []
    assert list(chips(site.page("/", client=client, owner=theirs))) == [
        "Client: unknown",
        "Owner: unknown",
    ]
    other.close()


def test_a_client_has_a_row_where_reports_are_shown_to_clients(site: Site) -> None:
    made = site.workspace("For clients")
    site.report(made, "red", text="secret words")
    site.join(made, "outsider", "admin", Side.CLIENT)
    hidden = site.page("/", "outsider")
    assert rows(hidden) == []
    assert site.page("/", "outsider", text="secret").text.count("For clients") == 0
    site.change_workspace(made, clients_see_status_reports=True)
    assert titles(site.page("/", "outsider")) == ["For clients"]


def test_an_archived_workspace_is_left_out_and_still_has_its_page(site: Site) -> None:
    first = site.account.workspaces[0]
    site.report(first, "red")
    site.change_workspace(first, archived=True)
    assert titles(site.page("/")) == ["Second"]
    assert counts(site.page("/"))["Red"] == "0"
    page = site.page(f"/workspaces/{first}")
    assert "This workspace is archived" in page.text
    assert not page.all("a", href=f"/workspaces/{first}/reports/new")


ODD_QUERIES = [
    *(f"page={one}" for one in ("0", "-1", "1.5", HUGE, "9999999", "%D9%A3", "x", "")),
    *(f"as_of={one}" for one in ("x", "2026-02-30", "0000-01-01", "0001-01-01", "9999-12-31")),
    "as_of=9999-12-31T23:59:59Z",
    "as_of=0001-01-01T00:00:00%2B14:00",
    "as_of=9999-12-31T23:59:59-12:00",
    "as_of=2026-11-24T24:00",
    "as_of=0001-01-01&view=weeks",
    "as_of=0001-06-01&view=weeks",
    "as_of=9999-12-31&view=weeks",
    "as_of=1960-01-01&view=weeks&change=better",
    *(f"{name}=%00" for name in ("text", "status", "order", "category", "as_of", "view")),
    "text=%ED%A0%80",
    "text=%FF%FE",
    "text=" + "%F0%9F%9A%80" * 300,
    "text=%25%5C_'%22--",
    "status=purple&category=scope&category_status=Red&change=&order=TITLE&reversed=no",
    "category_status=red",
    "status=red&status=green",
    "view=years",
    "order=__class__",
    "text[]=a&text[b]=c",
    "&&&===",
    "stale=yes&stale=no&as_of=1970-01-01",
    *(f"{name}={HUGE}" for name in ("client", "programme", "owner", "compare", "as_of")),
    *(f"{name}=-1" for name in ("client", "programme", "owner")),
    *(f"{name}=%00" for name in ("client", "programme", "owner", "show", "compare", "group")),
    *(f"compare={one}" for one in ("0001-01-01", "1900-01-01", "2999-12-31", "Week", "2026-13-01")),
    "as_of=1900-01-01&compare=week&view=weeks",
    "as_of=1900-01-01&compare=month&group=client",
    "as_of=2999-12-31&compare=2999-12-30&show=overdue&view=weeks&lane=Scope",
    "show=Overdue&group=Client&lane=overall&owner=Me",
    "view=weeks&lane=scope&lane=Scope&group=status",
    *(f"group={one}&page=77" for one in ("client", "programme", "owner", "status")),
    f"client={2**63 - 1}&programme={2**63}&owner={2**63 - 1}",
]


def test_an_odd_question_gets_a_page(site: Site) -> None:
    site.report(site.account.workspaces[0], "red")
    answers = {query: site.at().get(f"/?{query}").status_code for query in ODD_QUERIES}
    assert {query: status for query, status in answers.items() if status != 200} == {}


@pytest.mark.both_stores
@pytest.mark.parametrize("role", ["administrator", "viewer"])
def test_all_questions_together_are_answered(five: Site, role: str) -> None:
    asked = {
        "status": "red",
        "category": "Client",
        "category_status": "yellow",
        "change": "worse",
        "text": "crane",
        "order": "trend",
        "reversed": "yes",
        "show": "attention",
        "group": "owner",
        "compare": "week",
        "owner": str(five.account.users["editor"].id),
        "client": str(five.group("Acme", ids_by_title(five)["Bridge"])),
        "programme": str(five.group("South", ids_by_title(five)["Bridge"], company=False)),
    }
    expected = ["Bridge"] if role == "administrator" else []
    for more in (
        {},
        {"as_of": day()},
        {"view": "weeks"},
        {"view": "weeks", "lane": "Client", "as_of": day()},
        *({"group": group} for group in ("client", "programme", "status")),
        {"compare": day(7), "order": "scope"},
    ):
        assert titles(five.page("/", role, **(asked | more))) == expected


def test_a_page_behind_the_last_leads_back_to_one_that_is_there(site: Site) -> None:
    site.together(lambda: [site.workspace(f"W {number}") for number in range(51)] and None)
    page = site.page("/", page="77")
    assert "page 77 of 2" not in page.text


NOT_THERE = [
    "/workspaces/{}",
    "/workspaces/{}/reports/new",
    "/reports/{}",
    "/reports/{}/edit",
    "/reports/{}.md",
    "/reports/{}.pdf",
    "/reports/{}/badge.svg",
]


ODD_IDS = ("0", "-1", "1.0", "x", HUGE, str(2**63), str(2**63 - 1), "%D9%A3", "%00", "1%20", "+1")


def test_an_id_that_is_none_is_not_found(site: Site) -> None:
    for path in NOT_THERE:
        for odd in ODD_IDS:
            answer = site.at().get(path.format(odd))
            assert answer.status_code == 404, answer.url
            assert "No such" in read(answer).text, answer.url


@pytest.mark.parametrize("path", NOT_THERE)
def test_what_is_not_visible_is_not_found(site: Site, other_account: Account, path: str) -> None:
    """In another account, in a workspace without access, or if its reports are not shown."""
    other = Site(site.server, other_account)
    theirs = other.report(other_account.workspaces[0])
    first = site.account.workspaces[0]
    ours = site.report(first, text="secret words")
    is_report = path.startswith("/reports")
    asked = [
        (site.at(), theirs if is_report else other_account.workspaces[0]),
        (site.at("outsider"), ours if is_report else first),
    ]
    if is_report:
        site.join(int(first), "outsider", "admin", Side.CLIENT)
        site.change_workspace(first, clients_see_status_reports=False)
    for at, one in asked:
        answer = at.get(path.format(one))
        assert answer.status_code == 404, answer.url
        assert "secret words" not in answer.text
    other.close()


def test_an_odd_page_of_a_history_is_a_page(site: Site) -> None:
    first = site.account.workspaces[0]
    site.report(first)
    for number in ("0", "-1", "x", "", HUGE, "1000000", str(2**63 - 1), "%D9%A3"):
        answer = site.at().get(f"/workspaces/{first}?page={number}")
        assert answer.status_code == 200, answer.url
        read(answer)


def test_a_workspace_shows_its_current_report_what_changed_and_its_history(site: Site) -> None:
    first = site.account.workspaces[0]
    ids = [
        site.report(first, "green", ago=20, text="One two three.", scope="green", budget="red"),
        site.report(first, "red", ago=9, text="One four three.", scope="red", client="green"),
    ]
    page = site.page(f"/workspaces/{first}", "viewer")
    assert page.one("h1").text == "First"
    assert page.all("a", href=f"/reports/{ids[1]}")
    assert page.one("div", "headline").one("span", "status").text == "Red"
    assert page.one("div", "headline").one("span", "was").text == "was green"
    assert "reported 9 days ago" in page.one("p", "meta").text
    assert "edited" not in page.text.lower()
    assert page.one("section", "lead").text == "Summary One four three."
    cards = page.one("div", "cards").all("section", "card")
    assert [one.one("h2").text for one in cards] == ["Scope", "Client"]
    assert "was green" in cards[0].text
    assert "No report on Budget, Schedule." in page.text
    assert page.one("section", "changed").one("h2").text == (
        f"Since the last report of {long_day(20)}"
    )
    moved = [one.text for one in page.one("ul", "moves").all("li")]
    assert moved == [
        "Overall Green →became Red worse",
        "Scope Green →became Red worse",
        "Budget Red →became No report",
        "Client No report →became Green",
    ]
    assert page.one("ins").text == "four"
    assert page.one("del").text == "two"
    history = page.one("svg", "history").all("a")
    assert [one.attrs["href"] for one in history] == [f"?first={one}#compare" for one in ids]
    assert [one.attrs["aria-label"] for one in history] == [
        f"{long_day(20)}: Green",
        f"{long_day(9)}: Red",
    ]
    listed = [one.attrs["href"] for one in page.one("ol", "past").all("a")]
    assert listed == [f"/reports/{one}" for one in reversed(ids)]
    told = [one.text for one in page.one("ol", "past").all("li")]
    assert all(
        date in one and color in one and text in one
        for one, date, color, text in zip(
            told,
            (long_day(9), long_day(20)),
            ("Red", "Green"),
            ("One four three.", "One two three."),
            strict=True,
        )
    )


def test_a_workspace_says_that_its_report_was_edited(site: Site) -> None:
    """The client side does not see the earlier text."""
    first = site.account.workspaces[0]
    site.join(int(first), "outsider", side=Side.CLIENT)
    site.change_workspace(first, clients_see_status_reports=True)
    made = site.report(first, ago=1)
    meta = site.page(f"/workspaces/{first}", "viewer").one("p", "meta")
    assert "The editor · reported yesterday · permalink · next report" in meta.text
    sent = {"status_report": {"description": "Edited."}}
    assert site.account.api.put(f"/status_reports/{made}", json=sent).is_success
    for role, leads_to in (
        ("viewer", f"/reports/{made}/versions"),
        ("outsider", f"/reports/{made}"),
    ):
        edited = site.page(f"/workspaces/{first}", role).one("p", "meta").one("a", "edited")
        assert edited.text == f"edited {long_day()}"
        assert edited.attrs["href"] == leads_to
        assert site.at(role).get(leads_to).status_code == 200
    assert "edited" in site.page(f"/workspaces/{first}", "viewer").one("ol", "past").text


def test_a_workspace_says_when_the_next_report_is_due(site: Site) -> None:
    first, second = map(int, site.account.workspaces)
    site.change_workspace(first, report_day=weekday(2))
    site.report(first, ago=16)

    def said(workspace: int) -> str:
        return site.page(f"/workspaces/{workspace}", "editor").one("p", "meta").text

    assert f"next report was due {long_day(2)}" in said(first)
    site.change_workspace(first, report_every="4 weeks")
    assert f"next report {long_day(-12)}" in said(first)
    site.change_workspace(first, report_paused_until=day(-13))
    assert f"next report {long_day(-19)}" in said(first)
    site.change_workspace(first, report_every="never")
    assert "next report" not in said(first)
    site.change_workspace(second, report_day=weekday(-3))
    assert said(second) == f"First report due {long_day(-3)}"
    site.change_workspace(second, archived=True)
    assert not site.page(f"/workspaces/{second}", "editor").all("p", "meta")


def test_beside_a_workspace_stand_its_dates_programme_and_people(site: Site) -> None:
    first = site.account.workspaces[0]
    site.join(int(first), "administrator", "admin", team_lead=True)
    site.join(int(first), "outsider", "edit", side=Side.CLIENT)
    client = site.group("Acme", first)
    programme = site.group("South", first, company=False)
    site.change_workspace(first, start_date=day(30), due_date=day(10))
    page = site.page(f"/workspaces/{first}", "viewer")
    side = page.one("aside", "side")
    told = {one.one("h3").text: one for one in side.all("section")}
    assert list(told) == ["Dates", "Programme", "People"]
    assert told["Dates"].one("p").text == f"{long_day(30)} \N{EN DASH} {long_day(10)} past"
    assert told["Dates"].one("svg").attrs["aria-label"] == "100 % of the time is over"
    assert told["Programme"].one("a").attrs["href"] == f"/?programme={programme}"
    assert [one.text for one in told["People"].all("li")] == [
        "TAThe administratorowner",
        "TEThe editormanages",
        "TVThe viewerreads",
        "TOThe outsiderclient",
    ]
    crumb = page.one("p", "crumb")
    assert [(one.text, one.attrs["href"]) for one in crumb.all("a")] == [
        ("Portfolio", "/"),
        ("Acme", f"/?client={client}"),
    ]


def test_two_reports_that_say_the_same_have_nothing_changed(site: Site) -> None:
    first = site.account.workspaces[0]
    site.report(first, ago=2)
    site.report(first)
    page = site.page(f"/workspaces/{first}")
    assert "Nothing changed: the same colors and the same text." in page.text
    assert not page.one("div", "headline").all("span", "was")


def test_a_long_history_has_pages(site: Site) -> None:
    first = site.account.workspaces[0]
    ids: list[int] = []
    site.together(lambda: ids.extend(site.report(first, ago=130 - one) for one in range(125)))
    page = site.page(f"/workspaces/{first}")
    assert "125 reports, page 1 of 2" in page.text
    newest = [one.attrs["href"] for one in page.one("svg", "history").all("a")]
    assert newest == [f"?first={one}#compare" for one in ids[5:]]
    older = site.page(urljoin(f"/workspaces/{first}", page.one("a", rel="next").attrs["href"]))
    oldest = [one.attrs["href"] for one in older.one("svg", "history").all("a")]
    assert oldest == [f"?page=2&first={one}#compare" for one in ids[:5]]
    assert older.one("a", rel="prev").attrs["href"] == "?page=1"


def test_a_report_that_is_picked_is_compared_with_any_other_one(site: Site) -> None:
    first = site.account.workspaces[0]
    ids: list[int] = []

    def write() -> None:
        ids.extend(site.report(first, ago=130 - one, text=f"Week {one}.") for one in range(125))
        ids.append(site.report(first, "red", text="The crane broke.", scope="yellow"))

    site.together(write)
    oldest, newest = ids[0], ids[-1]
    path = f"/workspaces/{first}"
    page = site.page(path, page="2", first=str(oldest))
    assert "Week 0." in page.one("div", id="compare").text
    assert "picked" in page.one("svg", "history").all("a")[0].attrs["class"]
    newer = urljoin(path, page.one("a", rel="prev").attrs["href"])
    links = [one.attrs["href"] for one in site.page(newer).one("svg", "history").all("a")]
    compared = site.page(urljoin(path, links[-1]))
    section = compared.one("div", id="compare").one("section")
    said = section.one("h3").text
    assert said == f"{long_day(130)} compared with {long_day()}"
    assert [one.attrs["href"] for one in section.one("h3").all("a")] == [
        f"/reports/{oldest}",
        f"/reports/{newest}",
    ]
    assert section.one("ul", "moves").all("li")[0].text.startswith("Overall Green")
    # The order of choosing does not matter, and the form gives the same as the picture.
    turned = site.page(path, first=str(newest), second=str(oldest))
    assert turned.one("div", id="compare").one("section").one("h3").text == said
    assert fields_of(turned.one("form", "compare")) == {
        "first": str(oldest),
        "second": str(newest),
    }


@pytest.mark.parametrize("other", ["none", "elsewhere", "nonsense"])
def test_only_reports_of_the_workspace_are_compared(site: Site, other: str) -> None:
    first, second = site.account.workspaces
    own, foreign = site.report(first), site.report(second, text="Of another workspace.")
    wanted = {"none": "999999999", "elsewhere": str(foreign), "nonsense": "-1"}[other]
    address = f"/workspaces/{first}?first={own}&second={wanted}"
    answer = site.at().get(address)
    assert answer.status_code == (200 if other == "nonsense" else 404)
    assert "Of another workspace" not in answer.text


def test_the_timeline_marks_edits_and_due_dates(site: Site) -> None:
    first = site.account.workspaces[0]
    site.change_workspace(first, due_date=day(8))
    report = site.report(first, ago=15, text="As published.")
    site.report(first, "red", ago=1)
    weeks = {"view": "weeks", "text": "First"}

    def cells() -> list[str]:
        [row] = site.page("/", **weeks).one("table", "weeks").one("tbody").all("tr")
        return [one.text for one in row.all("td")][-5:-1]

    assert cells() == ["No report", "Green", "Green, carried over, due date", "Red"]
    answer = site.account.api.put(
        f"/status_reports/{report}", json={"status_report": {"description": "As it was."}}
    )
    assert answer.status_code == 200
    assert cells() == ["No report", "Green, edited", "Green, carried over, due date", "Red"]
    # On that day the change had not been made yet.
    then = site.page("/", **weeks, as_of=day(7)).one("table", "weeks").one("tbody")
    assert "edited" not in then.text


def test_a_workspace_without_reports_says_what_to_do(site: Site) -> None:
    first = site.account.workspaces[0]
    mine, theirs = (site.page(f"/workspaces/{first}", role) for role in ("editor", "viewer"))
    assert "No report yet" in mine.text
    assert mine.all("a", href=f"/workspaces/{first}/reports/new")
    assert not theirs.all("a", href=f"/workspaces/{first}/reports/new")


def test_a_client_that_is_not_shown_reports_is_told_so(site: Site) -> None:
    made = site.workspace("For clients", description="What it is about.")
    site.report(made, "red", text="secret words")
    site.join(made, "outsider", "admin", Side.CLIENT)
    page = site.page(f"/workspaces/{made}", "outsider")
    assert "not shown to its clients" in page.text
    assert "What it is about." in page.text
    assert "secret words" not in page.text
    assert not page.all("svg", "history")
    assert not page.all("ul", "moves")
    site.change_workspace(made, clients_see_status_reports=True)
    assert "secret words" in site.page(f"/workspaces/{made}", "outsider").text


def test_a_report_has_a_page_of_its_own_with_its_neighbours(site: Site) -> None:
    first = site.account.workspaces[0]
    old, middle, new = (site.report(first, ago=ago, text=f"Ago {ago}.") for ago in (30, 20, 10))
    page = site.page(f"/reports/{middle}", "viewer")
    assert page.one("h1").text == long_day(20)
    meta = page.one("article", "report").one("p", "meta").text
    assert re.fullmatch(
        rf"TEThe editor · {long_day(20)}, \d\d:\d\d UTC \(20 days ago\) ·"
        rf" There is a newer one: {long_day(10)}",
        meta,
    )
    assert page.one("a", rel="prev").attrs["href"] == f"/reports/{old}"
    assert page.one("a", rel="prev").text == f"{BACK} {short_day(30)}: previous report"
    assert page.one("a", rel="next").attrs["href"] == f"/reports/{new}"
    assert page.one("a", rel="next").text == f"{short_day(10)} {ON}: next report"
    assert "Ago 20." in page.one("section", "lead").text
    newest = site.page(f"/reports/{new}")
    assert newest.one("p", "meta").text.endswith("(10 days ago) · current report")
    assert "There is a newer one" not in newest.text
    assert not newest.all("a", rel="next")
    assert not site.page(f"/reports/{old}").all("section", "changed")


def test_hints_are_for_who_may_change_the_report(site: Site) -> None:
    made = site.report(site.account.workspaces[0], "green", scope="red")
    hints = site.page(f"/reports/{made}").one("aside", "side").one("div", "hints")
    assert "better than the worst category (Scope)" in hints.text
    seen = site.page(f"/reports/{made}", "viewer")
    assert not seen.all("div", "hints")
    assert not seen.all("a", href=f"/reports/{made}/edit")
    assert not seen.all("form", action=f"/reports/{made}/delete")


def test_a_report_names_its_twins_in_other_systems(site: Site) -> None:
    link = "https://tracker.example.org/1?a=<b>&c"
    made = site.account.report(
        external_reference={
            "service_name": "tracker",
            "service_model": "issue",
            "service_model_ref": "T-1",
            "external_link": link,
        }
    )
    for address in (f"/reports/{made}", f"/workspaces/{site.account.workspaces[0]}"):
        [found] = site.page(address).all("a", href=link)
        assert found.text == "tracker T-1"
        assert "noreferrer" in found.attrs["rel"]


def test_a_report_is_had_as_markdown(site: Site) -> None:
    made = site.report(site.account.workspaces[0], "red", text="*Late* <b>", scope="green")
    answer = site.at("viewer").get(f"/reports/{made}.md")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert answer.text.startswith("## First: ")
    assert r"\*Late\* \<b\>" in answer.text


def test_a_report_is_had_as_a_badge(site: Site) -> None:
    made = site.report(site.workspace('R&D "<1>"'), "yellow")
    answer = site.at().get(f"/reports/{made}/badge.svg")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert answer.headers["content-security-policy"] == "default-src 'none'"
    assert read(answer).one("svg").attrs["aria-label"] == f'R&D "<1>": Yellow {day()}'


def test_a_report_is_had_as_pdf_on_one_sheet(site: Site) -> None:
    text = ("The northern pier is two weeks late since the crane broke down. " * 60)[:3_000]
    made = site.report(site.account.workspaces[0], "red", text=text, scope=("red", "Late."))
    answer = site.at("viewer").get(f"/reports/{made}.pdf")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert f'filename="status-report-{made}.pdf"' in answer.headers["content-disposition"]
    assert answer.content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", answer.content)) == 1


@pytest.mark.parametrize("path", ["/", "/workspaces/1", "/reports/1", "/reports/1.pdf"])
def test_a_stranger_is_asked_to_sign_in_and_led_back(site: Site, path: str) -> None:
    answer = site.stranger().get(f"{path}?a=b", follow_redirects=False)
    assert answer.status_code == 303
    leads_to = urlsplit(answer.headers["location"])
    assert leads_to.path == "/sign-in"
    assert httpx.QueryParams(leads_to.query)["next"] == f"{path}?a=b"


# The value for each variable part of an address, by the part before it.
def _filled(path: str, site: Site, report: int) -> str:
    parts = path.split("/")
    known = {"workspaces": site.account.workspaces[0], "reports": str(report)}
    for place, part in enumerate(parts):
        if part.startswith("{"):
            parts[place] = re.sub(r"\{\w+\}", known.get(parts[place - 1], "1"), part)
    return "/".join(parts)


PAGES = sorted(
    {
        route.path
        for route in page_routes(None, None, None, None, None, None, "http://localhost")  # type: ignore[arg-type]
        if isinstance(route, Route)
        and "GET" in route.endpoint.methods
        and not route.path.startswith("/static/")
    }
)


def assert_clean(answer: httpx.Response) -> None:
    """No inline code, nothing from other hosts, well-formed, and no reference to a missing id."""
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    page = read(answer)
    elements = list(page.walk())
    for one in elements:
        assert one.tag != "style"
        assert one.tag != "script" or (one.attrs.get("src") and not one.text)
        for name, value in one.attrs.items():
            assert name != "style", one
            assert not name.startswith("on"), one
            assert not name.startswith("hx-on"), one
            assert "javascript:" not in value
            assert "//" not in value or name in ("placeholder", "value", "title"), one
            if name in ("src", "href", "action", "hx-get", "hx-post"):
                assert value[:1] in ("/", "#", "?", ""), one
    ids = [one.attrs["id"] for one in elements if "id" in one.attrs]
    assert len(ids) == len(set(ids)), ids
    for one in elements:
        for name in ("for", "aria-describedby", "aria-labelledby"):
            assert set(one.attrs.get(name, "").split()) <= set(ids), one
        if one.tag == "form" and one.attrs.get("method") == "post":
            assert one.all("input", name="csrf"), one
    assert len(page.all("h1")) == 1
    assert page.one("head").one("title").text


def assert_page_or_file(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.is_redirect:
        return
    if answer.headers["content-type"].startswith("text/html"):
        assert_clean(answer)
    else:
        assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_clean(site: Site, path: str) -> None:
    first = site.account.workspaces[0]
    site.report(first, "green", ago=3, text="Old words.", scope="green")
    report = site.report(first, "red", text="New words.", scope=("red", ODD), budget="green")
    site.change_workspace(first, description=ODD, due_date=day(3))
    address = _filled(path, site, report)
    for at in (site.at(), site.at("viewer"), site.at("outsider"), site.stranger()):
        assert_page_or_file(at.get(address))


# Every page, and every question about the past that a portfolio answers.
OF_THE_PAST = [
    *PAGES,
    *(
        f"{place}?{asked}"
        for place in ("/", "/portfolio.csv")
        for asked in (
            "as_of={yesterday}",
            "as_of={yesterday}&status=red",
            "as_of={yesterday}&category=Scope&category_status=red",
            "as_of={yesterday}&group=status",
            "compare={yesterday}",
            "compare={yesterday}&change=better",
            "view=weeks",
            "view=weeks&lane=Scope",
        )
    ),
]


@pytest.mark.parametrize("path", OF_THE_PAST)
def test_a_client_never_learns_what_was_corrected(site: Site, path: str) -> None:
    """For a client, a corrected workspace looks like one that never needed a correction."""
    reports = []
    for title, color, text in (("Canal", "red", "Zanzibar is late."), ("Dam", "green", "Well.")):
        made = site.workspace(title)
        site.join(made, "editor", "edit")
        site.join(made, "outsider")
        site.join(made, "viewer", side=Side.CLIENT)
        site.change_workspace(made, clients_see_status_reports=True)
        reports.append(site.report(made, color, ago=2, text=text, scope=(color, text)))
    scope = {"category": "Scope", "color": "green", "description": "Fine."}
    sent = {"color": "green", "description": "Fine.", "details": [scope]}
    for report in reports:
        answer = site.account.api.put(f"/status_reports/{report}", json={"status_report": sent})
        assert answer.is_success, answer.text
    address = _filled(path.replace("{yesterday}", day(1)), site, reports[0])
    seen = site.at("viewer").get(address)
    assert "Zanzibar" not in seen.text
    if path.startswith("/?"):
        page = read(seen)
        assert [row[1:] for row in rows(page) if row[0] == "Canal"] == [
            row[1:] for row in rows(page) if row[0] == "Dam"
        ]
        assert not [one for one in page.all("use") if one.attrs["href"].startswith("#w-r")]
    if path == "/portfolio.csv?as_of={yesterday}":  # nothing is hidden from the provider side
        assert "Zanzibar" in site.at("outsider").get(address).text


@pytest.mark.parametrize(
    "asked",
    [
        "/?view=weeks",
        "/?view=weeks&lane=Scope&text=x&client=1",
        "/?status=red",
        "/?as_of=2020-01-01",
        "/?group=client&compare=week&owner=me",
        "/?group=status&show=overdue&compare=2026-01-01",
        "/reports/0",
        "/workspaces/x",
    ],
)
def test_every_view_is_clean(five: Site, asked: str) -> None:
    five.group(ODD, ids_by_title(five)["Canal"])
    assert_clean(five.at().get(asked))


def test_a_form_that_is_refused_is_clean(site: Site) -> None:
    address = f"/workspaces/{site.account.workspaces[0]}/reports/new"
    at = site.at()
    proof = proof_of(at)
    for sent in ({"csrf": proof, "description": ""}, {"csrf": proof, "preview": "yes"}, {}):
        assert_clean(at.post(address, data=sent))
    site.report(site.account.workspaces[0], text=ODD, scope=("red", ODD))
    answer = at.post(address, data={"csrf": proof, "seen": "0", "color": "red", "description": ODD})
    assert answer.status_code == 409
    assert_clean(answer)


def test_what_people_wrote_is_shown_and_never_taken_for_html(site: Site) -> None:
    made = site.workspace(ODD, description=ODD)
    site.join(made, "editor", "admin", team_lead=True)
    client = site.group(ODD, made)
    site.group(f"{ODD} too", made, company=False)
    site.report(made, "green", ago=2, text=f"{ODD} before", scope=("green", f"{ODD} before"))
    report = site.report(made, "red", text=ODD, scope=("red", ODD), client=("red", ODD))
    site.account.api.put(
        f"/users/{site.account.users['editor'].id}", json={"user": {"full_name": ODD}}
    )
    addresses = (
        "/",
        "/?view=weeks",
        f"/?text={httpx.QueryParams({'t': ODD})['t']}",
        f"/?client={client}&group=programme",
        "/?group=client",
        "/?group=owner&owner=me&view=weeks",
        f"/workspaces/{made}/settings",
        f"/workspaces/{made}",
        f"/reports/{report}",
        f"/reports/{report}/edit",
        f"/workspaces/{made}/reports/new",
    )
    for address in addresses:
        answer = site.at().get(address)
        assert answer.status_code == 200
        assert SCRIPT not in answer.text, address
        assert_clean(answer)
        page = read(answer)
        assert not page.all("img"), address
        assert " ".join(ODD.split()) in page.text, address


def test_what_was_asked_is_never_taken_for_html(site: Site) -> None:
    names = "text client programme owner show status category category_status change as_of compare"
    for name in (*names.split(), "group", "view", "lane", "order", "reversed", "page"):
        answer = site.at().get("/", params={name: ODD})
        assert SCRIPT not in answer.text, name
        assert_clean(answer)
    report = site.report(site.account.workspaces[0])
    assert_clean(site.at().get(f"/reports/{report}", params={"saved": ODD}))


def test_every_link_of_a_page_leads_somewhere(five: Site) -> None:
    """Start at the portfolio, and follow one link to each kind of address."""
    waiting, kinds, broken = ["/"], set(), []
    while waiting:
        address = waiting.pop()
        answer = five.at().get(address)
        if answer.status_code >= 400:
            broken.append(address)
        if not answer.headers.get("content-type", "").startswith("text/html"):
            continue
        if address.startswith("/docs"):  # the API's own page, drawn by its script
            continue
        for link in read(answer).walk():
            href = link.attrs.get("href", "")
            if link.tag not in ("a", "link") or href.startswith("#"):
                continue
            leads_to = urljoin(address, href)
            kind = re.sub(r"\d+", "1", leads_to.partition("?")[0])
            if kind not in kinds:
                kinds.add(kind)
                waiting.append(leads_to)
    assert broken == []
    assert {"/workspaces/1", "/reports/1", "/reports/1/edit", "/reports/1.pdf"} <= kinds


def test_who_may_not_write_is_offered_no_form(site: Site) -> None:
    first = site.account.workspaces[0]
    answer = site.at("viewer").get(f"/workspaces/{first}/reports/new")
    assert answer.status_code == 403
    assert "Not allowed" in read(answer).text
    assert form_of(site.at("editor").get(f"/workspaces/{first}/reports/new"))
