"""The search page, named views, and the portfolio as a file."""

import csv
import io
import zipfile
from collections.abc import Iterator

import httpx
import pytest
from page_kit import Node, Site, proof_of, read

from conftest import Account, Server
from healthreports.exports.sheet import COLUMNS
from healthreports.service.people.views import MOST_VIEWS
from healthreports.web.reports.searching import PAGES, Place

pytestmark = pytest.mark.one_store


@pytest.fixture
def site(server: Server, account: Account) -> Iterator[Site]:
    made = Site(server, account)
    yield made
    made.close()


@pytest.fixture
def bridge(site: Site) -> int:
    """A workspace that the viewer sees, next to one that the viewer does not see."""
    made, hidden = site.workspace("Bridge over water"), site.workspace("Hidden bridge")
    site.join(made, "viewer")
    site.report(made, "red", text="The crane broke. *We need* another.")
    site.report(hidden, "green", text="A crane that nobody may know of.")
    return made


def headings(page: Node) -> dict[str, str]:
    """How many results there are of each kind."""
    said = [one.text.split(" ", 1) for one in page.one("main").all("h2")]
    return dict(said)


@pytest.mark.both_stores
def test_workspaces_reports_and_people_are_found_by_how_their_words_begin(
    site: Site, bridge: int
) -> None:
    page = site.page("/search", q="bri wat")
    assert headings(page) == {"Workspaces": "1"}
    assert page.one("main").all("a", href=f"/workspaces/{bridge}")
    found = site.page("/search", q="crane")
    assert headings(found) == {"Reports": "2"}
    assert "The crane broke." in found.text
    assert headings(site.page("/search", q="editor")) == {"People": "1"}


@pytest.mark.parametrize("place", PAGES, ids=lambda one: one.title)
def test_each_page_is_found_by_its_words_and_is_there(site: Site, place: Place) -> None:
    words = f"{place.title} {place.words}".split()
    for word in words:
        found = site.page("/search", q=word[:4]).one("main")
        assert found.all("a", href=place.address), word
    assert site.at().get(place.address).status_code == 200
    hidden = place.for_administrators
    for_others = site.page("/search", "viewer", q=place.title).one("main")
    assert bool(for_others.all("a", href=place.address)) is not hidden


@pytest.mark.usefixtures("bridge")
def test_what_one_may_not_see_is_not_found_nor_counted(site: Site) -> None:
    page = site.page("/search", "viewer", q="crane")
    assert headings(page) == {"Reports": "1"}
    assert "nobody may know" not in page.text
    assert headings(site.page("/search", "viewer", q="bridge")) == {"Workspaces": "1"}
    assert "Nothing has words" in site.page("/search", "outsider", q="crane").text


@pytest.mark.parametrize("text", ["", "   ", "%", "'\"", "\0", "*", "x" * 400, "<script>"])
@pytest.mark.usefixtures("bridge")
def test_any_text_can_be_looked_for(site: Site, text: str) -> None:
    page = site.page("/search", q=text)
    assert headings(page) == {}
    assert page.all("section", "empty")


def test_more_than_a_page_shows_is_counted(site: Site) -> None:
    def write() -> None:
        made = site.workspace("Many")
        for _ in range(12):
            site.report(made, text="The zebra waits.")

    site.together(write)
    assert headings(site.page("/search", q="zebra")) == {"Reports": "12, the first 10"}


def save(site: Site, name: str, query: str, role: str = "administrator") -> httpx.Response:
    at = site.at(role)
    return at.post("/views", data={"csrf": proof_of(at), "name": name, "query": query})


def views(page: Node) -> dict[str, str]:
    links = page.one("nav", **{"aria-label": "Views"}).all("a")
    return {one.text: one.attrs["href"] for one in links[4:]}


@pytest.mark.both_stores
@pytest.mark.usefixtures("bridge")
def test_a_view_is_kept_shown_and_removed(site: Site) -> None:
    answer = save(site, "  Board pack ", "status=red&page=3&nonsense=1&group=client")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?status=red&group=client"
    page = site.page(answer.headers["location"])
    assert views(page) == {"Board pack": "/?status=red&group=client"}
    [current] = page.one("nav", **{"aria-label": "Views"}).all("a", **{"aria-current": "true"})
    assert current.text == "Board pack"
    save(site, "Board pack", "status=yellow")
    assert views(site.page("/")) == {"Board pack": "/?status=yellow"}
    at = site.at()
    at.post("/views/forget", data={"csrf": proof_of(at), "name": "Board pack"})
    assert views(site.page("/")) == {}


def test_a_view_is_its_users_alone(site: Site) -> None:
    save(site, "Mine", "status=red")
    assert views(site.page("/", "viewer")) == {}
    at = site.at("viewer")
    at.post("/views/forget", data={"csrf": proof_of(at), "name": "Mine"})
    assert views(site.page("/")) == {"Mine": "/?status=red"}


def test_views_are_bounded(site: Site) -> None:
    for number in range(MOST_VIEWS):
        assert save(site, f"View {number}", "status=red").status_code == 303
    assert save(site, "One more", "status=red").status_code == 422
    assert save(site, "View 3", "status=green").status_code == 303
    assert len(views(site.page("/"))) == MOST_VIEWS
    for name in ("", "  ", "x" * 256, "a\0b"):
        assert save(site, name, "status=red").status_code == 422


def test_a_name_is_shown_as_text(site: Site) -> None:
    evil = "<script>alert(1)</script>"
    save(site, evil, "status=red")
    page = site.page("/")
    assert views(page) == {evil: "/?status=red"}
    assert not [one for one in page.all("script") if "src" not in one.attrs]


def as_csv(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="portfolio-')
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


@pytest.mark.both_stores
@pytest.mark.usefixtures("bridge")
def test_a_file_has_what_the_address_asks_for_and_one_may_see(site: Site) -> None:
    [red] = as_csv(site.at().get("/portfolio.csv?status=red"))
    assert (red["Workspace"], red["Status"]) == ("Bridge over water", "Red")
    assert red["Summary"] == "The crane broke. *We need* another."
    seen = as_csv(site.at("viewer").get("/portfolio.csv"))
    assert {one["Workspace"] for one in seen} == {"Bridge over water", "First"}
    assert as_csv(site.at("outsider").get("/portfolio.csv")) == []


@pytest.mark.usefixtures("bridge")
def test_the_page_leads_to_files_of_what_it_shows(site: Site) -> None:
    page = site.page("/", status="red", group="client")
    for ending in ("csv", "xlsx"):
        [link] = [
            one.attrs["href"]
            for one in page.all("a")
            if one.attrs.get("href", "").startswith(f"/portfolio.{ending}")
        ]
        assert link.endswith("?status=red&group=client")
        answer = site.at().get(link)
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"] == "default-src 'none'"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
        texts = book.read("xl/sharedStrings.xml").decode()
    assert all(name in texts for name in (*COLUMNS, "Bridge over water"))


def test_who_is_not_signed_in_gets_no_file(site: Site) -> None:
    for address in ("/portfolio.csv", "/portfolio.xlsx", "/search?q=a"):
        answer = site.stranger().get(address)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in")
    assert read(site.at().get("/search"))
