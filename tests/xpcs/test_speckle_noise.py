"""The covariance of lags against simulated Gaussian fields."""

import numpy as np
import pytest

from ainerd.xpcs._speckle_noise import averaged, photon_covariance, scatter_of_neighbours, speckle_covariance

LAG = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])


@pytest.mark.parametrize("counts", [np.inf, 1.0])
def test_the_covariance_is_that_of_gaussian_speckle(counts):
    """20,000 pixels of 200 frames, of one mode and an AR(1) field, each with a g2 of its own."""
    rng, n_frames, tau = np.random.default_rng(0), 200, 10.0
    keep, field = np.exp(-1 / tau), rng.normal(size=(2, 20_000))
    intensity = np.empty((n_frames, 20_000))
    for row in intensity:
        row[:] = (field**2).sum(0) / 2
        field = keep * field + np.sqrt(1 - keep**2) * rng.normal(size=field.shape)
    seen = intensity if np.isinf(counts) else rng.poisson(counts * intensity) / counts
    g2 = np.stack([((seen[: -int(lag)] - 1) * (seen[int(lag) :] - 1)).mean(0) for lag in LAG])
    x = np.array([1.0, np.log(tau), 1.0, 0.0, 0.0, 1.0, 1.5, 1.0])
    theory = speckle_covariance(LAG, x, 1.0, n_frames)
    if np.isfinite(counts):
        theory = theory + photon_covariance(LAG, x, 1.0, counts, n_frames - LAG)
    measured = np.cov(g2)
    np.testing.assert_allclose(np.diag(theory), np.diag(measured), rtol=0.25)
    scale = np.sqrt(np.diag(measured))
    np.testing.assert_allclose(theory / np.outer(scale, scale), measured / np.outer(scale, scale), atol=0.2)


def test_lags_of_eight_a_level_are_means():
    assert averaged(np.array([1.0, 8, 9, 16, 17, 32, 33])).tolist() == [1, 1, 2, 2, 4, 4, 8]


def test_the_scatter_of_neighbours_shows_errors_that_are_too_small():
    lag, rng = np.geomspace(1, 1000, 400), np.random.default_rng(0)
    y = 1 + 0.2 * np.exp(-lag / 100) + rng.normal(0, 0.01, 400)
    assert scatter_of_neighbours(lag, y, np.full(400, 0.01)) == pytest.approx(1, abs=0.15)
    assert scatter_of_neighbours(lag, y, np.full(400, 0.001)) == pytest.approx(10, abs=1.5)
