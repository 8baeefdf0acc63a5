"""What a program does with the client that openapi-python-client makes: smoke.py BASE TOKEN."""

import json
import sys

from healthreports_client import AuthenticatedClient
from healthreports_client.api.status_reports import (
    create_status_report,
    delete_status_report,
    get_status_report,
    get_status_reports,
    stream_status_reports,
    update_status_report,
)
from healthreports_client.api.workspaces import create_workspace
from healthreports_client.models import (
    CreateStatusReportDataBody,
    CreateStatusReportJsonBody,
    CreateWorkspaceJsonBody,
    Failure,
    StatusReportEnvelope,
    UpdateStatusReportJsonBody,
    WorkspaceEnvelope,
)

base, token = sys.argv[1:]
client = AuthenticatedClient(base_url=f"{base}/api/v1", token=token)

body = CreateWorkspaceJsonBody.from_dict({"workspace": {"title": "From Python"}})
made = create_workspace.sync(client=client, body=body)
assert isinstance(made, WorkspaceEnvelope), made
workspace = made.results[0].id

sent = {
    "workspace_id": workspace,
    "color": "green",
    "description": "Started.",
    "details": [{"category": "Scope", "color": "red"}],
}
created = create_status_report.sync(
    client=client, body=CreateStatusReportJsonBody.from_dict({"status_report": sent})
)
assert isinstance(created, StatusReportEnvelope), created
report = created.results[0].id

form = {f"status_report[{name}]": one for name, one in sent.items() if isinstance(one, str)}
as_form = create_status_report.sync(client=client, body=CreateStatusReportDataBody.from_dict(form))
assert isinstance(as_form, StatusReportEnvelope), as_form

shown = get_status_report.sync(report, client=client, include="workspace")
assert isinstance(shown, StatusReportEnvelope), shown
assert shown.workspaces, "it was asked for"
assert shown.workspaces[workspace].title == "From Python"

changed = update_status_report.sync(
    report,
    client=client,
    body=UpdateStatusReportJsonBody.from_dict({"status_report": {"color": "red"}}),
)
assert isinstance(changed, StatusReportEnvelope), changed
assert changed.status_reports[report].color == "red"

listed = get_status_reports.sync(client=client, workspace_id=workspace, per_page=1)
assert isinstance(listed, StatusReportEnvelope), listed
assert listed.count == 2

lines = stream_status_reports.sync(client=client, workspace_id=workspace)
assert isinstance(lines, str), lines
assert [json.loads(line)["color"] for line in lines.splitlines()] == ["red", "green"]

assert delete_status_report.sync_detailed(report, client=client).status_code == 204
refused = get_status_report.sync(report, client=client)
assert isinstance(refused, Failure), refused
