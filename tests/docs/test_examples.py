"""The examples in docstrings of public names show what they return."""

import doctest
import importlib
import inspect

import numpy as np
import pytest

ROOMS = (
    "campaign", "config", "documents", "dynamics", "exposures", "knobs", "latent", "novelty", "results", "runs",
    "steering", "technique", "testing", "views", "words", "xpcs",
)  # fmt: skip


def examples():
    """Yield the examples of public names, with the id of each."""
    finder = doctest.DocTestFinder(recurse=False)
    for room in ROOMS:
        module = importlib.import_module(f"ainerd.{room}")
        public = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
        for name in public:
            shown = getattr(module, name)
            if (inspect.isclass(shown) or inspect.isfunction(shown)) and shown.__module__.startswith("ainerd"):
                names = {"np": np, **{known: getattr(module, known) for known in public}}
                for test in finder.find(shown, f"{room}.{name}", globs=names):
                    if test.examples:
                        yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("test", [*examples()])
def test_an_example_shows_what_is_returned(test, tmp_path):
    test.globs["folder"] = tmp_path
    outcome = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).run(test)
    assert outcome.attempted and not outcome.failed
