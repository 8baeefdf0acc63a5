"""Takes the screenshots in `docs/screens`: every page of the demonstration.

    PYTHONPATH=tests python tests/browser/screenshots.py [FOLDER]

This is not a test: somebody has to look at the result. The pages are those of the tests, and some
with more content for the README.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from browser_kit import ADMINISTRATOR, PLACES, Place, Site, launch, running_site, save
from playwright.sync_api import sync_playwright

FOLDER: Final = Path(__file__).parents[2] / "docs" / "screens"
SHOWN: Final[dict[str, dict[str, Any]]] = {
    "desktop": {"viewport": {"width": 1280, "height": 860}},
    "dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2},
    "print": {"viewport": {"width": 794, "height": 1123}},  # A4 at 96 dpi
}
# The elements of docs/explanation/style.md: a page that has the element, and its selector.
ELEMENTS: Final = {
    "title line": ("/", ".bar"),
    "chart and figures": ("/", ".top"),
    "filters and chips": ("/?status=red&change=worse", ".filters"),
    "rows": ("/?status=red", "table.portfolio"),
    "weeks": ("/?view=weeks&status=red", "table.weeks"),
    "headline": ("/workspaces/2", ".headline"),
    "lead": ("/workspaces/2", ".lead"),
    "cards": ("/workspaces/2", ".cards"),
    "lanes": ("/workspaces/2", "svg.history"),
    "feed": ("/workspaces/2", ".feed"),
    "choices": ("/workspaces/2/reports/new", "fieldset"),
    "category": ("/workspaces/2/reports/new", ".category"),
    "notice": ("/sign-in?expired=yes&another", ".warning"),
    "empty": ("/search", ".empty"),
    "rail": ("/", ".rail nav"),
}
REPORT: Final = {
    "description": "The pilot is eight weeks late; the second supplier can win two of them back. "
    "We need the board's approval of its contract by Friday.",
    "scope_description": "Frozen until the second supplier is on board.",
    "budget_description": "£ 265,000 over plan, of which the contingency covers two thirds.",
    "schedule_description": "Eight weeks behind. We need the contract to get two of them back.",
    "client_description": "Informed on Monday, and supports the second supplier.",
}
COLORS: Final = {
    "color": "red",
    "scope_color": "green",
    "budget_color": "yellow",
    "schedule_color": "red",
    "client_color": "green",
}


def main() -> None:
    """Run a server with the sample portfolio and take a screenshot of every page."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = launch(playwright)
        with running_site(Path(place) / "demo.sqlite3", browser) as site:
            report = write_report(site)
            for one in (*shown_pages(report), *PLACES):
                for name, how in SHOWN.items():
                    picture(site, one, folder / f"{one.name.replace(' ', '-')}-{name}.png", how)
            for name, (path, selector) in ELEMENTS.items():
                for scheme in ("light", "dark"):
                    file = folder / f"element-{name.replace(' ', '-')}-{scheme}.png"
                    element(site, path, selector, file, scheme)
        browser.close()


def shown_pages(report: int) -> list[Place]:
    """The pages that the README shows."""
    pages = {
        "shown portfolio": "/",
        "shown weeks": "/?view=weeks",
        "shown workspace": "/workspaces/2",
        "shown report": f"/reports/{report}",
        "shown form": "/workspaces/2/reports/new",
    }
    return [
        Place(name, lambda page, _site, path=path: page.goto(path), ADMINISTRATOR)
        for name, path in pages.items()
    ]


def picture(site: Site, place: Place, file: Path, how: dict[str, Any]) -> None:
    """Take a screenshot of a page: on a phone and on paper of the full page."""
    with site.open(place.who, **how) as page:
        place.go(page, site)
        prints = file.stem.endswith("-print")
        if prints:
            page.emulate_media(media="print")
        page.screenshot(path=file, full_page=prints or file.stem.endswith("-phone"))


def element(site: Site, path: str, selector: str, file: Path, scheme: Any) -> None:
    """Take a screenshot of a part of a page, in one of the two color schemes."""
    with site.open(
        ADMINISTRATOR, color_scheme=scheme, viewport={"width": 1280, "height": 860}
    ) as page:
        page.goto(path)
        page.locator(selector).first.screenshot(path=file)


def write_report(site: Site) -> int:
    """Write a report with every field filled in. Returns its id."""
    with site.open(ADMINISTRATOR) as page:
        page.goto("/workspaces/2/reports/new")
        for name, text in REPORT.items():
            page.fill(f"#{name}", text)
        for name, color in COLORS.items():
            page.check(f"input[name={name}][value={color}]")
        save(page)
        page.wait_for_url("**/reports/*?saved=yes")
        return int(page.url.rpartition("/")[2].partition("?")[0])


if __name__ == "__main__":
    main()
