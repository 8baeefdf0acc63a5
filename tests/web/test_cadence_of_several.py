"""Setting when reports are due, for all workspaces that a portfolio shows."""

from collections.abc import Iterator

import httpx
import pytest
from page_kit import Node, Site, fields_of, read

from conftest import Account, Server
from healthreports.core.vocabulary import ReportEvery
from healthreports.service.reports.portfolio import MOST_CHANGED
from healthreports.store.people import workspaces

pytestmark = pytest.mark.one_store


@pytest.fixture
def site(server: Server, account: Account) -> Iterator[Site]:
    made = Site(server, account)
    yield made
    made.close()


def form(site: Site, role: str = "administrator", query: str = "") -> Node:
    return site.page(f"/cadence{query}", role).one("form", of="bulk")


def ids(form: Node) -> list[int]:
    names = [one.attrs.get("name", "") for one in form.all("input", type="checkbox")]
    return [int(name.removeprefix("workspace_")) for name in names]


def send(site: Site, role: str, query: str, sent: dict[str, str]) -> httpx.Response:
    return site.at(role).post(f"/cadence{query}", data=sent)


def cadence(site: Site, workspace_id: int | str) -> tuple[str, str, str | None]:
    found = site.account.database.read_here(
        lambda tx: workspaces.workspace(tx, site.account.id, int(workspace_id))
    )
    assert found is not None
    return found.report_every, found.report_day, found.report_paused_until


SENT = {"report_every": "6 weeks", "report_day": "monday", "report_paused_until": ""}


def test_it_is_set_for_those_that_are_chosen(site: Site) -> None:
    first, second = map(int, site.account.workspaces)
    fields = fields_of(form(site))
    assert {f"workspace_{first}", f"workspace_{second}"} <= fields.keys(), "all are chosen"
    del fields[f"workspace_{second}"]
    before = cadence(site, second)
    answer = send(site, "administrator", "", fields | SENT)
    assert answer.status_code == 303
    assert "Saved for 1 workspace." in read(site.at().get(answer.headers["location"])).text
    assert cadence(site, first) == ("6 weeks", "monday", None)
    assert cadence(site, second) == before


@pytest.mark.both_stores
@pytest.mark.parametrize("every", ReportEvery)
def test_each_way_can_be_stored(site: Site, every: ReportEvery) -> None:
    first = site.account.workspaces[0]
    sent = fields_of(form(site)) | SENT | {"report_every": every}
    assert send(site, "administrator", "", sent).status_code == 303
    assert cadence(site, first)[0] == every
    assert site.at().get(f"/workspaces/{first}").status_code == 200
    assert site.at().get("/?show=overdue").status_code == 200


def test_it_follows_the_filters_of_the_portfolio(site: Site) -> None:
    first, second = map(int, site.account.workspaces)
    site.report(first, "red")
    query = "?status=red&group=client"
    [link] = [
        one.attrs["href"]
        for one in site.page("/?status=red&group=client").all("a")
        if one.text == "Set when reports are due"
    ]
    assert link == "/cadence?status=red"
    assert ids(form(site, query=query)) == [first]
    answer = send(site, "administrator", query, fields_of(form(site, query=query)) | SENT)
    back = read(site.at().get(answer.headers["location"]))
    assert back.one("p", of="crumb").one("a").attrs["href"] == "/?status=red&group=client"
    assert cadence(site, second)[0] == "2 weeks"


def test_only_what_one_may_change_is_offered_and_changed(site: Site) -> None:
    first, second = map(int, site.account.workspaces)
    site.join(second, "viewer", "admin")
    assert ids(form(site, "viewer")) == [second]
    before = cadence(site, first)
    sent = fields_of(form(site, "viewer")) | SENT | {f"workspace_{first}": "on"}
    answer = send(site, "viewer", "", sent)
    assert answer.status_code == 403
    assert (cadence(site, first), cadence(site, second)[0]) == (before, "2 weeks"), "all or none"
    assert "may not change any" in site.page("/cadence", "outsider").text


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"report_every": "fortnight"}, "Report every must be"),
        ({"report_day": "noday"}, "Report day must be"),
        ({"report_paused_until": "soon"}, "must be a date"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_changed(
    site: Site, wrong: dict[str, str], says: str
) -> None:
    first = site.account.workspaces[0]
    before = cadence(site, first)
    answer = send(site, "administrator", "", fields_of(form(site)) | SENT | wrong)
    assert answer.status_code == 422
    assert says in read(answer).one("div", of="wrong").text
    assert cadence(site, first) == before


def test_none_chosen_is_said(site: Site) -> None:
    sent = fields_of(form(site)) | SENT
    none = {name: text for name, text in sent.items() if not name.startswith("workspace_")}
    answer = send(site, "administrator", "", none)
    assert answer.status_code == 422
    assert "Workspaces is required" in read(answer).one("div", of="wrong").text


def test_there_is_a_bound_and_it_is_said(site: Site) -> None:
    def make() -> None:
        for number in range(MOST_CHANGED + 1):
            site.workspace(f"Bounded {number}")

    site.together(make)
    page = site.page("/cadence", text="Bounded")
    assert len(ids(page.one("form", of="bulk"))) == MOST_CHANGED
    assert f"At most {MOST_CHANGED} can be changed at once" in page.text
    sent = fields_of(page.one("form", of="bulk")) | SENT
    more = {f"workspace_{one}": "on" for one in range(1, MOST_CHANGED + 2)}
    assert send(site, "administrator", "?text=Bounded", sent | more).status_code == 422
    assert send(site, "administrator", "?text=Bounded", sent).status_code == 303
