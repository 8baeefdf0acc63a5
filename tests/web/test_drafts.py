"""Drafts of reports are stored on the server, for each device of their author and nobody else."""

from collections.abc import Iterator

import httpx
import pytest
from page_kit import Site, fields_of, form_of, read

from conftest import Account, Server
from healthreports.app import now
from healthreports.core.model import Instant
from healthreports.core.vocabulary import MAX_DESCRIPTION, MAX_DETAIL_DESCRIPTION, Category
from healthreports.service import purging
from healthreports.service.people import members
from healthreports.service.reports import drafting
from healthreports.service.reports.drafting import KEPT_US, MOST_DRAFTS
from healthreports.service.sweeping import sweep
from healthreports.store.reports import drafts

pytestmark = pytest.mark.one_store

TYPED = {"color": "red", "description": "Half a sentence", "scope_color": "yellow"}


@pytest.fixture
def site(server: Server, account: Account) -> Iterator[Site]:
    made = Site(server, account)
    yield made
    made.close()


@pytest.fixture
def new(site: Site) -> str:
    return f"/workspaces/{site.account.workspaces[0]}/reports/new"


def shown(at: httpx.Client, path: str) -> dict[str, str]:
    answer = at.get(path)
    assert answer.status_code == 200, answer.text
    return fields_of(form_of(answer))


def send(at: httpx.Client, path: str, button: str = "preview", **typed: str) -> httpx.Response:
    pressed = {button: "yes"} if button else {}
    return at.post(path, data=shown(at, path) | typed | pressed)


def kept(site: Site, role: str = "editor") -> list[drafts.Draft]:
    user = site.account.users[role]
    return site.account.database.read_here(lambda tx: drafts.all_of(tx, user.account_id, user.id))


def texts(fields: dict[str, str]) -> dict[str, str]:
    return {name: fields[name] for name in TYPED}


def test_a_draft_is_there_on_another_device_and_for_nobody_else(site: Site, new: str) -> None:
    answer = send(site.at("editor"), new, **TYPED)
    assert "Draft saved." in read(answer).one("section", id="preview").text
    other = site.another("editor")
    assert texts(shown(other, new)) == TYPED
    note = read(other.get(new)).one("p", "kept")
    assert "hidden" not in note.attrs
    assert "is restored" in note.text
    assert shown(site.at("administrator"), new)["description"] == ""
    assert "Half a sentence" not in site.at("administrator").get("/?owner=me").text


def test_a_draft_is_told_of_where_its_writer_looks(site: Site, new: str) -> None:
    send(site.at("editor"), new, **TYPED)
    workspace = new.removesuffix("/reports/new")
    page = site.page(workspace, "editor")
    assert page.one("a", href=new, of="primary").text == "Continue draft"
    mine = site.page("/", "editor", owner="me").one("section", of="drafts")
    assert [one.attrs["href"] for one in mine.all("a")] == [new]
    assert not site.page("/", "editor").all("section", of="drafts"), "it is asked for"
    assert site.page(workspace).one("a", href=new, of="primary").text == "Write report"


def test_publishing_ends_a_draft(site: Site, new: str) -> None:
    at = site.at("editor")
    send(at, new, **TYPED)
    assert send(at, new, "").status_code == 303
    assert kept(site) == []
    assert site.page(new, "editor").one("p", "kept").attrs["hidden"] == ""


def test_no_change_this_week_ends_a_draft_too(site: Site, new: str) -> None:
    at = site.at("editor")
    site.report(site.account.workspaces[0], text="As ever.")
    send(at, new, **TYPED)
    assert send(at, new, "same").status_code == 303
    assert kept(site) == []


def test_a_draft_is_discarded(site: Site, new: str) -> None:
    at = site.at("editor")
    send(at, new, **TYPED)
    assert send(at, new, "discard").headers["location"] == new
    assert kept(site) == []
    assert shown(at, new)["description"] == ""
    assert send(at, new, "discard").status_code == 303, "nothing to discard is no fault"


def test_what_says_nothing_new_is_no_draft(site: Site, new: str) -> None:
    at = site.at("editor")
    send(at, new)
    assert kept(site) == []
    site.report(site.account.workspaces[0], text="Two\nlines.", scope=("red", "Late."))
    send(at, new)
    assert kept(site) == []
    send(at, new, description="Two\r\nlines, and more.")
    assert kept(site)[0].fields["description"] == "Two\nlines, and more."
    # Changed back to what it was.
    send(at, new, description="Two\r\nlines.")
    assert kept(site) == []


def test_what_is_refused_is_kept(site: Site, new: str) -> None:
    at = site.at("editor")
    answer = send(at, new, "", description="No color yet.", scope_description="Nor here.")
    assert answer.status_code == 422
    assert shown(site.another("editor"), new)["description"] == "No color yet."


def test_a_draft_that_somebody_overtook_says_so_when_it_is_published(site: Site, new: str) -> None:
    at = site.at("editor")
    send(at, new, **TYPED)
    site.report(site.account.workspaces[0], text="Quicker.")
    answer = send(at, new, "")
    assert answer.status_code == 409
    assert "Quicker." in read(answer).one("section", of="conflict").text
    assert texts(fields_of(form_of(answer))) == TYPED
    published = at.post(new, data=fields_of(form_of(answer)))
    assert published.status_code == 303
    assert kept(site) == []


def test_the_change_of_a_report_is_a_draft_of_its_own(site: Site, new: str) -> None:
    at = site.at("editor")
    report = site.report(site.account.workspaces[0], text="As published.")
    edit = f"/reports/{report}/edit"
    send(at, edit, description="As it should be.")
    send(at, new, **TYPED)
    assert {one.report_id for one in kept(site)} == {None, report}
    assert shown(at, edit)["description"] == "As it should be."
    mine = site.page("/", "editor", owner="me").one("section", of="drafts")
    assert [one.attrs["href"] for one in mine.all("a")] == [new, edit]
    assert send(at, edit, "").status_code == 303
    assert [one.report_id for one in kept(site)] == [None]


def test_who_may_not_write_any_more_does_not_get_a_draft_back(site: Site, new: str) -> None:
    at = site.at("editor")
    send(at, new, **TYPED)
    site.change_workspace(site.account.workspaces[0], archived=True)
    assert at.get(new).status_code == 403
    assert "Half a sentence" not in at.get("/?owner=me").text
    assert not read(at.get("/?owner=me")).all("section", of="drafts")
    page = read(at.get(new.removesuffix("/reports/new")))
    assert not page.all("a", href=new)


def test_a_reader_cannot_keep_anything(site: Site, new: str) -> None:
    at = site.at("viewer")
    proof = fields_of(read(at.get("/account")).one("form", action="/sign-out"))["csrf"]
    for button in ("preview", "discard"):
        answer = at.post(new, data=TYPED | {"csrf": proof, button: "yes"})
        assert answer.status_code == 403
    assert kept(site, "viewer") == []


def test_drafts_are_bounded_in_number(site: Site, new: str) -> None:
    editor = site.account.users["editor"]

    def fill(tx: object) -> None:
        for number in range(MOST_DRAFTS):
            draft = drafts.Draft(site.account.workspaces[1], number + 1, {}, now())
            drafts.put(tx, editor.account_id, editor.id, draft)  # type: ignore[arg-type]

    site.account.database.write_here(fill)
    answer = send(site.at("editor"), new, **TYPED)
    assert "is not saved" in read(answer).one("section", id="preview").text
    assert texts(fields_of(form_of(answer))) == TYPED
    assert len(kept(site)) == MOST_DRAFTS


def test_the_longest_report_is_kept_and_nothing_longer(site: Site, new: str) -> None:
    at = site.at("editor")
    longest = {"color": "red", "description": "d" * MAX_DESCRIPTION} | {
        f"{one.lower()}_{name}": text
        for one in Category
        for name, text in (("color", "green"), ("description", "é" * MAX_DETAIL_DESCRIPTION))
    }
    send(at, new, **longest)
    assert kept(site)[0].fields["description"] == longest["description"]
    too_long = longest | {"description": "e" * (MAX_DESCRIPTION + 10_000)}
    answer = send(at, new, **too_long)
    assert "is not saved" in read(answer).one("section", id="preview").text
    assert kept(site)[0].fields["description"] == longest["description"]


def test_only_the_fields_of_a_report_are_kept(site: Site, new: str) -> None:
    send(site.at("editor"), new, **TYPED, other="O" * 1_000)
    assert set(kept(site)[0].fields) - {"seen"} == set(TYPED) | {
        "scope_description",
        *(f"{one}_{part}" for one in ("budget", "schedule", "client") for part in PARTS),
    }


PARTS = ("color", "description")


def test_a_purge_takes_the_changes_of_a_report_along(site: Site) -> None:
    at = site.at("editor")
    report = site.report(site.account.workspaces[0], text="To be forgotten.")
    send(at, f"/reports/{report}/edit", description="To be forgotten, all of it.")
    assert site.account.api.delete(f"/status_reports/{report}").is_success
    assert kept(site), "it can be restored"
    administrator = site.at("administrator")
    page = administrator.get(f"/workspaces/{site.account.workspaces[0]}/deleted")
    sent = fields_of(form_of(page, f"/deleted/{report}/purge"))
    assert administrator.post(f"/deleted/{report}/purge", data=sent).status_code == 303
    assert kept(site) == []
    assert not [row for row in site.stored() if "To be forgotten" in row]


def test_who_is_purged_leaves_no_draft(site: Site, new: str) -> None:
    send(site.at("editor"), new, description="Said by one who left.")
    editor = site.account.users["editor"]
    told = site.account.database.read_here(lambda tx: purging.known_of(tx, editor))
    assert told["drafts"][0]["fields"]["description"] == "Said by one who left."
    site.account.database.write_here(lambda tx: purging.purge_user(tx, editor, now()))
    assert not [row for row in site.stored() if "Said by one who left" in row]


def test_a_draft_goes_when_nobody_went_on_with_it(site: Site, new: str) -> None:
    send(site.at("editor"), new, **TYPED)
    database, editor = site.account.database, site.account.users["editor"]
    [draft] = kept(site)
    sweep(database, lambda: Instant(draft.updated_at + KEPT_US - 1), 30)
    assert kept(site)
    late = Instant(draft.updated_at + KEPT_US)
    key = (site.account.workspaces[0], None, late)
    actor = database.read_here(lambda tx: members.reader(tx, editor.id))
    assert actor is not None
    assert database.read_here(lambda tx: drafting.find(tx, actor, *key)) is None
    assert database.read_here(lambda tx: drafting.begun(tx, actor, late)) == []
    sweep(database, lambda: late, 30)
    assert kept(site) == []
