"""The optional parts of the program. Each is an extra of the package and needs a library."""

from importlib.util import find_spec
from typing import Final

# The extras as in pyproject.toml, each with a module that exists if the extra is installed.
EXTRAS: Final = {
    "postgres": "psycopg",
    "valkey": "valkey",
    "oidc": "httpx2",
    "pdf": "fpdf",
    "otel": "opentelemetry.exporter",
}


def is_installed(extra: str) -> bool:
    """Whether the library of an extra can be imported."""
    try:
        return find_spec(EXTRAS[extra]) is not None
    except ModuleNotFoundError:  # the parent package of the module is not installed
        return False


def how_to_install(extra: str) -> str:
    """How to install an extra that is missing, in one line."""
    return f"install it with: pip install 'healthreports[{extra}]'"
