"""Litestream next to a server, as in docs/how-to/back-up.md: the data survives the machine."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from conftest import Account, Server
from healthreports.app import open_database
from healthreports.settings import Settings
from healthreports.store.lists import verify

OwnServer = Callable[..., Server]
OwnAccount = Callable[[Server], Account]
PROGRAM = Path(sys.executable).with_name("litestream")
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "back-up.md"
INTERVAL_S = 1.0


def test_what_is_older_than_two_intervals_is_there_when_the_machine_is_gone(
    own_server: OwnServer, own_account: OwnAccount, tmp_path: Path
) -> None:
    server = own_server()
    path = Path(server.database)
    elsewhere = tmp_path / "elsewhere"
    [text] = re.findall(r"```yaml[^\n]*\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    text = text.replace("/srv/healthreports/healthreports.sqlite3", str(path))
    config = tmp_path / "litestream.yml"
    config.write_text(text.replace("/mnt/elsewhere/healthreports", str(elsewhere)))
    assert f"sync-interval: {INTERVAL_S:g}s" in text
    account = own_account(server)
    with subprocess.Popen(
        [PROGRAM, "replicate", "-config", config],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as copying:
        try:
            stored = []
            end = time.monotonic() + 8 * INTERVAL_S
            while time.monotonic() < end:
                stored.append((account.report(), time.monotonic()))
                time.sleep(0.02)
            gone_at = time.monotonic()
        finally:
            copying.kill()
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    subprocess.run(
        [PROGRAM, "restore", "-config", config, path], check=True, capture_output=True, timeout=60
    )
    with closing(open_database(Settings(database=str(path)))) as database:
        assert database.read_here(verify.differences) == []
    again = own_server()
    with again.client(account.secrets["administrator"]) as api:
        lines = api.get("/status_reports.ndjson").text.splitlines()
    found = {re.search(r'"id":"(\d+)"', line)[1] for line in lines}
    # In the first seconds the replication is only starting.
    assert len(stored) > 20
    safe = {report for report, at in stored if at < gone_at - 2 * INTERVAL_S}
    assert safe <= found
