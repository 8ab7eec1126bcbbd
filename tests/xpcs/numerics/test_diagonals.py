"""g2 along the diagonals of two-time maps: lags, means, and errors against simulated speckle."""

import numpy as np
import pytest

from ainerd_xpcs.numerics import diagonal_errors, diagonal_means, lags_of_map, mean_over_bins

T, PIXELS = 320, 50


def speckle(rng, n_pixels, n_frames=T, tau=40.0, modes=4, static=0.0):
    """Intensities (frames, pixels) of mean 1, |g1| = static + (1 - static) exp(-lag / tau), contrast 1 / modes."""
    keep, shape = np.exp(-1 / tau), (n_pixels, modes, 2)
    field = np.empty((n_frames, *shape))
    field[0] = rng.normal(size=shape)
    for t in range(1, n_frames):
        field[t] = keep * field[t - 1] + np.sqrt(1 - keep**2) * rng.normal(size=shape)
    field = np.sqrt(1 - static) * field + np.sqrt(static) * rng.normal(size=shape)
    return np.square(field).mean((2, 3))


def c2_of(intensity):
    relative = intensity / intensity.mean(1, keepdims=True)
    return relative @ relative.T / intensity.shape[1]


def test_means_are_those_of_averaged_frames():
    intensity = speckle(np.random.default_rng(0), PIXELS)
    relative, g2 = intensity / intensity.mean(1, keepdims=True), diagonal_means(c2_of(intensity))
    for lag, level, value in zip(*lags_of_map(T), g2, strict=True):
        of_level = relative[: T >> level << level].reshape(-1, 2**level, PIXELS).mean(1)
        channel = int(lag) >> level
        assert value == pytest.approx((of_level[:-channel] * of_level[channel:]).mean(), rel=1e-6)


@pytest.mark.parametrize("static", [0.0, 0.4])
def test_errors_are_the_scatter_of_simulated_maps(static):
    rng, n, photons = np.random.default_rng(2), 150, 5.0
    light = (speckle(rng, PIXELS, static=static) for _ in range(n))
    g2 = np.array([diagonal_means(c2_of(rng.poisson(photons * each))) for each in light])
    lag, level = lags_of_map(T)
    speckles = np.full(n, float(PIXELS))
    error = diagonal_errors(lag, level, g2, 1 / photons, speckles, T)
    some = lag < T / 2
    ratio = g2.std(0)[some] / error[0, some]
    assert 0.85 < ratio.min() and ratio.max() < 1.15  # a standard deviation of 150 is known to .06


def test_opposite_bins_that_see_the_same_speckle_count_once():
    rng, lag = np.random.default_rng(3), np.arange(1.0, 21)
    alone = 1.2 + 0.01 * rng.normal(size=(6, 20))
    error, weight, facing = np.full((6, 20), 0.01), np.ones(6), np.array([3, 4, 5, 0, 1, 2])
    mean, of_mean, twice = mean_over_bins(lag, np.tile(alone[:3], (2, 1)), error, weight, facing)
    np.testing.assert_allclose(mean, alone[:3].mean(0))
    assert twice > 1.8
    np.testing.assert_allclose(of_mean, 0.01 / np.sqrt(6) * np.sqrt(twice))
    assert mean_over_bins(lag, alone, error, weight, np.full(6, -1))[2] == 1
