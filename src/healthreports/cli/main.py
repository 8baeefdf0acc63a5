"""The command line: all commands. An error is printed as one line and sets the exit code."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from typer.main import get_command

from healthreports import __version__, logs
from healthreports.cli import access, accounts, auditing, safekeeping, users, workspaces
from healthreports.cli.command import (
    ALL_SETTINGS,
    Flags,
    OfAccount,
    command,
    command_of_flags,
    fail,
    group,
    person,
    read,
    with_setting_flags,
    write,
)
from healthreports.cli.safekeeping import bring_up_to_date
from healthreports.contract.failure import failure_of
from healthreports.contract.openapi import document_bytes
from healthreports.contract.params import list_query
from healthreports.core.errors import HealthReportsError
from healthreports.core.vocabulary import Kind
from healthreports.service.upkeep import count_anew, explain, wrong_counts
from healthreports.settings import BadSetting, Settings, look, of_cluster, unknown
from healthreports.store.schema.upgrade import WrongSchema, shown, unopened

# The default database of the demonstration.
DEMO_DATABASE: Final = "var/demo.sqlite3"
# The exit code of a program that SIGINT ended, as in a shell. The other exit codes: 0 is success,
# 1 a command that failed, 2 an invalid command line.
_STOPPED: Final = 130

app = typer.Typer(
    name="healthreports",
    help="A self-hosted server for project status reports. Start with: healthreports demo",
    no_args_is_help=True,
)
db_app = group("db", "Create, upgrade and check the database.")
config_app = group("config", "Check the settings.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code. An error is one line on standard error."""
    logs.configure()
    try:
        code = get_command(app).main(arguments, prog_name="healthreports", standalone_mode=False)
    except typer.TyperException as error:
        return _unread(error)
    except BadSetting as error:
        return fail(f"bad setting: {error}")
    except WrongSchema as error:
        return fail(error.says)
    except HealthReportsError as error:
        errors = msgspec.json.decode(failure_of(error).body)["errors"]
        return fail("; ".join(one["message"] for one in errors))
    except typer.Abort:
        code = _STOPPED
    except OSError as error:
        return fail(
            " ".join(str(part) for part in (error.strerror or error, error.filename or "") if part)
        )
    if code == _STOPPED:
        fail("stopped")
    return code or 0


def _unread(error: typer.TyperException) -> int:
    """Print what is wrong with the command line. Without a message, the help was shown instead."""
    says = error.format_message()
    context = getattr(error, "ctx", None)
    if says:
        where = "healthreports" if context is None else context.command_path
        fail(f"{says.rstrip('.')}. See: {where} --help")
    return error.exit_code


def _show_version(value: bool) -> None:
    if value:
        print(f"healthreports {__version__}")
        raise typer.Exit


@app.callback()
@with_setting_flags
def every_command(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
    ] = False,
) -> None:
    """Flags for settings may be given before the command or after it."""


@command(
    app,
    "serve",
    example="healthreports serve --host 0.0.0.0 --port 8000",
    settings=ALL_SETTINGS,
)
def serve(
    settings: Settings,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Upgrade the database first, if that is needed.")
    ] = False,
) -> int:
    """Run the server."""
    if upgrade:
        bring_up_to_date(settings, while_serving=False, no_backup=False)
    from healthreports.cli.serve import serve as run_server  # noqa: PLC0415  loads slowly

    return run_server(settings)


@command(
    app,
    "demo",
    example="healthreports demo --port 8001",
    settings=ALL_SETTINGS,
    defaults={"database": DEMO_DATABASE},
)
def demo(settings: Settings) -> int:
    """Run a server with sample data, ready to try."""
    from healthreports.cli.demo import demo as run_demo  # noqa: PLC0415  as above

    return run_demo(settings)


@command(app, "import", example="healthreports import reports.ndjson --by ann@example.org")
def import_(
    settings: Settings,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file that ends with .ndjson, .jsonl or .csv.")
    ],
    by: Annotated[
        str,
        typer.Option(
            metavar="EMAIL", help="The creator of reports that name none; its account is used."
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(help="The name of this import, to resume it (default: the file name)."),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, max=100_000, help="Lines that are stored together.")
    ] = 5_000,
    check: Annotated[
        bool, typer.Option("--check", help="Report the lines that are invalid; store nothing.")
    ] = False,
    account: OfAccount = None,
) -> int:
    """Load status reports from a file of JSON lines or CSV."""
    from healthreports.cli import importing  # noqa: PLC0415  as above

    job = importing.Job(file, name or file.name, by, account, batch, check)
    return importing.run(settings, job)


@command(app, "openapi", example="healthreports openapi --output openapi.json", settings=())
def openapi(
    _settings: Settings,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the document to this file.")
    ] = None,
) -> None:
    """Print the OpenAPI 3.1 document of the API."""
    if output is None:
        sys.stdout.buffer.write(document_bytes() + b"\n")
    else:
        output.write_bytes(document_bytes() + b"\n")


@command(db_app, "upgrade", example="healthreports db upgrade")
def upgrade(
    settings: Settings,
    while_serving: Annotated[
        bool, typer.Option("--while-serving", help="Upgrade even while a server is running.")
    ] = False,
    no_backup: Annotated[
        bool, typer.Option("--no-backup", help="Do not copy a SQLite file first.")
    ] = False,
) -> None:
    """Create the database, or upgrade it to this version."""
    bring_up_to_date(settings, while_serving=while_serving, no_backup=no_backup)
    print(f"{shown(settings.database)} is ready")


@command(db_app, "check", example="healthreports db check --repair")
def check(
    settings: Settings,
    repair: Annotated[
        bool, typer.Option("--repair", help="Count again and fix counters that are wrong.")
    ] = False,
) -> int:
    """Compare the counters of reports with the reports."""

    def say(what: str) -> None:
        print(f"healthreports: checking {what}", file=sys.stderr)

    found = read(settings, lambda tx: wrong_counts(tx, say))
    for one in found:
        print(one)
    if not found:
        print("all counters are right")
    elif repair:
        write(settings, lambda tx, _now: count_anew(tx))
        print(f"the counters of {shown(settings.database)} are repaired")
    else:
        return fail("some counters are wrong; repair them with --repair")
    return 0


@command(
    db_app,
    "explain",
    example='healthreports db explain "created_after=2026-11-01" --as ann@example.org',
)
def explain_(
    settings: Settings,
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="The query string of a list of status reports.")
    ],
    reader: Annotated[
        str, typer.Option("--as", metavar="EMAIL", help="The user who makes the request.")
    ],
    account: OfAccount = None,
) -> None:
    """Show the plan and the SQL statement of a list of status reports."""
    asked = list_query(Kind.STATUS_REPORTS, query)
    found = read(settings, lambda tx: explain(tx, person(tx, reader, account), asked))
    print(f"plan        {found.plan}: {found.why}")
    print(f"cost        {found.cost}")
    print(f"matching    {found.matching:,} reports, by {found.counted_by}")
    print("parameters ", ", ".join(f"{name}={value!r}" for name, value in found.values.items()))
    print(f"statement\n{found.statement}")


@command_of_flags(
    config_app,
    "check",
    example="healthreports config check",
    settings=ALL_SETTINGS,
    read=dict,
)
def check_config(flags: Flags) -> int:
    """Show each setting, where it comes from and what is wrong with it."""
    found = look(flags, {})
    width = max(len(one.name) for one in found)
    for one in found:
        print(f"{one.name:<{width}}  {one.shown or '(empty)'}  ({one.source})")
    for name in of_cluster():
        print(f"{name} is set by Kubernetes for a Service of that name; it is not a setting")
    problems = [*(one.problem for one in found if one.problem), *unknown()]
    place = next(one.value for one in found if one.name == "database")
    if place and "://" not in place and (why := unopened(place)):
        problems.append(f"the database cannot be opened: {why}")
    for says in problems:
        fail(says)
    return 1 if problems else 0


# In the order in which the help lists them.
app.add_typer(db_app)
app.add_typer(safekeeping.app)
for one in (
    config_app,
    accounts.app,
    users.app,
    workspaces.app,
    workspaces.participation_app,
    access.token_app,
    access.application_app,
    safekeeping.trash_app,
    auditing.app,
):
    app.add_typer(one)
