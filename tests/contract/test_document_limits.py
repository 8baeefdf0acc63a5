"""The OpenAPI document states the rules for bodies: required attributes, lengths, choices."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from jsonschema import Draft202012Validator

from healthreports.contract.bodies import read_body
from healthreports.contract.openapi import document
from healthreports.core.errors import Fault, Problem
from healthreports.core.rules import people, references, reports

WHOLE = {
    "account_name": "acme",
    "workspace_id": "1",
    "user_id": "1",
    "color": "red",
    "description": "D",
    "details": [{"category": "Scope", "color": "red", "description": "D"}],
    "external_reference": {
        "service_name": "s",
        "service_model": "m",
        "service_model_ref": "r",
        "external_link": "https://example.org/",
    },
    "subject_type": "StatusReport",
    "subject_id": "1",
    "service_name": "s",
    "service_model": "m",
    "service_model_ref": "r",
    "title": "T",
    "permission": "view",
    "full_name": "N",
    "name": "G",
    "email_address": "n@example.org",
    "taker_id": "1",
}
Check = Callable[[dict[str, Any]], list[Problem]]
CHECKS: dict[str, Check] = {
    "CreateStatusReport": lambda sent: reports.check_new_report(sent)[1],
    "UpdateStatusReport": lambda sent: reports.check_report_change(sent)[1],
    "CreateOrUpdateExternalReference": lambda sent: references.check_reference(sent)[2],
    "CreateWorkspace": lambda sent: people.check_workspace(sent, new=True)[2],
    "UpdateWorkspace": lambda sent: people.check_workspace(sent, new=False)[2],
    "CreateParticipation": lambda sent: people.check_participation(sent, new=True)[1],
    "UpdateParticipation": lambda sent: people.check_participation(sent, new=False)[1],
    "CreateAccountMembership": lambda sent: people.check_membership(sent, new=True)[1],
    "CreateWorkspaceGroup": lambda sent: people.check_group(sent, new=True)[2],
    "UpdateWorkspaceGroup": lambda sent: people.check_group(sent, new=False)[2],
    "UpdateAccountMembership": lambda sent: people.check_membership(sent, new=False)[1],
    "HandOverAccountMembership": lambda sent: people.check_taker(sent)[1],
    "DeleteWorkspaceForGood": lambda sent: people.check_typed(sent, "title")[1],
    "DeleteAccount": lambda sent: people.check_typed(sent, "account_name")[1],
    "ChangeAddressOfAccountMembership": lambda sent: people.check_address(sent)[1],
}


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of each operation with a body, and the schema of its attributes."""
    for methods in document()["paths"].values():
        for operation in methods.values():
            if "requestBody" in operation and operation["operationId"] != "PatchStatusReport":
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                [attributes] = schema.get("anyOf", [schema])[0]["properties"].values()
                yield operation["operationId"], attributes


def whole(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    sent = {key: value for key, value in WHOLE.items() if key in schema["properties"]}
    if "AccountMembership" in name:
        sent["permission"] = "collaborator"
    if "Workspace" in name:
        sent.pop("description", None)
    return sent


OPERATIONS = list(bodies())


def test_every_body_is_checked_here() -> None:
    assert {name for name, _ in OPERATIONS} == set(CHECKS)


@pytest.mark.parametrize(("name", "schema"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_a_whole_body_has_no_fault_and_each_required_attribute_is(
    name: str, schema: dict[str, Any]
) -> None:
    sent = whole(name, schema)
    assert CHECKS[name](sent) == []
    for attribute in schema["properties"]:
        without = {key: value for key, value in sent.items() if key != attribute}
        missing = [one.field for one in CHECKS[name](without) if one.fault is Fault.MISSING]
        assert (missing == [attribute]) is (attribute in schema.get("required", []))


@pytest.mark.parametrize(("name", "schema"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_lengths_and_choices_are_those_of_the_document(name: str, schema: dict[str, Any]) -> None:
    sent = whole(name, schema)
    for attribute, one in schema["properties"].items():
        kinds = one.get("type", [])
        if "maxLength" in one and "format" not in one and attribute != "email_address":
            limit = one["maxLength"]
            assert CHECKS[name]({**sent, attribute: "x" * limit}) == [], attribute
            [problem] = CHECKS[name]({**sent, attribute: "x" * (limit + 1)})
            assert (problem.fault, problem.limit) == (Fault.TOO_LONG, limit)
        if "enum" in one:
            for option in one["enum"]:
                assert CHECKS[name]({**sent, attribute: option}) == []
            [problem] = CHECKS[name]({**sent, attribute: "something else"})
            assert (problem.fault, list(problem.options)) == (Fault.NOT_IN, one["enum"])
        is_nullable = "null" in kinds
        assert (CHECKS[name]({**sent, attribute: None}) == []) is is_nullable, attribute


def test_the_nested_schemas_have_the_limits_of_the_rules() -> None:
    schema = dict(OPERATIONS)["CreateStatusReport"]["properties"]
    limit = schema["details"]["items"]["properties"]["description"]["maxLength"]
    detail = {"category": "Scope", "color": "red", "description": "x" * (limit + 1)}
    sent = {**whole("CreateStatusReport", dict(OPERATIONS)["CreateStatusReport"])}
    [problem] = reports.check_new_report({**sent, "details": [detail]})[1]
    assert (problem.field, problem.limit) == ("details[0].description", limit)
    for name, one in schema["external_reference"]["properties"].items():
        if "maxLength" in one and "format" not in one:
            reference = {**WHOLE["external_reference"], name: "x" * (one["maxLength"] + 1)}
            [problem] = reports.check_new_report({**sent, "external_reference": reference})[1]
            assert (problem.field, problem.limit) == (
                f"external_reference.{name}",
                one["maxLength"],
            )


@pytest.mark.parametrize(("name", "schema"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_a_pattern_of_the_document_is_one_that_is_demanded(
    name: str, schema: dict[str, Any]
) -> None:
    sent = whole(name, schema)
    for attribute, one in schema["properties"].items():
        if "pattern" in one:
            assert not re.search(one["pattern"], "no such form"), attribute
            assert CHECKS[name]({**sent, attribute: "no such form"}) != [], attribute
    if "details" in schema["properties"]:
        twice = [{"category": "Scope", "color": "red"}, {"category": "Scope", "color": "green"}]
        validator = Draft202012Validator(schema["properties"]["details"])
        assert validator.is_valid(twice[:1])
        assert not validator.is_valid(twice)
        assert CHECKS[name]({**sent, "details": twice}) != []


def forms() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The name of each operation with a body, the media type of a form, and its schema."""
    for methods in document()["paths"].values():
        for operation in methods.values():
            for media, one in operation.get("requestBody", {"content": {}})["content"].items():
                if media != "application/json":
                    yield operation["operationId"], media, one["schema"]


@pytest.mark.parametrize(
    ("name", "schema"),
    [(name, schema) for name, media, schema in forms() if media.endswith("urlencoded")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_names_of_a_form_are_read_as_the_attributes(name: str, schema: dict[str, Any]) -> None:
    sent = urlencode([(one, "1") for one in schema["properties"]]).encode()
    root = next(iter(schema["properties"])).partition("[")[0]
    read = read_body(sent, "application/x-www-form-urlencoded", root).attributes

    def names(value: Any, at: str) -> Iterator[str]:
        if isinstance(value, dict):
            for key, one in value.items():
                yield from names(one, f"{at}[{key}]")
        else:
            yield f"{at}[]" if isinstance(value, list) else at

    assert sorted(names(dict(read), root)) == sorted(schema["properties"]), name
