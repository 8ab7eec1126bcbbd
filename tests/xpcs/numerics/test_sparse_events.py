"""Events in place of dense frames: the same maps bit for bit, the same g2; gaps, long runs, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd_xpcs.numerics import Events, MultiTau, Partition, TwoTimeReducer

SHAPE = (24, 20)


def movie(seed, n, photons):
    rng = np.random.default_rng(seed)
    field = np.cumsum(rng.normal(size=(n, 2, *SHAPE)), axis=0) / 5 + rng.normal(size=(2, *SHAPE))
    counts = rng.poisson(photons * np.minimum((field**2).sum(1), 20)).astype(np.uint16)
    counts[rng.random(n) < 0.1] = 0  # frames without a photon
    return counts, rng.random(n) > 0.1


def blocks(n, size, missing):
    """Begins and ends of blocks, of which one is missing."""
    some = [(a, min(a + size, n)) for a in range(0, n, size)]
    return [x for i, x in enumerate(some) if i != missing or len(some) == 1]


sparse = st.sampled_from([0.001, 0.02, 0.5])
precisions = st.sampled_from(["float32", "float64"])


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 99), n=st.integers(2, 400), photons=sparse, size=st.integers(1, 40), block=st.integers(1, 90),
    missing=st.integers(0, 4), more=st.integers(0, 90), dtype=precisions, is_open=st.booleans(),
)  # fmt: skip
def test_maps_are_those_of_dense_frames(partition, seed, n, photons, size, block, missing, more, dtype, is_open):
    frames, valid = movie(seed, n, photons)
    dense, events = (TwoTimeReducer(partition, None if is_open else n + more, size=size, dtype=dtype) for _ in range(2))
    for a, b in blocks(n, block, missing):
        dense.push(frames[a:b], first=a, valid=valid[a:b])
        events.push(Events.of(frames[a:b], a, valid[a:b]))
    try:
        wanted = dense.maps()
    except ValueError as err:
        with pytest.raises(ValueError, match=str(err)[:20]):
            events.maps()
        return
    exact = dtype == "float64" and size & (size - 1) == 0  # shares of frames are then binary numbers
    rtol = 0 if exact else 1e-13 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(events.maps(), wanted, rtol=rtol, atol=rtol)


def test_rows_hold_counts_of_any_size(partition):
    """Counts of 8 bits overflow while frames are added, while rows are added to each other, and in a shared frame."""
    frames, valid = movie(3, 500, 0.5)
    frames[:40, 5, 5], frames[40:, 7, 9], frames[::50, 6, 6] = 90, 9000, 4000
    dense, events = (TwoTimeReducer(partition, 500, size=8, dtype="float64") for _ in range(2))
    for a in range(0, 500, 60):
        dense.push(frames[a : a + 60], first=a, valid=valid[a : a + 60])
        events.push(Events.of(frames[a : a + 60], a, valid[a : a + 60]))
        np.testing.assert_array_equal(events.maps(), dense.maps())
    assert dense.rows.max() > 1 << 16


def test_the_sums_of_a_long_run_are_those_of_dense_frames():
    """Of more than 131,072 frames with photons, sums of neighbours are kept: shot noise is shifted a little."""
    few, n = Partition.from_roi_map(np.repeat([1, 2], 10).reshape(4, 5)), 400_000
    frames = np.random.default_rng(7).poisson(0.05, (n, 4, 5)).astype(np.uint16)
    dense, events = (TwoTimeReducer(few, n, size=8, dtype="float64") for _ in range(2))
    for a in range(0, n, 20_000):
        dense.push(frames[a : a + 20_000])
        events.push(Events.of(frames[a : a + 20_000], a))
    np.testing.assert_array_equal(events.photons(), dense.photons())
    np.testing.assert_allclose(events.maps(), dense.maps(), atol=0.02 * 8 / (0.05 * n))


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 99), n=st.integers(2, 2000), photons=sparse, block=st.integers(1, 1500),
    asked=st.lists(st.integers(0, 3), max_size=4),
)  # fmt: skip
def test_g2_and_its_errors_are_those_of_dense_frames(partition, seed, n, photons, block, asked):
    frames, valid = movie(seed, n, photons)
    dense, events = MultiTau(partition), MultiTau(partition)
    for i, (a, b) in enumerate(blocks(n, max(block, n // 40), -1)):
        dense.push(frames[a:b], valid[a:b])
        events.push(Events.of(frames[a:b], a, valid[a:b]))
        if i in asked and b > 1:
            events.result()  # changes nothing
    wanted, of_events = dense.result(), events.result()
    np.testing.assert_array_equal(of_events.lag, wanted.lag)
    np.testing.assert_allclose(of_events.value, wanted.value, rtol=1e-6, atol=1e-6)
    # where parts hardly differ, the dense sums themselves are rounded
    np.testing.assert_allclose(of_events.error, wanted.error, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_events.contrast0, wanted.contrast0, rtol=1e-6, atol=1e-6)


def test_a_schedule_of_a_billion_ticks(partition):
    """Frames at two times, far apart: rows of the map are those of the ticks."""
    frames, _ = movie(3, 200, 0.3)
    far = 10**9 - 200
    reducer = TwoTimeReducer(partition, 10**9, size=8, dtype="float64")
    reducer.push(Events.of(frames[:100]))
    reducer.push(Events.of(frames[100:], far + 100))
    c2 = reducer.maps()
    assert np.isfinite(c2[:, [0, 0, 7, 7], [0, 7, 0, 7]]).all() and np.isnan(c2[:, 1:7]).all()
    assert reducer.n_pushed == far + 200 and len(reducer.sums.counts) < 10**7


def test_bad_input_is_refused(partition):
    frames, _ = movie(4, 20, 0.1)
    events = Events.of(frames)
    for live in (TwoTimeReducer(partition, None), MultiTau(partition)):
        live.push(events)
        with pytest.raises(ValueError, match="frame 0 was pushed before: the next is 20"):
            live.push(events)
        with pytest.raises(ValueError, match="all dense or all events"):
            live.push(frames)
        with pytest.raises(ValueError, match="do not fit this partition"):
            live.push(Events.of(frames[:, :5], 20))
    some = vars(events) | {"stop": 20}
    for change, message in (
        ({"ticks": events.ticks[::-1]}, "ticks must increase"),
        ({"offsets": events.offsets[:-1]}, "do not fit each other"),
        ({"pixel": events.pixel + 480}, "not all on a detector"),
    ):
        with pytest.raises(ValueError, match=message):
            Events(**(some | change))
    with pytest.raises(ValueError, match="whole counts"):
        Events.of(frames * 0.5)
    with pytest.raises(ValueError, match="negative"):
        Events.of(-frames.astype(int))
