"""Any sequence of calls agrees with the model: writes, refusals, and all pages of lists."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from reference_model import (
    CATEGORIES,
    COLORS,
    INSTANTS,
    KINDS,
    REFERENCE_FILTERS,
    REFERENCE_NAMES,
    TIME,
    Model,
    Pairs,
    Refused,
    Report,
    Span,
    Undecided,
    included,
)

from conftest import Account, Server, make_account
from effort import effort
from expect import assert_envelope, assert_failure
from healthreports.contract.resources import STATUS_REPORTS
from healthreports.core.model import AuditEvent
from healthreports.core.vocabulary import AuditAction, Through
from healthreports.service import auditing
from healthreports.store.engine.database import Database, Transaction
from raw import execute

ROLES = ("administrator", "editor", "viewer", "outsider")
JSON = {"content-type": "application/json"}

# -- values

inner = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
plain = inner.map(lambda text: f"r{text}s")
descriptions = st.one_of(
    plain,
    st.sampled_from(["  padded\n", "x" * 50_000, "\U0001f600" * 50_000, " " + "y" * 50_000 + " "]),
)
bad_descriptions = st.sampled_from(
    ["", " \n\t ", None, 5, True, [], {}, "x" * 50_001, "a\0b", "\ud800", "a\udfffb"]
)
colors = st.sampled_from(COLORS)
bad_colors = st.sampled_from(["", "Green", "blue", " red", None, 5, True, [], {}, "red\0"])
detail_texts = st.one_of(plain, st.none(), st.sampled_from(["", "z" * 10_000]))
bad_detail_texts = st.sampled_from(["z" * 10_001, "\0", "\udc00", 7, []])
service_names = st.sampled_from(["jira", "Jira", "asana", "Tåg & co", "n" * 255])
service_models = st.sampled_from(["issue", "epic"])
service_refs = st.sampled_from(["1", "2", "17", "x-9"])
bad_names = st.sampled_from(["", "  ", None, "n" * 256, "a\0b", "\ud9ff", []])
external_statuses = st.sampled_from(["open", "done"])
external_messages = st.sampled_from(["ok", "late", "m" * 2_000])
bad_messages = st.sampled_from(["m" * 2_001, "a\0", 4, {}])
links = st.sampled_from(["https://example.org/a?b=c#d", "http://example.org", None])
bad_links = st.sampled_from(
    ["ftp://example.org", "javascript:alert(1)", "example.org", "https://e.org/" + "p" * 2_000]
)


@st.composite
def detail_sets(draw: st.DrawFn) -> list[dict[str, Any]]:
    categories = draw(st.lists(st.sampled_from(CATEGORIES), unique=True, max_size=4))
    optional = {"description": detail_texts, "position": st.just("1")}
    return [
        {
            "category": one,
            "color": draw(colors),
            **draw(st.fixed_dictionaries({}, optional=optional)),
        }
        for one in categories
    ]


any_details = st.one_of(
    st.lists(
        st.one_of(
            st.fixed_dictionaries(
                {},
                optional={
                    "category": st.one_of(
                        st.sampled_from(CATEGORIES),
                        st.sampled_from(["scope", "Risk", "", None, 3, []]),
                    ),
                    "color": st.one_of(colors, bad_colors),
                    "description": st.one_of(detail_texts, bad_detail_texts),
                },
            ),
            st.sampled_from(["Scope", 5, None, []]),
        ),
        max_size=5,
    ),
    st.sampled_from(["Scope", 5, True]),
)
references = st.fixed_dictionaries(
    {
        "service_name": service_names,
        "service_model": service_models,
        "service_model_ref": service_refs,
    },
    optional={
        "external_status": external_statuses,
        "external_message": external_messages,
        "external_link": links,
        "locked": st.booleans(),
        "status": st.just("failed"),
        "id": st.just("1"),
    },
)
any_references = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "service_name": st.one_of(service_names, bad_names),
            "service_model": st.one_of(service_models, bad_names),
            "service_model_ref": st.one_of(service_refs, bad_names),
            "external_status": external_statuses,
            "external_message": st.one_of(external_messages, bad_messages),
            "external_link": st.one_of(links, bad_links),
            "locked": st.one_of(st.booleans(), st.sampled_from(["maybe", [], {}])),
        },
    ),
    st.sampled_from(["jira", 5, True]),
)
unknown = {"id": st.just("1"), "creator_id": st.just("1"), "created_at": st.just("2020-01-01")}
good_changes = {
    "color": colors,
    "description": descriptions,
    "details": detail_sets(),
    "external_reference": references,
    **unknown,
}
any_changes = {
    "color": st.one_of(colors, bad_colors),
    "description": st.one_of(plain, bad_descriptions),
    "details": st.one_of(detail_sets(), any_details),
    "external_reference": st.one_of(references, any_references),
    **unknown,
}

# -- sending


def is_formable(attributes: dict[str, Any]) -> bool:
    """Whether a form can express the attributes.

    It can if all values are texts or booleans, no level is empty, and each detail begins with its
    category.
    """

    def says(value: object) -> bool:
        if isinstance(value, dict):
            return bool(value) and all(map(says, value.values()))
        if isinstance(value, list):
            return bool(value) and all(
                isinstance(one, dict) and says(one) and next(iter(one)) == "category"
                for one in value
            )
        is_half = isinstance(value, str) and any("\ud800" <= one <= "\udfff" for one in value)
        return isinstance(value, (str, bool)) and not is_half

    is_flat = not any(
        isinstance(attributes.get(name), bool) for name in ("color", "description", "workspace_id")
    )
    return (
        is_flat
        and says(attributes)
        and not any(
            isinstance(attributes.get(name), (bool, str))
            for name in ("details", "external_reference")
        )
    )


def flattened(name: str, value: object, *, indexed: bool) -> Pairs:
    if isinstance(value, dict):
        return [
            pair
            for key, one in value.items()
            for pair in flattened(f"{name}[{key}]", one, indexed=indexed)
        ]
    if isinstance(value, list):
        return [
            pair
            for index, one in enumerate(value)
            for pair in flattened(f"{name}[{index if indexed else ''}]", one, indexed=indexed)
        ]
    return [(name, str(value).lower() if isinstance(value, bool) else str(value))]


def body_of(attributes: dict[str, Any], way: str) -> dict[str, Any]:
    """What httpx sends: JSON, or a form if a form can express the attributes."""
    if way == "json" or not is_formable(attributes):
        return {"content": json.dumps({"status_report": attributes}), "headers": JSON}
    pairs = flattened("status_report", attributes, indexed=way == "indexed")
    if way == "multipart":
        return {"files": [(name, (None, value)) for name, value in pairs]}
    form = {"content-type": "application/x-www-form-urlencoded"}
    return {"content": urlencode(pairs), "headers": form}


ways = st.sampled_from(["json", "json", "urlencoded", "indexed", "multipart"])
roles = st.sampled_from(("administrator", "editor", *ROLES))
includes = st.lists(
    st.sampled_from([*KINDS, *KINDS, "nothing", " workspace", "status_reports", ""]), max_size=4
).map(",".join)
suffixes = st.sampled_from(["", "", ".json"])


def now() -> datetime:
    return datetime.now(UTC)


class Machine(RuleBasedStateMachine):
    """Calls on a new account; nobody in it sees the report `hidden` of another, `elsewhere`."""

    def __init__(self, server: Server, database: Database, elsewhere: Account, hidden: str) -> None:
        super().__init__()
        self.account = make_account(server, database)
        self.stored_at = server.database
        # The entries that the audit log must have for the sequence, without earlier ones.
        self.audited: list[tuple[AuditAction, int, int]] = []
        self.begun_with = database.read_here(lambda tx: auditing.head(tx, self.account.id).number)
        first, second = self.account.workspaces
        both, one, none = [first, second], [first], []
        readable = dict(zip(ROLES, (both, both, one, none), strict=True))
        self.model = Model(readable, dict(zip(ROLES, (both, both, none, none), strict=True)))
        self.elsewhere = elsewhere
        self.user_ids = {role: str(self.account.users[role].id) for role in ROLES}
        self.ids = ["0", "abc", "-1", "1.5", "9" * 30, "\uff11", hidden]
        self.moments = [now()]
        self.is_refused = False
        # The versions of each report: the event, and the content from then on (8.3).
        self.said: dict[int, list[tuple[str, str, str, list[dict[str, Any]]]]] = {}
        self.deleted: dict[int, Report] = {}
        # Requests with an idempotency key, their answers and the ids of the created reports (8.2).
        self.kept: list[tuple[str, str, str, dict[str, Any], httpx.Response, int | None]] = []
        # By role and URL: the answer that had each ETag (8.1).
        self.tagged: dict[tuple[str, str], dict[str, bytes]] = {}
        # The ETags of each report, with its number of versions at that time.
        self.tags: dict[int, list[tuple[str, int]]] = {}

    def teardown(self) -> None:
        for client in self.account.clients.values():
            client.close()
        self._is_audited()

    def _audits(self, role: str, action: AuditAction, report: Report) -> None:
        """Expect an audit entry for an action, with its user."""
        self.audited.append((action, report.id, int(self.user_ids[role])))

    def _is_audited(self) -> None:
        """Check that the audit log has an entry for each action, in order, and no others."""

        def entries(tx: Transaction) -> list[AuditEvent]:
            account_id = self.account.id
            return [one for some in auditing.pieces(tx, account_id) for one in some]

        found = self.account.database.read_here(entries)[self.begun_with :]
        done = [one for one in found if one.action is not AuditAction.ACCESS_REFUSED]
        assert [(one.action, one.subject_id, one.user_id) for one in done] == self.audited
        assert all(one.through is Through.TOKEN for one in done)

        def verified(tx: Transaction) -> list[str]:
            return list(auditing.verify(tx, self.account.id))

        assert self.account.database.read_here(verified) == []
        if found:
            # A row that is changed directly in the database is detected.
            number = found[len(found) // 2].id
            where = f"account_id = {self.account.id} AND number = {number}"
            statement = f"UPDATE audit_events SET user_id = 0 WHERE {where}"
            execute(self.stored_at, statement)
            assert self.account.database.read_here(verified) == [
                f"entry {number}: who did it was changed"
            ]

    # -- writes

    @initialize(count=st.sampled_from([0, 5, 30]))
    def begin(self, count: int) -> None:
        """Start some accounts with more reports than fit on one page."""
        for number in range(count):
            attributes = {
                "workspace_id": self.account.workspaces[number % 2],
                "color": COLORS[number % 3],
                "description": f"Report {number}",
            }
            if number % 3:
                attributes["external_reference"] = {
                    "service_name": ("jira", "Jira")[number % 2],
                    "service_model": ("issue", "epic")[number // 2 % 2],
                    "service_model_ref": ("1", "2", "17")[number // 4 % 3],
                }
            self._create("administrator", attributes, "json", "", "")

    @rule(data=st.data(), role=roles, way=ways, include=includes, suffix=suffixes)
    def create(self, data: st.DataObject, role: str, way: str, include: str, suffix: str) -> None:
        space = data.draw(st.sampled_from([0, 0, 1]), label="workspace")
        workspace_id = self.account.workspaces[space]
        needed = {
            "workspace_id": st.sampled_from([workspace_id, int(workspace_id)]),
            "color": colors,
            "description": descriptions,
        }
        rest = {key: one for key, one in good_changes.items() if key not in needed}
        attributes = data.draw(st.fixed_dictionaries(needed, optional=rest), label="attributes")
        has_key = data.draw(st.integers(0, 1), label="has a key")
        self._create(role, attributes, way, include, suffix, has_key)

    @rule(data=st.data(), role=roles, way=ways, include=includes, suffix=suffixes)
    def create_anything(
        self, data: st.DataObject, role: str, way: str, include: str, suffix: str
    ) -> None:
        first, second = self.account.workspaces
        foreign = self.elsewhere.workspaces[0]
        spaces = [first, first, first, int(second), foreign]
        bad = ["0", "-1", "9" * 30, int("9" * 30), "", "abc", first + "x", None, True, [], {}]
        picked = data.draw(st.integers(0, len(spaces) + len(bad) - 1), label="workspace")
        changes = {"workspace_id": st.just([*spaces, *bad][picked]), **any_changes}
        attributes = data.draw(st.fixed_dictionaries({}, optional=changes), label="attributes")
        has_key = data.draw(st.integers(0, 1), label="has a key")
        self._create(role, attributes, way, include, suffix, has_key)

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), is_other=st.sampled_from([False, False, True]))
    def send_again(self, data: st.DataObject, is_other: bool) -> None:
        """Repeat a request with an idempotency key, unchanged or with another query."""
        number = data.draw(st.integers(0, len(self.kept) - 1), label="which")
        role, path, include, sent, first, made = self.kept[number]
        response, _ = self._write(role, "POST", path, f"{include},x" if is_other else include, sent)
        self.is_refused = True
        if first.status_code >= 400 and "content" in sent and response.status_code == 413:
            return
        if is_other:
            assert_failure(response, 422)
        elif made is not None and self.model.find(role, str(made)) is None:
            assert_failure(response, 404)
        else:
            assert (response.status_code, response.content) == (first.status_code, first.content)
            assert response.headers["idempotency-replayed"] == "true"

    @rule(data=st.data(), role=roles, color=colors)
    def update_in_a_state(self, data: st.DataObject, role: str, color: str) -> None:
        """Change a report with the ETag of its current or an earlier version."""
        path_id = self._pick(data)
        report = self.model.find("administrator", path_id)
        if report is None:
            return
        path = f"/status_reports/{report.id}"
        known = self.tags.setdefault(report.id, [])
        tag = self.account.api.get(path).headers["etag"]
        known.append((tag, len(self.said[report.id])))
        tag, then = known[data.draw(st.integers(0, len(known) - 1), label="which tag")]
        sent = {"json": {"status_report": {"color": color}}, "headers": {"if-match": tag}}
        response, span = self._write(role, "PUT", path, "", sent)
        if self.model.find(role, path_id) is None:
            assert_failure(response, 404)
        elif then != len(self.said[report.id]):
            assert_failure(response, 412)
        elif not self.model.may_write(role, report.workspace_id):
            assert_failure(response, 403)
        else:
            self._one(response)
            if color != report.color:
                report.color, report.updated = color, span
                report.updater_id = self.user_ids[role]
                self._says(report, "updated")
            return
        self.is_refused = True

    @precondition(lambda self: self.deleted)
    @rule(data=st.data(), role=roles, for_good=st.sampled_from([False, False, True]))
    def take_out_of_the_trash(self, data: st.DataObject, role: str, for_good: bool) -> None:
        there = sorted(self.deleted)
        report = self.deleted[data.draw(st.sampled_from(there), label="which")]
        may_write = self.model.may_write(role, report.workspace_id)
        path = f"/deleted_status_reports/{report.id}"
        if for_good:
            response, _ = self._write(role, "DELETE", path, "", {})
        else:
            response, _ = self._write(role, "POST", f"{path}/restore", "", {})
        self.is_refused = True
        if not may_write:
            assert_failure(response, 404)
        elif for_good and role != "administrator":
            assert_failure(response, 403)
        elif for_good:
            assert response.status_code == 204
            del self.deleted[report.id]
            self._audits(role, AuditAction.REPORT_PURGED, report)
        else:
            _, body = self._one(response)
            self._audits(role, AuditAction.REPORT_RESTORED, report)
            del self.deleted[report.id]
            self.model.reports[report.id] = report
            self._says(report, "restored")
            self._agrees(body, [report], set())

    @rule(role=roles)
    def list_the_trash(self, role: str) -> None:
        answer = self.account.clients[role].get("/deleted_status_reports", params={"per_page": 200})
        body = assert_envelope(answer, "deleted_status_reports")
        shown = {int(one["id"]) for one in body["results"]}
        assert shown == {
            one.id for one in self.deleted.values() if self.model.may_write(role, one.workspace_id)
        }
        for one in shown:
            record = body["deleted_status_reports"][str(one)]
            assert record["description"] == self.deleted[one].description

    @rule(data=st.data(), role=roles)
    def ask_for_versions(self, data: st.DataObject, role: str) -> None:
        path_id = self._pick(data)
        report = self.model.find(role, path_id)
        answer = self.account.clients[role].get(
            f"/status_reports/{quote(path_id)}/versions", params={"per_page": 200}
        )
        if report is None:
            assert_failure(answer, 404)
            return
        body = assert_envelope(answer, "status_report_versions")
        found = [body["status_report_versions"][one["id"]] for one in body["results"]]
        said = self.said[report.id]
        assert [one["number"] for one in found] == list(range(len(said), 0, -1))
        assert [
            (one["event"], one["color"], one["description"], one["details"]) for one in found
        ] == said[::-1]

    def _says(self, report: Report, event: str) -> None:
        said = (event, report.color, report.description, [dict(one) for one in report.details])
        self.said.setdefault(report.id, []).append(said)

    def _tagged(self, role: str, url: str, response: httpx.Response) -> None:
        """The same ETag means the same answer; a request with the current ETag gets 304."""
        if response.status_code != 200:
            assert "etag" not in response.headers
            return
        tag = response.headers["etag"]
        known = self.tagged.setdefault((role, url), {})
        assert known.setdefault(tag, response.content) == response.content
        again = self.account.clients[role].get(url, headers={"if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")

    def _create(  # noqa: PLR0917
        self,
        role: str,
        attributes: dict[str, Any],
        way: str,
        include: str,
        suffix: str,
        key_number: int = 0,
    ) -> None:
        faults = self.model.faults(attributes, role, creating=True)
        path, sent = f"/status_reports{suffix}", body_of(attributes, way)
        key = ""
        if key_number and way != "multipart":  # its boundary differs each time
            key = f"key {len(self.kept)}".replace(" ", "-")
            sent["headers"] = {**sent.get("headers", {}), "idempotency-key": key}
        response, span = self._write(role, "POST", path, include, sent)
        if key:
            made = int(response.json()["results"][0]["id"]) if response.is_success else None
            self.kept.append((role, path, include, sent, response, made))
        workspace_id = str(attributes.get("workspace_id"))
        is_allowed = self.model.may_write(role, workspace_id)
        if self._is_refusal(response, faults, is_allowed=is_allowed or "workspace_id" in faults):
            return
        record, body = self._one(response)
        report = Report(
            id=int(record["id"]),
            workspace_id=workspace_id,
            creator_id=self.user_ids[role],
            color=attributes["color"],
            description=adopted(attributes["description"], record["description"]),
            created=span,
            updated=span,
        )
        assert report.id not in self.model.reports
        self._take_parts(report, attributes, record)
        self.model.reports[report.id] = report
        self._says(report, "created")
        self.ids.append(record["id"])
        self._agrees(body, [report], included([("include", include)]))

    @rule(data=st.data(), role=roles, way=ways, include=includes, suffix=suffixes)
    def update(self, data: st.DataObject, role: str, way: str, include: str, suffix: str) -> None:
        changes = data.draw(st.fixed_dictionaries({}, optional=good_changes), label="changes")
        self._update(data, role, changes, way, include + suffix)

    @rule(data=st.data(), role=roles, way=ways, include=includes)
    def update_anything(self, data: st.DataObject, role: str, way: str, include: str) -> None:
        changes = data.draw(st.fixed_dictionaries({}, optional=any_changes), label="changes")
        self._update(data, role, changes, way, include)

    @rule(data=st.data(), role=roles, way=ways)
    def repeat(self, data: st.DataObject, role: str, way: str) -> None:
        """Update a report with its current values, and with a workspace, which cannot change."""
        path_id = self._pick(data)
        report = self.model.find("administrator", path_id)
        changes = {"workspace_id": self.account.workspaces[1]}
        if report:
            same = {
                "color": report.color,
                "description": report.description,
                "details": report.details[::-1],
            }
            names = data.draw(st.sets(st.sampled_from(sorted(same))), label="names")
            changes |= {name: same[name] for name in sorted(names)}
        self._update(data, role, changes, way, "", path_id)

    def _update(  # noqa: PLR0917
        self,
        data: st.DataObject,
        role: str,
        changes: dict[str, Any],
        way: str,
        include: str,
        path_id: str = "",
    ) -> None:
        path_id = path_id or self._pick(data)
        method = data.draw(st.sampled_from(["PUT", "PUT", "PATCH"]), label="method")
        suffix = data.draw(suffixes, label="suffix")
        faults = self.model.faults(changes, role, creating=False)
        path = f"/status_reports/{quote(path_id)}{suffix}"
        response, span = self._write(role, method, path, include, body_of(changes, way))
        report = self.model.find(role, path_id)
        if report is None and response.status_code == 404:
            assert_failure(response, 404)
            self.is_refused = True
            return
        is_allowed = report is not None and self.model.may_write(role, report.workspace_id)
        if self._is_refusal(response, faults, is_allowed=is_allowed):
            return
        assert report is not None
        record, body = self._one(response)
        before = (report.color, report.description, report.details)
        report.color = changes.get("color", report.color)
        if "description" in changes:
            report.description = adopted(changes["description"], record["description"])
        self._take_parts(report, changes, record)
        if before != (report.color, report.description, report.details):
            report.updated, report.updater_id = span, self.user_ids[role]
            self._says(report, "updated")
        elif "external_reference" in changes:
            report.updater_id = self._either(record, report, role)
            if self._is_updated_after(span.begin, report):
                report.updated = span
        else:
            report.updater_id = self._either(record, report, role)
        self._agrees(body, [report], included([("include", include)]))

    def _either(self, record: dict[str, Any], report: Report, role: str) -> str | None:
        """The contract leaves open whether an update without changes sets the updater."""
        assert record["updater_id"] in (report.updater_id, self.user_ids[role])
        return record["updater_id"]

    def _is_updated_after(self, moment: datetime, report: Report) -> bool:
        params = {"updated_after": moment.isoformat(), "only": str(report.id)}
        return self.account.api.get("/status_reports", params=params).json()["count"] == 1

    def _take_parts(self, report: Report, changes: dict[str, Any], record: dict[str, Any]) -> None:
        if "details" in changes:
            sent = {detail["category"]: detail for detail in changes["details"]}
            shown = {detail["category"]: detail for detail in record["details"]}
            assert set(sent) == set(shown)
            report.details = [
                {
                    "category": name,
                    "color": sent[name]["color"],
                    "description": adopted(
                        sent[name].get("description"), shown[name]["description"]
                    ),
                }
                for name in CATEGORIES
                if name in sent
            ]
        if "external_reference" in changes:
            sent = changes["external_reference"]
            empty = {"external_status": None, "external_message": None, "external_link": None}
            stored = {**empty, "locked": None, "status": "successful"}
            stored |= report.references.get(sent["service_name"], {})
            known = (*REFERENCE_NAMES, *empty, "locked", "status")
            stored |= {name: sent[name] for name in known if name in sent}
            report.references[sent["service_name"]] = stored

    @rule(data=st.data(), role=roles, suffix=suffixes)
    def delete(self, data: st.DataObject, role: str, suffix: str) -> None:
        path_id = self._pick(data)
        path = f"/status_reports/{quote(path_id)}{suffix}"
        response, _ = self._write(role, "DELETE", path, "", {})
        report = self.model.find(role, path_id)
        if report is None:
            assert_failure(response, 404)
        elif not self.model.may_write(role, report.workspace_id):
            assert_failure(response, 403)
        else:
            assert (response.status_code, response.content) == (204, b"")
            del self.model.reports[report.id]
            self.deleted[report.id] = report
            self._says(report, "deleted")
            self._audits(role, AuditAction.REPORT_DELETED, report)
        self.is_refused = True

    @rule(
        data=st.data(),
        role=roles,
        body=st.sampled_from(
            [
                ("", JSON, 400),
                ("{", JSON, 400),
                ('{"status_report": {"color": "red"}', JSON, 400),
                ("[]", JSON, 400),
                ("null", JSON, 400),
                ("{}", JSON, 400),
                ('{"report": {"color": "red"}}', JSON, 400),
                ('{"status_report": null}', JSON, 400),
                ('{"status_report": []}', JSON, 400),
                ('{"status_report": "red"}', JSON, 400),
                ('{"status_report": {"color": "red"}}', {"content-type": "text/plain"}, 415),
                ("color=red", {"content-type": "application/x-www-form-urlencoded"}, 400),
                (" " * (1 << 20) + '{"status_report": {}}', JSON, 413),
            ]
        ),
    )
    def send_malformed(
        self, data: st.DataObject, role: str, body: tuple[str, dict[str, str], int]
    ) -> None:
        content, headers, status = body
        path_id = data.draw(st.sampled_from(["", str(min(self.model.reports, default=0))]))
        method, path = (
            ("PUT", f"/status_reports/{path_id}") if path_id else ("POST", "/status_reports")
        )
        response, _ = self._write(role, method, path, "", {"content": content, "headers": headers})
        self.is_refused = True
        if path_id and self.model.find(role, path_id) is None and response.status_code == 404:
            return
        if response.status_code == 403:
            assert role not in ("administrator", "editor")
            return
        errors = assert_failure(response, status)
        if content in ("{}", '{"status_report": []}', '{"status_report": "red"}', "color=red"):
            assert any("status_report" in error["message"] for error in errors)

    # -- reads

    @rule(data=st.data(), role=roles, include=includes, suffix=suffixes)
    def show(self, data: st.DataObject, role: str, include: str, suffix: str) -> None:
        path_id = self._pick(data)
        decoys: list[Pairs] = [
            [],
            [("include", "creator"), ("unknown", "1")],
            [("only", "0"), ("workspace_id", "0"), ("per_page", "7"), ("order", "id:desc")],
            [("has_external_references", "maybe"), ("created_after", "never")],
        ]
        pairs = [*data.draw(st.sampled_from(decoys), label="decoys"), ("include", include)]
        response = self.account.clients[role].get(
            f"/status_reports/{quote(path_id)}{suffix}", params=pairs
        )
        report = self.model.find(role, path_id)
        self._tagged(role, str(response.request.url), response)
        if report is None:
            assert_failure(response, 404)
        else:
            _, body = self._one(response)
            self._agrees(body, [report], included(pairs))

    @rule(data=st.data(), role=roles, suffix=suffixes)
    def list_reports(self, data: st.DataObject, role: str, suffix: str) -> None:
        self._list(role, self._query(data), suffix)

    @precondition(lambda self: self.is_refused)
    @invariant()
    def nothing_else_changed(self) -> None:
        """After each refusal and deletion, the whole account agrees with the model."""
        self.is_refused = False
        everything = [("include", "external_references,updater"), ("per_page", "200")]
        self._list("administrator", everything, "")

    def _list(self, role: str, pairs: Pairs, suffix: str) -> None:
        response = self.account.clients[role].get(f"/status_reports{suffix}", params=pairs)
        self._tagged(role, str(response.request.url), response)
        try:
            page = self.model.page(role, pairs)
        except Undecided:
            return
        if isinstance(page, Refused):
            assert_failure(response, 400)
            assert page.parameter in response.text
            return
        ids = [str(report.id) for report in page.reports]
        body = assert_envelope(response, "status_reports", ids, **page.meta)
        assert body["count"] == page.meta["count"]
        self._agrees(body, page.reports, page.include)

    def _query(self, data: st.DataObject) -> Pairs:
        """Random parameters in any order; few of them are invalid."""
        number = st.sampled_from(["1", "2", "3", "4", "0", "-1", "5x", "x", "300", "+2", "9" * 15])
        draw = data.draw
        pairs: Pairs = []
        for name in draw(st.lists(st.sampled_from(FILTERS), unique=True, max_size=3), "filters"):
            pairs.append((name, self._filter_value(data, name)))
        paging = draw(st.sampled_from(["", "page", "page", "limit", "only"]), "paging")
        if paging == "page":
            names = draw(st.sets(st.sampled_from(["page", "per_page"]), min_size=1))
            pairs += [(name, draw(number, name)) for name in sorted(names)]
        if paging == "limit":
            names = draw(st.sets(st.sampled_from(["limit", "offset", "page", "per_page"])))
            pairs += [(name, draw(number, name)) for name in sorted(names)]
        if paging == "only":
            parts = st.lists(st.sampled_from([*self.ids, " 1", "\u0663", *self.ids]), min_size=1)
            pairs.append(("only", ",".join(draw(parts, "only"))))
        if draw(st.booleans(), "ordered"):
            name = draw(st.sampled_from(["created_at", "updated_at", "id", "color", "title"]))
            direction = draw(st.sampled_from(["", ":desc", ":asc", ":DESC", ":"]))
            pairs.append(("order", name + direction))
        if draw(st.booleans(), "including"):
            pairs.append(("include", draw(includes, "include")))
        if draw(st.integers(0, 9), "fault") == 9:
            pairs.append(draw(st.sampled_from(FAULTS), "at fault"))
        extra: list[Pairs] = [[], [("search", "zzz")], [("unknown", "1"), ("status", "red")]]
        pairs = draw(st.permutations(pairs + draw(st.sampled_from(extra), "extra")))
        if pairs and draw(st.integers(0, 4), "repeated") == 4:
            pairs = [(pairs[-1][0], "3"), *pairs]
        return pairs

    def _filter_value(self, data: st.DataObject, name: str) -> str:
        if name == "creator_id":
            return data.draw(st.sampled_from([*self.user_ids.values(), "0"]), "creator")
        if name in INSTANTS:
            moment = self.moments[data.draw(st.integers(0, len(self.moments) - 1))]
            shapes = [
                moment.isoformat(),
                moment.isoformat().replace("+00:00", "Z"),
                moment.replace(tzinfo=None).isoformat(),
                moment.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(),
                moment.astimezone(timezone(-timedelta(hours=8))).isoformat(),
                moment.isoformat(timespec="seconds"),
                f"{moment + timedelta(days=2):%Y-%m-%d}",
                "2020-02-29",
                "",
            ]
            return shapes[data.draw(st.integers(0, len(shapes) - 1), label=name)]
        if name == "workspace_id":
            first, second = self.account.workspaces
            foreign = self.elsewhere.workspaces[0]
            texts = [first, second, f"{first},{second}", f"{second},{foreign}", foreign, "0", ""]
            return texts[data.draw(st.integers(0, len(texts) - 1), label=name)]
        return data.draw(FILTER_VALUES[name], label=name)

    # -- helpers of the rules

    def _pick(self, data: st.DataObject) -> str:
        """An id: mostly of a report that exists, sometimes of none."""
        there = sorted(self.model.reports)
        if there and data.draw(st.integers(0, 4), label="kind of id"):
            return str(there[data.draw(st.integers(0, len(there) - 1), label="which")])
        return self.ids[data.draw(st.integers(0, len(self.ids) - 1), label="which of all")]

    def _write(
        self, role: str, method: str, path: str, include: str, body: dict[str, Any]
    ) -> tuple[httpx.Response, Span]:
        begin = now()
        self.moments.append(begin)
        response = self.account.clients[role].request(
            method, path, params={"include": include}, **body
        )
        return response, Span(begin, now())

    def _is_refusal(self, response: httpx.Response, faults: list[str], *, is_allowed: bool) -> bool:
        if is_allowed and not faults:
            return False
        self.is_refused = True
        if not is_allowed and response.status_code == 403:
            assert_failure(response, 403)
        else:
            assert faults, f"403 expected: {response.status_code} {response.text}"
            assert_failure(response, 422, "validation", *faults)
        return True

    def _one(self, response: httpx.Response) -> tuple[dict[str, Any], dict[str, Any]]:
        body = assert_envelope(
            response, "status_reports", count=1, page_count=1, page_number=1, page_size=20
        )
        assert len(body["results"]) == 1
        return body["status_reports"][body["results"][0]["id"]], body

    def _agrees(self, body: dict[str, Any], reports: list[Report], include: set[str]) -> None:
        """Check that the body has these reports and the included objects, and no others."""
        keys = {KINDS[name] for name in include}
        assert set(body) == {"count", "results", "status_reports", "meta"} | keys
        assert set(body["status_reports"]) == {str(report.id) for report in reports}
        for report in reports:
            self._agrees_on(body["status_reports"][str(report.id)], report, include)
        people = set()
        if "creator" in include:
            people |= {report.creator_id for report in reports}
        if "updater" in include:
            people |= {report.updater_id for report in reports if report.updater_id}
        if "users" in keys:
            assert set(body["users"]) == people
            names = {self.user_ids[one]: f"The {one}" for one in ROLES}
            for key, user in body["users"].items():
                assert (user["id"], user["full_name"]) == (key, names[key])
        if "workspaces" in keys:
            assert set(body["workspaces"]) == {report.workspace_id for report in reports}
            titles = dict(zip(self.account.workspaces, ("First", "Second"), strict=True))
            for key, space in body["workspaces"].items():
                assert (space["id"], space["title"]) == (key, titles[key])
        if "external_references" in keys:
            self._agrees_on_references(body, reports)

    def _agrees_on(self, record: dict[str, Any], report: Report, include: set[str]) -> None:
        expected = {
            "id": str(report.id),
            "workspace_id": report.workspace_id,
            "creator_id": report.creator_id,
            "updater_id": report.updater_id,
            "color": report.color,
            "description": report.description,
            "details": report.details,
        }
        rest = {"created_at", "updated_at"}
        if "external_references" in include:
            rest.add("external_reference_ids")
        assert {key: value for key, value in record.items() if key not in rest} == expected
        assert rest <= set(record)
        for name, span in (("created_at", report.created), ("updated_at", report.updated)):
            assert TIME.fullmatch(record[name])
            assert span.holds(record[name]), (name, record[name], span)

    def _agrees_on_references(self, body: dict[str, Any], reports: list[Report]) -> None:
        shown = body["external_references"]
        referred = []
        for report in reports:
            ids = body["status_reports"][str(report.id)]["external_reference_ids"]
            referred += ids
            assert len(ids) == len(report.references)
            assert {shown[key]["service_name"] for key in ids} == set(report.references)
            for key in ids:
                record = dict(shown[key])
                assert record["id"] == key
                assert record["subject_id"] == report.id
                assert TIME.fullmatch(record["last_synced_at"])
                stored = report.references[record["service_name"]]
                if stored["locked"] is None:
                    record["locked"] = record["locked"] or None
                assert {name: record[name] for name in stored} == stored
        assert sorted(referred) == sorted(shown)


def adopted(sent: str | None, shown: str | None) -> str | None:
    """The stored text: the contract leaves open whether outer white space is removed."""
    allowed = {sent, sent.strip()} if sent else {sent, None}
    assert shown in allowed
    return shown


FILTERS = (
    *INSTANTS,
    "workspace_id",
    "has_external_references",
    *REFERENCE_FILTERS,
    "external_reference_service_model_refs",
    "without_external_reference_service_name",
    "color",
    "creator_id",
    "category_color",
    "current",
    "text",
)
FILTER_VALUES = {
    "has_external_references": st.sampled_from(["true", "false", "TRUE", "FALSE", ""]),
    "external_reference_service_name": service_names | st.sampled_from(["JIRA", ""]),
    "external_reference_service_model": service_models | st.sampled_from(["Epic", ""]),
    "external_reference_service_model_ref": service_refs | st.sampled_from(["01", "nobody's", ""]),
    "external_reference_external_status": external_statuses | st.just(""),
    "external_reference_external_message": external_messages | st.just(""),
    "external_reference_status": st.sampled_from(["successful", "successful", "failed", ""]),
    "external_reference_service_model_refs": st.one_of(
        st.lists(service_refs | st.just("99"), min_size=1, max_size=4).map(",".join),
        st.just(",".join(map(str, range(200)))),
        st.just(""),
    ),
    "without_external_reference_service_name": service_names | st.just(""),
    "color": st.lists(colors, max_size=2).map(",".join),
    "category_color": st.builds("{}:{}".format, st.sampled_from(CATEGORIES), colors),
    "current": st.sampled_from(["true", "false", "TRUE", ""]),
    "text": st.sampled_from(["report", "Report 1", "REP", "eport", "padd", "Padded padded", "?"]),
}


def test_every_filter_is_asked_for() -> None:
    assert set(FILTERS) == {one.name for one in STATUS_REPORTS.filters}


FAULTS = (
    *((name, value) for name in INSTANTS for value in ("yesterday", "2026-13-01", "0")),
    ("workspace_id", "abc"),
    ("workspace_id", "1,x"),
    ("has_external_references", "maybe"),
    ("external_reference_service_model_refs", ",".join(map(str, range(201)))),
    ("color", "red,purple"),
    ("creator_id", "me"),
    ("category_color", "Budget"),
    ("category_color", "Risk:red"),
    ("current", "newest"),
)


@pytest.fixture
def hidden(other_account: Account) -> str:
    return other_account.report(external_reference=dict.fromkeys(REFERENCE_NAMES, "jira"))


@effort(50, 1_000)
@given(
    page=st.one_of(st.integers(-3, 3), st.integers()), rest=st.sampled_from(["", "x", ".9", "-"])
)
def test_the_page_number_is_the_integer_of_page_as_sent(
    other_account: Account, hidden: str, page: int, rest: str
) -> None:
    response = other_account.api.get("/status_reports", params={"page": f"{page}{rest}"})
    shown = [hidden] if page <= 1 else []
    assert_envelope(response, "status_reports", shown, page_number=page, count=1)


def test_any_sequence_of_calls_agrees_with_the_model(
    server: Server, database: Database, other_account: Account, hidden: str
) -> None:
    run_state_machine_as_test(
        lambda: Machine(server, database, other_account, hidden),
        settings=effort(5, 700, stateful_step_count=50),
    )
