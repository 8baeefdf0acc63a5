"""Clients that generators make from the OpenAPI document: they compile, and they work.

`make fuzz` runs this, and `make test` does not, since the generators must be downloaded.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Account

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TYPESCRIPT = HERE / "node_modules" / ".bin"
GENERATORS = ROOT / ".venv" / "generators" / "bin"

pytestmark = pytest.mark.one_store


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def document(tmp_path: Path) -> Path:
    run(sys.executable, "-m", "healthreports", "openapi", "--output", "openapi.json", cwd=tmp_path)
    return tmp_path / "openapi.json"


def test_a_client_in_typescript(document: Path, account: Account, tmp_path: Path) -> None:
    for name in ("smoke.ts", "tsconfig.json", "package.json"):
        (tmp_path / name).write_bytes((HERE / name).read_bytes())
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    run(TYPESCRIPT / "openapi-typescript", document, "-o", "schema.d.ts", cwd=tmp_path)
    run(TYPESCRIPT / "tsc", "-p", ".", cwd=tmp_path)
    server = account.api.base_url.copy_with(path="")
    run("node", "smoke.js", str(server).rstrip("/"), account.secrets["administrator"], cwd=tmp_path)


def test_a_client_in_python(document: Path, account: Account, tmp_path: Path) -> None:
    generate = (
        *(GENERATORS / "openapi-python-client", "generate", "--path", document),
        *("--output-path", "made", "--config", HERE / "python.yaml"),
    )
    said = run(*generate, cwd=tmp_path)
    assert "WARNING" not in said, "some of the document was left out"
    made = tmp_path / "made"
    (made / "smoke.py").write_bytes((HERE / "smoke.py").read_bytes())
    run(GENERATORS / "mypy", "--strict", "smoke.py", "healthreports_client", cwd=made)
    server = str(account.api.base_url.copy_with(path="")).rstrip("/")
    run(GENERATORS / "python", "smoke.py", server, account.secrets["administrator"], cwd=made)
