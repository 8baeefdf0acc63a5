"""The transaction that the writes of one commit share (group commit).

Rows that one write has read are cached for the next, until one of their tables is written to.
Updates that each write has to make (counters, the account's version) are deferred and written once
for all of them: before the commit, or before a statement that uses the tables that they change.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from healthreports.store.engine.database import Later, Row, Transaction
from healthreports.store.engine.statement import Statement, Values
from healthreports.store.engine.writer import Connection

T = TypeVar("T")
V = TypeVar("V")
# The most cached rows of one statement.
_MOST_FOUND: Final = 256
PutOff = tuple[tuple[Later, object], ...]


class SharedTransaction(Transaction):
    """The transaction `tx` on `connection`, for several writes one after another."""

    def __init__(self, tx: Transaction, connection: Connection) -> None:
        super().__init__({})  # no lasting cache: what is counted here may be rolled back
        self._tx = tx
        self.has_rowids = tx.has_rowids
        self._connection = connection
        self._found: dict[Statement, dict[frozenset[tuple[str, Any]], list[Row]]] = {}
        self._put_off: PutOff = ()
        self._not_noted: frozenset[str] = frozenset()
        # The state of the current part.
        self.is_as_begun = True
        self._is_in_savepoint = False
        self._put_off_before: PutOff = ()

    @property
    def in_transaction(self) -> bool:
        """Whether the transaction is still open, to be committed or rolled back."""
        return self._connection.in_transaction

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        """The rows that `statement` selects or returns; they may be cached."""
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
        """Defer `later` for `item`; it runs once for all its deferred items."""
        self.is_as_begun = False
        self._put_off += ((later, item),)
        self._not_noted |= later.tables

    def begin_part(self, *, in_savepoint: bool) -> None:
        """Begin the part of one write; in a savepoint if it may have to be rolled back."""
        self.is_as_begun = True
        self._is_in_savepoint = in_savepoint
        if in_savepoint:
            self._connection.execute("SAVEPOINT part")
            self._put_off_before = self._put_off

    def undo_part(self) -> None:
        """Roll back to the savepoint of the current part."""
        self._connection.execute("ROLLBACK TO part")
        self._leave_put_off(self._put_off_before)  # deferred work done since is rolled back too
        self._found.clear()
        self.counts.clear()

    def end_part(self) -> None:
        """End the part of one write."""
        if self._is_in_savepoint:
            self._connection.execute("RELEASE part")

    def commit(self) -> None:
        """Commit the transaction; it is on disk afterwards."""
        self._note()
        self._tx.finish()
        self._connection.execute("COMMIT")
        self._tx.confirm()

    def roll_back(self) -> None:
        """Roll back the transaction."""
        self._connection.execute("ROLLBACK")

    def _run(self, statement: Statement, run: Callable[[Statement, V], T], values: V) -> T:
        # If it fails, PostgreSQL has aborted the transaction, unless there is a savepoint.
        as_begun, self.is_as_begun = self.is_as_begun, False
        result = run(statement, values)
        self.is_as_begun = as_begun and not statement.changes
        return result

    def _get_ready(self, statement: Statement) -> None:
        """Do the deferred work that `statement` must see; drop cached rows that it may change."""
        if self._not_noted and not self._not_noted.isdisjoint(statement.words):
            self._note()
        if statement.changes:
            for read in [one for one in self._found if statement.changes in one.words]:
                del self._found[read]

    def _note(self) -> None:
        while self._put_off:
            first = self._put_off[0][0]
            items = [item for later, item in self._put_off if later is first]
            # `run` may defer more work.
            self._leave_put_off(tuple([one for one in self._put_off if one[0] is not first]))
            first.run(self, items)

    def _leave_put_off(self, rest: tuple[tuple[Later, object], ...]) -> None:
        self._put_off = rest
        self._not_noted = frozenset().union(*(later.tables for later, _ in rest))
