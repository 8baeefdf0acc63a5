"""The list of external references: subjects, statuses and times (7.5)."""

from collections.abc import Iterator

import pytest
from sharing import open_account

from conftest import Account, Server
from expect import assert_envelope, assert_failure, only_record
from healthreports.store.engine.database import Database

NAME = "external_references"


def upsert(account: Account, role: str = "administrator", **sent: object):
    path = "/external_references/create_or_update"
    return account.clients[role].post(path, json={"external_reference": sent})


SENT = {
    "issue": {"service_name": "jira", "service_model": "Issue", "service_model_ref": "7"},
    "deal": {
        "service_name": "crm",
        "service_model": "Deal",
        "service_model_ref": "8",
        "status": "fail",
        "external_status": "closed",
        "external_message": "100%",
    },
    "project": {
        "service_name": "jira",
        "service_model": "Project",
        "service_model_ref": "7",
        "status": "pending",
    },
}


@pytest.fixture(scope="module")
def shelf(server: Server, database: Database) -> Iterator[tuple[Account, dict[str, str]]]:
    """References by name: two belong to reports, one to a workspace."""
    with open_account(server, database) as account:
        names = {"report": account.report(), "other": account.report()}
        for name, kind, subject in (
            ("issue", "StatusReport", names["report"]),
            ("deal", "StatusReport", names["other"]),
            ("project", "Workspace", account.workspaces[1]),
        ):
            sent = {"subject_type": kind, "subject_id": subject, **SENT[name]}
            names[name] = only_record(upsert(account, **sent), NAME)["id"]
        yield account, names


FILTERS = {
    "reports": ("StatusReport", "", ["issue", "deal"]),
    "workspaces": ("Workspace", "", ["project"]),
    "users": ("User", "", []),
    "subject": ("StatusReport", "subject_id=REPORT", ["issue"]),
    "subjects": ("StatusReport", "subject_id=REPORT,OTHER", ["issue", "deal"]),
    "subject of another type": ("Workspace", "subject_id=0", []),
    "service": ("StatusReport", "service_name=jira", ["issue"]),
    "service in capitals": ("StatusReport", "service_name=JIRA", []),
    "model": ("StatusReport", "service_model=Deal", ["deal"]),
    "ref": ("StatusReport", "service_model_ref=7", ["issue"]),
    "ref of a workspace": ("Workspace", "service_model_ref=7", ["project"]),
    "external_status": ("StatusReport", "external_status=closed", ["deal"]),
    "external_message": ("StatusReport", "external_message=100%25", ["deal"]),
    "failed": ("StatusReport", "status=failed", ["deal"]),
    "fail": ("StatusReport", "status=fail", ["deal"]),
    "successful": ("StatusReport", "status=successful", ["issue"]),
    "pending": ("Workspace", "status=pending", ["project"]),
    "no status": ("StatusReport", "status=nobody", []),
    "created": ("StatusReport", "created_after=2026", ["issue", "deal"]),
    "created before": ("StatusReport", "created_before=2026", []),
    "updated": ("StatusReport", "updated_after=2026-01", ["issue", "deal"]),
    "updated before": ("StatusReport", "updated_before=2026-01", []),
    "synced": ("StatusReport", "last_synced_after=2026-01-01T00:00:00Z", ["issue", "deal"]),
    "synced before": ("StatusReport", "last_synced_before=2026", []),
    "several": ("StatusReport", "service_name=crm&status=fail&subject_id=OTHER", ["deal"]),
    "several that no one has": ("StatusReport", "service_name=crm&status=successful", []),
}


# 7.5
@pytest.mark.parametrize(("kind", "query", "expected"), FILTERS.values(), ids=FILTERS)
def test_each_filter_finds_its_references(
    shelf: tuple[Account, dict[str, str]], kind: str, query: str, expected: list[str]
) -> None:
    account, names = shelf
    query = query.replace("REPORT", names["report"]).replace("OTHER", names["other"])
    path = f"/external_references?subject_type={kind}&order=created_at&{query}"
    ids = [names[name] for name in expected]
    assert_envelope(account.api.get(path), NAME, ids, count=len(ids))
    every = ",".join(names[name] for name in SENT)
    assert_envelope(account.api.get(f"{path}&only={every}"), NAME, ids, count=len(ids))


# 7.5
@pytest.mark.parametrize(
    "kind", ["Participation", "WorkspaceGroup", "status_reports", "statusreport", "x", "\0"]
)
def test_other_types_of_subjects_are_refused(
    shelf: tuple[Account, dict[str, str]], kind: str
) -> None:
    params = {"subject_type": kind}
    (error,) = assert_failure(shelf[0].api.get("/external_references", params=params), 400)
    assert "subject_type" in error["message"]


# 7.5: several types in one value are not a type
def test_only_one_type_of_subject_is_listed(shelf: tuple[Account, dict[str, str]]) -> None:
    api = shelf[0].api
    assert_failure(api.get("/external_references?subject_type=StatusReport,Workspace"), 400)
    answer = api.get("/external_references?subject_type=StatusReport&subject_type=Workspace")
    assert_envelope(answer, NAME, [shelf[1]["project"]], count=1)


# 7.5
@pytest.mark.parametrize("kind", ["User", "Participation"])
def test_a_subject_that_has_no_references_gets_none(account: Account, kind: str) -> None:
    sent = {**SENT["issue"], "subject_type": kind, "subject_id": account.users["viewer"].id}
    assert_failure(upsert(account, **sent), 422, "validation", "subject_type")


# 7.5, 5.4: status may be sent and otherwise stays; each write is a synchronisation
def test_a_status_stays_until_another_is_sent(account: Account) -> None:
    sent = {**SENT["issue"], "subject_type": "StatusReport", "subject_id": account.report()}
    for status, expected in (
        (None, "successful"),
        ("fail", "failed"),
        (None, "failed"),
        ("pending", "pending"),
        (None, "pending"),
        ("successful", "successful"),
    ):
        more = {} if status is None else {"status": status}
        record = only_record(upsert(account, **sent, **more), NAME)
        assert record["status"] == expected
        listed = account.api.get(
            f"/external_references?subject_type=StatusReport&status={expected}"
        )
        assert_envelope(listed, NAME, [record["id"]], count=1)


# 7.5: only a user who sees the subject sees its references
def test_references_are_seen_with_their_subjects(account: Account) -> None:
    first, second = account.workspaces
    for kind, subject in (
        ("Workspace", first),
        ("Workspace", second),
        ("StatusReport", account.report()),
        ("StatusReport", account.report(workspace_id=second)),
    ):
        sent = {"subject_type": kind, "subject_id": subject, **SENT["issue"]}
        only_record(upsert(account, **sent), NAME)
    for role, count in (("administrator", 2), ("editor", 2), ("viewer", 1), ("outsider", 0)):
        for kind in ("Workspace", "StatusReport"):
            path = f"/external_references?subject_type={kind}"
            for query in ("", "&service_name=jira", "&order=created_at"):
                answer = account.clients[role].get(path + query)
                assert_envelope(answer, NAME, count=count)
            hidden = account.clients[role].get(f"{path}&subject_id={second}")
            if kind == "Workspace":
                assert_envelope(hidden, NAME, count=int(count == 2))


# 7.5: a user who may not write the subject may not write its references
@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("outsider", 422)])
def test_references_are_written_by_who_may_write_the_subject(
    account: Account, role: str, status: int
) -> None:
    subject = {"subject_type": "Workspace", "subject_id": account.workspaces[0]}
    assert upsert(account, role, **SENT["issue"], **subject).status_code == status
    one = only_record(upsert(account, **SENT["issue"], **subject), NAME)["id"]
    path = f"/external_references/{one}"
    assert_failure(account.clients[role].delete(path), 403 if status == 403 else 404)
    assert account.clients["editor"].delete(path).status_code == 204
