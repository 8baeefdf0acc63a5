"""Share links: who makes and ends them, what a visitor sees, and when a link stops working."""

import dataclasses
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import httpx
import pytest
from page_kit import Site, proof_of, read

from conftest import Account, Server
from healthreports.app import now, open_database
from healthreports.core.vocabulary import DAY_US, SECOND_US, AccountPermission, Side
from healthreports.service.people import members
from healthreports.settings import Settings
from raw import execute

OPENED = ("/shared", "/shared/badge.svg", "/shared/report.pdf")
ENDED = "This link is invalid"
NO_SECRETS = [
    "",
    "?link",
    "?link=",
    "?link=hrs_",
    "?link=%00",
    "?link=%ED%A0%80",
    "?link=%FF%FE",
    "?link=%F0%9F%92%A9",
    "?link=%27%20OR%201=1--",
    "?link=a&link=b",
    "?link[]=x",
    "?link=" + "x" * 8000,
    "?link=" + "%00" * 2000,
]
# Both stores store a link in the same way.
pytestmark = pytest.mark.one_store


@pytest.fixture
def site(server: Server, account: Account) -> Iterator[Site]:
    made = Site(server, account)
    yield made
    made.close()


@pytest.fixture
def guest(site: Site) -> httpx.Client:
    return site.stranger()


@pytest.fixture
def report(site: Site) -> int:
    return site.report(first(site), "yellow", text="Half of the bridge stands.")


def first(site: Site) -> int:
    return int(site.account.workspaces[0])


def send(at: httpx.Client, address: str, **fields: str) -> httpx.Response:
    """Send a form with the CSRF token of this browser's session."""
    return at.post(address, data={"csrf": proof_of(at), **fields})


def share(site: Site, report: int, role: str = "editor", **fields: str) -> httpx.Response:
    fields = {"what": "this", "days": "30", **fields}
    return send(site.at(role), f"/reports/{report}/shares", **fields)


def addresses_on(answer: httpx.Response) -> tuple[str, str]:
    """The address of a new link, and the code that shows its badge in another page."""
    assert answer.status_code == 200, answer.text
    address, badge = read(answer).all("code", "secret")
    return address.text, badge.text


def secret_in(address: str) -> str:
    [secret] = parse_qs(urlsplit(address).query)["link"]
    return secret


def link(site: Site, report: int, role: str = "editor", **fields: str) -> str:
    """Make a link. Returns its secret."""
    return secret_in(addresses_on(share(site, report, role, **fields))[0])


def look(at: httpx.Client, secret: str, path: str = "/shared") -> httpx.Response:
    return at.get(path, params={"link": secret})


def works(at: httpx.Client, secret: str) -> bool:
    """Whether a link works; all its addresses must agree."""
    statuses = {look(at, secret, path).status_code for path in OPENED}
    assert statuses in ({200}, {404}), statuses
    return statuses == {200}


def stored(site: Site, what: str) -> list[tuple]:
    """The columns `what` of the account's links."""
    return execute(
        site.server.database,
        f"SELECT {what} FROM share_links WHERE account_id = ? ORDER BY id",
        site.account.id,
    )


def change(site: Site, secret: str, column: str, value: int) -> None:
    execute(
        site.server.database,
        f"UPDATE share_links SET {column} = ? WHERE secret_hash = ?",
        value,
        sha256(secret.encode()).hexdigest(),
    )


def links_on(site: Site, report: int, role: str = "editor") -> list[list[str]]:
    """The table of links on the page of a report: shows, without, by, until, first, last."""
    page = site.page(f"/reports/{report}", role)
    return [
        [cell.text for cell in row.all("td")][:6]
        for section in page.all("section")
        if [head.text for head in section.all("h2")] == ["Share links"]
        for row in section.one("tbody").all("tr")
    ]


def revoke(site: Site, role: str, report: int, link_id: int) -> httpx.Response:
    return send(site.at(role), f"/shares/{link_id}/revoke", report=str(report))


def leave(site: Site, workspace: int, role: str) -> None:
    """End a participation as the administrator."""
    settings = site.page(f"/workspaces/{workspace}/settings")
    [row] = [one for one in settings.all("tr") if f"The {role}" in one.text]
    number = row.one("input", name="participation").attrs["value"]
    answer = send(site.at(), f"/workspaces/{workspace}/participants/remove", participation=number)
    assert answer.status_code == 303


def text_of(content: bytes) -> str:
    tool = shutil.which("pdftotext")
    if tool is None:
        pytest.skip("pdftotext is not here")
    return subprocess.run(
        [tool, "-", "-"], input=content, capture_output=True, check=True
    ).stdout.decode()


def says_that_it_ended(answer: httpx.Response) -> None:
    assert answer.status_code == 404, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert ENDED in read(answer).one("main").text


# What a link shows.


@pytest.mark.both_stores
def test_a_link_shows_a_report_to_who_has_no_account(site: Site, guest: httpx.Client) -> None:
    report = site.report(
        first(site),
        "yellow",
        text="Half of it stands.",
        scope=("red", "Piles late."),
        budget="green",
    )
    address, badge = addresses_on(share(site, report))
    secret = secret_in(address)
    assert address.startswith(f"{site.server.base}/shared?link=")
    assert f'src="{site.server.base}/shared/badge.svg?link={secret}"' in badge
    answer = guest.get(address)
    assert answer.status_code == 200
    page = read(answer)
    assert page.one("h1").text == "First"
    said = page.one("main").text
    for text in (
        "Half of it stands.",
        "Piles late.",
        "by The editor",
        "No report on Schedule, Client.",
    ):
        assert text in said
    picture = look(guest, secret, "/shared/badge.svg")
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert "First: Yellow" in picture.text
    paper = look(guest, secret, "/shared/report.pdf")
    assert paper.headers["content-type"] == "application/pdf"
    assert paper.content.startswith(b"%PDF-")
    assert [one.headers.get("set-cookie") for one in (answer, picture, paper)] == [None] * 3
    assert stored(site, "secret_hash, first_opened_at = last_opened_at") == [
        (sha256(secret.encode()).hexdigest(), True)
    ]
    [shown] = links_on(site, report)
    assert "not yet" not in shown
    [(link_id,)] = stored(site, "id")
    assert revoke(site, "editor", report, link_id).headers["location"] == f"/reports/{report}"
    assert not works(guest, secret)


def test_a_secret_is_shown_once_and_kept_nowhere(site: Site, report: int) -> None:
    form = site.page(f"/reports/{report}", "editor").one("form", action=f"/reports/{report}/shares")
    assert form.one("button").text == "Create link"
    assert form.one("label", for_="days").text == "Expires after (days), at most 365"
    answer = share(site, report)
    assert "You won't see it again." in read(answer).one("div", "done").text
    secret = secret_in(addresses_on(answer)[0])
    assert len(secret) > 40
    assert secret not in site.at("editor").get(f"/reports/{report}").text
    assert not [line for line in site.stored() if secret in line]


def test_two_links_have_two_secrets(site: Site, guest: httpx.Client, report: int) -> None:
    secrets = {link(site, report), link(site, report)}
    assert len(secrets) == 2
    assert all(works(guest, one) for one in secrets)


def test_a_page_by_a_link_offers_nothing_else(site: Site, report: int) -> None:
    secret = link(site, report)
    for at in (site.stranger(), site.at("editor"), site.at("viewer")):
        page = read(look(at, secret))
        assert not page.all("form")
        assert not page.all("nav")
        led_to = {urlsplit(one.attrs["href"]).path for one in page.all("a")}
        assert led_to == {"", "/", "/shared/report.pdf"}
    paper = read(look(site.stranger(), secret)).one("p", "actions").one("a").attrs["href"]
    assert site.stranger().get(paper).content.startswith(b"%PDF-")


def test_what_is_hidden_appears_nowhere(site: Site, guest: httpx.Client) -> None:
    report = site.report(
        first(site),
        text="All in all.",
        scope=("green", "Piles stand."),
        budget=("red", "Money is gone."),
        schedule=("yellow", "A week late."),
        client=("red", "They are angry."),
    )
    secret = link(site, report, hide_budget="on", hide_client="on")
    answers = [look(guest, secret, path) for path in OPENED]
    said = [answers[0].text, answers[1].text, text_of(answers[2].content)]
    for text in ("Piles stand.", "A week late.", "Scope", "Schedule"):
        assert text in said[0]
        assert text in said[2]
    for one in said:
        for word in ("budget", "client", "Money is gone", "They are angry"):
            assert word.lower() not in one.lower()
    assert "Red" not in said[1]
    assert [row[:2] for row in links_on(site, report)] == [["this report", "Budget Client"]]
    # A user who may see the report itself still sees all of it.
    assert "Money is gone." in site.page(f"/reports/{report}", "viewer").text


def test_everything_may_be_hidden(site: Site, guest: httpx.Client) -> None:
    report = site.report(first(site), "red", text="Help.", scope=("red", "Piles."), budget="red")
    secret = link(
        site, report, hide_scope="on", hide_budget="on", hide_schedule="on", hide_client="on"
    )
    assert works(guest, secret)
    page = read(look(guest, secret))
    assert "Help." in page.text
    assert "Piles." not in page.text
    assert not page.all("section", "card")
    for category in ("Scope", "Budget", "Schedule", "Client", "No report"):
        assert category not in page.text


def test_a_title_is_text_in_all_that_a_link_shows(site: Site, guest: httpx.Client) -> None:
    workspace = site.workspace("A \"<b>&amp;</b>\" 'bridge'")
    site.join(workspace, "editor", "edit")
    secret = link(site, site.report(workspace, text="<script>alert(1)</script>"))
    assert read(look(guest, secret)).one("h1").text == "A \"<b>&amp;</b>\" 'bridge'"
    assert "<script>alert" not in look(guest, secret).text
    picture = look(guest, secret, "/shared/badge.svg").text
    assert read(picture).one("title").text.startswith("A \"<b>&amp;</b>\" 'bridge':")
    assert works(guest, secret)


def test_a_badge_is_xml_whatever_the_title(site: Site, guest: httpx.Client) -> None:
    workspace = site.workspace("A\x01bell \x0b and \uffff a \U0001f309")
    site.join(workspace, "editor", "edit")
    secret = link(site, site.report(workspace, text="Rung \x01 \uffff."))
    assert works(guest, secret)
    picture = look(guest, secret, "/shared/badge.svg").content
    assert ET.fromstring(picture).tag.endswith("svg")


def test_no_search_engine_keeps_what_a_link_shows(
    site: Site, guest: httpx.Client, report: int
) -> None:
    secret = link(site, report)
    for answer in [look(guest, one, path) for one in (secret, "gone") for path in OPENED]:
        assert "noindex" in answer.headers["x-robots-tag"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        if answer.headers["content-type"].startswith("text/html"):
            assert "noindex" in read(answer).one("meta", name="robots").attrs["content"]


def test_only_the_badge_may_stand_in_pages_of_others(
    site: Site, guest: httpx.Client, report: int
) -> None:
    secret = link(site, report)
    policy = "cross-origin-resource-policy"
    assert look(guest, secret, "/shared/badge.svg").headers[policy] == "cross-origin"
    assert look(guest, secret, "/shared/report.pdf").headers[policy] == "same-origin"
    for name in (".md", ".pdf", "/badge.svg"):
        answer = site.at("editor").get(f"/reports/{report}{name}")
        assert answer.headers[policy] == "same-origin"
    assert "frame-ancestors 'none'" in look(guest, secret).headers["content-security-policy"]


# When a link does not work.


def test_what_is_no_secret_leads_nowhere(guest: httpx.Client) -> None:
    for query in NO_SECRETS:
        for path in OPENED:
            says_that_it_ended(guest.get(f"{path}{query}"))


def test_a_secret_without_end_is_no_failure_of_ours(guest: httpx.Client) -> None:
    for length in (20_000, 60_000):
        assert 400 <= guest.get(f"/shared?link={'x' * length}").status_code < 500


def test_a_secret_is_the_whole_of_it(site: Site, guest: httpx.Client, report: int) -> None:
    secret = link(site, report)
    for wrong in (secret[:-1], secret + "x", secret.swapcase(), secret.partition("_")[2]):
        says_that_it_ended(look(guest, wrong))
    token = site.account.secrets["editor"]
    says_that_it_ended(look(guest, token))
    with site.server.client(secret) as client:
        assert client.get("/status_reports").status_code == 401


def test_a_link_expires(site: Site, guest: httpx.Client, report: int) -> None:
    secret = link(site, report)
    change(site, secret, "expires_at", now() + 60 * SECOND_US)
    assert works(guest, secret)
    change(site, secret, "expires_at", now())
    assert not works(guest, secret)
    says_that_it_ended(look(guest, secret))
    assert links_on(site, report) == []


def test_a_revoked_link_ends_and_the_others_do_not(
    site: Site, guest: httpx.Client, report: int
) -> None:
    ended, other = link(site, report), link(site, report)
    [link_id, _] = [one for (one,) in stored(site, "id")]
    for _ in range(2):  # ending it again is no error
        assert revoke(site, "editor", report, link_id).status_code == 303
    assert not works(guest, ended)
    assert works(guest, other)
    assert len(links_on(site, report)) == 1


def test_a_dead_link_leaves_no_cookie_either(guest: httpx.Client) -> None:
    for path in OPENED:
        assert "set-cookie" not in look(guest, "gone", path).headers


def test_a_link_ends_while_its_maker_is_disabled(
    site: Site, guest: httpx.Client, report: int
) -> None:
    secret, user = link(site, report), site.account.users["editor"]
    of_another = link(site, report, "administrator")
    database = site.account.database
    database.write_here(lambda tx: members.disable(tx, user, now(), disabled=True))
    assert not works(guest, secret)
    assert works(guest, of_another)


@pytest.mark.parametrize("what", ["this", "current"])
def test_a_link_ends_when_its_maker_leaves(
    site: Site, guest: httpx.Client, report: int, what: str
) -> None:
    secret = link(site, report, what=what)
    leave(site, first(site), "editor")
    assert not works(guest, secret)


@pytest.mark.parametrize("what", ["this", "current"])
def test_a_link_shows_no_more_than_its_maker_sees(
    site: Site, guest: httpx.Client, report: int, what: str
) -> None:
    site.join(first(site), "outsider", "edit")
    secret = link(site, report, "outsider", what=what)
    leave(site, first(site), "outsider")
    site.change_workspace(first(site), clients_see_status_reports=True)
    site.join(first(site), "outsider", side=Side.CLIENT)
    assert works(guest, secret)
    site.change_workspace(first(site), clients_see_status_reports=False)
    assert not works(guest, secret)


def test_a_link_ends_with_its_report(site: Site, guest: httpx.Client, report: int) -> None:
    secret = link(site, report)
    assert send(site.at("editor"), f"/reports/{report}/delete").status_code == 303
    assert not works(guest, secret)
    another = site.report(first(site), text="Another one.")
    assert not works(guest, secret)
    assert links_on(site, another) == []


# Links to the current report.


def test_a_link_to_what_is_current_follows(site: Site, guest: httpx.Client) -> None:
    old = site.report(first(site), "red", ago=5, text="The oldest.")
    site.report(first(site), "red", ago=3, text="The second.")
    stays, follows = link(site, old), link(site, old, what="current", hide_client="on")
    assert "The second." in look(guest, follows).text
    newest = site.report(first(site), text="The newest.", client=("red", "They are angry."))
    assert "The newest." in look(guest, follows).text
    assert "angry" not in look(guest, follows).text
    assert "Green" in look(guest, follows, "/shared/badge.svg").text
    assert "The oldest." in look(guest, stays).text
    assert [row[0] for row in links_on(site, old)] == ["the current report", "this report"]
    assert [row[0] for row in links_on(site, newest)] == ["the current report"]


def test_a_link_to_what_is_current_waits_for_a_report(
    site: Site, guest: httpx.Client, report: int
) -> None:
    secret = link(site, report, what="current")
    assert send(site.at("editor"), f"/reports/{report}/delete").status_code == 303
    says_that_it_ended(look(guest, secret))
    site.report(int(site.account.workspaces[1]), text="Of another workspace.")
    assert not works(guest, secret)
    site.report(first(site), text="Here again.")
    assert "Here again." in look(guest, secret).text


# Whether a link was opened.


def test_its_maker_sees_when_a_link_was_opened(
    site: Site, guest: httpx.Client, report: int
) -> None:
    secret = link(site, report)
    assert links_on(site, report)[0][4:] == ["not yet", "not yet"]
    before = now()
    look(guest, secret)
    [(opened, last)] = stored(site, "first_opened_at, last_opened_at")
    assert before <= opened == last <= now()
    shown = links_on(site, report)[0][4:]
    assert all(one.endswith("UTC") for one in shown)


def test_to_open_again_within_a_minute_is_no_news(
    site: Site, guest: httpx.Client, report: int
) -> None:
    secret = link(site, report)
    look(guest, secret)
    times = "first_opened_at, last_opened_at"
    before = stored(site, times)
    look(guest, secret)
    assert stored(site, times) == before
    [(opened, _)] = before
    change(site, secret, "last_opened_at", now() - 55 * SECOND_US)
    recent = stored(site, times)
    look(guest, secret)
    assert stored(site, times) == recent
    change(site, secret, "last_opened_at", now() - 61 * SECOND_US)
    asked = now()
    look(guest, secret)
    [(still, last)] = stored(site, times)
    assert still == opened
    assert last >= asked


def test_what_does_not_work_was_not_opened(site: Site, guest: httpx.Client, report: int) -> None:
    secret = link(site, report)
    change(site, secret, "revoked_at", now())
    look(guest, secret)
    assert stored(site, "first_opened_at, last_opened_at") == [(None, None)]


# Who may make a link.


@pytest.mark.parametrize("role", ["administrator", "editor", "outsider"])
def test_who_may_write_may_share(site: Site, guest: httpx.Client, report: int, role: str) -> None:
    if role == "outsider":
        site.join(first(site), "outsider", "edit")
    assert site.page(f"/reports/{report}", role).all("form", action=f"/reports/{report}/shares")
    assert works(guest, link(site, report, role))
    assert links_on(site, report, role)[0][2] == f"The {role}"


def test_who_only_reads_may_not_share(site: Site, report: int) -> None:
    site.change_workspace(first(site), clients_see_status_reports=True)
    site.join(first(site), "outsider", "edit", side=Side.CLIENT)
    for role in ("viewer", "outsider"):
        action = f"/reports/{report}/shares"
        assert not site.page(f"/reports/{report}", role).all("form", action=action)
        assert share(site, report, role).status_code == 403
    leave(site, first(site), "outsider")
    user = site.account.users["outsider"]
    site.account.database.write_here(
        lambda tx: members.change_permission(tx, user, AccountPermission.REPORTS_VIEWER, now())
    )
    assert share(site, report, "outsider").status_code == 403
    assert stored(site, "id") == []


def test_what_one_does_not_see_one_cannot_share(
    site: Site, other_account: Account, report: int
) -> None:
    other = Site(site.server, other_account)
    assert share(site, report, "outsider").status_code == 404
    assert share(other, report, "administrator").status_code == 404
    site.join(first(site), "outsider", "edit", side=Side.CLIENT)
    assert share(site, report, "outsider").status_code == 404
    for number in ("0", "abc", "9" * 30):
        assert send(site.at(), f"/reports/{number}/shares", days="3").status_code == 404
    assert stored(site, "id") == []
    assert stored(other, "id") == []
    other.close()


@pytest.mark.parametrize("role", ["administrator", "editor"])
def test_nothing_new_is_shared_of_an_archive(
    site: Site, guest: httpx.Client, report: int, role: str
) -> None:
    before = link(site, report, role)
    site.change_workspace(first(site), archived=True)
    answer = share(site, report, role)
    assert answer.status_code == 403
    assert "archived" in read(answer).one("main").text
    assert len(stored(site, "id")) == 1
    assert works(guest, before)


def test_an_admin_may_end_links_of_an_archive(site: Site, guest: httpx.Client, report: int) -> None:
    site.join(first(site), "outsider", "edit")
    secret = link(site, report, "outsider")
    [(link_id,)] = stored(site, "id")
    site.change_workspace(first(site), archived=True)
    assert len(links_on(site, report, "administrator")) == 1
    assert revoke(site, "administrator", report, link_id).status_code == 303
    assert not works(guest, secret)


def test_a_form_of_another_site_shares_nothing(
    site: Site, guest: httpx.Client, report: int
) -> None:
    action = f"/reports/{report}/shares"
    for fields in ({}, {"csrf": ""}, {"csrf": "x"}, {"csrf": proof_of(site.at("viewer"))}):
        answer = site.at("editor").post(action, data={"days": "30", **fields})
        assert answer.status_code == 403
    assert guest.post(action, data={"days": "30"}).status_code in {303, 403}
    assert stored(site, "id") == []


def test_a_link_works_for_a_number_of_days(site: Site, report: int) -> None:
    for days in ["0", "366", "abc", "", "-1", "1.5", "1e1", "٣", "9" * 40]:
        answer = share(site, report, days=days)
        assert answer.status_code == 422, days
        assert "Days must be a whole number from 1 to 365" in read(answer).one("main").text
    assert stored(site, "id") == []


def test_a_link_works_as_long_as_was_asked_for(site: Site, report: int) -> None:
    for days in (1, 365):
        link(site, report, days=str(days))
    assert stored(site, "expires_at - created_at") == [(DAY_US,), (365 * DAY_US,)]


# Who may end a link.


@pytest.mark.parametrize("role", ["outsider", "editor", "administrator"])
def test_its_maker_and_an_admin_may_end_a_link(
    site: Site, guest: httpx.Client, report: int, role: str
) -> None:
    site.join(first(site), "outsider", "edit")
    secret = link(site, report, "outsider")
    assert [row[2] for row in links_on(site, report, role)] == ["The outsider"]
    [(link_id,)] = stored(site, "id")
    answer = revoke(site, role, report, link_id)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/reports/{report}"
    assert not works(guest, secret)


def test_nobody_else_may_end_a_link(
    site: Site, other_account: Account, guest: httpx.Client
) -> None:
    workspace, other = int(site.account.workspaces[1]), Site(site.server, other_account)
    report = site.report(workspace)
    secret = link(site, report)
    [(link_id,)] = stored(site, "id")
    assert revoke(site, "outsider", report, link_id).status_code == 404
    assert revoke(other, "administrator", report, link_id).status_code == 404
    site.join(workspace, "outsider", "edit")
    site.join(workspace, "viewer", "view")
    for role in ("outsider", "viewer"):
        assert links_on(site, report, role) == []
        assert revoke(site, role, report, link_id).status_code == 403
    answer = site.at("editor").post(f"/shares/{link_id}/revoke", data={"report": str(report)})
    assert answer.status_code == 403
    assert works(guest, secret)
    other.close()


def test_there_is_no_such_link(site: Site, report: int) -> None:
    for number in ("0", "999999999", "abc", "9" * 30):
        answer = send(site.at(), f"/shares/{number}/revoke", report=str(report))
        assert answer.status_code == 404


def test_what_says_not_found_ended_nothing(site: Site, guest: httpx.Client, report: int) -> None:
    secret = link(site, report)
    [(link_id,)] = stored(site, "id")
    answer = send(site.at("editor"), f"/shares/{link_id}/revoke")
    assert (answer.status_code == 404) == works(guest, secret)


def test_other_accounts_see_nothing_of_a_link(
    site: Site, other_account: Account, report: int
) -> None:
    other = Site(site.server, other_account)
    secret = link(site, report)
    # With the link, a user of another account sees what every visitor sees.
    assert look(other.at(), secret).status_code == 200
    assert other.at().get(f"/reports/{report}").status_code == 404
    assert links_on(other, other.report(int(other_account.workspaces[0])), "administrator") == []
    other.close()


# What the log contains.


def test_no_secret_stands_in_the_log(
    own_server: Callable[..., Server], own_account: Callable[[Server], Account]
) -> None:
    server = own_server(HEALTHREPORTS_ACCESS_LOG="true")
    account = own_account(server)
    with closing(open_database(Settings(database=str(server.database)))) as opened:
        site = Site(server, dataclasses.replace(account, database=opened))
        secret = link(site, site.report(first(site)))
        guest = site.stranger()
        for path in (*OPENED, "/shared/nothing", "//shared"):
            look(guest, secret, path)
        guest.post("/shared", params={"link": secret})
        person = account.users["outsider"].id
        made = send(site.at(), f"/people/{person}/invite")
        address = read(made).one("code", "secret").text
        invitation = parse_qs(urlsplit(address).query)["invitation"][0]
        proof = read(guest.get(address)).one("input", name="csrf").attrs["value"]
        answer = guest.post(address, data={"csrf": proof, "password": "too short"})
        assert answer.status_code == 422
        site.close()
    log = server.stop()
    assert 'path=/shared operation="GET /shared" status=200' in log
    assert 'operation="GET /shared/report.pdf" status=200' in log
    assert 'operation="POST /welcome" status=422' in log
    for word in (secret, secret.partition("_")[2], invitation, "too short", "link="):
        assert word not in log
