"""Statements, written once with SQLAlchemy and compiled for the drivers of both databases.

Differences in SQL syntax are here; differences in behaviour are in `sqlite` and `postgres`. Nothing
here depends on the tables.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    ClauseElement,
    ColumnElement,
    Dialect,
    Join,
    Table,
    TableClause,
    Text,
    UpdateBase,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

Values = Mapping[str, Any]

_WORD: Final = re.compile(r"\w+")
_SQLITE: Final = sqlite.dialect(paramstyle="named")


class InAccount(Protocol):
    """A record of an account."""

    @property
    def id(self) -> int:
        """Its id."""

    @property
    def account_id(self) -> int:
        """The id of its account."""


class DriverText(NamedTuple):
    """A statement as SQL text for one driver.

    `constants` are the values of the literals in it, `lists` the parameters that take a tuple. If
    it `looks_up_words`, SQLite does not call the progress handler during its full-text search.
    """

    text: str
    constants: Values
    lists: tuple[str, ...]
    names: Sequence[str] = ()  # the names of its parameters in order, if they are numbered
    looks_up_words: bool = False


class Statement:
    """A statement for both databases, compiled for each when first needed.

    `columns` are the columns that an insert or update sets, each from the parameter with its name.
    `postgres` replaces `clause` on PostgreSQL, if another query is better there.
    """

    def __init__(
        self,
        clause: ClauseElement,
        columns: Sequence[str] | None = None,
        postgres: ClauseElement | None = None,
    ) -> None:
        self.clause: Final = clause
        self.postgres: Final = clause if postgres is None else postgres
        self._columns = columns

    @cached_property
    def changes(self) -> str:
        """The name of the table whose rows it changes; empty if it only reads."""
        if not isinstance(self.clause, UpdateBase):
            return ""
        assert isinstance(self.clause.table, TableClause)
        return self.clause.table.name

    @cached_property
    def words(self) -> frozenset[str]:
        """All words in its SQL, which include the names of its tables."""
        return frozenset(_WORD.findall(self.for_sqlite.text))

    @cached_property
    def for_sqlite(self) -> DriverText:
        """The statement for `sqlite3`."""
        return self._form(self.clause, _SQLITE)

    @cached_property
    def for_postgres(self) -> DriverText:
        """The statement for `psycopg`."""
        from sqlalchemy.dialects.postgresql import (  # noqa: PLC0415  imported only if it is used
            psycopg,
        )

        return self._form(self.postgres, psycopg.dialect())  # type: ignore[no-untyped-call]  # as SQLAlchemy has it

    @cached_property
    def for_pipeline(self) -> DriverText:
        """The statement for PostgreSQL to prepare, with numbered parameters."""
        from sqlalchemy.dialects.postgresql import (  # noqa: PLC0415  as above
            psycopg,
        )

        return self._form(self.postgres, psycopg.dialect(paramstyle="numeric_dollar"))  # type: ignore[no-untyped-call]  # as above

    def _form(self, clause: ClauseElement, dialect: Dialect) -> DriverText:
        ready = clause.compile(dialect=dialect, column_keys=self._columns)
        assert isinstance(ready, SQLCompiler)
        constants = {name: value for name, value in ready.params.items() if value is not None}
        lists = tuple(
            name for name, bound in ready.binds.items() if isinstance(bound.type, (JSON, ARRAY))
        )
        text = str(ready)
        return DriverText(text, constants, lists, ready.positiontup or (), " MATCH " in text)


def insertion(table: Table) -> Statement:
    """The statement that inserts a row with a value for every column.

    If the database generates the `id`, the statement leaves it out and returns it.
    """
    if makes_ids(table):
        columns = [column.name for column in table.columns if column.name != "id"]
        return Statement(insert(table).returning(table.c.id), columns)
    return Statement(insert(table), [column.name for column in table.columns])


def makes_ids(table: Table) -> bool:
    """Whether the database generates the ids of the rows of `table`."""
    return [column.name for column in table.primary_key] == ["id"]


def replacement(table: Table, columns: Sequence[str]) -> Statement:
    """The statement that sets `columns` of one row.

    Parameters: the `row_id`, and `of_account` if the account is a part of the table's key.
    """
    return Statement(update(table).where(*_one_row(table)), columns)


def deletion(table: Table) -> Statement:
    """The statement that deletes one row. Parameters: as for `replacement`."""
    return Statement(delete(table).where(*_one_row(table)))


def _one_row(table: Table) -> list[ColumnElement[bool]]:
    conditions = [table.c.id == bindparam("row_id")]
    if not makes_ids(table):
        conditions.append(table.c.account_id == bindparam("of_account"))
    return conditions


def one_row(record: InAccount) -> dict[str, int]:
    """The parameters that name the row of `record` in a `replacement` or `deletion`."""
    return {"row_id": record.id, "of_account": record.account_id}


class Either(ColumnElement[bool]):
    """A condition with different SQL for each database."""

    inherit_cache = False
    type = Boolean()
    _is_implicitly_boolean = True  # else "= 1" is added for SQLite, which then uses no index

    def __init__(self, for_sqlite: ColumnElement[bool], for_postgres: ColumnElement[bool]) -> None:
        self.for_sqlite = for_sqlite
        self.for_postgres = for_postgres

    @property
    def _from_objects(self) -> list[Any]:
        return self.for_postgres._from_objects  # noqa: SLF001  the tables it adds to FROM


class EitherNumber(ColumnElement[int]):
    """An integer with a different SQL expression for each database."""

    inherit_cache = False
    type = BigInteger()

    def __init__(self, for_sqlite: ColumnElement[Any], for_postgres: ColumnElement[Any]) -> None:
        self.for_sqlite = for_sqlite
        self.for_postgres = for_postgres

    @property
    def _from_objects(self) -> list[Any]:
        return self.for_postgres._from_objects  # noqa: SLF001  as above


@compiles(Either, "sqlite")
@compiles(EitherNumber, "sqlite")
def _on_sqlite(element: Either | EitherNumber, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  as SQLAlchemy has it
    return compiler.process(element.for_sqlite, **options)


@compiles(Either, "postgresql")
@compiles(EitherNumber, "postgresql")
def _on_postgres(element: Either | EitherNumber, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  as above
    return compiler.process(element.for_postgres, **options)


class InTurn(Join):
    """A join that SQLite must run from left to right; PostgreSQL gets a plain join."""

    inherit_cache = False


@compiles(InTurn, "sqlite")
def _in_turn(join: InTurn, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  as above
    assert join.onclause is not None
    options["asfrom"] = True
    sides = (compiler.process(side, **options) for side in (join.left, join.right, join.onclause))
    return "{} CROSS JOIN {} ON {}".format(*sides)


def among(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """The condition that `column` is in the tuple `name`; the SQL is the same for any length."""
    listed = func.json_each(bindparam(name, type_=JSON)).table_valued("value")
    kind = Text() if isinstance(column.type, Text) else BigInteger()
    return Either(
        column.in_(select(listed.c.value)),
        column == func.any(bindparam(name, type_=ARRAY(kind))),
    )


def named(row: Sequence[Any], columns: Sequence[ColumnElement[Any]]) -> dict[str, Any]:
    """The values of a row of `columns`, by column name."""
    return dict(zip((column.key or "" for column in columns), row, strict=True))


def unindexed_text(column: ColumnElement[str]) -> ColumnElement[str]:
    """`unindexed` for text."""
    return column.op("||")(literal_column("''"))


def unindexed(column: ColumnElement[int]) -> ColumnElement[int]:
    """`column`, written so that neither database uses an index on it.

    For a condition or an order for which another index is better.
    """
    return column + literal_column("0")
