"""A session is killed (-9) and something else goes wrong at the same moment; `python -m studies.chaos` tries many."""

import os
import signal
import sqlite3
import time

import bluesky.plans as bp
import pytest

from tests.killed import killed
from tests.techniques.beamline import Beamline
from tests.tiled_process import KEY, start_server

pytestmark = pytest.mark.usefixtures("installed_toy")
HOUR = 3600.0
POINTS = 2  # of three, until the session is killed


def session(folder, port):
    made = Beamline(folder, f"http://127.0.0.1:{port}/api/v1", unit='"event"')
    made.start_agent(acquire=lambda *args, **more: bp.count(*args, **more))
    made.agent.quiet = True
    return made


def server_dies(folder, server):
    os.kill(server.pid, signal.SIGKILL)


def catalog_is_locked(folder, server):
    """Lock the catalog until this process ends, and let the agent try to write."""
    catalog_is_locked.by = sqlite3.connect(folder / "tiled" / "catalog.db", isolation_level=None)
    catalog_is_locked.by.execute("BEGIN EXCLUSIVE")


def clock_jumps(folder, server):
    real = time.time
    time.time = lambda: real() - HOUR


@pytest.mark.fault(
    "A session is killed (-9) in the middle of a run while the server is killed too, the catalog is locked, or the "
    "clock jumps by an hour",
    "The next session gives each event one result with its position; the run has an end; nothing stays in a spool",
)
@pytest.mark.timeout(300)
def test_each_event_has_one_result_after_two_faults_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("AINERD_STORAGE__API_KEY", KEY)
    server, port = start_server(tmp_path)
    for number, fault in enumerate([catalog_is_locked, clock_jumps, server_dies]):

        def works(number=number, fault=fault):
            b, seen = session(tmp_path, port), []

            def happens(name, doc):
                seen.append(name)
                if name == "event" and seen.count(name) == 1:
                    if fault is not server_dies:
                        fault(tmp_path, server)
                elif name == "event" and seen.count(name) == POINTS:
                    if fault is server_dies:
                        fault(tmp_path, server)
                    os.kill(os.getpid(), signal.SIGKILL)

            b.RE.subscribe(happens)
            b.RE(bp.scan([b.camera], b.x, 3 * number + 1, 3 * number + 3, 3))

        killed(works)
    server.wait()
    server, _ = start_server(tmp_path, port)
    b = session(tmp_path, port)
    try:
        b.agent.catch_up(100)
        table = b.table().sort_values("sample_x")
        assert table["sample_x"].tolist() == [1.0, 2.0, 4.0, 5.0, 7.0, 8.0]
        assert table["event"].tolist() == [1, 2] * 3 and table["status"].isin(["complete", "partial"]).all()
        runs = dict(b.client["raw"].items())
        assert set(runs) == set(table["raw_uid"])
        assert {run.metadata["stop"]["exit_status"] for run in runs.values()} == {"abort"}
        left = [path.name for path in (b.settings.storage.directory / "unwritten").rglob("*") if path.is_file()]
        assert all(name.endswith(".agent") for name in left), left
    finally:
        b.close()
        server.kill()
        server.wait()
