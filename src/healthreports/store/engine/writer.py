"""A writer thread with group commit: writes that wait for it share the next commit.

A commit waits for the disk. Writes that wait with the same lock join one transaction. If one of
them raises, only that one is rolled back. No caller gets a result before the commit.

A savepoint costs as much as a short write, and few writes raise after they have changed something.
So writes run without savepoints first. If one raises after it has changed something, the
transaction is rolled back, and all of its writes run again, each in its own savepoint.
"""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol, TypeVar

# The most writes in a commit, so that the first does not wait long; each takes less than 1 ms.
MOST_TOGETHER: Final = 64

T = TypeVar("T")
# The lock of a write: the account with that id, or all accounts if None.
Lock = int | None


class Connection(Protocol):
    """A connection to either database, in autocommit mode."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, even one that has failed and can only be rolled back."""

    def execute(self, text: str, /) -> object:
        """Run one statement."""


class Group(Protocol):
    """A transaction that several writes share; each write is one part of it."""

    @property
    def in_transaction(self) -> bool:
        """Whether the transaction is still open, to be committed or rolled back."""

    @property
    def is_as_begun(self) -> bool:
        """Whether nothing has changed, and no statement has failed, since the part began."""

    def begin_part(self, *, in_savepoint: bool) -> None:
        """Begin the part of one write; in a savepoint if it may have to be rolled back."""

    def undo_part(self) -> None:
        """Roll back to the savepoint of the current part."""

    def end_part(self) -> None:
        """End the part of one write."""

    def commit(self) -> None:
        """Commit the transaction; it is on disk afterwards."""

    def roll_back(self) -> None:
        """Roll back the transaction."""


class _Task(NamedTuple):
    """A write and the future of its caller, who waits on the event loop `loop` or in a thread."""

    run: Callable[[Any], Any]
    lock: Lock
    future: Future[Any] | asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop | None


class _Outcome(NamedTuple):
    task: _Task
    result: Any
    error: BaseException | None


class _NotAlone(Exception):
    """A write raised and cannot be rolled back without the others."""


def _nothing(_writes: int) -> None:
    """Do nothing: the default for `committed`."""


class Writer:
    """Runs writes one after another in its thread, in transactions that `begin` opens.

    `begin` gets the lock. Writes that share a commit have the same lock; a write that locks all
    accounts has a commit of its own. `committed` is called with the number of writes in a commit.
    """

    def __init__(
        self, begin: Callable[[Lock], Group], committed: Callable[[int], None] = _nothing
    ) -> None:
        self._begin = begin
        self._committed = committed
        self._waiting: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        # Tasks that were taken from the queue while writes with another lock were running.
        self._fetched: deque[_Task] = deque()
        self._ends = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """How many writes wait for their turn."""
        return self._waiting.qsize() + len(self._fetched)

    def submit(self, run: Callable[[Any], T], lock: Lock) -> Future[T]:
        """Have `run` called in a transaction. Returns a future with the result of `run`.

        The future is done when the transaction is on disk or was rolled back. It has the result of
        `run`, or the error of `run` or of the database. `run` may be called again in another
        transaction, after the first was rolled back. A write whose future is cancelled before its
        turn is skipped.
        """
        future: Future[T] = Future()
        self._put(_Task(run, lock, future, None))
        return future

    def submit_from(
        self, loop: asyncio.AbstractEventLoop, run: Callable[[Any], T], lock: Lock
    ) -> asyncio.Future[T]:
        """`submit` for a caller on an event loop, which is woken once for each commit."""
        future: asyncio.Future[T] = loop.create_future()
        self._put(_Task(run, lock, future, loop))
        return future

    def _put(self, task: _Task) -> None:
        if self._thread is None:
            self._start()
        if self._is_closed:
            raise RuntimeError("the writer is closed")
        self._waiting.put(task)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Wait for all submitted writes."""
        self._is_closed = True
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while self._fetched or not self._ends:
            if not self._fetched:
                self._fetch(self._waiting.get())
                continue
            task = self._fetched.popleft()
            if _is_wanted(task):
                self._write([task])

    def _write(self, group: list[_Task]) -> None:
        """Write `group`, and the writes that arrive meanwhile with the same lock."""
        try:
            try:
                outcomes = self._written(group, in_savepoints=False)
            except _NotAlone:
                outcomes = self._written(group, in_savepoints=True)
        except BaseException as failure:  # noqa: BLE001  it is passed on to the callers
            outcomes = [_Outcome(task, None, failure) for task in group]
        _tell(outcomes)

    def _written(self, group: list[_Task], *, in_savepoints: bool) -> list[_Outcome]:
        outcomes: list[_Outcome] = []
        shared = self._begin(group[0].lock)
        try:
            for task in group:  # `_join` appends to it during the loop
                outcomes.append(_run_alone(shared, task, in_savepoint=in_savepoints))
                if len(group) < MOST_TOGETHER and task.lock is not None:
                    self._join(group)
            shared.commit()
            self._committed(len(group))
        except BaseException:
            if shared.in_transaction:  # a failed COMMIT may have ended it already
                shared.roll_back()
            raise
        return outcomes

    def _join(self, group: list[_Task]) -> None:
        """Add the next waiting write with the same lock to `group`, if there is one."""
        with suppress(queue.Empty):
            while not self._ends:
                self._fetch(self._waiting.get_nowait())
        for index, task in enumerate(self._fetched):
            if task.lock == group[0].lock:
                del self._fetched[index]
                if _is_wanted(task):
                    group.append(task)
                return

    def _fetch(self, task: _Task | None) -> None:
        if task is None:
            self._ends = True
        else:
            self._fetched.append(task)


def _is_wanted(task: _Task) -> bool:
    """Whether the caller still waits for the task."""
    if isinstance(task.future, Future):
        return task.future.set_running_or_notify_cancel()
    return not task.future.cancelled()


def _tell(outcomes: list[_Outcome]) -> None:
    """Set the futures of the callers; those of an event loop are set on that loop."""
    _settle([one for one in outcomes if one.task.loop is None])
    for loop in {one.task.loop for one in outcomes} - {None}:
        assert loop is not None  # see above
        with suppress(RuntimeError):  # the loop was closed meanwhile, so nobody waits
            loop.call_soon_threadsafe(_settle, [one for one in outcomes if one.task.loop is loop])


def _settle(outcomes: list[_Outcome]) -> None:
    for task, result, error in outcomes:
        if task.future.cancelled():  # during the write
            continue
        if error is None:
            task.future.set_result(result)
        else:
            task.future.set_exception(error)


def _run_alone(shared: Group, task: _Task, *, in_savepoint: bool) -> _Outcome:
    """Run a task as one part of the transaction. Returns its result or error.

    Raises _NotAlone if the part must be rolled back and has no savepoint. Raises the error itself
    if the database has ended the whole transaction, as it does when the disk is full.
    """
    shared.begin_part(in_savepoint=in_savepoint)
    try:
        outcome = _Outcome(task, task.run(shared), None)
    except BaseException as error:
        if not shared.in_transaction:
            raise
        if in_savepoint:
            shared.undo_part()
        elif not shared.is_as_begun:
            raise _NotAlone from error
        outcome = _Outcome(task, None, error)
    shared.end_part()
    return outcome
