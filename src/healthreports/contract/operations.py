"""Every call of the API, as one table: `api/routes` handles each, `openapi` describes it."""

from enum import StrEnum, auto
from typing import Final, NamedTuple

from healthreports.contract.resources import (
    ACCOUNT_MEMBERSHIPS,
    EXTERNAL_REFERENCES,
    PARTICIPATIONS,
    STATUS_REPORTS,
    USERS,
    WORKSPACES,
    Resource,
)

BASE: Final = "/api/v1"
SUFFIX: Final = ".json"


class Does(StrEnum):
    """What a call does; `api/routes` has a handler for each."""

    FIND = auto()
    STREAM_JSON_LINES = auto()
    STREAM_CSV = auto()
    SHOW = auto()
    SHOW_ME = auto()
    CREATE_REPORT = auto()
    CHANGE_REPORT = auto()
    DELETE_REPORT = auto()
    CREATE_OR_UPDATE_REFERENCE = auto()
    DELETE_REFERENCE = auto()
    CREATE_WORKSPACE = auto()
    CHANGE_WORKSPACE = auto()
    CREATE_PARTICIPATION = auto()
    CHANGE_PARTICIPATION = auto()
    DELETE_PARTICIPATION = auto()
    CREATE_MEMBERSHIP = auto()
    CHANGE_MEMBERSHIP = auto()


class Operation(NamedTuple):
    """One call: method and path (below `BASE`), what it `does`, its OpenAPI `name`."""

    method: str
    path: str
    resource: Resource
    does: Does
    name: str
    says: str


OPERATIONS: Final = (
    Operation(
        "GET",
        "/status_reports",
        STATUS_REPORTS,
        Does.FIND,
        "GetStatusReports",
        "List status reports",
    ),
    Operation(
        "POST",
        "/status_reports",
        STATUS_REPORTS,
        Does.CREATE_REPORT,
        "CreateStatusReport",
        "Create a status report",
    ),
    Operation(
        "GET",
        "/status_reports/{id}",
        STATUS_REPORTS,
        Does.SHOW,
        "GetStatusReport",
        "Show a status report",
    ),
    Operation(
        "PUT",
        "/status_reports/{id}",
        STATUS_REPORTS,
        Does.CHANGE_REPORT,
        "UpdateStatusReport",
        "Change a status report; details sent replace all of them",
    ),
    Operation(
        "PATCH",
        "/status_reports/{id}",
        STATUS_REPORTS,
        Does.CHANGE_REPORT,
        "PatchStatusReport",
        "The same as PUT",
    ),
    Operation(
        "DELETE",
        "/status_reports/{id}",
        STATUS_REPORTS,
        Does.DELETE_REPORT,
        "DeleteStatusReport",
        "Delete a status report",
    ),
    Operation(
        "GET",
        "/status_reports.ndjson",
        STATUS_REPORTS,
        Does.STREAM_JSON_LINES,
        "StreamStatusReports",
        "All status reports that match, by id, one JSON object a line (extension)",
    ),
    Operation(
        "GET",
        "/status_reports.csv",
        STATUS_REPORTS,
        Does.STREAM_CSV,
        "StreamStatusReportsAsCsv",
        "All status reports that match, by id, as CSV (extension)",
    ),
    Operation("GET", "/workspaces", WORKSPACES, Does.FIND, "GetWorkspaces", "List workspaces"),
    Operation(
        "POST",
        "/workspaces",
        WORKSPACES,
        Does.CREATE_WORKSPACE,
        "CreateWorkspace",
        "Create a workspace; its creator becomes an admin of it",
    ),
    Operation("GET", "/workspaces/{id}", WORKSPACES, Does.SHOW, "GetWorkspace", "Show a workspace"),
    Operation(
        "PUT",
        "/workspaces/{id}",
        WORKSPACES,
        Does.CHANGE_WORKSPACE,
        "UpdateWorkspace",
        "Change a workspace, archive it or bring it back",
    ),
    Operation("GET", "/users", USERS, Does.FIND, "GetUsers", "List the users of the account"),
    Operation(
        "GET", "/users/me", USERS, Does.SHOW_ME, "GetMe", "Show the user that the token stands for"
    ),
    Operation("GET", "/users/{id}", USERS, Does.SHOW, "GetUser", "Show a user"),
    Operation(
        "GET",
        "/participations",
        PARTICIPATIONS,
        Does.FIND,
        "GetParticipations",
        "List who participates in what",
    ),
    Operation(
        "POST",
        "/participations",
        PARTICIPATIONS,
        Does.CREATE_PARTICIPATION,
        "CreateParticipation",
        "Let a user participate in a workspace",
    ),
    Operation(
        "GET",
        "/participations/{id}",
        PARTICIPATIONS,
        Does.SHOW,
        "GetParticipation",
        "Show a participation",
    ),
    Operation(
        "PUT",
        "/participations/{id}",
        PARTICIPATIONS,
        Does.CHANGE_PARTICIPATION,
        "UpdateParticipation",
        "Change a participation",
    ),
    Operation(
        "DELETE",
        "/participations/{id}",
        PARTICIPATIONS,
        Does.DELETE_PARTICIPATION,
        "DeleteParticipation",
        "Let a user no longer participate",
    ),
    Operation(
        "GET",
        "/account_memberships",
        ACCOUNT_MEMBERSHIPS,
        Does.FIND,
        "GetAccountMemberships",
        "List the memberships of the account",
    ),
    Operation(
        "POST",
        "/account_memberships",
        ACCOUNT_MEMBERSHIPS,
        Does.CREATE_MEMBERSHIP,
        "CreateAccountMembership",
        "Create a user of the account",
    ),
    Operation(
        "GET",
        "/account_memberships/{id}",
        ACCOUNT_MEMBERSHIPS,
        Does.SHOW,
        "GetAccountMembership",
        "Show a membership",
    ),
    Operation(
        "PUT",
        "/account_memberships/{id}",
        ACCOUNT_MEMBERSHIPS,
        Does.CHANGE_MEMBERSHIP,
        "UpdateAccountMembership",
        "Change a user's permission, disable the user or let it back",
    ),
    Operation(
        "GET",
        "/external_references",
        EXTERNAL_REFERENCES,
        Does.FIND,
        "GetExternalReferences",
        "List the external references of one type of subject",
    ),
    Operation(
        "POST",
        "/external_references/create_or_update",
        EXTERNAL_REFERENCES,
        Does.CREATE_OR_UPDATE_REFERENCE,
        "CreateOrUpdateExternalReference",
        "Create or update the external reference of a subject to a service",
    ),
    Operation(
        "DELETE",
        "/external_references/{id}",
        EXTERNAL_REFERENCES,
        Does.DELETE_REFERENCE,
        "DeleteExternalReference",
        "Delete an external reference",
    ),
)
