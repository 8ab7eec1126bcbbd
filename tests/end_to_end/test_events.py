"""Results of counts, scans, aborted and open-ended runs of the simulated detector, on a Tiled server."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import h5py
import hdf5plugin  # noqa: F401 - registers the filter
import numpy as np
import pytest

from ainerd.plans import expose
from ainerd.results import ResultRecord
from ainerd_xpcs.numerics import MultiTau, TwoTimeReducer
from tests.end_to_end.sessions import FRAMES


@pytest.fixture(autouse=True)
def as_before(session):
    """Restore the exposure after each test."""
    yield
    session.expect(FRAMES)


def rows_of(session, uid):
    """Return the results of a run, by event."""
    table = session.table()
    return table[table["raw_uid"] == uid].reset_index().set_index("event")


def test_a_grid_scan_has_one_result_per_event(session):
    session.RE(bps.mv(session.shutter, "open"))
    motors = session.stage.x, 2, 8, 2, session.stage.y, 3, 7, 1
    (grid,) = session.RE(bp.grid_scan([session.detector, session.rheometer], *motors))
    rows = rows_of(session, grid)
    assert rows["status"].tolist() == ["complete"] * 2 and (rows["n_frames"] == FRAMES).all()
    assert np.allclose(rows[["sample_x", "sample_y"]], [(2, 3), (8, 3)], atol=0.01)
    assert rows["event_time"].is_monotonic_increasing and rows["event_time"].is_unique
    exposures_s = (rows["event_time"] - rows["exposure_time"]).dt.total_seconds()
    assert np.allclose(exposures_s, rows["n_frames"] * rows["frame_time_s"])  # a triggered detector is read at its end
    parameters = session.agent.technique.parameters
    assert rows["key"].tolist() == [ResultRecord.key_of(parameters, grid, event) for event in rows.index]
    assert rows["superseded_by"].isna().all()

    results = session.client["ainerd/results"]
    half = results[rows.loc[1, "key"]]
    half.replace_metadata({**half.metadata, "status": "computing"})
    results.delete_contents(rows.loc[2, "key"], recursive=True, external_only=False)
    agent = session.start_agent()
    assert agent.catch_up() == 1
    again = rows_of(session, grid)
    assert again["status"].tolist() == ["complete"] * 2 and again["key"].tolist() == rows["key"].tolist()
    same = ["sample_x", "sample_y", "tau_s", "novelty_p", "counts_per_pixel", "event_time", "stress_mean"]
    assert again[same].equals(rows[same])  # as if nothing had happened
    assert (again["created"] != rows["created"]).all()
    before = session.table()
    assert agent.catch_up() == 0 and agent.analyse(grid) == 1  # a replay changes nothing
    assert session.table().equals(before)


def test_frames_that_a_detector_drops_change_no_lag(session_in, tmp_path):
    """From the device that drops frames to g2 and C2 of the frames at their places."""
    session = session_in(tmp_path, dropped_share=0.03, names_numbers=True)
    unique = "/entry/instrument/NDAttributes/NDArrayUniqueId"
    session.settings.storage.frames = [tmp_path / "frames"]
    session.settings.detector.frame_number = f"{session.detector.name}_frame_number"
    session.expect(200)
    session.start_agent()
    session.RE(expose(session.detector, beside=[session.stage.x, session.stage.y], shutter=session.shutter))
    row, (file,) = session.table().iloc[-1], (tmp_path / "frames").glob("*.h5")
    with h5py.File(file) as movie:
        frames, numbers = movie["entry/data/data"][:], movie[unique][:].astype(np.int64)
    assert 180 < len(numbers) < 199 and numbers[-1] <= 200 and len(frames) == len(numbers)
    assert (row["status"], row["n_frames"]) == ("partial", len(numbers))

    partition = session.agent.technique.partition
    live, reducer = MultiTau(partition), TwoTimeReducer(partition, 200)
    for number, frame in zip(numbers - numbers[0], frames, strict=True):
        for made in (live, reducer):
            made.push(frame[None], first=int(number))
    np.testing.assert_allclose(session.agent.results.array(row.name, "g2"), live.result().value, rtol=2e-3)
    c2, wanted = session.agent.results.array(row.name, "c2"), reducer.maps()
    known = np.isfinite(wanted)
    assert np.array_equal(np.isfinite(c2), known)
    assert np.corrcoef(c2[known], wanted[known])[0, 1] > 0.999
    left = session.agent.results.rows(row.name, "left_out")
    missing = left[left["reason"] == "missing"]
    places = np.setdiff1d(np.arange(numbers[-1] - numbers[0] + 1), numbers - numbers[0])
    listed = np.concatenate([np.arange(i, i + n) for i, n in zip(missing["index"], missing["n"], strict=True)])
    assert listed.tolist() == places.tolist()
