"""The pages of earlier versions of reports, deleted reports and archived workspaces."""

from collections.abc import Iterator

import pytest
from page_kit import Node, Site, day, fields_of, form_of, read

from conftest import Account, Server
from expect import only_record
from healthreports.app import now
from healthreports.core.model import Instant
from healthreports.core.vocabulary import DAY_US, Kind

pytestmark = pytest.mark.one_store


@pytest.fixture
def site(server: Server, account: Account) -> Iterator[Site]:
    made = Site(server, account)
    yield made
    made.close()


def change(site: Site, report: int, role: str = "administrator", **changes: object) -> None:
    answer = site.account.clients[role].put(
        f"/status_reports/{report}", json={"status_report": changes}
    )
    assert answer.is_success, answer.text


def shown(site: Site, report: int) -> dict[str, object]:
    return only_record(site.account.api.get(f"/status_reports/{report}"))


def test_versions_say_who_when_and_what_changed(site: Site) -> None:
    report = site.report(site.account.workspaces[0], "green", text="All is well here.")
    change(site, report, color="red")
    change(site, report, "editor", description="All is lost here.")
    page = site.page(f"/reports/{report}/versions")
    told = [one.text for one in page.all("li", "version")]
    assert len(told) == 3
    assert "Edited by The editor" in told[0]
    assert "Edited by The administrator" in told[1]
    assert "Written by The editor" in told[2]
    assert [one.text for one in page.all("ins")] == ["lost"]
    assert [one.text for one in page.all("del")] == ["well"]
    assert "Green" in told[1]
    assert "Red" in told[1]
    shown = site.page(f"/reports/{report}")
    assert shown.all("a", href=f"/reports/{report}/versions")
    assert "edited, " in shown.one("span", "edited").text


def test_a_report_that_was_never_changed_does_not_speak_of_versions(site: Site) -> None:
    report = site.report(site.account.workspaces[0])
    page = site.page(f"/reports/{report}")
    assert not page.all("a", href=f"/reports/{report}/versions")
    assert "edited" not in page.text.lower()
    assert len(site.page(f"/reports/{report}/versions").all("li", "version")) == 1


def test_any_two_versions_are_compared(site: Site) -> None:
    report = site.report(site.account.workspaces[0], "green", text="One.")
    for text in ("Two.", "Three.", "Four."):
        change(site, report, description=text)
    for query in ("older=1&newer=3", "older=3&newer=1"):
        page = site.page(f"/reports/{report}/versions?{query}")
        section = page.one("section", "changed", id="compared")
        assert "From version 1 to version 3" in section.text
        assert [one.text for one in section.all("ins")] == ["Three."]
        assert [one.text for one in section.all("del")] == ["One."]
    at = site.at()
    assert at.get(f"/reports/{report}/versions?older=1&newer=9").status_code == 404


@pytest.mark.parametrize(
    "query", ["older=x&newer=1", "older=0&newer=0", "page=0", "page=99", "older="]
)
def test_odd_questions_for_versions_are_no_defect(site: Site, query: str) -> None:
    report = site.report(site.account.workspaces[0])
    answer = site.at().get(f"/reports/{report}/versions?{query}")
    assert answer.status_code in (200, 404)


def test_an_old_version_is_restored_as_a_new_one(site: Site) -> None:
    report = site.report(site.account.workspaces[0], "green", text="Right.", scope="yellow")
    change(site, report, color="red", description="Wrong.", details=[])
    at = site.at("editor")
    page = at.get(f"/reports/{report}/versions")
    [form] = [one for one in read(page).all("form") if "number" in fields_of(one)]
    answer = at.post(f"/reports/{report}/versions", data=fields_of(form))
    assert answer.headers["location"] == f"/reports/{report}?saved=yes"
    now = shown(site, report)
    assert (now["color"], now["description"]) == ("green", "Right.")
    assert now["details"] == [{"category": "Scope", "color": "yellow", "description": None}] or (
        now["details"][0]["color"] == "yellow"
    )
    told = site.page(f"/reports/{report}/versions").all("li", "version")
    assert "Restored by The editor" in told[0].text
    assert len(told) == 3


def test_who_only_reads_sees_versions_and_restores_none(site: Site) -> None:
    report = site.report(site.account.workspaces[0])
    change(site, report, description="Changed.")
    at = site.at("viewer")
    page = at.get(f"/reports/{report}/versions")
    assert page.status_code == 200
    assert not [one for one in read(page).all("form") if "number" in fields_of(one)]
    sent = {"csrf": fields_of(form_of(at.get("/developers"), "/developers/tokens"))["csrf"]}
    refused = at.post(f"/reports/{report}/versions", data=sent | {"number": "1"})
    assert refused.status_code == 403
    assert site.at("outsider").get(f"/reports/{report}/versions").status_code == 404


def test_the_trash_of_a_workspace_restores_and_purges(site: Site) -> None:
    first = site.account.workspaces[0]
    kept, gone = site.report(first, text="Keep me."), site.report(first, text="Purge me.")
    for report in (kept, gone):
        assert site.account.api.delete(f"/status_reports/{report}").is_success
    at = site.at()
    path = f"/workspaces/{first}/deleted"
    text = site.page(path).text
    assert "Keep me." in text
    assert "Purge me." in text
    restore = form_of(at.get(path), f"/deleted/{kept}/restore")
    assert at.post(restore.attrs["action"], data=fields_of(restore)).status_code == 303
    assert shown(site, kept)["description"] == "Keep me."
    purge = form_of(at.get(path), f"/deleted/{gone}/purge")
    answer = at.post(purge.attrs["action"], data=fields_of(purge))
    assert answer.headers["location"] == path
    assert "No deleted reports." in site.page(path).text
    assert site.account.api.get("/deleted_status_reports").json()["count"] == 0


def test_who_does_not_administer_the_account_does_not_purge(site: Site) -> None:
    first = site.account.workspaces[0]
    report = site.report(first)
    assert site.account.api.delete(f"/status_reports/{report}").is_success
    page = read(site.at("editor").get(f"/workspaces/{first}/deleted"))
    actions = {one.attrs.get("action") for one in page.all("form")}
    assert f"/deleted/{report}/restore" in actions
    assert f"/deleted/{report}/purge" not in actions
    viewers = read(site.at("viewer").get(f"/workspaces/{first}/deleted"))
    assert "No deleted reports." in viewers.text


def test_archived_workspaces_are_listed_found_and_brought_back(site: Site) -> None:
    first, second = site.account.workspaces
    for workspace in (first, second):
        site.change_workspace(workspace, archived=True)
    page = site.page("/workspaces/archived")
    assert [one.text for one in page.all("td") if one.all("a")] == ["First", "Second"]
    found = site.page("/workspaces/archived?text=sec")
    assert [one.text for one in found.all("td") if one.all("a")] == ["Second"]
    assert "No archived workspace" in site.page("/workspaces/archived?text=nothing").text
    at = site.at()
    form = form_of(at.get("/workspaces/archived"), f"/workspaces/{second}/bring-back")
    answer = at.post(form.attrs["action"], data=fields_of(form))
    assert answer.headers["location"] == f"/workspaces/{second}"
    assert "archived" not in site.page(f"/workspaces/{second}").text
    assert site.account.api.get(f"/{Kind.WORKSPACES}/{second}").is_success


def test_who_manages_a_workspace_brings_it_back_from_its_page(site: Site) -> None:
    first = site.account.workspaces[0]
    site.change_workspace(first, archived=True)
    at = site.at("editor")
    form = form_of(at.get(f"/workspaces/{first}"), f"/workspaces/{first}/bring-back")
    assert any(one.text == "Bring it back" for one in form.all("button"))
    assert at.post(form.attrs["action"], data=fields_of(form)).status_code == 303
    assert not any(
        one.text == "Bring it back" for one in site.page(f"/workspaces/{first}").all("button")
    )


def test_the_portfolio_of_a_day_shows_what_stood_there_on_that_day(site: Site) -> None:
    first = site.account.workspaces[0]
    report = site.report(first, "green", ago=5, text="As planned.", budget="yellow")
    age_workspaces(site, 9)
    change(site, report, color="red", description="Too late.", details=[])
    then, now = site.page(f"/?as_of={day(3)}"), site.page("/")
    assert [states_of(page) for page in (then, now)] == [
        {"Red": "0", "Yellow": "0", "Green": "1", "No report": "1"},
        {"Red": "1", "Yellow": "0", "Green": "0", "No report": "1"},
    ]
    # Past weeks, too, are as they were then.
    assert states_of(now, weeks_ago=1) == {
        "Red": "0",
        "Yellow": "0",
        "Green": "0",
        "No report": "2",
    }
    for query, is_found in (
        ("status=green", True),
        ("status=red", False),
        ("category=Budget&category_status=yellow", True),
    ):
        shown = site.at().get(f"/?as_of={day(3)}&{query}").text
        assert (f'href="/workspaces/{first}"' in shown) == is_found, query


def test_a_workspace_that_was_not_there_yet_is_not_in_the_portfolio_of_a_day(site: Site) -> None:
    first, second = site.account.workspaces
    site.report(first, "green", ago=5)
    # Both were created today; the report of the first one is older.
    then = site.page(f"/?as_of={day(3)}")
    assert f'href="/workspaces/{first}"' in html(site)
    assert f'href="/workspaces/{second}"' not in html(site)
    assert then.one("nav", "tabs").all("a")[0].text == "All 1"
    assert sum(map(int, states_of(then).values())) == 1
    age_workspaces(site, 9)
    assert f'href="/workspaces/{second}"' in html(site)


def states_of(page: Node, weeks_ago: int = 0) -> dict[str, str]:
    """How many workspaces have each status, now or at the end of a past week."""
    table = page.one("section", "trend").one("table")
    row = table.one("tbody").all("tr")[-1 - weeks_ago]
    names = [one.text for one in table.one("thead").all("th")[1:]]
    return dict(zip(names, (one.text for one in row.all("td")), strict=True))


def html(site: Site) -> str:
    return site.at().get(f"/?as_of={day(3)}").text


def age_workspaces(site: Site, days: int) -> None:
    for workspace in site.account.workspaces:
        site.change_workspace(workspace, created_at=Instant(now() - days * DAY_US))
