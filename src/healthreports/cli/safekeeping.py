"""Commands that keep data safe: backups, the trash, and what is purged for good."""

import argparse
import json
import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from healthreports.cli.command import account_flag, command, fail, group_of, person, read, write
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

# Of what was purged, beside the backups: a backup that is older brings nothing back.
PURGES: Final = "purges.ndjson"
_MOST_LISTED: Final = 200


class _Purge(msgspec.Struct, frozen=True, order=True):
    account: int
    what: Purged
    id: int
    at: int


def add_safekeeping_commands(commands: Any) -> None:  # noqa: ANN401  argparse's own type is private
    """Add them to the command line."""
    made = command(commands, "backup", "write a backup, while the server runs", _backup)
    made.add_argument("folder", type=Path, metavar="FOLDER")
    made.add_argument("--keep", type=int, metavar="N", help="delete all backups but the newest N")
    put = command(commands, "restore", "put a backup in the place of the database", _restore)
    put.add_argument("file", type=Path, metavar="FILE")
    put.add_argument(
        "--force", action="store_true", help="even where there is a database; it is kept aside"
    )
    group = group_of(commands, "trash", "deleted reports")
    for name, says, run in (
        ("list", "list the deleted reports that can be restored", _trash_list),
        ("restore", "restore a deleted report", _trash_restore),
        ("purge", "delete a deleted report for good", _trash_purge),
    ):
        one = command(group, name, says, run)
        if name != "list":
            one.add_argument("report", type=int, metavar="ID")
        one.add_argument("--as", dest="user", required=True, metavar="EMAIL", help="who does it")
        account_flag(one)
    purged = command(commands, "purge", "erase who a person is, everywhere and for good", _purge)
    purged.add_argument("--user", required=True, metavar="EMAIL")
    purged.add_argument("--yes", action="store_true", help="do not ask")
    account_flag(purged)
    told = command(commands, "export", "print all that is known of a person, as JSON", _export)
    told.add_argument("--user", required=True, metavar="EMAIL")
    account_flag(told)


def bring_up_to_date(settings: Settings, options: argparse.Namespace) -> None:
    """Make the database, or bring it to this version's schema. Raises WrongSchema.

    Of a SQLite file with an older schema a copy is kept first. Refuses while a server runs.
    """
    was = pending(settings.database)
    if was and not options.while_serving:
        demand_unserved(settings.database)
    if was and is_server(settings.database):
        print("healthreports: before an upgrade, run: healthreports backup", file=sys.stderr)
    elif was and not options.no_backup:
        path = Path(settings.database)
        kept = path.with_name(f"{path.name}.before-{was}")
        if not kept.exists():  # else an upgrade that was interrupted has made it
            working = path.with_name(f".{kept.name}.part")
            backups.remove(working)
            backups.copy(path, working)
            backups.make_single(working)
            working.rename(kept)
        print(f"healthreports: what it was is kept as {kept}", file=sys.stderr)
    upgrade(settings.database)


def _backup(settings: Settings, options: argparse.Namespace) -> int:
    if options.keep is not None and options.keep < 1:
        return fail("--keep is 1 or more")
    demand_current(settings.database)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / backups.name_of(settings.database, datetime.now(UTC))
    done = read(settings, purges)
    if is_server(settings.database):
        backups.dump(settings.database, file)
    else:
        _back_up_file(Path(settings.database), file)
    _keep_purges(folder / PURGES, [_Purge(*one) for one in done])
    gone = [] if options.keep is None else backups.rotate(folder, options.keep)
    log.info("backup %s, %d bytes, %d older ones deleted", file, file.stat().st_size, len(gone))
    print(file)
    return 0


def _back_up_file(path: Path, file: Path) -> None:
    """A copy at one moment, opened and checked, then packed. Raises WrongSchema."""
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
        raise WrongSchema(f"the copy is not right, see: healthreports db check ({found[0]})")


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


def _restore(settings: Settings, options: argparse.Namespace) -> int:
    file: Path = options.file
    if not file.exists():
        return fail(f"there is no file {file}")
    purged = [*_purges_in(file.with_name(PURGES)), *_purges_at(settings)]
    if is_server(settings.database):
        if not options.force and _is_filled(settings):
            return fail(f"{shown(settings.database)} has data; --force to replace it")
        backups.load(settings.database, file)
        upgrade(settings.database)
        _settle(settings, purged)
    else:
        path = Path(settings.database)
        if path.exists() and not options.force:
            return fail(f"{path} exists; --force to replace it")
        _restore_file(path, file, purged)
    log.info("restored %s from %s", shown(settings.database), file)
    print(f"{shown(settings.database)} is what it was in {file.name}")
    return 0


def _restore_file(path: Path, file: Path, purged: list[_Purge]) -> None:
    """Everything is done beside the database, which is replaced at the end, in one step."""
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
    upgrade(str(path))  # which gives it the journal that a server wants


def _settle(settings: Settings, purged: list[_Purge]) -> None:
    """Purge again what was purged since the backup, and let no entity tag of before fit."""

    def work(tx: Transaction, now: Instant) -> int:
        forget_tags(tx)
        return sum(replay(tx, one.account, one.what, one.id, now) for one in purged)

    number = write(settings, work)
    if number:
        print(f"{number} purged since the backup are purged again", file=sys.stderr)


def _purges_at(settings: Settings) -> list[_Purge]:
    """What was purged in the database that is replaced, as far as it can be read."""
    with suppress(WrongSchema):
        return [_Purge(*one) for one in read(settings, purges)]
    return []


def _is_filled(settings: Settings) -> bool:
    with suppress(WrongSchema):
        return not read(settings, accounts.is_empty)
    return False


def _actor(tx: Transaction, options: argparse.Namespace) -> Actor:
    user = person(tx, options, options.user)
    actor = reader(tx, user.id)
    if actor is None:
        raise WrongSchema(f"{options.user} is disabled")
    return actor


def _trash_list(settings: Settings, options: argparse.Namespace) -> None:
    def work(tx: Transaction) -> tuple[tuple[DeletedReport, ...], int]:
        page = history.deleted(tx, _actor(tx, options), Window(_MOST_LISTED))
        return page.records_of(DeletedReport), page.count

    found, count = read(settings, work)
    for one in found:
        first = one.description.split("\n", 1)[0][:60]
        print(f"{one.id}\t{as_datetime(one.deleted_at):%Y-%m-%d %H:%M}\t{one.color}\t{first}")
    if count > len(found):
        print(f"and {count - len(found):,} more", file=sys.stderr)


def _trash_restore(settings: Settings, options: argparse.Namespace) -> None:
    write(
        settings,
        lambda tx, now: history.restore(tx, _actor(tx, options), options.report, now),
    )
    print(f"report {options.report} is restored")


def _trash_purge(settings: Settings, options: argparse.Namespace) -> None:
    write(settings, lambda tx, now: history.purge(tx, _actor(tx, options), options.report, now))
    print(f"report {options.report} is purged")


def _purge(settings: Settings, options: argparse.Namespace) -> int:
    user = read(settings, lambda tx: person(tx, options, options.user))
    if not options.yes:
        asked = f"Erase {user.full_name} <{user.email_address}> for good? Type yes: "
        if not sys.stdin.isatty() or input(asked).strip() != "yes":
            return fail("nothing was purged; --yes answers for you")
    write(settings, lambda tx, now: purge_user(tx, person(tx, options, options.user), now))
    log.info("purged user %d", user.id)
    print(f"user {user.id} is purged; what the user wrote stays, without the name")
    return 0


def _export(settings: Settings, options: argparse.Namespace) -> None:
    def work(tx: Transaction, _now: Instant) -> dict[str, Any]:
        user = person(tx, options, options.user)
        note(tx, user.account_id, AuditAction.USER_EXPORTED, user.id)
        return known_of(tx, user)

    known = write(settings, work)
    print(json.dumps(_plain(known), ensure_ascii=False, indent=2))


def _plain(value: Any, name: str = "") -> Any:  # noqa: ANN401  JSON
    """A value as JSON has it; moments, which end in `_at`, as text."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        return {key: _plain(one, key) for key, one in value.items()}
    if isinstance(value, list | tuple | frozenset):
        return [_plain(one) for one in value]
    if name.endswith("_at") and value is not None:
        return f"{as_datetime(value):%Y-%m-%dT%H:%M:%SZ}"
    return value
