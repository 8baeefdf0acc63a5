"""Upgrading a database to the schema of this version, and finding out which schema it has.

Alembic is imported only for a migration: a server does not need it to start.
"""

import fcntl
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from healthreports.core.errors import HealthReportsError
from healthreports.store.schema.tables import SCHEMA_REVISION

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_SERVER: Final = re.compile(r"postgres(ql)?://")
# PostgreSQL is supported from this revision on; after it, both databases have the same migrations.
_BEFORE_SERVERS: Final = "0004"
# Advisory lock: if two machines migrate at the same time, one waits for the other.
_MIGRATING: Final = 7_310_001
# Advisory lock that every write shares (`store/engine/postgres`): no write runs during a migration.
_WRITING: Final = 7_310_002
# Servers are recognised by the application name of their connections (`store/engine/postgres`).
_SERVING: Final = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'healthreports'"
)
# How long `serve` may check for damage before it starts.
_CHECK_S: Final = 0.2
_STEPS_BETWEEN_LOOKS: Final = 1_000


class WrongSchema(HealthReportsError):
    """The database cannot be used as it is. `says` is a message of one line for a person."""

    def __init__(self, says: str) -> None:
        super().__init__(says)
        self.says = says


class Unreachable(WrongSchema):
    """The database does not respond; it may do so later."""


def is_server(address: str) -> bool:
    """Whether `address` is the URL of a PostgreSQL database, and not the path of a SQLite file."""
    return _SERVER.match(address) is not None


def shown(address: str) -> str:
    """`address` for printing; of PostgreSQL only host and database, as it may have a password."""
    if not is_server(address):
        return address
    from psycopg import Error  # noqa: PLC0415  imported only for PostgreSQL
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        parts = conninfo_to_dict(address)
    except Error:
        return "postgresql://…"
    return f"postgresql://{parts.get('host', '')}/{parts.get('dbname', '')}"


def upgrade(address: str, revision: str = SCHEMA_REVISION) -> None:
    """Create the schema if there is none, or upgrade it to `revision`.

    Raises WrongSchema for a schema of a newer version, or if the database cannot be written.
    """
    from alembic import command  # noqa: PLC0415  see the docstring of the module
    from alembic.config import Config  # noqa: PLC0415

    if not is_server(address) and not Path(address).absolute().parent.is_dir():
        raise WrongSchema(f"the folder {Path(address).absolute().parent} does not exist")
    was = _demand_known(address) if is_server(address) or Path(address).exists() else ""
    if not is_server(address):
        _make_private(Path(address))
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with _changing(address) as connection:
        config.attributes["connection"] = connection
        if is_server(address) and not was:
            command.stamp(config, _BEFORE_SERVERS)
        command.upgrade(config, revision)


def _make_private(path: Path) -> None:
    """Create the file if missing. Only its owner has access; SQLite gives its log the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE))
        path.chmod(_PRIVATE)
        with closing(sqlite3.connect(path)) as connection:
            # Set it here: if two workers opened the file at once, only one could set it.
            connection.execute("PRAGMA journal_mode = WAL")
            if connection.execute("PRAGMA application_id").fetchone() == (0,):
                # Distinguishes this database from another one that is copied over it.
                connection.execute(f"PRAGMA application_id = {secrets.randbelow(2**31 - 1) + 1}")
    except (OSError, sqlite3.Error) as error:
        raise WrongSchema(f"{path}: {error}") from error


_PRIVATE: Final = 0o600


def pending(address: str) -> str:
    """The revision of a database with a schema of an older version; "" for any other.

    Raises WrongSchema.
    """
    if not is_server(address) and not Path(address).exists():
        return ""
    revision = _demand_known(address)
    return "" if revision == SCHEMA_REVISION else revision


def hold(address: str) -> object:
    """Mark a SQLite file as used by a server, until the returned object is closed or collected."""
    if is_server(address):
        return None  # the connections of the server are visible instead
    file = open(_mark_of(address), "a", opener=_private)  # noqa: SIM115  open while the server runs
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def demand_unserved(address: str) -> None:
    """Raise WrongSchema while a server runs on the database."""
    if is_server(address):
        with _reach(address) as connection:
            [[number]] = connection.execute(_SERVING).fetchall()
        is_served = bool(number)
    else:
        with open(_mark_of(address), "a", opener=_private) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_served = False
            except BlockingIOError:
                is_served = True
    if is_served:
        raise WrongSchema(
            f"a server of another version uses {shown(address)}: stop it first, "
            "or upgrade while it runs with --while-serving"
        )


def _mark_of(address: str) -> Path:
    path = Path(address)
    return path.with_name(f"{path.name}.serving")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, _PRIVATE)


def demand_current(address: str) -> None:
    """Raise WrongSchema unless the database exists and has the schema of this version."""
    make = "create it with: healthreports db upgrade"
    if not is_server(address) and not Path(address).exists():
        raise WrongSchema(f"{unopened(address) or f'there is no database {address}'}; {make}")
    if not is_server(address) and Path(address).is_file() and not Path(address).stat().st_size:
        raise WrongSchema(f"the database {address} is an empty file; {make}")
    revision = _demand_known(address)
    if is_server(address) and not revision:
        raise WrongSchema(f"the database {shown(address)} is empty; {make}")
    if revision != SCHEMA_REVISION:
        raise WrongSchema(
            f"the database {shown(address)} has the schema of an older version; "
            "run: healthreports db upgrade"
        )


def demand_sound(address: str) -> None:
    """Raise WrongSchema if a SQLite file is damaged, as far as a check of 0.2 s can find out."""
    if is_server(address):
        return
    end = time.monotonic() + _CHECK_S
    uri = f"{Path(address).absolute().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)
            said = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:  # the time of the check is over
            return
        raise WrongSchema(f"{address}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise WrongSchema(f"{address} is damaged ({error}); restore a backup") from error
    if said != ("ok",):
        raise WrongSchema(f"{address} is damaged ({said[0]}); restore a backup")


@contextmanager
def _changing(address: str) -> Iterator[Connection]:
    """A transaction for a migration. Raises WrongSchema."""
    if is_server(address):
        engine = create_engine("postgresql+psycopg://", creator=lambda: _reach(address))
        take = f"SELECT pg_advisory_xact_lock({_MIGRATING}), pg_advisory_xact_lock({_WRITING})"
    else:
        engine = create_engine(URL.create("sqlite", database=address))
        take = "BEGIN IMMEDIATE"
        # Otherwise the driver begins transactions itself and does not include DDL in them.
        event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
    event.listen(engine, "begin", lambda begun: begun.exec_driver_sql(take))
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        why = "" if is_server(address) else unopened(address)
        raise WrongSchema(f"{shown(address)}: {why or error.__cause__ or error}") from error
    finally:
        engine.dispose()


def _reach(address: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  psycopg is imported only for PostgreSQL
    import psycopg  # noqa: PLC0415

    try:
        return psycopg.connect(address)
    except psycopg.OperationalError as error:
        first = str(error).strip().splitlines()[0]
        raise Unreachable(f"{shown(address)}: {first}") from error
    except psycopg.Error as error:  # its message may quote the address, with the password
        raise WrongSchema(f"{shown(address)}: the address is not valid") from error


def _demand_known(address: str) -> str:
    """The revision of an existing database, "" for an empty one. Raises WrongSchema."""
    revision = _revision_on_server(address) if is_server(address) else _revision_in_file(address)
    known = {file.name.split("_")[0] for file in (_MIGRATIONS / "versions").glob("[0-9]*.py")}
    if revision and revision not in known:
        raise WrongSchema(
            f"the database {shown(address)} was made by a newer version of healthreports "
            f"(schema {revision}, this version supports {SCHEMA_REVISION})"
        )
    return revision


def _revision_on_server(address: str) -> str:
    with _reach(address) as connection:
        tables = {
            name
            for (name,) in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            )
        }
        rows = (
            connection.execute("SELECT version_num FROM alembic_version").fetchall()
            if ("alembic_version" in tables)
            else []
        )
    return _the_one(rows, tables, address)


def _revision_in_file(path: str) -> str:
    uri = f"{Path(path).absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            rows = (
                connection.execute("SELECT version_num FROM alembic_version").fetchall()
                if ("alembic_version" in tables)
                else []
            )
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_CORRUPT:
            raise WrongSchema(f"{path} is damaged ({error}); restore a backup") from error
        raise WrongSchema(f"{path}: {unopened(path) or error}") from error
    return _the_one(rows, tables, path)


def unopened(path: str) -> str:
    """Why a SQLite file cannot be opened: the file or folder, and the permission that is missing.

    Returns "" if it can be opened.
    """
    file = Path(path).absolute()
    folder = file.parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist"
    if file.is_dir():
        return f"{file} is a folder; give the path of a file"
    # SQLite creates and removes files next to the database.
    for place, right, says in (
        (folder, os.W_OK | os.X_OK, "write in the folder"),
        (file, os.R_OK, "read the file"),
        (file, os.W_OK, "write the file"),
    ):
        if place.exists() and not os.access(place, right):
            return f"this user may not {says} {place}"
    return ""


def _the_one(rows: list[tuple[str]], tables: set[str], address: str) -> str:
    if rows:
        return str(rows[0][0])
    if tables - {"alembic_version"}:
        raise WrongSchema(f"{shown(address)} is not a healthreports database")
    return ""
