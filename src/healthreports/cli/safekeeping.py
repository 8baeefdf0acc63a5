"""Commands for backups, the trash, and permanent deletion of personal data."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from healthreports.cli.command import (
    AsJson,
    OfAccount,
    command,
    fail,
    group,
    person,
    read,
    write,
)
from healthreports.cli.listing import print_list
from healthreports.contract.moments import as_datetime
from healthreports.core.model import Actor, DeletedReport, Instant
from healthreports.core.query import Window
from healthreports.core.vocabulary import AuditAction, Purged
from healthreports.service.auditing import note
from healthreports.service.auth.sign_in import forget_tags
from healthreports.service.people import accounts
from healthreports.service.people.members import reader
from healthreports.service.purging import known_of, purge_user, purges, replay
from healthreports.service.reports import history
from healthreports.service.upkeep import wrong_counts
from healthreports.settings import Settings
from healthreports.store.engine.database import Transaction
from healthreports.store.schema import backups
from healthreports.store.schema.upgrade import (
    WrongSchema,
    demand_current,
    demand_unserved,
    is_server,
    pending,
    shown,
    upgrade,
)

log: Final = logging.getLogger("healthreports")

# The list of purged objects, next to the backups, so that an older backup does not restore them.
PURGES: Final = "purges.ndjson"
_AT_ONCE: Final = 200

app = typer.Typer()
trash_app = group("trash", "Restore or purge deleted reports.")


class _Purge(msgspec.Struct, frozen=True, order=True):
    account: int
    what: Purged
    id: int
    at: int


def bring_up_to_date(settings: Settings, *, while_serving: bool, no_backup: bool) -> None:
    """Create the database, or upgrade it to this version's schema. Raises WrongSchema.

    A SQLite file with an older schema is copied first. Refuses while a server runs, unless
    `while_serving`.
    """
    was = pending(settings.database)
    if was and not while_serving:
        demand_unserved(settings.database)
    if was and is_server(settings.database):
        print("healthreports: before an upgrade, run: healthreports backup", file=sys.stderr)
    elif was and not no_backup:
        path = Path(settings.database)
        kept = path.with_name(f"{path.name}.before-{was}")
        if not kept.exists():  # otherwise an interrupted upgrade has already made it
            working = path.with_name(f".{kept.name}.part")
            backups.remove(working)
            backups.copy(path, working)
            backups.make_single(working)
            working.rename(kept)
        print(f"healthreports: the previous database is stored as {kept}", file=sys.stderr)
    upgrade(settings.database)


@command(app, "backup", example="healthreports backup /var/backups/healthreports --keep 7")
def backup(
    settings: Settings,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder that the backup is written to.")
    ],
    keep: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Delete all backups in the folder but the newest N."),
    ] = None,
) -> None:
    """Write a checked backup into a folder while the server runs."""
    demand_current(settings.database)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / backups.name_of(settings.database, datetime.now(UTC))
    done = read(settings, purges)
    if is_server(settings.database):
        backups.dump(settings.database, file)
    else:
        _back_up_file(Path(settings.database), file)
    _keep_purges(folder / PURGES, [_Purge(*one) for one in done])
    gone = [] if keep is None else backups.rotate(folder, keep)
    log.info("backup %s, %d bytes, %d older ones deleted", file, file.stat().st_size, len(gone))
    print(file)


def _back_up_file(path: Path, file: Path) -> None:
    """Take a snapshot of a SQLite file, check it, compress it to `file`. Raises WrongSchema."""
    working = file.with_name(f".{file.name}.working")
    try:
        backups.copy(path, working)
        _demand_right(working)
        backups.pack(working, file)
    finally:
        backups.remove(working)


def _demand_right(path: Path) -> None:
    found = read(Settings(database=str(path)), wrong_counts)
    if found:
        raise WrongSchema(f"the copy failed its check; run: healthreports db check ({found[0]})")


def _keep_purges(path: Path, new: list[_Purge]) -> None:
    known = {(one.account, one.what, one.id): one for one in [*_purges_in(path), *new]}
    backups.write_lines(path, [msgspec.json.encode(one).decode() for one in sorted(known.values())])


def _purges_in(path: Path) -> list[_Purge]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    try:
        return [msgspec.json.decode(line, type=_Purge) for line in lines]
    except msgspec.DecodeError as error:
        raise WrongSchema(f"{path}: {error}") from error


@command(
    app,
    "restore",
    example="healthreports restore /var/backups/healthreports/NAME-OF-A-BACKUP",
)
def restore(
    settings: Settings,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace a database that has data. A SQLite file is kept."),
    ] = False,
) -> int:
    """Replace the database with a backup."""
    if not file.exists():
        return fail(f"there is no file {file}")
    purged = [*_purges_in(file.with_name(PURGES)), *_purges_at(settings)]
    if is_server(settings.database):
        if not force and _is_filled(settings):
            return fail(f"{shown(settings.database)} has data; use --force to replace it")
        backups.load(settings.database, file)
        upgrade(settings.database)
        _settle(settings, purged)
    else:
        path = Path(settings.database)
        if path.exists() and not force:
            return fail(f"{path} exists; use --force to replace it")
        _restore_file(path, file, purged)
    log.info("restored %s from %s", shown(settings.database), file)
    print(f"restored {shown(settings.database)} from {file.name}")
    return 0


def _restore_file(path: Path, file: Path, purged: list[_Purge]) -> None:
    """Restore into a file next to the database, then replace the database in one step."""
    working = path.with_name(f".{path.name}.restoring")
    backups.remove(working)
    try:
        backups.unpack(file, working)
        upgrade(str(working))
        _demand_right(working)
        _settle(Settings(database=str(working)), purged)
        backups.make_single(working)
        aside = path.with_name(f"{path.name}.before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        backups.replace(path, working, aside)
    finally:
        backups.remove(working)
    upgrade(str(path))  # sets the journal mode that a server needs


def _settle(settings: Settings, purged: list[_Purge]) -> None:
    """Purge again what was purged since the backup, and invalidate all earlier entity tags."""

    def work(tx: Transaction, now: Instant) -> int:
        forget_tags(tx)
        return sum(replay(tx, one.account, one.what, one.id, now) for one in purged)

    number = write(settings, work)
    if number:
        print(f"{number} purged since the backup are purged again", file=sys.stderr)


def _purges_at(settings: Settings) -> list[_Purge]:
    """The purges recorded in the database that is replaced; empty if it cannot be read."""
    with suppress(WrongSchema):
        return [_Purge(*one) for one in read(settings, purges)]
    return []


def _is_filled(settings: Settings) -> bool:
    with suppress(WrongSchema):
        return not read(settings, accounts.is_empty)
    return False


As = Annotated[str, typer.Option("--as", metavar="EMAIL", help="The user who does it.")]
ReportId = Annotated[int, typer.Argument(metavar="REPORT_ID", help="See: healthreports trash list")]
Person = Annotated[
    str, typer.Option("--user", metavar="EMAIL", help="The e-mail address of the person.")
]


def _actor(tx: Transaction, user: str, account: str | None) -> Actor:
    actor = reader(tx, person(tx, user, account).id)
    if actor is None:
        raise WrongSchema(f"{user} is disabled")
    return actor


@command(trash_app, "list", example="healthreports trash list --as ann@example.org")
def trash_list(
    settings: Settings, user: As, as_json: AsJson = False, account: OfAccount = None
) -> None:
    """List the deleted reports that can be restored, the last deleted first."""

    def rows(tx: Transaction) -> Iterator[dict[str, Any]]:
        actor, offset = _actor(tx, user, account), 0
        while page := history.deleted(tx, actor, Window(_AT_ONCE, offset)).records_of(
            DeletedReport
        ):
            for one in page:
                yield {
                    "id": one.id,
                    "deleted_at": as_datetime(one.deleted_at),
                    "color": str(one.color),
                    "description": one.description.split("\n", 1)[0][:60],
                }
            offset += _AT_ONCE

    columns = ("id", "deleted_at", "color", "description")
    print_list(settings, columns, rows, as_json=as_json)


@command(trash_app, "restore", example="healthreports trash restore 12 --as ann@example.org")
def trash_restore(
    settings: Settings, report: ReportId, user: As, account: OfAccount = None
) -> None:
    """Restore a deleted report."""
    write(settings, lambda tx, now: history.restore(tx, _actor(tx, user, account), report, now))
    print(f"report {report} is restored")


@command(trash_app, "purge", example="healthreports trash purge 12 --as ann@example.org")
def trash_purge(settings: Settings, report: ReportId, user: As, account: OfAccount = None) -> None:
    """Delete a deleted report permanently."""
    write(settings, lambda tx, now: history.purge(tx, _actor(tx, user, account), report, now))
    print(f"report {report} is purged")


@command(app, "purge", example="healthreports purge --user ann@example.org")
def purge(
    settings: Settings,
    user: Person,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    account: OfAccount = None,
) -> int:
    """Erase the personal data of a user, in every place and permanently."""
    found = read(settings, lambda tx: person(tx, user, account))
    if not yes:
        asked = f"Erase {found.full_name} <{found.email_address}> permanently? Type yes: "
        if not sys.stdin.isatty() or input(asked).strip() != "yes":
            return fail("nothing was purged; confirm with --yes")
    write(settings, lambda tx, now: purge_user(tx, person(tx, user, account), now))
    log.info("purged user %d", found.id)
    print(f"user {found.id} is purged; what the user wrote stays, without the name")
    return 0


@command(app, "export", example="healthreports export --user ann@example.org > ann.json")
def export(settings: Settings, person_: Person, account: OfAccount = None) -> None:
    """Print everything that is stored about a user, as JSON."""

    def work(tx: Transaction, _now: Instant) -> dict[str, Any]:
        user = person(tx, person_, account)
        note(tx, user.account_id, AuditAction.USER_EXPORTED, user.id)
        return known_of(tx, user)

    known = write(settings, work)
    print(json.dumps(_plain(known), ensure_ascii=False, indent=2))


def _plain(value: Any, name: str = "") -> Any:  # noqa: ANN401  JSON
    """Convert a value for JSON. Times, whose names end in `_at`, become text."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        return {key: _plain(one, key) for key, one in value.items()}
    if isinstance(value, list | tuple | frozenset):
        return [_plain(one) for one in value]
    if name.endswith("_at") and value is not None:
        return f"{as_datetime(value):%Y-%m-%dT%H:%M:%SZ}"
    return value
