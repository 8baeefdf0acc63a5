"""The pages for changing an address, handing over, and deleting permanently."""

import json
from collections.abc import Iterator

import httpx
import pytest
from page_kit import Site, fields_of, form_of, read

from conftest import Account, Server
from healthreports.core.vocabulary import AccountPermission
from healthreports.service.people import members

pytestmark = pytest.mark.one_store


@pytest.fixture
def site(server: Server, account: Account) -> Iterator[Site]:
    made = Site(server, account)
    yield made
    made.close()


def send(at: httpx.Client, place: str, action: str, **sent: str) -> httpx.Response:
    page = at.get(place)
    assert page.status_code == 200, page.text
    return at.post(action, data=fields_of(form_of(page, action)) | sent)


# Addresses

NEW = "new.address@example.org"


def link_of(site: Site, role: str = "editor", by: str = "administrator") -> str:
    """The link that an administrator has to send to the new address."""
    user = site.account.users[role]
    page = send(site.at(by), "/people", f"/people/{user.id}/address")
    return read(page).one("code", "secret").text.removeprefix(site.server.base)


def address_of(site: Site, role: str = "editor") -> str:
    user = site.account.users[role]
    found = site.account.database.read_here(lambda tx: members.of_account(tx, user, {user.id}))
    return found[user.id].email_address


def test_an_address_is_changed_by_who_opens_the_link_that_was_sent_there(site: Site) -> None:
    at, before = site.at("editor"), address_of(site)
    assert send(at, "/account", "/account/address/want", email_address=NEW.upper()).is_redirect
    assert NEW in at.get("/account").text
    assert address_of(site) == before
    link = link_of(site)
    assert "Use the new address" in at.get(link).text
    assert "is changed" in send(at, link, "/account/address").text
    assert address_of(site) == NEW
    # The link works once.
    assert send(at, link, "/account/address").status_code == 404
    assert NEW not in site.page("/people").one("main").one("div", "bar").text


def test_a_link_is_of_nobody_else(site: Site) -> None:
    send(site.at("editor"), "/account", "/account/address/want", email_address=NEW)
    link, before = link_of(site), address_of(site, "viewer")
    assert send(site.at("viewer"), link, "/account/address").status_code == 404
    assert address_of(site, "viewer") == before
    assert site.stranger().get(link).is_redirect


def test_nobody_sends_oneself_one_s_own_link(site: Site) -> None:
    send(site.at(), "/account", "/account/address/want", email_address=NEW)
    page = site.page("/people")
    assert "another administrator sends it" in page.text
    me = site.account.users["administrator"].id
    proof = fields_of(form_of(site.at().get("/people"), "/people"))["csrf"]
    assert site.at().post(f"/people/{me}/address", data={"csrf": proof}).status_code == 403


@pytest.mark.parametrize("wanted", ["", "nobody", "viewer"], ids=["none", "no address", "taken"])
def test_an_address_that_cannot_be_is_refused(site: Site, wanted: str) -> None:
    sent = address_of(site, "viewer") if wanted == "viewer" else wanted
    at = site.at("editor")
    answer = send(at, "/account", "/account/address/want", email_address=sent)
    assert answer.status_code == 422
    assert "E-mail address" in answer.text or "Email address" in answer.text


def test_whoever_was_first_has_an_address_that_two_want(site: Site) -> None:
    links = []
    for role in ("editor", "viewer"):
        send(site.at(role), "/account", "/account/address/want", email_address=NEW)
        links.append((role, link_of(site, role)))
    statuses = [send(site.at(role), link, "/account/address").status_code for role, link in links]
    assert statuses[0] == 200
    assert statuses[1] == 422
    assert address_of(site, "viewer") != NEW


def test_a_person_thinks_better_of_it(site: Site) -> None:
    at = site.at("editor")
    send(at, "/account", "/account/address/want", email_address=NEW)
    link = link_of(site)
    send(at, "/account", "/account/address/want", give_up="yes")
    assert send(at, link, "/account/address").status_code == 404


# Handing over


def test_all_places_are_handed_over(site: Site) -> None:
    editor, viewer = site.account.users["editor"], site.account.users["viewer"]
    action = f"/people/{editor.id}/hand-over"
    answer = send(site.at(), "/people", action, taker=viewer.email_address)
    assert answer.headers["location"] == "/people?handed=yes"
    assert site.at("editor").get(f"/workspaces/{site.account.workspaces[0]}").status_code == 404
    assert site.at("viewer").get(f"/workspaces/{site.account.workspaces[1]}/settings").is_success
    unknown = send(site.at(), "/people", action, taker="nobody@example.org")
    assert unknown.status_code == 422


# Deleting


def test_a_workspace_is_exported_and_then_deleted_by_who_types_its_title(site: Site) -> None:
    made = site.workspace("Canal  and dam")
    site.report(made, "red", text="Leaks.", scope="red")
    other = site.report(site.account.workspaces[0], "green")
    place = f"/workspaces/{made}/delete"
    copy = site.at().get(f"/workspaces/{made}/export.ndjson")
    assert copy.headers["content-type"].startswith("application/x-ndjson")
    [line] = copy.text.splitlines()
    assert json.loads(line)["description"] == "Leaks."
    for wrong in ("", "canal and dam", "Canal"):
        assert send(site.at(), place, place, title=wrong).status_code == 422
    assert site.at().get(f"/workspaces/{made}").is_success
    answer = send(site.at(), place, place, title=" Canal and dam ")
    assert answer.is_redirect
    assert site.at().get(f"/workspaces/{made}").status_code == 404
    assert site.at().get(f"/reports/{other}").is_success


def test_an_account_is_exported_and_then_deleted_by_who_types_its_name(site: Site) -> None:
    site.report(site.account.workspaces[0], "red", text="Leaks.")
    assert "Leaks." in site.at().get("/settings/export.ndjson").text
    page = read(site.at().get("/settings/delete"))
    name = page.one("label", for_="account_name").one("strong").text
    wrong = send(site.at(), "/settings/delete", "/settings/delete", account_name=f"not-{name}")
    assert wrong.status_code == 422
    known = site.at("editor")
    done = send(site.at(), "/settings/delete", "/settings/delete", account_name=name)
    assert "is deleted" in done.text
    for at in (site.at(), known):
        assert at.get("/account").is_redirect
    assert site.account.api.get("/status_reports").status_code == 401


@pytest.mark.parametrize("place", ["/workspaces/{}/delete", "/settings/delete", "/settings"])
@pytest.mark.parametrize("role", ["editor", "viewer"])
def test_only_administrators_delete_and_others_learn_whom_to_ask(
    site: Site, place: str, role: str
) -> None:
    answer = site.at(role).get(place.format(site.account.workspaces[0]))
    assert answer.status_code == 403
    assert "needs an administrator" in answer.text
    assert site.account.users["administrator"].full_name in answer.text


def test_who_is_asked_is_let_in_and_few(site: Site) -> None:
    database, users = site.account.database, site.account.users

    def work(tx: object) -> None:
        for number in range(9):
            members.create_user(
                tx,  # type: ignore[arg-type]
                site.account.id,
                full_name=f"Admin {number}",
                email_address=f"admin{number}@example.org",
                permission=AccountPermission.ADMINISTRATOR,
                now=1,  # type: ignore[arg-type]
            )

    database.write_here(work)
    text = site.at("viewer").get("/settings").text
    assert 0 < text.count("Admin ") <= 5
    assert users["editor"].full_name not in text
