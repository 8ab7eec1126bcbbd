"""An exposure of events gives the result of the same frames as a dense movie: arrays, numbers, verdict,
exclusions."""

import numpy as np
import pytest

from ainerd.technique import AnalysisError, RunInfo
from ainerd_xpcs.numerics import Events, Partition
from ainerd_xpcs.technique import RheoXPCS

pytestmark = pytest.mark.usefixtures("part_of_bank")

SHAPE, FRAME_TIME_S = (40, 60), 2e-5


@pytest.fixture(scope="module")
def technique():
    labels = np.repeat(np.arange(1, 9), 300).reshape(SHAPE)
    static = labels + np.arange(60)[None, :] // 30 * 8
    return RheoXPCS(Partition.from_roi_map(labels, static_map=static))


@pytest.fixture(scope="module")
def frames():
    """Relaxing speckle of 60 photons a frame."""
    rng = np.random.default_rng(0)
    field = rng.normal(size=(2, *SHAPE))
    out = []
    for _ in range(3000):
        field = 0.99 * field + np.sqrt(1 - 0.99**2) * rng.normal(size=field.shape)
        out.append(rng.poisson((field**2).sum(0) * 0.0125))
    return np.array(out, np.uint16)


def result(technique, frames, as_events, n_frames=None):
    run = RunInfo(raw_uid="a", n_frames=n_frames or len(frames), frame_shape=SHAPE, frame_time_s=FRAME_TIME_S)
    exposure = technique.begin(run)
    for a in range(0, len(frames), 500):
        some = frames[a : a + 500]
        exposure.push(Events.of(some, a) if as_events else technique.partition.gather(some), None if as_events else a)
        for number in range(a, a + len(some)):
            if (number + 1) % exposure.every == 0:
                exposure.whole(frames[number], number)
    return exposure.finish()


def test_the_result_is_that_of_dense_frames(technique, frames):
    dense, events = (result(technique, frames, as_events) for as_events in (False, True))
    assert dense.arrays.keys() == events.arrays.keys() and dense.summary.keys() == events.summary.keys()
    for name in ("c2", "intensity", "intensity_total", "mean_frame"):
        np.testing.assert_array_equal(events.arrays[name], dense.arrays[name], name)
    for name in ("g2", "g2_err", "clock", "latent"):
        np.testing.assert_allclose(events.arrays[name], dense.arrays[name], rtol=1e-6, atol=1e-6, err_msg=name)
    assert events.novelty_p == dense.novelty_p is not None
    np.testing.assert_allclose(events.embedding, dense.embedding, rtol=1e-6)
    for name, value in dense.summary.items():
        if isinstance(value, float):
            assert events.summary[name] == pytest.approx(value, rel=1e-4), name
        else:
            assert events.summary[name] == value, name
    assert events.summary["frames_left_out"] == events.summary["pixels_left_out"] == 0
    assert abs(events.summary["tau_s"] + FRAME_TIME_S / np.log(0.99)) < 3 * events.summary["tau_s_err"]


def test_a_hot_pixel_and_a_closed_shutter_are_left_out(technique, frames):
    spoilt, rng = frames.copy(), np.random.default_rng(1)
    spoilt[:, 7, 9] += rng.poisson(0.5, len(frames)).astype(np.uint16)
    spoilt[1000:1100] = rng.poisson(2e-4, (100, *SHAPE))
    events, dense = (result(technique, spoilt, as_events) for as_events in (True, False))
    for analysis in (events, dense):
        table = analysis.tables["left_out"]
        assert table["index"][table["what"] == "pixel"].tolist() == [7 * 60 + 9]
        dark = table["reason"] == "dark"
        assert (table["index"][dark].tolist(), table["n"][dark].tolist()) == ([1000], [100])
        assert abs(analysis.summary["tau_s"] + FRAME_TIME_S / np.log(0.99)) < 3 * analysis.summary["tau_s_err"]
    for name in ("g2", "c2"):  # of the other bins
        np.testing.assert_allclose(*(np.delete(x.arrays[name], 1, 0) for x in (events, dense)), rtol=1e-6)
    # the pixel was left out later, because groups are longer than frames
    assert np.nanmedian(np.abs(events.arrays["g2"][1] - dense.arrays["g2"][1])) < 0.02
    assert events.novelty_p == pytest.approx(dense.novelty_p, abs=0.01)


def test_a_run_that_cannot_be_analysed_has_a_reason(technique, frames):
    with pytest.raises(AnalysisError, match="100 were announced"):
        result(technique, frames[:200], True, n_frames=100)
    with pytest.raises(AnalysisError, match="zero photons"):
        result(technique, np.zeros((100, *SHAPE), np.uint16), True)
