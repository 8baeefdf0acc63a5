"""One word for one thing: what a reader could confuse has names of its own."""

import ast
from collections import defaultdict
from pathlib import Path

import healthreports
from healthreports.api.routes import HANDLERS
from healthreports.contract.operations import OPERATIONS

SOURCE = Path(healthreports.__file__).parent


def test_no_two_classes_share_a_name() -> None:
    places = defaultdict(set)
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].add(str(path.relative_to(SOURCE)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_every_operation_has_a_handler_and_every_handler_an_operation() -> None:
    assert set(HANDLERS) == {one.name for one in OPERATIONS}
