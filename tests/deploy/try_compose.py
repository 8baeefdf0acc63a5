"""The compose files and the Kubernetes manifests, rendered and checked: `make image-test`.

Needs kubectl and podman (both only to render: nothing is started), and Caddy.
"""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "compose"
TOOLS = Path(__file__).parents[2] / ".venv" / "deploy" / "bin"
# The oldest that has `preStop.sleep` without a feature gate, and the newest that the schemas have.
KUBERNETES = ("1.30", "1.34", "1.37")
VARIABLES = {
    "SITE": "reports.example.org",
    "POSTGRES_PASSWORD": "secret",
    "HEALTHREPORTS_PUBLIC_URL": "https://reports.example.org",
}


def run(*command: object, **variables: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        env={"PATH": f"{TOOLS}:{os.environ['PATH']}", "HOME": os.environ["HOME"], **variables},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


EVERY_COMPOSE = pytest.mark.parametrize(
    "path", sorted(COMPOSE.glob("*.yaml")), ids=lambda one: one.stem
)


@EVERY_COMPOSE
def test_a_compose_file_fits_the_schema(path: Path) -> None:
    run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", path)


@EVERY_COMPOSE
def test_a_compose_file_is_rendered_with_what_it_asks_for(path: Path) -> None:
    whole = yaml.safe_load(run(TOOLS / "podman-compose", "-f", path, "config", **VARIABLES))
    for name, service in whole["services"].items():
        assert "no-new-privileges:true" in service.get("security_opt", ()) or name == "proxy"
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in whole["volumes"] or source.startswith("."), volume
            if source.startswith(".") and source != "./backups":
                assert (COMPOSE / source).is_file(), volume
        assert set(service.get("depends_on", ())) <= set(whole["services"])
    assert whole["services"]["server"]["read_only"] is True
    assert "$" not in yaml.safe_dump(whole["services"]["server"])


@EVERY_COMPOSE
def test_a_compose_file_asks_for_what_is_missing(path: Path) -> None:
    with pytest.raises(AssertionError, match=r"PUBLIC_URL|SITE|POSTGRES_PASSWORD"):
        run(TOOLS / "podman-compose", "-f", path, "config")


def test_the_example_of_the_environment_is_complete() -> None:
    lines = (COMPOSE / "example.env").read_text().splitlines()
    named = {line.split("=")[0] for line in lines if line and not line.startswith("#")}
    text = (COMPOSE / "postgres.yaml").read_text()
    assert all(f"${{{name}:" in text for name in named)
    assert {"SITE", "POSTGRES_PASSWORD"} <= named


def test_caddy_takes_its_file() -> None:
    file = DEPLOY.parent / "docs" / "how-to" / "proxies" / "Caddyfile"
    variables = {"SITE": "example.org", "SERVER": "server:8000"}
    run("caddy", "validate", "--adapter", "caddyfile", "--config", file, **variables)


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_takes_the_manifests(version: str, tmp_path: Path) -> None:
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(run("kubectl", "kustomize", DEPLOY / "kubernetes"))
    run(TOOLS / "kubernetes-validate", "--strict", "-k", version, rendered)
    [deployment] = [
        one for one in yaml.safe_load_all(rendered.read_text()) if one["kind"] == "Deployment"
    ]
    pod = deployment["spec"]["template"]["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    [server] = pod["containers"]
    assert {server[f"{one}Probe"]["httpGet"]["path"] for one in ("liveness", "readiness")} == {
        "/healthz",
        "/readyz",
    }
