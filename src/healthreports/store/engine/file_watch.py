"""Checks that a SQLite file is still the one that the server writes to.

A file that was removed still exists for a process that has it open, and a backup that is copied
over the file mixes two databases. In both cases SQLite commits without an error. So the file at the
path is checked before a write is acknowledged. That takes one `stat` call. The header is read only
if the file was written to, which in WAL mode only a checkpoint does.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

# Offsets in the header of a SQLite file (https://www.sqlite.org/fileformat2.html, 1.3).
_HEADER_BYTES: Final = 100
_CHANGES: Final = slice(24, 28)
_USER_VERSION: Final = slice(60, 64)
_APPLICATION: Final = slice(68, 72)


class _Mark(NamedTuple):
    """Numbers in the header: the first two never decrease, and `application` never changes."""

    changes: int
    user_version: int
    application: int


class FileWatch:
    """Watches the file that is at `path` now. Raises OSError if there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Stays open until the end: closing any descriptor of a file drops SQLite's locks on it.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        found = os.fstat(self._descriptor)
        self._identity = (found.st_dev, found.st_ino)
        self._written_at = 0
        self._mark: _Mark | None = None

    def problem(self) -> str:
        """What has happened to the file, as a message for the administrator; "" if nothing has."""
        try:
            found = self._path.stat()
        except OSError:
            return f"the database file {self._path} was removed"
        if (found.st_dev, found.st_ino) != self._identity:
            return f"the file of the database was replaced by another file: {self._path}"
        if found.st_mtime_ns == self._written_at:
            return ""
        before, now = self._mark, self._read()
        if before is not None and (
            now.changes < before.changes
            or now.user_version < before.user_version
            or now.application != before.application
        ):
            return f"the file of the database was overwritten: {self._path}"
        self._mark, self._written_at = now, found.st_mtime_ns
        return ""

    def close(self) -> None:
        """Close the file. Call it only after all connections to the file are closed."""
        os.close(self._descriptor)

    def _read(self) -> _Mark:
        header = os.pread(self._descriptor, _HEADER_BYTES, 0)
        return _Mark(
            *(int.from_bytes(header[part]) for part in (_CHANGES, _USER_VERSION, _APPLICATION))
        )
