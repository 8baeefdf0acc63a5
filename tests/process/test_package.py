"""What users install: the wheel alone, without the optional parts, and the source archive."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import httpx
import pytest

from conftest import outside
from healthreports.extras import EXTRAS

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv", path=Path(sys.executable).parent) or ""
ABOUT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--out-dir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has only the wheel, without extras."""
    place = tmp_path_factory.mktemp("fresh")
    uv("venv", "--quiet", "--python", sys.executable, place)
    [wheel] = built.glob("*.whl")
    # The locked versions, so that the test has the same result later.
    locked = ("--constraint", ROOT / "requirements.lock", "--no-require-hashes")
    uv("pip", "install", "--quiet", "--python", place / "bin" / "python", *locked, wheel)
    return place / "bin"


def uv(*arguments: object) -> None:
    done = subprocess.run(
        [UV, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=outside(),
    )
    assert done.returncode == 0, done.stderr


def run(installed: Path, folder: Path, *arguments: str, code: int = 0, **environment: str) -> str:
    done = subprocess.run(
        [installed / "healthreports", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
    )
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def test_the_wheel_serves_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    assert run(installed, tmp_path, "--version") == f"healthreports {ABOUT['version']}\n"
    demo = subprocess.Popen(
        [installed / "healthreports", "demo", "--port", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        assert demo.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = demo.stdout.readline()
            assert line, said
            said += line
        base = re.search(r"Pages +(\S+)/", said)
        token = re.search(r"administrator +(hr_\S+)", said)
        password = re.search(r"password (\S+) as\n +(\S+)", said)
        assert base
        assert token
        assert password
        with httpx.Client(base_url=base[1]) as client:
            for path in ("/sign-in", "/docs", "/openapi.json", "/healthz", "/readyz"):
                assert client.get(path).status_code == 200, path
            bearer = {"authorization": f"Bearer {token[1]}"}
            assert client.get("/api/v1/status_reports", headers=bearer).json()["count"] > 0
            assert client.get("/api/v1/status_reports.csv", headers=bearer).status_code == 200
            form = client.get("/sign-in").text
            proof = re.search(r'name="csrf" value="([^"]+)"', form)
            assert proof
            sent = {"csrf": proof[1], "email_address": password[2], "password": password[1]}
            assert client.post("/sign-in", data=sent).status_code == 303
            assert client.get("/").status_code == 200
            page = client.get("/reports/1")
            assert page.status_code == 200
            assert "/reports/1.pdf" not in page.text
            missing = client.get("/reports/1.pdf")
            assert missing.status_code == 501
            assert "pip install &#39;healthreports[pdf]&#39;" in missing.text
    finally:
        demo.terminate()
        demo.communicate(timeout=20)


# For each extra, a setting that needs it; a PDF is requested by a person, above.
ASKS = {
    "postgres": {"HEALTHREPORTS_DATABASE": "postgresql://ann:secret@127.0.0.1:1/x"},
    "valkey": {"HEALTHREPORTS_LIMIT_STORE": "valkey://127.0.0.1:1"},
    "oidc": {
        "HEALTHREPORTS_OIDC_ISSUER": "https://idp.example.org",
        "HEALTHREPORTS_OIDC_CLIENT_ID": "x",
    },
    "otel": {"HEALTHREPORTS_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
}


@pytest.mark.parametrize("extra", [one for one in EXTRAS if one != "pdf"])
def test_what_is_missing_says_in_one_line_what_to_install(
    installed: Path, tmp_path: Path, extra: str
) -> None:
    says = run(installed, tmp_path, "serve", code=1, **ASKS[extra])
    assert says.count("\n") == 1
    assert f"pip install 'healthreports[{extra}]'" in says
    assert "secret" not in says


def test_the_extras_are_those_of_the_package() -> None:
    named = ABOUT["optional-dependencies"]
    assert set(named) == {*EXTRAS, "all"}
    assert named["all"] == [f"healthreports[{','.join(EXTRAS)}]"]


def test_the_archive_has_what_a_packager_needs(built: Path) -> None:
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    for name in ("Makefile", "README.md", "LICENSE", "requirements.lock", "docs/changelog.md"):
        assert name in names
    assert {"mkdocs.yml", "Containerfile", ".dockerignore"} <= names
    tracked = subprocess.run(
        ["git", "ls-files", "src", "tests", "docs", "bench", "tools", "deploy"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert [one for one in tracked if one not in names and "node_modules" not in one] == []
