"""What every page must do: in print, on narrow screens, by keyboard, and with a screen reader.

`browser_kit.PLACES` lists all pages.
"""

import re
import shutil
import subprocess
import unicodedata
from collections.abc import Callable
from functools import cache, partial

import pytest
from browser_fixtures import Open, browser, opened, page, site, watched  # noqa: F401  fixtures
from browser_kit import (
    ADMINISTRATOR,
    AXE,
    NARROW,
    PLACES,
    WIDE,
    Look,
    Place,
    Site,
    barriers_of,
    chromium,
    in_ci,
    look_at,
    save,
    saved_report,
    show_filters,
    write,
)
from playwright.sync_api import expect

if chromium() is None and not in_ci():
    pytest.skip(
        "no Chromium on this machine: the pages were not tried in a browser",
        allow_module_level=True,
    )

MOST_BYTES = 150 * 1024
# The page, its style sheet, its two scripts, and its icon.
MOST_REQUESTS = 5
MOST_SHIFT = 0.1  # the limit for a "good" layout shift in browsers
A4_INSIDE = 688  # 210 mm minus two margins of 14 mm, at 96 dpi
EVERY_PLACE = pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)


WORDS = "The supplier delivers the second part in May and the team tests it at once. "
LONG_REPORTS = {
    "3,000 characters": (WORDS * 40)[:2_200],
    "3,000 characters in paragraphs": ((WORDS * 3)[:214] + "\n\n") * 10,
    "just below a smaller print": (WORDS * 40)[:1_650],
    "3,000 characters before the details": (WORDS * 40)[:3_000],
}


@pytest.fixture(scope="module")
def long_reports(site: Site) -> dict[str, int]:
    """The ids of long reports, which have 800 characters in their four details together."""
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


@pytest.mark.parametrize("paper", ["A4", pytest.param("Letter", marks=pytest.mark.thorough)])
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


# The text of a page as printed, without what only screen readers read aloud.
PRINTED = """() => {
    const heard = ".unseen, svg, title, .weeks td:not(.c-due)";
    for (const one of document.querySelectorAll(heard)) one.remove();
    return document.body.innerText;
}"""


@pytest.mark.thorough
@pytest.mark.skipif(
    shutil.which("pdftotext") is None and not in_ci(),
    reason="pdftotext is not installed: nothing read what was printed",
)
@pytest.mark.parametrize("paper", ["A4", "Letter"])
@pytest.mark.parametrize(
    "path", ["/", "/?group=client", "/?view=weeks", "/workspaces/31", "/reports/60"]
)
def test_every_word_is_read_on_paper(page, tmp_path, path, paper):
    page.goto(path)
    file = tmp_path / "printed.pdf"
    page.pdf(path=file, format=paper, prefer_css_page_size=False)
    read = subprocess.run(
        ["pdftotext", "-raw", file, "-"], check=True, capture_output=True, text=True
    ).stdout
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 800, "height": 1_000})
    assert words_of(page.evaluate(PRINTED)) - words_of(read) == set()


def words_of(text: str) -> set[str]:
    return set(unicodedata.normalize("NFKC", text).split())


def test_paper_has_the_report_and_not_the_controls(page, long_reports):
    page.goto(f"/reports/{long_reports['3,000 characters']}")
    page.emulate_media(media="print")
    expect(page.locator(".onpaper")).to_have_count(2)
    for one in page.locator(".onpaper").all():
        expect(one).to_be_visible()
    crumb = page.locator(".crumb a").last
    expect(page.locator(".of-report")).to_have_text(crumb.text_content() or "")
    expect(page.locator(".card")).to_have_count(4)
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(page.get_by_role("link", name="Edit", exact=True)).to_be_hidden()


# Every page


@pytest.fixture(scope="module")
def look(site: Site) -> Callable[[Place], Look]:
    """What `look_at` observes on a page; cached, so that each page is opened once."""
    return cache(partial(look_at, site))


@EVERY_PLACE
def test_narrow_screen_does_not_scroll_sideways(look, place: Place):
    for screen, width in look(place).widths.items():
        assert width <= screen


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


# The focused element, and whether it is visible: not hidden and not behind a sticky element.
FOCUSED = """() => {
    const one = document.activeElement;
    if (one === document.body) return ["", true];
    const label = one.labels?.[0];
    const name = `${one.tagName} ${one.id || one.name || one.getAttribute("href") || ""} ` +
        (one.innerText || one.getAttribute("aria-label") || "").trim().slice(0, 40);
    const isSeen = shown => {
        const how = {opacityProperty: true, visibilityProperty: true};
        if (!shown?.checkVisibility(how)) return false;
        const boxes = [...shown.getClientRects()].filter(box => box.width > 1 && box.height > 1);
        return boxes.some(box => {
            const [left, right] = [Math.max(box.left, 0), Math.min(box.right, innerWidth)];
            const [top, bottom] = [Math.max(box.top, 0), Math.min(box.bottom, innerHeight)];
            if (left >= right || top >= bottom) return false;
            const there = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
            return there && (shown.contains(there) || there.contains(shown));
        });
    };
    return [name, isSeen(one) || isSeen(label)];
}"""


@pytest.mark.thorough
@pytest.mark.parametrize("key", ["Tab", "Shift+Tab"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?view=weeks",
        "/workspaces/31",
        "/workspaces/31/reports/new",
        "/workspaces/31/settings",
    ],
    ids=["portfolio", "weeks", "workspace", "write form", "settings"],
)
def test_focus_is_seen_wherever_keys_lead(page, path, size, key):
    page.set_viewport_size(size)
    page.goto(path)
    unseen, stops = [], 0
    for _ in range(250):
        page.keyboard.press(key)
        name, is_seen = page.evaluate(FOCUSED)
        if not name and stops:
            break
        stops += bool(name)
        if not is_seen:
            unseen.append(name)
    assert stops > 20
    assert unseen == []


@pytest.mark.thorough
@pytest.mark.skipif(
    not AXE.exists() and not in_ci(),
    reason="axe-core is not installed: nothing looked for barriers (make .venv/node-browser)",
)
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?view=weeks&text=portal",
        "/workspaces/31",
        "/reports/60",
        "/workspaces/31/reports/new",
    ],
    ids=["portfolio", "weeks", "workspace", "report", "write form"],
)
def test_axe_finds_no_barrier_on_a_phone(page, path):
    page.set_viewport_size(NARROW)
    page.goto(path)
    show_filters(page)
    found = barriers_of(page)
    assert found == {"light": [], "dark": []}


@pytest.mark.thorough
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
    """One link of each set of links that differ only in numbers."""
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
    """The id of a report that is one long word, in a workspace whose title is one too."""
    with site.open(ADMINISTRATOR) as page:
        page.goto("/workspaces/new")
        page.get_by_label("Title").fill("x" * 250)
        page.get_by_role("button", name="Create workspace").click()
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
    assert len(sizes) >= 3  # page, style and script; not every browser asks for the icon
    assert sum(size for _, size in sizes) < MOST_BYTES, sizes
