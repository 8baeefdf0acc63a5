"""What a disk may hold after a power loss, from a recording of a server's writes and syncs.

`strace` records every write, truncation and sync, and every answer that was sent. Until a file is
synced, each of its writes may be on the disk completely, in part or not at all, whatever happened
to the writes before it.
"""

import random
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

STRACE: Final = shutil.which("strace")
_CALLS: Final = "openat,close,write,pwrite64,writev,sendto,sendmsg,fsync,fdatasync,ftruncate,unlink"
_SECTOR: Final = 512
_LINE: Final = re.compile(r"(\d+) +(.*)", re.DOTALL)
_CALL: Final = re.compile(r"(\w+)\((.*)", re.DOTALL)
_RESUMED: Final = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_RESULT: Final = re.compile(r"\) += (-?\d+)")
_TEXT: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_UNFINISHED: Final = " <unfinished ...>"


def recording(into: Path) -> list[str]:
    """The command that runs the command after it and records its system calls."""
    assert STRACE is not None
    options = ["-f", "-q", "-xx", "-s", "1000000", "-e", "signal=none"]
    return [STRACE, *options, "-e", f"trace={_CALLS}", "-o", str(into)]


class Event(NamedTuple):
    """The beginning or the end of a system call. `data` is all strings in its arguments."""

    thread: str
    call: str
    begins: bool
    ends: bool
    arguments: str
    data: bytes
    result: int


def events(recorded: Path) -> Iterator[Event]:
    """The recorded events, in order."""
    begun: dict[str, str] = {}
    with recorded.open() as lines:
        for line in lines:
            match = _LINE.match(line)
            assert match is not None, line[:200]
            thread, rest = match.groups()
            resumed = _RESUMED.match(rest)
            if resumed is not None:
                yield _event(thread, resumed[1], begun.pop(thread), rest, begins=False, ends=True)
            elif (called := _CALL.match(rest)) is not None:
                ends = not rest.rstrip().endswith(_UNFINISHED)
                begun[thread] = called[2]
                yield _event(thread, called[1], called[2], rest, begins=True, ends=ends)


def _event(thread: str, call: str, arguments: str, said: str, *, begins: bool, ends: bool) -> Event:
    result = _RESULT.search(said) if ends else None
    texts = "".join(_TEXT.findall(arguments)) if begins or call == "openat" else ""
    data = bytes.fromhex(texts.replace("\\x", ""))
    return Event(thread, call, begins, ends, arguments, data, int(result[1]) if result else -1)


class Write(NamedTuple):
    """Bytes at an offset; None truncates the file there."""

    offset: int
    data: bytes | None


@dataclass
class File:
    """A file: what is certainly on the disk, and the writes since the last sync."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write] = field(default_factory=list)
    is_linked: bool = True
    is_unlinked: bool = False


class Way(NamedTuple):
    """The chances that an unsynced write reaches the disk, and that each of its sectors does."""

    write: float
    sector: float = 1.0


WAYS: Final = (Way(0), Way(1), Way(0.5), Way(0.9), Way(1, 0.5), Way(0.5, 0.9))


class Disk:
    """The files whose paths begin with `base`, in one folder."""

    def __init__(self, base: Path, names: Iterable[str]) -> None:
        self.base = base
        self._files = {
            name: File(bytearray(path.read_bytes()))
            for name in names
            if (path := base.with_name(name)).exists()
        }
        self._names = tuple(names)
        self._open: dict[int, str] = {}
        self._syncing: dict[str, int] = {}
        # How often each file was synced.
        self.synced: Counter[str] = Counter()

    def follow(self, event: Event) -> None:
        """Apply a recorded event. A write happens when its call begins, a sync when it ends."""
        if event.call == "openat" and event.ends and event.result >= 0:
            self._note_open(event)
            return
        if event.call == "unlink" and event.begins:
            file = self._files.get(Path(event.data.decode()).name)
            if file is not None:
                file.is_unlinked = True
            return
        name = self._open.get(_descriptor(event))
        if name is None:
            return
        if event.call == "close" and event.ends:
            del self._open[_descriptor(event)]
        elif event.call == "pwrite64" and event.begins:
            self._files[name].pending.append(Write(_last_number(event), event.data))
        elif event.call == "ftruncate" and event.begins:
            self._files[name].pending.append(Write(_last_number(event), None))
        elif event.call in {"fsync", "fdatasync"}:
            self._sync(name, event)

    def is_sync(self, event: Event) -> bool:
        """Whether a sync of one of the files begins."""
        is_one = event.begins and event.call in {"fsync", "fdatasync"}
        return is_one and self._open.get(_descriptor(event)) in self._files

    def after_power_loss(self, into: Path, way: Way, dice: random.Random) -> None:
        """Write the files as a power loss now may leave them, next to the path `into`."""
        for name in self._names:
            path = into.with_name(into.name + name.removeprefix(self.base.name))
            file = self._files.get(name)
            is_there = file is not None and (file.is_linked or way.write > 0)
            if file is None or not is_there or (file.is_unlinked and way.write > 0):
                path.unlink(missing_ok=True)
                continue
            path.write_bytes(_found(file, way, dice))

    def _note_open(self, event: Event) -> None:
        path = Path(event.data.decode())
        if path == self.base.parent:
            self._open[event.result] = "."
        elif path.name in self._names:
            self._open[event.result] = path.name
            if path.name not in self._files or self._files[path.name].is_unlinked:
                self._files[path.name] = File(is_linked=False)
        else:
            self._open.pop(event.result, None)

    def _sync(self, name: str, event: Event) -> None:
        if name == ".":
            for file in self._files.values():
                file.is_linked |= event.ends
            return
        file = self._files[name]
        if event.begins:
            self._syncing[event.thread] = len(file.pending)
        if event.ends:
            assert event.result == 0
            self.synced[name] += 1
            for write in file.pending[: self._syncing[event.thread]]:
                _apply(file.durable, write)
            del file.pending[: self._syncing.pop(event.thread)]


def _descriptor(event: Event) -> int:
    number = re.match(r"\d+", event.arguments)
    return int(number[0]) if number else -1


def _last_number(event: Event) -> int:
    arguments = event.arguments.removesuffix("\n").removesuffix(_UNFINISHED).rpartition(")")
    return int((arguments[0] or arguments[2]).rpartition(", ")[2])


def _apply(content: bytearray, write: Write) -> None:
    if write.data is None:
        del content[write.offset :]
        content.extend(bytes(write.offset - len(content)))
        return
    content.extend(bytes(max(0, write.offset - len(content))))
    content[write.offset : write.offset + len(write.data)] = write.data


def _found(file: File, way: Way, dice: random.Random) -> bytes:
    content = bytearray(file.durable)
    for write in file.pending:
        if dice.random() >= way.write:
            continue
        if write.data is None or way.sector == 1:
            _apply(content, write)
            continue
        start = 0
        while start < len(write.data):
            end = start + _SECTOR - (write.offset + start) % _SECTOR
            if dice.random() < way.sector:
                _apply(content, Write(write.offset + start, write.data[start:end]))
            start = end
    return bytes(content)
