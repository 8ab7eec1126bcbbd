"""Results of counts, scans, aborted and open-ended runs of the simulated detector, on a Tiled server."""

import threading

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngineInterrupted
from conftest import FRAMES

from ainerd.results import event_identity, result_key
from ainerd.steering import expose

FEW = 64  # frames of an exposure of a scan


@pytest.fixture(autouse=True)
def as_before(session):
    """Restore the exposure after each test."""
    yield
    session.expect(FRAMES)


@pytest.fixture
def few(session):
    """Open the shutter, and make exposures as short as possible."""
    session.RE(bps.mv(session.shutter, "open"))
    session.expect(FEW)
    return session


def rows_of(session, uid):
    """Return the results of a run, by event."""
    table = session.table()
    return table[table["raw_uid"] == uid].reset_index().set_index("event")


def test_a_count_and_a_grid_scan_have_one_result_per_event(few):
    session = few
    (count,) = session.RE(bp.count([session.detector, session.stage], num=3))
    rows = rows_of(session, count)
    assert rows["status"].tolist() == ["complete"] * 3 and rows.index.tolist() == [1, 2, 3]
    motors = session.stage.x, 2, 8, 3, session.stage.y, 2, 8, 3
    (grid,) = session.RE(bp.grid_scan([session.detector, session.rheometer], *motors))
    rows = rows_of(session, grid)
    assert rows["status"].tolist() == ["complete"] * 9 and (rows["n_frames"] == FEW).all()
    places = [(x, y) for x in (2, 5, 8) for y in (2, 5, 8)]
    assert np.allclose(rows[["sample_x", "sample_y"]], places, atol=0.01)
    assert rows["event_time"].is_monotonic_increasing and rows["event_time"].is_unique
    parameters = session.agent.technique.parameters
    assert rows["key"].tolist() == [result_key(event_identity(grid, event), parameters) for event in rows.index]
    assert rows["superseded_by"].isna().all()

    before = session.table()
    agent = session.start_agent()
    assert agent.catch_up() == 0
    assert agent.analyse(count, grid) == 2  # a replay changes nothing
    assert session.table().equals(before)

    results = session.client["ainerd/results"]
    half = results[rows.loc[4, "key"]]
    half.replace_metadata({**half.metadata, "status": "computing"})
    results.delete_contents(rows.loc[9, "key"], recursive=True, external_only=False)
    agent = session.start_agent()
    assert agent.catch_up() == 1
    again = rows_of(session, grid)
    assert again["status"].tolist() == ["complete"] * 9 and again["key"].tolist() == rows["key"].tolist()
    same = ["sample_x", "sample_y", "tau_s", "novelty_p", "counts_per_pixel", "event_time", "stress_mean"]
    assert again[same].equals(rows[same])  # as if nothing had happened
    assert again.index[again["created"] != rows["created"]].tolist() == [4, 9]


def test_an_aborted_scan_has_results_of_its_exposures(few):
    session = few

    @bpp.stage_decorator([session.detector])
    @bpp.run_decorator(md={"num_points": 9})
    def broken():
        yield from bps.trigger_and_read([session.detector, session.stage])
        raise RuntimeError("the sample fell off")

    with pytest.raises(RuntimeError, match="fell off"):
        session.RE(broken())
    row = session.table().iloc[-1]
    assert row["status"] == "complete" and row["event"] == 1
    assert session.agent.catch_up() == 0  # nothing is missing, though nine were announced


def test_an_aborted_exposure_has_a_partial_map(session, monkeypatch):
    session.expect(500)
    detector, blocks = session.detector, []
    beam = detector._transmission

    def until_350():
        blocks.append(50)
        if len(blocks) == 8:
            detector._stop.wait(60)
        return beam()

    def pause(name, doc):
        if name == "stream_datum" and doc["indices"]["stop"] >= 350:
            threading.Thread(target=session.RE.request_pause).start()

    monkeypatch.setattr(detector, "_transmission", until_350)
    with pytest.raises(RunEngineInterrupted):
        session.RE(expose(detector, beside=[session.stage.x, session.stage.y], shutter=session.shutter), pause)
    session.RE.abort()
    row = session.table().iloc[-1]
    assert (row["status"], row["n_frames"], row["event"]) == ("partial", 350, 1)
    taus = row.reindex(["tau_s", "tau_s_above", "tau_s_below"])  # which of them is the sample's affair
    assert taus.max() > 0 and row["novelty_p"] > 0 and row["regime"] >= -1 and np.isfinite(row["sample_x"])
    assert session.agent.results.array(row.name, "tau")[-1] < 350 * row["frame_time_s"]
    assert np.isfinite(session.agent.results.array(row.name, "c2")).all()
    assert session.agent.catch_up() == 0


def test_a_detector_with_an_unknown_number_of_frames(session):
    settings = session.settings.model_copy(deep=True)
    settings.detector.n_frames = ""
    whole, session.settings = session.settings, settings
    agent = session.start_agent()
    before = len(session.table())
    session.RE(agent.explore(1))
    table = session.table()
    assert len(table) == before + 1
    assert (table["status"].iloc[-1], table["n_frames"].iloc[-1]) == ("partial", FRAMES)
    session.settings = whole
