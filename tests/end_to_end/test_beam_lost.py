"""With a suspender of bluesky, plans wait while the beam is lost."""

import threading
import time

import pytest
from bluesky.suspenders import SuspendFloor


@pytest.fixture
def lose(session):
    """Lose the beam for a while, in a thread, as a monitor that reports ten times a second."""
    source, threads = session.instrument.source, []
    suspender = SuspendFloor(source.i0, 0.5)
    session.RE.install_suspender(suspender)

    def gone():
        until = time.monotonic() + 1
        while time.monotonic() < until:
            source.lose()
            time.sleep(0.1)
        source.restore()

    def begin():
        threads.append(threading.Thread(target=gone))
        threads[-1].start()
        return suspender

    yield begin
    for thread in threads:
        thread.join()
    session.RE.remove_suspender(suspender)


def test_a_plan_that_begins_without_beam_waits_and_measures_once(session, lose):
    before, suspender = len(session.table()), lose()
    while not suspender.tripped:
        time.sleep(0.001)
    session.RE(session.agent.sample((4.0, 3.0)))
    assert session.instrument.source.i0.get() > 0.9
    assert session.table()["status"].tolist()[before:] == ["complete"]
