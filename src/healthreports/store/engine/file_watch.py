"""Whether a SQLite file is still the one that the server writes to.

A file that is removed still exists for whoever has it open, and a backup that is copied over it
mixes two databases: in both cases SQLite commits as if nothing had happened. So the file at the
path is compared before a write is acknowledged. That takes one look at its directory entry; its
first page is read only where the file was written to, which in WAL mode only a checkpoint does.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

# Places in the header of a SQLite file (https://www.sqlite.org/fileformat2.html, 1.3).
_HEADER_BYTES: Final = 100
_CHANGES: Final = slice(24, 28)
_USER_VERSION: Final = slice(60, 64)
_APPLICATION: Final = slice(68, 72)


class _Mark(NamedTuple):
    """What the header says: these numbers only ever grow, but for the last, which stays."""

    changes: int
    user_version: int
    application: int


class FileWatch:
    """One file, as it was when the server first opened it. Raises OSError where there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Open until the end: closing any descriptor of a file would drop SQLite's locks on it.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        found = os.fstat(self._descriptor)
        self._identity = (found.st_dev, found.st_ino)
        self._written_at = 0
        self._mark: _Mark | None = None

    def problem(self) -> str:
        """What has happened to the file, for whoever runs the server; "" where all is well."""
        try:
            found = self._path.stat()
        except OSError:
            return f"the database file {self._path} was removed"
        if (found.st_dev, found.st_ino) != self._identity:
            return f"another file was put in the place of the database {self._path}"
        if found.st_mtime_ns == self._written_at:
            return ""
        before, now = self._mark, self._read()
        if before is not None and (
            now.changes < before.changes
            or now.user_version < before.user_version
            or now.application != before.application
        ):
            return f"something was copied over the database {self._path}"
        self._mark, self._written_at = now, found.st_mtime_ns
        return ""

    def close(self) -> None:
        """Let go of the file, after all connections to it are closed."""
        os.close(self._descriptor)

    def _read(self) -> _Mark:
        header = os.pread(self._descriptor, _HEADER_BYTES, 0)
        return _Mark(
            *(int.from_bytes(header[part]) for part in (_CHANGES, _USER_VERSION, _APPLICATION))
        )
