"""Backups as files: of a SQLite file a packed copy of it, of PostgreSQL what `pg_dump` writes.

Nothing here knows what is in a database; `cli/safekeeping` checks that.
"""

import gzip
import os
import re
import shutil
import sqlite3
import subprocess
import zlib
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from healthreports.store.schema.upgrade import WrongSchema, is_server, shown

PACKED: Final = ".sqlite3.gz"
DUMPED: Final = ".dump"
_NAME: Final = re.compile(r"healthreports-\d{8}T\d{6}Z(\.sqlite3\.gz|\.dump)")
_PRIVATE: Final = 0o600
# Files that SQLite keeps beside a database; one of another database would be taken for its own.
_BESIDE: Final = ("-wal", "-shm", "-journal")


def name_of(address: str, at: datetime) -> str:
    """The name of a backup that is made at `at`: such names sort by time."""
    kind = DUMPED if is_server(address) else PACKED
    return f"healthreports-{at.astimezone(UTC):%Y%m%dT%H%M%SZ}{kind}"


def copy(path: Path, to: Path) -> None:
    """Copy a SQLite database as it is at one moment, whoever writes meanwhile.

    Raises WrongSchema where the copy is not sound, or the disk is full.
    """
    _make_private(to)
    try:
        with (
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(to)) as target,
        ):
            source.backup(target)  # in one step: readers see one moment, and keep nobody waiting
            [[said]] = target.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.Error as error:
        raise WrongSchema(f"{path}: {error}") from error
    if said != "ok":
        raise WrongSchema(f"{path} is damaged ({said}); this is no backup")


def pack(path: Path, to: Path) -> None:
    """Put a SQLite database, which nobody has open, into one packed file, whole or not at all."""
    make_single(path)
    part = _part_of(to)
    try:
        with path.open("rb") as source, gzip.open(part, "wb", compresslevel=6) as target:
            shutil.copyfileobj(source, target, 1 << 20)
        _put(part, to)
    finally:
        part.unlink(missing_ok=True)


def make_single(path: Path) -> None:
    """Bring all of a SQLite database, which nobody has open, into its one file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def unpack(path: Path, to: Path) -> None:
    """Make a SQLite database of a backup, packed or not. Raises WrongSchema if it is not sound."""
    _make_private(to)
    open_it = gzip.open if path.suffix == ".gz" else open
    try:
        with open_it(path, "rb") as source, to.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        with closing(sqlite3.connect(to)) as connection:
            [[said]] = connection.execute("PRAGMA integrity_check(1)").fetchall()
            [[tables]] = connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except (gzip.BadGzipFile, zlib.error, EOFError, sqlite3.Error) as error:
        raise WrongSchema(f"{path} is not a backup, or not a whole one: {error}") from error
    if said != "ok":
        raise WrongSchema(f"{path} is damaged ({said})")
    if not tables:
        raise WrongSchema(f"{path} is empty")


def replace(path: Path, with_: Path, aside: Path) -> None:
    """Put a SQLite database, which nobody has open, in the place of another.

    That one is kept `aside` with what SQLite keeps beside it, which must never stay beside the new
    one.
    """
    for suffix in ("", *_BESIDE):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(aside.with_name(aside.name + suffix))
    _put(with_, path)


def dump(address: str, to: Path) -> None:
    """Let `pg_dump` write a PostgreSQL database to a file. Raises WrongSchema."""
    part = _part_of(to)
    try:
        _run(address, "pg_dump", "--format=custom", "--no-owner", f"--file={part}")
        _call({}, "pg_restore", "--list", str(part))
        _put(part, to)
    finally:
        part.unlink(missing_ok=True)


def load(address: str, path: Path) -> None:
    """Let `pg_restore` put a backup in the place of what a database has. Raises WrongSchema."""
    flags = ("--clean", "--if-exists", "--no-owner", "--exit-on-error", "--single-transaction")
    _run(address, "pg_restore", *flags, more=(str(path),))


def remove(path: Path) -> None:
    """Delete a SQLite database, which nobody has open, with what lies beside it, if it is there."""
    for suffix in ("", *_BESIDE):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def rotate(folder: Path, keep: int) -> list[Path]:
    """Delete all backups in a folder but the newest `keep`. Returns those that are gone."""
    found = sorted(one for one in folder.iterdir() if _NAME.fullmatch(one.name))
    gone = found[: max(len(found) - keep, 0)]
    for one in gone:
        one.unlink()
    return gone


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write a text file that is whole or as it was before."""
    part = _part_of(path)
    part.write_text("".join(f"{line}\n" for line in lines))
    _put(part, path)


def _part_of(path: Path) -> Path:
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    _make_private(part)
    return part


def _make_private(path: Path) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE))


def _put(part: Path, path: Path) -> None:
    """Give a file its name once it is on disk."""
    _sync(part)
    part.rename(path)
    _sync(path.absolute().parent)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _run(address: str, program: str, *flags: str, more: Sequence[str] = ()) -> None:
    """Run a program of PostgreSQL on a database; its password is in no command line."""
    from psycopg.conninfo import (  # noqa: PLC0415  psycopg is read where there is a server
        conninfo_to_dict,
        make_conninfo,
    )

    parts = conninfo_to_dict(address)
    password = parts.pop("password", None)
    secret = {} if password is None else {"PGPASSWORD": str(password)}
    try:
        _call(secret, program, *flags, f"--dbname={make_conninfo('', **parts)}", *more)
    except WrongSchema as error:
        raise WrongSchema(f"{shown(address)}: {error.says}") from error


def _call(secret: dict[str, str], *command: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603  a program of PostgreSQL
            command, env=os.environ | secret, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise WrongSchema(
            f"{command[0]} is missing: install the client programs of PostgreSQL"
        ) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise WrongSchema(f"{command[0]} failed: {lines[0] if lines else 'it does not say why'}")
