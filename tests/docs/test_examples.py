"""The API page has the names that people use, and each has an example, which shows its result."""

import ast
import doctest
import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
LIST = re.compile(r"automodule:: (ainerd[\w.]+)\n\n\.\. autosummary::\n(?:   :.*\n)+\n((?:   \w+\n)+)")
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROOMS = (
    "ainerd.agent", "ainerd.campaign", "ainerd.cli", "ainerd.config", "ainerd.documents",
    "ainerd.jobs", "ainerd.knobs", "ainerd.novelty", "ainerd.plans", "ainerd.processes", "ainerd.results",
    "ainerd.runs", "ainerd.server", "ainerd.sources", "ainerd.steering", "ainerd.technique", "ainerd.testing",
    "ainerd.views", "ainerd.words", "ainerd_files", "ainerd_folder", "ainerd_shear", "ainerd_xpcs",
    "ainerd_xpcs.dynamics", "ainerd_xpcs.latent",
)  # fmt: skip
# Names that examples start from: fixtures of conftest.py, and attributes of its `beamline`.
GIVEN = "Toy address agent client documents five_frames folder lambda750k movie store".split()
OF_BEAMLINE = {"RE": "RE", "camera": "camera", "sample_x": "x", "settings": "settings"}


def public(room):
    """Yield the public functions and classes of a folder by name."""
    module = importlib.import_module(room)
    for name in getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")]):
        shown = getattr(module, name)
        if (inspect.isclass(shown) or inspect.isfunction(shown)) and shown.__module__.startswith("ainerd"):
            yield name, shown


def examples():
    """Yield the examples of public names, with the id of each."""
    finder = doctest.DocTestFinder(recurse=False)
    for room in ROOMS:
        names = {"np": np, **dict(public(room)), **vars(importlib.import_module(room))}
        for name, shown in public(room):
            for test in finder.find(shown, f"{room}.{name}", globs=names):
                if test.examples:
                    yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("test", [*examples()])
def test_an_example_shows_its_result(test, request):
    code = ast.parse("".join(each.source for each in test.examples))
    names = [node for node in ast.walk(code) if isinstance(node, ast.Name)]
    used = {n.id for n in names} - {n.id for n in names if isinstance(n.ctx, ast.Store)}
    test.globs |= {name: request.getfixturevalue(name) for name in GIVEN if name in used}
    for name in OF_BEAMLINE.keys() & used:
        test.globs[name] = getattr(request.getfixturevalue("beamline"), OF_BEAMLINE[name])
    outcome = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).run(test)
    assert outcome.attempted and not outcome.failed


def on_the_page():
    """Return the names of each room that the API page lists."""
    page = (ROOT / "docs/reference/api.md").read_text()
    return {room: set(names.split()) for room, names in LIST.findall(page) if room in ROOMS}


def test_each_name_of_the_api_page_has_an_example():
    names = {f"{room}.{name}" for room, names in on_the_page().items() for name in names}
    assert not names - {test.id for test in examples()}


def test_names_that_people_import_are_on_the_api_page():
    page, used = on_the_page(), set()
    codes = [code for path in (ROOT / "docs").rglob("*.md") for code in CODE.findall(path.read_text())]
    codes += [path.read_text() for folder in ("agents", "profiles") for path in (ROOT / folder).rglob("*.py")]
    for node in (node for code in codes for node in ast.walk(ast.parse(code))):
        if isinstance(node, ast.ImportFrom) and (room := node.module or "") in page:
            used |= {f"{room}.{name}" for name in {alias.name for alias in node.names} & dict(public(room)).keys()}
    assert used > {"ainerd.agent.build_agent", "ainerd.results.ResultStore"}
    assert used - {f"{room}.{name}" for room, names in page.items() for name in names} == set()
