"""The pages that are read: the portfolio, a workspace, a report, and the files of a report."""

import re
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from page_kit import Node, Site, day, form_of, proof_of, read
from starlette.routing import Route

from conftest import Account, Server
from healthreports.core.vocabulary import Side
from healthreports.web.pages import page_routes

# What the databases count, sort and compare by themselves.
# The other pages are the same on either store.
pytestmark = pytest.mark.one_store


HUGE = "9" * 40
SCRIPT = "<script>alert(1)</script>"
ODD = f"{SCRIPT}\"'><img src=x onerror=alert(1)>&amp;{{{{7*7}}}}"


@pytest.fixture
def site(server: Server, account: Account) -> Iterator[Site]:
    made = Site(server, account)
    yield made
    made.close()


@pytest.fixture
def five(site: Site) -> Site:
    """Five workspaces that differ in all that a portfolio sorts and filters by."""
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
    canal = site.workspace("Canal")
    site.report(canal, "red", ago=40)
    site.report(canal, "yellow", ago=20, text="Nearly dug.", budget="red")
    dome = site.workspace("Dome", due_date=day(10))
    site.report(dome, "green", ago=1)
    site.workspace("Ferry")
    avenue = site.workspace("avenue")
    site.report(avenue, "green", ago=8)
    site.report(avenue, "green", ago=5, text="Trees_planted.", client="green")


def rows(page: Node) -> list[list[str]]:
    """The cells of the table of workspaces."""
    return [
        [cell.text for cell in row.walk() if cell.tag in ("th", "td")]
        for table in page.all("table")
        for body in table.all("tbody")
        for row in body.all("tr")
    ]


def titles(page: Node) -> list[str]:
    return [row[0] for row in rows(page)]


def counts(page: Node) -> dict[str, str]:
    """What stands above the table, by what it counts."""
    said = [one.text.split(" ", 1) for one in page.one("ul", "counts").all("a")]
    return {what: number for number, what in said}


def test_a_row_says_how_a_workspace_stands(five: Site) -> None:
    page = five.page("/")
    [bridge] = [row for row in rows(page) if row[0] == "Bridge"]
    _, status, trend, age, scope, budget, schedule, client, by, due = bridge
    assert (status, age, scope, client) == ("Red", "3 days", "Green", "Yellow")
    assert trend.endswith("worse")
    assert all("not reported" in one for one in (budget, schedule))
    assert by == "The editor"
    assert due == day(-30)


def test_a_workspace_without_a_report_has_a_row_that_says_so(five: Site) -> None:
    [ferry] = [row for row in rows(five.page("/")) if row[0] == "Ferry"]
    assert ferry[1] == "Not reported"
    assert "never" in ferry
    assert len(ferry) == 10


def test_a_due_date_that_is_past_is_marked(five: Site) -> None:
    past = {row[0]: row[-1] for row in rows(five.page("/"))}
    assert past["Dome"] == f"{day(10)} past"
    assert past["Bridge"] == day(-30)
    assert past["Canal"] == ""


def test_above_the_table_stands_how_many_there_are_of_each_kind(five: Site) -> None:
    assert counts(five.page("/")) == {
        "workspaces": "5",
        "red": "1",
        "yellow": "1",
        "green": "2",
        "not reported": "1",
        "older than 14 days": "1",
        "got worse": "1",
        "new this week": "3",
    }


def test_each_count_leads_to_as_many_rows(five: Site) -> None:
    page = five.page("/")
    for link in page.one("ul", "counts").all("a"):
        number, what = link.text.split(" ", 1)
        assert len(rows(five.page(link.attrs["href"]))) == int(number), what


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


@pytest.mark.both_stores
def test_the_portfolio_is_in_the_asked_order(five: Site) -> None:
    for order, expected in ORDERS.items():
        found = titles(five.page("/", order=order))
        assert found[: len(expected)] == expected, order
        assert sorted(found) == sorted(ORDERS["title"])
        assert titles(five.page("/", order=order, reversed="yes")) == found[::-1], order


def test_the_head_of_a_column_leads_to_its_order_and_then_the_other_way_round(five: Site) -> None:
    page = five.page("/", status="green")
    for head in page.one("table").one("thead").all("a"):
        once = five.page(head.attrs["href"])
        [sorted_by] = [one for one in once.all("th") if "aria-sort" in one.attrs]
        first = sorted_by.attrs["aria-sort"]
        twice = five.page(sorted_by.one("a").attrs["href"])
        [sorted_by] = [one for one in twice.all("th") if "aria-sort" in one.attrs]
        assert {first, sorted_by.attrs["aria-sort"]} == {"ascending", "descending"}
        assert titles(twice) == titles(once)[::-1]
        assert sorted(titles(once)) == ["Dome", "avenue"], "the filter is kept"


FILTERS = [
    ({"status": "red"}, {"Bridge"}),
    ({"status": "green"}, {"Dome", "avenue"}),
    ({"status": "none"}, {"Ferry"}),
    ({"category": "Client"}, {"Bridge", "avenue"}),
    ({"category": "Client", "category_status": "green"}, {"avenue"}),
    ({"category": "Budget", "category_status": "none"}, {"Bridge", "Dome", "Ferry", "avenue"}),
    ({"stale": "yes"}, {"Canal"}),
    ({"change": "worse"}, {"Bridge"}),
    ({"change": "better"}, {"Canal"}),
    ({"change": "new"}, {"Bridge", "Dome", "avenue"}),
    ({"text": "bRiD"}, {"Bridge"}),
    ({"text": "crane BROKE"}, {"Bridge"}),
    ({"text": " nearly "}, {"Canal"}),
    ({"text": "100%"}, {"Bridge"}),
    ({"text": "%"}, set()),
    ({"text": "_plant"}, {"avenue"}),
    ({"text": "\\"}, set()),
    ({"status": "green", "change": "new", "text": "tree"}, {"avenue"}),
    ({"status": "red", "change": "better"}, set()),
    ({"text": "all is well"}, {"Dome"}),
]


@pytest.mark.both_stores
def test_filters_keep_what_they_say(five: Site) -> None:
    """And as of today they keep the same as now."""
    for asked, expected in FILTERS:
        for more in ({}, {"as_of": day()}):
            page = five.page("/", **(asked | more))
            assert set(titles(page)) == expected, asked
            assert f"{len(expected)} of 5 workspaces" in page.text, asked
            assert ("No workspace matches." in page.text) == (not expected)


def test_the_form_shows_what_is_asked(five: Site) -> None:
    asked = {
        "text": 'a "b" <c>',
        "status": "red",
        "category": "Client",
        "category_status": "none",
        "change": "new",
        "stale": "yes",
        "as_of": day(3),
    }
    form = five.page("/", **asked, order="age", reversed="yes", view="weeks").one("form", "filters")
    shown = {one.attrs["name"]: one.attrs["value"] for one in form.all("input")}
    for one in form.all("select"):
        [chosen] = [option for option in one.all("option") if "selected" in option.attrs]
        shown[one.attrs["name"]] = chosen.attrs.get("value", chosen.text)
    assert shown == asked | {"order": "age", "reversed": "yes", "view": "weeks"}


@pytest.mark.both_stores
def test_as_of_a_day_shows_how_it_was_then(five: Site) -> None:
    page = five.page("/", as_of=day(6))
    then = {row[0]: row for row in rows(page)}
    # Those that had no report were made since.
    assert {title: row[1] for title, row in then.items()} == {
        "Bridge": "Green",
        "Canal": "Yellow",
        "avenue": "Green",
    }
    assert then["Bridge"][2].endswith("first")
    assert then["Bridge"][3] == "4 days"
    assert counts(page)["older than 14 days"] == "1"
    assert counts(page)["new this week"] == "2"
    assert f"As of the end of {day(6)} (UTC)" in page.text
    assert titles(five.page("/", as_of=day(6), change="better")) == ["Canal"]


def test_a_time_of_a_day_means_that_day_or_nothing(five: Site) -> None:
    page = five.page("/", as_of=f"{day(6)}T12:00:00Z")
    said = [one.text for one in page.all("p", "done")]
    assert said in ([], [f"As of the end of {day(6)} (UTC). Back to today"])


def test_who_left_or_never_was_in_a_workspace_is_named_as_its_author(site: Site) -> None:
    """Such a person is not among those the reader sees; the report is."""
    first = site.account.workspaces[0]
    for by in ("administrator", "outsider"):
        made = site.report(first, "red", by=by)
        for address in ("/", f"/?as_of={day()}", "/?view=weeks"):
            assert titles(site.page(address, "viewer")) == ["First"]
        assert f"The {by}" in site.page("/", "viewer").text
        assert f"The {by}" in site.page(f"/workspaces/{first}", "viewer").text
        assert f"The {by}" in site.page(f"/reports/{made}", "viewer").text
        assert site.at("viewer").get(f"/reports/{made}.md").status_code == 200


def test_where_nobody_reports_any_more_the_last_day_is_one_click_away(site: Site) -> None:
    assert "Nobody has reported" not in site.page("/").text  # nobody ever has
    first, second = map(int, site.account.workspaces)
    site.report(first, "green", ago=40)
    site.report(second, "red", ago=20)
    page = site.page("/")
    assert f"The newest report is of {day(20)}" in page.text
    [link] = [one for one in page.all("a") if one.text == "see how things stood"]
    then = site.page(link.attrs["href"])
    assert "Nobody has reported" not in then.text
    assert counts(then)["red"] == "1"
    site.report(first, "green", ago=1)
    assert "Nobody has reported" not in site.page("/").text


@pytest.mark.both_stores
def test_the_weeks_show_a_status_for_each_of_half_a_year(five: Site) -> None:
    page = five.page("/", view="weeks", order="title")
    assert len(page.one("thead").all("th")) == 27
    weeks = {title: states for title, *states in rows(page)}
    assert weeks["Canal"][-7:] == [
        "Not reported",
        "Red",
        "Red",
        "Red",
        "Yellow",
        "Yellow",
        "Yellow",
    ]
    assert weeks["Bridge"][-3:] == ["Not reported", "Green", "Red"]
    assert set(weeks["Ferry"]) == {"Not reported"}
    assert {len(states) for states in weeks.values()} == {26}


# With the style and the scripts, 66 kB, a page is to have less than 150.
LIGHT = 84_000


def test_fifty_rows_are_a_page_and_weigh_little(site: Site) -> None:
    def work() -> None:
        shades = ("red", "Late.")
        for number in range(51):
            made = site.workspace(f"Programme {number:02} with a title as long as they are")
            site.report(made, "red", ago=200, scope=shades, budget=shades, schedule=shades)
            site.report(made, "red", ago=number, scope=shades, budget=shades, schedule=shades)

    site.together(work)
    answer = site.at().get("/", params={"status": "red", "order": "title"})
    assert len(answer.content) < LIGHT
    first = read(answer)
    assert len(rows(first)) == 50
    assert "51 of 53 workspaces, page 1 of 2" in first.text
    assert not first.all("a", rel="prev")
    second = site.page(first.one("a", rel="next").attrs["href"])
    assert titles(second) == ["Programme 50 with a title as long as they are"]
    assert not second.all("a", rel="next")
    back = site.page(second.one("a", rel="prev").attrs["href"])
    assert titles(back) == titles(first)
    weeks = site.at().get("/", params={"view": "weeks", "status": "red"})
    assert len(weeks.content) < LIGHT
    assert {state for _, *states in rows(read(weeks)) for state in states} == {"Red"}
    assert len(rows(read(weeks))) == 50


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
    assert counts(site.page("/", "viewer"))["workspaces"] == "1"
    other = Site(site.server, other_account)
    other.report(other_account.workspaces[0], "red")
    assert counts(site.page("/"))["red"] == "0"
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
    assert counts(site.page("/"))["red"] == "0"
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
]


@pytest.mark.both_stores
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
    }
    expected = ["Bridge"] if role == "administrator" else []
    for more in ({}, {"as_of": day()}, {"view": "weeks"}):
        assert titles(five.page("/", role, **asked, **more)) == expected


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
    """Of another account, of a workspace one is not in, of one whose reports are not shown."""
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
    assert page.one("div", "large").text == "Red"
    moved = [one.text for one in page.one("ul", "moves").all("li")]
    assert [one.split()[0] for one in moved] == ["Overall", "Scope", "Budget", "Client"]
    assert "worse" in moved[0]
    assert "is not reported any more" in moved[2]
    assert moved[3].startswith("Client is new:")
    assert page.one("ins").text == "four"
    assert page.one("del").text == "two"
    history = page.one("svg", "history").all("a")
    assert [one.attrs["href"] for one in history] == [f"/reports/{one}" for one in ids]
    assert [one.attrs["aria-label"] for one in history] == [
        f"{day(20)}: Green",
        f"{day(9)}: Red",
    ]
    listed = [one.attrs["href"] for one in page.one("ol", "past").all("a")]
    assert listed == [f"/reports/{one}" for one in reversed(ids)]


def test_two_reports_that_say_the_same_have_nothing_changed(site: Site) -> None:
    first = site.account.workspaces[0]
    site.report(first, ago=2)
    site.report(first)
    assert "Nothing: the same colors and the same text." in site.page(f"/workspaces/{first}").text


def test_a_long_history_has_pages(site: Site) -> None:
    first = site.account.workspaces[0]
    ids: list[int] = []
    site.together(lambda: ids.extend(site.report(first, ago=130 - one) for one in range(125)))
    page = site.page(f"/workspaces/{first}")
    assert "125 reports, page 1 of 2" in page.text
    newest = [one.attrs["href"] for one in page.one("svg", "history").all("a")]
    assert newest == [f"/reports/{one}" for one in ids[5:]]
    older = site.page(urljoin(f"/workspaces/{first}", page.one("a", rel="next").attrs["href"]))
    oldest = [one.attrs["href"] for one in older.one("svg", "history").all("a")]
    assert oldest == [f"/reports/{one}" for one in ids[:5]]
    assert older.one("a", rel="prev").attrs["href"] == "?page=1"


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
    assert page.one("h1").text == f"Status report of {day(20)}"
    assert "By The editor, 20 days ago." in page.text
    assert "There is a newer one" in page.text
    assert page.one("a", rel="prev").attrs["href"] == f"/reports/{old}"
    assert page.one("a", rel="next").attrs["href"] == f"/reports/{new}"
    assert "Ago 20." in page.text
    newest = site.page(f"/reports/{new}")
    assert "It is the current one." in newest.text
    assert not newest.all("a", rel="next")
    assert not site.page(f"/reports/{old}").all("section", "changed")


def test_hints_are_for_who_may_change_the_report(site: Site) -> None:
    made = site.report(site.account.workspaces[0], "green", scope="red")
    assert "better than the worst category (Scope)" in site.page(f"/reports/{made}").text
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


# What stands for the parts of an address, by the part before it.
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
        for route in page_routes(None, None, None, None, None, "http://localhost")  # type: ignore[arg-type]
        if isinstance(route, Route)
        and "GET" in route.endpoint.methods
        and not route.path.startswith("/static/")
    }
)


def assert_clean(answer: httpx.Response) -> None:
    """Nothing inline, nothing from elsewhere, well-formed, and nothing names what is not there."""
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


@pytest.mark.parametrize(
    "asked", ["/?view=weeks", "/?status=red", "/?as_of=2020-01-01", "/reports/0", "/workspaces/x"]
)
def test_every_view_is_clean(five: Site, asked: str) -> None:
    assert_clean(five.at().get(asked))


def test_a_form_that_is_refused_is_clean(site: Site) -> None:
    address = f"/workspaces/{site.account.workspaces[0]}/reports/new"
    at = site.at()
    proof = proof_of(at)
    for sent in ({"csrf": proof, "description": ""}, {"csrf": proof, "preview": "yes"}, {}):
        assert_clean(at.post(address, data=sent))


def test_what_people_wrote_is_shown_and_never_taken_for_html(site: Site) -> None:
    made = site.workspace(ODD, description=ODD)
    site.report(made, "green", ago=2, text=f"{ODD} before", scope=("green", f"{ODD} before"))
    report = site.report(made, "red", text=ODD, scope=("red", ODD), client=("red", ODD))
    site.account.api.put(
        f"/users/{site.account.users['editor'].id}", json={"user": {"full_name": ODD}}
    )
    addresses = (
        "/",
        "/?view=weeks",
        f"/?text={httpx.QueryParams({'t': ODD})['t']}",
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
    for name in ("text", "status", "order", "view", "as_of", "page", "change", "reversed"):
        answer = site.at().get("/", params={name: ODD})
        assert SCRIPT not in answer.text, name
        assert_clean(answer)
    report = site.report(site.account.workspaces[0])
    assert_clean(site.at().get(f"/reports/{report}", params={"saved": ODD}))


def test_every_link_of_a_page_leads_somewhere(five: Site) -> None:
    """From the portfolio on, each kind of address once."""
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
