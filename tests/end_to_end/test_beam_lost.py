"""When the beam is lost, plans wait, and the exposure is repeated."""

import threading
import time
from contextlib import closing

import pytest

from ainerd.agent import build_observer, explore_remote
from ainerd.results import ResultStore
from ainerd.runs import SPOILT
from ainerd.server import open_catalog


@pytest.fixture
def source(session):
    session.agent.watch_beam(session.instrument.source.i0, threshold=0.5)
    yield session.instrument.source
    session.instrument.source.restore()


def lose(session):
    """Lose the beam, and return when the suspender knows, which ophyd calls in another thread."""
    suspender = session.agent._beam
    before = suspender.losses
    session.instrument.source.lose()
    deadline = time.monotonic() + 60
    while suspender.losses == before:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def back_later(source):
    timer = threading.Timer(0.3, source.restore)
    timer.start()
    return timer


def run_and_lose(session, plan):
    """Run a plan, and lose the beam briefly at its first frames."""
    timers = []

    def leave(name, doc):
        if name == "stream_datum" and not timers:
            lose(session)
            timers.append(back_later(session.instrument.source))

    token = session.RE.subscribe(leave)
    try:
        session.RE(plan)
    finally:
        session.RE.unsubscribe(token)
    timers[0].join()


@pytest.mark.fault("The beam is lost while frames arrive", "The plan waits; the run is marked as spoilt and repeated")
def test_an_exposure_without_beam_is_repeated(session, source, capfd, caplog):
    run_and_lose(session, session.agent.sample((2.0, 3.0)))
    spoilt, again = session.table().to_dict("records")
    assert (spoilt["status"], again["status"]) == ("failed", "complete")
    assert spoilt["reason"].startswith(SPOILT) and spoilt["novel"] is not True
    runs = [session.client["raw", each["raw_uid"]].metadata for each in (spoilt, again)]
    assert runs[0]["start"]["suggestion_id"] == runs[1]["start"]["suggestion_id"]
    assert [run["stop"]["exit_status"] for run in runs] == ["fail", "success"]
    assert (again["sample_x"], again["sample_y"]) == pytest.approx((2, 3), abs=0.05)
    said = capfd.readouterr().out
    assert "no beam, source_i0 is below 0.5" in said and "is taken again" in caplog.text


def test_a_remote_plan_repeats_it_too(session, source, tmp_path):
    client = session.client.create_container(tmp_path.name)
    open_catalog(client)
    settings = session.settings.model_copy(deep=True)
    settings.name, settings.storage.directory, settings.storage.late_s = "elsewhere", tmp_path, 5.0
    devices = {"detector": session.detector, "actuators": [session.stage.x, session.stage.y]}
    with closing(build_observer(settings, client)) as observer:
        observer.quiet = True
        suggested = observer.suggest()["_id"]
        assert observer.drain(120)
        token = session.RE.subscribe(observer)
        plan = explore_remote(client, 1, **devices, shutter=session.shutter, beam=session.agent._beam, timeout_s=60)
        try:
            run_and_lose(session, plan)
        finally:
            session.RE.unsubscribe(token)
        assert observer.drain(120)
        results = observer.results.table()
    assert results["status"].tolist() == ["failed", "complete"], results["reason"].tolist()
    assert results["reason"].iloc[0].startswith(SPOILT)
    assert results["suggestion_id"].tolist() == [suggested] * 2
    measured = ResultStore(client["ainerd"]).suggestion(suggested)
    assert (measured.status, measured.raw_uid) == ("measured", results["raw_uid"].iloc[1])


def test_a_plan_that_begins_without_beam_waits_and_measures_once(session, source, capfd):
    before = len(session.table())
    lose(session)
    timer = back_later(source)
    session.RE(session.agent.sample((4.0, 3.0)))
    timer.join()
    assert source.i0.get() > 0.9
    assert session.table()["status"].tolist()[before:] == ["complete"]
    assert "no beam" in capfd.readouterr().out


def test_back_above_below_the_threshold_is_refused(session):
    with pytest.raises(ValueError, match="back_above = 0.2 is below the threshold, 0.5"):
        session.agent.watch_beam(session.instrument.source.i0, 0.5, back_above=0.2)
