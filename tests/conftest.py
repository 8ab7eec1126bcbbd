"""Write the table of faults from the tests that try them: `make faults`."""

import atexit
import ctypes
import gc
import os
import resource
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings

from tests.containers import new_container
from tests.prepared import Prepared
from tests.small_bank import write_small_bank

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each of hundreds of processes compiles the package anew
os.environ.setdefault("OMP_NUM_THREADS", "1")  # as many workers as cores: more threads would only wait for each other

# A session that ends frees hundreds of megabytes of arrays. By default glibc keeps up to 64 MB of them in the arena of
# each thread. Here it has one arena, maps arrays of 1 MB and more one by one, and keeps 4 MB at most.
M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -8, -3, -1
with suppress(AttributeError):  # another allocator
    for parameter, value in ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, 2**20), (M_TRIM_THRESHOLD, 2**22)):
        ctypes.CDLL(None).mallopt(parameter, value)

# Before any client of EPICS is imported: each worker finds IOCs at a port of its own, and none on other machines.
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    os.environ.update(
        EPICS_CA_ADDR_LIST="127.0.0.1", EPICS_CA_AUTO_ADDR_LIST="NO", EPICS_CA_SERVER_PORT=str(free.getsockname()[1])
    )

gc.set_threshold(50_000)  # imports create millions of objects, which stay: fewer collections
atexit.register(gc.freeze)  # and none of them at the end

# The same examples each time: a failure is then due to the change before it.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

HEADER = """<!-- written by `make faults` from the tests marked as faults; not by hand -->

| Fault | What happens | Lost | Tried by | |
| --- | --- | --- | --- | --- |
"""


# The files of these folders take longest. They come first, so that no worker starts one when the others have finished.
FIRST = ("end_to_end", "docs", "server", "cli", "techniques")
BEGAN = pytest.StashKey[float]()  # CPU seconds before the file whose tests run
SPENT: Counter[str] = Counter()  # CPU seconds of each file, of all workers


class FaultTable:
    """Collect the outcomes of the tests of faults from all workers."""

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
    parser.addoption("--fault-table", type=Path, help="write the outcomes of the tests of faults as Markdown")


def pytest_configure(config):
    is_worker, root = hasattr(config, "workerinput"), Path(__file__).parents[1]
    has_workers = not is_worker and getattr(config.option, "numprocesses", None)
    if has_workers and not any((root / "sim_devices").rglob("*.nbi")):
        subprocess.run([sys.executable, "-m", "agents.demo.warm_up"], cwd=root, check=True)  # else each worker compiles
    config.addinivalue_line("markers", "fault(what, happens, lost='nothing'): a fault, for the table in the docs")
    if (path := config.getoption("--fault-table")) is not None and not is_worker:
        config.pluginmanager.register(FaultTable(path))


def pytest_collection_modifyitems(items):
    def place(item):
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        return FIRST.index(folder) if folder in FIRST else len(FIRST)

    items.sort(key=place)


def pytest_collection_finish(session):
    gc.freeze()  # imported modules stay
    session.config.stash[BEGAN] = spent_so_far()


def cpu():
    """Seconds of user and of system, of this process and of those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime for u in used), sum(u.ru_stime for u in used)


def cpu_of_children(process="self"):
    """CPU seconds of the processes that a process started and that live, such as servers; 0 without Linux."""
    spent = 0.0
    for children in Path("/proc", process, "task").glob("*/children"):
        with suppress(OSError):  # a thread or a process that has just ended
            for child in children.read_text().split():
                fields = Path("/proc", child, "stat").read_text().rpartition(")")[2].split()
                spent += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") + cpu_of_children(child)
    return spent


def spent_so_far():
    return sum(cpu()) + cpu_of_children()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item, nextitem):
    yield
    if nextitem is None or nextitem.path != item.path:  # once for a file
        gc.collect()  # the sessions of the file, in circles, hold their arrays
        now, stash = spent_so_far(), item.config.stash
        item.user_properties.append(("cpu_s", now - stash[BEGAN]))
        stash[BEGAN] = now


def pytest_runtest_logreport(report):
    SPENT[report.nodeid.partition("::")[0]] += sum(spent for name, spent in report.user_properties if name == "cpu_s")


def pytest_terminal_summary(terminalreporter):
    user, system = cpu()
    terminalreporter.write_line(
        f"CPU: {(user + system) / 60:.1f} min, user {user:.0f} s and system {system:.0f} s, with all processes started"
    )
    terminalreporter.write_line("of which " + ", ".join(f"{file} {spent:.0f}" for file, spent in SPENT.most_common(25)))


@pytest.fixture(scope="session", autouse=True)
def prepared_servers():
    """Let servers of this process be forks of one that has imported their modules."""
    prepared = Prepared()
    with pytest.MonkeyPatch.context() as patch:
        as_usual = SimpleNamespace(**vars(subprocess))
        as_usual.Popen = prepared.popen
        patch.setattr("ainerd.server._embedded.subprocess", as_usual)
        yield
    prepared.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory, prepared_servers):
    """One Tiled server for all tests of a process, which reads their files; each works in a container of its own."""
    from ainerd.server import embedded_server

    with embedded_server(tmp_path_factory.mktemp("tiled"), readable_storage=[tmp_path_factory.getbasetemp()]) as server:
        yield server


class Place:
    """A container of a server, with the attributes of a server of its own: address, key, client."""

    def __init__(self, server, name):
        self.api_key, self._container = server.api_key, new_container(server.client(), name)
        self.uri = self._container.uri

    def client(self):
        return self._container


@pytest.fixture(scope="module")
def place(server, request):
    """For the tests of one file; a server takes seconds to start."""
    return Place(server, request.module.__name__)


@pytest.fixture
def gathered():
    """Collects the values that a function yields, in a thread. The end of the test sets the event that it gets."""
    stop, threads = threading.Event(), []

    def gather(make):
        def work():
            for each in make(stop):
                got.append(each)

        got = []
        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()
        return got

    yield gather
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def variables(monkeypatch):
    """Sets variables of the environment until the test has ended."""

    def put(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))

    return put


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """The test works in its folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def importable(monkeypatch):
    """Lets modules in a folder be imported until the test has ended."""
    return monkeypatch.syspath_prepend


@pytest.fixture(scope="session")
def bank_file(tmp_path_factory):
    """A part of the shipped bank: it is calibrated in a tenth of the time."""
    return write_small_bank(tmp_path_factory.mktemp("bank") / "bank.safetensors")


@pytest.fixture(scope="module")
def part_of_bank(bank_file):
    """Let that part stand for the shipped bank where no bank is named."""
    from ainerd_xpcs.technique import Bank, _bank

    part = Bank.load(bank_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_bank, "_shipped", lambda: part)
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    marker = item.get_closest_marker("fault")
    if marker is not None and report.when == "call":
        what, happens = marker.args
        lost = marker.kwargs.get("lost", "nothing")
        row = (what, happens, lost, item.originalname, "held" if report.passed else "did not hold")
        report.user_properties.append(("fault", row))
