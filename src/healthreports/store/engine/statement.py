"""Statements, written once with SQLAlchemy and compiled for both databases' drivers.

What the two databases write differently is here; what they do differently is in `sqlite` and
`postgres`. Knows no table.
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
        """Whose it is."""


class DriverText(NamedTuple):
    """A statement as one driver takes it.

    `constants` are the values that were written into it, `lists` the parameters that take a tuple.
    Of the work of one that `looks_up_words` SQLite counts no steps.
    """

    text: str
    constants: Values
    lists: tuple[str, ...]
    names: Sequence[str] = ()  # of its parameters in their order, where they have numbers
    looks_up_words: bool = False


class Statement:
    """A statement of either database, put into its form when that is first needed.

    `columns` are those that an insert or update sets, each from the parameter of its name.
    `postgres` stands in for `clause` where PostgreSQL is better asked in another way.
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
        """The name of the table whose rows it changes; empty where it only reads."""
        if not isinstance(self.clause, UpdateBase):
            return ""
        assert isinstance(self.clause.table, TableClause)
        return self.clause.table.name

    @cached_property
    def words(self) -> frozenset[str]:
        """All that it names, the tables that it touches among them."""
        return frozenset(_WORD.findall(self.for_sqlite.text))

    @cached_property
    def for_sqlite(self) -> DriverText:
        """The statement as `sqlite3` takes it."""
        return self._form(self.clause, _SQLITE)

    @cached_property
    def for_postgres(self) -> DriverText:
        """The statement as `psycopg` takes it."""
        from sqlalchemy.dialects.postgresql import (  # noqa: PLC0415  not read where there is none
            psycopg,
        )

        return self._form(self.postgres, psycopg.dialect())  # type: ignore[no-untyped-call]  # as SQLAlchemy has it

    @cached_property
    def for_pipeline(self) -> DriverText:
        """The statement as PostgreSQL prepares it: its parameters are numbered."""
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

    Where the database makes the `id`, it is left out and returned.
    """
    if makes_ids(table):
        columns = [column.name for column in table.columns if column.name != "id"]
        return Statement(insert(table).returning(table.c.id), columns)
    return Statement(insert(table), [column.name for column in table.columns])


def makes_ids(table: Table) -> bool:
    """Whether the database itself gives the rows of `table` their ids."""
    return [column.name for column in table.primary_key] == ["id"]


def replacement(table: Table, columns: Sequence[str]) -> Statement:
    """The statement that sets `columns` of one row.

    Parameters: its `row_id`, and `of_account` where the account is a part of the table's key.
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
    """A condition that the two databases write differently."""

    inherit_cache = False
    type = Boolean()
    _is_implicitly_boolean = True  # else SQLite would get "= 1" behind it, and use no index

    def __init__(self, for_sqlite: ColumnElement[bool], for_postgres: ColumnElement[bool]) -> None:
        self.for_sqlite = for_sqlite
        self.for_postgres = for_postgres

    @property
    def _from_objects(self) -> list[Any]:
        return self.for_postgres._from_objects  # noqa: SLF001  what a WHERE adds to FROM


class EitherNumber(ColumnElement[int]):
    """A whole number that the two databases reckon differently."""

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
    """A join that SQLite goes through from left to right, and PostgreSQL as it finds best."""

    inherit_cache = False


@compiles(InTurn, "sqlite")
def _in_turn(join: InTurn, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  as above
    assert join.onclause is not None
    options["asfrom"] = True
    sides = (compiler.process(side, **options) for side in (join.left, join.right, join.onclause))
    return "{} CROSS JOIN {} ON {}".format(*sides)


def among(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """`column` is in the tuple bound to `name`: one text for any number of values."""
    listed = func.json_each(bindparam(name, type_=JSON)).table_valued("value")
    kind = Text() if isinstance(column.type, Text) else BigInteger()
    return Either(
        column.in_(select(listed.c.value)),
        column == func.any(bindparam(name, type_=ARRAY(kind))),
    )


def named(row: Sequence[Any], columns: Sequence[ColumnElement[Any]]) -> dict[str, Any]:
    """The values of a row of `columns`, by the columns' names."""
    return dict(zip((column.key or "" for column in columns), row, strict=True))


def unindexed_text(column: ColumnElement[str]) -> ColumnElement[str]:
    """`unindexed` for text."""
    return column.op("||")(literal_column("''"))


def unindexed(column: ColumnElement[int]) -> ColumnElement[int]:
    """`column`, written so that neither database uses an index on it.

    For a condition or an order that another index than its own serves better.
    """
    return column + literal_column("0")
