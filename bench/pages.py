"""Measures the time to the first byte of the portfolio: 10,000 workspaces against 100.

There are two accounts of the same kind, with a hundred reports per workspace, each on its own
server. Every page is requested from one server and then from the other, in a browser session; the
median of the times that the client measures counts. A report is created before each request, so
that no cached count is used. Writes the pages part of RESULTS.md.
"""

import argparse
import re
import shutil
import statistics
import sys
import time
from contextlib import closing
from http import HTTPStatus

import httpx2

from healthreports.app import now, open_database
from healthreports.service.auth.sign_in import set_password
from healthreports.service.people import members
from healthreports.settings import Settings
from results import write_part
from scale import VAR, Server, databases
from scale_data import build

# Half of the reports are in the measured account, a hundred per workspace.
SMALL, LARGE = 20_000, 2_000_000
ASKED = 31
WARM = 3
MOST = 2.5
MOST_MS = 150
PASSWORD = "only for this measurement"
EMAIL = "user0@example.org"
PAGES = {
    "the portfolio": "/",
    "page 2, by title": "/?order=title&page=2",
    "red and overdue": "/?status=red&show=overdue",
    "of one owner": "/?owner=me",
    "with a text": "/?text=workspace+7",
    "by status": "/?group=status",
    "by owner": "/?group=owner",
    "compared with a week ago": "/?compare=week",
    "the timeline": "/?view=weeks",
    "as of a day": "/?as_of=2025-06-30",
    "one workspace": "/workspaces/1",
}
# The limit of this page is a ratio; the limit of the other pages is a time.
LIMITED = "the portfolio"


class Visitor:
    """A browser's session with one server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.http = httpx2.Client(base_url=server.base, follow_redirects=True)
        form = self.http.get("/sign-in")
        [proof] = re.findall(r'name="csrf" value="([^"]+)"', form.text)[:1]
        fields = {"csrf": proof, "email_address": EMAIL, "password": PASSWORD}
        assert self.http.post("/sign-in", data=fields).status_code == HTTPStatus.OK

    def first_byte_ms(self, path: str) -> tuple[float, int]:
        """The time from the request to the first byte, in ms, and the response's size in bytes."""
        self.server.change()
        start = time.perf_counter()
        with self.http.stream("GET", path) as answer:
            passed = time.perf_counter() - start
            assert answer.status_code == HTTPStatus.OK
            return passed * 1_000, len(answer.read())


def measure(store: str) -> list[tuple[str, float, float, int]]:
    """For each page: its name, its medians in ms (small, large account), its size in the large."""
    folder = VAR / "pages"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = []
    with databases(store, folder) as place:
        visitors = []
        for reports in (SMALL, LARGE):
            built = build(place(reports), reports)
            with closing(open_database(Settings(database=built.address))) as database:
                database.write_here(
                    lambda tx: set_password(tx, members.named_user(tx, EMAIL), PASSWORD, now())
                )
            visitors.append(Visitor(Server(built)))
        for name, path in PAGES.items():
            times: list[list[float]] = [[], []]
            size = 0
            for number in range(WARM + ASKED):
                for visitor, found in zip(visitors, times, strict=True):
                    took, size = visitor.first_byte_ms(path)
                    if number >= WARM:
                        found.append(took)
            small, large = map(statistics.median, times)
            rows.append((name, small, large, size))
            print(f"{store}: {name}: {small:.1f} ms, {large:.1f} ms, {large / small:.2f}")
        for visitor in visitors:
            visitor.server.stop()
    shutil.rmtree(folder, ignore_errors=True)
    return rows


def part(store: str, rows: list[tuple[str, float, float, int]]) -> str:
    """The part of RESULTS.md."""
    table = "\n".join(
        f"| {name} | {small:.1f} | {large:.1f} | {large / small:.2f}"
        f"{f' (at most {MOST})' if name == LIMITED else ''} | {size / 1_000:.0f} |"
        for name, small, large, size in rows
    )
    return f"""## Pages on {store}

Written by `make bench-pages`: the time to the first byte, in milliseconds, for an administrator;
the median of {ASKED} calls. 100 workspaces with 10,000 reports are compared with 10,000 workspaces
with 1,000,000 reports; a report was created before each call. The size is that of the HTML, in kB,
without compression. Pages other than the portfolio itself must take at most {MOST_MS} ms.

| page | 100 workspaces | 10,000 workspaces | ratio | size |
| --- | --- | --- | --- | --- |
{table}
"""


def main() -> int:
    """Measure the pages and write the results. Returns 1 if a limit is exceeded, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("SQLite", "PostgreSQL"))
    chosen = parser.parse_args().store
    missed = False
    for store in [chosen] if chosen else ["SQLite", "PostgreSQL"]:
        rows = measure(store)
        write_part(f"pages of {store}", part(store, rows))
        missed |= any(
            large > (MOST * small if name == LIMITED else MOST_MS) for name, small, large, _ in rows
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
