"""A table of the faults that were tried, from the tests that try them: `make faults`."""

from pathlib import Path

import pytest
from hypothesis import settings

# The same examples each time: a test that fails says something of the change before it.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

FAULTS = pytest.StashKey[list]()
HEADER = """<!-- written by `make faults` from the tests marked as faults; not by hand -->

| Fault | What happens | Lost | Tried by | |
| --- | --- | --- | --- | --- |
"""


def pytest_addoption(parser):
    parser.addoption("--fault-table", type=Path, help="write what the tests of faults found, as Markdown")


def pytest_configure(config):
    config.addinivalue_line("markers", "fault(what, happens, lost='nothing'): a fault, for the table in the docs")
    config.stash[FAULTS] = []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    marker = item.get_closest_marker("fault")
    if marker is not None and report.when == "call":
        what, happens = marker.args
        lost = marker.kwargs.get("lost", "nothing")
        row = (what, happens, lost, item.originalname, "held" if report.passed else "did not hold")
        item.config.stash[FAULTS].append(row)


def pytest_sessionfinish(session):
    path, found = session.config.getoption("--fault-table"), session.config.stash[FAULTS]
    if path is not None and found:
        rows = sorted(dict.fromkeys(found))
        path.write_text(
            HEADER + "".join(f"| {w} | {h} | {lost} | `{test}` | {held} |\n" for w, h, lost, test, held in rows)
        )
