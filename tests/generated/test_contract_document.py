"""Generated calls, valid and invalid, get only answers that the OpenAPI documents describe."""

import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from conftest import Account, Server
from effort import effort

# Answers are made of the same values on every store.
pytestmark = pytest.mark.one_store

CONTRACT = Path(__file__).parents[2] / "docs/reference/contract/status_reports.openapi.yaml"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


_numbers = itertools.count()


class Aim:
    """Directs two of three generated calls to objects that exist."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.sessions = []
        for role in ("administrator", "administrator", "administrator", "viewer"):
            self.sessions.append(requests.Session())
            self.sessions[-1].headers["authorization"] = f"Bearer {account.secrets[role]}"
        self.reports = [self.report() for _ in range(6)]
        self.ids = {
            "status_reports": self.reports,
            "workspaces": account.workspaces,
            "users": [str(user.id) for user in account.users.values()],
            "external_references": self.references(),
            "participations": [self.participation()],
            # Only the outsider's, since the memberships of the callers must not change.
            "account_memberships": self.found("account_memberships", user_id=self.outsider),
            "workspace_groups": [self.group()],
            "deleted_status_reports": [self.deleted_report()],
            "audit_events": [],
        }

    def report(self) -> str:
        # A generated call may have archived the workspace.
        path = f"/workspaces/{self.account.workspaces[0]}"
        self.account.api.put(path, json={"workspace": {"archived": False}})
        return self.account.report(
            details=[{"category": "Scope", "color": "red"}],
            external_reference={
                "service_name": "jira",
                "service_model": "issue",
                "service_model_ref": "1",
            },
        )

    def deleted_report(self) -> str:
        report = self.report()
        self.account.api.delete(f"/status_reports/{report}")
        return report

    @property
    def outsider(self) -> str:
        return str(self.account.users["outsider"].id)

    def references(self) -> list[str]:
        return self.found("external_references", subject_type="StatusReport")

    def participation(self) -> str:
        """The outsider's participation, created if it does not exist."""
        sent = {
            "workspace_id": self.account.workspaces[0],
            "user_id": self.outsider,
            "permission": "view",
        }
        self.account.api.post("/participations", json={"participation": sent})
        [found] = self.found(
            "participations", user_id=self.outsider, workspace_id=sent["workspace_id"]
        )
        return found

    def group(self) -> str:
        """A group with one workspace: users who see the workspace see the group."""
        sent = {
            "name": f"Group {next(_numbers)}",
            "add_workspace_ids": self.account.workspaces[:1],
        }
        made = self.account.api.post("/workspace_groups", json={"workspace_group": sent}).json()
        return str(made["results"][0]["id"])

    def found(self, collection: str, **params: str) -> list[str]:
        shown = self.account.api.get(f"/{collection}", params=params).json()
        return [one["id"] for one in shown["results"]]

    def take(self, case: schemathesis.Case) -> requests.Session:
        """Direct the case to an existing object. Returns the session that sends it."""
        number = zlib.crc32(repr((case.path_parameters, case.query, case.body)).encode())
        session = self.sessions[number // 7 % 4]
        if number % 3 == 0:
            return session
        collection = case.path.split("/")[1].partition(".")[0]
        ids = self.ids[collection]
        if "id" in (case.path_parameters or {}) and ids:
            case.path_parameters["id"] = int(ids[number % len(ids)])
        if isinstance(case.body, dict):
            for name, known in (
                ("workspace_id", self.account.workspaces),
                ("subject_id", self.reports),
            ):
                for attributes in case.body.values():
                    if isinstance(attributes, dict) and name in attributes and known:
                        attributes[name] = known[number % len(known)]
                        if name == "subject_id":
                            attributes["subject_type"] = "StatusReport"
        return session

    def refill(self, case: schemathesis.Case, status: int) -> None:
        """Replace an object that the case deleted."""
        if case.path.startswith("/deleted_status_reports"):
            if status in (200, 204) and case.path_parameters:
                self.ids["deleted_status_reports"][:] = [self.deleted_report()]
        elif status == 204 and case.path.startswith("/participations"):
            self.ids["participations"][:] = [self.participation()]
        elif status == 204 and case.path.startswith("/workspace_groups"):
            self.ids["workspace_groups"][:] = [self.group()]
        elif status == 204:
            gone = str(case.path_parameters["id"])
            self.reports[:] = [one for one in self.reports if one != gone] + [self.report()]
            self.ids["external_references"][:] = self.references()


@pytest.fixture
def aim(account: Account) -> Iterator[Aim]:
    made = Aim(account)
    yield made
    for session in made.sessions:
        session.close()


def loaded(document: dict[str, Any], server: Server) -> Any:
    config = SchemathesisConfig()
    config.projects.default.update(base_url=f"{server.base}/api/v1")
    return schemathesis.openapi.from_dict(document, config=config)


@pytest.fixture
def contract(server: Server) -> Any:
    """The contract's document, with the three refusals that protocol.md adds to any operation."""
    document = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))
    for item in document["paths"].values():
        for operation in item.values():
            for status in ("405", "413", "415"):
                operation["responses"][status] = operation["responses"]["400"]
    return loaded(document, server)


@pytest.fixture
def own(server: Server) -> Any:
    """The server's own document, unchanged."""
    return loaded(requests.get(f"{server.base}/openapi.json", timeout=10).json(), server)


def hold(case: schemathesis.Case, aim: Aim) -> None:
    response = case.call(session=aim.take(case))
    aim.refill(case, response.status_code)
    case.validate_response(response, checks=CHECKS)


def hold_all(
    schema: Any, aim: Aim, subtests: pytest.Subtests, tries: settings, but: frozenset[str]
) -> None:
    """Check every operation with valid and invalid data: random data, and edge cases of the schema.

    Operations whose label is in `but` are skipped. If `but` is not empty, so are all edge cases.
    """
    for operation in (result.ok() for result in schema.get_all_operations()):
        if operation.label in but:
            continue
        for mode in schemathesis.GenerationMode:
            with subtests.test(operation=operation.label, data=mode.value, cases="random"):
                hold_random(operation.as_strategy(mode), aim, tries)
            if but:
                continue
            with subtests.test(operation=operation.label, data=mode.value, cases="edges"):
                for case in schema.iter_coverage_cases(
                    operation, generation_modes=[mode], generation_config=schema.config.generation
                ):
                    hold(case, aim)


def hold_random(cases: st.SearchStrategy[schemathesis.Case], aim: Aim, tries: settings) -> None:
    @tries
    @given(case=cases)
    def holds(case: schemathesis.Case) -> None:
        hold(case, aim)

    try:
        holds()
    except Unsatisfiable:
        return  # an operation without parameters has no invalid data


def test_every_answer_is_in_the_contract(
    contract: Any, aim: Aim, subtests: pytest.Subtests
) -> None:
    hold_all(contract, aim, subtests, effort(6, 1_500), frozenset())


def test_every_answer_is_in_the_servers_own_document(
    own: Any, contract: Any, aim: Aim, subtests: pytest.Subtests
) -> None:
    """Without the operations of the contract, which the test above covers; all when fuzzing."""
    labels = {result.ok().label for result in contract.get_all_operations()}
    tries = effort(2, 300)
    is_bounded = tries.max_examples == effort(2, 2).max_examples
    hold_all(own, aim, subtests, tries, frozenset(labels) if is_bounded else frozenset())
