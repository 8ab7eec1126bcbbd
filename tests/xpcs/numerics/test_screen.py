"""The screen finds spoilt pixels and frames, and raises no false alarms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd_xpcs.numerics import Partition, Screen, SpoiltRunError, TwoTimeReducer

SIDE, N = 64, 200
Y, X = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
RADIUS = np.hypot(X, Y)
SECTOR = ((np.arctan2(Y, X) / (2 * np.pi) % 1) * 6).astype(int) % 6
USED = (RADIUS > 14) & (RADIUS < 30)
RING = Partition.from_roi_map(np.where(USED, SECTOR + 1, 0), static_map=np.where(RADIUS < 22, 1, 2))
BAD = 700  # a position in RING.pixels


def movie(rng, n=N, photons=0.5, tau=20.0, modes=2, static=0.0, slope=-3.0, moved=()):
    """Return speckle of uncorrelated pixels on a falling ring, shifted by three columns in frames `moved`."""
    y, x = np.mgrid[: SIDE + 8, : SIDE + 8] - (SIDE + 7) / 2
    profile = photons * (np.clip(np.hypot(x, y), 8, None) / 22) ** slope
    fixed, field = rng.standard_normal((2, 2 * modes, *x.shape), np.float32)
    keep, out = np.exp(-1 / tau), np.empty((n, SIDE, SIDE), np.uint16)
    for t in range(n):
        field = keep * field + np.sqrt(1 - keep**2) * rng.standard_normal(field.shape, np.float32)
        intensity = ((np.sqrt(1 - static) * field + np.sqrt(static) * fixed) ** 2).mean(0) * profile
        left = 1 if t in moved else 4
        out[t] = rng.poisson(intensity[4 : 4 + SIDE, left : left + SIDE])
    return RING.gather(out)


@pytest.fixture(scope="module")
def clean():
    return movie(np.random.default_rng(0))


def screened(frames, partition=RING, block=50, n_frames=None, **options):
    """Return the screened frames, which are valid, the pixels left out in order, and `left_out`."""
    screen = Screen(partition, n_frames or len(frames), **options)
    parts = [part for a in range(0, len(frames), block) for part in screen.push(frames[a : a + block])]
    parts += screen.flush()
    out = [p for part in parts for p in part.leave_out]
    return np.concatenate([p.frames for p in parts]), np.concatenate([p.valid for p in parts]), out, screen.left_out


def mapped(frames, partition=RING, screen=True, block=50):
    reducer = TwoTimeReducer(partition, len(frames), size=20, dtype="float64")
    if not screen:
        reducer.push(frames)
        return reducer.maps()
    seen = Screen(partition, len(frames))
    for a in range(0, len(frames), block):
        for part in seen.push(frames[a : a + block]):
            part.to(reducer)
    for part in seen.flush():
        part.to(reducer)
    return reducer.maps()


@settings(max_examples=12, deadline=None)
@given(
    n=st.integers(0, 130), sizes=st.lists(st.integers(0, 120), min_size=1, max_size=6), announced=st.booleans(),
    gaps=st.lists(st.integers(0, 9), min_size=1, max_size=3), seed=st.integers(0, 99),
)  # fmt: skip
def test_every_frame_is_returned_once_and_in_order(clean, n, sizes, gaps, announced, seed):
    rng = np.random.default_rng(seed)
    screen, parts, at, i, keep = Screen(RING, N if announced else None), [], 0, 0, np.zeros(N, bool)
    while at < n:
        at = min(at + gaps[i % len(gaps)], n)
        end = min(at + sizes[i % len(sizes)], n)
        is_valid = rng.random(end - at) > 0.05
        keep[at:end] = is_valid
        parts += screen.push(clean[at:end], first=at, valid=is_valid)
        at, i = max(end, at + (sizes[i % len(sizes)] == 0)), i + 1
    parts += screen.flush()
    valid, end = np.zeros(N, bool), 0
    for part in parts:
        assert part.first >= end
        end = part.first + len(part.frames)
        valid[part.first : end] = part.valid
        assert np.array_equal(part.frames, clean[part.first : end])
    assert np.array_equal(valid, keep)
    assert screen.flush() == []


def test_a_pixel_found_early_is_as_if_masked_and_one_found_late_nearly(clean):
    roi_map = RING.roi_map.copy()
    roi_map.flat[RING.pixels[BAD]] = 0
    masked = Partition.from_roi_map(roi_map, static_map=np.maximum(RING.static_map, 1))
    wanted = mapped(np.delete(clean, BAD, axis=1), masked, screen=False)
    for begin, far in ((10, 1e-12), (120, 2e-3)):
        spoilt = clean.copy()
        spoilt[begin : begin + 30, BAD] = 65535
        assert np.abs(mapped(spoilt) - wanted).max() < far
        assert np.abs(mapped(spoilt, screen=False) - wanted).max() > 10


def test_hot_and_dead_pixels_are_detected():
    rng = np.random.default_rng(4)
    frames = movie(rng, 400, 1.0, tau=1.0)
    hot, dead = [5, 300, 999], [50, 1000]
    frames[:, hot] = rng.poisson(8, (400, 3))
    frames[:, dead] = 0
    pixels, left = screened(frames)[2:]
    assert sorted(pixels) == sorted(hot + dead)
    assert np.array_equal(left.pixels["dead"], np.sort(RING.pixels[dead]))


def test_a_slightly_hot_pixel_is_found_unless_speckle_is_static():
    rng = np.random.default_rng(4)
    for tau, pixels in ((1.0, [BAD]), (1e9, [])):
        frames = movie(rng, 400, 1.0, tau=tau, modes=1)
        frames[:, BAD] = rng.poisson(10, 400)
        assert screened(frames)[2] == pixels


def test_too_many_bad_pixels_are_an_error(clean):
    one_by_one = clean.copy()
    one_by_one[np.arange(400) % 100 + 100, np.arange(400)] = 65535
    with pytest.raises(SpoiltRunError, match=r"of 2212 pixels are bad \(.*saturated\), more than 15%: .*masked"):
        screened(one_by_one)
    gaps = clean.copy()
    gaps[:, :60] = 65535
    with pytest.raises(SpoiltRunError, match=r"in \d+ of \d+ frames more than 1% of the pixels are at the top"):
        screened(gaps)


def test_frames_that_are_dark_or_overflow_are_left_out(clean):
    spoilt = clean.copy()
    spoilt[[30, 31, 110]] = 0
    spoilt[112] = np.random.default_rng(0).poisson(0.01, spoilt[112].shape)
    spoilt[[20, 150]] = 65535
    _, valid, pixels, left = screened(spoilt)
    assert not pixels and np.array_equal(np.flatnonzero(~valid), [20, 30, 31, 110, 112, 150])
    assert left.frames["dark"].tolist() == [30, 31, 110, 112]
    assert left.frames["overflow"].tolist() == [20, 150]


def test_a_beam_that_starts_late_costs_no_later_frame(clean):
    rng = np.random.default_rng(6)
    _, valid, pixels, _ = screened(rng.poisson(np.where(np.arange(N) < 120, 1 / 200, 1.0)[:, None] * clean * 4))
    assert not pixels and valid[120:].all()


@pytest.mark.parametrize("begin", [20, 130])
def test_frames_of_a_displaced_beam_are_left_out(begin):
    stretch = range(begin, begin + 20)
    _, valid, pixels, left = screened(movie(np.random.default_rng(begin), photons=1.0, moved=stretch))
    out = np.flatnonzero(~valid)
    assert not pixels and np.array_equal(out, left.frames["displaced"])
    assert set(stretch) <= set(out.tolist()) and len(out) <= 26


def test_a_permanent_change_of_the_pattern_is_accepted():
    _, valid, _, left = screened(movie(np.random.default_rng(1), 300, moved=range(120, 300)))
    assert valid[:100].all() and valid[200:].all() and left.moved.size == 1 and 150 < left.moved[0] <= 200


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**30), photons=st.sampled_from([0.001, 0.05, 1.0, 20.0]), modes=st.sampled_from([1, 5]),
    tau=st.sampled_from([0.1, 5.0, 60.0, 1e9]), static=st.sampled_from([0.0, 0.3]), slope=st.sampled_from([0.0, -4.0]),
    size=st.sampled_from([1, 3, 10, 64, 10_000]),
)  # fmt: skip
def test_clean_runs_give_no_false_alarms(seed, photons, tau, modes, static, slope, size):
    """Cases include static speckle of contrast 1, very few photons, bins of one pixel, and a steep S(q)."""
    frames = movie(np.random.default_rng(seed), 110, photons, tau, modes, static, slope)
    order, roi = np.arange(len(RING.pixels)), np.zeros(SIDE * SIDE, int)
    few = order[: size * 20] if size < 64 else order
    roi[RING.pixels[few]] = np.minimum(few // size, 19) + 1 if size < 10_000 else 1
    small = Partition.from_roi_map(roi.reshape(SIDE, SIDE))
    whole = np.zeros((len(frames), SIDE * SIDE), np.uint16)
    whole[:, RING.pixels] = frames
    left = screened(small.gather(whole.reshape(-1, SIDE, SIDE)), small)[3]
    assert left.n_pixels == left.n_frames == left.moved.size == 0


@pytest.mark.parametrize(("noise", "drift"), [(0.01, 0.0), (0.15, 0.0), (0.01, 0.3)])
def test_a_flickering_or_slowly_drifting_beam_costs_no_frame(noise, drift):
    rng = np.random.default_rng(2)
    x = np.divmod(RING.pixels, SIDE)[1] / SIDE - 0.5
    beam = 1 + noise * rng.standard_normal(300)[:, None]
    frames = rng.poisson(5 * beam * (1 + drift * x * np.arange(300)[:, None] / 300))
    assert screened(frames)[1].all()


def test_bad_input_is_refused(clean):
    screen = Screen(RING)
    screen.push(clean[:20])
    with pytest.raises(ValueError, match="valid has shape"):
        screen.push(clean[:5], valid=[True])
    with pytest.raises(ValueError, match="NaN"):
        screen.push(np.full((1, clean.shape[1]), np.nan))
    with pytest.raises(ValueError, match="do not fit"):
        screen.push(clean[:, :7])
