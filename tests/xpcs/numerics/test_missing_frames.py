"""Missing frames in maps, g2 and the screen: as frames that are not valid, and at no cost however many they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd_xpcs.numerics import MultiTau, Screen, TwoTimeReducer

LONG = 10**8


@pytest.fixture(scope="module")
def counts(partition):
    """Relaxing frames."""
    field = np.cumsum(np.random.default_rng(3).normal(size=(400, 2, len(partition.pixels))), 0) / 5
    return np.random.default_rng(4).poisson((field**2).sum(1) / 5 + 1).astype(np.uint16)


def in_parts(kind, counts, parts):
    """Push parts of the frames, (first, n), which are followed by gaps."""
    made, at = kind(), 0
    for first, n in parts:
        made.push(counts[at : at + n], first=first)
        at += n
    return made


def filled(kind, counts, parts):
    """The same with frames that are not valid in the gaps."""
    made, at, following = kind(), 0, 0
    for first, n in parts:
        gap = np.full((first - following, counts.shape[1]), 7, counts.dtype)
        made.push(gap, valid=np.zeros(len(gap), bool))
        made.push(counts[at : at + n])
        at, following = at + n, first + n
    return made


def of_gaps(gaps):
    first, parts = 0, []
    for gap, n in gaps:
        parts.append((first + gap, n))
        first += gap + n
    return parts


GAPS = st.lists(
    st.tuples(st.sampled_from([0, 1, 2, 15, 63, 64, 65, 66, 127, 130, 400, 1000]), st.integers(1, 70)),
    min_size=1,
    max_size=5,
)


@given(GAPS)
@settings(max_examples=25, deadline=None)
def test_g2_is_that_with_frames_that_are_not_valid(partition, counts, gaps):
    parts = of_gaps(gaps)
    if parts[-1][0] + parts[-1][1] < 2:
        return
    with_gaps, wanted = (make(lambda: MultiTau(partition), counts, parts) for make in (in_parts, filled))
    g2, whole = with_gaps.result(), wanted.result()
    np.testing.assert_array_equal(g2.lag, whole.lag)
    np.testing.assert_allclose(g2.value, whole.value, rtol=3e-6)
    np.testing.assert_allclose(g2.error, whole.error, rtol=2e-3, atol=3e-6)


@pytest.mark.parametrize("announced", [True, False])
def test_maps_are_those_with_frames_that_are_not_valid(partition, counts, announced):
    parts = [(3, 50), (54, 70), (140, 30), (1100, 100), (60_000, 20), (70_000, 60)]
    n = parts[-1][0] + 60 if announced else None
    options = {"size": 64, "dtype": "float64"}
    with_gaps, wanted = (
        make(lambda: TwoTimeReducer(partition, n, **options), counts, parts) for make in (in_parts, filled)
    )
    assert len(with_gaps.ticks) == 330 + 6 and len(wanted.ticks) == with_gaps.n_pushed == 70_060
    for some in (with_gaps, wanted):
        some.leave_out([5])
    np.testing.assert_allclose(with_gaps.maps(), wanted.maps(), rtol=1e-12, atol=1e-12)


def test_the_screen_says_which_frames_are_missing(partition, counts):
    screen, reducer, live, at = Screen(partition), TwoTimeReducer(partition, None), MultiTau(partition), 0
    dark = counts.copy()
    dark[150] = 0
    for first, n in ((10, 100), (200, 80), (LONG, 120)):
        for part in screen.push(dark[at : at + n], first=first):
            part.to(reducer, live)
        at += n
    for part in screen.flush():
        part.to(reducer, live)
    left = screen.left_out
    assert left.missing.tolist() == [[0, 10], [110, 90], [280, LONG - 280]]
    assert left.frames["dark"].tolist() == [250]
    assert left.n_frames == LONG - 280 + 101 and reducer.n_pushed == LONG + 120
    with pytest.raises(ValueError, match=f"frame 5 was pushed before: the next is {LONG + 120}"):
        screen.push(counts[:5], first=5)


def test_frames_far_apart_have_the_g2_of_frames_close_together(partition, counts):
    """At 400 × 2^16 ticks, which would take an hour one by one: lags are those of dense frames, times 2^16."""
    apart, dense, live = 2**16, MultiTau(partition), MultiTau(partition)
    dense.push(counts)
    for i, frame in enumerate(counts):
        live.push(frame[None], first=i * apart)
    close, far = dense.result(), live.result()
    same, at, of = np.intersect1d(far.lag / apart, close.lag, return_indices=True)
    assert same[:15].tolist() == list(range(1, 16)) and len(same) > 30
    inner = same < 64  # pairs of the first frames are left out, as at all long lags
    difference = far.value[:, at[inner]] - close.value[:, of[inner]]
    assert np.abs(difference / (close.value[:, of[inner]] - 1)).max() < 0.05
    assert np.isnan(far.value[:, far.lag < min(apart, 15)]).all()
