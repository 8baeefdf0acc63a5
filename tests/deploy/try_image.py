"""The image is built, runs without rights on a read-only disk, and serves: `make image-test`.

Needs root, buildah and mmdebstrap, and no daemon: buildah builds with chroot isolation, mmdebstrap
makes the base from Debian's packages, and the image runs in a mount namespace of its own. What a
container engine adds (cgroups, its own network) is not tried.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from conftest import free_port, outside
from postgres_kit import Cluster

ROOT = Path(__file__).parents[2]
BASE = "localhost/healthreports-base"
IMAGE = "localhost/healthreports"
MOST_BYTES = 200 * 10**6
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
DEBIAN = "bookworm"

# Makes the root of the image read-only but for /tmp and /data, and becomes its user.
ENTER = """
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/tmp"
mount --bind "$DATA" "$ROOT/data"
exec env -i {variables} "$(command -v chroot)" --userspec=65532:65532 --groups= "$ROOT" "$@"
"""


@dataclass
class Image:
    root: Path
    config: dict
    size: int
    data: Path

    def command(self, *words: str, **variables: str) -> tuple[list[str], dict[str, str]]:
        """The command that runs the words in the image, and its environment."""
        given = [*self.config["Env"], *(f"{name}={value}" for name, value in variables.items())]
        enter = ENTER.format(variables=" ".join(f"'{one}'" for one in given))
        return (
            ["unshare", "--mount", "sh", "-euc", enter, "sh", *words],
            {**os.environ, "ROOT": str(self.root), "DATA": str(self.data)},
        )

    def run(self, *words: str, code: int = 0, **variables: str) -> str:
        command, environment = self.command(*words, **variables)
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def cli(self, *words: str, code: int = 0, **variables: str) -> str:
        program = f"/opt/healthreports/bin/{self.config['Entrypoint'][0]}"
        return self.run(program, *words, code=code, **variables)

    @contextmanager
    def served(self, **variables: str) -> Iterator[str]:
        """The image's own command, on a free port; it ends by SIGTERM, as an engine ends it."""
        command, environment = self.command(
            f"/opt/healthreports/bin/{self.config['Entrypoint'][0]}",
            *self.config["Cmd"],
            **{"HEALTHREPORTS_PORT": "0", **variables},
        )
        with subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            heard = ""
            for line in process.stderr:
                heard += line
                if found := re.search(r"listens on http://[^:]+:(\d+)", line):
                    break
            else:
                raise AssertionError(heard)
            try:
                yield f"http://127.0.0.1:{found[1]}"
            finally:
                process.send_signal(signal.SIGTERM)
                heard += process.stderr.read()
            assert process.wait(timeout=30) in {0, -signal.SIGTERM}, heard
            assert "INFO stopped" in heard
            assert "Traceback" not in heard, heard


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Runs buildah on a storage of its own, which is removed at the end."""
    storage = tmp_path_factory.mktemp("storage")
    (storage / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{storage}/graph"\nrunroot = "{storage}/run"\n'
    )
    environment = {**outside(), "CONTAINERS_STORAGE_CONF": str(storage / "storage.conf")}

    def call(*words: object) -> str:
        done = subprocess.run(
            ["buildah", *map(str, words)],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout.strip()

    yield call
    for container in call("containers", "--quiet").split():
        call("umount", container)
    shutil.rmtree(storage, ignore_errors=True)


@pytest.fixture(scope="module")
def image(buildah: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("image")
    base = folder / "base.tar"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", DEBIAN, base],
        check=True,
        env=outside(),
    )
    container = buildah("from", "scratch")
    buildah("add", container, base, "/")
    buildah("commit", "--quiet", container, BASE)
    buildah("rm", container)
    base.unlink()
    buildah(
        *("build", "--isolation", "chroot", "--format", "docker", "--tag", IMAGE),
        *("--build-arg", f"BASE={BASE}"),
        # What this machine trusts, as somebody behind a proxy mounts it.
        *("--volume", f"{CERTIFICATES}:/usr/local/share/ca-certificates/machine.crt:ro"),
        ".",
    )
    told = json.loads(buildah("inspect", "--type", "image", IMAGE))
    container = buildah("from", IMAGE)
    root = Path(buildah("mount", container))
    data = folder / "data"
    data.mkdir()
    os.chown(data, 65532, 65532)
    size = sum(
        path.lstat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink()
    )
    sys.stdout.write(f"\nthe image has {size / 10**6:.0f} MB\n")
    return Image(root, json.loads(told["Config"])["config"], size, data)


def test_it_is_small(image: Image) -> None:
    assert image.size < MOST_BYTES


def test_it_has_no_shell_and_no_way_to_more_rights(image: Image) -> None:
    assert image.config["User"] == "65532:65532"
    for name in ("sh", "bash", "dash", "apt", "dpkg", "pip"):
        assert not list(image.root.glob(f"**/bin/{name}")), name
    for path in image.root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert not path.stat().st_mode & 0o6000, path


def test_it_says_its_packages_to_scanners(image: Image) -> None:
    packages = {path.name for path in (image.root / "var/lib/dpkg/status.d").iterdir()}
    assert {"libc6", "libssl3", "python3.11-minimal"} <= packages


def test_the_file_system_is_read_only(image: Image) -> None:
    said = image.run("/opt/healthreports/bin/python", "-c", "open('/opt/x', 'w')", code=1)
    assert "Read-only file system" in said
    assert image.run("/opt/healthreports/bin/python", "-c", "import os; print(os.getuid())") == (
        "65532\n"
    )


def test_it_serves_and_is_healthy(image: Image) -> None:
    with image.served() as base:
        image.cli("account", "create", "Acme")
        image.cli(
            *("user", "create", "--account", "acme", "--name", "Ann Lee"),
            *("--email", "ann@example.org", "--permission", "administrator"),
        )
        image.cli("workspace", "create", "New bridge", "--creator", "ann@example.org")
        token = image.cli("token", "create", "--user", "ann@example.org", "--name", "x").strip()
        bearer = {"Authorization": f"Bearer {token}"}
        body = {"workspace_id": "1", "color": "green", "description": "Begun."}
        reports = f"{base}/api/v1/status_reports"
        assert httpx.post(reports, json={"status_report": body}, headers=bearer).is_success
        kind, *check = image.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        python = f"/opt/healthreports/bin/{check[0]}"
        port = base.rpartition(":")[2]
        image.run(python, *check[1:], HEALTHREPORTS_PORT=port)
        image.run(python, *check[1:], HEALTHREPORTS_PORT="1", code=1)
        image.cli("backup", "/data/backups")
    # What was written is there in the next one, which begins with compiled files.
    began = time.monotonic()
    with image.served(HEALTHREPORTS_WORKERS="2") as base:
        sys.stdout.write(f"\nstarted in {time.monotonic() - began:.1f} s with two workers\n")
        assert httpx.get(f"{base}/api/v1/status_reports", headers=bearer).json()["count"] == 1


def test_every_extra_is_there(image: Image) -> None:
    image.run(
        "/opt/healthreports/bin/python",
        "-c",
        "from healthreports.extras import EXTRAS, is_installed;"
        "assert all(map(is_installed, EXTRAS));"
        "import psycopg, valkey, httpx2, fpdf, uharfbuzz, PIL._imaging, nh3, argon2, cryptography;"
        "from opentelemetry.exporter.otlp.proto.http import trace_exporter;"
        "assert psycopg.pq.__impl__ == 'binary'",
    )


def test_it_serves_from_postgresql(image: Image, tmp_path: Path) -> None:
    port = free_port()
    cluster = Cluster(tmp_path / "postgres", listen_addresses="127.0.0.1", port=str(port)).start()
    try:
        address = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        with image.served(HEALTHREPORTS_DATABASE=address) as base:
            assert httpx.get(f"{base}/readyz").json()["checks"]["database"] == "ok"
    finally:
        cluster.stop()
