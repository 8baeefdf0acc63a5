"""Runs the program in processes that have imported it already.

Most of the time of a command, and of the start of a server, is spent on imports: 0.4 s of processor
time, for about 400 commands and 250 servers of the tests. A fork server imports the program once in
each worker of pytest, and forks for each of them. Passwords are hashed with less work there: a hash
takes 0.15 s of processor time as users have it, and tests sign in a thousand times. Tests of the
docs, of the package and of several workers start the program as users do.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

from argon2 import PasswordHasher

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["command_line", "healthreports.cli.start"])


def hash_with_less_work() -> None:
    """Let this process hash passwords as cheaply as Argon2 allows."""
    from healthreports.service.auth import sign_in  # noqa: PLC0415  not needed by every test

    sign_in._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # noqa: SLF001


def execute(
    *words: object,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    given: str = "",
    timeout: float = 60,
) -> "subprocess.CompletedProcess[str]":
    """Run `healthreports` with these words, in `cwd`, with `given` as its standard input.

    Without `env` it has the environment of the test. Raises subprocess.TimeoutExpired.
    """
    command = list(map(str, words))
    with tempfile.TemporaryDirectory(prefix="hr") as folder:
        streams = [Path(folder, name) for name in ("in", "out", "err")]
        streams[0].write_text(given, "utf-8")
        process = _FORKS.Process(
            target=_command, args=(command, cwd or Path.cwd(), dict(env or os.environ), streams)
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(command, timeout)
        said = [path.read_text("utf-8") for path in streams[1:]]
        code = process.exitcode
        process.close()
    return subprocess.CompletedProcess(["healthreports", *command], code, *said)


def _command(words: list[str], cwd: Path, env: dict[str, str], streams: list[Path]) -> None:
    for number, path in enumerate(streams):
        os.dup2(os.open(path, os.O_CREAT | (os.O_WRONLY if number else os.O_RDONLY), 0o600), number)
    _become(words, cwd, env)


def _become(words: list[str], cwd: Path, env: dict[str, str]) -> None:
    """Run the program in this process, and end it."""
    from healthreports.cli.start import main  # noqa: PLC0415  imported by the fork server

    # multiprocessing gives a process /dev/null to read from.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    # A server ends its parent if it is one of several workers, and this one is not.
    multiprocessing.process._parent_process = None  # noqa: SLF001
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["healthreports", *words]
    hash_with_less_work()
    sys.exit(main())


class Started:
    """A program that goes on, like `subprocess.Popen` with a pipe for its standard error."""

    def __init__(self, *words: str, env: Mapping[str, str]) -> None:
        hears, says = multiprocessing.Pipe(duplex=False)
        self._process = _FORKS.Process(
            target=_service, args=(list(words), Path.cwd(), dict(env), says)
        )
        self._process.start()
        says.close()
        self.stderr: IO[str] = os.fdopen(os.dup(hears.fileno()), encoding="utf-8")
        hears.close()
        self.args = ["healthreports", *words]

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _service(words: list[str], cwd: Path, env: dict[str, str], says: Connection) -> None:
    os.dup2(says.fileno(), 2)
    says.close()
    _become(words, cwd, env)
