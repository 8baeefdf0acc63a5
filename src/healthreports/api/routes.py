"""The paths of the API: which use case answers each operation of `contract/operations`."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from healthreports.api.call import Call
from healthreports.api.handlers import (
    Handler,
    acts,
    changes,
    creates,
    deletes,
    deletes_in_pieces,
    does,
    find,
    find_audit,
    finds,
    finds_below,
    show,
    show_me,
    streams,
    whenever,
)
from healthreports.contract.lines import CSV, JSON_LINES, RAW_CSV
from healthreports.contract.operations import BASE, OPERATIONS, Operation
from healthreports.core.errors import MethodNotAllowed
from healthreports.service import ending
from healthreports.service.auth import addresses
from healthreports.service.gateway import Gateway
from healthreports.service.people import groups, handing, members, workspaces
from healthreports.service.reports import history, references, reports

# The handler of each operation, by its OpenAPI name.
HANDLERS: Final[Mapping[str, Handler]] = {
    "GetStatusReports": find,
    "CreateStatusReport": creates(reports.create),
    "GetStatusReport": show,
    "UpdateStatusReport": changes(reports.change),
    "PatchStatusReport": changes(reports.change),
    "DeleteStatusReport": deletes(reports.delete),
    "GetStatusReportVersions": finds_below(history.versions),
    "GetDeletedStatusReports": finds(history.deleted),
    "GetAuditEvents": find_audit,
    "RestoreStatusReport": acts(history.restore, history.deleted_report),
    "PurgeStatusReport": deletes(history.purge, history.deleted_report),
    "StreamStatusReports": streams(JSON_LINES, JSON_LINES, "status_reports.ndjson"),
    "StreamStatusReportsAsCsv": streams(CSV, RAW_CSV, "status_reports.csv"),
    "GetWorkspaces": find,
    "CreateWorkspace": creates(workspaces.create_workspace),
    "GetWorkspace": show,
    "UpdateWorkspace": changes(workspaces.change_workspace),
    "DeleteWorkspaceForGood": deletes_in_pieces(ending.begin_workspace, ending.go_on),
    "GetUsers": find,
    "GetMe": show_me,
    "GetUser": show,
    "GetParticipations": find,
    "CreateParticipation": creates(
        workspaces.create_participation, workspaces.create_participations
    ),
    "GetParticipation": show,
    "UpdateParticipation": changes(workspaces.change_participation),
    "DeleteParticipation": deletes(whenever(workspaces.delete_participation)),
    "GetAccountMemberships": find,
    "CreateAccountMembership": creates(members.create_membership),
    "GetAccountMembership": show,
    "UpdateAccountMembership": changes(members.change_membership),
    "DisableAccountMembership": acts(members.disable_membership),
    "EnableAccountMembership": acts(members.enable_membership),
    "ChangeAddressOfAccountMembership": changes(addresses.want_for_membership),
    "DeleteAccount": does(ending.delete_account),
    "HandOverAccountMembership": changes(handing.hand_over_membership),
    "GetWorkspaceGroups": find,
    "CreateWorkspaceGroup": creates(groups.create_group),
    "GetWorkspaceGroup": show,
    "UpdateWorkspaceGroup": changes(groups.change_group),
    "DeleteWorkspaceGroup": deletes(whenever(groups.delete_group)),
    "GetExternalReferences": find,
    "CreateOrUpdateExternalReference": creates(references.create_or_update),
    "DeleteExternalReference": deletes(whenever(references.delete)),
}
_ID: Final = "/{id}"


class Endpoint:
    """One path: finds the handler of the method. Raises MethodNotAllowed. Contract: 1.5."""

    def __init__(self, gateway: Gateway, operations: Sequence[Operation]) -> None:
        self._handlers = {
            one.method: (one.name, partial(HANDLERS[one.name], gateway, one.resource))
            for one in operations
        }
        if "GET" in self._handlers:
            self._handlers["HEAD"] = self._handlers["GET"]  # the server omits the body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request to the path."""
        found = self._handlers.get(scope["method"])
        if found is None:
            raise MethodNotAllowed(sorted(self._handlers))
        scope["operation"], handler = found
        answer = await handler(Call(scope, receive))
        await answer(scope, receive, send)


class Paths:
    """Routes requests to exact paths, and to paths with an id; `other` gets all other requests.

    It looks paths up in dicts, because Starlette's router tries one pattern after the other.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint], other: ASGIApp) -> None:
        self._exact = {path: one for path, one in endpoints.items() if _ID not in path}
        parts = {path: path.partition(_ID) for path in endpoints if _ID in path}
        self._above_id = {
            before: endpoints[path] for path, (before, _, behind) in parts.items() if not behind
        }
        # By the parts of the path before and after the id.
        self._around_id = {
            (before, behind): endpoints[path]
            for path, (before, _, behind) in parts.items()
            if behind
        }
        self._other = other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the endpoint of its path."""
        app = self._other
        if scope["type"] == "http":
            path: str = scope["path"]
            above, _, last = path.rpartition("/")
            if path in self._exact:
                app = self._exact[path]
            elif last and above in self._above_id:
                app = self._above_id[above]
                scope["path_params"] = {"id": last}
            else:
                above, _, middle = above.rpartition("/")
                if middle and (above, f"/{last}") in self._around_id:
                    app = self._around_id[above, f"/{last}"]
                    scope["path_params"] = {"id": middle}
        await app(scope, receive, send)


def api_endpoints(gateway: Gateway) -> dict[str, Endpoint]:
    """An endpoint for each path of `OPERATIONS`."""
    paths: dict[str, list[Operation]] = {}
    for one in OPERATIONS:
        paths.setdefault(BASE + one.path, []).append(one)
    return {path: Endpoint(gateway, its) for path, its in paths.items()}
