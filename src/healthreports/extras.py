"""The optional parts of the program: each is an extra of the package, and needs a library."""

from importlib.util import find_spec
from typing import Final

# The extras, as in pyproject.toml, with a module that is there if the extra is installed.
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
    except ModuleNotFoundError:  # the package that the module is in is not there
        return False


def how_to_install(extra: str) -> str:
    """What to do about an extra that is not installed, in one line."""
    return f"install what it needs with: pip install 'healthreports[{extra}]'"
