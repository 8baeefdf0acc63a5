"""The time limit of requests, without a timer for each request. Contract: 6 (504)."""

import asyncio
import time
from types import TracebackType
from typing import Final, Self

# How late a request may be cancelled after its time limit, as a fraction of the limit.
_SLACK: Final = 0.1

Task = asyncio.Task[object]


class Deadlines:
    """Cancels requests that take longer than `limit_s` seconds, at most about a tenth late.

    `asyncio.timeout` sets and cancels a timer for each request, which takes longer than a short
    read. Here each request is an entry in a dict, oldest first, and one timer checks the dict while
    it has entries.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ends: dict[Task, float] = {}
        self._late: set[Task] = set()
        self._is_looking = False

    def __enter__(self) -> Self:
        """Start the time limit of the current task."""
        # Up to Python 3.11 `get_running_loop` makes a system call; a server has only one loop.
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._ends[_task_of(self._loop)] = time.monotonic() + self._limit_s
        if not self._is_looking:
            self._look_later()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raise TimeoutError if the task was cancelled because of its time limit."""
        task = _task_of(self._loop)
        self._ends.pop(task, None)
        if not self._late:
            return
        if task in self._late:
            self._late.discard(task)
            if task.uncancel() == 0 and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def renew(self, task: Task) -> None:
        """Restart the time limit of a task that has made progress."""
        if self._ends.pop(task, None) is not None:
            self._ends[task] = time.monotonic() + self._limit_s

    def _look(self) -> None:
        for task, end in list(self._ends.items()):
            if end > time.monotonic():
                break
            del self._ends[task]
            self._late.add(task)
            task.cancel()
        self._is_looking = False
        if self._ends:
            self._look_later()

    def _look_later(self) -> None:
        self._is_looking = True
        asyncio.get_running_loop().call_later(self._limit_s * _SLACK, self._look)


def _task_of(loop: asyncio.AbstractEventLoop | None) -> Task:
    task = asyncio.current_task(loop)
    assert task is not None  # each request runs in its own task
    return task
