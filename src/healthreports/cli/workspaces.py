"""Commands that manage workspaces and who participates in them."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from healthreports.cli.command import (
    AsJson,
    OfAccount,
    WorkspaceId,
    command,
    group,
    person,
    read,
    write,
)
from healthreports.cli.copies import Export, WithoutExport, keep_copy
from healthreports.cli.listing import print_list
from healthreports.core.model import Instant, Participation, User, Workspace
from healthreports.core.query import Filter, Page
from healthreports.core.vocabulary import Kind, ParticipationPermission, Side
from healthreports.service import ending
from healthreports.service.people import workspaces
from healthreports.service.upkeep import every_page
from healthreports.settings import Settings
from healthreports.store.engine.database import Transaction

app = group("workspace", "Manage the workspaces (projects) that status reports are about.")
participation_app = group("participation", "Manage who participates in a workspace.")


class YesNo(StrEnum):
    """An answer on the command line."""

    YES = "yes"
    NO = "no"


Participant = Annotated[
    str, typer.Option("--user", metavar="EMAIL", help="The e-mail address of the participant.")
]


@command(
    app,
    "create",
    example='healthreports workspace create "New bridge" --creator ann@example.org',
)
def create(
    settings: Settings,
    title: Annotated[str, typer.Argument(help="The title of the workspace.")],
    creator: Annotated[
        str,
        typer.Option(metavar="EMAIL", help="The user who becomes its team lead and admin."),
    ],
    description: Annotated[str | None, typer.Option(help="What the workspace is about.")] = None,
    account: OfAccount = None,
) -> None:
    """Create a workspace."""

    def work(tx: Transaction, now: Instant) -> int:
        by = person(tx, creator, account)
        workspace_id = workspaces.make_workspace(tx, by, title, now, description)
        admin = ParticipationPermission.ADMIN
        workspaces.join(tx, workspace_id, by, admin, now, team_lead=True)
        return workspace_id

    print(f"workspace {write(settings, work)}")


@command(app, "list", example="healthreports workspace list --account acme")
def list_(
    settings: Settings,
    account: Annotated[
        str | None,
        typer.Option(metavar="ACCOUNT", help="List the workspaces of this account only."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the workspaces, archived ones too."""

    def rows(tx: Transaction) -> Iterator[dict[str, Any]]:
        for name, page in every_page(tx, Kind.WORKSPACES, account):
            for one in page.records_of(Workspace):
                yield {
                    "id": one.id,
                    "account": name,
                    "title": one.title,
                    "archived": one.archived,
                    "clients_see_status_reports": one.clients_see_status_reports,
                }

    columns = ("id", "account", "title", "archived", "clients_see_status_reports")
    print_list(settings, columns, rows, as_json=as_json)


@command(
    app,
    "join",
    example="healthreports workspace join 1 --user bob@example.org --permission edit",
)
def join(
    settings: Settings,
    workspace: WorkspaceId,
    user: Participant,
    permission: Annotated[
        ParticipationPermission, typer.Option(help="What the user may do in the workspace.")
    ] = ParticipationPermission.VIEW,
    side: Annotated[
        Side, typer.Option(help="Whether the user works on the project or is its client.")
    ] = Side.PROVIDER,
    team_lead: Annotated[
        bool, typer.Option("--team-lead", help="The user leads its side of the workspace.")
    ] = False,
    account: OfAccount = None,
) -> None:
    """Let a user participate in a workspace."""
    write(
        settings,
        lambda tx, now: workspaces.join(
            tx,
            workspace,
            person(tx, user, account),
            permission,
            now,
            side=side,
            team_lead=team_lead,
        ),
    )
    print(f"{user} participates in workspace {workspace}: {side}, {permission}")


@command(app, "clients", example="healthreports workspace clients 1 yes")
def clients(
    settings: Settings,
    workspace: WorkspaceId,
    see: Annotated[YesNo, typer.Argument(help="Whether clients see the status reports.")],
) -> None:
    """Set whether the clients of a workspace see its status reports."""
    shown = see is YesNo.YES
    write(settings, lambda tx, now: workspaces.show_to_clients(tx, workspace, now, shown=shown))
    print(f"clients {'see' if shown else 'do not see'} the reports of workspace {workspace}")


@command(app, "archive", example="healthreports workspace archive 1")
def archive(
    settings: Settings,
    workspace: WorkspaceId,
    undo: Annotated[
        bool, typer.Option("--undo", help="Make an archived workspace active again.")
    ] = False,
) -> None:
    """Archive a workspace, which makes it read-only."""
    write(settings, lambda tx, now: workspaces.archive(tx, workspace, now, archived=not undo))
    print(f"workspace {workspace} is {'back' if undo else 'archived'}")


@command(
    app,
    "delete",
    example='healthreports workspace delete 1 --confirm "New bridge" --export bridge.ndjson',
)
def delete(
    settings: Settings,
    workspace: WorkspaceId,
    confirm: Annotated[
        str, typer.Option(metavar="TITLE", help="The title of the workspace, to confirm.")
    ],
    export: Export = None,
    without_export: WithoutExport = False,
) -> None:
    """Delete a workspace and all its reports. This cannot be undone."""

    def find(tx: Transaction) -> int:
        found = workspaces.named(tx, workspace)
        ending.demand_typed("confirm", confirm, found.title)
        return found.account_id

    account_id = read(settings, find)
    of_it = (Filter("workspace_id", (workspace,)),)
    keep_copy(settings, account_id, of_it, export, without_export=without_export)
    write(settings, lambda tx, now: workspaces.archive(tx, workspace, now, archived=True))
    while write(settings, lambda tx, now: ending.delete_piece(tx, account_id, workspace, now)):
        pass
    print(f"workspace {workspace} is deleted, with all its reports")


@command(participation_app, "list", example="healthreports participation list 1")
def participations(settings: Settings, workspace: WorkspaceId, as_json: AsJson = False) -> None:
    """List who participates in a workspace."""

    def rows(tx: Transaction) -> Iterator[dict[str, Any]]:
        of_it = (Filter("workspace_id", (workspaces.named(tx, workspace).id,)),)
        for _, page in every_page(tx, Kind.PARTICIPATIONS, None, ("user",), of_it):
            yield from _participants(page)

    columns = ("full_name", "email_address", "side", "permission", "team_lead")
    print_list(settings, columns, rows, as_json=as_json)


def _participants(page: Page) -> Iterator[dict[str, Any]]:
    users = page.related["user"].objects.get(Kind.USERS, {})
    for one in page.records_of(Participation):
        user = users[one.user_id]
        assert isinstance(user, User)
        yield {
            "full_name": user.full_name,
            "email_address": user.email_address,
            "side": str(one.side),
            "permission": str(one.permission),
            "team_lead": one.team_lead,
        }


@command(
    participation_app,
    "change",
    example="healthreports participation change 1 --user bob@example.org --permission admin",
)
def change(
    settings: Settings,
    workspace: WorkspaceId,
    user: Participant,
    permission: Annotated[
        ParticipationPermission | None, typer.Option(help="What the user may do from now on.")
    ] = None,
    side: Annotated[
        Side | None, typer.Option(help="Whether the user works on the project or is its client.")
    ] = None,
    team_lead: Annotated[
        bool | None,
        typer.Option("--team-lead/--no-team-lead", help="Whether the user leads its side."),
    ] = None,
    account: OfAccount = None,
) -> None:
    """Change what a participant may do in a workspace."""
    wanted = {"permission": permission, "side": side, "team_lead": team_lead}
    changes = {name: one for name, one in wanted.items() if one is not None}
    if not changes:
        raise typer.BadParameter("give --permission, --side or --team-lead")
    changed = write(
        settings,
        lambda tx, now: workspaces.change_place(
            tx, workspace, person(tx, user, account), now, changes
        ),
    )
    print(f"{user} participates in workspace {workspace}: {changed.side}, {changed.permission}")


@command(
    participation_app,
    "remove",
    example="healthreports participation remove 1 --user bob@example.org",
)
def remove(
    settings: Settings, workspace: WorkspaceId, user: Participant, account: OfAccount = None
) -> None:
    """End the participation of a user in a workspace."""
    write(
        settings,
        lambda tx, _now: workspaces.leave(tx, workspace, person(tx, user, account)),
    )
    print(f"{user} no longer participates in workspace {workspace}")
