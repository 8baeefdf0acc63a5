"""Private parts of libraries that we use: each is pinned to a minor version and checked here.

The reason for each use is in a comment next to it. If one of these tests fails, the library has
changed: compare our named file with the new source, adapt it, then enter the new digest here.
"""

import hashlib
import inspect
import tomllib
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from prometheus_client import Histogram
from sqlalchemy.sql.elements import ClauseElement, ColumnElement
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server
from uvicorn.supervisors.multiprocess import Multiprocess, Process

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


class Part(NamedTuple):
    """A private part of `library` that our file `ours` relies on, and a digest of its source."""

    library: str
    what: Callable[[], str]
    ours: str
    digest: str


def source_of(one: object) -> Callable[[], str]:
    return lambda: inspect.getsource(getattr(one, "fget", one))


def file_of(module: str) -> Callable[[], str]:
    return lambda: inspect.getsource(import_module(module))


PARTS = {
    "uvicorn: HttpToolsProtocol": Part(
        "uvicorn",
        source_of(HttpToolsProtocol),
        "edge/protocol.py (Protocol overrides its callbacks)",
        "18fdf324b11bf160",
    ),
    "uvicorn: RequestResponseCycle": Part(
        "uvicorn",
        source_of(RequestResponseCycle),
        "edge/protocol.py (_Gathering stands in for its transport)",
        "e67d470d435dcc1c",
    ),
    "uvicorn: Server.startup": Part(
        "uvicorn",
        source_of(Server.startup),
        "cli/serve.py (_Server tells when it is up)",
        "2aa1d70a244bfcf2",
    ),
    "uvicorn: Multiprocess": Part(
        "uvicorn",
        source_of(Multiprocess),
        "cli/serve.py (_Workers waits until all are ready)",
        "ea4650ac0ee7c09c",
    ),
    "uvicorn: Process": Part(
        "uvicorn",
        source_of(Process),
        "cli/serve.py (_Workers waits until all are ready)",
        "c3105a4518e3195a",
    ),
    "psycopg: generators": Part(
        "psycopg",
        file_of("psycopg.generators"),
        "store/engine/pipeline.py (Pipeline._fetch) and postgres.py (Link.get_ready)",
        "ec93c6fe6cfec97b",
    ),
    "psycopg: Transformer": Part(
        "psycopg",
        file_of("psycopg._py_transformer"),
        "store/engine/pipeline.py (Pipeline._rows loads rows by it)",
        "71f3f2cf2a2ff289",
    ),
    "sqlalchemy: ClauseElement._from_objects": Part(
        "sqlalchemy",
        source_of(ClauseElement._from_objects),  # noqa: SLF001  the private part that is checked
        "store/engine/statement.py (Either passes it on)",
        "fdecb647a3339091",
    ),
    "sqlalchemy: ColumnElement._is_implicitly_boolean": Part(
        "sqlalchemy",
        lambda: repr(ColumnElement._is_implicitly_boolean),  # noqa: SLF001  as above
        "store/engine/statement.py (Either sets it, or SQLite uses no index)",
        "60a33e6cf5151f2d",
    ),
    "prometheus-client: Histogram.observe": Part(
        "prometheus-client",
        source_of(Histogram.observe),
        "figures.py (adds many observations at once to _sum and _buckets)",
        "38beca3be1d1595b",
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_private_part_is_as_it_was_when_it_was_read(name: str) -> None:
    part = PARTS[name]
    digest = hashlib.sha256(part.what().encode()).hexdigest()[:16]
    assert digest == part.digest, (
        f"{name} is another one in {part.library} {version(part.library)}: look at {part.ours}"
    )


@pytest.mark.parametrize("library", sorted({part.library for part in PARTS.values()}))
def test_a_library_with_a_private_part_is_pinned_to_its_minor_version(library: str) -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    [spec] = [one for one in map(Requirement, wanted) if one.name == library]
    major, minor, _ = Version(version(library)).release
    assert version(library) in spec.specifier
    assert f"{major}.{minor + 1}.0" not in spec.specifier, f"pin {library} in pyproject.toml"
