"""Statistics of the parts of bins: variances, factors for shared speckle, and the test of a model."""

import numpy as np
import pytest

from ainerd.xpcs._scatter import Sample, misfit, scatter, shared

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


def test_an_echo_is_a_misfit():
    echo = CURVE + 0.1 * np.exp(-(((LAG - 40) / 4) ** 2))
    assert misfit(sample(echo, 0), CURVE) < 1e-6


def test_too_few_parts_give_no_misfit():
    assert np.isnan(misfit(sample(CURVE, 0, n_part=9), CURVE))


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


OPPOSITE = (np.arange(18) + 9) % 18


def growth(seed, same):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(18, 12))
    if same:
        x[9:] = x[:9]
    roi = np.repeat(np.arange(18), 12)
    s = Sample(np.arange(1.0, 3.0), np.full(216, 1 / 216), np.zeros((216, 2)), np.zeros(216))
    return shared(s, x.reshape(-1, 1), roi, OPPOSITE)[0]


def test_shared_speckle_raises_the_variance():
    assert np.mean([growth(seed, True) for seed in range(40)]) > 1.7
    assert np.mean([growth(seed, False) for seed in range(40)]) < 1.25
    s = Sample(np.arange(2.0), np.full(4, 0.25), np.zeros((4, 2)), np.zeros(4))
    assert shared(s, np.ones((4, 1)), np.array([0, 0, 1, 1]), np.array([-1, -1])).tolist() == [1.0]


def test_bins_and_parts_without_values_are_left_out():
    rng = np.random.default_rng(2)
    parts, roi = rng.normal(1, 0.1, (18 * 12, 30)), np.repeat(np.arange(18), 12)
    value = parts.reshape(18, 12, -1).mean(1)
    value[4], parts[roi == 4] = np.nan, np.nan
    parts[0], parts[:, -1] = np.nan, np.nan
    noise, bins, data = scatter(value, parts, roi, None)
    assert bins.tolist() == [k for k in range(18) if k != 4] and data.tolist() == list(range(29))
    assert noise.freedom == 17 * 11 - 1
