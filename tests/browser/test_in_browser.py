"""The pages in a real Chromium: with a mouse, with the keyboard, and without JavaScript.

`test_every_page` tests what every page in `browser_kit.PLACES` must do.
"""

import re
from collections.abc import Iterator

import pytest
from browser_fixtures import Open, browser, opened, page, site, watched  # noqa: F401  fixtures
from browser_kit import (
    ADMINISTRATOR,
    BARE_WORKSPACE,
    EDITOR,
    EDITORS_WORKSPACE,
    NARROW,
    READER,
    VIEWER,
    WIDE,
    choose,
    chromium,
    days_ago,
    in_ci,
    menu,
    said,
    save,
    saved_report,
    send_unchecked,
    show_filters,
    workspace_called,
    write,
)
from playwright.sync_api import Locator, Page, expect

if chromium() is None and not in_ci():
    pytest.skip(
        "no Chromium on this machine: the pages were not tried in a browser",
        allow_module_level=True,
    )

PROJECTS = 41  # 40 of the sample portfolio, and one without reports
PAST = 100  # days ago
PROJECTS_THEN = 37  # the projects that existed then
WEEKS = 26
DESKTOP = {"width": 1440, "height": 900}
KEPT = "Object.keys(localStorage).filter(key => key.startsWith('healthreports:'))"
STORED = "JSON.stringify([localStorage, sessionStorage])"


def titles(page: Page) -> list[str]:
    return page.locator("table.portfolio, table.weeks").locator("tbody .name").all_inner_texts()


def statuses(page: Page) -> list[str]:
    """The overall status in each row of the portfolio, in words."""
    return page.locator("table.portfolio .c-status .status").all_inner_texts()


def rows(page: Page) -> Locator:
    return page.locator("table.portfolio tbody tr:not(.of-group)")


def row(page: Page, title: str) -> Locator:
    return rows(page).filter(has=page.get_by_role("link", name=title, exact=True))


def listed(page: Page) -> tuple[int, int]:
    """How many workspaces the page says are listed, and of how many."""
    found = re.match(r"(\d+) of (\d+)", page.locator(".filters .push").inner_text())
    return int(found[1]), int(found[2])


def chip(page: Page, says: str) -> Locator:
    """The link that removes an active filter."""
    return page.locator("a.chip").filter(has_text=f"{says}: remove this filter")


def figure(page: Page, label: str) -> Locator:
    return page.get_by_role("list", name="Counts").get_by_role("link").filter(has_text=label)


def number_in(one: Locator) -> int:
    return int(re.search(r"\d+", one.inner_text())[0])


def description(page: Page) -> str:
    return page.locator("#description").input_value()


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until an element that matches the selector has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            return
    pytest.fail(f"Tab does not lead to {selector}")


# Signing in


def test_sign_in_leads_to_the_page_that_was_asked_for(site, opened):
    with opened() as page:
        page.goto("/workspaces/31")
        page.get_by_label("E-mail address").fill(ADMINISTRATOR)
        page.get_by_label("Password").fill(site.passwords[ADMINISTRATOR])
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{site.base}/workspaces/31")


def test_wrong_password_is_told_and_the_address_kept(opened):
    with opened() as page:
        page.goto("/sign-in")
        page.get_by_label("E-mail address").fill(ADMINISTRATOR)
        page.get_by_label("Password").fill("no idea")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_label("E-mail address")).to_have_value(ADMINISTRATOR)
        expect(page.get_by_label("Password")).to_be_focused()


# The portfolio


def test_portfolio_shows_every_workspace_with_its_status_in_words(page):
    page.goto("/")
    assert len(titles(page)) == PROJECTS
    shown = statuses(page)
    assert len(shown) == PROJECTS
    for status in shown:
        assert status.strip() in {"Red", "Yellow", "Green", "No report"}


@pytest.mark.parametrize(("ago", "all_of_them"), [(0, PROJECTS), (PAST, PROJECTS_THEN)])
def test_counts_add_up_to_the_workspaces(page, ago, all_of_them):
    page.goto(f"/?as_of={days_ago(ago)}" if ago else "/")
    ends = page.locator(".trend table tbody tr")
    expect(ends).to_have_count(12)
    expect(ends.last.locator("th")).to_have_text(said(days_ago(ago)))
    numbers = [int(text) for text in ends.last.locator("td").all_text_contents()]
    assert number_in(page.locator(".trend .figure")) == sum(numbers) == all_of_them
    assert listed(page) == (all_of_them, all_of_them)
    words = [text.strip() for text in statuses(page)]
    assert numbers == [words.count(one) for one in ("Red", "Yellow", "Green", "No report")]
    assert number_in(figure(page, "Red").locator("b")) == numbers[0]


@pytest.mark.parametrize("label", ["Red", "Got worse", "Overdue", "Past due date"])
def test_figure_leads_to_the_rows_that_it_counts(page, label):
    page.goto("/")
    one = figure(page, label)
    number = number_in(one.locator("b"))
    assert 0 < number < PROJECTS
    one.click()
    expect(chip(page, label)).to_be_visible()
    expect(rows(page)).to_have_count(number)
    assert listed(page) == (number, PROJECTS)
    expect(figure(page, label)).to_have_attribute("aria-current", "true")


@pytest.mark.parametrize("label", ["Needs attention", "Overdue"])
def test_tab_leads_to_the_rows_that_it_counts(page, label):
    page.goto("/")
    tabs = page.get_by_role("navigation", name="Views")
    expect(tabs.get_by_role("link", name="All")).to_have_attribute("aria-current", "true")
    number = number_in(tabs.get_by_role("link", name=label))
    assert 0 < number < PROJECTS
    tabs.get_by_role("link", name=label).click()
    expect(rows(page)).to_have_count(number)
    expect(tabs.get_by_role("link", name=label)).to_have_attribute("aria-current", "true")
    tabs.get_by_role("link", name="All").click()
    expect(rows(page)).to_have_count(PROJECTS)


def test_mine_are_those_that_one_owns(opened):
    with opened(EDITOR) as page:
        page.goto("/")
        page.get_by_role("navigation", name="Views").get_by_role("link", name="Mine").click()
        page.wait_for_url("**owner=me**")
        assert EDITORS_WORKSPACE in titles(page)
        assert set(page.locator(".c-owner .unseen").all_text_contents()) == {"Tom Okafor"}
        main = page.get_by_role("navigation", name="Main")
        expect(main.get_by_role("link", name="My reports")).to_have_attribute(
            "aria-current", "page"
        )


def test_rows_begin_high_and_many_of_them_are_in_view(opened):
    with opened(ADMINISTRATOR, viewport=DESKTOP) as page:
        page.goto("/")
        places = rows(page).evaluate_all(
            "all => all.map(one => one.getBoundingClientRect()).map(one => [one.top, one.bottom])"
        )
        assert places[0][0] < 260
        assert sum(bottom <= DESKTOP["height"] for _, bottom in places) >= 14


def test_filter_changes_the_rows_and_the_address(page):
    page.goto("/")
    choose(page, "Status", "Red")
    page.wait_for_url("**status=red**")
    expect(rows(page).first).to_be_visible()
    assert 0 < rows(page).count() < PROJECTS
    assert set(statuses(page)) == {"Red"}
    assert listed(page) == (rows(page).count(), PROJECTS)
    chip(page, "Red").click()
    expect(rows(page)).to_have_count(PROJECTS)
    expect(page).not_to_have_url(re.compile("status="))


@pytest.mark.parametrize(
    ("kind", "choice"),
    [
        ("Client", "Fjordbank"),
        ("Programme", "Digital channels"),
        ("Owner", "Tom Okafor"),
    ],
)
def test_menu_says_how_many_rows_a_choice_leads_to(page, kind, choice):
    page.goto("/")
    one = menu(page, kind)
    one.locator("summary").click()
    number = number_in(one.get_by_role("link", name=choice).locator("small"))
    one.get_by_role("link", name=choice).click()
    expect(page.locator("a.chip")).to_have_text(f"{kind}: {choice}: remove this filter")
    expect(rows(page)).to_have_count(number)
    assert listed(page) == (number, number)


def test_filter_by_a_category_shows_what_is_so_there(page):
    page.goto("/")
    one = menu(page, "Category")
    one.locator("summary").click()
    one.locator("a[href*='category=Schedule'][href*='category_status=red']").click()
    expect(page.locator("a.chip")).to_have_text("Schedule: red: remove this filter")
    assert 0 < rows(page).count() < PROJECTS
    for marks in page.locator("table.portfolio tbody .marks").all_text_contents():
        assert "Schedule: red." in marks


def test_filters_add_up_and_each_can_be_removed(page):
    page.goto("/")
    choose(page, "Client", "Aldgate Mutual")
    page.wait_for_url("**client=**")
    choose(page, "Status", "Yellow")
    page.wait_for_url("**status=yellow**")
    both = titles(page)
    assert set(statuses(page)) == {"Yellow"}
    assert set(page.locator("table.portfolio .sub").all_inner_texts()) == {"Aldgate Mutual"}
    expect(page.locator("a.chip")).to_have_count(2)
    chip(page, "Client: Aldgate Mutual").click()
    page.wait_for_url(re.compile(r"^(?!.*client=).*status=yellow"))
    assert set(both) < set(titles(page))
    page.get_by_role("link", name="Show all").click()
    expect(rows(page)).to_have_count(PROJECTS)


def test_address_of_a_filter_shows_the_same_again(page):
    page.goto("/")
    search = page.get_by_role("search").get_by_label("Search workspaces, reports and people")
    search.fill("portal")
    search.press("Enter")
    page.wait_for_url("**/search?q=portal")
    page.get_by_role("link", name="Show in the portfolio").click()
    page.wait_for_url("**text=portal**")
    expect(rows(page).first).to_contain_text("portal")
    shown = titles(page)
    assert 1 < len(shown) < PROJECTS
    page.reload()
    assert titles(page) == shown
    assert all("portal" in title for title in shown)


def test_search_finds_workspaces_reports_and_people(page):
    page.goto("/search?q=tom")
    page.get_by_role("link", name="Tom Okafor").click()
    page.wait_for_url("**owner=**")
    assert set(page.locator(".c-owner .unseen").all_text_contents()) == {"Tom Okafor"}
    page.goto("/search?q=claims+portal")
    main = page.locator("#main")
    expect(main.get_by_role("heading", name="Workspaces")).to_be_visible()
    expect(main.get_by_role("heading", name="Reports")).to_be_visible()
    main.get_by_role("link", name=EDITORS_WORKSPACE).click()
    expect(page.get_by_role("heading", name=EDITORS_WORKSPACE)).to_be_visible()


def test_view_is_saved_shown_and_removed(page):
    page.goto("/?status=red")
    menu(page, "Save view").locator("summary").click()
    page.get_by_label("Name of this view").fill("On fire")
    page.get_by_role("button", name="Save", exact=True).click()
    views = page.get_by_role("navigation", name="Views")
    expect(views.get_by_role("link", name="On fire")).to_have_attribute("aria-current", "true")
    page.goto("/")
    views.get_by_role("link", name="On fire").click()
    page.wait_for_url("**status=red**")
    assert set(statuses(page)) == {"Red"}
    menu(page, "Saved").locator("summary").click()
    page.get_by_role("button", name="Remove “On fire”").click()
    expect(views.get_by_role("link", name="On fire")).to_have_count(0)


@pytest.mark.parametrize(("choice", "ending"), [("Excel (XLSX)", "xlsx"), ("CSV", "csv")])
def test_export_is_a_file_of_what_is_listed(page, choice, ending):
    page.goto("/?status=red")
    menu(page, "Export").locator("summary").click()
    with page.expect_download() as downloaded:
        page.get_by_role("link", name=choice).click()
    assert downloaded.value.suggested_filename.endswith(f".{ending}")
    content = downloaded.value.path().read_bytes()
    if ending == "csv":
        assert all(title in content.decode() for title in titles(page))
        assert "Asset register" not in content.decode()
    else:
        assert content.startswith(b"PK")


def test_back_shows_what_was_before_a_filter(page):
    page.goto("/")
    choose(page, "Status", "Red")
    page.wait_for_url("**status=red**")
    page.go_back()
    expect(rows(page)).to_have_count(PROJECTS)
    expect(page.locator("a.chip")).to_have_count(0)


def test_filter_is_set_and_removed_with_keys_alone(page):
    page.goto("/")
    tab_to(page, ".filters summary")
    page.keyboard.press("Enter")
    tab_to(page, ".filters .menu a[href*='status=red']")
    page.keyboard.press("Enter")
    page.wait_for_url("**status=red**")
    assert set(statuses(page)) == {"Red"}
    tab_to(page, "a.chip")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(PROJECTS)


def test_escape_closes_a_menu_and_keeps_the_focus(page):
    page.goto("/")
    one = menu(page, "Client")
    one.locator("summary").press("Enter")
    expect(one.get_by_role("link", name="Fjordbank")).to_be_visible()
    page.keyboard.press("Tab")
    expect(one.get_by_role("link").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(one.get_by_role("link", name="Fjordbank")).to_be_hidden()
    expect(one.locator("summary")).to_be_focused()


def test_click_elsewhere_closes_a_menu(page):
    page.goto("/")
    menu(page, "Client").locator("summary").click()
    menu(page, "Owner").locator("summary").click()
    expect(menu(page, "Client").get_by_role("link").first).to_be_hidden()
    expect(menu(page, "Owner").get_by_role("link").first).to_be_visible()
    page.get_by_role("heading", name="Portfolio").click()
    expect(page.locator("details.menu[open]")).to_have_count(0)


def test_slash_leads_to_the_search_but_can_be_typed(site, page):
    page.goto("/")
    search = page.get_by_label("Search workspaces, reports and people")
    page.keyboard.press("/")
    expect(search).to_be_focused()
    expect(search).to_have_value("")
    page.keyboard.type("and/or")
    expect(search).to_have_value("and/or")
    page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
    page.locator("#description").fill("")
    page.locator("#description").press_sequentially("1/2")
    assert description(page) == "1/2"
    page.keyboard.press("Control+k")
    expect(page.get_by_label("Search workspaces, reports and people")).to_be_focused()


@pytest.mark.parametrize("path", ["/", "/?view=weeks"], ids=["portfolio", "weeks"])
def test_day_is_chosen_in_its_menu_and_what_was_asked_is_kept(page, path):
    page.goto(path)
    choose(page, "Status", "Green")
    page.wait_for_url("**status=green**")
    menu(page, "Today").locator("summary").click()
    day = days_ago(PAST)
    page.get_by_label("As of the end of a day").fill(day.isoformat())
    menu(page, "Today").get_by_role("button", name="Apply").click()
    page.wait_for_url(f"**as_of={day}**")
    expect(page).to_have_url(re.compile("status=green"))
    assert ("view=weeks" in page.url) == ("view=weeks" in path)
    expect(menu(page, said(day))).to_be_visible()
    assert "Wind farm data hub" in titles(page)
    assert BARE_WORKSPACE not in titles(page)


def test_days_are_stepped_through(page):
    page.goto("/")
    for ago in (1, 2):
        page.get_by_role("link", name="The day before").click()
        page.wait_for_url(f"**as_of={days_ago(ago)}**")
        expect(menu(page, said(days_ago(ago)))).to_be_visible()
    page.get_by_role("link", name="The day after").click()
    page.wait_for_url(f"**as_of={days_ago(1)}**")
    page.get_by_role("link", name="Back to today").click()
    expect(page).not_to_have_url(re.compile("as_of="))
    expect(menu(page, "Today")).to_be_visible()


def test_comparing_with_a_week_ago_says_what_was_then(page):
    page.goto(f"/?as_of={days_ago(7)}")
    red_then = number_in(figure(page, "Red").locator("b"))
    page.goto("/")
    choose(page, "Compare", "A week ago")
    page.wait_for_url("**compare=week**")
    expect(menu(page, "Compare: a week ago")).to_be_visible()
    red = figure(page, "Red")
    more = number_in(red.locator("b")) - red_then
    assert more > 0
    expect(red.locator(".delta")).to_contain_text(f"up by {more}")
    expect(row(page, "Core banking cut-over").locator(".was")).to_have_text("was yellow")
    expect(row(page, EDITORS_WORKSPACE).locator(".was")).to_have_count(0)


def test_comparing_reaches_as_far_back_as_one_asks(page):
    page.goto("/")
    title = "Operating theatre planning"  # red until four weeks ago
    expect(row(page, title).locator(".was")).to_have_count(0)
    choose(page, "Compare", "Four weeks ago")
    page.wait_for_url("**compare=month**")
    expect(row(page, title).locator(".was")).to_have_text("was red")
    menu(page, "Compare").locator("summary").click()
    page.get_by_label("A day", exact=True).fill(days_ago(PAST).isoformat())
    menu(page, "Compare").get_by_role("button", name="Apply").click()
    page.wait_for_url(f"**compare={days_ago(PAST)}**")
    expect(menu(page, f"Compare: {said(days_ago(PAST))}")).to_be_visible()
    expect(row(page, "Core banking cut-over").locator(".was")).to_have_text("was green")


def test_groups_stand_under_their_names_and_add_up(page):
    page.goto("/")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Clients").click()
    page.wait_for_url("**group=client**")
    heads = page.locator("table.portfolio .of-group th")
    names = [
        text.strip() for text in heads.evaluate_all("all => all.map(one => one.firstChild.data)")
    ]
    assert names[:-1] == sorted(names[:-1], key=str.casefold)
    assert names[-1] == "No client"
    assert rows(page).count() == PROJECTS
    numbers = [
        int(number) for text in heads.all_inner_texts() for number in re.findall(r"\b\d+\b", text)
    ]
    assert sum(numbers) == PROJECTS
    choose(page, "Group", "Status")
    page.wait_for_url("**group=status**")
    assert [text.split("\n")[0].strip() for text in heads.all_inner_texts()] == [
        "Red",
        "Yellow",
        "No report",
        "Green",
    ]


@pytest.mark.parametrize("width", [1024, 1280, 1440])
def test_rows_of_groups_are_as_wide_as_their_table(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/?group=client")
    table, cells = page.evaluate(
        """["table.portfolio", "table.portfolio tbody td"].map(one => Math.max(
            ...[...document.querySelectorAll(one)].map(it => it.getBoundingClientRect().right)))"""
    )
    assert cells >= table - 2


def test_sort_by_title_goes_both_ways_and_says_so(page):
    page.goto("/")
    page.get_by_role("columnheader", name="Workspace").get_by_role("link").click()
    header = page.get_by_role("columnheader", name="Workspace")
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert titles(page) == sorted(titles(page), key=str.casefold)
    header.get_by_role("link").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    assert titles(page) == sorted(titles(page), key=str.casefold, reverse=True)


def test_sort_by_a_category_has_the_worst_on_top(page):
    page.goto("/")
    page.get_by_role("columnheader").get_by_role("link", name="Budget").click()
    page.wait_for_url("**order=budget**")
    said_of = [
        re.search(r"Budget: ([a-z ]+)\.", text)[1]
        for text in page.locator("table.portfolio tbody .c-marks").all_text_contents()
    ]
    assert len(said_of) == PROJECTS
    assert said_of[0] == "red"
    assert said_of == sorted(said_of, key=["red", "yellow", "green", "no report"].index)


@pytest.mark.parametrize("ago", [0, PAST])
def test_weeks_show_a_word_for_each_workspace_and_week(page, ago):
    page.goto(f"/?as_of={days_ago(ago)}" if ago else "/")
    page.locator(".filters").get_by_role("link", name="Timeline").click()
    cells = page.locator("table.weeks tbody td:not(.c-due)")
    expect(cells).to_have_count((PROJECTS_THEN if ago else PROJECTS) * WEEKS)
    words = {text.strip() for text in cells.all_text_contents()}
    assert {one.partition(", ")[0] for one in words} == {"Red", "Yellow", "Green", "No report"}
    assert {one.partition(", ")[2] for one in words} <= {
        "",
        "carried over",
        "overdue",
        "edited",
        "due date",
        "carried over, due date",
        "overdue, due date",
        "edited, due date",
    }
    assert (
        page.locator("table.weeks thead th:not(.c-due)")
        .last.text_content()
        .startswith(f"Week to {said(days_ago(ago))}")
    )


def test_weeks_of_a_category_are_another_picture(page):
    page.goto("/?view=weeks&text=portal")
    cells = page.locator("table.weeks tbody td:not(.c-due)")
    overall = cells.all_text_contents()
    choose(page, "Show", "Scope")
    page.wait_for_url("**lane=Scope**")
    expect(menu(page, "Show: Scope")).to_be_visible()
    assert len(cells.all_text_contents()) == len(overall)
    assert cells.all_text_contents() != overall
    page.get_by_role("link", name="As a list").click()
    expect(page.locator("table.portfolio")).to_be_visible()
    expect(page).not_to_have_url(re.compile("lane="))


def test_client_sees_its_own_and_writes_nothing(opened):
    with opened(VIEWER) as page:
        page.goto("/")
        assert set(page.locator("table.portfolio .sub").all_inner_texts()) == {"Fjordbank"}
        expect(page.get_by_role("link", name="New workspace")).to_have_count(0)
        rows(page).first.get_by_role("link").first.click()
        expect(page.get_by_label("Current report")).to_be_visible()
        for name in ("Write report", "Settings", "Deleted reports"):
            expect(page.get_by_role("link", name=name)).to_have_count(0)


def test_reports_that_are_never_due_are_not_overdue(opened):
    with opened(READER) as page:
        page.goto("/")
        assert listed(page) == (37, 37)
        assert number_in(figure(page, "Overdue").locator("b")) == 0
        expect(page.locator("table.portfolio .late")).to_have_count(0)


def test_rail_says_where_one_is(page):
    for path, name in {
        "/": "Portfolio",
        "/?view=weeks": "Timeline",
        "/?owner=me": "My reports",
        "/?group=client": "Clients",
        "/workspaces/archived": "Archived",
        "/people": "People",
        "/account/applications": "Developers",
    }.items():
        page.goto(path)
        here = page.get_by_role("navigation", name="Main").locator("[aria-current=page]")
        expect(here).to_have_count(1)
        expect(here).to_have_text(name)


# On a phone


@pytest.fixture
def phone(opened: Open) -> Iterator[Page]:
    """A page on a phone without JavaScript."""
    with opened(ADMINISTRATOR, viewport=NARROW, java_script_enabled=False) as at:
        yield at


def test_filters_of_a_phone_open_without_a_script(phone):
    phone.goto("/")
    expect(rows(phone).first).to_be_in_viewport()
    expect(menu(phone, "Status")).to_be_hidden()
    expect(phone.get_by_role("navigation", name="Views")).to_be_hidden()
    phone.get_by_text("Filters", exact=True).click()
    expect(phone.get_by_role("checkbox", name="Show filters")).to_be_checked()
    for name in (
        "Status",
        "Client",
        "Programme",
        "Owner",
        "Category",
        "Change",
        "Today",
        "Compare",
    ):
        expect(menu(phone, name)).to_be_visible()
    expect(phone.get_by_role("navigation", name="Views")).to_be_visible()
    phone.get_by_text("Filters", exact=True).click()
    expect(menu(phone, "Status")).to_be_hidden()
    phone.get_by_text("Filters", exact=True).click()
    choose(phone, "Status", "Red")
    phone.wait_for_url("**status=red**")
    assert set(statuses(phone)) == {"Red"}
    expect(chip(phone, "Red")).to_be_visible()


def test_filters_of_a_phone_open_with_a_key(phone):
    phone.goto("/")
    phone.get_by_role("checkbox", name="Show filters").focus()
    phone.keyboard.press("Space")
    expect(menu(phone, "Status")).to_be_visible()


def test_search_is_reached_on_a_phone(phone):
    phone.goto("/")
    main = phone.get_by_role("banner")
    expect(
        main.get_by_role("searchbox").or_(main.get_by_role("link", name="Search"))
    ).to_be_visible()


def test_row_of_a_phone_says_what_stands_in_a_table(phone):
    phone.goto("/")
    for one in (row(phone, EDITORS_WORKSPACE), row(phone, "Grid sensor pilot")):
        expect(one.locator(".status")).to_be_visible()
        expect(one.locator(".marks svg")).to_have_count(4)
        expect(one.locator(".c-when")).to_be_visible()


@pytest.mark.thorough
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize(
    "path", ["/", "/?view=weeks", "/reports/60"], ids=["portfolio", "weeks", "report"]
)
def test_opened_menu_fits_on_the_screen(page, path, size):
    page.set_viewport_size(size)
    page.goto(path)
    show_filters(page)
    outside = []
    for one in page.locator("details.menu").all():
        one.locator("summary").press("Enter")
        expect(one.locator("> div")).to_be_visible()
        box = one.locator("> div").bounding_box()
        wide = page.evaluate("document.documentElement.scrollWidth")
        if box["x"] < 0 or box["x"] + box["width"] > size["width"] or wide > size["width"]:
            name = one.locator("summary").inner_text()
            outside.append(f"{name}: {box['x']} to {box['x'] + box['width']}, page {wide}")
        page.keyboard.press("Escape")
    assert outside == []


# Writing


def test_report_is_written_with_keys_alone(site, page):
    workspace = site.next_workspace()
    page.goto(f"/workspaces/{workspace}")
    tab_to(page, "a.button[href$='/reports/new']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/reports/new")
    # Tab moves to the selected radio button of a group; the arrow keys select another one.
    tab_to(page, "[name=color]")
    page.keyboard.press("Space")
    for _ in range(3):
        if page.evaluate("document.activeElement.value") == "red":
            break
        page.keyboard.press("ArrowRight")
    tab_to(page, "#description")
    page.keyboard.press("Control+A")
    page.keyboard.type("Written with keys alone. The board decides on Friday.")
    tab_to(page, "[name=budget_color]")
    while page.evaluate("document.activeElement.value") != "yellow":
        page.keyboard.press("ArrowDown")
    tab_to(page, "#budget_description")
    page.keyboard.press("Control+A")
    page.keyboard.type("Two weeks of travel are not paid for.")
    tab_to(page, "button.primary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/reports/*?saved=yes")
    expect(page.locator(".report .headline .status")).to_have_text("Red")
    expect(page.locator(".report .lead")).to_contain_text("Written with keys alone.")
    budget = page.locator(".card").filter(has=page.get_by_role("heading", name="Budget"))
    expect(budget).to_contain_text("Yellow")
    expect(budget).to_contain_text("Two weeks of travel")


def test_control_enter_saves(site, page):
    page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
    write(page, "Saved from the middle of a text.")
    page.locator("#description").press("Control+Enter")
    page.wait_for_url("**/reports/*?saved=yes")


def test_skip_link_is_first_and_leads_to_the_content(page):
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_preview_follows_what_is_typed(site, page):
    page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
    page.evaluate("window.stayed = true")
    page.get_by_role("group", name="Overall status").get_by_label("Green").check()
    page.locator("#description").fill("")
    page.locator("#description").press_sequentially("The <b>bridge</b> is open.")
    preview = page.locator("#preview")
    expect(preview).to_contain_text("The <b>bridge</b> is open.")
    assert page.evaluate("window.stayed")
    assert description(page) == "The <b>bridge</b> is open."


def test_preview_follows_a_color_that_is_chosen_again(site, page):
    page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
    write(page, "Undecided.")
    shown = page.locator("#preview .lead .status")
    for color in ("Red", "Green", "Red", "Green"):
        page.get_by_role("group", name="Overall status").get_by_label(color).check()
        expect(shown).to_have_text(color)


def test_report_can_be_edited(site, page):
    report = saved_report(page, site.next_workspace(), "With a typo.")
    page.get_by_role("link", name="Edit", exact=True).click()
    page.wait_for_url(f"**/reports/{report}/edit")
    assert description(page) == "With a typo."
    write(page, "Without one.", "Yellow")
    save(page)
    page.wait_for_url(f"**/reports/{report}?saved=yes")
    expect(page.locator(".report")).to_contain_text("Without one.")
    expect(page.locator(".report .headline .status")).to_have_text("Yellow")


def test_line_breaks_come_through_an_edit_unchanged(site, page):
    text = "First.\n\n  Second, set in.\nThird."
    report = saved_report(page, site.next_workspace(), text)
    assert page.locator(".report .lead .prose").inner_text() == text.replace("  ", "")
    page.goto(f"/reports/{report}/edit")
    assert description(page) == text


def test_marks_in_a_text_are_shown_and_no_more_than_marks(site, page):
    text = "**Late.** See [the plan](https://example.org/plan):\n\n- one <img src=x>\n- two"
    saved_report(page, site.next_workspace(), text)
    prose = page.locator(".report .lead .prose")
    expect(prose.locator("strong")).to_have_text("Late.")
    expect(prose.get_by_role("link", name="the plan")).to_have_attribute(
        "rel", re.compile("noopener")
    )
    expect(prose.get_by_role("listitem")).to_have_text(["one <img src=x>", "two"])
    expect(prose.locator("img")).to_have_count(0)


def test_faults_are_told_at_their_fields_and_nothing_is_lost(site, page):
    page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
    write(page, "Kept all the same.")
    page.get_by_role("group", name="Scope").get_by_label("None").check()
    page.locator("#scope_description").fill("A text without a color.")
    send_unchecked(page)
    expect(page.locator(".fault").first).to_be_visible()
    assert description(page) == "Kept all the same."
    expect(page.locator("#scope_description")).to_have_value("A text without a color.")
    expect(page.get_by_role("group", name="Overall status").get_by_label("Green")).to_be_checked()


def test_no_change_this_week_publishes_what_the_last_report_said(site, page):
    workspace = site.next_workspace()
    page.goto(f"/workspaces/{workspace}/reports/new")
    write(page, "We wait for the permit.", "Yellow")
    for category in ("Budget", "Schedule", "Client"):
        page.get_by_role("group", name=category).get_by_label("None").check()
        page.get_by_label(f"{category} notes").fill("")
    page.get_by_role("group", name="Scope").get_by_label("Red").check()
    page.get_by_label("Scope notes").fill("We need a decision by Friday.")
    save(page)
    page.wait_for_url("**/reports/*?saved=yes")
    first = page.url
    page.goto(f"/workspaces/{workspace}/reports/new")
    page.get_by_role("button", name="No change this week").click()
    page.wait_for_url(lambda url: "saved=yes" in url and url != first)
    said_again(page)
    # Text that was typed but not published is not in the report.
    second = page.url
    page.goto(f"/workspaces/{workspace}/reports/new")
    write(page, "Something else.", "Green")
    page.get_by_role("group", name="Budget").get_by_label("Red").check()
    page.get_by_label("Budget notes").fill("Something else.")
    page.get_by_role("button", name="No change this week").click()
    page.wait_for_url(lambda url: "saved=yes" in url and url not in {first, second})
    said_again(page)


def said_again(page: Page) -> None:
    """The page shows the report with the text "We wait for the permit."."""
    expect(page.locator(".report .headline .status")).to_have_text("Yellow")
    expect(page.locator(".report .lead .prose")).to_have_text("We wait for the permit.")
    expect(page.locator(".report .card h2")).to_have_text(["Scope"])
    expect(page.locator(".report .card")).to_contain_text("Red")
    expect(page.locator(".report .card")).to_contain_text("We need a decision by Friday.")


def test_first_report_cannot_be_the_same_again(page):
    page.goto(f"/workspaces/{workspace_called(page, BARE_WORKSPACE)}/reports/new")
    expect(page.get_by_role("button", name="Publish")).to_be_visible()
    expect(page.get_by_role("button", name="No change this week")).to_have_count(0)


def test_times_are_read_in_the_zone_of_the_reader(opened):
    with opened(ADMINISTRATOR, timezone_id="Asia/Tokyo") as page:
        page.goto("/reports/60")
        time = page.locator(".report time").first
        in_utc = re.fullmatch(r"(\d+ \w+ \d+), (\d\d):(\d\d) UTC", time.get_attribute("title"))
        assert in_utc, time.get_attribute("title")
        hour = (int(in_utc[2]) + 9) % 24
        assert time.inner_text().endswith(f", {hour:02}:{in_utc[3]} GMT+9")


def test_secret_is_copied_by_a_button(opened):
    with opened(ADMINISTRATOR, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.goto("/developers")
        page.get_by_label("Name", exact=True).fill("to be copied")
        page.get_by_role("button", name="Create token").click()
        page.get_by_role("button", name="Copy", exact=True).first.click()
        expect(page.get_by_role("button", name="Copied", exact=True)).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == page.locator(".secret").inner_text()


# Drafts


def saved_draft(page):
    """Wait until the server has stored the draft."""
    expect(page.locator("#preview")).to_contain_text("Draft saved.")


def test_draft_follows_its_writer_to_another_device(site, page):
    path = f"/workspaces/{site.next_workspace()}/reports/new"
    page.goto(path)
    write(page, "Half a sentence", "Red")
    saved_draft(page)
    assert page.evaluate(KEPT) == [], "the server has it"
    with site.open(ADMINISTRATOR) as other:
        other.goto(path)
        assert description(other) == "Half a sentence"
        status = other.get_by_role("group", name="Overall status")
        expect(status.get_by_label("Red")).to_be_checked()
        expect(other.locator(".kept")).to_contain_text("is restored.")
        expect(other.locator("#preview")).to_contain_text("Half a sentence")
        other.goto("/?owner=me")
        expect(
            other.get_by_role("region", name="Drafts").locator(f"[href='{path}']")
        ).to_be_visible()


NO_ANSWER = re.compile(r"ERR_FAILED|htmx:|Response Status Error Code 401")


def expect_no_answer(watched):
    """Expect, and remove, complaints about requests that failed or that htmx reports as errors."""
    said = [one for one in watched.complaints if NO_ANSWER.search(one)]
    assert said
    watched.complaints = [one for one in watched.complaints if one not in said]


def test_draft_that_was_not_sent_yet_comes_back_after_a_reload(site, page, watched):
    page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
    page.route(
        "**/reports/new", lambda route: route.abort() if is_sent(route) else route.continue_()
    )
    write(page, "In a tunnel")
    expect(page.locator(".kept")).to_contain_text("The server cannot be reached.")
    page.unroute_all(behavior="wait")
    page.reload()
    assert description(page) == "In a tunnel"
    saved_draft(page)
    expect_no_answer(watched)
    assert page.evaluate(KEPT) == []


def is_sent(route):
    return route.request.method == "POST"


def test_draft_of_an_expired_session_is_gone_on_with_after_signing_in(site, opened, watched):
    with opened() as page:
        site.sign_in(page, ADMINISTRATOR)
        page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
        page.context.clear_cookies()
        write(page, "An hour of work", "Green")
        expect(page.locator(".kept")).to_contain_text("Your session expired.")
        page.get_by_role("button", name="Publish").click()
        expect(page.get_by_role("status")).to_contain_text("your draft is saved")
        site.fill_sign_in(page, ADMINISTRATOR)
        page.wait_for_url("**/reports/new")
        assert description(page) == "An hour of work"
        page.get_by_role("button", name="Publish").click()
        page.wait_for_url("**/reports/*?saved=yes")
        assert page.evaluate(KEPT) == []
    expect_no_answer(watched)


def test_draft_that_came_back_can_be_discarded(site, page):
    page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
    before = description(page)
    write(page, "Half a sentence")
    saved_draft(page)
    page.reload()
    page.get_by_role("button", name="Discard draft").press("Enter")
    expect(page.locator("#description")).to_have_value(before)
    page.reload()
    assert description(page) == before


def test_draft_is_gone_after_saving(site, page):
    workspace = site.next_workspace()
    saved_report(page, workspace, "A whole sentence.")
    assert page.evaluate(KEPT) == []


def test_draft_survives_that_somebody_else_saved(site, page):
    page.goto("/?text=claims")
    page.locator("main").get_by_role("link", name=EDITORS_WORKSPACE).click()
    page.get_by_role("link", name="Write report").click()
    page.wait_for_url("**/reports/new")
    write(page, "An hour of work")
    workspace = int(re.search(r"/workspaces/(\d+)", page.url)[1])
    with site.open(EDITOR) as other:
        saved_report(other, workspace, "Quicker.")
    page.reload()
    assert description(page) == "An hour of work"
    save(page)
    expect(page.locator(".conflict")).to_contain_text("Quicker.")


def test_draft_is_gone_after_saving_past_a_conflict(site, page):
    workspace = site.next_workspace()
    page.goto(f"/workspaces/{workspace}/reports/new")
    write(page, "Slower.")
    with site.open(ADMINISTRATOR) as other:
        saved_report(other, workspace, "Quicker.")
    save(page)
    expect(page.locator(".conflict")).to_be_visible()
    save(page)
    page.wait_for_url("**/reports/*?saved=yes")
    assert page.evaluate(KEPT) == []


def test_draft_is_gone_after_signing_out(site, opened, watched):
    with opened() as page:
        site.sign_in(page, ADMINISTRATOR)
        page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
        page.route("**/reports/new", lambda route: route.abort())
        write(page, "Between us.")
        expect(page.locator(".kept")).to_contain_text("The server cannot be reached.")
        assert len(page.evaluate(KEPT)) == 1
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
        assert "Between us." not in page.evaluate(STORED)
        assert page.evaluate(KEPT) == []
    expect_no_answer(watched)


def test_signing_out_leaves_no_portfolio_behind(site, opened):
    with opened() as page:
        site.sign_in(page, ADMINISTRATOR)
        choose(page, "Status", "Red")
        page.wait_for_url("**status=red**")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
        stored = page.evaluate(STORED)
        assert EDITORS_WORKSPACE not in stored
        assert "status=red" not in stored


# Two writers at once


def test_conflict_of_two_new_reports_shows_both(opened):
    with opened(ADMINISTRATOR) as mine, opened(EDITOR) as theirs:
        workspace = workspace_called(mine, EDITORS_WORKSPACE)
        mine.goto(f"/workspaces/{workspace}/reports/new")
        write(mine, "What the administrator wrote.", "Red")
        saved_report(theirs, workspace, "What the editor wrote.")
        save(mine)
        expect(mine.locator(".conflict")).to_contain_text("What the editor wrote.")
        assert description(mine) == "What the administrator wrote."
        save(mine)
        mine.wait_for_url("**/reports/*?saved=yes")
        expect(mine.locator(".report")).to_contain_text("What the administrator wrote.")


def test_conflict_of_two_changes_shows_both(site, opened):
    with opened(ADMINISTRATOR) as mine, opened(ADMINISTRATOR) as theirs:
        report = saved_report(mine, site.next_workspace(), "As it was.")
        for page in (mine, theirs):
            page.goto(f"/reports/{report}/edit")
        write(theirs, "As they want it.", "Yellow")
        save(theirs)
        theirs.wait_for_url("**saved=yes")
        write(mine, "As I want it.", "Red")
        save(mine)
        expect(mine.locator(".conflict")).to_contain_text("As they want it.")
        assert description(mine) == "As I want it."
        theirs.reload()
        expect(theirs.locator(".report")).to_contain_text("As they want it.")


# Without JavaScript


@pytest.fixture
def plain(opened: Open) -> Iterator[Page]:
    """A page of a browser without JavaScript."""
    with opened(ADMINISTRATOR, java_script_enabled=False) as at:
        yield at


def test_sign_in_and_out_without_a_script(site, opened):
    with opened(java_script_enabled=False) as page:
        site.sign_in(page, ADMINISTRATOR)
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(f"{site.base}/sign-in")


def test_reading_without_a_script(plain):
    plain.goto("/")
    choose(plain, "Status", "Red")
    plain.wait_for_url("**status=red**")
    assert set(statuses(plain)) == {"Red"}
    plain.get_by_role("columnheader", name="Workspace").get_by_role("link").click()
    plain.wait_for_url("**order=title**")
    assert titles(plain) == sorted(titles(plain), key=str.casefold)
    plain.locator(".filters").get_by_role("link", name="Timeline").click()
    expect(plain.locator("table.weeks")).to_be_visible()
    plain.locator("table tbody th a").first.click()
    plain.get_by_role("link", name="permalink").click()
    expect(plain.locator("article.report")).to_be_visible()


def test_searching_without_a_script(plain):
    plain.goto("/")
    plain.get_by_label("Search workspaces, reports and people").fill("claims portal")
    plain.get_by_label("Search workspaces, reports and people").press("Enter")
    plain.wait_for_url("**/search?q=claims+portal")
    expect(plain.get_by_role("link", name=EDITORS_WORKSPACE)).to_be_visible()


def test_looking_back_without_a_script(plain):
    plain.goto("/?text=portal")
    menu(plain, "Today").locator("summary").click()
    day = days_ago(PAST)
    plain.get_by_label("As of the end of a day").fill(day.isoformat())
    menu(plain, "Today").get_by_role("button", name="Apply").click()
    plain.wait_for_url(f"**as_of={day}**")
    expect(plain).to_have_url(re.compile("text=portal"))
    expect(menu(plain, said(day))).to_be_visible()


def test_no_change_this_week_without_a_script(site, plain):
    workspace = site.next_workspace()
    saved_report(plain, workspace, "We wait for the permit.")
    plain.goto(f"/workspaces/{workspace}/reports/new")
    plain.get_by_role("button", name="No change this week").click()
    plain.wait_for_url("**/reports/*?saved=yes")
    expect(plain.locator(".report .lead .prose")).to_have_text("We wait for the permit.")


def test_writing_without_a_script(site, plain):
    workspace = site.next_workspace()
    plain.goto(f"/workspaces/{workspace}")
    plain.get_by_role("link", name="Write report").click()
    write(plain, "Without a script.")
    plain.get_by_role("button", name="Preview").click()
    expect(plain.locator("#preview")).to_contain_text("Without a script.")
    assert description(plain) == "Without a script."
    save(plain)
    plain.wait_for_url("**/reports/*?saved=yes")
    plain.get_by_role("link", name="Edit", exact=True).click()
    write(plain, "And changed.")
    save(plain)
    expect(plain.locator(".report")).to_contain_text("And changed.")
    plain.get_by_text("Delete this report").click()
    plain.get_by_role("button", name="Delete report").click()
    expect(plain).to_have_url(re.compile(rf"/workspaces/{workspace}\?deleted=\d+$"))
    expect(plain.locator("main")).not_to_contain_text("And changed.")


def test_conflict_without_a_script_shows_both(site, opened, plain):
    workspace = site.next_workspace()
    plain.goto(f"/workspaces/{workspace}/reports/new")
    write(plain, "Mine.", "Red")
    with opened(ADMINISTRATOR, java_script_enabled=False) as other:
        saved_report(other, workspace, "Theirs.")
    save(plain)
    expect(plain.locator(".conflict")).to_contain_text("Theirs.")
    assert description(plain) == "Mine."


# In print


# Keys


def test_timeline_is_walked_cell_by_cell(page):
    page.goto("/?view=weeks")
    rows = page.locator(".weeks tbody tr")
    last = rows.first.locator("td").nth(-2)
    last.focus()
    said = page.locator(".readout")
    first_title = rows.first.locator("th").inner_text()
    expect(said).to_contain_text(first_title)
    expect(said).to_contain_text(last.text_content())
    page.keyboard.press("ArrowLeft")
    expect(rows.first.locator("td").nth(-3)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(rows.nth(1).locator("td").nth(-3)).to_be_focused()
    expect(said).to_contain_text(rows.nth(1).locator("th").inner_text())
    page.keyboard.press("Home")
    expect(rows.nth(1).locator("td").first).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(rows.nth(1).locator("th a")).to_be_focused()
    # The cells have a single Tab stop: the cell that had the focus last.
    assert page.locator(".weeks td[tabindex='0']").count() == 1


def test_shortcuts_are_listed_and_can_be_turned_off(page):
    page.goto("/")
    page.keyboard.press("?")
    listed = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(listed).to_be_visible()
    listed.get_by_role("button", name="Single-key shortcuts", pressed=True).click()
    page.keyboard.press("Escape")
    expect(listed).to_be_hidden()
    page.keyboard.press("?")
    page.keyboard.press("/")
    expect(listed).to_be_hidden()
    expect(page.locator("#find")).not_to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.locator("#find")).to_be_focused()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    listed.get_by_role("button", name="Single-key shortcuts", pressed=False).click()
    listed.get_by_role("button", name="Close").click()
    page.keyboard.press("/")
    expect(page.locator("#find")).to_be_focused()


def test_keys_lead_to_pages_and_along_rows(page):
    page.goto("/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("main .name").nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator("main .name").first).to_be_focused()
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.wait_for_url("**/?view=weeks")
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.wait_for_url("**/")
    page.locator("main .name").first.click()
    page.wait_for_url("**/workspaces/*")
    page.keyboard.press("n")
    page.wait_for_url("**/reports/new")
    page.locator("#description").fill("")
    page.locator("#description").press("j")
    page.locator("#description").press("?")
    assert description(page) == "j?"


# Two reports compared


def test_two_points_of_the_lanes_are_compared(page):
    page.goto("/workspaces/31")
    points = page.locator(".history a")
    days = [one.get_attribute("aria-label").split(":")[0] for one in points.all()]
    points.first.press("Enter")
    expect(page.locator("#compare [role=status]")).to_contain_text(days[0])
    page.locator(".history a").last.press("Enter")
    heading = page.locator("#compare h3")
    expect(heading).to_have_text(f"{days[0]} compared with {days[-1]}")
    expect(page.locator(".history a.picked")).to_have_count(2)
    page.get_by_role("link", name="Clear").click()
    expect(page.locator(".history a.picked")).to_have_count(0)
