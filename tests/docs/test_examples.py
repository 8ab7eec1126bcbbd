"""The examples in docstrings of public names show what they return."""

import ast
import doctest
import importlib
import inspect

import numpy as np
import pytest

ROOMS = (
    "agent", "campaign", "cli", "config", "documents", "dynamics", "exposures", "knobs", "latent", "novelty", "results",
    "runs", "server", "steering", "technique", "testing", "views", "words", "xpcs",
)  # fmt: skip
# Names that examples start from, each a fixture of conftest.py.
GIVEN = ("Toy", "client", "folder", "movie", "store")


def public(room):
    """Yield the public functions and classes of a folder by name."""
    module = importlib.import_module(f"ainerd.{room}")
    for name in getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")]):
        shown = getattr(module, name)
        if (inspect.isclass(shown) or inspect.isfunction(shown)) and shown.__module__.startswith("ainerd"):
            yield name, shown


def examples():
    """Yield the examples of public names, with the id of each."""
    finder = doctest.DocTestFinder(recurse=False)
    for room in ROOMS:
        names = {"np": np, **dict(public(room)), **vars(importlib.import_module(f"ainerd.{room}"))}
        for name, shown in public(room):
            for test in finder.find(shown, f"{room}.{name}", globs=names):
                if test.examples:
                    yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("test", [*examples()])
def test_an_example_shows_what_is_returned(test, request):
    used = {
        node.id for each in test.examples for node in ast.walk(ast.parse(each.source)) if isinstance(node, ast.Name)
    }
    test.globs |= {name: request.getfixturevalue(name) for name in GIVEN if name in used}
    outcome = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).run(test)
    assert outcome.attempted and not outcome.failed
