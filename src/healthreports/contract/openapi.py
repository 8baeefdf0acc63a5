"""The server's own OpenAPI 3.1 document, derived from the declarations.

A test holds it against `docs/reference/contract/status_reports.openapi.yaml`.
"""

from typing import Final

import msgspec

from healthreports import __version__
from healthreports.contract.lines import CSV, JSON_LINES
from healthreports.contract.operations import BASE, OPERATIONS, Gives, Operation
from healthreports.contract.params import shown_by
from healthreports.contract.resources import (
    RESOURCES,
    SHOWN,
    FilterSpec,
    FilterType,
    Resource,
)
from healthreports.contract.schemas import (
    BODIES,
    FIELD_SCHEMAS,
    FILTER_SCHEMAS,
    ID,
    MANY,
    TEXT,
    Json,
    form_of,
    nullable,
    object_of,
)
from healthreports.core.vocabulary import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Kind, Scope

_STREAMS: Final = {"StreamStatusReports": JSON_LINES, "StreamStatusReportsAsCsv": CSV}

_SCHEMA_NAMES: Final = {
    Kind.STATUS_REPORTS: "StatusReport",
    Kind.WORKSPACES: "Workspace",
    Kind.USERS: "User",
    Kind.EXTERNAL_REFERENCES: "ExternalReference",
    Kind.PARTICIPATIONS: "Participation",
    Kind.ACCOUNT_MEMBERSHIPS: "AccountMembership",
    Kind.WORKSPACE_GROUPS: "WorkspaceGroup",
    Kind.STATUS_REPORT_VERSIONS: "StatusReportVersion",
    Kind.DELETED_STATUS_REPORTS: "DeletedStatusReport",
    Kind.AUDIT_EVENTS: "AuditEvent",
}
_REFUSALS: Final = {
    "400": "the request is malformed",
    "401": "no valid token",
    "403": "the user may not do this",
    "404": "the record does not exist, or the user may not see it",
    "405": "the path does not support the method",
    "422": "the body is invalid; every error is listed",
    "429": "too many requests; Retry-After says when",
    "500": "an error of the server",
    "503": "the database is not available, or the server is stopping",
    "504": "the request took longer than the server allows, and was rolled back",
}
_OF_HEADERS: Final = {
    "POST": {"409": "a request with this Idempotency-Key is still in progress"},
    **{
        method: {"412": "the record has changed since the ETag in If-Match"}
        for method in ("PUT", "PATCH", "DELETE")
    },
}
_BODY_REFUSALS: Final = {
    "413": "the body is too large",
    "415": "the Content-Type of the body is not supported",
}


_SCOPES: Final = {Scope.READ: "read what the user may read", Scope.WRITE: "change things too"}


def document(root: str = "") -> Json:
    """The OpenAPI document as a value, of a server below the path `root` of its host."""
    paths: Json = {}
    for operation in OPERATIONS:
        described = _operation(operation)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "healthreports",
            "version": __version__,
            "description": "Status reports of projects. Every path is also answered with .json at "
            "its end. An id is text; in a body a whole number is accepted too. Bodies are JSON or "
            "forms as Rails reads them.",
        },
        "servers": [{"url": root + BASE}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "a personal token, or an access token of OAuth 2",
                },
                "oauth": {
                    "type": "oauth2",
                    "flows": {
                        "authorizationCode": {
                            "authorizationUrl": f"{root}/oauth/authorize",
                            "tokenUrl": f"{root}/oauth/token",
                            "refreshUrl": f"{root}/oauth/token",
                            "scopes": _SCOPES,
                        },
                        "clientCredentials": {
                            "tokenUrl": f"{root}/oauth/token",
                            "scopes": _SCOPES,
                        },
                    },
                },
            },
            "schemas": {
                **{_SCHEMA_NAMES[kind]: _record(one) for kind, one in SHOWN.items()},
                **{f"{_SCHEMA_NAMES[kind]}Envelope": _envelope(one) for kind, one in SHOWN.items()},
                "Failure": _FAILURE,
            },
        },
    }


def document_bytes(root: str = "") -> bytes:
    """`document` as JSON."""
    return msgspec.json.format(msgspec.json.encode(document(root)), indent=2)


def _operation(operation: Operation) -> Json:
    scope = Scope.READ if operation.method == "GET" else Scope.WRITE
    described: Json = {
        "operationId": operation.name,
        "summary": operation.says,
        "security": [{"bearer": []}, {"oauth": [scope]}],
        "tags": [operation.resource.kind.value],
        "parameters": [*_parameters(operation), *_headers(operation)],
    }
    refusals = dict(_REFUSALS)
    if operation.name in BODIES:
        root = operation.resource.root
        body = object_of({root: BODIES[operation.name]}, root)
        if operation.name in MANY:
            many = operation.resource.kind.value
            body = {"anyOf": [body, object_of({many: MANY[operation.name]}, many)]}
        form = {"schema": form_of(root, BODIES[operation.name])}
        described["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {"schema": body},
                "application/x-www-form-urlencoded": form,
                "multipart/form-data": form,
            },
        }
        refusals |= _BODY_REFUSALS
    refusals |= _OF_HEADERS.get(operation.method, {})
    described["responses"] = {
        **_success(operation),
        **{
            status: {"description": says, "content": _json(_ref("Failure"))}
            for status, says in sorted(refusals.items())
        },
    }
    return described


def _success(operation: Operation) -> Json:
    if operation.gives is Gives.STREAM:
        form = _STREAMS[operation.name]
        return {
            "200": {
                "description": "one report on each line, ordered by id",
                "content": {form.media_type.split(";")[0]: {"schema": TEXT}},
            }
        }
    if operation.gives is Gives.NOTHING:
        return {"204": {"description": "deleted, no content"}}
    envelope = f"{_SCHEMA_NAMES[operation.resource.kind]}Envelope"
    answers: Json = {"200": {"description": "envelope", "content": _json(_ref(envelope))}}
    if operation.method == "GET":
        answers["304"] = {"description": "unchanged since the ETag in If-None-Match; no content"}
    return answers


def _parameters(operation: Operation) -> list[Json]:
    resource = operation.resource
    parameters: list[Json] = []
    if "{id}" in operation.path:
        parameters.append({"in": "path", "name": "id", "required": True, "schema": ID})
    if operation.gives is Gives.LIST:
        parameters += [_filter(one) for one in resource.filters]
        parameters += _paging()
        parameters += _asking(resource) if resource.kind in RESOURCES else []
    elif operation.gives is Gives.STREAM:
        parameters += [_filter(one) for one in resource.filters]
        parameters.append(_query("after_id", ID, "resume after the line with this id"))
        if operation.path.endswith(".csv"):
            says = "true: do not escape cells that a spreadsheet would run as formulas"
            parameters.append(_query("raw", {"type": "boolean", "default": False}, says))
        return parameters
    elif operation.method == "GET" and "{id}" in operation.path:
        parameters += [_filter(one) for one in shown_by(resource)]
    if operation.gives is not Gives.NOTHING and resource.associations:
        names = ", ".join(one.name for one in resource.associations)
        parameters.append(_query("include", TEXT, f"comma-separated: {names}"))
    return parameters


def _filter(spec: FilterSpec) -> Json:
    if spec.type is FilterType.CHOICES:
        schema: Json = {**TEXT, "examples": [",".join(spec.choices[:2])]}
    elif spec.choices:
        schema = {**TEXT, "enum": list(spec.choices)}
    else:
        schema = FILTER_SCHEMAS[spec.type]
    if spec.default is not None:
        schema = {**schema, "default": spec.default}
    return _query(spec.name, schema, spec.says, required=spec.required)


def _headers(operation: Operation) -> list[Json]:
    """The headers that a call may have. Contract: 8.1, 8.2."""
    if operation.gives is Gives.STREAM:
        return []
    if operation.method == "GET":
        return [
            _header(
                "If-None-Match",
                "the ETag of an earlier answer; 304 if nothing has changed (extension)",
            )
        ]
    if operation.method == "POST":
        key = {"type": "string", "pattern": "^[!-~]{1,255}$"}
        return [
            _header(
                "Idempotency-Key",
                "a request that is sent again with the same key is done only once",
                key,
            )
        ]
    return [
        _header(
            "If-Match", "the ETag of the record as you know it; 412 if it has changed (extension)"
        )
    ]


def _header(name: str, says: str, schema: Json | None = None) -> Json:
    return {
        "in": "header",
        "name": name,
        "required": False,
        "schema": schema or TEXT,
        "description": says,
    }


def _paging() -> list[Json]:
    integer: Json = {"type": "integer"}
    size = {**integer, "default": DEFAULT_PAGE_SIZE, "maximum": MAX_PAGE_SIZE}
    return [
        _query("page", {**integer, "default": 1}, "the number of the page"),
        _query("per_page", size, "the number of records on a page"),
        _query("limit", integer, "with offset: how many rows, instead of page and per_page"),
        _query("offset", integer, "with limit: how many rows to skip"),
    ]


def _asking(resource: Resource) -> list[Json]:
    sorts = ", ".join(resource.sorts)
    optional = ", ".join(field.name for field in resource.fields if field.optional)
    return [
        _query("only", TEXT, "these ids, comma-separated; no paging"),
        _query("order", TEXT, f"extension: one of {sorts}, then :asc or :desc"),
        _query("optional_fields", TEXT, f"comma-separated: {optional or 'none for this resource'}"),
    ]


def _query(name: str, schema: Json, says: str, *, required: bool = False) -> Json:
    return {
        "in": "query",
        "name": name,
        "required": required,
        "schema": schema,
        "description": says,
    }


def _record(resource: Resource) -> Json:
    properties: Json = {}
    for field in resource.fields:
        schema = FIELD_SCHEMAS[field.type]
        properties[field.name] = nullable(schema) if field.nullable else schema
    for association in resource.associations:
        if association.is_polymorphic:
            properties[association.link] = {
                "type": "object",
                "properties": {"key": TEXT, "id": ID},
                "required": ["key", "id"],
            }
        elif association.many:
            properties[association.link] = {"type": "array", "items": ID}
        elif not association.column:
            properties[association.link] = nullable(ID)
    return {
        "type": "object",
        "properties": properties,
        "required": [field.name for field in resource.fields if not field.optional],
    }


def _envelope(resource: Resource) -> Json:
    kinds = dict.fromkeys(
        [resource.kind, *(kind for one in resource.associations for kind in one.kinds)]
    )
    properties: Json = {
        "count": {"type": "integer"},
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"key": TEXT, "id": ID},
                "required": ["key", "id"],
            },
        },
        "meta": {
            "type": "object",
            "properties": {name: {"type": "integer"} for name in _META},
            "required": list(_META),
        },
    }
    for kind in kinds:
        properties[kind.value] = {
            "type": "object",
            "additionalProperties": _ref(_SCHEMA_NAMES[kind]),
        }
    return {
        "type": "object",
        "properties": properties,
        "required": ["count", "results", "meta", resource.kind.value],
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


_META: Final = ("count", "page_count", "page_number", "page_size")
_FAILURE: Final[Json] = {
    "type": "object",
    "properties": {
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "type": {"type": "string", "enum": ["oauth", "system", "validation"]},
                    "message": TEXT,
                    "field": TEXT,
                },
                "required": ["type", "message"],
            },
        }
    },
    "required": ["errors"],
}
