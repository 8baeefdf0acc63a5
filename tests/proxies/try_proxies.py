"""The configurations in the documentation, each in front of a server.

`make proxies` runs this. Only the ports, the certificate and the host name differ from the files.
"""

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from conftest import Account, Server, free_port, make_account
from healthreports.app import open_database
from healthreports.settings import Settings
from healthreports.store.schema.upgrade import upgrade

FOLDER = Path(__file__).parents[2] / "docs" / "how-to" / "proxies"
NAME = "reports.example.org"
HEAD_LIMIT_S = 10


@dataclass
class Front:
    """A proxy that speaks TLS on its own port, and the account behind it."""

    port: int
    account: Account
    server: Server

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.port}",
            headers={"host": NAME, **headers},
            verify=False,
            timeout=30,
        )

    def connect(self) -> ssl.SSLSocket:
        context = ssl._create_unverified_context()  # noqa: SLF001  a certificate of this test
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=HEAD_LIMIT_S + 10)
        return context.wrap_socket(raw, server_hostname=NAME)


def nginx(folder: Path, port: int, behind: int) -> list[str]:
    text = (FOLDER / "nginx.conf").read_text()
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    text = re.sub(r"/etc/ssl/\S+\.(pem|key)", rf"{folder}/tls.\1", text)
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{behind}")
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = (
        f"daemon off; pid {folder}/pid; error_log {folder}/errors;\nevents {{}}\n"
        f"http {{ access_log off;\n{paths}{text}\n}}\n"
    )
    (folder / "nginx.conf").write_text(whole)
    return ["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "errors")]


def caddy(folder: Path, port: int, behind: int) -> list[str]:
    text = (FOLDER / "Caddyfile").read_text()
    text = text.replace(
        "{\n\tservers",
        f"{{\n\tadmin off\n\tauto_https disable_redirects\n\tdefault_sni {NAME}\n\tservers",
        1,
    )
    certificate = f"\n\ttls {folder}/tls.pem {folder}/tls.key\n"
    text = text.replace(f"{{$SITE:{NAME}}} {{", f"https://{NAME}:{port} {{{certificate}")
    text = text.replace("{$SERVER:127.0.0.1:8000}", f"127.0.0.1:{behind}")
    (folder / "Caddyfile").write_text(text)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


PROXIES: dict[str, Callable[[Path, int, int], list[str]]] = {"nginx": nginx, "caddy": caddy}


@pytest.fixture(scope="module", params=PROXIES)
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param} on this machine: its configuration was not tried")
    folder = tmp_path_factory.mktemp(request.param)
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={NAME} "
        f"-keyout {folder}/tls.key -out {folder}/tls.pem".split(),
        check=True,
        capture_output=True,
    )
    path = folder / "test.sqlite3"
    upgrade(str(path))
    settings = {
        "HEALTHREPORTS_PUBLIC_URL": f"https://{NAME}",
        "HEALTHREPORTS_TRUSTED_PROXIES": "127.0.0.1",
        "HEALTHREPORTS_ADDRESS_REQUESTS_PER_MINUTE": "5",
        "HEALTHREPORTS_CONNECTIONS_FROM_ADDRESS": "2",
    }
    server = Server(path, settings).start()
    port = free_port()
    command = PROXIES[request.param](folder, port, int(server.base.rpartition(":")[2]))
    with (
        (folder / "words").open("w") as words,
        subprocess.Popen(
            command,
            env=os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=words,
        ) as proxy,
        closing(open_database(Settings(database=str(path)))) as database,
    ):
        account = make_account(server, database)
        made = Front(port, account, server)
        end = time.monotonic() + 15
        while time.monotonic() < end:
            try:
                made.connect().close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail((folder / "words").read_text())
        yield made
        account.close()
        proxy.terminate()
        proxy.wait(timeout=20)
    assert "Traceback" not in server.stop()


def test_the_api_and_the_pages_work_over_tls(front: Front) -> None:
    secret = front.account.secrets["editor"]
    with front.client(authorization=f"Bearer {secret}") as api:
        made = front.account.report()
        listed = api.get("/api/v1/status_reports")
        assert [one["id"] for one in listed.json()["results"]] == [made]
        assert listed.headers["strict-transport-security"]
        assert "[" not in api.get("/api/v1/status_reports.csv").text
    with front.client() as browser:
        page = browser.get("/sign-in")
        cookie = page.headers["set-cookie"]
        assert cookie.startswith("__Host-")
        assert "secure" in cookie.lower()
    assert "does not begin with https" not in "".join(front.server.heard)


def test_more_clients_come_through_it_than_one_address_may_have_connections(front: Front) -> None:
    clients = [
        front.client(authorization=f"Bearer {front.account.secrets['editor']}") for _ in "12345678"
    ]
    for client in clients:
        assert client.get("/api/v1/users/me").status_code == 200
    for client in clients:
        client.close()


def test_what_a_client_says_of_its_address_does_not_count(front: Front) -> None:
    statuses = []
    for number in range(8):
        with front.client(authorization="Bearer hr_no") as stranger:
            lie = {"x-forwarded-for": f"203.0.113.{number}", "forwarded": f"for=203.0.113.{number}"}
            statuses.append(stranger.get("/api/v1/users/me", headers=lie).status_code)
    assert statuses[-1] == 429, statuses


def test_a_body_that_is_too_large_is_not_passed_on(front: Front) -> None:
    with front.client(authorization=f"Bearer {front.account.secrets['editor']}") as api:
        answer = api.post("/api/v1/status_reports", content=b"x" * 3_000_000)
        assert answer.status_code == 413


def test_half_a_head_ends(front: Front) -> None:
    with front.connect() as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: " + NAME.encode())
        begun = time.monotonic()
        while one.recv(4096):
            pass
        assert time.monotonic() - begun < HEAD_LIMIT_S + 5
