"""One word for one thing: things that a reader could confuse have different names."""

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


def test_no_module_uses_a_private_name_of_another() -> None:
    found = []
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        modules = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("healthreports"):
                modules |= {one.asname or one.name for one in node.names}
                found += [f"{path}: {one.name}" for one in node.names if is_private(one.name)]
        found += [
            f"{path}: {node.value.id}.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in modules
            and is_private(node.attr)
        ]
    assert found == []


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")
