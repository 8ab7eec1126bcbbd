"""Screens of events: bad pixels, dark and displaced frames are found at any brightness; other frames are kept."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ainerd_xpcs.numerics import Events, EventScreen, MultiTau, Partition, TwoTimeReducer

SHAPE = (48, 60)
N = 4000


@pytest.fixture(scope="module")
def rings():
    """Four quadrants with five rings each."""
    y, x = np.indices(SHAPE) - np.array(SHAPE)[:, None, None] / 2 + 0.5
    labels = 1 + (y > 0) + 2 * (x > 0)
    return Partition.from_roi_map(labels, static_map=1 + (np.hypot(x, y) // 8).astype(int))


def movie(photons, n=N, shift=0.0):
    """Speckle that relaxes slowly, of so many photons a frame, with intensity that falls from the centre."""
    return drawn(photons, n, shift).copy()


@cache
def drawn(photons, n, shift):
    rng = np.random.default_rng(int(shift))
    y, x = np.indices(SHAPE) - np.array(SHAPE)[:, None, None] / 2 + 0.5
    mean = np.exp(-np.hypot(x - shift, y) / 15)
    field = rng.normal(size=(4, *SHAPE))
    out = np.empty((n, *SHAPE), np.uint16)
    for i in range(0, n, 20):
        field = 0.98 * field + 0.2 * rng.normal(size=field.shape)
        out[i : i + 20] = rng.poisson((field**2).mean(0) * mean * photons / mean.sum(), (min(20, n - i), *SHAPE))
    return out


def screen(partition, frames, size=300, n_frames=N, valid=None, **options):
    screen_of_events, out = EventScreen(partition, n_frames, **options), []
    for a in range(0, len(frames), size):
        keep = None if valid is None else valid[a : a + size]
        out += screen_of_events.push(Events.of(frames[a : a + size], a, keep))
    return screen_of_events, out + screen_of_events.flush()


def listed(frames, some):
    """Return the events of all frames, of which a file lists only some."""
    events, valid = Events.of(frames), np.ones(len(some), bool)
    return replace(events, ticks=some, offsets=events.offsets[np.append(some, N)], valid=valid)


@pytest.mark.parametrize("photons", [0.3, 60])
def test_an_ordinary_run_is_passed_on_as_it_is(rings, photons):
    frames = movie(photons)
    screened, out = screen(rings, frames)
    left_out = screened.left_out
    assert left_out.n_pixels == left_out.n_frames == len(left_out.moved) == 0
    assert np.concatenate([x.frames.ticks for x in out]).tolist() == list(range(N))
    assert all(x.valid.all() for x in out)
    total = sum(int(x.frames.count.sum()) for x in out)
    assert total == frames.sum()


@pytest.mark.parametrize("photons", [5, 1000])
def test_bad_pixels_are_found_at_any_brightness(rings, photons):
    frames, rng = movie(photons), np.random.default_rng(2)
    mean = photons / frames[0].size
    frames[:, 20, 33] += rng.poisson(max(60 * mean, 0.05), N).astype(np.uint16)  # hot
    frames[rng.integers(0, N, 2), 30, 40] += 200  # a count that speckle does not give
    frames[:, 25, 30] = 0
    screened, out = screen(rings, frames)
    pixels = screened.left_out.pixels
    assert set(np.concatenate([pixels["hot"], pixels["impossible"]])) == {20 * 60 + 33, 30 * 60 + 40}
    assert pixels["dead"].tolist() == ([25 * 60 + 30] if photons >= 60 else [])
    reported = np.concatenate([x.leave_out for x in out])
    assert sorted(rings.pixels[reported]) == sorted(np.concatenate(list(pixels.values())))


@pytest.mark.parametrize("photons", [20, 1000])
def test_dark_frames_are_left_out_and_empty_ones_are_not_missed(rings, photons):
    frames, rng = movie(photons), np.random.default_rng(4)
    frames[1500:2000] = rng.random((500, *SHAPE)) < 0.3 / frames[0].size  # dark counts
    screened, out = screen(rings, frames)
    dark = screened.left_out.frames["dark"]
    assert len(dark) > 400 and dark.min() >= 1490 and dark.max() < 2010
    kept = np.concatenate([x.frames.ticks[x.valid] for x in out])
    assert set(kept).isdisjoint(dark) and len(kept) == N - len(dark)
    # frames that are not listed are not reported
    screened, some = EventScreen(rings, N), np.flatnonzero(frames.any((1, 2)))
    screened.push(listed(frames, some))
    screened.flush()
    assert screened.left_out.n_missing == 0
    assert set(screened.left_out.frames["dark"]) <= set(some)


@pytest.mark.parametrize("photons", [60, 1000])
def test_displaced_frames_and_a_pattern_that_stays_displaced(rings, photons):
    frames, moved = movie(photons), movie(photons, shift=6)
    end = 2050 if photons > 60 else 2100
    frames[2000:end] = moved[2000:end]
    frames[3000:] = moved[3000:]
    left_out = screen(rings, frames)[0].left_out
    displaced = set(left_out.frames["displaced"])
    assert {*range(2010, end - 10), *range(3030, 3050)} <= displaced
    assert displaced.isdisjoint({*range(500, 1900), *range(2200, 2900)})
    assert len(left_out.moved) == 1 and 3000 < left_out.moved[0] < 3600


@pytest.mark.parametrize("photons", [20, 1000])
def test_copies_dead_areas_and_counts_that_are_no_photons(rings, photons):
    frames = movie(photons)
    frames[1200:1210] = frames[100:110]
    frames[2000:2020] = frames[1999]
    frames[2100:, 20:22] = 0
    screened, _ = screen(rings, frames)
    assert screened.left_out.frames["copy"].tolist() == [*range(1200, 1210), *range(2000, 2020)]
    assert screened.left_out.pixels["died"].tolist() == [*range(20 * 60, 22 * 60)]
    assert screened.no_contrast is None and screened.no_relaxation is None
    doubled, _ = screen(rings, frames * 2)
    assert doubled.no_contrast == "all counts are multiples of 2"


def test_a_ceiling_is_seen_and_empty_frames_are_none(rings):
    """Frames of a third of a photon: most are empty, and not listed."""
    frames = movie(0.3)
    sparse = EventScreen(rings, N)
    sparse.push(listed(frames, np.flatnonzero(frames.any((1, 2)))))
    sparse.flush()
    assert sparse.no_contrast is None and not sparse.left_out.frames["copy"].size
    screened, _ = screen(rings, np.minimum(movie(4000), 3))
    assert screened.no_contrast == "counts end at 3, as if they were cut off there"


def test_bad_input_is_refused(rings):
    frames = movie(60, 100)
    screened = EventScreen(rings)
    with pytest.raises(ValueError, match="takes only Events"):
        screened.push(frames)
    screened.push(Events.of(frames))
    with pytest.raises(ValueError, match="frame 50 was pushed before: the next is 100"):
        screened.push(Events.of(frames, 50))


def test_pixels_that_are_left_out_late_are_left_out_as_of_dense_frames(rings):
    """Nothing differs but rounding at the end of a block of pairs."""
    frames, bad = movie(60), [3, 500, 2000]
    frames.reshape(N, -1)[:, rings.pixels[bad]] += np.random.default_rng(11).poisson(1, (N, 3)).astype(np.uint16)
    for late in (640, 3968):
        results = []
        for as_events in (False, True):
            reducer, live = TwoTimeReducer(rings, N, size=32, dtype="float64"), MultiTau(rings)
            for a, b in ((0, late), (late, N)):
                if a:
                    for each in (reducer, live):
                        each.leave_out(bad)
                for each in (reducer, live):
                    each.push(Events.of(frames[a:b], a) if as_events else frames[a:b])
            results.append((reducer.maps(), live.result(), reducer.photons(), reducer.means(50)))
        (maps, g2, photons, means), (maps_e, g2_e, photons_e, means_e) = results
        np.testing.assert_allclose(maps_e, maps, rtol=1e-12)
        np.testing.assert_allclose(photons_e, photons, rtol=1e-12)
        np.testing.assert_array_equal(means_e, means)
        np.testing.assert_allclose(g2_e.value[:, :15], g2.value[:, :15], rtol=1e-6)
        np.testing.assert_allclose(g2_e.value, g2.value, rtol=1e-2)  # entries of several frames are rescaled singly
        np.testing.assert_array_equal(g2_e.n_pixels, g2.n_pixels)
