"""Backups as files: a compressed copy of a SQLite file, or the output of `pg_dump` for PostgreSQL.

Nothing here depends on the contents of a database; `cli/safekeeping` checks them.
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
# Files that SQLite stores next to a database. It would also use those of another database.
_BESIDE: Final = ("-wal", "-shm", "-journal")


def name_of(address: str, at: datetime) -> str:
    """The name of a backup made at `at`; sorted by name, backups are in order of time."""
    kind = DUMPED if is_server(address) else PACKED
    return f"healthreports-{at.astimezone(UTC):%Y%m%dT%H%M%SZ}{kind}"


def copy(path: Path, to: Path) -> None:
    """Copy a snapshot of a SQLite database; others may write meanwhile.

    Raises WrongSchema if the copy fails the integrity check, or the disk is full.
    """
    _make_private(to)
    try:
        with (
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(to)) as target,
        ):
            source.backup(target)  # in one step: it reads one snapshot, and readers block nobody
            [[said]] = target.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.Error as error:
        raise WrongSchema(f"{path}: {error}") from error
    if said != "ok":
        raise WrongSchema(f"{path} is damaged ({said}); no backup was made")


def pack(path: Path, to: Path) -> None:
    """Compress a SQLite database that nobody has open into the file `to`, atomically."""
    make_single(path)
    part = _part_of(to)
    try:
        with path.open("rb") as source, gzip.open(part, "wb", compresslevel=6) as target:
            shutil.copyfileobj(source, target, 1 << 20)
        _put(part, to)
    finally:
        part.unlink(missing_ok=True)


def make_single(path: Path) -> None:
    """Move all data of a SQLite database that nobody has open into the main file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def unpack(path: Path, to: Path) -> None:
    """Restore a backup, compressed or not, to the SQLite file `to`.

    Raises WrongSchema if it is damaged or not a backup.
    """
    _make_private(to)
    open_it = gzip.open if path.suffix == ".gz" else open
    try:
        with open_it(path, "rb") as source, to.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        with closing(sqlite3.connect(to)) as connection:
            [[said]] = connection.execute("PRAGMA integrity_check(1)").fetchall()
            [[tables]] = connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except (gzip.BadGzipFile, zlib.error, EOFError, sqlite3.Error) as error:
        raise WrongSchema(f"{path} is not a backup, or is incomplete: {error}") from error
    if said != "ok":
        raise WrongSchema(f"{path} is damaged ({said})")
    if not tables:
        raise WrongSchema(f"{path} is empty")


def replace(path: Path, with_: Path, aside: Path) -> None:
    """Replace the SQLite database at `path` with `with_`; nobody may have either open.

    The old database is moved to `aside`, together with the files that SQLite stores next to it,
    which must not stay next to the new database.
    """
    for suffix in ("", *_BESIDE):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(aside.with_name(aside.name + suffix))
    _put(with_, path)


def dump(address: str, to: Path) -> None:
    """Write a PostgreSQL database to a file with `pg_dump`. Raises WrongSchema."""
    part = _part_of(to)
    try:
        _run(address, "pg_dump", "--format=custom", "--no-owner", f"--file={part}")
        _call({}, "pg_restore", "--list", str(part))
        _put(part, to)
    finally:
        part.unlink(missing_ok=True)


def load(address: str, path: Path) -> None:
    """Replace the contents of a database with a backup, with `pg_restore`. Raises WrongSchema."""
    flags = ("--clean", "--if-exists", "--no-owner", "--exit-on-error", "--single-transaction")
    _run(address, "pg_restore", *flags, more=(str(path),))


def remove(path: Path) -> None:
    """Delete a SQLite database that nobody has open, and the files next to it, if they exist."""
    for suffix in ("", *_BESIDE):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def rotate(folder: Path, keep: int) -> list[Path]:
    """Delete all backups in a folder except the newest `keep`. Returns the deleted ones."""
    found = sorted(one for one in folder.iterdir() if _NAME.fullmatch(one.name))
    gone = found[: max(len(found) - keep, 0)]
    for one in gone:
        one.unlink()
    return gone


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write a text file atomically."""
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
    """Rename the file `part` to `path` after it is on disk."""
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
    """Run a program of PostgreSQL on a database; the password is not in the command line."""
    from psycopg.conninfo import (  # noqa: PLC0415  imported only for PostgreSQL
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
        raise WrongSchema(f"{command[0]} failed: {lines[0] if lines else 'without a message'}")
