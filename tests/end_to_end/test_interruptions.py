"""A run is interrupted by a person or by the loss of the beam; its picture is in Tiled while it goes on."""

import threading
import time

import numpy as np
import pytest
from bluesky import RunEngineInterrupted
from bluesky.suspenders import SuspendFloor

from ainerd.plans import expose
from ainerd.results import AgentNode
from tests.end_to_end.sessions import FRAMES
from tests.waiting import until

SLOW_S = 30.0  # from frame to frame, 30 ms on the wall: an exposure of three seconds


@pytest.fixture
def paused(session):
    """Pauses a run by hand when its first frames are announced; returns what the documents announced."""
    announced = []

    def pause(name, doc):
        if name == "stream_datum":
            announced.append(doc["indices"]["stop"])
            if len(announced) == 1:
                threading.Thread(target=session.RE.request_pause).start()

    session.detector.cam.acquire_period.put(SLOW_S)
    token = session.RE.subscribe(pause)
    with pytest.raises(RunEngineInterrupted):
        session.RE(expose(session.detector, beside=[session.stage.x, session.stage.y], shutter=session.shutter))
    yield announced
    session.RE.unsubscribe(token)
    session.expect(FRAMES)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")  # bluesky's, of the clean-up that a halt leaves out
@pytest.mark.fault("A person halts the RunEngine during a run", "The result is partial, or failed with the reason")
def test_a_person_ends_a_run(session, paused):
    session.RE.halt()
    row, n_frames = session.table().iloc[-1], max(paused)
    if n_frames >= 64:
        assert (row["status"], row["n_frames"]) == ("partial", n_frames)
    else:
        assert row["status"] == "failed"
        assert row["reason"].startswith(f"the exposure ended after {n_frames} of {FRAMES} frames: ")


@pytest.mark.fault("A person pauses the RunEngine during a run and resumes it", "The detector goes on; one result")
def test_a_run_that_is_paused_goes_on(session, paused):
    (uid,) = session.RE.resume()
    (row,) = session.table().query("raw_uid == @uid").to_dict("records")
    assert row["status"] == "complete" and row["n_frames"] == FRAMES
    assert not session.shutter.is_open


def test_a_plan_that_begins_without_beam_waits_and_measures_once(session):
    before, source = len(session.table()), session.instrument.source
    suspender = SuspendFloor(source.i0, 0.5)
    session.RE.install_suspender(suspender)

    def gone():  # as a monitor that reports ten times a second
        end = time.monotonic() + 1
        while time.monotonic() < end:
            source.lose()
            time.sleep(0.1)
        source.restore()

    losing = threading.Thread(target=gone)
    losing.start()
    until(lambda: suspender.tripped)
    session.RE(session.agent.sample((4.0, 3.0)))
    losing.join()
    session.RE.remove_suspender(suspender)
    assert source.i0.get() > 0.9
    assert session.table()["status"].tolist()[before:] == ["complete"]


@pytest.mark.fault("A person presses Ctrl-C while the campaign is held", "The plan ends as usual")
def test_a_waiting_plan_can_be_stopped(session):
    before, node = len(session.table()), AgentNode(session.client["ainerd"], session.settings.name)
    session.agent.hold("tea")

    def pause():
        until(lambda: node.state()["health"].get("waits"))
        session.RE.request_pause()

    pausing = threading.Thread(target=pause)
    pausing.start()
    with pytest.raises(RunEngineInterrupted):
        session.RE(session.agent.explore(1))
    pausing.join()
    session.RE.stop()
    session.agent.release()
    assert len(session.table()) == before


def test_the_picture_of_the_run_in_progress_is_in_tiled(session):
    agents, plan = session.client["ainerd/agents"], session.agent.explore(1)
    session.RE.context_managers = []  # it runs in another thread
    session.expect(2 * FRAMES)
    session.detector.cam.acquire_period.put(SLOW_S)
    measuring = threading.Thread(target=session.RE, args=[plan])
    measuring.start()
    until(lambda: "picture" in agents.values().first())
    picture = agents.values().first()["picture"].read()
    measuring.join()
    session.expect(FRAMES)
    assert picture.shape == (128, 128) and np.isfinite(picture).any()
    np.testing.assert_allclose(picture, picture.T, rtol=1e-3)  # of a two-time correlation
