"""The audit log on the pages: it has what users do there, and administrators can see it."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from page_kit import Site, day, fields_of, form_of, proof_of, read

from conftest import Account, Server
from healthreports.contract.lines import AUDIT_COLUMNS
from healthreports.core.vocabulary import AuditAction

pytestmark = pytest.mark.one_store


@pytest.fixture
def site(server: Server, account: Account) -> Iterator[Site]:
    made = Site(server, account)
    yield made
    made.close()


def log(site: Site) -> list[dict[str, Any]]:
    """The newest entries, ordered from the oldest to the newest."""
    answer = site.account.api.get("/audit_events", params={"per_page": "200"}).json()
    return [answer["audit_events"][one["id"]] for one in reversed(answer["results"])]


def since(site: Site, work: Callable[[], object]) -> list[dict[str, Any]]:
    known = {one["id"] for one in log(site)}
    work()
    return [one for one in log(site) if one["id"] not in known]


def send(site: Site, path: str, role: str = "administrator", **fields: str) -> Any:
    at = site.at(role)
    answer = at.post(path, data={"csrf": proof_of(at), **fields})
    assert answer.status_code in (200, 303), answer.text
    return answer


def token(site: Site) -> str:
    send(site, "/developers/tokens", name="mine", scope="read")
    page = site.page("/developers")
    *_, action = [
        one.attrs["action"] for one in page.all("form") if "/tokens/" in one.attrs.get("action", "")
    ]
    return action


def shared(site: Site) -> tuple[int, str]:
    report = site.report(site.account.workspaces[0])
    page = read(send(site, f"/reports/{report}/shares", days="7", what="this"))
    [address] = [one.text for one in page.all("code", of="secret") if "<img" not in one.text]
    return report, address


def open_link(site: Site) -> None:
    _, address = shared(site)
    path = "/" + address.split("/", 3)[3]
    assert site.stranger().get(path).status_code == 200
    assert site.stranger().get(path).status_code == 200


def revoke_link(site: Site) -> None:
    report, _ = shared(site)
    page = site.page(f"/reports/{report}")
    [form] = [one for one in page.all("form") if "/revoke" in one.attrs.get("action", "")]
    site.at().post(form.attrs["action"], data=fields_of(form))


def application(site: Site) -> str:
    page = read(
        send(site, "/account/applications", name="App", redirect_uris="https://a.example/back")
    )
    return page.one("div", of="done").all("code")[0].text


def outsider(site: Site) -> str:
    answer = site.account.api.get(
        "/account_memberships", params={"user_id": str(site.account.users["outsider"].id)}
    )
    return answer.json()["results"][0]["id"]


A = AuditAction
DONE: dict[str, tuple[Callable[[Site], object], list[AuditAction]]] = {
    "sign out": (lambda site: send(site, "/sign-out", "viewer"), [A.SIGNED_OUT]),
    "make a token": (token, [A.TOKEN_CREATED]),
    "revoke a token": (
        lambda site: send(site, token(site)),
        [A.TOKEN_CREATED, A.TOKEN_REVOKED],
    ),
    "register an application": (application, [A.APPLICATION_REGISTERED]),
    "revoke an application": (
        lambda site: send(site, f"/account/applications/{application(site)}/revoke"),
        [A.APPLICATION_REGISTERED, A.APPLICATION_REVOKED],
    ),
    "change one's name": (
        lambda site: send(site, "/account/profile", full_name="Another", headline=""),
        [A.USER_CHANGED],
    ),
    "share a report": (shared, [A.SHARE_LINK_CREATED]),
    "open a link twice": (open_link, [A.SHARE_LINK_CREATED, A.SHARE_LINK_OPENED]),
    "revoke a link": (revoke_link, [A.SHARE_LINK_CREATED, A.SHARE_LINK_REVOKED]),
    "add a person": (
        lambda site: send(
            site,
            "/people",
            full_name="New",
            email_address=f"page{site.account.id}@example.org",
            permission="collaborator",
        ),
        [A.USER_CREATED, A.INVITATION_CREATED],
    ),
    "invite and withdraw": (
        lambda site: [
            send(site, f"/people/{site.account.users['outsider'].id}/{what}")
            for what in ("invite", "withdraw", "withdraw")
        ],
        [A.INVITATION_CREATED, A.INVITATION_WITHDRAWN],
    ),
    "change a permission": (
        lambda site: send(site, f"/people/memberships/{outsider(site)}", permission="project_lead"),
        [A.USER_PERMITTED],
    ),
    "download the portfolio": (
        lambda site: site.at().get("/portfolio.csv?status=red"),
        [A.REPORTS_EXPORTED],
    ),
    "download the log": (lambda site: site.at().get("/audit.csv"), [A.AUDIT_EXPORTED]),
    "look at pages": (
        lambda site: [site.page(path) for path in ("/", "/people", "/audit", "/developers")],
        [],
    ),
    "begin a report": (
        lambda site: send(
            site,
            f"/workspaces/{site.account.workspaces[0]}/reports/new",
            preview="yes",
            description="Half",
        ),
        [],
    ),
}


@pytest.mark.parametrize("name", DONE)
def test_what_people_do_is_in_the_log_and_nothing_else(site: Site, name: str) -> None:
    site.at("viewer"), site.at()
    work, wanted = DONE[name]
    found = since(site, lambda: work(site))
    assert [one["action"] for one in found] == wanted
    for one in found:
        assert one["address"] == "127.0.0.1"
        by_link = one["action"] == A.SHARE_LINK_OPENED
        assert one["through"] == ("share_link" if by_link else "session")
        assert (one["user_id"] is None) is (one["action"] == A.SHARE_LINK_OPENED)
    secrets = re.findall(r"hr\w?_[\w-]{20,}", json.dumps(found))
    assert secrets == []


def test_the_page_shows_who_did_what_and_where(site: Site) -> None:
    first = site.account.workspaces[0]
    sent = fields_of(
        form_of(site.at().get(f"/workspaces/{first}/settings"), f"/workspaces/{first}/settings")
    )
    send(site, f"/workspaces/{first}/settings", **sent | {"title": "Renamed <b>"})
    row = site.page("/audit").one("table", of="log").one("tbody").all("tr")[0]
    cells = [one.text for one in row.all("td")]
    assert cells[1:3] == ["The administrator", f"Workspace changed {first}"]
    assert "title First → Renamed <b>" in cells[3]
    assert re.fullmatch(r"session \d+", cells[4])
    assert cells[5] == "127.0.0.1"


@pytest.mark.parametrize("role", ["editor", "viewer", "outsider"])
@pytest.mark.parametrize("path", ["/audit", "/audit.csv", "/audit.ndjson"])
def test_only_administrators_see_it(site: Site, role: str, path: str) -> None:
    assert site.at(role).get(path).status_code == 403


def test_it_is_narrowed_by_its_form(site: Site) -> None:
    send(site, "/developers/tokens", name="mine", scope="read")
    send(site, "/developers/tokens", "editor", name="theirs", scope="read")
    form = site.page("/audit").one("form", of="row")
    assert form.one("select").all("option")[1:].__len__() == len(AuditAction)
    person = site.account.users["editor"].email_address

    def rows(**asked: str) -> list[str]:
        page = site.page("/audit", **asked)
        return [
            one.text
            for table in page.all("table", of="log")
            for one in table.one("tbody").all("tr")
        ]

    assert len(rows(action="token.created")) >= 2
    [row] = rows(action="token.created", person=person)
    assert "theirs" in row
    assert rows(action="token.created", person="nobody@example.org") == []
    assert rows(**{"from": day(-1)}) == []
    assert rows(to=day(1)) == []
    assert len(rows(**{"from": day(), "to": day(), "action": "token.created"})) >= 2
    assert rows(action="nonsense", person="", to="soon"), "what means nothing is left out"


def test_older_entries_are_a_page_away(site: Site) -> None:
    site.together(lambda: [site.workspace(f"Many {number}") for number in range(60)])
    page = site.page("/audit", action="workspace.created")
    table = page.one("table", of="log").one("tbody")
    assert len(table.all("tr")) == 50
    older = page.one("a", rel="next").attrs["href"]
    assert older.startswith("/audit?")
    assert "action=workspace.created" in older
    rest = site.page(older)
    assert 0 < len(rest.one("table", of="log").one("tbody").all("tr")) <= 50
    assert rest.one("a", rel="prev").attrs["href"] == "/audit?action=workspace.created"
    assert "no older entries" in site.page("/audit", before_id="1").text


def test_files_have_what_the_form_asks_for(site: Site) -> None:
    send(site, "/developers/tokens", name="=HYPERLINK(1)", scope="read")
    answer = site.at().get("/audit.csv", params={"action": "token.created"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert tuple(rows[0]) == AUDIT_COLUMNS
    assert {one["action"] for one in rows} == {"token.created"}
    lines = site.at().get("/audit.ndjson", params={"action": "token.created"}).text.splitlines()
    assert [json.loads(one)["id"] for one in lines] == [one["id"] for one in rows]
    assert not any(cell.startswith("=") for row in rows for cell in row.values())
    assert "attachment" in answer.headers["content-disposition"]
