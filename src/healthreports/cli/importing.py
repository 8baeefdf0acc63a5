"""`healthreports import`: import a file of reports in batches; resume where the last run ended."""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from healthreports.app import now, open_database
from healthreports.cli.command import fail, person
from healthreports.contract.failure import failure_of
from healthreports.contract.lines import NoHead, read_csv, read_json_lines
from healthreports.core.errors import Invalid
from healthreports.core.model import User
from healthreports.core.rules.reports import ReportLine
from healthreports.service.reports import importing
from healthreports.settings import Settings
from healthreports.store.engine.database import Database
from healthreports.store.reports import imports
from healthreports.store.schema.upgrade import demand_current

# The reader of a file, by the file name extension.
READERS: Final = {".csv": read_csv, ".ndjson": read_json_lines, ".jsonl": read_json_lines}
_BLOCK: Final = 1024 * 1024
# The most bad lines that are printed.
_SHOWN: Final = 100


class Job(NamedTuple):
    """An import: a file, its `name` for resuming, a user `by`, and `batch` lines a transaction.

    With `check` the lines are only checked, and nothing is stored.
    """

    file: Path
    name: str
    by: str
    account: str | None
    batch: int
    check: bool


def run(settings: Settings, job: Job) -> int:
    """Import a file. Returns the exit code. Raises WrongSchema, OSError, Invalid."""
    read = READERS.get(job.file.suffix.lower())
    if read is None:
        return fail(f"the name of {job.file} must end with {', '.join(READERS)}")
    demand_current(settings.database)
    name = job.name
    with closing(open_database(settings)) as database, job.file.open("rb") as file:
        by = database.read_here(lambda tx: person(tx, job.by, job.account))
        done = database.read_here(lambda tx: importing.progress(tx, by, name))
        done = done or imports.Progress(
            name=name, bytes_done=0, lines_done=0, reports=0, digest="", updated_at=now()
        )
        digest = _digest(file, done.bytes_done)
        if done.bytes_done and digest.hexdigest() != done.digest:
            return fail(
                f"a different file was imported as {name}, up to line {done.lines_done}; "
                "give this file another --name"
            )
        if done.bytes_done:
            print(f"resuming after line {done.lines_done}", file=sys.stderr)
        try:
            return _Import(database, by, file, digest, done).run(read, job.batch, job.check)
        except importing.ImportOvertaken:
            return fail(f"another process is importing {name} at the same time")
        except NoHead:
            return fail(f"the first line of {job.file} must be the names of columns, in UTF-8")


class _Import:
    """One run, from the current position of the file."""

    def __init__(
        self,
        database: Database,
        by: User,
        file: BinaryIO,
        digest: "hashlib._Hash",
        done: imports.Progress,
    ) -> None:
        self._database = database
        self._by = by
        self._file = file
        self._digest = digest
        self._done = done
        self._bad = 0
        self._looked_at = 0

    def run(self, read: Any, batch: int, check: bool) -> int:  # noqa: ANN401  a reader of lines
        """Import the file, or with `check` only check it. Returns the exit code."""
        before = self._done.reports
        size = Path(self._file.name).stat().st_size
        lines = read(self._file, self._done.lines_done)
        with _progress() as bar:
            task = bar.add_task(self._done.name, total=size, completed=self._done.bytes_done)
            for some in _batches(lines, batch):
                # After a bad line the rest is only checked: what is stored must have no gaps.
                bad = self._check(some) if check or self._bad else self._store(some)
                self._looked_at += len(some)
                self._tell(bad)
                bar.update(task, completed=some[-1].end)
        stored = self._done.reports - before
        if check:
            print(f"{self._looked_at} lines checked, {self._bad} bad")
        else:
            print(f"{stored} reports imported, up to line {self._done.lines_done}")
        if self._bad:
            return fail(
                f"bad lines: {self._bad}. Fix those lines and run the import again: "
                "it resumes where it stopped."
            )
        return 0

    def _check(self, lines: list[ReportLine]) -> list[importing.BadLine]:
        return self._database.read_here(lambda tx: importing.check(tx, self._by, lines))

    def _store(self, lines: list[ReportLine]) -> list[importing.BadLine]:
        """Store a batch and the new progress, if every line is valid. Returns the bad lines."""
        digest, last = self._digest.copy(), lines[-1]
        with Path(self._file.name).open("rb") as again:
            again.seek(self._done.bytes_done)
            digest.update(again.read(last.end - self._done.bytes_done))
        done = msgspec.structs.replace(
            self._done,
            bytes_done=last.end,
            lines_done=last.number,
            reports=self._done.reports + len(lines),
            digest=digest.hexdigest(),
            updated_at=now(),
        )
        bad = self._database.write_here(
            lambda tx: importing.store(tx, self._by, lines, self._done, done, now()),
            self._by.account_id,
        )
        if not bad:
            self._done, self._digest = done, digest
        return bad

    def _tell(self, bad: list[importing.BadLine]) -> None:
        for one in bad[: max(_SHOWN - self._bad, 0)]:
            errors = msgspec.json.decode(failure_of(Invalid(one.problems)).body)["errors"]
            # This prints above the progress bar, which is drawn on standard error too.
            print(f"line {one.number}: {'; '.join(map(_said, errors))}", file=sys.stderr)
        self._bad += len(bad)


def _progress() -> Progress:
    """A progress bar of the bytes that are done, only on a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _said(error: dict[str, str]) -> str:
    """A fault in words, with its field if the field is nested."""
    inside = "." in error["field"]
    return f"{error['field']}: {error['message']}" if inside else error["message"]


def _batches(lines: Iterator[ReportLine], size: int) -> Iterator[list[ReportLine]]:
    while some := list(islice(lines, size)):
        yield some


def _digest(file: BinaryIO, size: int) -> "hashlib._Hash":
    """The SHA-256 of the first `size` bytes. Moves the position of `file` behind them."""
    digest = hashlib.sha256()
    while size:
        block = file.read(min(size, _BLOCK))
        if not block:  # a shorter file: its digest differs
            break
        digest.update(block)
        size -= len(block)
    return digest
