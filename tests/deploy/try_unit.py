"""The server makes only system calls that its systemd unit allows: `make image-test`."""

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from conftest import Server, make_account
from healthreports.app import open_database
from healthreports.settings import Settings
from healthreports.store.schema.upgrade import upgrade

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "healthreports.service"
# SQLite gives its files to the owner of the database if root runs it, as in this test.
AS_ROOT = {"fchown"}

pytestmark = pytest.mark.one_store


def calls_of(group: str) -> set[str]:
    """The system calls of a group of systemd's, with those of the groups in it."""
    said = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True
    )
    found: set[str] = set()
    for line in said.stdout.splitlines()[1:]:
        name = line.strip()
        if name.startswith("@"):
            found |= calls_of(name)
        elif name and not name.startswith("#"):
            found.add(name)
    return found


def allowed() -> set[str]:
    found: set[str] = set()
    for groups in re.findall(r"^SystemCallFilter=(.+)$", UNIT.read_text(), re.MULTILINE):
        for group in groups.removeprefix("~").split():
            found = found - calls_of(group) if groups[0] == "~" else found | calls_of(group)
    return found


def test_the_server_makes_no_system_call_that_the_unit_forbids(tmp_path: Path) -> None:
    database = tmp_path / "x.sqlite3"
    upgrade(str(database))
    trace = tmp_path / "trace"
    server = Server(
        database,
        {"HEALTHREPORTS_WORKERS": "2", "HEALTHREPORTS_METRICS_PORT": "9479"},
        command=("strace", "-D", "-f", "-o", str(trace), sys.executable, "-m", "healthreports"),
    ).start()
    try:
        with closing(open_database(Settings(database=str(database)))) as opened:
            account = make_account(server, opened)
            report = account.report()
            assert account.api.get(f"/status_reports/{report}").status_code == 200
            account.close()
    finally:
        server.stop()
    lines = re.sub(r"^\d+ +", "", trace.read_text(), flags=re.MULTILINE).splitlines()
    used = {found[1] for line in lines if (found := re.match(r"([a-z_0-9]+)\(", line))}
    assert len(used) > 40
    assert used - allowed() <= (AS_ROOT if os.geteuid() == 0 else set())
    # MemoryDenyWriteExecute.
    assert not [line for line in lines if "PROT_WRITE|PROT_EXEC" in line]
    # RestrictAddressFamilies.
    families = {found[1] for line in lines if (found := re.match(r"socket\((AF_\w+)", line))}
    assert families <= {"AF_INET", "AF_INET6", "AF_UNIX"}
