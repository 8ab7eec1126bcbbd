"""The examples in docstrings of public names show what they return."""

import ast
import doctest
import importlib
import inspect
import runpy

import numpy as np
import pytest

from tests.techniques.installing import TOY

ROOMS = (
    "agent", "campaign", "cli", "config", "documents", "dynamics", "exposures", "knobs", "latent", "novelty", "results",
    "runs", "server", "steering", "technique", "testing", "views", "words", "xpcs",
)  # fmt: skip
# Names that examples start from without a line of their own: docs/reference/api.md describes them.
GIVEN = ("Toy", "folder", "movie")


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


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.fixture(scope="session")
def Toy():
    """The technique that docs/how-to/your-technique.md writes."""
    return runpy.run_path(str(TOY / "toy.py"))["Toy"]


@pytest.fixture(scope="session")
def movie():
    """Speckle of contrast 1 that forgets within 10 frames: g2 is 1 + exp(-2 lag / 10)."""
    rng, field, frames = np.random.default_rng(0), 0, np.empty((256, 40, 40), np.uint16)
    for t in range(256):
        field = np.exp(-0.1) * field + np.sqrt(1 - np.exp(-0.2) * (t > 0)) * rng.normal(size=(2, 40, 40))
        frames[t] = rng.poisson(5 * np.square(field).sum(0))
    frames.flags.writeable = False
    return frames


@pytest.mark.parametrize("test", [*examples()])
def test_an_example_shows_what_is_returned(test, request):
    used = {
        node.id for each in test.examples for node in ast.walk(ast.parse(each.source)) if isinstance(node, ast.Name)
    }
    test.globs |= {name: request.getfixturevalue(name) for name in GIVEN if name in used}
    outcome = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).run(test)
    assert outcome.attempted and not outcome.failed
