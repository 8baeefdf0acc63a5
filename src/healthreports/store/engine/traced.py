"""A transaction that reports each statement, for tracing a request."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from healthreports.store.engine.database import Later, Row, Transaction
from healthreports.store.engine.statement import Statement, Values

# Returns a context manager for a statement. It gets the SQL, but never the values.
Around = Callable[[str], AbstractContextManager[object]]


class TracedTransaction(Transaction):
    """The transaction `tx`; each statement runs within a context manager from `around`."""

    def __init__(self, tx: Transaction, around: Around) -> None:
        super().__init__(tx.counts, tx.records)
        self.has_rowids = tx.has_rowids
        self.by = tx.by
        self._tx = tx
        self._around = around

    @property
    def by(self) -> object:
        """Who writes."""
        return self._tx.by

    @by.setter
    def by(self, who: object) -> None:
        if "_tx" in self.__dict__:
            self._tx.by = who

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        """The rows that `statement` selects or returns."""
        with self._around(self._tx.text_of(statement)):
            return self._tx.rows(statement, values)

    def recall(self, statement: Statement, values: Values) -> Row | None:
        """The first row that `statement` selects, which may be cached."""
        with self._around(self._tx.text_of(statement)):
            return self._tx.recall(statement, values)

    def run_each(self, statement: Statement, many: Sequence[Values]) -> None:
        """Run `statement` for each of `many`."""
        with self._around(self._tx.text_of(statement)):
            self._tx.run_each(statement, many)

    def text_of(self, statement: Statement) -> str:
        """The SQL of `statement`."""
        return self._tx.text_of(statement)

    def new_ids(self, table: str, number: int) -> Sequence[int]:
        """Ids that no row of `table` has or ever had."""
        return self._tx.new_ids(table, number)

    def put_off(self, later: Later, item: object) -> None:
        """Defer `later` for `item`, at most until a statement uses a table that it changes."""
        self._tx.put_off(later, item)
