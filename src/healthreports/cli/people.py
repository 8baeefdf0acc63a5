"""Commands that manage accounts, users and workspaces."""

import argparse
import getpass
import logging
import os
import sys
from pathlib import Path
from typing import Any, Final

from healthreports.cli.command import (
    account_flag,
    command,
    group_of,
    permission_flag,
    person,
    read,
    write,
)
from healthreports.contract.lines import JSON_LINES
from healthreports.core.model import Instant, Record
from healthreports.core.query import Filter, Query
from healthreports.core.vocabulary import (
    AccountPermission,
    FactorDemand,
    Kind,
    ParticipationPermission,
    Side,
)
from healthreports.service import ending
from healthreports.service.auth import addresses, factors
from healthreports.service.auth.invitations import invite_as_operator
from healthreports.service.auth.sign_in import set_password
from healthreports.service.people import accounts, handing, members, workspaces
from healthreports.settings import Settings
from healthreports.store.engine.database import Transaction
from healthreports.web.kit.addresses import ADDRESS, INVITATION, WELCOME

log: Final = logging.getLogger("healthreports")


def add_people_commands(commands: Any) -> None:  # noqa: ANN401  argparse's own type is private
    """Add them to the command line."""
    group = group_of(commands, "account", "accounts: each is a tenant of its own")
    made = command(group, "create", "create an account", _account_create)
    made.add_argument("title")
    made.add_argument("--name", help="by what people sign in to it (default: one like the title)")
    command(group, "list", "list the accounts", _account_list)
    renamed = command(
        group, "rename", "give an account another name to sign in by", _account_rename
    )
    renamed.add_argument("account", metavar="NAME")
    renamed.add_argument("new_name", metavar="NEW_NAME")

    demanded = command(
        group, "second-factor", "say who has to sign in with a second factor", _account_factor
    )
    demanded.add_argument("account", metavar="NAME")
    demanded.add_argument("of", choices=[str(one) for one in FactorDemand])

    ended = command(group, "delete", "delete an account and all that is in it", _account_delete)
    ended.add_argument("account", metavar="NAME")
    _ending_flags(ended, "the name of the account once more")

    group = group_of(commands, "user", "the people of an account")
    made = command(group, "create", "create a user", _user_create)
    made.add_argument("--account", required=True, metavar="NAME", help="its name, or its id")
    made.add_argument("--name", required=True, help="the full name")
    made.add_argument("--email", required=True)
    made.add_argument("--headline", help="what the person does, in a few words")
    made.add_argument("--photo-path", help="the address of a picture")
    permission_flag(made, AccountPermission, AccountPermission.COLLABORATOR)
    permitted = command(group, "permit", "change what a user may do in the account", _user_permit)
    permitted.add_argument("user", metavar="EMAIL")
    permitted.add_argument("permission", choices=[str(one) for one in AccountPermission])
    password = command(
        group, "password", "set a user's password, from a prompt or standard input", _user_password
    )
    password.add_argument("user", metavar="EMAIL")
    password.add_argument(
        "--keep-tokens", action="store_true", help="let the user's tokens and applications work on"
    )
    invited = command(
        group, "invite", "print the address at which a user chooses how to sign in", _user_invite
    )
    invited.add_argument("user", metavar="EMAIL")
    invited.add_argument("--public-url", help="the address that browsers use")
    readdressed = command(
        group,
        "change-address",
        "print the link to send to the new e-mail address of a user, who takes it by opening it",
        _user_change_address,
    )
    readdressed.add_argument("user", metavar="EMAIL")
    readdressed.add_argument("new_address", metavar="NEW_EMAIL")
    readdressed.add_argument("--public-url", help="the address that browsers use")
    handed = command(
        group, "hand-over", "give the places of a user to another one", _user_hand_over
    )
    handed.add_argument("user", metavar="EMAIL")
    handed.add_argument("taker", metavar="TO_EMAIL")
    reset = command(
        group, "reset-factors", "remove the second factors of who lost them", _user_reset_factors
    )
    reset.add_argument("user", metavar="EMAIL")
    disabled = command(group, "disable", "stop a user's tokens at once", _user_disable)
    disabled.add_argument("user", metavar="EMAIL")
    disabled.add_argument("--undo", action="store_true", help="let them work again")
    for one in (permitted, password, invited, readdressed, handed, reset, disabled):
        account_flag(one)
    _add_workspace_commands(commands)


def _add_workspace_commands(commands: Any) -> None:  # noqa: ANN401  argparse's own type is private
    group = group_of(commands, "workspace", "the projects that status reports are about")
    made = command(group, "create", "create a workspace", _workspace_create)
    made.add_argument("title")
    made.add_argument(
        "--creator", required=True, metavar="EMAIL", help="who becomes an admin of it"
    )
    made.add_argument("--description")
    joined = command(group, "join", "let a user participate", _workspace_join)
    joined.add_argument("workspace", type=int, metavar="ID")
    joined.add_argument("--user", required=True, metavar="EMAIL")
    permission_flag(joined, ParticipationPermission, ParticipationPermission.VIEW)
    joined.add_argument(
        "--side",
        choices=[str(side) for side in Side],
        default=Side.PROVIDER,
        help="(default: %(default)s)",
    )
    joined.add_argument("--team-lead", action="store_true")
    for one in (made, joined):
        account_flag(one)
    clients = command(group, "clients", "say whether clients see the reports", _workspace_clients)
    clients.add_argument("workspace", type=int, metavar="ID")
    clients.add_argument("see", choices=("yes", "no"))
    ended = command(group, "delete", "delete a workspace and all its reports", _workspace_delete)
    ended.add_argument("workspace", type=int, metavar="ID")
    _ending_flags(ended, "the title of the workspace")
    archived = command(group, "archive", "archive a workspace", _workspace_archive)
    archived.add_argument("workspace", type=int, metavar="ID")
    archived.add_argument("--undo", action="store_true", help="bring it back")


def _ending_flags(parser: argparse.ArgumentParser, confirmed: str) -> None:
    parser.add_argument("--confirm", required=True, metavar="TEXT", help=confirmed)
    kept = parser.add_mutually_exclusive_group(required=True)
    kept.add_argument("--export", type=Path, metavar="FILE", help="write the reports there first")
    kept.add_argument("--without-export", action="store_true", help="keep no copy")


def _account_delete(settings: Settings, options: argparse.Namespace) -> None:
    def find(tx: Transaction) -> int:
        account_id = accounts.account_named(tx, options.account)
        ending.demand_typed("confirm", options.confirm, accounts.account_name(tx, account_id))
        return account_id

    account_id = read(settings, find)
    _keep_copy(settings, options, account_id, ())
    write(settings, lambda tx, now: ending.close(tx, account_id, now))
    while write(settings, lambda tx, now: ending.empty_piece(tx, account_id, now)):
        pass
    log.warning("deleted account %d", account_id)
    print(f"{options.account} is deleted, with all that was in it")


def _workspace_delete(settings: Settings, options: argparse.Namespace) -> None:
    workspace_id: int = options.workspace

    def find(tx: Transaction) -> int:
        workspace = workspaces.named(tx, workspace_id)
        ending.demand_typed("confirm", options.confirm, workspace.title)
        return workspace.account_id

    account_id = read(settings, find)
    of_it = (Filter("workspace_id", (workspace_id,)),)
    _keep_copy(settings, options, account_id, of_it)
    write(settings, lambda tx, now: workspaces.archive(tx, workspace_id, now, archived=True))
    while write(settings, lambda tx, now: ending.delete_piece(tx, account_id, workspace_id, now)):
        pass
    print(f"workspace {workspace_id} is deleted, with all its reports")


def _keep_copy(
    settings: Settings,
    options: argparse.Namespace,
    account_id: int,
    filters: tuple[Filter, ...],
) -> None:
    """Write the reports to the file that was asked for, which must not be there yet."""
    if options.export is None:
        return
    query, last_id = Query(Kind.STATUS_REPORTS, filters), 0

    def following(tx: Transaction) -> tuple[Record, ...]:
        return ending.reports_after(tx, account_id, query, last_id)

    with options.export.open("xb") as file:
        while found := read(settings, following):
            file.write(JSON_LINES.write(found, not last_id))
            last_id = found[-1].id
        file.flush()
        os.fsync(file.fileno())


def _user_change_address(settings: Settings, options: argparse.Namespace) -> None:
    secret = write(
        settings,
        lambda tx, now: addresses.want_as_operator(
            tx, person(tx, options, options.user), options.new_address, now
        ),
    )
    origin = settings.public_url or f"http://{settings.host}:{settings.port}"
    print(f"{origin}{ADDRESS}?link={secret}")


def _user_hand_over(settings: Settings, options: argparse.Namespace) -> None:
    def piece(tx: Transaction, now: Instant) -> bool:
        giver = person(tx, options, options.user)
        taker = members.user_of_account(tx, giver.account_id, options.taker, "taker")
        return handing.hand_over_as_operator(tx, giver, taker, now)

    while write(settings, piece):
        pass
    print(f"{options.taker} has the places of {options.user}")


def _account_create(settings: Settings, options: argparse.Namespace) -> None:
    def work(tx: Transaction, now: Instant) -> tuple[int, str]:
        account_id = accounts.create_account(tx, options.title, now, options.name)
        return account_id, accounts.account_name(tx, account_id)

    account_id, name = write(settings, work)
    print(f"account {account_id}, named {name}")


def _account_list(settings: Settings, _options: argparse.Namespace) -> None:
    for account_id, name, title in write(settings, lambda tx, _now: accounts.all_accounts(tx)):
        print(f"{account_id}\t{name}\t{title}")


def _account_rename(settings: Settings, options: argparse.Namespace) -> None:
    write(
        settings,
        lambda tx, _now: accounts.rename_account(
            tx, accounts.account_named(tx, options.account), options.new_name
        ),
    )
    print(f"{options.account} is now named {options.new_name}")


def _account_factor(settings: Settings, options: argparse.Namespace) -> None:
    of = FactorDemand(options.of)
    write(
        settings,
        lambda tx, _now: factors.demand_of(tx, accounts.account_named(tx, options.account), of),
    )
    print(f"{options.account} demands a second factor of {of}")


def _user_reset_factors(settings: Settings, options: argparse.Namespace) -> None:
    removed = write(settings, lambda tx, _now: factors.reset(tx, person(tx, options, options.user)))
    print(f"{options.user} had {removed}, and has no second factor now")


def _user_create(settings: Settings, options: argparse.Namespace) -> None:
    permission = AccountPermission(options.permission)

    def work(tx: Transaction, now: Instant) -> int:
        return members.create_user(
            tx,
            accounts.account_named(tx, options.account),
            full_name=options.name,
            email_address=options.email,
            permission=permission,
            now=now,
            headline=options.headline,
            photo_path=options.photo_path,
        ).id

    print(f"user {write(settings, work)}")


def _workspace_create(settings: Settings, options: argparse.Namespace) -> None:
    def work(tx: Transaction, now: Instant) -> int:
        creator = person(tx, options, options.creator)
        workspace_id = workspaces.make_workspace(
            tx, creator, options.title, now, options.description
        )
        admin = ParticipationPermission.ADMIN
        workspaces.join(tx, workspace_id, creator, admin, now, team_lead=True)
        return workspace_id

    print(f"workspace {write(settings, work)}")


def _user_permit(settings: Settings, options: argparse.Namespace) -> None:
    permission = AccountPermission(options.permission)
    write(
        settings,
        lambda tx, now: members.change_permission(
            tx, person(tx, options, options.user), permission, now
        ),
    )
    print(f"{options.user} is {permission}")


def _user_disable(settings: Settings, options: argparse.Namespace) -> None:
    write(
        settings,
        lambda tx, now: members.disable(
            tx, person(tx, options, options.user), now, disabled=not options.undo
        ),
    )
    print(f"{options.user} is {'back' if options.undo else 'disabled'}")


def _workspace_join(settings: Settings, options: argparse.Namespace) -> None:
    permission, side = ParticipationPermission(options.permission), Side(options.side)
    write(
        settings,
        lambda tx, now: workspaces.join(
            tx,
            options.workspace,
            person(tx, options, options.user),
            permission,
            now,
            side=side,
            team_lead=options.team_lead,
        ),
    )
    print(f"{options.user} participates in workspace {options.workspace}: {side}, {permission}")


def _workspace_clients(settings: Settings, options: argparse.Namespace) -> None:
    shown = options.see == "yes"
    write(
        settings,
        lambda tx, now: workspaces.show_to_clients(tx, options.workspace, now, shown=shown),
    )
    print(
        f"clients {'see' if shown else 'do not see'} the reports of workspace {options.workspace}"
    )


def _workspace_archive(settings: Settings, options: argparse.Namespace) -> None:
    write(
        settings,
        lambda tx, now: workspaces.archive(tx, options.workspace, now, archived=not options.undo),
    )
    print(f"workspace {options.workspace} is {'back' if options.undo else 'archived'}")


def _user_password(settings: Settings, options: argparse.Namespace) -> None:
    # Never an argument, since every program sees a command line.
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    write(
        settings,
        lambda tx, now: set_password(
            tx,
            person(tx, options, options.user),
            password,
            now,
            keep_tokens=options.keep_tokens,
        ),
    )
    print(f"{options.user} has a new password")


def _user_invite(settings: Settings, options: argparse.Namespace) -> None:
    secret = write(
        settings,
        lambda tx, now: invite_as_operator(tx, person(tx, options, options.user), now),
    )
    origin = settings.public_url or f"http://{settings.host}:{settings.port}"
    print(f"{origin}{WELCOME}?{INVITATION}={secret}")
