"""Takes the pictures of `docs/screens`: every page of the demonstration, as people meet it.

    python tests/browser/screenshots.py [FOLDER]

Not a test: somebody has to look at them.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, sync_playwright

FOLDER: Final = Path(__file__).parents[2] / "docs" / "screens"
CHROMIUM: Final = "/usr/bin/chromium"
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
)
# The sample's last reports are of that day.
AS_OF: Final = "as_of=2025-03-31"
PAGES: Final = {
    "portfolio": f"/?{AS_OF}",
    "weeks": f"/?view=weeks&{AS_OF}",
    "workspace": "/workspaces/2",
    "report": "/reports/{report}",
    "write": "/workspaces/2/reports/new",
    "settings": "/workspaces/2/settings",
    "new-workspace": "/workspaces/new",
    "people": "/people",
    "account": "/account",
    "applications": "/account/applications",
    "not-found": "/reports/999999",
}
SHOWN: Final = {
    "desktop": {"viewport": {"width": 1280, "height": 860}},
    "dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2},
}
REPORT: Final = {
    "description": "The supplier of the track is four weeks late; the test of the first section "
    "moves to May. We need a decision of the board on the second supplier by 12 December.",
    "scope_description": "As agreed in September.",
    "budget_description": "Two per cent over plan, covered by the reserve.",
    "schedule_description": "Four weeks behind. We need the decision to get two of them back.",
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
    """Run a demonstration of its own, and take a picture of every page."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "healthreports", "demo", "--port", "0", "--database"]
        process = subprocess.Popen(
            [*command, f"{place}/demo.sqlite3"], stdout=subprocess.PIPE, text=True
        )
        try:
            take_all(process, folder)
        finally:
            process.terminate()
            process.wait()


def take_all(process: "subprocess.Popen[str]", folder: Path) -> None:
    """Read where the demonstration is and who may enter, then look at all of it."""
    base = email = password = ""
    assert process.stdout is not None
    while not password:
        line = process.stdout.readline()
        if found := re.search(r"Sign in +(\S+)/sign-in as (\S+)", line):
            base, email = found.groups()
        if found := re.search(r"password (\S+)", line):
            password = found[1]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        report = write_report(browser, base, email, password)
        for name, options in SHOWN.items():
            page = entered(browser, base, email, password, options)
            for what, path in PAGES.items():
                page.goto(base + path.format(report=report))
                page.screenshot(path=folder / f"{what}-{name}.png", full_page=name == "phone")
            page.goto(f"{base}/reports/{report}")
            if name == "desktop":
                page.emulate_media(media="print")
                page.set_viewport_size({"width": 794, "height": 1123})  # A4 at 96 dpi
                page.screenshot(path=folder / "report-print.png")
        browser.close()


def entered(browser: Browser, base: str, email: str, password: str, options: dict) -> Page:
    """A page that is signed in."""
    page = browser.new_context(**options).new_page()
    page.goto(f"{base}/sign-in")
    page.fill("#email_address", email)
    page.fill("#password", password)
    page.click("main button")
    return page


def write_report(browser: Browser, base: str, email: str, password: str) -> int:
    """Write a report with all that one can have. Returns its id."""
    page = entered(browser, base, email, password, {})
    page.goto(f"{base}/workspaces/2/reports/new")
    for name, text in REPORT.items():
        page.fill(f"#{name}", text)
    for name, color in COLORS.items():
        page.check(f"input[name={name}][value={color}]")
    page.click("text=Save the report")
    return int(page.url.rpartition("/")[2].partition("?")[0])


if __name__ == "__main__":
    main()
