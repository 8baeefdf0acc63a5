"""The people of an account, their invitations, and who participates in a workspace."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from page_kit import Node, Site, day, fields_of, proof_of, read, weekday

from conftest import Account, Server
from expect import assert_failure, only_record
from healthreports.app import now
from healthreports.core.model import User
from healthreports.core.vocabulary import (
    DAY_US,
    AccountPermission,
    ReportEvery,
    Side,
    Weekday,
)
from healthreports.service.auth import sign_in
from healthreports.service.auth.invitations import invite_as_operator
from healthreports.service.people import members as member_service
from healthreports.store.people import members as stored_members
from raw import execute

PASSWORD = "a horse with a hat"
SHORTEST = "hat for a horse"
ENDED = "This link is invalid"
# Both stores store people in the same way.
pytestmark = pytest.mark.one_store
NO_IDS = ("0", "999999999", "abc", "9" * 30)


@pytest.fixture
def site(server: Server, account: Account) -> Iterator[Site]:
    made = Site(server, account)
    yield made
    made.close()


@pytest.fixture
def other(server: Server, other_account: Account) -> Iterator[Site]:
    made = Site(server, other_account)
    yield made
    made.close()


def first(site: Site) -> int:
    return int(site.account.workspaces[0])


def user(site: Site, role: str) -> User:
    return site.account.users[role]


def send(at: httpx.Client, address: str, **fields: str) -> httpx.Response:
    """Send a form with the CSRF token of this browser's session."""
    return at.post(address, data={"csrf": proof_of(at), **fields})


def says(answer: httpx.Response) -> str:
    """The error message of a page."""
    return read(answer).one("div", "wrong", role="alert").text


def fault_at(answer: httpx.Response, name: str) -> str:
    """The error message next to the field with that name, which refers to the message."""
    assert answer.status_code == 422, answer.text
    page = read(answer)
    [field] = [
        one
        for one in page.walk()
        if one.attrs.get("id") == name and one.tag in {"input", "textarea", "select"}
    ]
    assert field.attrs.get("aria-invalid") == "true", field.attrs
    return page.one("p", id=field.attrs["aria-describedby"]).text


def add(site: Site, role: str = "administrator", **fields: str) -> httpx.Response:
    sent = {
        "full_name": "Ada Newcomer",
        "email_address": f"ada{site.account.id}@example.org",
        "permission": "collaborator",
    }
    return send(site.at(role), "/people", **(sent | fields))


def invitation_on(answer: httpx.Response) -> str:
    """The address of the invitation that a page shows."""
    assert answer.status_code == 200, answer.text
    return read(answer).one("code", "secret").text


def invite(site: Site, role: str) -> str:
    """Invite a user again. Returns the address."""
    return invitation_on(send(site.at(), f"/people/{user(site, role).id}/invite"))


def secret_in(address: str) -> str:
    [secret] = parse_qs(urlsplit(address).query)["invitation"]
    return secret


def proof_on(page: httpx.Response) -> str:
    return read(page).one("input", name="csrf").attrs["value"]


def accept(at: httpx.Client, address: str, password: str = PASSWORD) -> httpx.Response:
    """Choose a password; the form is sent even if the invitation no longer shows one."""
    proof = proof_on(at.get("/sign-in"))
    return at.post(address, data={"csrf": proof, "password": password})


def by_password(site: Site, email_address: str, password: str = PASSWORD) -> bool:
    """Whether the user can sign in with that password."""
    at = site.stranger()
    proof = proof_on(at.get("/sign-in"))
    sent = {"csrf": proof, "email_address": email_address, "password": password}
    return at.post("/sign-in", data=sent).status_code == 303


def signed_in(at: httpx.Client) -> bool:
    return at.get("/account").status_code == 200


def says_that_it_ended(at: httpx.Client, address: str) -> None:
    for answer in (at.get(address), accept(at, address)):
        assert answer.status_code == 404, answer.text
        assert ENDED in says(answer)
    assert not signed_in(at)


def members(site: Site) -> list[tuple]:
    """All memberships of the account: the user, the permission, whether it is disabled."""
    return execute(
        site.server.database,
        "SELECT user_id, permission, disabled_at IS NOT NULL FROM account_memberships"
        " WHERE account_id = ? ORDER BY user_id",
        site.account.id,
    )


def invitations(site: Site) -> list[tuple]:
    return execute(
        site.server.database,
        "SELECT user_id, secret_hash FROM invitations WHERE account_id = ? ORDER BY user_id",
        site.account.id,
    )


def membership(site: Site, role: str) -> int:
    user_id = user(site, role).id
    database = site.account.database
    return database.write_here(lambda tx: stored_members.membership(tx, user_id)).id


def permit(site: Site, role: str, permission: str) -> None:
    site.account.database.write_here(
        lambda tx: member_service.change_permission(
            tx, user(site, role), AccountPermission(permission), now()
        )
    )


def disable(site: Site, role: str, *, disabled: bool = True) -> None:
    site.account.database.write_here(
        lambda tx: member_service.disable(tx, user(site, role), now(), disabled=disabled)
    )


def change(
    site: Site, role: str, permission: str, *, by: str = "administrator", **fields: str
) -> httpx.Response:
    address = f"/people/memberships/{membership(site, role)}"
    return send(site.at(by), address, permission=permission, **fields)


# Who manages people.


@pytest.mark.parametrize(
    "permission", ["collaborator", "project_creator", "project_lead", "reports_viewer"]
)
def test_only_administrators_manage_people(site: Site, permission: str) -> None:
    permit(site, "editor", permission)
    before = members(site)
    at, viewer = site.at("editor"), user(site, "viewer").id
    answers = [
        at.get("/people"),
        add(site, "editor"),
        send(at, f"/people/{viewer}/invite"),
        send(at, f"/people/{user(site, 'editor').id}/invite"),
        change(site, "editor", "administrator", by="editor"),
    ]
    assert [one.status_code for one in answers] == [403] * 5
    assert all("needs an administrator of the account" in says(one) for one in answers)
    # A membership that the user does not see is answered as not found.
    seen = permission == "reports_viewer"
    answer = change(site, "viewer", "administrator", by="editor")
    assert answer.status_code == (403 if seen else 404)
    assert members(site) == before
    assert invitations(site) == []
    assert not site.page("/account", "editor").all("a", href="/people")


def test_a_stranger_is_asked_to_sign_in(site: Site) -> None:
    at = site.stranger()
    for path in ("/people", "/workspaces/new", f"/workspaces/{first(site)}/settings"):
        answer = at.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in?next=")
    answer = at.post("/people", data={"csrf": proof_on(at.get("/sign-in")), "full_name": "Ada"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?expired=yes&next=%2Fpeople"


def test_a_form_of_another_site_changes_nothing(site: Site) -> None:
    before = members(site)
    workspace = f"/workspaces/{first(site)}"
    for path in (
        "/people",
        f"/people/{user(site, 'editor').id}/invite",
        f"/people/memberships/{membership(site, 'editor')}",
        "/workspaces/new",
        f"{workspace}/settings",
        f"{workspace}/participants",
        f"{workspace}/participants/remove",
    ):
        for fields in ({}, {"csrf": "x"}, {"csrf": proof_of(site.at("viewer"))}):
            assert site.at().post(path, data=fields).status_code == 403
    assert members(site) == before
    assert invitations(site) == []


def test_a_page_lists_everybody_of_the_account(site: Site, other: Site) -> None:
    disable(site, "viewer")
    page = site.page("/people")
    rows = page.one("tbody").all("tr")
    shown = {row.one("th").text: row.all("td")[0].text for row in rows}
    assert shown == {
        f"The {role}" + (" (disabled)" if role == "viewer" else ""): one.email_address
        for role, one in site.account.users.items()
    }
    assert not page.all("form", action=f"/people/{user(site, 'viewer').id}/invite")
    assert user(other, "editor").email_address not in page.raw
    for number in ("0", "-1", "abc", "9" * 30):
        site.page("/people", page=number)


# Adding somebody.

WRONG_OF_A_PERSON = [
    ("full_name", ""),
    ("full_name", "x" * 256),
    ("email_address", ""),
    ("email_address", "ada"),
    ("email_address", "ada@example.org, bob@example.org"),
]


@pytest.mark.both_stores
def test_who_is_added_chooses_a_password_and_is_in(site: Site) -> None:
    address = invitation_on(add(site, permission="project_creator"))
    secret = secret_in(address)
    assert address.startswith(f"{site.server.base}/welcome?invitation=")
    [(person, hashed)] = invitations(site)
    assert hashed == sha256(secret.encode()).hexdigest()
    assert (person, "project_creator", 0) in members(site)
    assert secret not in site.at().get("/people").text
    at = site.stranger()
    page = at.get(address)
    assert page.status_code == 200
    assert "Ada Newcomer" in read(page).one("h1").text
    assert read(page).one("main").one("button").text == "Set password and sign in"
    answer = at.post(address, data={"csrf": proof_on(page), "password": PASSWORD})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    assert f"ada{site.account.id}@example.org" in at.get("/account").text
    assert by_password(site, f"ada{site.account.id}@example.org")
    assert invitations(site) == []


def test_an_invitation_is_kept_nowhere(site: Site) -> None:
    secret = secret_in(invitation_on(add(site)))
    assert not [line for line in site.stored() if secret in line]


def test_an_invitation_works_once(site: Site) -> None:
    address = invitation_on(add(site))
    assert accept(site.stranger(), address).status_code == 303
    says_that_it_ended(site.stranger(), address)
    assert not by_password(site, f"ada{site.account.id}@example.org", "another one altogether")
    assert by_password(site, f"ada{site.account.id}@example.org")


@pytest.mark.race
def test_two_who_accept_at_once_are_one(site: Site) -> None:
    address = invitation_on(add(site))
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda at: accept(at, address), [site.stranger() for _ in range(3)])
        statuses = sorted(one.status_code for one in answers)
    assert statuses == [303, 404, 404]


def test_an_address_is_kept_in_lower_case(site: Site) -> None:
    address = invitation_on(add(site, email_address=f"  Ada.{site.account.id}@Example.ORG "))
    assert accept(site.stranger(), address).status_code == 303
    assert by_password(site, f"ada.{site.account.id}@example.org")


def test_what_is_wrong_of_a_person_stands_next_to_its_field(site: Site) -> None:
    before = members(site)
    right = {"full_name": "Ada Newcomer", "email_address": f"ada{site.account.id}@example.org"}
    for name, value in WRONG_OF_A_PERSON:
        answer = add(site, **{name: value, "permission": "reports_viewer"})
        assert fault_at(answer, name)
        form = read(answer).one("form", action="/people")
        for field, sent in (right | {name: value}).items():
            assert form.one("input", name=field).attrs["value"] == sent
        [chosen] = [one for one in form.all("option") if "selected" in one.attrs]
        assert chosen.attrs["value"] == "reports_viewer"
    assert members(site) == before
    assert invitations(site) == []


def test_an_address_is_given_to_one_person_of_an_account(site: Site, other: Site) -> None:
    before = members(site)
    taken = user(site, "viewer").email_address
    answer = add(site, email_address=taken.upper())
    assert "already exists" in fault_at(answer, "email_address")
    assert members(site) == before
    assert invitation_on(add(site, email_address=user(other, "viewer").email_address))


def test_there_is_no_such_permission(site: Site) -> None:
    before = members(site)
    for permission in ("", "owner", "ADMINISTRATOR"):
        answer = add(site, permission=permission)
        assert answer.status_code == 422
        assert "Permission" in says(answer)
        assert change(site, "viewer", permission).status_code == 422
    assert members(site) == before


def test_a_name_is_text(site: Site) -> None:
    name = '"><script>alert(1)</script>'
    for fields in ({"full_name": name}, {"full_name": name, "email_address": name}):
        answer = add(site, **fields)
        assert "<script>alert" not in answer.text
        assert "alert(1)" in answer.text


# Choosing a password.

NO_INVITATIONS = [
    "",
    "?invitation",
    "?invitation=hri_",
    "?invitation=%00",
    "?invitation=%ED%A0%80",
    "?invitation=%FF",
    "?invitation=" + "x" * 8000,
]


def test_a_short_password_is_refused_and_the_invitation_still_works(site: Site) -> None:
    address = invitation_on(add(site))
    at = site.stranger()
    for password in ("", "short", SHORTEST[:-1]):
        answer = accept(at, address, password)
        assert "at least 15 characters" in fault_at(answer, "password")
        assert "value" not in read(answer).one("input", name="password").attrs
        assert not signed_in(at)
    assert "at most 1,000" in fault_at(accept(at, address, "x" * 1001), "password")
    assert len(SHORTEST) == 15
    assert accept(at, address, SHORTEST).status_code == 303
    assert signed_in(at)


def test_a_password_needs_a_form_of_ours(site: Site) -> None:
    address = invitation_on(add(site))
    at = site.stranger()
    at.get(address)
    for fields in ({}, {"csrf": "x"}):
        answer = at.post(address, data={"password": PASSWORD, **fields})
        assert answer.status_code == 403
    assert len(invitations(site)) == 1


def test_what_is_no_invitation_leads_nowhere(site: Site) -> None:
    for query in NO_INVITATIONS:
        says_that_it_ended(site.stranger(), f"/welcome{query}")


def test_a_newer_invitation_replaces_the_last(site: Site) -> None:
    older = invite(site, "viewer")
    newer = invite(site, "viewer")
    assert len(invitations(site)) == 1
    says_that_it_ended(site.stranger(), older)
    assert accept(site.stranger(), newer).status_code == 303


def test_an_invitation_expires_after_a_week(site: Site) -> None:
    address = invite(site, "viewer")
    lasts = "SELECT expires_at - created_at FROM invitations WHERE user_id = ?"
    assert execute(site.server.database, lasts, user(site, "viewer").id) == [(7 * DAY_US,)]
    ends = "UPDATE invitations SET expires_at = ? WHERE user_id = ?"
    execute(site.server.database, ends, now(), user(site, "viewer").id)
    says_that_it_ended(site.stranger(), address)


def test_who_is_disabled_is_not_let_in_by_an_invitation(site: Site) -> None:
    address = invite(site, "viewer")
    disable(site, "viewer")
    says_that_it_ended(site.stranger(), address)
    answer = send(site.at(), f"/people/{user(site, 'viewer').id}/invite")
    assert answer.status_code == 422
    assert says(answer)
    assert not read(answer).all("code", "secret")


def test_a_secret_of_one_kind_is_none_of_another(site: Site) -> None:
    report = site.report(first(site))
    answer = send(site.at("editor"), f"/reports/{report}/shares", what="this", days="3")
    link = parse_qs(urlsplit(read(answer).all("code", "secret")[0].text).query)["link"][0]
    invitation = secret_in(invite(site, "viewer"))
    assert site.stranger().get("/welcome", params={"invitation": link}).status_code == 404
    assert site.stranger().get("/shared", params={"link": invitation}).status_code == 404
    token = site.account.secrets["viewer"]
    assert site.stranger().get("/welcome", params={"invitation": token}).status_code == 404


def test_a_new_password_counts_from_when_it_is_chosen(site: Site) -> None:
    person = user(site, "viewer")
    site.account.database.write_here(
        lambda tx: sign_in.set_password(tx, person, "the password of old times", now())
    )
    before, of_another = site.at("viewer"), site.at("editor")
    secret = site.account.database.write_here(lambda tx: invite_as_operator(tx, person, now()))
    address = f"{site.server.base}/welcome?invitation={secret}"
    at = site.stranger()
    assert at.get(address).status_code == 200
    assert accept(at, address, "short").status_code == 422
    assert signed_in(before)
    assert by_password(site, person.email_address, "the password of old times")
    assert accept(at, address).status_code == 303
    assert signed_in(at)
    assert not signed_in(before)
    assert signed_in(of_another)
    assert not by_password(site, person.email_address, "the password of old times")
    assert by_password(site, person.email_address)


def test_an_invitation_takes_the_place_of_who_was_signed_in(site: Site) -> None:
    at = site.another("editor")
    sent = {"csrf": proof_of(at), "password": PASSWORD}
    assert at.post(invite(site, "viewer"), data=sent).status_code == 303
    assert user(site, "viewer").email_address in at.get("/account").text


# What a person may do.


def test_an_administrator_changes_what_a_person_may_do(site: Site) -> None:
    assert change(site, "viewer", "administrator").headers["location"] == "/people"
    assert (user(site, "viewer").id, "administrator", 0) in members(site)
    assert site.at("viewer").get("/people").status_code == 200
    assert change(site, "administrator", "collaborator", by="viewer").status_code == 303
    assert site.at().get("/people").status_code == 403


def test_who_is_disabled_is_out_until_it_is_brought_back(site: Site) -> None:
    at = site.at("viewer")
    assert signed_in(at)
    assert change(site, "viewer", "collaborator", disabled="on").status_code == 303
    assert not signed_in(at)
    assert "The viewer (disabled)" in site.page("/people").text
    assert change(site, "viewer", "collaborator").status_code == 303
    assert (user(site, "viewer").id, "collaborator", 0) in members(site)
    assert accept(site.stranger(), invite(site, "viewer")).status_code == 303


@pytest.mark.parametrize(
    ("permission", "fields"), [("collaborator", {}), ("administrator", {"disabled": "on"})]
)
def test_the_last_administrator_stays(site: Site, permission: str, fields: dict[str, str]) -> None:
    before = members(site)
    answer = change(site, "administrator", permission, **fields)
    assert answer.status_code == 422
    assert "the account would have no administrator" in says(answer)
    assert members(site) == before
    # A disabled administrator does not count.
    permit(site, "editor", "administrator")
    disable(site, "editor")
    assert change(site, "administrator", permission, **fields).status_code == 422
    disable(site, "editor", disabled=False)
    assert change(site, "administrator", permission, **fields).status_code == 303


def test_people_of_another_account_are_not_there(site: Site, other: Site) -> None:
    before = members(other)
    numbers = (str(user(other, "viewer").id), *NO_IDS)
    for number in numbers:
        assert send(site.at(), f"/people/{number}/invite").status_code == 404
    for number in (str(membership(other, "viewer")), *NO_IDS):
        answer = send(site.at(), f"/people/memberships/{number}", permission="administrator")
        assert answer.status_code == 404
    assert members(other) == before
    assert invitations(other) == []


# A new workspace.


@pytest.mark.parametrize("permission", ["administrator", "project_creator", "project_lead"])
def test_who_may_makes_a_workspace(site: Site, permission: str) -> None:
    permit(site, "outsider", permission)
    assert site.page("/workspaces/new", "outsider").one("input", name="title")
    answer = send(
        site.at("outsider"),
        "/workspaces/new",
        title=" A tunnel ",
        description="Under\r\nthe river",
        start_date="2026-01-01",
        due_date="",
    )
    assert answer.status_code == 303
    address = answer.headers["location"]
    assert site.page(address, "outsider").one("h1").text == "A tunnel"
    settings = site.page(f"{address}/settings", "outsider")
    assert settings.one("textarea", name="description").raw == "Under\nthe river"
    assert settings.one("input", name="start_date").attrs["value"] == "2026-01-01"
    assert settings.one("input", name="due_date").attrs["value"] == ""
    assert [row[0] for row in participants(settings)] == ["The outsider"]
    assert participants(settings)[0][2].startswith("admin")
    # Nobody else participates in it.
    assert site.at("editor").get(address).status_code == 404


@pytest.mark.parametrize("permission", ["collaborator", "reports_viewer"])
def test_nobody_else_makes_a_workspace(site: Site, permission: str) -> None:
    permit(site, "editor", permission)
    answer = send(site.at("editor"), "/workspaces/new", title="A tunnel")
    assert answer.status_code == 403
    assert "A tunnel" not in site.page("/").text


def test_who_may_not_make_a_workspace_is_not_asked_to(site: Site) -> None:
    assert site.at("editor").get("/workspaces/new").status_code == 403


WRONG_OF_A_WORKSPACE = [
    ("start_date", "2026-13-01"),
    ("start_date", "yesterday"),
    ("due_date", "2026-02-30"),
    ("due_date", "20260201"),
    ("title", ""),
    ("title", "x" * 256),
]


def test_what_is_wrong_of_a_new_workspace_stands_next_to_its_field(site: Site) -> None:
    for name, value in WRONG_OF_A_WORKSPACE:
        sent = {"title": "A tunnel", "description": "Long\nto write", name: value}
        answer = send(site.at(), "/workspaces/new", **sent)
        assert fault_at(answer, name)
        page = read(answer)
        assert page.one("textarea").raw == "Long\nto write"
        assert page.one("input", name=name).attrs["value"] == value
    assert "A tunnel" not in site.page("/").text


# A workspace's settings.


def participants(page: Node) -> list[list[str]]:
    """Who participates: name, side, permission."""
    return [
        [row.one("th").text, *(cell.text for cell in row.all("td")[:2])]
        for body in page.all("tbody")
        for row in body.all("tr")
    ]


def settings_of(site: Site, role: str = "administrator") -> Node:
    return site.page(f"/workspaces/{first(site)}/settings", role)


def save(site: Site, role: str = "administrator", **fields: str) -> httpx.Response:
    return send(
        site.at(role), f"/workspaces/{first(site)}/settings", **({"title": "First"} | fields)
    )


def join(site: Site, email_address: str, by: str = "editor", **fields: str) -> httpx.Response:
    sent = {"email_address": email_address, "side": "provider", "permission": "view", **fields}
    return send(site.at(by), f"/workspaces/{first(site)}/participants", **sent)


def remove(site: Site, participation: int | str, by: str = "editor") -> httpx.Response:
    return send(
        site.at(by),
        f"/workspaces/{first(site)}/participants/remove",
        participation=str(participation),
    )


def participation(site: Site, role: str) -> int:
    [(number,)] = execute(
        site.server.database,
        "SELECT id FROM participations WHERE workspace_id = ? AND user_id = ?",
        first(site),
        user(site, role).id,
    )
    return number


def stored_workspace(site: Site) -> list[tuple]:
    columns = (
        "title, description, archived, clients_see_status_reports, start_date, due_date,"
        " report_every, report_day, report_paused_until"
    )
    return execute(
        site.server.database,
        f"SELECT {columns} FROM workspaces WHERE id = ?",
        first(site),
    )


@pytest.mark.parametrize("role", ["administrator", "editor"])
def test_an_admin_changes_a_workspace(site: Site, role: str) -> None:
    answer = save(site, role, title="Bridge", description="Of steel", due_date="2027-05-01")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/workspaces/{first(site)}/settings"
    cadence = ("2 weeks", "friday", None)
    assert stored_workspace(site) == [("Bridge", "Of steel", 0, 0, None, "2027-05-01", *cadence)]
    assert save(site, role, title="Bridge", description=" ", due_date="").status_code == 303
    assert stored_workspace(site) == [("Bridge", None, 0, 0, None, None, *cadence)]


WRONG_OF_A_CADENCE = [
    ("report_every", "fortnight"),
    ("report_every", "2 Weeks"),
    ("report_every", ""),
    ("report_day", "Friday"),
    ("report_day", ""),
    ("report_paused_until", "2026-02-30"),
    ("report_paused_until", "in spring"),
]


def test_what_is_wrong_of_settings_stands_next_to_its_field(site: Site) -> None:
    before = stored_workspace(site)
    for name, value in WRONG_OF_A_WORKSPACE + WRONG_OF_A_CADENCE:
        assert fault_at(save(site, **{name: value}), name)
    assert stored_workspace(site) == before


def test_settings_that_are_wrong_are_still_in_the_form(site: Site) -> None:
    answer = save(
        site,
        title="Bridge",
        description="Long\nto write",
        due_date="2026-02-30",
        clients_see_status_reports="on",
        report_every="month",
        report_day="monday",
        report_paused_until="2027-01-31",
        owner="nobdy@example.org",
        clients="Acme\r\nBest",
        programmes="North",
    )
    assert answer.status_code == 422
    page = read(answer)
    form = page.one("form", action=f"/workspaces/{first(site)}/settings")
    kept = fields_of(form)
    assert (kept["report_every"], kept["report_day"]) == ("month", "monday")
    assert kept["report_paused_until"] == "2027-01-31"
    assert kept["owner"] == "nobdy@example.org"
    assert (kept["clients"].split(), kept["programmes"]) == (["Acme", "Best"], "North")
    assert page.one("textarea", name="description").raw == "Long\nto write"
    assert page.one("input", name="title").attrs["value"] == "Bridge"
    assert page.one("input", name="due_date").attrs["value"] == "2026-02-30"
    assert "checked" in page.one("input", name="clients_see_status_reports").attrs


# When its reports are due.


def settings_form(site: Site, role: str = "administrator") -> dict[str, str]:
    """The fields of the form for a workspace's settings."""
    action = f"/workspaces/{first(site)}/settings"
    return fields_of(settings_of(site, role).one("form", action=action))


CADENCE = ("report_every", "report_day", "report_paused_until")


def cadence_of(fields: dict[str, Any]) -> tuple:
    return tuple(fields[name] for name in CADENCE)


def by_api(site: Site, role: str = "administrator", **changed: object) -> httpx.Response:
    address = f"/workspaces/{first(site)}?optional_fields={','.join(CADENCE)}"
    api = site.account.clients[role]
    return api.put(address, json={"workspace": changed}) if changed else api.get(address)


def test_a_workspace_is_reported_on_every_second_friday_unless_it_is_said(site: Site) -> None:
    assert cadence_of(settings_form(site)) == ("2 weeks", "friday", "")
    assert cadence_of(only_record(by_api(site), "workspaces")) == ("2 weeks", "friday", None)
    made = send(site.at(), "/workspaces/new", title="A tunnel").headers["location"]
    fields = fields_of(site.page(f"{made}/settings").one("form", action=f"{made}/settings"))
    assert cadence_of(fields) == ("2 weeks", "friday", "")
    assert not site.page("/workspaces/new").all("select")


@pytest.mark.parametrize("role", ["administrator", "editor"])
def test_when_reports_are_due_is_set_on_the_page_of_settings(site: Site, role: str) -> None:
    page = settings_of(site, role)
    options = {
        name: [
            one.attrs.get("value", one.text) for one in page.one("select", name=name).all("option")
        ]
        for name in CADENCE[:2]
    }
    assert options["report_every"] == list(ReportEvery)
    assert options["report_day"] == list(Weekday)
    for every in ReportEvery:
        for on, until in ((Weekday.MONDAY, ""), (Weekday.SUNDAY, "2031-02-28")):
            sent = dict(zip(CADENCE, (every.value, on.value, until), strict=True))
            assert save(site, role, **sent).status_code == 303
            assert cadence_of(settings_form(site, role)) == (every, on, until)
            found = only_record(by_api(site, role), "workspaces")
            assert cadence_of(found) == (every, on, until or None)
    # A form without these fields, from an older page, does not change them.
    assert save(site, role, title="Bridge").status_code == 303
    assert cadence_of(settings_form(site, role)) == ("never", "sunday", "2031-02-28")


def test_when_reports_are_due_is_set_over_the_api(site: Site) -> None:
    answer = by_api(site, "editor", report_every="month", report_paused_until="2031-02-28")
    assert cadence_of(only_record(answer, "workspaces")) == ("month", "friday", "2031-02-28")
    assert cadence_of(settings_form(site)) == ("month", "friday", "2031-02-28")
    answer = by_api(site, report_day="tuesday", report_paused_until=None)
    assert cadence_of(only_record(answer, "workspaces")) == ("month", "tuesday", None)
    # They are returned only on request: the contract has no such attributes.
    plain = only_record(site.account.api.get(f"/workspaces/{first(site)}"), "workspaces")
    assert not set(CADENCE) & set(plain)
    before = stored_workspace(site)
    wrong: list[dict[str, object]] = [
        {"report_every": "fortnight"},
        {"report_every": None},
        {"report_every": 2},
        {"report_day": "Friday"},
        {"report_day": None},
        {"report_paused_until": "2031-02-30"},
        {"report_paused_until": 5},
        {"report_paused_until": "2031-2-1"},
    ]
    for sent in wrong:
        assert_failure(by_api(site, **sent), 422, "validation", *sent)
    assert by_api(site, "viewer", report_every="never").status_code == 403
    assert by_api(site, "outsider", report_every="never").status_code == 404
    assert stored_workspace(site) == before
    made = site.account.api.post(
        f"/workspaces?optional_fields={','.join(CADENCE)}",
        json={"workspace": {"title": "A tunnel", "report_every": "week", "report_day": "monday"}},
    )
    assert cadence_of(only_record(made, "workspaces")) == ("week", "monday", None)


@pytest.mark.both_stores
def test_what_is_overdue_follows_the_settings(site: Site) -> None:
    """This happens at once, whether they are set on the page or over the API."""
    site.report(first(site), ago=20)

    def overdue() -> bool:
        page = site.page("/", show="overdue")
        [tab] = [one for one in page.one("nav", "tabs").all("a") if one.text.startswith("Over")]
        is_overdue = bool(page.all("a", href=f"/workspaces/{first(site)}"))
        assert tab.text == f"Overdue {int(is_overdue)}"
        return is_overdue

    assert overdue()
    told = [
        ({"report_every": "4 weeks"}, False),
        ({"report_every": "week"}, True),
        ({"report_every": "never"}, False),
        ({"report_every": "2 weeks"}, True),
        ({"report_paused_until": day(-1)}, False),
        ({"report_paused_until": day(30)}, True),
        ({"report_paused_until": day(6), "report_day": weekday(1)}, True),
        ({"report_paused_until": day(6), "report_day": weekday()}, False),
        ({"report_every": "3 weeks", "report_day": weekday(1), "report_paused_until": ""}, True),
        ({"report_every": "3 weeks", "report_day": weekday()}, False),
    ]
    for changed, expected in told:
        assert save(site, **(settings_form(site) | changed)).status_code == 303
        assert overdue() == expected, changed
    for changed, expected in told:
        sent = {name: value or None for name, value in changed.items()}
        assert by_api(site, **sent).is_success
        assert overdue() == expected, changed


@pytest.mark.parametrize("until", ["0001-01-01", "1969-12-31", "9999-12-31"])
@pytest.mark.both_stores
def test_a_pause_may_last_to_any_day(site: Site, until: str) -> None:
    """Also to a day that is so late that no later weekday exists."""
    site.report(first(site), ago=20)
    for every in (ReportEvery.WEEK, ReportEvery.MONTH, ReportEvery.NEVER):
        for on in (Weekday.MONDAY, Weekday.FRIDAY, Weekday.SUNDAY):
            changed = {"report_every": every, "report_day": on, "report_paused_until": until}
            assert by_api(site, **changed).is_success, changed
            for address in (
                "/",
                "/?view=weeks",
                f"/workspaces/{first(site)}",
                "/?as_of=2020-01-01",
            ):
                assert site.at().get(address).status_code == 200, (changed, address)
    assert cadence_of(settings_form(site)) == ("never", "sunday", until)


def test_forms_say_what_they_do(site: Site) -> None:
    settings = f"/workspaces/{first(site)}/settings"
    said = {}
    for address, action in (
        ("/workspaces/new", ""),
        (settings, settings),
        (settings, f"/workspaces/{first(site)}/participants"),
        ("/people", "/people"),
        ("/developers", "/developers/tokens"),
    ):
        page = site.page(address)
        [form] = [
            one
            for one in page.one("main").all("form", method="post")
            if one.attrs.get("action", "") == action
        ]
        labels = [one.text for one in form.all("label")]
        said[address, action] = ([one.text for one in form.all("button")], set(labels))
    buttons = [found for found, _ in said.values()]
    assert buttons == [
        ["Create workspace"],
        ["Save"],
        ["Add"],
        ["Add and invite"],
        ["Create token"],
    ]
    words = [found for _, found in said.values()]
    assert {"Every", "On", "Paused until", "Owner (e-mail address)"} <= words[1]
    assert {"Clients, one a line", "Programmes, one a line"} <= words[1]
    assert "Role" in words[2]
    assert "Role" in words[3]
    assert {"Name", "Access", "Expires after (days)", "Never expires"} == words[4]


# Its owner, clients and programmes.


def groups_in(site: Site) -> list[tuple[str, int]]:
    """The groups that the first workspace is in: their names, and whether they are clients."""
    return sorted(
        execute(
            site.server.database,
            "SELECT g.name, g.company FROM workspace_groups g JOIN group_workspaces w"
            " ON w.group_id = g.id WHERE w.workspace_id = ?",
            first(site),
        )
    )


def all_groups(site: Site) -> list[str]:
    found = execute(
        site.server.database,
        "SELECT name FROM workspace_groups WHERE account_id = ?",
        site.account.id,
    )
    return sorted(name for (name,) in found)


def owner_of(site: Site) -> list[str]:
    return [row[0] for row in participants(settings_of(site)) if row[2].endswith("owner")]


def test_an_owner_is_set_by_its_address(site: Site) -> None:
    assert settings_form(site)["owner"] == ""
    address = user(site, "viewer").email_address
    assert save(site, "editor", owner=f" {address.upper()} ").status_code == 303
    assert settings_form(site)["owner"] == address
    assert owner_of(site) == ["The viewer"]
    # A new owner who does not participate yet joins as an admin; the former one still participates.
    assert save(site, owner=user(site, "outsider").email_address).status_code == 303
    assert owner_of(site) == ["The outsider"]
    assert ["The outsider", "provider", "admin, owner"] in participants(settings_of(site))
    assert ["The viewer", "provider", "view"] in participants(settings_of(site))
    # Fields that are missing or unchanged change nothing.
    assert save(site).status_code == 303
    assert save(site, **settings_form(site)).status_code == 303
    assert owner_of(site) == ["The outsider"]
    row = site.page("/").one("span", "owner", title="The outsider")
    assert row.text.endswith("The outsider")


def test_an_owner_that_cannot_be_is_refused_at_the_field(site: Site, other: Site) -> None:
    site.join(first(site), "outsider", "edit", side=Side.CLIENT)
    before = stored_workspace(site), participants(settings_of(site))
    unknown = ("nobody@example.org", user(other, "viewer").email_address, "x" * 5000, "\0")
    for role, addresses in (("administrator", unknown), ("editor", unknown)):
        for address in addresses:
            answer = save(site, role, title="Other", owner=address)
            said = fault_at(answer, "owner")
            assert said.endswith("was not found"), said
            assert "maven" not in said.lower(), "the form calls it the owner"
            assert "maven" not in says(answer).lower()
    answer = save(site, title="Other", owner=user(site, "outsider").email_address)
    assert fault_at(answer, "owner")
    assert (stored_workspace(site), participants(settings_of(site))) == before


def test_clients_and_programmes_are_named_one_a_line(site: Site) -> None:
    site.group("Acme")
    site.group("North", company=False)
    sent = {"clients": "acme\r\n  Best \r\n\r\n", "programmes": "North\r\nSouth"}
    assert save(site, **sent).status_code == 303
    assert groups_in(site) == [("Acme", 1), ("Best", 1), ("North", 0), ("South", 0)]
    assert all_groups(site) == ["Acme", "Best", "North", "South"]
    form = settings_form(site)
    assert form["clients"].split("\n") == ["Acme", "Best"]
    assert form["programmes"].split("\n") == ["North", "South"]
    # A form without these fields does not change them; neither does saving all fields unchanged.
    assert save(site).status_code == 303
    assert save(site, **form).status_code == 303
    assert len(groups_in(site)) == 4
    assert save(site, clients="Best", programmes="").status_code == 303
    assert groups_in(site) == [("Best", 1)]
    assert all_groups(site) == ["Acme", "Best", "North", "South"], "the groups stay"
    page = site.page(f"/workspaces/{first(site)}")
    assert "Best" in page.one("p", "crumb").text


def test_a_client_that_is_named_twice_is_one(site: Site) -> None:
    assert save(site, clients="Acme\nACME\nacme", programmes="South\nsouth").status_code == 303
    assert groups_in(site) == [("Acme", 1), ("South", 0)]


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("clients", "North"),
        ("clients", "Acme\nnorth"),
        ("programmes", "ACME"),
        ("clients", "x" * 256),
        ("programmes", "New\nx\0y"),
    ],
    ids=ascii,
)
def test_what_cannot_be_a_client_or_programme_is_refused_at_its_field(
    site: Site, field: str, names: str
) -> None:
    site.group("Acme", first(site))
    site.group("North", company=False)
    before = stored_workspace(site), groups_in(site), all_groups(site)
    sent = {"clients": "Fresh", "programmes": ""} | {field: names}
    answer = save(site, title="Other", **sent)
    assert fault_at(answer, field)
    assert (stored_workspace(site), groups_in(site), all_groups(site)) == before


def test_one_name_is_no_client_and_programme_at_once(site: Site) -> None:
    answer = save(site, clients="Acme", programmes="acme")
    assert fault_at(answer, "programmes")
    assert all_groups(site) == []


@pytest.mark.parametrize("permission", ["collaborator", "project_creator", "project_lead"])
def test_only_who_manages_groups_names_them(site: Site, permission: str) -> None:
    permit(site, "editor", permission)
    site.group("Acme", first(site))
    may = permission == "project_lead"
    form = settings_form(site, "editor")
    assert ({"clients", "programmes"} <= set(form)) == may
    answer = save(site, "editor", title="Bridge", clients="Best", programmes="North")
    assert answer.status_code == 303
    assert stored_workspace(site)[0][0] == "Bridge"
    assert groups_in(site) == ([("Best", 1), ("North", 0)] if may else [("Acme", 1)])
    assert all_groups(site) == (["Acme", "Best", "North"] if may else ["Acme"])


def test_who_manages_groups_and_not_the_workspace_makes_none(site: Site) -> None:
    permit(site, "viewer", "project_lead")
    permit(site, "outsider", "project_lead")
    for role in ("viewer", "outsider"):
        assert signed_in(site.at(role))
    before = stored(site)
    sent = {"clients": "Best", "programmes": "North", "owner": user(site, "viewer").email_address}
    assert save(site, "viewer", **sent).status_code == 403
    assert save(site, "outsider", **sent).status_code == 404
    assert stored(site) == before


def stored(site: Site) -> list[str]:
    """Everything stored, except the counters of ids: an id is never given out twice."""
    return [row for row in site.stored() if not row.startswith("sqlite_sequence ")]


def test_a_workspace_is_archived_and_brought_back(site: Site) -> None:
    report = site.report(first(site))
    assert save(site, archived="on").status_code == 303
    assert "checked" in settings_of(site).one("input", name="archived").attrs
    assert not site.page("/").all("a", href=f"/workspaces/{first(site)}")
    assert site.at("editor").get(f"/reports/{report}").status_code == 200
    assert save(site, archived="on", title="Other").status_code == 403
    assert join(site, user(site, "outsider").email_address).status_code == 403
    assert remove(site, participation(site, "viewer")).status_code == 403
    assert save(site, "viewer").status_code == 403
    assert stored_workspace(site)[0][:3] == ("First", None, 1)
    assert save(site, "editor", title="Back").status_code == 303
    assert stored_workspace(site)[0][:3] == ("Back", None, 0)
    assert site.page("/").all("a", href=f"/workspaces/{first(site)}")


def test_settings_of_an_archive_are_for_who_may_bring_it_back(site: Site) -> None:
    site.join(first(site), "outsider", "edit", side=Side.CLIENT)
    site.change_workspace(first(site), archived=True)
    address = f"/workspaces/{first(site)}/settings"
    allowed = {
        role: site.at(role).get(address).status_code
        for role in ("administrator", "editor", "viewer", "outsider")
    }
    assert allowed == {"administrator": 200, "editor": 200, "viewer": 403, "outsider": 403}


def test_clients_see_reports_where_that_is_set(site: Site) -> None:
    report = site.report(first(site))
    site.join(first(site), "outsider", side=Side.CLIENT)
    at = site.at("outsider")
    assert at.get(f"/reports/{report}").status_code == 404
    assert save(site, clients_see_status_reports="on").status_code == 303
    assert "checked" in settings_of(site).one("input", name="clients_see_status_reports").attrs
    assert at.get(f"/reports/{report}").status_code == 200
    assert save(site).status_code == 303
    assert at.get(f"/reports/{report}").status_code == 404


# Who participates.


def test_a_person_is_added_by_its_address(site: Site) -> None:
    assert site.at("outsider").get(f"/workspaces/{first(site)}").status_code == 404
    address = f" {user(site, 'outsider').email_address.upper()} "
    answer = join(site, address, by="administrator", side="client", permission="edit")
    assert answer.status_code == 303, says(answer)
    assert ["The outsider", "client", "edit"] in participants(settings_of(site))
    assert site.at("outsider").get(f"/workspaces/{first(site)}").status_code == 200


def test_who_may_not_see_a_person_may_not_add_it(site: Site) -> None:
    """As over the API: an admin of a workspace can add only users whom the admin sees elsewhere."""
    before = participants(settings_of(site))
    address = user(site, "outsider").email_address
    assert fault_at(join(site, address, by="editor"), "email_address") == (
        "Email address was not found"
    )
    sent = {
        "workspace_id": first(site),
        "user_id": user(site, "outsider").id,
        "permission": "view",
    }
    answer = site.account.clients["editor"].post("/participations", json={"participation": sent})
    assert answer.status_code == 422
    assert participants(settings_of(site)) == before


def test_who_is_unknown_or_of_another_account_cannot_be_added(site: Site, other: Site) -> None:
    before = participants(settings_of(site))
    addresses = ("nobody@example.org", user(other, "viewer").email_address, "", "\0", "x" * 5000)
    said = {fault_at(join(site, one), "email_address") for one in addresses}
    assert said == {"Email address was not found"}
    assert participants(settings_of(site)) == before


def test_nobody_is_added_twice(site: Site) -> None:
    before = participants(settings_of(site))
    answer = join(site, user(site, "viewer").email_address, permission="admin")
    assert answer.status_code == 422
    assert "already exists" in says(answer)
    assert participants(settings_of(site)) == before


def test_an_address_that_is_wrong_is_still_in_the_form(site: Site) -> None:
    field = read(join(site, "nobdy@example.org")).one("input", name="email_address")
    assert field.attrs.get("value") == "nobdy@example.org"


def test_there_is_no_such_side_or_permission(site: Site) -> None:
    before = participants(settings_of(site))
    for fields in [{"side": "middle"}, {"permission": "owner"}, {"side": ""}]:
        answer = join(site, user(site, "outsider").email_address, by="administrator", **fields)
        assert answer.status_code == 422
        assert says(answer)
    assert participants(settings_of(site)) == before


def test_a_participation_is_ended(site: Site) -> None:
    answer = remove(site, participation(site, "viewer"))
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/workspaces/{first(site)}/settings"
    assert [row[0] for row in participants(settings_of(site))] == ["The editor"]
    assert site.at("viewer").get(f"/workspaces/{first(site)}").status_code == 404


def test_there_is_no_such_participation(site: Site, other: Site) -> None:
    for number in (participation(other, "viewer"), "", *NO_IDS):
        assert remove(site, number, by="administrator").status_code == 404
    assert len(participants(settings_of(other))) == 2


def test_one_ends_no_participation_in_a_workspace_of_others(site: Site) -> None:
    own = site.workspace("Own")
    site.join(own, "viewer", "admin")
    answer = send(
        site.at("viewer"),
        f"/workspaces/{own}/participants/remove",
        participation=str(participation(site, "editor")),
    )
    assert answer.status_code == 403
    assert len(participants(settings_of(site))) == 2


@pytest.mark.parametrize("permission", ["view", "edit"])
@pytest.mark.parametrize("side", list(Side))
def test_who_is_no_admin_changes_nothing_of_a_workspace(
    site: Site, permission: str, side: Side
) -> None:
    site.join(first(site), "outsider", permission, side=side)
    before = stored_workspace(site), participants(settings_of(site))
    answers = [
        site.at("outsider").get(f"/workspaces/{first(site)}/settings"),
        save(site, "outsider", title="Mine"),
        join(site, user(site, "administrator").email_address, by="outsider"),
        join(site, "nobody@example.org", by="outsider"),
        remove(site, participation(site, "viewer"), by="outsider"),
        remove(site, participation(site, "outsider"), by="outsider"),
    ]
    assert [one.status_code for one in answers] == [403] * 6
    assert (stored_workspace(site), participants(settings_of(site))) == before
    page = site.page(f"/workspaces/{first(site)}", "outsider")
    assert not page.all("a", href=f"/workspaces/{first(site)}/settings")


def test_a_workspace_that_one_does_not_see_is_not_there(site: Site, other: Site) -> None:
    before = stored_workspace(site), participants(settings_of(site))
    email_address = user(site, "outsider").email_address
    workspace = f"/workspaces/{first(site)}"
    for at in (site.at("outsider"), other.at()):
        answers = [
            at.get(f"{workspace}/settings"),
            send(at, f"{workspace}/settings", title="Mine"),
            send(at, f"{workspace}/participants", email_address=email_address),
            send(at, f"{workspace}/participants/remove", participation="1"),
        ]
        assert [one.status_code for one in answers] == [404] * 4
    for number in NO_IDS:
        assert site.at().get(f"/workspaces/{number}/settings").status_code == 404
    assert (stored_workspace(site), participants(settings_of(site))) == before
