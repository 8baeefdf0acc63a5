"""Writing a report on a page: what its form holds, what is refused, what is not overwritten."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from page_kit import Node, Site, fields_of, form_of, proof_of, read, short_day
from starlette.routing import Route

from conftest import Account, Server
from healthreports.app import now
from healthreports.core.model import Grant
from healthreports.core.vocabulary import Category, Scope
from healthreports.service.auth import applications, factors, tokens
from healthreports.service.auth.factors import MadeFactor
from healthreports.store.auth import oauth
from healthreports.store.people import members, workspaces
from healthreports.web.pages import page_routes

pytestmark = pytest.mark.one_store

SCRIPT = "</textarea><script>alert(1)</script>"


@pytest.fixture
def site(server: Server, account: Account) -> Iterator[Site]:
    made = Site(server, account)
    yield made
    made.close()


@pytest.fixture
def new(site: Site) -> str:
    """The address for writing a report in the first workspace."""
    return f"/workspaces/{site.account.workspaces[0]}/reports/new"


def begin(at: httpx.Client, address: str) -> dict[str, str]:
    """The fields of the form at an address before anything is changed."""
    answer = at.get(address)
    assert answer.status_code == 200, answer.text
    return fields_of(form_of(answer))


def send(at: httpx.Client, to: str, fields: dict[str, str], **changed: str) -> httpx.Response:
    return at.post(to, data=fields | changed)


def saved(site: Site, answer: httpx.Response) -> dict[str, Any]:
    """The report to which an answer redirects, as the API returns it."""
    assert answer.status_code == 303, read(answer).one("main").text
    [report_id] = re.findall(r"^/reports/(\d+)\?saved=yes$", answer.headers["location"])
    found = site.account.api.get(f"/status_reports/{report_id}").json()
    return found["status_reports"][report_id]


def reports(site: Site) -> list[dict[str, Any]]:
    """All reports of the account, the newest first."""
    found = site.account.api.get("/status_reports?order=created_at:desc").json()
    return [found["status_reports"][one["id"]] for one in found["results"]]


def fault(page: Node, name: str) -> str:
    return page.one("p", "fault", id=f"fault-{name}").text


# The fields of a form in addition to those that a user fills in.
OF_PAGE = ("csrf", "once", "seen")


def test_the_first_report_begins_empty(site: Site, new: str) -> None:
    fields = begin(site.at("editor"), new)
    assert fields.pop("csrf")
    assert fields.pop("once")
    assert set(fields) == {"seen", "description"} | {
        f"{one.lower()}_{part}" for one in Category for part in ("color", "description")
    }
    assert set(fields.values()) <= {"", "0"}


def test_a_report_begins_with_what_the_last_one_said(site: Site, new: str) -> None:
    first = site.account.workspaces[0]
    site.report(first, "green", ago=2, text="Older.")
    site.report(
        first, "yellow", text="Last <b> & words.\nTwo lines.", scope="green", client=("red", "Sad.")
    )
    fields = begin(site.at("editor"), new)
    shown = {name: text for name, text in fields.items() if text and name not in OF_PAGE}
    assert shown == {
        "color": "yellow",
        "description": "Last <b> & words.\nTwo lines.",
        "scope_color": "green",
        "client_color": "red",
        "client_description": "Sad.",
    }
    assert was(site.page(new, "editor")) == dict.fromkeys(ALL, "unchanged")


# The status and the categories, as the form names them.
ALL = ("Overall status", "Scope", "Budget", "Schedule", "Client")


def was(page: Node) -> dict[str, str]:
    """What the form shows about the last report, by field."""
    return {
        one.one("legend").text: one.one("span", "was").text
        for one in page.one("form", "write").all("fieldset")
    }


def test_what_is_chosen_stands_beside_what_was_said_the_last_time(site: Site, new: str) -> None:
    first = site.account.workspaces[0]
    site.report(first, "yellow", scope="green", client=("red", "Sad."))
    at = site.at("editor")
    changed = {"color": "red", "scope_color": "", "budget_color": "green", "client_color": "green"}
    page = read(send(at, new, begin(at, new), **changed, preview="yes"))
    assert was(page) == {
        "Overall status": "was yellow",
        "Scope": "was green",
        "Budget": "was no report",
        "Schedule": "unchanged",
        "Client": "was red",
    }


def test_what_is_written_is_saved(site: Site, new: str) -> None:
    at = site.at("editor")
    answer = send(
        at,
        new,
        begin(at, new),
        color="red",
        description="  We need a crane.  ",
        scope_color="green",
        client_color="red",
        client_description="Wants to know when.",
    )
    report = saved(site, answer)
    assert report["color"] == "red"
    assert report["description"] == "We need a crane."
    assert report["creator_id"] == str(site.account.users["editor"].id)
    assert [(one["category"], one["color"], one["description"]) for one in report["details"]] == [
        ("Scope", "green", None),
        ("Client", "red", "Wants to know when."),
    ]
    page = read(at.get(answer.headers["location"]))
    assert page.one("article").attrs["data-saved"] == "yes"
    assert "We need a crane." in page.text


def test_ends_of_lines_are_kept_as_one_character(site: Site, new: str) -> None:
    at = site.at("editor")
    report = saved(
        site,
        send(
            at,
            new,
            begin(at, new),
            color="green",
            description="One\r\nTwo\r\n\r\nThree\r\n",
            scope_color="green",
            scope_description="A\r\nB",
        ),
    )
    assert report["description"] == "One\nTwo\n\nThree"
    assert report["details"][0]["description"] == "A\nB"


def test_the_end_of_a_line_counts_once_of_the_length(site: Site, new: str) -> None:
    at = site.at("editor")
    text = "a\r\n" * 24_999 + "ab"
    report = saved(site, send(at, new, begin(at, new), color="green", description=text))
    assert len(report["description"]) == 50_000


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("outsider", 404)])
def test_who_may_not_report_cannot(site: Site, new: str, role: str, status: int) -> None:
    at = site.at(role)
    proof = proof_of(at)
    before = site.stored(but="drafts")
    sent = {"csrf": proof, "seen": "0", "color": "green", "description": "D"}
    for more in ({}, {"preview": "yes"}, {"same": "yes"}):
        assert send(at, new, sent | more).status_code == status
    assert at.get(new).status_code == status
    assert site.stored(but="drafts") == before


def test_nobody_reports_in_an_archived_workspace(site: Site, new: str) -> None:
    at = site.at()
    fields = begin(at, new)
    site.change_workspace(site.account.workspaces[0], archived=True)
    answer = send(at, new, fields, color="green", description="D")
    assert answer.status_code == 403
    assert "archived" in read(answer).text
    assert reports(site) == []


def test_a_preview_shows_and_does_not_save(site: Site, new: str) -> None:
    at = site.at("editor")
    fields = begin(at, new)
    before = site.stored(but="drafts")
    sent = {"color": "green", "description": "Fine so far.", "scope_color": "red"}
    answer = send(at, new, fields | sent, preview="yes")
    assert answer.status_code == 200
    page = read(answer)
    shown = page.one("section", id="preview")
    assert "Fine so far." in shown.text
    assert "better than the worst category (Scope)" in shown.text
    kept = fields_of(form_of(answer))
    assert {name: kept[name] for name in sent} == sent
    assert site.stored(but="drafts") == before


def test_a_preview_for_the_script_is_a_part_of_the_page(site: Site, new: str) -> None:
    at = site.at("editor")
    sent = begin(at, new) | {"color": "green", "description": SCRIPT, "preview": "yes"}
    answer = at.post(new, data=sent, headers={"hx-request": "true"})
    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert "<form" not in answer.text
    assert "<script" not in answer.text
    assert SCRIPT in read(answer).text


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"color": "purple", "description": "D"},
        {"color": "red", "description": " "},
        {"color": "red", "description": "D", "scope_description": "no color"},
        {"color": "red", "description": "\0"},
    ],
    ids=str,
)
def test_a_preview_of_what_cannot_be_saved_is_a_page_too(
    site: Site, new: str, sent: dict[str, str]
) -> None:
    at = site.at("editor")
    answer = send(at, new, {"csrf": proof_of(at), "preview": "yes"} | sent)
    assert answer.status_code == 200
    assert "to see a preview" in read(answer).one("section", id="preview").text


RIGHT = {"color": "green", "description": "All is well."}
WRONG: list[tuple[dict[str, str], dict[str, str]]] = [
    ({"description": ""}, {"description": "Summary is required"}),
    ({"description": " \r\n "}, {"description": "Summary is required"}),
    (
        {"description": "x" * 50_001},
        {"description": "Summary must have at most 50,000 characters"},
    ),
    (
        {"description": "a\0b"},
        {"description": "Summary must not contain U+0000 or a lone surrogate"},
    ),
    ({"color": ""}, {"color": "Overall status is required"}),
    ({"color": "purple"}, {"color": "Overall status must be green, yellow or red"}),
    ({"client_description": "Sad."}, {"client_color": "Client status is required"}),
    (
        {"budget_color": "none", "client_color": "green"},
        {"budget_color": "Budget status must be green, yellow or red"},
    ),
    (
        {"schedule_color": "green", "schedule_description": "x" * 10_001},
        {"schedule_description": "Schedule notes must have at most 10,000 characters"},
    ),
    (
        {"color": "", "description": "", "scope_description": "S", "client_color": "blue"},
        {
            "color": "Overall status is required",
            "description": "Summary is required",
            "scope_color": "Scope status is required",
            "client_color": "Client status must be green, yellow or red",
        },
    ),
]
WRONG_IDS = [" ".join(expected) + f" {number}" for number, (_, expected) in enumerate(WRONG)]


@pytest.mark.parametrize(("changed", "expected"), WRONG, ids=WRONG_IDS)
def test_a_fault_stands_at_its_field_and_nothing_written_is_lost(
    site: Site, new: str, changed: dict[str, str], expected: dict[str, str]
) -> None:
    at = site.at("editor")
    sent = begin(at, new) | RIGHT | changed
    before = site.stored(but="drafts")
    answer = send(at, new, sent)
    assert answer.status_code == 422
    page = read(answer)
    assert {
        one.attrs["id"].removeprefix("fault-"): one.text for one in page.all("p", "fault")
    } == expected
    kept = fields_of(form_of(answer))
    for name, text in sent.items():
        if name.endswith("description") and "\0" not in text:
            assert kept[name].strip() == text.replace("\r\n", "\n").strip()
    assert site.stored(but="drafts") == before


@pytest.mark.parametrize(("changed", "expected"), WRONG, ids=WRONG_IDS)
def test_a_field_with_a_fault_says_so_to_who_hears_it(
    site: Site, new: str, changed: dict[str, str], expected: dict[str, str]
) -> None:
    """For a choice, either the group or each of its options is marked."""
    at = site.at("editor")
    page = read(send(at, new, begin(at, new) | RIGHT | changed))
    marked = set()
    for one in page.one("form", "write").walk():
        if one.attrs.get("aria-invalid") == "true":
            names = {inner.attrs["name"] for inner in one.walk() if "name" in inner.attrs}
            marked |= names
            assert any(f"fault-{name}" in one.attrs["aria-describedby"] for name in names)
    assert marked == set(expected)


def test_hints_show_after_saving_and_do_not_stop_it(site: Site, new: str) -> None:
    at = site.at("editor")
    site.report(site.account.workspaces[0], "green", ago=7, scope="green")
    sent = begin(at, new) | {"color": "red", "description": "It is late.", "scope_color": ""}
    answer = send(at, new, sent)
    assert saved(site, answer)["color"] == "red"
    said = [
        one.text for one in read(at.get(answer.headers["location"])).one("div", "hints").all("li")
    ]
    assert len(said) == 3
    assert any("Green became red" in one for one in said)
    assert any("does not say what is needed" in one for one in said)
    assert any("No longer reported (Scope)" in one for one in said)


def assert_conflict(answer: httpx.Response, *, mine: str, theirs: str) -> dict[str, str]:
    """Nothing was saved, and the page has both texts. Returns the fields of the form."""
    assert answer.status_code == 409
    page = read(answer)
    assert theirs in page.one("section", "conflict").text
    assert page.one("section", "conflict").one("h2").text.startswith("Published in the meantime, ")
    fields = fields_of(form_of(answer))
    assert fields["description"] == mine
    return fields


def test_of_two_who_begin_together_the_second_sees_what_the_first_wrote(
    site: Site, new: str
) -> None:
    site.report(site.account.workspaces[0], ago=7, text="Before both.")
    first, second = site.at("editor"), site.at("administrator")
    one, other = begin(first, new), begin(second, new)
    saved(site, send(first, new, one, color="green", description="By the first."))
    answer = send(second, new, other, color="red", description="By the second.")
    fields = assert_conflict(answer, mine="By the second.", theirs="By the first.")
    assert [one["description"] for one in reports(site)] == ["By the first.", "Before both."]
    assert fields["color"] == "red"
    report = saved(site, send(second, new, fields))
    assert report["description"] == "By the second."
    assert len(reports(site)) == 3


def test_of_two_first_reports_the_second_is_told_too(site: Site, new: str) -> None:
    first, second = site.at("editor"), site.at("administrator")
    one, other = begin(first, new), begin(second, new)
    saved(site, send(first, new, one, color="green", description="By the first."))
    answer = send(second, new, other, color="red", description="By the second.")
    assert_conflict(answer, mine="By the second.", theirs="By the first.")
    assert len(reports(site)) == 1


def test_a_form_sent_twice_saves_once(site: Site, new: str) -> None:
    at = site.at("editor")
    sent = begin(at, new) | RIGHT
    first, again = send(at, new, sent), send(at, new, sent)
    saved(site, first)
    assert (again.status_code, again.headers["location"]) == (303, first.headers["location"])
    assert len(reports(site)) == 1


def buttons(page: Node) -> list[str]:
    """The buttons of a form that writes a report."""
    bar = page.one("form", "write").one("div", "bar")
    return [
        one.text for one in bar.walk() if one.tag == "button" or one.attrs.get("class") == "button"
    ]


def test_a_form_is_published_or_saved_and_may_be_left(site: Site, new: str) -> None:
    first = site.account.workspaces[0]
    assert buttons(site.page(new, "editor")) == ["Cancel", "Preview", "Publish"]
    made = site.report(first)
    again = site.page(new, "editor")
    assert buttons(again) == ["Cancel", "Preview", "No change this week", "Publish"]
    edit = site.page(f"/reports/{made}/edit", "editor")
    assert buttons(edit) == ["Cancel", "Preview", "Save changes"]
    left = [one.one("div", "bar").one("a", "button").attrs["href"] for one in (again, edit)]
    assert left == [f"/workspaces/{first}", f"/reports/{made}"]
    labels = {one.attrs.get("for"): one.text for one in again.all("label")}
    assert labels["description"] == "Summary"
    assert labels["client_description"] == "Client notes"


LAST = {"text": "As planned.\nTwo lines.", "scope": "red", "client": ("green", "Is content.")}


def test_no_change_publishes_again_what_the_last_report_says(site: Site, new: str) -> None:
    site.report(site.account.workspaces[0], "yellow", ago=7, by="administrator", **LAST)
    at = site.at("editor")
    report = saved(site, send(at, new, begin(at, new), same="yes"))
    [newest, last] = reports(site)
    assert newest == report
    told = ("color", "description", "details")
    assert [report[one] for one in told] == [last[one] for one in told]
    assert report["creator_id"] == str(site.account.users["editor"].id)
    assert report["created_at"] > last["created_at"]
    says = f"no change since {short_day(7)}"
    for address in (f"/reports/{newest['id']}", f"/workspaces/{site.account.workspaces[0]}"):
        assert says in site.page(address).text
    assert "no change since" not in site.page(f"/reports/{last['id']}").text


def test_no_change_twice_is_one_report(site: Site, new: str) -> None:
    """A double click."""
    site.report(site.account.workspaces[0], "yellow", ago=7, **LAST)
    at = site.at("editor")
    sent = begin(at, new) | {"same": "yes"}
    first, again = send(at, new, sent), send(at, new, sent)
    saved(site, first)
    assert (again.status_code, again.headers["location"]) == (303, first.headers["location"])
    assert len(reports(site)) == 2


@pytest.mark.race
def test_no_change_twice_at_once_is_one_report(site: Site, new: str) -> None:
    site.report(site.account.workspaces[0], "yellow", ago=7, **LAST)
    at, cookies = site.at("editor"), site.at("editor").cookies
    sent = begin(at, new) | {"same": "yes"}
    clients = [site.stranger() for _ in range(3)]
    for one in clients:
        one.cookies.update(cookies)
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda one: send(one, new, sent), clients))
    assert {one.status_code for one in answers} == {303}
    assert len({one.headers["location"] for one in answers}) == 1
    assert len(reports(site)) == 2


def test_no_change_says_what_the_last_report_says_whatever_was_typed(site: Site, new: str) -> None:
    site.report(site.account.workspaces[0], "yellow", ago=7, **LAST)
    at = site.at("editor")
    typed = {
        "color": "red",
        "description": "",
        "scope_description": "Typed.",
        "budget_color": "red",
        "budget_description": "Typed too.",
        "schedule_description": "Without a color.",
        "client_color": "purple",
    }
    report = saved(site, send(at, new, begin(at, new) | typed, same="yes"))
    [_, last] = reports(site)
    told = ("color", "description", "details")
    assert [report[one] for one in told] == [last[one] for one in told]


def test_no_change_is_none_where_something_was_published_meanwhile(site: Site, new: str) -> None:
    first = site.account.workspaces[0]
    site.report(first, "yellow", ago=7, text="As planned.")
    at = site.at("editor")
    sent = begin(at, new) | {"same": "yes"}
    site.report(first, "red", text="By another.")
    assert_conflict(send(at, new, sent), mine="As planned.", theirs="By another.")
    assert len(reports(site)) == 2


def test_no_change_needs_a_report_before(site: Site, new: str) -> None:
    at = site.at("editor")
    answer = send(at, new, begin(at, new), same="yes")
    assert answer.status_code == 422
    assert fault(read(answer), "description") == "Summary is required"
    assert reports(site) == []


def test_no_change_of_a_report_that_is_changed_is_a_change(site: Site) -> None:
    """The form that changes a report has no such button."""
    made = site.report(site.account.workspaces[0], "red", text="As it was.")
    edit, at = f"/reports/{made}/edit", site.at("editor")
    answer = send(at, edit, begin(at, edit), description="Mine.", same="yes")
    assert saved(site, answer)["description"] == "Mine."
    assert len(reports(site)) == 1


def test_a_form_that_was_sent_and_is_sent_again_with_other_words_is_another_one(
    site: Site, new: str
) -> None:
    """The user goes back, changes the text and saves: that page does not show the saved report."""
    at = site.at("editor")
    sent = begin(at, new) | RIGHT
    saved(site, send(at, new, sent))
    assert send(at, new, sent, description="Other words.").status_code == 409
    assert len(reports(site)) == 1


def test_a_conflict_comes_before_the_faults_and_then_come_those(site: Site, new: str) -> None:
    at = site.at("editor")
    fields = begin(at, new)
    site.report(site.account.workspaces[0], text="Meanwhile.")
    answer = send(at, new, fields, color="green", description="")
    assert answer.status_code == 409
    assert "Meanwhile." in read(answer).one("section", "conflict").text
    assert send(at, new, fields_of(form_of(answer))).status_code == 422
    assert len(reports(site)) == 1


def test_a_preview_does_not_make_one_overlook_what_was_written_meanwhile(
    site: Site, new: str
) -> None:
    """Without a script, a preview is a new page; it does not show what others wrote meanwhile."""
    at = site.at("editor")
    fields = begin(at, new) | {"color": "red", "description": "Mine."}
    site.report(site.account.workspaces[0], text="Meanwhile.")
    shown = send(at, new, fields, preview="yes")
    assert "Meanwhile." not in read(shown).text
    answer = send(at, new, fields_of(form_of(shown)))
    assert_conflict(answer, mine="Mine.", theirs="Meanwhile.")


@pytest.mark.parametrize(
    "seen",
    ["", "x", "-1", "1.0", "0", "\u0663", "9" * 30, "9" * 5_000, None],
    ids=lambda seen: ascii(seen)[:20],
)
def test_who_does_not_say_what_was_seen_has_not_seen_it(
    site: Site, new: str, seen: str | None
) -> None:
    site.report(site.account.workspaces[0], text="Unseen.")
    at = site.at("editor")
    sent = begin(at, new) | RIGHT
    if seen is None:
        del sent["seen"]
    else:
        sent["seen"] = seen
    assert_conflict(send(at, new, sent), mine="All is well.", theirs="Unseen.")
    assert len(reports(site)) == 1


def test_a_change_begins_with_what_the_report_says(site: Site) -> None:
    first = site.account.workspaces[0]
    site.report(first, "green", ago=9, text="Before.")
    made = site.report(first, "red", text="Now.", budget=("yellow", "Dear."))
    fields = begin(site.at("editor"), f"/reports/{made}/edit")
    assert (fields["color"], fields["description"]) == ("red", "Now.")
    assert (fields["budget_color"], fields["budget_description"]) == ("yellow", "Dear.")
    page = site.page(f"/reports/{made}/edit", "editor")
    assert was(page) == dict.fromkeys(ALL, "unchanged") | {
        "Overall status": "was green",
        "Budget": "was no report",
    }


def test_a_change_is_saved(site: Site) -> None:
    made = site.report(
        site.account.workspaces[0], "red", ago=1, text="Now.", scope="red", budget="green"
    )
    edit, at = f"/reports/{made}/edit", site.at()
    answer = send(at, edit, begin(at, edit), color="green", description="Better.", budget_color="")
    report = saved(site, answer)
    assert report["id"] == str(made)
    assert (report["color"], report["description"]) == ("green", "Better.")
    assert [one["category"] for one in report["details"]] == ["Scope"]
    assert report["updater_id"] == str(site.account.users["administrator"].id)
    assert "edited by The administrator" in read(at.get(f"/reports/{made}")).text
    assert len(reports(site)) == 1


@pytest.mark.parametrize(
    "text",
    ["Plain.", "Two\nlines.", '<b> & "q"'],
    ids=ascii,
)
def test_a_change_that_changes_nothing_leaves_the_report_alone(site: Site, text: str) -> None:
    made = site.report(
        site.account.workspaces[0], ago=1, text=text, scope="red", client=("green", text)
    )
    before = site.account.api.get(f"/status_reports/{made}").json()
    edit, at = f"/reports/{made}/edit", site.at()
    fields = begin(at, edit)
    # A browser drops a newline at the beginning of a textarea, and sends CR LF.
    sent = {
        name: re.sub(r"\r?\n", "\r\n", value.removeprefix("\n")) for name, value in fields.items()
    }
    saved(site, send(at, edit, sent))
    assert site.account.api.get(f"/status_reports/{made}").json() == before


def test_of_two_who_change_a_report_the_second_sees_what_the_first_wrote(site: Site) -> None:
    made = site.report(site.account.workspaces[0], ago=1, text="Before both.")
    edit, first, second = f"/reports/{made}/edit", site.at("editor"), site.at("administrator")
    one, other = begin(first, edit), begin(second, edit)
    saved(site, send(first, edit, one, description="By the first."))
    answer = send(second, edit, other, description="By the second.")
    fields = assert_conflict(answer, mine="By the second.", theirs="By the first.")
    assert [one["description"] for one in reports(site)] == ["By the first."]
    assert saved(site, send(second, edit, fields))["description"] == "By the second."


def test_a_change_over_the_api_is_not_overwritten_unseen(site: Site) -> None:
    made = site.report(site.account.workspaces[0], ago=1)
    edit, at = f"/reports/{made}/edit", site.at()
    fields = begin(at, edit)
    site.account.api.put(
        f"/status_reports/{made}", json={"status_report": {"description": "By a program."}}
    )
    answer = send(at, edit, fields, description="Mine.")
    assert_conflict(answer, mine="Mine.", theirs="By a program.")
    assert reports(site)[0]["description"] == "By a program."


def test_a_preview_of_a_change_does_not_make_one_overwrite_unseen(site: Site) -> None:
    made = site.report(site.account.workspaces[0], ago=1)
    edit, at = f"/reports/{made}/edit", site.at()
    fields = begin(at, edit) | {"description": "Mine."}
    site.account.api.put(
        f"/status_reports/{made}", json={"status_report": {"description": "Meanwhile."}}
    )
    shown = send(at, edit, fields, preview="yes")
    assert "Meanwhile." not in read(shown).text
    answer = send(at, edit, fields_of(form_of(shown)))
    assert_conflict(answer, mine="Mine.", theirs="Meanwhile.")
    assert reports(site)[0]["description"] == "Meanwhile."


def test_a_fault_of_a_change_stands_at_its_field(site: Site) -> None:
    made = site.report(site.account.workspaces[0], text="As it was.")
    edit, at = f"/reports/{made}/edit", site.at()
    answer = send(at, edit, begin(at, edit), description="", scope_description="S")
    assert answer.status_code == 422
    page = read(answer)
    assert fault(page, "description") == "Summary is required"
    assert fault(page, "scope_color") == "Scope status is required"
    assert reports(site)[0]["description"] == "As it was."


def test_what_is_written_on_a_report_that_is_gone_is_not_found(site: Site) -> None:
    made = site.report(site.account.workspaces[0])
    edit, at = f"/reports/{made}/edit", site.at()
    fields = begin(at, edit)
    site.account.api.delete(f"/status_reports/{made}")
    assert send(at, edit, fields).status_code == 404
    assert reports(site) == []


def test_a_report_is_deleted_from_its_page(site: Site) -> None:
    first = site.account.workspaces[0]
    older, made = site.report(first, ago=3, text="Older."), site.report(first, text="Gone.")
    at = site.at("editor")
    form = form_of(at.get(f"/reports/{made}"), f"/reports/{made}/delete")
    answer = at.post(form.attrs["action"], data=fields_of(form))
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/workspaces/{first}?deleted={made}"
    assert at.get(f"/reports/{made}").status_code == 404
    assert [one["id"] for one in reports(site)] == [str(older)]
    assert "Older." in site.page(f"/workspaces/{first}").text
    again = at.post(form.attrs["action"], data=fields_of(form))
    assert again.headers["location"] == answer.headers["location"]
    undo = form_of(at.get(answer.headers["location"]), f"/deleted/{made}/restore")
    undone = at.post(undo.attrs["action"], data=fields_of(undo))
    assert undone.headers["location"] == f"/reports/{made}"
    assert "Gone." in site.page(f"/reports/{made}").text


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("outsider", 404)])
def test_who_may_not_change_a_report_neither_edits_nor_deletes_it(
    site: Site, role: str, status: int
) -> None:
    made = site.report(site.account.workspaces[0])
    at = site.at(role)
    proof = proof_of(at)
    before = site.stored()
    assert at.get(f"/reports/{made}/edit").status_code == status
    for what in ("edit", "delete"):
        answer = at.post(f"/reports/{made}/{what}", data={"csrf": proof} | RIGHT)
        assert answer.status_code == status
    assert site.stored() == before


def test_the_author_may_change_its_own_report(site: Site) -> None:
    made = site.report(site.account.workspaces[0], by="viewer")
    edit, at = f"/reports/{made}/edit", site.at("viewer")
    assert saved(site, send(at, edit, begin(at, edit), description="Mine."))


def test_what_is_written_is_never_taken_for_html(site: Site, new: str) -> None:
    at = site.at("editor")
    sent = {"description": SCRIPT, "scope_description": SCRIPT, "scope_color": '"><script>'}
    for more in ({"preview": "yes"}, {}):
        answer = send(at, new, begin(at, new) | sent | more)
        assert "<script>" not in answer.text
        kept = fields_of(form_of(answer))
        assert kept["description"] == kept["scope_description"] == SCRIPT


@pytest.mark.parametrize("content", ["not a form", "a=%", "=&=&", "description[x]=1&color[]=2"])
def test_a_body_that_is_no_form_of_ours_writes_nothing(site: Site, new: str, content: str) -> None:
    at = site.at("editor")
    proof = proof_of(at)
    before = site.stored()
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert at.post(new, content=content, headers=kind).status_code in (400, 403)
    assert at.post(new, content=f"csrf={proof}&{content}", headers=kind).status_code in (400, 422)
    assert at.post(new, json={"csrf": proof} | RIGHT).status_code in (400, 403, 415)
    assert site.stored() == before


# All forms, so that a new form is tested automatically; and the value for each variable part of
# an address, by the part before it.
POSTS = sorted(
    {
        route.path
        for route in page_routes(None, None, None, None, None, None, "http://localhost")  # type: ignore[arg-type]
        if isinstance(route, Route) and "POST" in route.endpoint.methods
    }
)
FIELDS = RIGHT | {
    "seen": "0",
    "name": "A name",
    "title": "A title",
    "redirect_uris": "https://app.example.org/cb",
    "decision": "allow",
    "full_name": "A Person",
    "email_address": "person@example.org",
    "permission": "collaborator",
    "side": "provider",
    "old_password": "x",
    "password": "x",
    "days": "3",
    "number": "1",
}


@pytest.fixture
def things(site: Site) -> dict[str, str]:
    """One of each thing that an address may name."""
    administrator = site.account.users["administrator"]

    def work(tx: Any) -> dict[str, str]:
        tokens.issue(tx, administrator, "mine", now())
        factors.store(
            tx, administrator, MadeFactor("phone", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", 0), now()
        )
        made, _ = applications.register(
            tx, administrator, now(), name="App", redirect_uris=("https://app.example.org/cb",)
        )
        known = oauth.application_by_client_id(tx, made.client_id)
        assert known is not None
        grant = oauth.insert_grant(
            tx,
            Grant(
                id=0,
                account_id=site.account.id,
                application_id=known[0].id,
                user_id=administrator.id,
                scopes=frozenset(Scope),
                redirect_uri="https://app.example.org/cb",
                code_challenge=None,
                code_expires_at=now(),
                exchanged_at=now(),
                created_at=now(),
                revoked_at=None,
            ),
            None,
        )
        [*_, token] = tokens.personal(tx, administrator.id)
        viewer = site.account.users["viewer"]
        participation = workspaces.participation(
            tx, site.account.id, int(site.account.workspaces[0]), viewer.id
        )
        assert participation is not None
        return {
            "memberships": str(members.membership(tx, viewer.id).id),
            "participation": str(participation.id),
            "applications": made.client_id,
            "grants": str(grant.id),
            "tokens": str(token.id),
            "factors": str(factors.of_user(tx, administrator.id)[0].id),
        }

    made = site.account.database.write_here(work) | {
        "people": str(site.account.users["viewer"].id),
        "workspaces": site.account.workspaces[0],
        "reports": str(site.report(site.account.workspaces[0])),
        "deleted": str(site.report(site.account.workspaces[0])),
    }
    assert site.account.api.delete(f"/status_reports/{made['deleted']}").is_success
    if "/shares/{id}/revoke" in POSTS:
        at, to = site.at(), f"/reports/{made['reports']}/shares"
        page = read(at.post(to, data={"csrf": proof_of(at), "days": "3", "what": "report"}))
        actions = " ".join(one.attrs.get("action", "") for one in page.all("form"))
        [made["shares"]] = re.findall(r"/shares/(\d+)/revoke", actions)
    return made


def filled(path: str, things: dict[str, str]) -> str:
    parts = path.split("/")
    for place, part in enumerate(parts):
        if part.startswith("{"):
            parts[place] = things.get(parts[place - 1], "1")
    return "/".join(parts)


NEEDS_NO_SESSION = (
    "/sign-in",
    "/sign-in/passkey",
    "/sign-in/second",
    "/sign-in/second/new",
    "/sign-in/switch",
    "/sign-out",
    "/welcome",
    "/welcome/provider",
)
# What these act on does not exist here.
FINDS_NOTHING = (
    "/account/address",
    "/people/{id}/address",
    "/people/{id}/confirm",
    "/welcome",
    "/welcome/provider",
)


@pytest.mark.parametrize("path", POSTS)
def test_a_form_that_is_not_of_this_session_writes_nothing(
    site: Site, things: dict[str, str], path: str
) -> None:
    to, at = filled(path, things), site.at()
    fields = FIELDS | {"participation": things["participation"], "report": things["reports"]}
    right, of_another_session = proof_of(at), proof_of(site.another("administrator"))
    of_another_user = proof_of(site.at("editor"))
    stranger = site.stranger()
    before = site.stored()
    for proof in (None, "", "x", right[:-1], of_another_session, of_another_user):
        sent = fields if proof is None else fields | {"csrf": proof}
        assert at.post(to, data=sent).status_code == 403, proof
    # A visitor without a session is asked to sign in, and the form is not read; some forms need no
    # session.
    refused = stranger.post(to, data=fields | {"csrf": right})
    if path in NEEDS_NO_SESSION:
        assert refused.status_code == 403
    else:
        assert refused.status_code == 303
        assert refused.headers["location"].startswith("/sign-in?expired=yes")
    assert at.post(f"{to}?csrf={right}", data=fields).status_code == 403
    assert at.post(to, data=fields, headers={"x-csrf-token": right}).status_code == 403
    assert site.stored() == before
    answer = at.post(to, data=fields | {"csrf": right})
    assert answer.status_code < 500
    assert answer.status_code != 403, "with the right proof it is not refused"
    # Nothing else is unknown, so every form could have written.
    assert answer.status_code != 404 or path in FINDS_NOTHING


@pytest.mark.parametrize("path", POSTS)
def test_a_form_of_somebody_who_is_not_signed_in_writes_nothing(
    site: Site, things: dict[str, str], path: str
) -> None:
    at = site.stranger()
    proof = read(at.get("/sign-in")).all("input", name="csrf")[0].attrs["value"]
    before = site.stored()
    answer = at.post(filled(path, things), data=FIELDS | {"csrf": proof})
    assert answer.status_code < 500
    assert answer.status_code != 200
    assert site.stored() == before


@pytest.mark.parametrize("path", [path for path in POSTS if path not in NEEDS_NO_SESSION])
def test_a_form_that_is_sent_twice_is_done_once(
    site: Site, things: dict[str, str], path: str
) -> None:
    """A double click, or sending the form again after going back."""
    at, to = site.at(), filled(path, things)
    fields = FIELDS | {"csrf": proof_of(at), "once": "a-form-that-was-shown-once"}
    at.post(to, data=fields)
    after = stored(site)
    again = at.post(to, data=fields)
    assert again.status_code < 500
    assert stored(site) == after


def stored(site: Site) -> list[str]:
    """Everything stored, except the number of changes of the account."""
    return [row for row in site.stored() if not row.startswith("account_versions ")]
