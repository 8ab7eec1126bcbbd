"""The audit: exact influence, no pixel of clean speckle named, planted faults found."""

import numpy as np
import pytest

from ainerd_xpcs.dynamics import Dynamics
from ainerd_xpcs.numerics import Audit, Partition
from ainerd_xpcs.numerics._audit import unlike
from sim_devices import Grain, SpeckleMovie

SHAPE, N = (44, 50), 240
LABELS = 1 + np.arange(50)[None] // 25 + np.zeros((44, 1), int)
BINS = Partition.from_roi_map(LABELS, static_map=1 + (np.arange(44)[:, None] // 22) + np.zeros((1, 50), int))
ROW, COLUMN = np.divmod(BINS.pixels, SHAPE[1])
FLUID = Dynamics(family="fluid", tau_s=12.0, exponent=1.0)
CASES = {
    "fluid": (FLUID, 0.3, 2.0, None),
    "few photons": (FLUID, 0.3, 0.02, None),
    "static, contrast 1": (Dynamics(family="fluid", tau_s=12.0, static=0.999), 1.0, 1.0, None),
    "half static": (Dynamics(family="fluid", tau_s=12.0, static=0.5), 0.6, 5.0, None),
    "avalanche": (Dynamics(family="avalanche", tau_s=100, events=((90.0, 1.0),)), 0.3, 2.0, None),
    "large speckles": (FLUID, 0.5, 2.0, 2.0),
}


def movie(case, seed):
    """Return counts (N, n_pixels) by the simulated instrument's speckle, in a beam that flickers by 3 %."""
    dynamics, contrast, photons, size = CASES[case]
    rng = np.random.default_rng(seed)
    grain = None if size is None else Grain(BINS.pixels, SHAPE, (size, size))
    phi = np.zeros(len(BINS.pixels))
    light = SpeckleMovie(dynamics, np.arange(N) * 1.0, phi, contrast=contrast, rng=rng, grain=grain)
    beam = photons * (1 + 0.03 * rng.standard_normal((N, 1)))
    return rng.poisson(np.concatenate([*light.blocks()]) * beam).astype(np.uint16)


def audited(frames, partition=BINS):
    audit = Audit(partition, len(frames))
    for first in range(0, len(frames), 50):
        audit.push(frames[first : first + 50], np.arange(first, min(first + 50, len(frames))))
    return audit.result()


def test_the_influence_of_a_pixel_is_the_change_by_its_removal():
    """Against g2 and C2 of the frames without the pixel, by their definitions."""
    frames = movie("fluid", 0).astype(float)
    audit = Audit(BINS, N)
    audit.push(frames, np.arange(N))
    audit.result()
    for pixel in (3, 700, 1500):
        k = BINS.roi_map.ravel()[BINS.pixels[pixel]] - 1
        of = slice(*np.append(0, np.cumsum(BINS.n_pixels))[k : k + 2])
        value, change, *_ = audit._influence(np.flatnonzero(BINS.static_roi == k), of)
        for column, (a, b) in enumerate([(frames[:-1], frames[1:]), pairs_of_means(frames, 4)]):
            before, after = by_definition(a, b), by_definition(a, b, without=pixel)
            assert value[2 * column] == pytest.approx(before[k], rel=1e-12)
            assert change[2 * column, pixel - of.start] == pytest.approx(after[k] - before[k], rel=1e-6)
        counts = frames[: N // 8].sum(0)
        before, after = (by_definition(counts[None], counts[None], without=p, alone=1) for p in (None, pixel))
        assert value[-8] == pytest.approx(before[k], rel=1e-12)
        assert change[-8, pixel - of.start] == pytest.approx(after[k] - before[k], rel=1e-6)


def pairs_of_means(frames, n):
    means = frames[: len(frames) // n * n].reshape(-1, n, frames.shape[1]).sum(1)
    return means[:-1], means[1:]


def by_definition(a, b, *, without=None, alone=0):
    """Return <I I'> / <I> <I'> over pairs of frames and pixels: of each sub-bin, and their mean over pixels by bin."""
    keep = np.arange(a.shape[1]) != (-1 if without is None else without)
    sub = np.repeat(np.arange(len(BINS.static_roi)), np.diff(BINS.static_edges))
    of_sub, size = np.zeros((2, len(BINS.static_roi)))
    for j in range(len(of_sub)):
        x, y = (z[:, keep & (sub == j)] for z in (a, b))
        size[j] = x.shape[1]
        of_sub[j] = (x * (y - alone)).sum() * size[j] / (x.sum(1) * y.sum(1)).sum()
    return [(of_sub * size)[BINS.static_roi == k].sum() / size[BINS.static_roi == k].sum() for k in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_named_in_clean_speckle(case):
    """The chance of a false alarm is at most .05 a file; the tails are bounds, so it is far smaller in most cases."""
    for seed in range(2):
        named = audited(movie(case, seed))
        assert named.pixels.size == len(named.unlit) == len(named.unlike) == 0, seed


def test_no_frame_is_named_where_most_pairs_of_frames_have_no_coincidence():
    """With a few photons in a frame, C2 of most neighbours is 0, and a coincidence is no fault."""
    over = np.zeros(3998)
    over[[100, 2000]] = 40.0
    assert not len(unlike(np.zeros(3999), over))


def hot(frames, rng):
    pixel = rng.integers(len(BINS.pixels))
    frames[:, pixel] += rng.poisson(4 * frames.mean(), N)
    return [pixel], []


def flickering(frames, rng):
    pixel = rng.integers(len(BINS.pixels))
    frames[:, pixel] += rng.poisson(20 * frames.mean(), N) * np.repeat(rng.random(N // 5) < 0.2, 5)
    return [pixel], []


def dying_segment(frames, rng):
    top, column = rng.integers(0, 24), rng.integers(50)
    pixels = np.flatnonzero((column == COLUMN) & (top <= ROW) & (top + 20 > ROW))
    frames[:, pixels] = rng.binomial(frames[:, pixels], np.clip(1.2 - 1.4 * np.arange(N) / N, 0, 1)[:, None])
    return pixels, []


def dip(frames, rng):
    t = rng.integers(N)
    frames[t] = rng.binomial(frames[t], 0.4)
    return [], [t]


def foreign(frames, rng):
    t = rng.integers(1, N - 1)
    frames[t] = rng.poisson(frames.mean(), len(BINS.pixels))
    return [], [t]


@pytest.mark.parametrize("fault", [hot, flickering, dying_segment, dip, foreign])
def test_planted_faults_are_found(fault):
    hit_pixels = n_pixels = hit_frames = n_frames = others = 0
    for seed in range(4):
        rng, frames = np.random.default_rng(seed), movie("fluid", 100 + seed).astype(np.int64)
        pixels, of_run = fault(frames, rng)
        named = audited(frames)
        frames_named = np.concatenate([named.unlit[:, 0], named.unlike[:, 0]])
        hit_pixels, n_pixels = hit_pixels + np.isin(pixels, named.pixels).sum(), n_pixels + len(pixels)
        hit_frames, n_frames = hit_frames + np.isin(of_run, frames_named).sum(), n_frames + len(of_run)
        others += len(np.setdiff1d(named.pixels, pixels)) + len(np.setdiff1d(frames_named, of_run))
    assert hit_pixels >= 0.9 * n_pixels and hit_frames >= 0.9 * n_frames
    assert others <= 0.05 * (n_pixels + n_frames)


def test_a_pixel_that_changes_nothing_beyond_the_error_is_only_counted():
    """One pixel that dies in the run, among 1,100: unlike all others, and without effect."""
    frames = movie("fluid", 0)
    frames[N // 2 :, 40] = 0
    named = audited(frames)
    assert named.pixels.size == 0 and named.n_slight == 1 and named.sigma[40] < 1


def test_an_eighth_without_light_warns_of_nothing_and_names_nothing():
    frames = movie("fluid", 0)
    frames[60:90] = 0
    found = audited(frames)
    assert found.pixels.size == 0 and (found.error[:, -6] == 0).all() and np.isfinite(found.error).all()
