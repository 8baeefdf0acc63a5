"""The server's own OpenAPI document promises everything that the contract's document does."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from jsonschema import Draft202012Validator

from conftest import Server
from healthreports.contract.resources import RESOURCES
from healthreports.core.vocabulary import Kind

CONTRACT = yaml.safe_load(
    (Path(__file__).parents[2] / "docs/reference/contract/status_reports.openapi.yaml").read_text(
        "utf-8"
    )
)
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
OPERATIONS = [(path, method) for path, item in CONTRACT["paths"].items() for method in item]
LABELS = {
    "type": "object",
    "required": ["openapi", "info", "paths"],
    "properties": {
        "openapi": {"type": "string", "pattern": r"^3\.1\.\d+$"},
        "info": {
            "type": "object",
            "required": ["title", "version"],
            "properties": {"title": {"type": "string"}, "version": {"type": "string"}},
        },
        "servers": {
            "type": "array",
            "items": {"type": "object", "required": ["url"]},
        },
        "security": {"$ref": "#/$defs/security"},
        "paths": {
            "type": "object",
            "propertyNames": {"pattern": "^/"},
            "additionalProperties": {
                "type": "object",
                "properties": {key: {"$ref": "#/$defs/operation"} for key in METHODS},
                "propertyNames": {
                    "enum": [*METHODS, "summary", "description", "servers", "parameters"]
                },
            },
        },
        "components": {
            "type": "object",
            "properties": {
                "schemas": {"type": "object", "propertyNames": {"pattern": r"^[\w.-]+$"}},
                "securitySchemes": {
                    "type": "object",
                    "additionalProperties": {"type": "object", "required": ["type"]},
                },
            },
        },
    },
    "$defs": {
        "security": {
            "type": "array",
            "items": {"type": "object", "additionalProperties": {"type": "array"}},
        },
        "content": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": "^[^/]+/[^/]+$"},
            "additionalProperties": {"type": "object", "required": ["schema"]},
        },
        "parameter": {
            "type": "object",
            "required": ["name", "in", "schema"],
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "in": {"enum": ["query", "path", "header", "cookie"]},
                "required": {"type": "boolean"},
                "description": {"type": "string"},
            },
            "if": {"properties": {"in": {"const": "path"}}},
            "then": {"required": ["required"], "properties": {"required": {"const": True}}},
        },
        "operation": {
            "type": "object",
            "required": ["operationId", "responses"],
            "properties": {
                "operationId": {"type": "string", "pattern": r"^\w+$"},
                "parameters": {"type": "array", "items": {"$ref": "#/$defs/parameter"}},
                "requestBody": {
                    "type": "object",
                    "required": ["content"],
                    "properties": {"content": {"$ref": "#/$defs/content"}},
                },
                "responses": {
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": {"pattern": "^([1-5][0-9][0-9]|default)$"},
                    "additionalProperties": {
                        "type": "object",
                        "required": ["description"],
                        "properties": {"content": {"$ref": "#/$defs/content"}},
                    },
                },
                "security": {"$ref": "#/$defs/security"},
            },
        },
    },
}

Schema = dict[str, Any]


@pytest.fixture(scope="module")
def own(server: Server) -> Schema:
    response = httpx.get(f"{server.base}/openapi.json")
    assert response.status_code == 200
    return response.json()


def operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def every(node: Any) -> Iterator[Schema]:
    """Every object in a document, starting at the root."""
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from every(child)
    elif isinstance(node, list):
        for child in node:
            yield from every(child)


def pointed(document: Schema, reference: str) -> Any:
    assert reference.startswith("#/"), f"{reference} leads out of the document"
    node: Any = document
    for part in reference[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        assert isinstance(node, dict), reference
        assert key in node, reference
        node = node[key]
    return node


def resolved(document: Schema, node: Schema) -> Schema:
    while "$ref" in node:
        node = pointed(document, node["$ref"])
    return node


def types(schema: Schema) -> set[str]:
    named = schema.get("type", [])
    return {named} if isinstance(named, str) else set(named)


class Comparison:
    """Collects what the contract's schemas have and ours lack. `incoming`: what clients send."""

    def __init__(self, own: Schema) -> None:
        self.own = own
        self.missing: list[str] = []

    def expect(self, *, holds: bool, at: str, what: str) -> None:
        if not holds:
            self.missing.append(f"{at}: {what}")

    def schema(self, theirs: Schema, ours: Schema, at: str, *, is_incoming: bool) -> None:
        theirs, ours = resolved(CONTRACT, theirs), resolved(self.own, ours)
        wide, narrow = (ours, theirs) if is_incoming else (theirs, ours)
        allowed = types(wide) | ({"integer"} if "number" in types(wide) else set())
        self.expect(
            holds=bool(types(narrow)) and types(narrow) <= allowed,
            at=at,
            what=f"type {ours.get('type')} for {theirs.get('type')}",
        )
        for name in ("enum", "format"):
            if name in theirs and (name in ours or not is_incoming):
                self.expect(
                    holds=ours.get(name) == theirs[name],
                    at=at,
                    what=f"{name} {ours.get(name)} for {theirs[name]}",
                )
        required = set(theirs.get("required", [])), set(ours.get("required", []))
        self.expect(holds=required[0] <= required[1], at=at, what=f"required {required[1]}")
        for name, child in theirs.get("properties", {}).items():
            found = ours.get("properties", {}).get(name)
            self.expect(holds=found is not None, at=f"{at}.{name}", what="not there")
            if found is not None:
                self.schema(child, found, f"{at}.{name}", is_incoming=is_incoming)
        if "items" in theirs:
            self.schema(theirs["items"], ours.get("items", {}), f"{at}[]", is_incoming=is_incoming)


def both(own: Schema, path: str, method: str) -> tuple[Schema, Schema]:
    assert path in own["paths"]
    assert method in own["paths"][path]
    return CONTRACT["paths"][path][method], own["paths"][path][method]


def test_the_document_is_openapi_3_1(own: Schema) -> None:
    faults = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(LABELS).iter_errors(own)
    ]
    assert faults == []


def test_every_schema_in_it_is_a_json_schema(own: Schema) -> None:
    for node in every(own):
        if isinstance(node.get("schema"), dict):
            Draft202012Validator.check_schema(node["schema"])
    for schema in own["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_resolves(own: Schema) -> None:
    references = [node["$ref"] for node in every(own) if isinstance(node.get("$ref"), str)]
    assert references
    for reference in references:
        pointed(own, reference)


def test_every_required_property_is_declared(own: Schema) -> None:
    for node in every(own):
        if isinstance(node.get("required"), list) and "properties" in node:
            assert set(node["required"]) <= set(node["properties"])


def test_every_path_declares_its_own_parameters(own: Schema) -> None:
    for path, method, operation in operations(own):
        held = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        named = [(one["in"], one["name"]) for one in operation.get("parameters", [])]
        assert {name for place, name in named if place == "path"} == held, (path, method)
        assert len(set(named)) == len(named), (path, method)


def test_every_operation_has_a_name_of_its_own(own: Schema) -> None:
    names = Counter(operation["operationId"] for _, _, operation in operations(own))
    assert [name for name, times in names.items() if times > 1] == []


def test_every_operation_wants_a_bearer_token(own: Schema) -> None:
    schemes = own["components"]["securitySchemes"]
    bearers = {
        name
        for name, scheme in schemes.items()
        if (scheme["type"], scheme.get("scheme", "").lower()) == ("http", "bearer")
    }
    assert bearers
    for path, method, operation in operations(own):
        wanted = operation.get("security", own.get("security", []))
        assert wanted, (path, method)
        # With both schemes, the token is in the same header.
        assert any(set(one) & bearers for one in wanted), (path, method)
        assert all(set(one) <= set(schemes) for one in wanted), (path, method)


def test_the_oauth_scheme_is_that_of_the_server(own: Schema, server: Server) -> None:
    metadata = httpx.get(f"{server.base}/.well-known/oauth-authorization-server").json()
    flows = own["components"]["securitySchemes"]["oauth"]["flows"]
    endpoints = {
        "authorizationUrl": "authorization_endpoint",
        "tokenUrl": "token_endpoint",
        "refreshUrl": "token_endpoint",
    }
    grants = {"authorizationCode": "authorization_code", "clientCredentials": "client_credentials"}
    for name, flow in flows.items():
        assert grants[name] in metadata["grant_types_supported"]
        assert set(flow["scopes"]) == set(metadata["scopes_supported"])
        for key, listed in endpoints.items():
            if key in flow:
                assert metadata[listed] == server.base + flow[key]


def test_every_operation_may_be_too_many(own: Schema) -> None:
    lacking = [(one, two) for one, two, op in operations(own) if "429" not in op["responses"]]
    assert lacking == []


def test_every_operation_id_of_the_contract_is_kept(own: Schema) -> None:
    for path, method in OPERATIONS:
        theirs, ours = both(own, path, method)
        assert ours["operationId"] == theirs["operationId"]


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_parameter_is_there(own: Schema, path: str, method: str) -> None:
    theirs, ours = both(own, path, method)
    found = {(one["in"], one["name"]): one for one in ours.get("parameters", [])}
    compared = Comparison(own)
    for parameter in theirs.get("parameters", []):
        at = f"{parameter['in']} {parameter['name']}"
        match = found.get((parameter["in"], parameter["name"]))
        compared.expect(holds=match is not None, at=at, what="not there")
        if match is None:
            continue
        is_as_required = match.get("required", False) == parameter["required"]
        compared.expect(holds=is_as_required, at=at, what="required")
        if types(match["schema"]) != {"string"}:  # any query value can be written as text
            compared.schema(parameter["schema"], match["schema"], at, is_incoming=True)
    assert compared.missing == []


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_attribute_that_may_be_sent_is_there(own: Schema, path: str, method: str) -> None:
    theirs, ours = both(own, path, method)
    assert ("requestBody" in theirs) == ("requestBody" in ours)
    if "requestBody" not in theirs:
        return
    assert ours["requestBody"]["required"] is theirs["requestBody"]["required"]
    compared = Comparison(own)
    for kind, media in theirs["requestBody"]["content"].items():
        found = ours["requestBody"]["content"][kind]
        compared.schema(media["schema"], found["schema"], "body", is_incoming=True)
    assert compared.missing == []


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_nothing_more_has_to_be_sent(own: Schema, path: str, method: str) -> None:
    theirs, ours = both(own, path, method)
    if "requestBody" not in theirs:
        return
    wanted = [
        resolved(document, operation["requestBody"]["content"]["application/json"]["schema"])
        for document, operation in ((CONTRACT, theirs), (own, ours))
    ]
    attributes = [resolved(own, one["properties"]["status_report"]) for one in wanted]
    for less, more in (
        attributes,
        [one["properties"]["details"]["items"] for one in attributes],
        [one["properties"]["external_reference"] for one in attributes],
    ):
        assert set(more.get("required", [])) == set(less.get("required", []))


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_status_is_there(own: Schema, path: str, method: str) -> None:
    theirs, ours = both(own, path, method)
    assert sorted(set(theirs["responses"]) - set(ours["responses"])) == []


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_as_promised(own: Schema, path: str, method: str) -> None:
    theirs, ours = both(own, path, method)
    compared = Comparison(own)
    for status in set(theirs["responses"]) & set(ours["responses"]):
        answer = theirs["responses"][status]
        assert set(answer.get("content", {})) == set(ours["responses"][status].get("content", {}))
        for kind, media in answer.get("content", {}).items():
            found = ours["responses"][status]["content"][kind]
            compared.schema(media["schema"], found["schema"], status, is_incoming=False)
    assert compared.missing == []


def records(document: Schema) -> dict[str, Schema]:
    """The schema of the records under each key of the envelope."""
    envelope = document["components"]["schemas"]["StatusReportEnvelope"]["properties"]
    return {
        key: resolved(document, schema["additionalProperties"])
        for key, schema in envelope.items()
        if "additionalProperties" in schema
    }


@pytest.mark.parametrize("key", ["status_reports", "external_references"])
def test_every_attribute_of_a_record_is_there(own: Schema, key: str) -> None:
    compared = Comparison(own)
    compared.schema(records(CONTRACT)[key], records(own)[key], key, is_incoming=False)
    assert compared.missing == []


@pytest.mark.parametrize("key", ["users", "workspaces"])
def test_a_neighbour_has_no_attribute_but_the_contracts(own: Schema, key: str) -> None:
    theirs, ours = records(CONTRACT)[key]["properties"], records(own)[key]["properties"]
    # Our extensions are opt-in, so they are never required.
    extensions = set(ours) - set(theirs)
    optional = {one.name for one in RESOURCES[Kind(key)].fields if one.optional}
    assert extensions <= optional
    assert not extensions & set(records(own)[key]["required"])
    compared = Comparison(own)
    for name, schema in ours.items():
        if name in extensions:
            continue
        if name == "permissions":  # only those that we have data for (7.1)
            assert schema["properties"].keys() <= theirs[name]["properties"].keys()
            continue
        compared.schema(theirs[name], schema, f"{key}.{name}", is_incoming=False)
    assert compared.missing == []
