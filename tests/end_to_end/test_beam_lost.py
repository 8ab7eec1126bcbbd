"""With a suspender of bluesky, plans wait while the beam is lost, and the exposure is taken again."""

import threading
import time

import pytest
from bluesky.suspenders import SuspendFloor

from tests.waiting import until


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


@pytest.mark.fault("The beam is lost while frames arrive", "The plan waits; the run is marked as spoilt and repeated")
def test_an_exposure_without_beam_is_repeated(session, lose, caplog):
    lost = []

    def leave(name, doc):
        if name == "stream_datum" and not lost:
            lost.append(lose())
            while not lost[0].tripped:  # before the exposure ends
                time.sleep(0.01)

    token = session.RE.subscribe(leave)
    try:
        session.RE(session.agent.sample((2.0, 3.0)))
    finally:
        session.RE.unsubscribe(token)
    spoilt, again = session.table().to_dict("records")
    assert (spoilt["status"], again["status"]) == ("failed", "complete")
    assert spoilt["reason"].startswith("spoilt") and spoilt["novel"] is not True
    until(lambda: all("stop" in session.client["raw", each["raw_uid"]].metadata for each in (spoilt, again)))
    runs = [session.client["raw", each["raw_uid"]].metadata for each in (spoilt, again)]
    assert runs[0]["start"]["suggestion_id"] == runs[1]["start"]["suggestion_id"]
    assert [run["stop"]["exit_status"] for run in runs] == ["fail", "success"]
    assert (again["sample_x"], again["sample_y"]) == pytest.approx((2, 3), abs=0.05)
    assert "is taken again" in caplog.text


def test_a_plan_that_begins_without_beam_waits_and_measures_once(session, lose):
    before, suspender = len(session.table()), lose()
    while not suspender.tripped:
        time.sleep(0.001)
    session.RE(session.agent.sample((4.0, 3.0)))
    assert session.instrument.source.i0.get() > 0.9
    assert session.table()["status"].tolist()[before:] == ["complete"]


def test_the_removed_call_names_its_replacement(session):
    with pytest.raises(AttributeError, match=r"removed: RE.install_suspender\(SuspendFloor"):
        session.agent.watch_beam(session.instrument.source.i0, threshold=0.5)
