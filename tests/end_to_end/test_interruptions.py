"""A run is interrupted by a person, by a clock, or by the death of its analysis."""

import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlparse

import h5py
import numpy as np
import pytest
from bluesky import RunEngineInterrupted

from ainerd.plans import expose
from ainerd.technique import RunInfo
from ainerd.words import number_of
from tests.end_to_end.sessions import FRAMES

BLOCK = 50  # frames that are read at a time

HOUR = 3600.0
SLOW_S = 30.0  # from frame to frame, 30 ms on the wall: an exposure of three seconds


@pytest.fixture
def take(session):
    """Takes a run by hand; returns its documents."""

    def take(during=None):
        documents = []
        token = session.RE.subscribe(lambda name, doc: documents.append((name, doc)))
        plan = expose(session.detector, beside=[session.stage.x, session.stage.y], shutter=session.shutter)
        try:
            if during is None:
                session.RE(plan)
            else:
                session.detector.cam.acquire_period.put(SLOW_S)
                during(plan, documents)
        finally:
            session.RE.unsubscribe(token)
            session.expect(FRAMES)
        return documents

    return take


def row_of(session, documents):
    """Return the one result of a run."""
    table = session.table()
    rows = table[table["raw_uid"] == documents[0][1]["uid"]]
    assert len(rows) == 1
    return rows.iloc[0]


def once_frames_come(documents, act):
    """Do something from another thread when the first frames are announced."""

    def watch():
        end = time.monotonic() + 60
        while time.monotonic() < end and "stream_datum" not in [name for name, _ in documents]:
            time.sleep(0.01)
        act()

    threading.Thread(target=watch, daemon=True).start()


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")  # bluesky's, of the clean-up that a halt leaves out
@pytest.mark.parametrize("way", ["abort", "halt"])
@pytest.mark.fault(
    "A person aborts or halts the RunEngine during a run", "The result is partial, or failed with the reason"
)
def test_a_person_ends_a_run(session, take, way):
    def during(plan, documents):
        once_frames_come(documents, session.RE.request_pause)
        with pytest.raises(RunEngineInterrupted):
            session.RE(plan)
        getattr(session.RE, way)()

    documents = take(during)
    row = row_of(session, documents)
    n_frames = max(doc["indices"]["stop"] for name, doc in documents if name == "stream_datum")
    if n_frames >= 64:
        assert (row["status"], row["n_frames"]) == ("partial", n_frames)
    else:
        came = number_of(n_frames, "frame")
        reason = f"the run ended (abort) with {n_frames} of 100 frames: {came}: a map needs at least 64"
        assert (row["status"], row["reason"]) == ("failed", reason)


@pytest.mark.fault("A person pauses the RunEngine during a run and resumes it", "The detector goes on; one result")
def test_a_run_that_is_paused_goes_on(session, take):
    def during(plan, documents):
        once_frames_come(documents, session.RE.request_pause)
        with pytest.raises(RunEngineInterrupted):
            session.RE(plan)
        session.RE.resume()

    row = row_of(session, take(during))
    assert row["status"] == "complete" and row["n_frames"] == FRAMES
    assert not session.shutter.is_open


@pytest.fixture
def died(session, monkeypatch):
    """Makes the analysis of the next run die at its second block."""

    def die(error):
        begin, left = session.agent.technique.begin, [1]

        def begun(run):
            analysis = begin(run)
            push, seen = analysis.push, Counter()

            def dying(block, first):
                seen["blocks"] += 1
                if seen["blocks"] == 2 and left[0]:
                    left[0] -= 1
                    raise error
                push(block, first)

            monkeypatch.setattr(analysis, "push", dying)
            return analysis

        monkeypatch.setattr(session.agent.technique, "begin", begun)

    return die


@pytest.mark.fault(
    "The analysis dies in the middle of a run", "The result is failed until the next start; the next run is analysed"
)
def test_an_analysis_that_dies_fails(session, take, died):
    died(SystemExit("enough"))
    row = row_of(session, take())
    assert row["status"] == "failed" and row["reason"] == "SystemExit: enough"
    assert row_of(session, take())["status"] == "complete"


def test_no_job_ends_the_worker(session):
    def job():
        raise SystemExit

    session.agent._analysis.jobs.submit(job)
    assert session.agent.drain() and session.agent.status()["worker"] == "alive"


@pytest.mark.fault("The clock jumps by an hour, back and forth, during a run", "The result has the same bits")
def test_a_jump_of_the_clock_changes_no_map(session, take):
    session.agent.detach()
    documents = take()
    session.agent.attach(session.RE)
    for i, (name, doc) in enumerate(documents):
        jump = HOUR if i % 2 else -HOUR
        jumped = {**doc, **({"time": doc["time"] + jump} if "time" in doc else {})}
        if name == "event":
            jumped["timestamps"] = {key: at + jump for key, at in doc["timestamps"].items()}
        session.agent(name, jumped)
    row = row_of(session, documents)
    assert row["status"] == "complete"
    assert np.array_equal(session.agent.results.array(row.name, "c2"), c2_of(session, documents))
    assert session.table()["run_time"].is_monotonic_increasing  # as the documents have it


def test_a_stop_time_in_the_future_does_not_block_the_agent(session, take):
    session.agent.detach()
    documents = take()
    session.agent.attach(session.RE)
    (resource,) = (doc for name, doc in documents if name == "stream_resource")
    Path(urlparse(resource["uri"]).path).unlink()
    for name, doc in documents:
        session.agent(name, {**doc, "time": doc["time"] + 100 * HOUR} if name == "stop" else doc)
    row = row_of(session, documents)
    assert row["status"] == "failed" and "no file" in row["reason"]
    assert session.agent.results.logbook()["text"].iloc[-1].endswith(row["reason"])


def c2_of(session, documents):
    """Reduce the maps of a run at once from its file."""
    technique = session.agent.technique
    (resource,) = (doc for name, doc in documents if name == "stream_resource")
    with h5py.File(urlparse(resource["uri"]).path) as file:
        frames = file[resource["parameters"]["dataset"]][:]
    run = RunInfo(raw_uid="again", n_frames=len(frames), frame_shape=frames.shape[1:], frame_time_s=0.5)
    analysis = technique.begin(run)
    for start in range(0, len(frames), BLOCK):
        analysis.push(frames[start : start + BLOCK].reshape(-1, frames[0].size)[:, analysis.pixels], start)
    return analysis.finish().arrays["c2"]
