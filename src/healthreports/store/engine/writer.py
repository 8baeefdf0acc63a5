"""A thread that writes, with group commit: writes that wait for it share the next commit.

A commit waits for the disk. Writes that wait under the same lock join one transaction. Where one
raises, it alone is undone; nobody is told of anything before the commit.

A savepoint costs as much as a short write, and few writes raise once they have changed something.
So they run without savepoints; where one raises, the transaction is rolled back and all of its
writes run once more, each in a savepoint of its own.
"""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol, TypeVar

# So that the first of a group does not wait for long: writes of a part of a millisecond each.
MOST_TOGETHER: Final = 64

T = TypeVar("T")
# What a write locks: the account with that id, or, with None, everything.
Lock = int | None


class Connection(Protocol):
    """A connection to either database, in autocommit."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is under way, be it one that can only be rolled back."""

    def execute(self, text: str, /) -> object:
        """Run one statement."""


class Group(Protocol):
    """A transaction that was begun, and that one write after the other is a part of."""

    @property
    def in_transaction(self) -> bool:
        """Whether it can still be committed or rolled back."""

    @property
    def is_as_begun(self) -> bool:
        """Whether it is as it was when the part began: nothing was changed, nothing failed."""

    def begin_part(self, *, in_savepoint: bool) -> None:
        """Begin with one of the writes; in a savepoint, where it may have to be undone."""

    def undo_part(self) -> None:
        """Leave the transaction as it was when the part, in its savepoint, began."""

    def end_part(self) -> None:
        """End with one of the writes."""

    def commit(self) -> None:
        """Have all of it on disk."""

    def roll_back(self) -> None:
        """Keep nothing of it."""


class _Task(NamedTuple):
    """A write and the future of who waits for it: on the event loop `loop`, or in a thread."""

    run: Callable[[Any], Any]
    lock: Lock
    future: Future[Any] | asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop | None


class _Outcome(NamedTuple):
    task: _Task
    result: Any
    error: BaseException | None


class _NotAlone(Exception):
    """A write raised that cannot be undone alone."""


def _nothing(_writes: int) -> None:
    """Nobody wants to know."""


class Writer:
    """Runs writes one after another, each in a transaction that `begin` has begun in its thread.

    `begin` is given what to lock. Whatever shares a commit shares the lock, and what locks
    everything shares with nobody. `committed` is told how many writes shared one.
    """

    def __init__(
        self, begin: Callable[[Lock], Group], committed: Callable[[int], None] = _nothing
    ) -> None:
        self._begin = begin
        self._committed = committed
        self._waiting: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        # What was fetched while something under another lock was written.
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
        """Have `run` called in a transaction. The future is done when that is on disk, or undone.

        It may be called once more, in another transaction: what it did first was then undone.
        The future has what `run` returned, or what it or the database raised. Cancelled before its
        turn, it is left out.
        """
        future: Future[T] = Future()
        self._put(_Task(run, lock, future, None))
        return future

    def submit_from(
        self, loop: asyncio.AbstractEventLoop, run: Callable[[Any], T], lock: Lock
    ) -> asyncio.Future[T]:
        """`submit` for who waits on an event loop, which is woken once for all of a commit."""
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
        """Wait for what was submitted."""
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
        """Write `group` and what comes meanwhile under the same lock."""
        try:
            try:
                outcomes = self._written(group, in_savepoints=False)
            except _NotAlone:
                outcomes = self._written(group, in_savepoints=True)
        except BaseException as failure:  # noqa: BLE001  whoever waits is told
            outcomes = [_Outcome(task, None, failure) for task in group]
        _tell(outcomes)

    def _written(self, group: list[_Task], *, in_savepoints: bool) -> list[_Outcome]:
        outcomes: list[_Outcome] = []
        shared = self._begin(group[0].lock)
        try:
            for task in group:  # grows while it is gone through
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
        """Add the next write under the lock of `group`, if one waits."""
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
    """Whether who submitted the task still waits for it."""
    if isinstance(task.future, Future):
        return task.future.set_running_or_notify_cancel()
    return not task.future.cancelled()


def _tell(outcomes: list[_Outcome]) -> None:
    """Tell all who wait, those on an event loop on it."""
    _settle([one for one in outcomes if one.task.loop is None])
    for loop in {one.task.loop for one in outcomes} - {None}:
        assert loop is not None  # see above
        with suppress(RuntimeError):  # closed meanwhile: nobody waits
            loop.call_soon_threadsafe(_settle, [one for one in outcomes if one.task.loop is loop])


def _settle(outcomes: list[_Outcome]) -> None:
    for task, result, error in outcomes:
        if task.future.cancelled():  # while it was written
            continue
        if error is None:
            task.future.set_result(result)
        else:
            task.future.set_exception(error)


def _run_alone(shared: Group, task: _Task, *, in_savepoint: bool) -> _Outcome:
    """What a task does within the transaction; all of it or nothing.

    Raises _NotAlone where that needs a savepoint; and where the database has given up the whole
    transaction, as it does when the disk is full.
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
