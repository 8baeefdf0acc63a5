"""Runs commands of the command line, each in a process that has imported the program already.

Most of the time of a command is spent on imports: 0.45 s of processor time, for about 400 commands
of the tests. A fork server imports the program once in each worker of pytest, and forks for each
command. Tests of servers and of the docs start the program as users do.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["healthreports.cli.start"])


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
            target=_command,
            args=(command, str(cwd or Path.cwd()), dict(env or os.environ), streams),
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


def _command(words: list[str], cwd: str, env: dict[str, str], streams: list[Path]) -> None:
    from healthreports.cli.start import main  # noqa: PLC0415  imported by the fork server

    for number, (path, flags) in enumerate(
        zip(streams, (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT] * 2), strict=True)
    ):
        os.dup2(os.open(path, flags, 0o600), number)
    # multiprocessing gives a process /dev/null to read from.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["healthreports", *words]
    sys.exit(main())
