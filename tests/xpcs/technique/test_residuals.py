"""What the models of ordinary dynamics leave of maps: next to nothing of theirs, much of others."""

import numpy as np
import pytest

from ainerd_xpcs.technique import sectors_of
from ainerd_xpcs.technique._beats import beats_of
from ainerd_xpcs.technique._material_time import time_columns
from ainerd_xpcs.technique._noise_by_lag import by_lag, expected_left
from ainerd_xpcs.technique._opposite import differences, drawn_differences, opposite
from studies import _exposures as synthetic

SHOT, PIXELS = 64 / 250, 570
SEEN = synthetic.Instrument(0.2, 250.0, (PIXELS,) * 18)
SECTORS = sectors_of(np.full(18, float(PIXELS)), None, True)
ROWS, COLS = np.triu_indices(64)


def described(runs):
    """Return beats, columns of time, and bins of runs (n, 18, 64, 64)."""
    maps = np.stack([SECTORS.average(run) for run in runs])
    mean = SECTORS.mean(maps) - 1
    profiles = by_lag(mean[:, ROWS, COLS])
    left = expected_left(mean + np.float32(SHOT) * np.eye(64, dtype=np.float32), profiles, SHOT)
    differing = np.stack([differences(run, SECTORS.pairs, np.full(18, float(PIXELS))) for run in runs])
    beats = beats_of(SECTORS)(by_lag(maps[..., ROWS, COLS] - 1), left)
    return beats, time_columns(mean, SHOT, 18.0 * PIXELS), opposite(differing, profiles, left)


def drawn(kind, n=4, **options):
    rng = np.random.default_rng([1, *kind.encode()])
    draw = {**synthetic.PLAIN, **synthetic.SEEN, **synthetic.NEW}[kind]
    isotropic = kind not in synthetic.AZIMUTHAL
    return [synthetic.maps(draw(rng), SEEN, rng, isotropic=isotropic, **options) for _ in range(n)]


def test_profiles_are_means_along_diagonals():
    maps = np.random.default_rng(0).normal(size=(2, 64, 64)).astype(np.float32)
    maps += maps.swapaxes(1, 2)
    means = [[np.diagonal(each, lag).mean() for lag in range(64)] for each in maps]
    np.testing.assert_allclose(by_lag(maps[:, ROWS, COLS]), means, atol=1e-5)


@pytest.mark.parametrize("kind", ["relaxation", "ageing", "flow past rest", "sheared", "turned"])
def test_ordinary_dynamics_leave_the_noise_alone(kind):
    """The residuals of profiles are within a factor of the expected noise; those of the clock are a few errors."""
    beats, time, bins = described(drawn(kind))
    assert (np.abs(beats) < 1.5).all() and np.median(beats) < 1 and np.abs(bins).max() < 0.8
    if kind in ("relaxation", "ageing"):
        assert np.abs(time).max() < 1.2


def test_bands_and_a_roll_leave_more():
    for kind, least in (("bands with profiles", 1.2), ("convection", 0.6)):
        assert np.median(described(drawn(kind))[0]) > least, kind


def test_a_cage_on_another_clock_leaves_more():
    assert np.median(np.abs(described(drawn("two steps"))[1]).max(1)) > 1.2


def test_half_a_ring_shows_in_opposite_bins_alone():
    beats, _, bins = described(drawn("half a ring", halves=True))
    assert bins.min() > 2 and np.median(beats) < 1


def test_drawn_differences_are_like_those_of_pixels():
    """Compare with pixels that are drawn one by one, in the mean and the spread of the statistic."""
    rng = np.random.default_rng(3)
    covariance = 0.2 * synthetic.cells(synthetic.plain(0.1, 1.0), 0.0) + SHOT * np.eye(64)
    pixels = np.linalg.cholesky(covariance) @ rng.standard_normal((150, 18, 64, 200))
    runs = 1 + pixels @ pixels.swapaxes(2, 3) / 200 - SHOT * np.eye(64)
    mean = np.repeat((covariance - SHOT * np.eye(64))[None].astype(np.float32), 150, axis=0)
    profiles, covariances = by_lag(mean[:, ROWS, COLS]), np.repeat(covariance[None].astype(np.float32), 150, axis=0)
    left = expected_left(covariances, profiles, SHOT)
    pairs = np.array([[i, i + 9] for i in range(9)])
    seen = np.stack([differences(run.astype(np.float32), pairs, np.full(18, 200.0)) for run in runs])
    true, made = (opposite(d, profiles, left) for d in (seen, drawn_differences(covariances, 9, rng)))
    assert abs(true.mean() - made.mean()) < 0.07 and abs(np.exp(true).mean() - 1) < 0.1
    assert true.std() == pytest.approx(np.sqrt(made.var() - 0.1**2), rel=0.3)


def test_without_opposite_bins_nothing_differs():
    assert opposite(np.empty((2, 0, 64)), np.ones((2, 64)), np.ones(2)).tolist() == [0, 0]
