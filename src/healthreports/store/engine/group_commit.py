"""The transaction that the writes of one commit share (group commit).

What one write has read, the next does not read again, until something is written to a table that it
was read from. What each has to note (counters, the account's version) is written once for all of
them, before the commit or before a statement that would see that it is missing.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from healthreports.store.engine.database import Later, Row, Transaction
from healthreports.store.engine.statement import Statement, Values
from healthreports.store.engine.writer import Connection

T = TypeVar("T")
V = TypeVar("V")
# Rows that one statement found, of what the writes of one commit read.
_MOST_FOUND: Final = 256
PutOff = tuple[tuple[Later, object], ...]


class SharedTransaction(Transaction):
    """`tx`, which was begun on `connection`, for one write after the other."""

    def __init__(self, tx: Transaction, connection: Connection) -> None:
        super().__init__({})  # what is counted here may be undone
        self._tx = tx
        self.has_rowids = tx.has_rowids
        self._connection = connection
        self._found: dict[Statement, dict[frozenset[tuple[str, Any]], list[Row]]] = {}
        self._put_off: PutOff = ()
        self._not_noted: frozenset[str] = frozenset()
        # Of the part that is under way.
        self.is_as_begun = True
        self._is_in_savepoint = False
        self._put_off_before: PutOff = ()

    @property
    def in_transaction(self) -> bool:
        """Whether it can still be committed or rolled back."""
        return self._connection.in_transaction

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        """The rows that `statement` finds or returns, or found before."""
        self._get_ready(statement)
        if statement.changes or statement.for_sqlite.lists:
            return self._run(statement, self._tx.rows, values)
        found = self._found.setdefault(statement, {})
        key = frozenset(values.items())
        rows = found.get(key)
        if rows is None:
            rows = self._run(statement, self._tx.rows, values)
            if len(rows) <= 1 and len(found) < _MOST_FOUND:
                found[key] = rows
        return rows

    def text_of(self, statement: Statement) -> str:
        """The SQL of `statement`."""
        return self._tx.text_of(statement)

    def run_each(self, statement: Statement, many: Sequence[Values]) -> None:
        """Run `statement` for each of `many`."""
        self._get_ready(statement)
        self._run(statement, self._tx.run_each, many)

    def new_ids(self, table: str, number: int) -> Sequence[int]:
        """Ids that no row of `table` has or ever had."""
        return self._tx.new_ids(table, number)

    def put_off(self, later: Later, item: object) -> None:
        """Have `later` run for `item` and whatever else is put off till then."""
        self.is_as_begun = False
        self._put_off += ((later, item),)
        self._not_noted |= later.tables

    def begin_part(self, *, in_savepoint: bool) -> None:
        """Begin with one of the writes; in a savepoint, where it may have to be undone."""
        self.is_as_begun = True
        self._is_in_savepoint = in_savepoint
        if in_savepoint:
            self._connection.execute("SAVEPOINT part")
            self._put_off_before = self._put_off

    def undo_part(self) -> None:
        """Leave the transaction as it was when the part, in its savepoint, began."""
        self._connection.execute("ROLLBACK TO part")
        self._leave_put_off(self._put_off_before)  # what was noted since is undone as well
        self._found.clear()
        self.counts.clear()

    def end_part(self) -> None:
        """End with one of the writes."""
        if self._is_in_savepoint:
            self._connection.execute("RELEASE part")

    def commit(self) -> None:
        """Have all of it on disk."""
        self._note()
        self._tx.finish()
        self._connection.execute("COMMIT")
        self._tx.confirm()

    def roll_back(self) -> None:
        """Keep nothing of it."""
        self._connection.execute("ROLLBACK")

    def _run(self, statement: Statement, run: Callable[[Statement, V], T], values: V) -> T:
        # Where it fails, PostgreSQL has given up all that is not behind a savepoint.
        as_begun, self.is_as_begun = self.is_as_begun, False
        result = run(statement, values)
        self.is_as_begun = as_begun and not statement.changes
        return result

    def _get_ready(self, statement: Statement) -> None:
        """Note what `statement` would miss, and forget what will not be so behind it."""
        if self._not_noted and not self._not_noted.isdisjoint(statement.words):
            self._note()
        if statement.changes:
            for read in [one for one in self._found if statement.changes in one.words]:
                del self._found[read]

    def _note(self) -> None:
        while self._put_off:
            first = self._put_off[0][0]
            items = [item for later, item in self._put_off if later is first]
            # It may have more to be noted of what is still put off.
            self._leave_put_off(tuple([one for one in self._put_off if one[0] is not first]))
            first.run(self, items)

    def _leave_put_off(self, rest: tuple[tuple[Later, object], ...]) -> None:
        self._put_off = rest
        self._not_noted = frozenset().union(*(later.tables for later, _ in rest))
