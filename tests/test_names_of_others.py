"""The packages import no private name of another distribution, and assign nothing in it."""

import ast
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src"
OURS = {path.name for path in SRC.iterdir()} | {"agents", "sim_devices"} | sys.stdlib_module_names


def is_private(name):
    return name.startswith("_") and not name.endswith("__")


def root_of(node):
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def of_others(tree):
    """Yield the names that a file imports from other distributions, as dotted names with their local name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            imported = [(f"{node.module}.{each.name}", each.asname or each.name) for each in node.names]
        elif isinstance(node, ast.Import):
            imported = [(each.name, each.asname or each.name.partition(".")[0]) for each in node.names]
        else:
            continue
        yield from (pair for pair in imported if pair[0].partition(".")[0] not in OURS)


def assigned(tree):
    """Yield the attributes and items that a file assigns."""
    for node in ast.walk(tree):
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        yield from (each for each in targets if isinstance(each, ast.Attribute | ast.Subscript))


def problems(source):
    tree = ast.parse(source)
    others = dict(of_others(tree))
    yield from (name for name in others if any(map(is_private, name.split("."))))
    yield from (ast.unparse(each) for each in assigned(tree) if root_of(each) in others.values())


@pytest.mark.parametrize("package", sorted(path.name for path in SRC.iterdir()))
def test_no_private_name_of_another_distribution_is_imported_or_assigned(package):
    found = {str(path): [*problems(path.read_text())] for path in (SRC / package).rglob("*.py")}
    assert {path: names for path, names in found.items() if names} == {}
