"""Words and leads with concurrent writes, or after a write fails half-way (4.6, 5.6, 7)."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import Account
from expect import assert_envelope, assert_failure, only_record


def found(account: Account, kind: str, name: str, words: str) -> list[str]:
    answer = account.api.get(f"/{kind}", params={"order": "id", name: words})
    return [one["id"] for one in assert_envelope(answer, kind)["results"]]


def lead_twice(account: Account, space: str) -> None:
    """Put the outsider on the client side, so that it cannot lead the provider side."""
    place = {"workspace_id": space, "user_id": account.users["outsider"].id, "role": "buyer"}
    only_record(
        account.api.post("/participations", json={"participation": place}), "participations"
    )


# 5.6: if anything is wrong, nothing is stored, and nothing new can be found
def test_words_of_a_write_that_failed_are_not_found(account: Account) -> None:
    space = account.workspaces[0]
    lead_twice(account, space)
    sent = {"title": "Neuland", "primary_maven_id": account.users["outsider"].id}
    for _ in range(3):
        answer = account.api.put(f"/workspaces/{space}", json={"workspace": sent})
        assert_failure(answer, 422, "validation", "primary_maven_id")
        for name in ("matching", "search"):
            assert found(account, "workspaces", name, "neuland") == []
            assert found(account, "workspaces", name, "first") == [space]
    creator = {"creator_role": "buyer", "primary_maven_id": account.users["administrator"].id}
    answer = account.api.post("/workspaces", json={"workspace": {"title": "Neuland", **creator}})
    assert_failure(answer, 422, "validation", "primary_maven_id")
    assert found(account, "workspaces", "matching", "neuland") == []
    only_record(
        account.api.put(f"/workspaces/{space}", json={"workspace": {"title": "Neuland"}}),
        "workspaces",
    )
    assert found(account, "workspaces", "matching", "neuland") == [space]
    assert found(account, "workspaces", "matching", "first") == []


# The same next to other writes that succeed and may share a commit with it (group commit).
@pytest.mark.race
def test_words_of_a_write_that_failed_among_others_are_not_found(
    account: Account, race: int
) -> None:
    first, second = account.workspaces
    lead_twice(account, first)
    wrong = {"title": "Verfehlt", "primary_maven_id": account.users["outsider"].id}

    def write(number: int) -> int:
        if number % 2:
            answer = account.api.put(f"/workspaces/{first}", json={"workspace": wrong})
        else:
            sent = {"title": f"Gelungen {number}"}
            answer = account.api.put(f"/workspaces/{second}", json={"workspace": sent})
        return answer.status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(write, range(12)))
    assert statuses == [200, 422] * 6, race
    assert found(account, "workspaces", "matching", "verfehlt") == []
    assert found(account, "workspaces", "matching", "first") == [first]
    assert found(account, "workspaces", "matching", "gelungen") == [second]
    title = only_record(account.api.get(f"/workspaces/{second}"), "workspaces")["title"]
    for number in range(0, 12, 2):
        expected = [second] if title == f"Gelungen {number}" else []
        hits = found(account, "workspaces", "matching", f"gelungen {number}")
        assert hits == expected


@pytest.mark.race
def test_a_report_written_by_many_is_found_by_its_last_words(account: Account, race: int) -> None:
    report = account.report(description="Anfang")
    names = [f"wort{letter}" for letter in "abcdefghijkl"]

    def write(word: str) -> int:
        sent = {"status_report": {"description": word}}
        return account.api.put(f"/status_reports/{report}", json=sent).status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(write, names)) == {200}, race
    last = only_record(account.api.get(f"/status_reports/{report}"))["description"]
    for word in (*names, "anfang"):
        assert found(account, "status_reports", "text", word) == ([report] if word == last else [])
    assert account.api.delete(f"/status_reports/{report}").status_code == 204
    assert found(account, "status_reports", "text", "wort") == []


# 7.1: at most one lead on each side, also if several are named at once
@pytest.mark.race
def test_there_is_one_lead_where_many_are_named_at_once(account: Account, race: int) -> None:
    space = account.workspaces[0]
    users = [user.id for user in account.users.values()]
    for user_id in (users[0], users[3]):
        place = {"workspace_id": space, "user_id": user_id}
        account.api.post("/participations", json={"participation": place})
    listed = account.api.get(f"/participations?workspace_id={space}").json()["participations"]

    def lead(number: int) -> int:
        place, one = list(listed.items())[number % 4]
        if number < 4:
            sent = {"participation": {"team_lead": True}}
            return account.api.put(f"/participations/{place}", json=sent).status_code
        sent = {"workspace": {"primary_maven_id": one["user_id"]}}
        return account.api.put(f"/workspaces/{space}", json=sent).status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(lead, range(8))) == {200}, race
    listed = account.api.get(f"/participations?workspace_id={space}").json()["participations"]
    leads = [one["user_id"] for one in listed.values() if one["is_team_lead"]]
    shown = account.api.get(f"/workspaces/{space}?include=primary_maven")
    assert [only_record(shown, "workspaces")["primary_maven_id"]] == leads
