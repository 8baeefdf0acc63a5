"""The files of `deploy`: they name what exists, and systemd reads its unit.

What needs root, buildah or packages of its own is in `try_image`, `try_compose` and `try_unit`.
"""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from commands import COMMANDS
from healthreports.settings import every_setting

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
UNIT = DEPLOY / "systemd" / "healthreports.service"
# systemd's own measure of what a service could do to the machine, from 0 (nothing) to 10.
MOST_EXPOSURE = 1.5


@pytest.mark.parametrize(
    "path", [*FILES, ROOT / "Containerfile"], ids=lambda one: str(one.relative_to(ROOT))
)
def test_a_file_names_settings_that_exist(path: Path) -> None:
    named = set(re.findall(r"HEALTHREPORTS_[A-Z_]*[A-Z]", path.read_text("utf-8")))
    assert named <= {one.variable for one in every_setting()}


def test_the_version_is_that_of_the_project() -> None:
    kustomization = (DEPLOY / "kubernetes" / "kustomization.yaml").read_text("utf-8")
    assert f"newTag: {VERSION}\n" in kustomization
    for page in (ROOT / "README.md", ROOT / "docs" / "how-to" / "run-for-good.md"):
        assert f"healthreports-{VERSION}-py3-none-any.whl" in page.read_text("utf-8"), page


def test_the_commands_that_are_started_exist() -> None:
    paths = {one.path for one in COMMANDS}
    [started] = re.findall(r"^ExecStart=\S+ (\w+)", UNIT.read_text("utf-8"), re.MULTILINE)
    [command] = re.findall(r'^CMD \["(\w+)"', (ROOT / "Containerfile").read_text(), re.MULTILINE)
    deployment = (DEPLOY / "kubernetes" / "deployment.yaml").read_text("utf-8")
    arguments = re.findall(r"^ +args: \[([^]-]+?)(?:, --[a-z-]+)*\]", deployment, re.MULTILINE)
    assert {started, command, *(one.replace(",", "") for one in arguments)} <= paths
    assert len(arguments) == 2


def test_the_image_is_built_from_the_files_that_it_copies() -> None:
    # Podman and buildah read this file too.
    ignored = (ROOT / ".dockerignore").read_text()
    kept = {line.removeprefix("!") for line in ignored.splitlines() if line.startswith("!")}
    for line in re.findall(
        r"^COPY (?!--from)(.+)$", (ROOT / "Containerfile").read_text(), re.MULTILINE
    ):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(source == one or source.startswith(f"{one}/") for one in kept), source


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_reads_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    # The program is not installed where the unit has it.
    unit.write_text(UNIT.read_text().replace("/opt/healthreports/bin/healthreports", "/bin/true"))

    def analyze(*words: str) -> str:
        done = subprocess.run(
            ["systemd-analyze", *words, str(unit)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert analyze("verify", "--man=no").strip() == ""
    found = re.search(r"exposure level for \S+: ([\d.]+)", analyze("security", "--offline=yes"))
    assert found is not None
    assert float(found[1]) <= MOST_EXPOSURE
