"""Statistics of the parts of bins: variances, factors for shared speckle, and the test of a model."""

import numpy as np
import pytest
from scipy.stats import chi2

from ainerd_xpcs.numerics._scatter import (
    MISFIT_BANDS,
    Sample,
    misfit,
    misfit_of_curve,
)

LAG = np.arange(1.0, 61.0)
CURVE = 1 + 0.2 * np.exp(-2 * LAG / 20)


def sample(truth, seed, n_part=48, noise=0.02):
    """Return parts with correlated lags: a random walk over lags, as from shared speckle."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=(n_part, LAG.size)), axis=1) / np.sqrt(LAG.size)
    x = truth - 1 + noise * (walk + rng.normal(size=walk.shape))
    return Sample(LAG, np.full(n_part, 1 / n_part), x, x[:, 0])


def test_misfit_p_values_of_the_true_curve_are_uniform():
    p = np.array([misfit(sample(CURVE, seed), CURVE, tolerance=0) for seed in range(300)])
    assert 0.02 < np.mean(p < 0.05) < 0.085 and 0.4 < np.median(p) < 0.6


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_a_small_misfit_is_tolerated_however_small_the_noise(scale):
    s = sample(1 + scale * (CURVE - 1), 1, noise=1e-4 * scale)
    assert misfit(s, 1 + 1.03 * scale * (CURVE - 1), tolerance=0) < 1e-6
    assert misfit(s, 1 + 1.03 * scale * (CURVE - 1)) > 0.05
    assert misfit(s, 1 + 0.5 * scale * (CURVE - 1)) < 1e-6


@pytest.mark.parametrize("without", [-1.0, -1 / 3, np.nan])
def test_a_lag_without_photon_pairs_takes_the_variance_of_its_neighbours(without):
    x = np.random.default_rng(0).normal(0, 0.1, (36, 20))
    x[:, [0, 7, 8]] = without
    sample = Sample(np.arange(1.0, 21), np.full(36, 1 / 36), x, x[:, 1])
    assert sample.variance == pytest.approx(0.1**2 / 36, rel=0.5)
    assert np.isnan(sample.estimate(x[:, 7])[1]) and sample.estimate(x[:, 6])[1] == pytest.approx(0.1 / 6, rel=0.5)


def test_a_curve_without_parts_is_judged_by_the_covariance_of_its_lags():
    rng = np.random.default_rng(1)
    mix = 0.01 * (np.eye(60) + 0.5 * np.eye(60, k=1))
    p = [misfit_of_curve(mix @ rng.normal(size=60), mix @ mix.T, 0.2, tolerance=0.0) for _ in range(400)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.085 and 0.43 < np.median(p) < 0.57
    wrong = 0.002 * np.ones(60)
    assert misfit_of_curve(wrong, 1e-12 * np.eye(60), 0.2, tolerance=0.0) < 1e-6
    # a band may be off by the tolerated share of the height: ten bands by one standard deviation each
    n_bands = len(np.array_split(np.arange(60), MISFIT_BANDS))
    assert misfit_of_curve(wrong, 1e-12 * np.eye(60), 0.2, tolerance=0.01) == pytest.approx(
        chi2.sf(n_bands, n_bands), rel=1e-3
    )
