"""The command line: one parser, one function a command, errors as one line and an exit code."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from healthreports import __version__, logs
from healthreports.cli.access import add_access_commands
from healthreports.cli.auditing import add_audit_commands
from healthreports.cli.command import (
    account_flag,
    command,
    fail,
    group_of,
    person,
    read,
    within,
    write,
)
from healthreports.cli.people import add_people_commands
from healthreports.cli.safekeeping import add_safekeeping_commands, bring_up_to_date
from healthreports.contract.failure import failure_of
from healthreports.contract.openapi import document_bytes
from healthreports.contract.params import list_query
from healthreports.core.errors import HealthReportsError
from healthreports.core.vocabulary import Kind
from healthreports.service.upkeep import count_anew, explain, wrong_counts
from healthreports.settings import (
    BadSetting,
    Settings,
    load,
    look,
    of_cluster,
    unknown,
)
from healthreports.store.schema.upgrade import WrongSchema, shown, unopened

# Where the demonstration keeps its database unless it is told otherwise.
DEMO_DATABASE: Final = "var/demo.sqlite3"
# As a shell has it for what SIGINT ended.
_STOPPED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0, or another after one line on standard error."""
    logs.configure()
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(_settings(options), options) or 0)
    except BadSetting as error:
        return fail(f"bad setting: {error}")
    except WrongSchema as error:
        return fail(error.says)
    except HealthReportsError as error:
        errors = msgspec.json.decode(failure_of(error).body)["errors"]
        return fail("; ".join(one["message"] for one in errors))
    except KeyboardInterrupt:
        return fail("stopped") and _STOPPED
    except OSError as error:
        return fail(
            " ".join(str(part) for part in (error.strerror or error, error.filename or "") if part)
        )


def _settings(options: argparse.Namespace) -> Settings:
    """The settings of a command. Raises BadSetting, but for the command that says what is wrong."""
    if options.run is _check_settings:
        return Settings()
    settings = load(_flags(options), defaults=getattr(options, "defaults", {}))
    logs.configure(settings.log_format, settings.log_level)
    return settings


def _flags(options: argparse.Namespace) -> dict[str, object]:
    return {name: getattr(options, name, None) for name in Settings.__struct_fields__}


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    if options.upgrade:
        bring_up_to_date(settings, options)
    from healthreports.cli.serve import serve  # noqa: PLC0415  the server's libraries load slowly

    return serve(settings)


def _demo(settings: Settings, _options: argparse.Namespace) -> int:
    from healthreports.cli.demo import demo  # noqa: PLC0415  as above

    return demo(settings)


def _import(settings: Settings, options: argparse.Namespace) -> int:
    from healthreports.cli.importing import run  # noqa: PLC0415  as above

    return run(settings, options)


def _upgrade(settings: Settings, options: argparse.Namespace) -> None:
    bring_up_to_date(settings, options)
    print(f"{shown(settings.database)} is ready")


def _check(settings: Settings, options: argparse.Namespace) -> int:
    def say(what: str) -> None:
        print(f"healthreports: looking at {what}", file=sys.stderr)

    found = read(settings, lambda tx: wrong_counts(tx, say))
    for one in found:
        print(one)
    if not found:
        print("all is counted right")
    elif options.repair:
        write(settings, lambda tx, _now: count_anew(tx))
        print(f"{shown(settings.database)} is counted anew")
    else:
        return fail("what is counted is not what is there; see --repair")
    return 0


def _check_settings(_settings: Settings, options: argparse.Namespace) -> int:
    """Say each setting in force, where it comes from, and what is wrong."""
    found = look(_flags(options), {})
    width = max(len(one.name) for one in found)
    for one in found:
        print(f"{one.name:<{width}}  {one.shown or '(empty)'}  ({one.source})")
    for name in of_cluster():
        print(f"{name} is set by Kubernetes for a Service of that name, and is not read")
    problems = [*(one.problem for one in found if one.problem), *unknown()]
    place = next(one.value for one in found if one.name == "database")
    if place and "://" not in place and (why := unopened(place)):
        problems.append(f"the database cannot be opened: {why}")
    for says in problems:
        fail(says)
    return 1 if problems else 0


def _explain(settings: Settings, options: argparse.Namespace) -> None:
    query = list_query(Kind.STATUS_REPORTS, options.query)
    found = read(settings, lambda tx: explain(tx, person(tx, options, options.reader), query))
    print(f"plan        {found.plan}: {found.why}")
    print(f"cost        {found.cost}")
    print(f"matching    {found.matching:,} reports, by {found.counted_by}")
    print("parameters ", ", ".join(f"{name}={value!r}" for name, value in found.values.items()))
    print(f"statement\n{found.statement}")


def _openapi(_settings: Settings, options: argparse.Namespace) -> None:
    if options.output is None:
        sys.stdout.buffer.write(document_bytes() + b"\n")
    else:
        options.output.write_bytes(document_bytes() + b"\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="healthreports",
        description="A self-hosted server for project status reports. "
        "Start with: healthreports demo",
    )
    parser.add_argument("--version", action="version", version=f"healthreports {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    served = command(commands, "serve", "run the server", _serve)
    _serving_flags(served)
    served.add_argument(
        "--upgrade", action="store_true", help="first bring the database to this version"
    )
    served.set_defaults(while_serving=False, no_backup=False)
    shown = command(commands, "demo", "run a server with the sample portfolio, ready to try", _demo)
    shown.set_defaults(defaults={"database": DEMO_DATABASE})
    _serving_flags(shown)

    group = group_of(commands, "db", "the database")
    upgraded = command(
        group, "upgrade", "create the database, or bring it to this version", _upgrade
    )
    upgraded.add_argument(
        "--while-serving", action="store_true", help="upgrade even while a server is running"
    )
    upgraded.add_argument(
        "--no-backup", action="store_true", help="upgrade a SQLite file without a copy of it"
    )
    checked = command(group, "check", "compare what is counted with what is there", _check)
    checked.add_argument("--repair", action="store_true", help="count anew where they differ")

    explained = command(
        group, "explain", "say how a list of status reports is found, and why so", _explain
    )
    explained.add_argument(
        "query", metavar="QUERY", help='the query string, such as "created_after=2026-11-01"'
    )
    explained.add_argument(
        "--as", dest="reader", required=True, metavar="EMAIL", help="the user who asks"
    )
    account_flag(explained)

    imported = command(
        commands, "import", "load status reports from a file of JSON lines or CSV", _import
    )
    imported.add_argument("file", type=Path, metavar="FILE")
    imported.add_argument(
        "--by",
        required=True,
        metavar="EMAIL",
        help="whose account, and who reports if none is named",
    )
    imported.add_argument("--name", help="what the file is known as (default: its own name)")
    imported.add_argument(
        "--batch", type=within(1, 100_000), default=5_000, help="lines at once (default: 5000)"
    )
    account_flag(imported)
    imported.add_argument("--check", action="store_true", help="only say which lines are bad")

    settings = group_of(commands, "config", "the settings")
    looked = settings.add_parser(
        "check",
        help="say each setting in force and what is wrong with it",
        description="Say each setting in force, where it comes from, and what is wrong with it.",
    )
    looked.set_defaults(run=_check_settings)
    looked.add_argument("--database", metavar="FILE", help="the SQLite file, or postgresql://…")
    _serving_flags(looked)

    add_people_commands(commands)
    add_access_commands(commands)
    add_safekeeping_commands(commands)
    add_audit_commands(commands)

    written = command(commands, "openapi", "print the OpenAPI document", _openapi, database=False)
    written.add_argument("--output", type=Path, metavar="FILE", help="write it there instead")
    return parser


def _serving_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", help="the port to listen on (default: 8000, 0: any free one)")
    parser.add_argument("--socket", help="a Unix socket to listen on, in place of host and port")
    parser.add_argument(
        "--metrics-port", help="the port that answers Prometheus (default: 0, none)"
    )
    parser.add_argument("--metrics-host", help="the address of that port (default: 127.0.0.1)")
    parser.add_argument("--otlp-endpoint", help="the OpenTelemetry collector that gets traces")
    parser.add_argument("--workers", help="processes that serve (default: 1)")
    parser.add_argument("--read-database", help="a replica of the database, to read from")
    parser.add_argument("--body-limit-bytes", help="the largest body read (default: 1 MiB)")
    parser.add_argument("--time-limit-s", help="how long a request may take (default: 180)")
    parser.add_argument("--connections", help="connections at once (default: 1000)")
    parser.add_argument(
        "--connections-from-address", help="connections at once from one address (default: 200)"
    )
    parser.add_argument(
        "--head-limit-s", help="how long the head of a request may take (default: 10)"
    )
    parser.add_argument("--body-limit-s", help="how long a body may take (default: 60)")
    parser.add_argument(
        "--unsent-limit-bytes", help="answers that wait to be read, in all (default: 32 MiB)"
    )
    parser.add_argument(
        "--include-limit", help="objects that an answer may hold beside its own (default: 20000)"
    )
    parser.add_argument(
        "--trash-days", help="days that a deleted report can be restored (default: 30)"
    )
    parser.add_argument(
        "--session-idle-hours", help="hours that a session lasts without use (default: 12)"
    )
    parser.add_argument("--session-days", help="days that a session lasts in all (default: 14)")
    parser.add_argument(
        "--audit-days", help="days that the audit log keeps more than hashes (default: 400)"
    )
    parser.add_argument(
        "--database-wait-s", help="how long to wait at the start for the database (default: 0)"
    )
    parser.add_argument("--busy-timeout-s", help="how long to wait for the database (default: 5)")
    parser.add_argument(
        "--grace-s", help="how long requests may still take once told to stop (default: 10)"
    )
    parser.add_argument("--log-format", help="console, or json for programs (default: console)")
    parser.add_argument(
        "--log-level", help="debug, info, warning or error: what is logged (default: info)"
    )
    parser.add_argument("--public-url", help="the address that clients use, if a proxy has another")
    parser.add_argument(
        "--trusted-proxies", help="addresses of proxies whose X-Forwarded-For counts, with commas"
    )
    parser.add_argument(
        "--cors-origins", help="origins whose pages may call the API from a browser, with commas"
    )
    parser.add_argument("--limit-store", help="memory, or valkey://host:port for several servers")
    parser.add_argument(
        "--token-requests-per-minute", help="what a token may ask (default: 3000, 0: no limit)"
    )
    parser.add_argument(
        "--address-requests-per-minute",
        help="what an address may ask without a valid token (default: 300, 0: no limit)",
    )
    parser.add_argument(
        "--document-requests-per-minute",
        help="PDF documents that a session, or an address, may have made (default: 30)",
    )
    parser.add_argument("--oidc-issuer", help="the OpenID Connect provider that people sign in by")
    parser.add_argument("--oidc-client-id", help="what the provider calls this server")
    parser.add_argument("--oidc-name", help="what people call the provider")
    parser.add_argument(
        "--passwords", help="on, or off where everybody signs in by the provider (default: on)"
    )
    parser.add_argument(
        "--access-log", action="store_true", default=None, help="log a line for each request"
    )
