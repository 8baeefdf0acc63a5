"""Bringing a database to the schema of this version, and telling which schema one has.

Alembic is imported only where it migrates: a server that starts does not need it.
"""

import sqlite3
from pathlib import Path

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from healthreports.core.errors import HealthReportsError
from healthreports.store.schema import SCHEMA_REVISION

_MIGRATIONS = Path(__file__).parent / "migrations"


class WrongSchema(HealthReportsError):
    """The database cannot be used as it is. `says` is one line for a person."""

    def __init__(self, says: str) -> None:
        super().__init__(says)
        self.says = says


def upgrade(path: Path, revision: str = SCHEMA_REVISION) -> None:
    """Create the database if it is not there, and bring it to `revision` of the schema.

    Raises WrongSchema for one of a newer version, or where the file cannot be written.
    """
    from alembic import command  # noqa: PLC0415  see the module's head
    from alembic.config import Config  # noqa: PLC0415

    if not path.absolute().parent.is_dir():
        raise WrongSchema(f"there is no folder {path.absolute().parent}")
    if path.exists():
        _demand_known(path)
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    engine = create_engine(URL.create("sqlite", database=str(path)))
    # The driver would begin transactions on its own and leave DDL out of them.
    event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
    event.listen(engine, "begin", lambda begun: begun.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except SQLAlchemyError as error:
        raise WrongSchema(f"{path}: {error.__cause__ or error}") from error
    finally:
        engine.dispose()


def demand_current(path: Path) -> None:
    """Raise WrongSchema unless the database is there and has this version's schema."""
    if not path.exists():
        raise WrongSchema(f"there is no database {path}; make it with: healthreports db upgrade")
    if _demand_known(path) != SCHEMA_REVISION:
        raise WrongSchema(
            f"the database {path} is of an older version; run: healthreports db upgrade"
        )


def _demand_known(path: Path) -> str:
    """The revision of an existing database, "" for an empty one. Raises WrongSchema."""
    revision = _revision(path)
    known = {file.name.split("_")[0] for file in (_MIGRATIONS / "versions").glob("[0-9]*.py")}
    if revision and revision not in known:
        raise WrongSchema(
            f"the database {path} was made by a newer version of healthreports "
            f"(schema {revision}, this version knows {SCHEMA_REVISION})"
        )
    return revision


def _revision(path: Path) -> str:
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if "alembic_version" not in tables:
                if tables:
                    raise WrongSchema(f"{path} is not a database of healthreports")
                return ""
            [[revision]] = connection.execute("SELECT version_num FROM alembic_version")
            return str(revision)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise WrongSchema(f"{path}: {error}") from error
