"""Every call of the API, as one table: `api/routes` answers each, `openapi` describes it."""

from enum import StrEnum, auto
from typing import Final, NamedTuple

from healthreports.contract.resources import (
    ACCOUNT_MEMBERSHIPS,
    AUDIT_EVENTS,
    DELETED_STATUS_REPORTS,
    EXTERNAL_REFERENCES,
    PARTICIPATIONS,
    STATUS_REPORT_VERSIONS,
    STATUS_REPORTS,
    USERS,
    WORKSPACE_GROUPS,
    WORKSPACES,
    Resource,
)

BASE: Final = "/api/v1"
SUFFIX: Final = ".json"


class Gives(StrEnum):
    """What a call answers with when it succeeds."""

    LIST = auto()  # the envelope of a page
    RECORD = auto()  # the envelope of one record
    STREAM = auto()  # one record on each line
    NOTHING = auto()  # 204


class Operation(NamedTuple):
    """One call: method and path (below `BASE`), what it `gives`, its OpenAPI `name`."""

    method: str
    path: str
    resource: Resource
    gives: Gives
    name: str
    says: str


OPERATIONS: Final = (
    Operation(
        "GET",
        "/status_reports",
        STATUS_REPORTS,
        Gives.LIST,
        "GetStatusReports",
        "List status reports",
    ),
    Operation(
        "POST",
        "/status_reports",
        STATUS_REPORTS,
        Gives.RECORD,
        "CreateStatusReport",
        "Create a status report",
    ),
    Operation(
        "GET",
        "/status_reports/{id}",
        STATUS_REPORTS,
        Gives.RECORD,
        "GetStatusReport",
        "Show a status report",
    ),
    Operation(
        "PUT",
        "/status_reports/{id}",
        STATUS_REPORTS,
        Gives.RECORD,
        "UpdateStatusReport",
        "Change a status report; details sent replace all of them",
    ),
    Operation(
        "PATCH",
        "/status_reports/{id}",
        STATUS_REPORTS,
        Gives.RECORD,
        "PatchStatusReport",
        "The same as PUT",
    ),
    Operation(
        "DELETE",
        "/status_reports/{id}",
        STATUS_REPORTS,
        Gives.NOTHING,
        "DeleteStatusReport",
        "Delete a status report",
    ),
    Operation(
        "GET",
        "/status_reports.ndjson",
        STATUS_REPORTS,
        Gives.STREAM,
        "StreamStatusReports",
        "Stream all matching status reports, one JSON object on each line (extension)",
    ),
    Operation(
        "GET",
        "/status_reports.csv",
        STATUS_REPORTS,
        Gives.STREAM,
        "StreamStatusReportsAsCsv",
        "Stream all matching status reports as CSV (extension)",
    ),
    Operation(
        "GET",
        "/status_reports/{id}/versions",
        STATUS_REPORT_VERSIONS,
        Gives.LIST,
        "GetStatusReportVersions",
        "List the versions of a status report, the newest first (extension)",
    ),
    Operation(
        "GET",
        "/deleted_status_reports",
        DELETED_STATUS_REPORTS,
        Gives.LIST,
        "GetDeletedStatusReports",
        "Deleted status reports that can be restored, the last one first (extension)",
    ),
    Operation(
        "POST",
        "/deleted_status_reports/{id}/restore",
        STATUS_REPORTS,
        Gives.RECORD,
        "RestoreStatusReport",
        "Restore a deleted status report and its external references (extension)",
    ),
    Operation(
        "DELETE",
        "/deleted_status_reports/{id}",
        DELETED_STATUS_REPORTS,
        Gives.NOTHING,
        "PurgeStatusReport",
        "Delete a deleted status report permanently (extension)",
    ),
    Operation(
        "GET",
        "/audit_events",
        AUDIT_EVENTS,
        Gives.LIST,
        "GetAuditEvents",
        "List the audit log, the newest entry first, for administrators (extension)",
    ),
    Operation("GET", "/workspaces", WORKSPACES, Gives.LIST, "GetWorkspaces", "List workspaces"),
    Operation(
        "POST",
        "/workspaces",
        WORKSPACES,
        Gives.RECORD,
        "CreateWorkspace",
        "Create a workspace; its creator becomes an admin of it",
    ),
    Operation(
        "GET", "/workspaces/{id}", WORKSPACES, Gives.RECORD, "GetWorkspace", "Show a workspace"
    ),
    Operation(
        "PUT",
        "/workspaces/{id}",
        WORKSPACES,
        Gives.RECORD,
        "UpdateWorkspace",
        "Change, archive or restore a workspace",
    ),
    Operation(
        "POST",
        "/workspaces/{id}/delete_for_good",
        WORKSPACES,
        Gives.NOTHING,
        "DeleteWorkspaceForGood",
        "Delete a workspace with all its reports; send its title to confirm. For administrators "
        "(extension)",
    ),
    Operation("GET", "/users", USERS, Gives.LIST, "GetUsers", "List the users of the account"),
    Operation("GET", "/users/me", USERS, Gives.RECORD, "GetMe", "Show the user of the token"),
    Operation("GET", "/users/{id}", USERS, Gives.RECORD, "GetUser", "Show a user"),
    Operation(
        "GET",
        "/participations",
        PARTICIPATIONS,
        Gives.LIST,
        "GetParticipations",
        "List participations",
    ),
    Operation(
        "POST",
        "/participations",
        PARTICIPATIONS,
        Gives.RECORD,
        "CreateParticipation",
        "Let a user participate in a workspace",
    ),
    Operation(
        "GET",
        "/participations/{id}",
        PARTICIPATIONS,
        Gives.RECORD,
        "GetParticipation",
        "Show a participation",
    ),
    Operation(
        "PUT",
        "/participations/{id}",
        PARTICIPATIONS,
        Gives.RECORD,
        "UpdateParticipation",
        "Change a participation",
    ),
    Operation(
        "DELETE",
        "/participations/{id}",
        PARTICIPATIONS,
        Gives.NOTHING,
        "DeleteParticipation",
        "End the participation of a user",
    ),
    Operation(
        "GET",
        "/account_memberships",
        ACCOUNT_MEMBERSHIPS,
        Gives.LIST,
        "GetAccountMemberships",
        "List the memberships of the account",
    ),
    Operation(
        "POST",
        "/account_memberships",
        ACCOUNT_MEMBERSHIPS,
        Gives.RECORD,
        "CreateAccountMembership",
        "Create a user of the account",
    ),
    Operation(
        "GET",
        "/account_memberships/{id}",
        ACCOUNT_MEMBERSHIPS,
        Gives.RECORD,
        "GetAccountMembership",
        "Show a membership",
    ),
    Operation(
        "PUT",
        "/account_memberships/{id}",
        ACCOUNT_MEMBERSHIPS,
        Gives.RECORD,
        "UpdateAccountMembership",
        "Change the permission of a user, or disable or enable the user",
    ),
    *(
        Operation(
            "PUT",
            f"/account_memberships/{{id}}/{verb}",
            ACCOUNT_MEMBERSHIPS,
            Gives.RECORD,
            f"{verb.capitalize()}AccountMembership",
            says,
        )
        for verb, says in (("disable", "Disable a user"), ("enable", "Enable a user"))
    ),
    Operation(
        "POST",
        "/account_memberships/{id}/change_address",
        ACCOUNT_MEMBERSHIPS,
        Gives.RECORD,
        "ChangeAddressOfAccountMembership",
        "Request a new email_address for yourself or, as an administrator, for a user. It changes "
        "when the user opens the link that an administrator sends to it (extension)",
    ),
    Operation(
        "POST",
        "/account_memberships/delete_account",
        ACCOUNT_MEMBERSHIPS,
        Gives.NOTHING,
        "DeleteAccount",
        "Delete the account of the token and everything in it; send its account_name to confirm. "
        "Export the reports first: GET /status_reports.ndjson. For administrators (extension)",
    ),
    Operation(
        "POST",
        "/account_memberships/{id}/hand_over",
        ACCOUNT_MEMBERSHIPS,
        Gives.RECORD,
        "HandOverAccountMembership",
        "Give all participations of a user to the user taker_id; for administrators (extension)",
    ),
    Operation(
        "GET",
        "/workspace_groups",
        WORKSPACE_GROUPS,
        Gives.LIST,
        "GetWorkspaceGroups",
        "List groups of workspaces; a company is a client",
    ),
    Operation(
        "POST",
        "/workspace_groups",
        WORKSPACE_GROUPS,
        Gives.RECORD,
        "CreateWorkspaceGroup",
        "Create a group of workspaces",
    ),
    Operation(
        "GET",
        "/workspace_groups/{id}",
        WORKSPACE_GROUPS,
        Gives.RECORD,
        "GetWorkspaceGroup",
        "Show a group of workspaces",
    ),
    Operation(
        "PUT",
        "/workspace_groups/{id}",
        WORKSPACE_GROUPS,
        Gives.RECORD,
        "UpdateWorkspaceGroup",
        "Change a group, and which workspaces are in it",
    ),
    Operation(
        "DELETE",
        "/workspace_groups/{id}",
        WORKSPACE_GROUPS,
        Gives.NOTHING,
        "DeleteWorkspaceGroup",
        "Delete a group; its workspaces stay",
    ),
    Operation(
        "GET",
        "/external_references",
        EXTERNAL_REFERENCES,
        Gives.LIST,
        "GetExternalReferences",
        "List the external references of one type of subject",
    ),
    Operation(
        "POST",
        "/external_references/create_or_update",
        EXTERNAL_REFERENCES,
        Gives.RECORD,
        "CreateOrUpdateExternalReference",
        "Create or update the external reference of a subject to a service",
    ),
    Operation(
        "DELETE",
        "/external_references/{id}",
        EXTERNAL_REFERENCES,
        Gives.NOTHING,
        "DeleteExternalReference",
        "Delete an external reference",
    ),
)
