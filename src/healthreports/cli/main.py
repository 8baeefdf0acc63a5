"""The command line: one parser, one function a command, errors as one line and an exit code."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from healthreports import __version__
from healthreports.contract.failure import failure_of
from healthreports.contract.moments import as_datetime
from healthreports.contract.openapi import document_bytes
from healthreports.core.errors import HealthReportsError
from healthreports.core.model import Instant
from healthreports.core.vocabulary import AccountPermission, ParticipationPermission, Scope, Side
from healthreports.service import people, tokens
from healthreports.settings import BadSetting, Settings, load
from healthreports.store.database import Transaction
from healthreports.store.upgrade import WrongSchema, demand_current, upgrade

T = TypeVar("T")

# Where the demonstration keeps its database unless it is told otherwise.
DEMO_DATABASE: Final = "var/demo.sqlite3"
_DAY_US: Final = 86_400 * 1_000_000
_FLAGS: Final = tuple(Settings.__struct_fields__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0, or 1 after one line on standard error."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("healthreports").setLevel(logging.INFO)
    options = _parser().parse_args(arguments)
    try:
        flags = {name: getattr(options, name, None) for name in _FLAGS}
        defaults = getattr(options, "defaults", {})
        return int(options.run(load(flags, defaults=defaults), options) or 0)
    except BadSetting as error:
        return _fail(f"bad setting: {error}")
    except WrongSchema as error:
        return _fail(error.says)
    except HealthReportsError as error:
        errors = msgspec.json.decode(failure_of(error).body)["errors"]
        return _fail("; ".join(one["message"] for one in errors))
    except OSError as error:
        return _fail(
            " ".join(str(part) for part in (error.strerror or error, error.filename or "") if part)
        )


def _fail(says: str) -> int:
    print(f"healthreports: {says}", file=sys.stderr)
    return 1


def _serve(settings: Settings, _options: argparse.Namespace) -> int:
    from healthreports.cli.serve import serve  # noqa: PLC0415  the server's libraries load slowly

    return serve(settings)


def _demo(settings: Settings, _options: argparse.Namespace) -> int:
    from healthreports.cli.demo import demo  # noqa: PLC0415  as above

    return demo(settings)


def _upgrade(settings: Settings, _options: argparse.Namespace) -> None:
    upgrade(settings.database_path)
    print(f"{settings.database} is ready")


def _openapi(_settings: Settings, options: argparse.Namespace) -> None:
    if options.output is None:
        sys.stdout.buffer.write(document_bytes() + b"\n")
    else:
        options.output.write_bytes(document_bytes() + b"\n")


def _account_create(settings: Settings, options: argparse.Namespace) -> None:
    account_id = _write(settings, lambda tx, now: people.create_account(tx, options.title, now))
    print(f"account {account_id}")


def _account_list(settings: Settings, _options: argparse.Namespace) -> None:
    for account_id, title in _write(settings, lambda tx, _now: people.accounts(tx)):
        print(f"{account_id}\t{title}")


def _user_create(settings: Settings, options: argparse.Namespace) -> None:
    permission = AccountPermission(options.permission)

    def work(tx: Transaction, now: Instant) -> int:
        return people.create_user(
            tx,
            options.account,
            full_name=options.name,
            email_address=options.email,
            permission=permission,
            now=now,
            headline=options.headline,
            photo_path=options.photo_path,
        ).id

    print(f"user {_write(settings, work)}")


def _workspace_create(settings: Settings, options: argparse.Namespace) -> None:
    def work(tx: Transaction, now: Instant) -> int:
        creator = people.user_by_email(tx, options.creator)
        workspace_id = people.create_workspace(tx, creator, options.title, now, options.description)
        admin = ParticipationPermission.ADMIN
        people.join(tx, workspace_id, creator, admin, now, team_lead=True)
        return workspace_id

    print(f"workspace {_write(settings, work)}")


def _user_permit(settings: Settings, options: argparse.Namespace) -> None:
    permission = AccountPermission(options.permission)
    _write(
        settings,
        lambda tx, now: people.change_permission(
            tx, people.user_by_email(tx, options.user), permission, now
        ),
    )
    print(f"{options.user} is {permission}")


def _user_disable(settings: Settings, options: argparse.Namespace) -> None:
    _write(
        settings,
        lambda tx, now: people.disable(
            tx, people.user_by_email(tx, options.user), now, disabled=not options.undo
        ),
    )
    print(f"{options.user} is {'back' if options.undo else 'disabled'}")


def _workspace_join(settings: Settings, options: argparse.Namespace) -> None:
    permission, side = ParticipationPermission(options.permission), Side(options.side)
    _write(
        settings,
        lambda tx, now: people.join(
            tx,
            options.workspace,
            people.user_by_email(tx, options.user),
            permission,
            now,
            side=side,
            team_lead=options.team_lead,
        ),
    )
    print(f"{options.user} participates in workspace {options.workspace}: {side}, {permission}")


def _workspace_clients(settings: Settings, options: argparse.Namespace) -> None:
    shown = options.see == "yes"
    _write(
        settings, lambda tx, now: people.show_to_clients(tx, options.workspace, now, shown=shown)
    )
    print(
        f"clients {'see' if shown else 'do not see'} the reports of workspace {options.workspace}"
    )


def _workspace_archive(settings: Settings, options: argparse.Namespace) -> None:
    _write(
        settings,
        lambda tx, now: people.archive(tx, options.workspace, now, archived=not options.undo),
    )
    print(f"workspace {options.workspace} is {'back' if options.undo else 'archived'}")


def _token_create(settings: Settings, options: argparse.Namespace) -> None:
    def work(tx: Transaction, now: Instant) -> str:
        expires_at = None if options.days is None else Instant(now + options.days * _DAY_US)
        scopes = frozenset({Scope.READ}) if options.read_only else tokens.ALL_SCOPES
        return tokens.issue(
            tx,
            people.user_by_email(tx, options.user),
            options.name,
            now,
            expires_at=expires_at,
            scopes=scopes,
        )

    print(_write(settings, work))


def _token_list(settings: Settings, _options: argparse.Namespace) -> None:
    def show(instant: Instant | None) -> str:
        return "-" if instant is None else f"{as_datetime(instant):%Y-%m-%d %H:%M}"

    listed = _write(settings, lambda tx, _now: tokens.with_owners(tx))
    print("id\tuser\tname\tscopes\tcreated\texpires\trevoked\tlast used")
    for owner, one in listed:
        dates = map(show, (one.created_at, one.expires_at, one.revoked_at, one.last_used_at))
        print(one.id, owner, one.name, " ".join(sorted(one.scopes)), *dates, sep="\t")


def _token_revoke(settings: Settings, options: argparse.Namespace) -> int:
    if _write(settings, lambda tx, now: tokens.revoke(tx, options.id, now)):
        print(f"token {options.id} is revoked")
        return 0
    return _fail(f"there is no token {options.id} that still works")


def _write(settings: Settings, work: Callable[[Transaction, Instant], T]) -> T:
    from healthreports.app import now, open_database  # noqa: PLC0415  as for serve

    demand_current(settings.database_path)
    database = open_database(settings)
    try:
        return database.write_here(lambda tx: work(tx, now()))
    finally:
        database.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="healthreports",
        description="A self-hosted server for project status reports. "
        "Start with: healthreports demo",
    )
    parser.add_argument("--version", action="version", version=f"healthreports {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    served = _command(commands, "serve", "run the server", _serve)
    _serving_flags(served)
    shown = _command(
        commands, "demo", "run a server with the sample portfolio, ready to try", _demo
    )
    shown.set_defaults(defaults={"database": DEMO_DATABASE})
    _serving_flags(shown)

    group = _group(commands, "db", "the database")
    _command(group, "upgrade", "create the database, or bring it to this version", _upgrade)

    group = _group(commands, "account", "accounts: each is a tenant of its own")
    made = _command(group, "create", "create an account", _account_create)
    made.add_argument("title")
    _command(group, "list", "list the accounts", _account_list)

    group = _group(commands, "user", "the people of an account")
    made = _command(group, "create", "create a user", _user_create)
    made.add_argument("--account", type=int, required=True, metavar="ID")
    made.add_argument("--name", required=True, help="the full name")
    made.add_argument("--email", required=True)
    made.add_argument("--headline", help="what the person does, in a few words")
    made.add_argument("--photo-path", help="the address of a picture")
    _permission(made, AccountPermission, AccountPermission.COLLABORATOR)
    permitted = _command(group, "permit", "change what a user may do in the account", _user_permit)
    permitted.add_argument("user", metavar="EMAIL")
    permitted.add_argument("permission", choices=[str(one) for one in AccountPermission])
    disabled = _command(group, "disable", "stop a user's tokens at once", _user_disable)
    disabled.add_argument("user", metavar="EMAIL")
    disabled.add_argument("--undo", action="store_true", help="let them work again")

    _workspace_commands(commands)
    _token_commands(commands)

    written = _command(commands, "openapi", "print the OpenAPI document", _openapi, database=False)
    written.add_argument("--output", type=Path, metavar="FILE", help="write it there instead")
    return parser


def _workspace_commands(commands: Any) -> None:  # noqa: ANN401  argparse's own type is private
    group = _group(commands, "workspace", "the projects that status reports are about")
    made = _command(group, "create", "create a workspace", _workspace_create)
    made.add_argument("title")
    made.add_argument(
        "--creator", required=True, metavar="EMAIL", help="who becomes an admin of it"
    )
    made.add_argument("--description")
    joined = _command(group, "join", "let a user participate", _workspace_join)
    joined.add_argument("workspace", type=int, metavar="ID")
    joined.add_argument("--user", required=True, metavar="EMAIL")
    _permission(joined, ParticipationPermission, ParticipationPermission.VIEW)
    joined.add_argument(
        "--side",
        choices=[str(side) for side in Side],
        default=Side.PROVIDER,
        help="(default: %(default)s)",
    )
    joined.add_argument("--team-lead", action="store_true")
    clients = _command(group, "clients", "say whether clients see the reports", _workspace_clients)
    clients.add_argument("workspace", type=int, metavar="ID")
    clients.add_argument("see", choices=("yes", "no"))
    archived = _command(group, "archive", "archive a workspace", _workspace_archive)
    archived.add_argument("workspace", type=int, metavar="ID")
    archived.add_argument("--undo", action="store_true", help="bring it back")


def _token_commands(commands: Any) -> None:  # noqa: ANN401  argparse's own type is private
    group = _group(commands, "token", "bearer tokens of users")
    made = _command(group, "create", "create a token and print it, once", _token_create)
    made.add_argument("--user", required=True, metavar="EMAIL")
    made.add_argument("--name", required=True, help="what it is for")
    made.add_argument("--read-only", action="store_true", help="it may read, and not write")
    made.add_argument("--days", type=_days, help="how many days it works (default: for ever)")
    _command(group, "list", "list the tokens, without their secrets", _token_list)
    revoked = _command(group, "revoke", "make a token useless at once", _token_revoke)
    revoked.add_argument("id", type=int)


def _group(commands: Any, name: str, says: str) -> Any:  # noqa: ANN401  argparse's own type is private
    group = commands.add_parser(name, help=says, description=says.capitalize() + ".")
    return group.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _command(
    commands: Any,  # noqa: ANN401  argparse's own type is private
    name: str,
    says: str,
    run: Callable[[Settings, argparse.Namespace], int | None],
    *,
    database: bool = True,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=says, description=says.capitalize() + "."
    )
    parser.set_defaults(run=run)
    if database:
        parser.add_argument("--database", metavar="FILE", help="the SQLite file")
    return parser


def _serving_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", help="the port to listen on (default: 8000, 0: any free one)")
    parser.add_argument("--body-limit-bytes", help="the largest body read (default: 1 MiB)")
    parser.add_argument("--time-limit-s", help="how long a request may take (default: 180)")
    parser.add_argument("--busy-timeout-s", help="how long to wait for the database (default: 5)")
    parser.add_argument(
        "--access-log", action="store_true", default=None, help="log a line for each request"
    )


def _permission(parser: argparse.ArgumentParser, options: Any, default: str) -> None:  # noqa: ANN401  an enum class
    parser.add_argument(
        "--permission",
        choices=[str(option) for option in options],
        default=default,
        help="(default: %(default)s)",
    )


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 36_500:  # noqa: PLR2004  a hundred years
        raise argparse.ArgumentTypeError("from 1 to 36,500")
    return days
