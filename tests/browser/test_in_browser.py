"""The pages in a real Chromium, as somebody uses them: with a mouse, with keys, without a script.

`browser_kit.PLACES` has every page there is; what is to hold on all of them is tried on each.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cache, partial

import pytest
from browser_kit import (
    ADMINISTRATOR,
    AXE,
    EDITOR,
    EDITORS_WORKSPACE,
    NARROW,
    PLACES,
    PUBLISHED,
    Look,
    Place,
    Site,
    Watched,
    chromium,
    in_ci,
    launch,
    look_at,
    running_site,
    save,
    saved_report,
    send_unchecked,
    workspace_called,
    write,
)
from playwright.sync_api import Browser, Page, expect, sync_playwright

if chromium() is None and not in_ci():
    pytest.skip(
        "no Chromium on this machine: the pages were not tried in a browser",
        allow_module_level=True,
    )

Open = Callable[..., AbstractContextManager[Page]]

PROGRAMMES = 38  # 37 of the sample, and one that nothing is written in
REPORTED_ON = 37  # those that there were on a day in the past
WEEKS = 26
MOST_BYTES = 150 * 1024
# The page, its style, its two scripts, its icon; and what the browser itself calls a good value.
MOST_REQUESTS = 5
MOST_SHIFT = 0.1
A4_INSIDE = 688  # 210 mm less two margins of 14 mm, at 96 dots an inch
KEPT = "Object.keys(localStorage).filter(key => key.startsWith('healthreports:'))"
STORED = "JSON.stringify([localStorage, sessionStorage])"
EVERY_PLACE = pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert chromium(), "no Chromium on this machine"
    with sync_playwright() as playwright:
        launched = launch(playwright)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("browser") / "sample.sqlite3", browser) as running:
        yield running


@pytest.fixture
def watched() -> Iterator[Watched]:
    """What the browsers of a test asked for stayed on this machine, and nothing went wrong."""
    seen = Watched()
    yield seen
    assert seen.elsewhere() == []
    assert seen.complaints == []


@pytest.fixture
def opened(site: Site, watched: Watched) -> Open:
    """A watched page of a new browser: `opened(who, **how)`."""
    return partial(site.open, watched=watched)


@pytest.fixture
def page(opened: Open) -> Iterator[Page]:
    """A page of the administrator's browser."""
    with opened(ADMINISTRATOR) as at:
        yield at


def titles(page: Page) -> list[str]:
    return page.locator("table tbody th").all_inner_texts()


def description(page: Page) -> str:
    return page.locator("#description").input_value()


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until what the selector names has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            return
    pytest.fail(f"Tab does not lead to {selector}")


# Coming in


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
    assert len(titles(page)) == PROGRAMMES
    for status in page.locator("table tbody tr td:nth-child(2)").all_inner_texts():
        assert status.strip() in {"Red", "Yellow", "Green", "Not reported"}


def test_counts_add_up_to_the_workspaces(page):
    page.goto(f"/?as_of={PUBLISHED}")
    numbers = [int(text) for text in page.locator(".counts strong").all_inner_texts()]
    assert numbers[0] == sum(numbers[1:5]) == REPORTED_ON


def test_filter_changes_the_rows_and_the_address_without_a_reload(page):
    page.goto("/")
    page.evaluate("window.stayed = true")
    page.get_by_role("search").get_by_label("Status", exact=True).select_option("red")
    page.wait_for_url("**status=red**")
    rows = page.locator("table tbody tr")
    expect(rows.first).to_be_visible()
    assert 0 < rows.count() < PROGRAMMES
    assert set(page.locator("table tbody tr td:nth-child(2)").all_inner_texts()) == {"Red"}
    assert page.evaluate("window.stayed")


def test_address_of_a_filter_shows_the_same_again(page):
    page.goto("/")
    page.get_by_label("Text").fill("Rail")
    page.get_by_label("Text").press("Enter")
    page.wait_for_url("**text=Rail**")
    expect(page.locator("table tbody tr").first).to_contain_text("Rail")
    shown = titles(page)
    page.reload()
    assert titles(page) == shown
    assert all("Rail" in title for title in shown)


def test_back_shows_what_was_before_a_filter(page):
    page.goto("/")
    page.get_by_role("search").get_by_label("Status", exact=True).select_option("red")
    page.wait_for_url("**status=red**")
    page.go_back()
    expect(page.locator("table tbody tr")).to_have_count(PROGRAMMES)
    expect(page.get_by_role("search").get_by_label("Status", exact=True)).to_have_value("")


def test_filter_by_keys_keeps_the_focus(page):
    page.goto("/")
    status = page.get_by_role("search").get_by_label("Status", exact=True)
    status.focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_url("**status=red**")
    expect(page.get_by_role("search").get_by_label("Status", exact=True)).to_be_focused()


def test_sort_by_title_goes_both_ways_and_says_so(page):
    page.goto("/")
    page.get_by_role("columnheader", name="Workspace").get_by_role("link").click()
    header = page.get_by_role("columnheader", name="Workspace")
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert titles(page) == sorted(titles(page), key=str.casefold)
    header.get_by_role("link").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    assert titles(page) == sorted(titles(page), key=str.casefold, reverse=True)


def test_weeks_show_a_word_for_each_workspace_and_week(page):
    page.goto(f"/?as_of={PUBLISHED}")
    page.get_by_role("link", name="Through the weeks").click()
    cells = page.locator("table.weeks tbody td")
    expect(cells).to_have_count(REPORTED_ON * WEEKS)
    words = {text.strip() for text in cells.all_text_contents()}
    assert words == {"Red", "Yellow", "Green", "Not reported"}
    assert (
        page.locator("table.weeks thead th").last.text_content().startswith(f"week to {PUBLISHED}")
    )


# Writing


def test_report_is_written_with_keys_alone(site, page):
    workspace = site.next_workspace()
    page.goto(f"/workspaces/{workspace}")
    tab_to(page, "a.button[href$='/reports/new']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/reports/new")
    # A browser leads into a group of choices at the one chosen; arrows choose another.
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
    tab_to(page, ".actions button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/reports/*?saved=yes")
    expect(page.locator(".large")).to_contain_text("Red")
    expect(page.locator(".report")).to_contain_text("Written with keys alone.")
    budget = page.locator(".tile").filter(has=page.get_by_role("heading", name="Budget"))
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
    shown = page.locator("#preview .large .status")
    for color in ("Red", "Green", "Red", "Green"):
        page.get_by_role("group", name="Overall status").get_by_label(color).check()
        expect(shown).to_have_text(color)


def test_report_can_be_edited(site, page):
    report = saved_report(page, site.next_workspace(), "With a typo.")
    page.get_by_role("link", name="Edit").click()
    page.wait_for_url(f"**/reports/{report}/edit")
    assert description(page) == "With a typo."
    write(page, "Without one.", "Yellow")
    save(page)
    page.wait_for_url(f"**/reports/{report}?saved=yes")
    expect(page.locator(".report")).to_contain_text("Without one.")
    expect(page.locator(".large")).to_contain_text("Yellow")


def test_line_breaks_come_through_an_edit_unchanged(site, page):
    text = "First.\n\n  Second, set in.\nThird."
    report = saved_report(page, site.next_workspace(), text)
    assert page.locator(".report .prose").first.text_content() == text
    page.goto(f"/reports/{report}/edit")
    assert description(page) == text


def test_faults_are_told_at_their_fields_and_nothing_is_lost(site, page):
    page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
    write(page, "Kept all the same.")
    page.get_by_role("group", name="Scope").get_by_label("Not reported").check()
    page.locator("#scope_description").fill("A text without a color.")
    send_unchecked(page)
    expect(page.locator(".fault").first).to_be_visible()
    assert description(page) == "Kept all the same."
    expect(page.locator("#scope_description")).to_have_value("A text without a color.")
    expect(page.get_by_role("group", name="Overall status").get_by_label("Green")).to_be_checked()


# What is kept in the browser


def test_draft_comes_back_after_a_reload(site, page):
    page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
    write(page, "Half a sentence", "Red")
    page.reload()
    assert description(page) == "Half a sentence"
    expect(page.get_by_role("group", name="Overall status").get_by_label("Red")).to_be_checked()
    expect(page.get_by_role("status").first).to_contain_text("is back")


def test_preview_shows_the_draft_that_came_back(site, page):
    page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
    write(page, "Half a sentence")
    page.reload()
    expect(page.locator("#preview")).to_contain_text("Half a sentence")


def test_draft_that_came_back_can_be_left_out(site, page):
    page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
    before = description(page)
    write(page, "Half a sentence")
    page.reload()
    page.get_by_role("button", name="Leave it out").click()
    assert description(page) == before
    page.reload()
    assert description(page) == before


def test_focus_stays_in_the_form_when_a_draft_is_left_out(site, page):
    page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
    write(page, "Half a sentence")
    page.reload()
    page.get_by_role("button", name="Leave it out").press("Enter")
    # The focus leaves what is hidden with the next picture.
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    assert page.evaluate("document.activeElement !== document.body")


def test_draft_is_gone_after_saving(site, page):
    workspace = site.next_workspace()
    saved_report(page, workspace, "A whole sentence.")
    assert page.evaluate(KEPT) == []


def test_draft_survives_that_somebody_else_saved(site, page):
    workspace = site.next_workspace()
    page.goto(f"/workspaces/{workspace}/reports/new")
    write(page, "An hour of work")
    with site.open(ADMINISTRATOR) as other:
        saved_report(other, workspace, "Quicker.")
    page.reload()
    assert description(page) == "An hour of work"


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


def test_draft_is_gone_after_signing_out(site, opened):
    with opened() as page:
        site.sign_in(page, ADMINISTRATOR)
        page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
        write(page, "Between us.")
        assert len(page.evaluate(KEPT)) == 1
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
        assert "Between us." not in page.evaluate(STORED)
        assert page.evaluate(KEPT) == []


def test_signing_out_leaves_no_portfolio_behind(site, opened):
    with opened() as page:
        site.sign_in(page, ADMINISTRATOR)
        page.get_by_role("search").get_by_label("Status", exact=True).select_option("red")
        page.wait_for_url("**status=red**")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
        stored = page.evaluate(STORED)
        assert EDITORS_WORKSPACE not in stored
        assert "status=red" not in stored


# Two at once


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


# Without a script


@pytest.fixture
def plain(opened: Open) -> Iterator[Page]:
    """A page of a browser that runs no script."""
    with opened(ADMINISTRATOR, java_script_enabled=False) as at:
        yield at


def test_sign_in_and_out_without_a_script(site, opened):
    with opened(java_script_enabled=False) as page:
        site.sign_in(page, ADMINISTRATOR)
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(f"{site.base}/sign-in")


def test_reading_without_a_script(plain):
    plain.goto("/")
    search = plain.get_by_role("search")
    search.get_by_label("Status", exact=True).select_option("red")
    search.get_by_role("button", name="Show").click()
    assert set(plain.locator("table tbody tr td:nth-child(2)").all_inner_texts()) == {"Red"}
    plain.get_by_role("columnheader", name="Workspace").get_by_role("link").click()
    assert titles(plain) == sorted(titles(plain), key=str.casefold)
    plain.get_by_role("link", name="Through the weeks").click()
    expect(plain.locator("table.weeks")).to_be_visible()
    plain.locator("table tbody th a").first.click()
    plain.get_by_role("link", name="permalink").click()
    expect(plain.locator("article.report")).to_be_visible()


def test_writing_without_a_script(site, plain):
    workspace = site.next_workspace()
    plain.goto(f"/workspaces/{workspace}")
    plain.get_by_role("link", name="Write a report").click()
    write(plain, "Without a script.")
    plain.get_by_role("button", name="Preview").click()
    expect(plain.locator("#preview")).to_contain_text("Without a script.")
    assert description(plain) == "Without a script."
    save(plain)
    plain.wait_for_url("**/reports/*?saved=yes")
    plain.get_by_role("link", name="Edit").click()
    write(plain, "And changed.")
    save(plain)
    expect(plain.locator(".report")).to_contain_text("And changed.")
    plain.get_by_text("Delete this report").click()
    plain.get_by_role("button", name="Delete it").click()
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


# On paper


WORDS = "The supplier delivers the second part in May and the team tests it at once. "
LONG_REPORTS = {
    "3,000 characters": (WORDS * 40)[:2_200],
    "3,000 characters in paragraphs": ((WORDS * 3)[:214] + "\n\n") * 10,
    "just below a smaller print": (WORDS * 40)[:1_650],
    "3,000 characters before the details": (WORDS * 40)[:3_000],
}


@pytest.fixture(scope="module")
def long_reports(site: Site) -> dict[str, int]:
    """The ids of reports with text in all four details, 800 characters of it."""
    found = {}
    with site.open(ADMINISTRATOR) as page:
        for name, text in LONG_REPORTS.items():
            page.goto(f"/workspaces/{site.next_workspace()}/reports/new")
            write(page, text.strip(), "Red")
            for category in ("scope", "budget", "schedule", "client"):
                page.locator(f"[name={category}_color][value=yellow]").check()
                page.locator(f"#{category}_description").fill((WORDS * 3)[:200].strip())
            save(page)
            page.wait_for_url("**/reports/*?saved=yes")
            found[name] = int(re.search(r"/reports/(\d+)", page.url)[1])
    return found


@pytest.mark.parametrize("paper", ["A4", "Letter"])
@pytest.mark.parametrize("name", LONG_REPORTS)
def test_report_prints_on_one_sheet(page, long_reports, name, paper):
    page.goto(f"/reports/{long_reports[name]}")
    printed = page.pdf(format=paper, prefer_css_page_size=False)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1


@pytest.mark.parametrize("path", ["/", "/?view=weeks", "/workspaces/31"])
def test_nothing_is_cut_off_on_paper(page, path):
    page.emulate_media(media="print")
    page.set_viewport_size({"width": A4_INSIDE, "height": 1_000})
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= A4_INSIDE


def test_paper_has_the_report_and_not_the_controls(page, long_reports):
    page.goto(f"/reports/{long_reports['3,000 characters']}")
    page.emulate_media(media="print")
    expect(page.locator(".onpaper")).to_be_visible()
    expect(page.locator(".tile")).to_have_count(4)
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(page.get_by_role("link", name="Edit")).to_be_hidden()


# On every page


@pytest.fixture(scope="module")
def look(site: Site) -> Callable[[Place], Look]:
    """What is seen of a page; each is looked at once."""
    return cache(partial(look_at, site))


@EVERY_PLACE
def test_narrow_screen_does_not_scroll_sideways(look, place: Place):
    assert look(place).width <= NARROW["width"]


@EVERY_PLACE
def test_page_asks_for_nothing_elsewhere_and_breaks_no_policy(look, place: Place):
    seen = look(place)
    assert seen.elsewhere == []
    assert seen.broken == []
    assert seen.complaints == []


@EVERY_PLACE
def test_page_is_light_and_stands_still(look, place: Place):
    seen = look(place)
    assert seen.weight < MOST_BYTES
    assert 0 < seen.requests <= MOST_REQUESTS
    assert seen.shift < MOST_SHIFT


@pytest.mark.skipif(
    not AXE.exists() and not in_ci(),
    reason="axe-core is not installed: nothing looked for barriers (make .venv/node-browser)",
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@EVERY_PLACE
def test_axe_finds_no_barrier(look, place: Place, scheme):
    barriers = look(place).barriers[scheme]
    assert not barriers, "\n".join(barriers)


def test_links_of_all_pages_lead_somewhere(site, look):
    of = {
        who: {link for one in PLACES if one.who == who for link in look(one).links}
        for who in {one.who for one in PLACES}
    }
    dead = []
    for who, links in of.items():
        with site.open(who) as page:
            for link in sorted(_one_of_each(links)):
                answer = page.context.request.get(link, max_redirects=0)
                if answer.status >= 400:
                    dead.append(f"{answer.status} {link}")
    assert dead == []


def _one_of_each(links: set[str]) -> set[str]:
    """One link for each that differs in numbers only."""
    return set({re.sub(r"\d+", "1", link): link for link in sorted(links)}.values())


@pytest.mark.parametrize(
    "path",
    ["/?text=xxx", "/?text=xxx&view=weeks", "/reports/{}", "/reports/{}/edit"],
    ids=["portfolio", "weeks", "report", "edit form"],
)
def test_narrow_screen_breaks_a_word_without_end(page, path, endless):
    page.set_viewport_size(NARROW)
    page.goto(path.format(endless))
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


@pytest.fixture(scope="module")
def endless(site: Site) -> int:
    """The id of a report that is one long word, in a workspace that is called by one too."""
    with site.open(ADMINISTRATOR) as page:
        page.goto("/workspaces/new")
        page.get_by_label("Title").fill("x" * 250)
        page.get_by_role("button", name="Make it").click()
        page.wait_for_url("**/workspaces/*")
        workspace = int(re.search(r"/workspaces/(\d+)", page.url)[1])
        return saved_report(page, workspace, "x" * 500)


@pytest.mark.parametrize("address", ["/", "/?view=weeks"], ids=["portfolio", "weeks"])
def test_portfolio_is_light_with_all_that_it_needs(page, address):
    page.goto(address, wait_until="networkidle")
    sizes = page.evaluate(
        """['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))
        .map(one => [one.name, one.decodedBodySize])"""
    )
    assert len(sizes) >= 4
    assert sum(size for _, size in sizes) < MOST_BYTES, sizes
