"""A table of the faults that were tried, from the tests that try them: `make faults`."""

import os
import resource
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as many workers as cores: more threads would only wait for each other

# The same examples each time: a test that fails says something of the change before it.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

HEADER = """<!-- written by `make faults` from the tests marked as faults; not by hand -->

| Fault | What happens | Lost | Tried by | |
| --- | --- | --- | --- | --- |
"""


class FaultTable:
    """Collects what the tests of faults found, in whatever process they ran."""

    def __init__(self, path):
        self._path, self._rows = path, set()

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            self._rows |= {tuple(row) for name, row in report.user_properties if name == "fault"}

    def pytest_sessionfinish(self):
        if self._rows:
            lines = [f"| {w} | {h} | {lost} | `{test}` | {held} |\n" for w, h, lost, test, held in sorted(self._rows)]
            self._path.write_text(HEADER + "".join(lines))


def pytest_addoption(parser):
    parser.addoption("--fault-table", type=Path, help="write what the tests of faults found, as Markdown")


def pytest_configure(config):
    config.addinivalue_line("markers", "fault(what, happens, lost='nothing'): a fault, for the table in the docs")
    if (path := config.getoption("--fault-table")) is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FaultTable(path))


def pytest_terminal_summary(terminalreporter):
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    user, system = sum(u.ru_utime for u in used), sum(u.ru_stime for u in used)
    terminalreporter.write_line(
        f"CPU: {(user + system) / 60:.1f} min, user {user:.0f} s and system {system:.0f} s, with all processes started"
    )


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One Tiled server for all tests of a process, which reads their files; each works in a container of its own."""
    from ainerd.server import embedded_server

    with embedded_server(tmp_path_factory.mktemp("tiled"), readable_storage=[tmp_path_factory.getbasetemp()]) as server:
        yield server


class Place:
    """A container of a server, with what a server of its own would have: address, key, client."""

    def __init__(self, server, name):
        self.api_key, self._container = server.api_key, server.client().create_container(name)
        self.uri = self._container.uri

    def client(self):
        return self._container


@pytest.fixture(scope="module")
def place(server, request):
    """For the tests of one file; a server takes seconds to start."""
    return Place(server, request.module.__name__)


@pytest.fixture(scope="session")
def bank_file(tmp_path_factory):
    """A part of the shipped bank: it is calibrated in a tenth of the time."""
    from ainerd.techniques import rheo_xpcs
    from ainerd.techniques.rheo_xpcs._bank_file import read_bank, write_bank

    clean, families = read_bank(Path(rheo_xpcs.__file__).parent / "weights" / "bank.safetensors")
    path, part = tmp_path_factory.mktemp("bank") / "bank.safetensors", slice(None, None, 13)  # of all kinds
    write_bank(path, clean[part], families[part])
    return path


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    marker = item.get_closest_marker("fault")
    if marker is not None and report.when == "call":
        what, happens = marker.args
        lost = marker.kwargs.get("lost", "nothing")
        row = (what, happens, lost, item.originalname, "held" if report.passed else "did not hold")
        report.user_properties.append(("fault", row))
