"""Changing an address, handing over participations and deleting an account, over the API."""

import pytest

from conftest import Account
from expect import assert_failure
from healthreports.app import now
from healthreports.core.model import Actor
from healthreports.service.auth import addresses
from healthreports.service.people import accounts, members

pytestmark = pytest.mark.both_stores


def membership(account: Account, role: str) -> str:
    found = account.api.get(
        "/account_memberships", params={"user_id": str(account.users[role].id)}
    ).json()
    return found["results"][0]["id"]


def want(account: Account, role: str, by: str, email_address: str):
    return account.clients[by].post(
        f"/account_memberships/{membership(account, role)}/change_address",
        json={"account_membership": {"email_address": email_address}},
    )


def wanted(account: Account) -> dict[int, str]:
    """The new addresses to which an administrator has to send links, by user id."""

    def work(tx) -> dict[int, str]:
        user = account.users["administrator"]
        actor = members.reader(tx, user.id)
        assert isinstance(actor, Actor)
        found = addresses.wanted(tx, actor, now())
        return {one.user.id: one.change.email_address for one in found}

    return account.database.read_here(work)


def email_of(account: Account, role: str) -> str:
    user_id = str(account.users[role].id)
    return account.api.get(f"/users/{user_id}").json()["users"][user_id]["email_address"]


@pytest.mark.parametrize("by", ["viewer", "administrator"])
def test_another_address_waits_for_its_proof(account: Account, by: str) -> None:
    before, new = email_of(account, "viewer"), f"new{account.id}@example.net"
    answer = want(account, "viewer", by, new.upper())
    assert answer.status_code == 200, answer.text
    assert list(answer.json()["account_memberships"]) == [membership(account, "viewer")]
    assert wanted(account) == {account.users["viewer"].id: new}
    assert email_of(account, "viewer") == before, "nothing is changed before it is proven"
    # A second request replaces the first.
    assert want(account, "viewer", by, f"x{new}").is_success
    assert wanted(account) == {account.users["viewer"].id: f"x{new}"}


def test_an_address_is_wanted_for_oneself_or_by_an_administrator(account: Account) -> None:
    assert_failure(want(account, "viewer", "editor", "new@example.net"), 404)
    for wrong in ("", "nobody", email_of(account, "editor")):
        answer = want(account, "viewer", "viewer", wrong)
        assert_failure(answer, 422, "validation", "email_address")
    assert wanted(account) == {}


def delete(account: Account, role: str, name: object):
    return account.clients[role].post(
        "/account_memberships/delete_account", json={"account_membership": {"account_name": name}}
    )


def test_an_account_is_deleted_by_an_administrator_who_sends_its_name(
    account: Account, other_account: Account
) -> None:
    name = account.database.read_here(lambda tx: accounts.account_name(tx, account.id))
    account.report()
    for role in ("editor", "viewer", "outsider"):
        assert_failure(delete(account, role, name), 403)
    for wrong in ("", None, 7, "another", f"{name}x"):
        answer = delete(account, "administrator", wrong)
        assert_failure(answer, 422, "validation", "account_name")
    assert account.api.get("/status_reports").json()["count"] == 1
    assert delete(account, "administrator", name).status_code == 204
    for client in account.clients.values():
        assert_failure(client.get("/status_reports"), 401, "oauth")
    assert_failure(delete(account, "administrator", name), 401, "oauth")
    assert other_account.api.get("/workspaces").json()["count"] == len(other_account.workspaces)
