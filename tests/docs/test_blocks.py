"""What the tutorials and how-to pages tell to type is typed here, in the order of the page.

The blocks of a page run in one shell each, in an empty folder, with nothing but `healthreports`
on the path:

- `sh`: the commands, which have to succeed. A block that is `healthreports serve` starts a server,
  whose port replaces 8000 on the page.
- `json` or `text` after it: what it prints. JSON is compared by names and types, text exactly.
- `python title="NAME"`, `yaml title="NAME"`: a file of that name.
- `ini`: settings, which have to exist.
- `console`: commands of an administrator of a machine. They are not run by a test, and the page
  says so.

"Stop the server" between two blocks is done too. A page that does not make a database begins with
that of the tutorial, and with its server running.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from conftest import free_port
from postgres_kit import Cluster
from signin.visitor import send_form

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted([*(DOCS / "tutorials").glob("*.md"), *(DOCS / "how-to").glob("*.md")])
FIRST = DOCS / "tutorials" / "first-client-curl.md"
# What a block may be; anything else on a page is an error of the page.
KINDS = {"sh", "json", "text", "python", "yaml", "console", "ini"}
SERVE = "healthreports serve\n"
_MARK = "end of block"

pytestmark = pytest.mark.one_store


class Block(NamedTuple):
    before: str  # the prose between the block before and this one
    kind: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    parts = re.split(
        r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$',
        page.read_text("utf-8"),
        flags=re.MULTILINE | re.DOTALL,
    )
    return [Block(*parts[at : at + 4]) for at in range(0, len(parts) - 4, 4)]


class Reader:
    """Somebody who follows a page: one shell, and the server that the page starts."""

    def __init__(self, folder: Path, database: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.database = database
        self.server: subprocess.Popen[bytes] | None = None
        # Each call of curl says its status there, since `-s` says nothing.
        self.statuses = folder.parent / "statuses"
        programs = folder.parent / "programs"
        programs.mkdir()
        curl = shutil.which("curl")
        (programs / "curl").write_text(
            f'#!/bin/sh\nexec {curl} -w "%{{stderr}}%{{http_code}}\\n%{{stdout}}" "$@" '
            f"2>>{self.statuses}\n"
        )
        (programs / "curl").chmod(0o755)
        self.environment = {
            "PATH": f"{programs}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(folder),
            "HEALTHREPORTS_PORT": str(self.port),
        }
        self.shell = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def close(self) -> None:
        assert self.shell.stdin is not None
        self.shell.stdin.close()
        self.shell.wait(timeout=10)
        assert self.shell.stdout is not None
        self.shell.stdout.close()
        self.stop()

    def stop(self) -> None:
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(timeout=20)
            self.server = None

    def here(self, text: str) -> str:
        """The text with the addresses of this test."""
        return text.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}").replace(
            "postgresql://healthreports:secret@127.0.0.1/healthreports", self.database
        )

    def type(self, text: str) -> str:
        """Run commands in the shell. Returns what they print; fails if one of them does."""
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        self.statuses.write_text("")
        # Not `set -e`: the first failure would end the shell, and with it what it knows.
        self.shell.stdin.write(
            f"trap 'failed=$BASH_COMMAND' ERR; failed=; set -o pipefail\n{self.here(text)}\n"
            f'echo; echo "{_MARK} $failed"\n'
        )
        self.shell.stdin.flush()
        said = ""
        for line in self.shell.stdout:
            if line.startswith(_MARK):
                failed = line.removeprefix(_MARK).strip()
                assert not failed, f"{failed}\n{said}"
                return said.removesuffix("\n")
            said += line
        raise AssertionError(said)

    def serve(self) -> None:
        """Start the server with the variables that the page has exported."""
        exported = dict(
            line.split("=", 1)
            for line in self.type("env").splitlines()
            if line.startswith("HEALTHREPORTS_")
        )
        log = self.folder.parent / "server.log"
        with log.open("a") as stderr:
            self.server = subprocess.Popen(
                [Path(sys.executable).parent / "healthreports", "serve"],
                cwd=self.folder,
                env={**self.environment, **exported},
                stderr=stderr,
            )
        for _ in range(200):
            with suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self.port}/readyz").is_success:
                    return
            time.sleep(0.1)
        raise AssertionError(log.read_text())


class Prepared(NamedTuple):
    """What most pages begin with: the folder and the token of the tutorial."""

    folder: Path
    token: str

    def give(self, reader: Reader) -> None:
        """Put the reader where the tutorial ends, with a server that runs."""
        shutil.copytree(self.folder, reader.folder, dirs_exist_ok=True)
        reader.type(f"TOKEN={self.token}")
        reader.serve()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("tutorial") / "here"
    folder.mkdir()
    reader = Reader(folder)
    database, token, serve, report = [one.text for one in blocks(FIRST) if one.kind == "sh"][:4]
    assert serve == SERVE
    reader.type(database)
    reader.type(token)
    reader.serve()
    reader.type(report)
    made = Prepared(folder, reader.type('echo "$TOKEN"'))
    reader.close()
    return made


@pytest.fixture
def reader(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Reader]:
    folder = tmp_path / "here"
    folder.mkdir()
    own = "postgresql" in request.node.name
    database = request.getfixturevalue("postgresql") if own else ""
    one = Reader(folder, database)
    yield one
    one.close()
    log = tmp_path / "server.log"
    assert not log.exists() or "Traceback" not in log.read_text()


@pytest.fixture
def postgresql(tmp_path: Path) -> Iterator[str]:
    """The address of an empty database that is reached as on the page, but for its port."""
    port = free_port()
    cluster = Cluster(tmp_path / "postgres", listen_addresses="127.0.0.1", port=str(port)).start()
    yield f"postgresql://postgres:secret@127.0.0.1:{port}/postgres"
    cluster.stop()


def shape(value: object) -> object:
    """Names and types: what an example promises, whatever the ids, times and tokens are."""
    if isinstance(value, dict):
        return {
            "ID" if re.fullmatch(r"\d+", name) else name: shape(one) for name, one in value.items()
        }
    if isinstance(value, list):
        return [shape(one) for one in value]
    return type(value).__name__


FOLLOWED = [page for page in PAGES if any(one.kind == "sh" for one in blocks(page))]


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda one: f"{one.parent.name}/{one.stem}")
def test_a_page_does_what_it_says(
    page: Path, reader: Reader, request: pytest.FixtureRequest
) -> None:
    parts = blocks(page)
    if not any("healthreports db upgrade" in one.text for one in parts[:2] if one.kind == "sh"):
        request.getfixturevalue("prepared").give(reader)
    said = ""
    for place, block in enumerate(parts):
        if "Stop the server" in block.before:
            reader.stop()
        if block.title:
            (reader.folder / block.title).write_text(reader.here(block.text))
        elif block.text == SERVE:
            reader.serve()
        elif block.kind == "sh":
            said = reader.type(block.text)
            after = parts[place + 1] if place + 1 < len(parts) else None
            is_error = after is not None and after.kind == "json" and '"errors"' in after.text
            statuses = reader.statuses.read_text().split()
            assert all((status >= "400") == is_error for status in statuses), (
                f"{block.text}\n{said}"
            )
        elif block.kind == "json":
            assert shape(json.loads(said)) == shape(json.loads(block.text)), said
        elif block.kind == "text":
            assert said.strip() == block.text.strip()
    if page.stem in ENDS_WITH:
        ENDS_WITH[page.stem](reader, page)


def assert_signs_in(reader: Reader, page: Path) -> None:
    """The person of the page signs in with the password of the page, and with no other."""
    [(password, email)] = re.findall(
        r'echo "(.+)" \| healthreports user password (\S+)', page.read_text("utf-8")
    )
    base = f"http://127.0.0.1:{reader.port}"
    with httpx.Client(base_url=base, follow_redirects=True) as visitor:
        assert sign_in(visitor, email, "wrong").status_code != HTTPStatus.OK
        found = sign_in(visitor, email, password)
        assert found.is_success
        assert "New bridge" in found.text


def sign_in(visitor: httpx.Client, email: str, password: str) -> httpx.Response:
    page = visitor.get("/sign-in")
    return send_form(visitor, page, email_address=email, password=password)


def assert_is_restored(reader: Reader, _page: Path) -> None:
    """The account of the backup is in the database again, and the database is sound."""
    assert "Acme" in reader.type("healthreports account list")
    reader.type("healthreports db check")


# What must be true at the end of a page, if it is more than that no command fails.
ENDS_WITH = {"run-for-good": assert_signs_in, "back-up": assert_is_restored}


@pytest.mark.parametrize("page", PAGES, ids=lambda one: f"{one.parent.name}/{one.stem}")
def test_a_page_has_only_blocks_that_are_run_or_marked(page: Path) -> None:
    fences = re.findall(r"^```(\S*)", page.read_text("utf-8"), re.MULTILINE)
    assert set(fences[::2]) <= KINDS
    assert set(fences[1::2]) <= {""}
    if any(one.kind == "console" for one in blocks(page)):
        assert "not run by a test" in " ".join(page.read_text("utf-8").split())
    for block in blocks(page):
        if block.kind == "ini":
            for line in block.text.splitlines():
                assert re.match(r"HEALTHREPORTS_[A-Z_]+=|#|$", line), line
