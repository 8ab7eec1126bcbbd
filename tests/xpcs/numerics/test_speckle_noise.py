"""The covariance of lags against simulated Gaussian fields."""

import numpy as np
import pytest

from ainerd_xpcs.numerics._speckle_noise import (
    at_counts,
    averaged,
    counts_of,
    noise_terms,
    own_share,
    scaled,
    speckle_covariance,
)

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
    theory = at_counts(noise_terms(LAG, x, 1.0, n_frames, np.ones(LAG.size)), counts)
    measured = np.cov(g2)
    np.testing.assert_allclose(np.diag(theory), np.diag(measured), rtol=0.18)
    scale = np.sqrt(np.diag(measured))
    np.testing.assert_allclose(theory / np.outer(scale, scale), measured / np.outer(scale, scale), atol=0.15)


def test_the_means_by_which_g2_is_divided_lower_its_noise():
    """Speckle that stands still, of two modes: contrasts of 4,000 bins of 200 pixels."""
    intensity, contrast = np.random.default_rng(2).gamma(2, 0.5, size=(4000, 200)), 0.5
    measured = 200 * ((intensity**2).mean(1) / intensity.mean(1) ** 2).var()
    still = np.array([contrast, 20.0, 1.0, 0.0, 0.0, 1.0, 1.5, 1.0])
    theory = [speckle_covariance(LAG, still, contrast, 200, normalised=each) for each in (False, True)]
    np.testing.assert_allclose(theory[0], 2 * contrast**2 + 6 * contrast**3, rtol=0.01)
    np.testing.assert_allclose(theory[1], measured, rtol=0.1)


def test_a_pair_of_lags_has_the_same_noise_whatever_other_lags_there_are():
    x = np.array([1.0, np.log(10.0), 1.0, 0.0, 0.0, 1.0, 1.5, 1.0])
    irregular = np.unique(np.append(LAG, np.random.default_rng(3).uniform(1, 150, 210)))  # 23,000 steps between lags
    few, many = (speckle_covariance(lag, x, 1.0, 200) for lag in (LAG, irregular))
    at = np.searchsorted(irregular, LAG)
    np.testing.assert_allclose(many[np.ix_(at, at)], few, rtol=1e-9)


def test_lags_of_multi_tau_are_means_of_their_spacing():
    assert averaged(np.array([1.0, 2, 3, 4, 6, 8, 12, 16])).tolist() == [1, 1, 1, 1, 2, 2, 4, 4]
    # multi_tau_lags(3, 8) of scikit-beam, whose levels begin with a lag that ends the level before by its spacing
    of_pychx = np.array([*range(1, 8), 8, 10, 12, 14, 16, 20, 24, 28], float)
    assert averaged(of_pychx).tolist() == [1] * 8 + [2] * 4 + [4] * 3
    assert averaged(np.arange(1.0, 9)).tolist() == [1] * 8 and averaged(np.array([3.0])).tolist() == [1]


def test_photons_follow_from_the_errors_and_the_noise_of_each_lag_from_the_scatter_of_neighbours():
    lag, rng = np.arange(1.0, 61), np.random.default_rng(1)
    x = np.array([0.2, np.log(10.0), 1.0, 0.0, 0.0, 1.0, 1.5, 1.0])
    terms = noise_terms(lag, x, 0.2, 1000, np.ones(60))
    for counts in (0.1, 1.0, 10.0):
        assert counts_of(np.sqrt(np.diag(at_counts(terms, counts))), terms) == pytest.approx(counts, rel=0.25)
    smooth = scaled(at_counts(terms, 1e3), np.full(60, 0.01))
    for own in (0.0, 0.1, 0.5):
        truth = smooth + own * (1e-4 * np.eye(60) - smooth)
        shares = [own_share(lag, rng.multivariate_normal(np.zeros(60), truth), smooth) for _ in range(20)]
        assert np.median(shares) == pytest.approx(own, abs=0.01 + 0.2 * own)
    alone = rng.normal(0, 0.01, 60)
    assert own_share(lag, alone, smooth) > 0.5 and own_share(lag[:7], alone[:7], smooth[:7, :7]) == 0  # too few to say
