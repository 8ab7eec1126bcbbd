"""A session is killed (-9) and something else goes wrong at the same moment; `python -m studies.chaos` tries many."""

import os
import signal
import threading
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


@pytest.mark.fault(
    "A session is killed (-9) in the middle of a run while the server is killed too, or the clock jumps by an hour",
    "The next session gives each event that Tiled has one result with its position",
)
@pytest.mark.timeout(300)
def test_each_event_has_one_result_after_two_faults_at_once(tmp_path, variables):
    variables(AINERD_STORAGE__API_KEY=KEY)
    server, port = start_server(tmp_path)
    for number, is_clock in enumerate([True, False]):

        def works(number=number, is_clock=is_clock):
            b, seen, written, measured = session(tmp_path, port), [], [], threading.Event()
            complete, now = b.agent.results.complete, time.time

            def happens(name, doc):
                seen.append(name)
                if is_clock and seen.count("event") == 1:
                    time.time = lambda: now() - HOUR
                if seen.count("event") == POINTS:
                    measured.set()
                    if is_clock:
                        os.kill(os.getpid(), signal.SIGKILL)
                    threading.Event().wait()  # for `dies`

            def dies(*arguments, **more):
                # Tiled answers 500 for an array in whose writing it was killed, for good: here none is being written
                if not is_clock and written:
                    measured.wait()
                    os.kill(server.pid, signal.SIGKILL)
                    os.kill(os.getpid(), signal.SIGKILL)
                written.append(complete(*arguments, **more))
                return written[-1]

            b.agent.results.complete = dies
            b.RE.subscribe(happens)
            b.RE(bp.scan([b.camera], b.x, 3 * number + 1, 3 * number + 3, 3))

        killed(works)
    server.wait()
    server, _ = start_server(tmp_path, port)
    b = session(tmp_path, port)
    try:
        assert b.agent.catch_up() == 2
        table = b.table().sort_values("sample_x")
        assert table["sample_x"].tolist() == [1.0, 2.0, 4.0, 5.0]
        assert table["event"].tolist() == [1, 2] * 2 and table["status"].isin(["complete", "partial"]).all()
        assert not list(b.settings.storage.unwritten.iterdir())
    finally:
        b.close()
        server.kill()
        server.wait()
