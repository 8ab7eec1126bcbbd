"""The covariance of lags against simulated Gaussian fields."""

import numpy as np
import pytest

from ainerd_xpcs.numerics._speckle_noise import (
    _second_differences,
    at_counts,
    averaged,
    counts_of,
    noise_terms,
    own_share,
    poisson_error,
    scaled,
    scatter_of_neighbours,
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


def test_the_covariance_of_a_static_part_holds_at_the_longest_lags():
    """Lags of which few pairs are left, in a field of which a half does not decay: each pair counts once."""
    rng, n_frames, lag = np.random.default_rng(1), 200, np.array([1.0, 50.0, 120.0, 170.0])
    keep, moving = np.exp(-1 / 10), rng.normal(size=(2, 20_000))
    still = rng.normal(size=moving.shape)
    intensity = np.empty((n_frames, 20_000))
    for row in intensity:
        row[:] = (0.5 * (still + moving) ** 2).sum(0) / 2
        moving = keep * moving + np.sqrt(1 - keep**2) * rng.normal(size=moving.shape)
    g2 = np.stack([((intensity[: -int(t)] - 1) * (intensity[int(t) :] - 1)).mean(0) for t in lag])
    x = np.array([1.0, np.log(10.0), 1.0, 0.5, 0.0, 1.0, 1.5, 1.0])
    theory, measured = at_counts(noise_terms(lag, x, 1.0, n_frames, np.ones(lag.size)), np.inf), np.cov(g2)
    np.testing.assert_allclose(theory, measured, rtol=0.12)


def test_the_covariance_is_the_same_with_and_without_a_table_of_steps(monkeypatch):
    x, lag = np.array([0.2, np.log(10.0), 1.0, 0.1, 0.0, 1.0, 1.5, 1.0]), np.array([40.0, 1.0, 2.5, 7.0, 13.0])
    tabled = speckle_covariance(lag, x, 0.2, 200)
    monkeypatch.setattr("ainerd_xpcs.numerics._speckle_noise._MOST_STEPS", 0)
    np.testing.assert_array_equal(speckle_covariance(lag, x, 0.2, 200), tabled)


def test_the_means_by_which_g2_is_divided_lower_its_noise():
    """Speckle that stands still, of two modes: contrasts of 4,000 bins of 200 pixels."""
    intensity, contrast = np.random.default_rng(2).gamma(2, 0.5, size=(4000, 200)), 0.5
    measured = 200 * ((intensity**2).mean(1) / intensity.mean(1) ** 2).var()
    still = np.array([contrast, 20.0, 1.0, 0.0, 0.0, 1.0, 1.5, 1.0])
    theory = [speckle_covariance(LAG, still, contrast, 200, normalised=each) for each in (False, True)]
    np.testing.assert_allclose(theory[0], 2 * contrast**2 + 6 * contrast**3, rtol=0.01)
    np.testing.assert_allclose(theory[1], measured, rtol=0.1)


def test_lags_of_multi_tau_are_means_of_their_spacing():
    assert averaged(np.array([1.0, 2, 3, 4, 6, 8, 12, 16])).tolist() == [1, 1, 1, 1, 2, 2, 4, 4]
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


def test_the_scatter_of_neighbours_shows_errors_that_are_too_small():
    lag, rng = np.geomspace(1, 1000, 400), np.random.default_rng(0)
    y = 1 + 0.2 * np.exp(-lag / 100) + rng.normal(0, 0.01, 400)
    assert scatter_of_neighbours(lag, y, np.full(400, 0.01)) == pytest.approx(1, abs=0.15)
    assert scatter_of_neighbours(lag, y, np.full(400, 0.001)) == pytest.approx(10, abs=1.5)


def test_errors_scale_and_share_a_covariance():
    covariance = np.array([[4.0, 1.0, 0.5], [1.0, 9.0, 3.0], [0.5, 3.0, 1.0]])
    error = np.array([0.1, 0.2, 0.3])
    for own, kept in ((0.0, 0.99), (0.4, 0.6), (2.0, 0.0)):  # a hundredth at least, and all at most
        matrix = scaled(covariance, error, own)
        assert np.diag(matrix) == pytest.approx(error**2)
        assert matrix[0, 1] == pytest.approx(kept * 1 / (2 * 3) * 0.1 * 0.2) and matrix[1, 2] == pytest.approx(
            kept * 0.2 * 0.3
        )
    assert poisson_error(np.array([1.2, 0.5, np.nan]), 0.1, np.array([1e4, 4e4, 1e4])) == pytest.approx(
        [np.sqrt(1.2) / 10, 0.05, 0.1]
    )
    terms = tuple(np.full((2, 2), each) for each in (1.0, 2.0, 8.0))
    assert at_counts(terms, 0.5) == pytest.approx(np.full((2, 2), 1 + 4 + 32))


def test_neighbours_are_compared_with_the_line_between_them_in_the_logarithm_of_the_lag():
    lag = np.array([1.0, 2, 3, 7, 20, 21, 50, 90])
    off = _second_differences(lag)
    assert off.shape == (6, 8) and off @ (3 + 2 * np.log(lag)) == pytest.approx(np.zeros(6), abs=1e-12)
    spike = np.zeros(8)
    spike[3] = 1.0
    upper = np.log(3 / 2) / np.log(7 / 2)  # share of lag 7 in the line from 2 to 7 at 3
    lower = np.log(21 / 20) / np.log(21 / 7)  # and in that from 7 to 21 at 20
    assert off @ spike == pytest.approx([0, -upper, 1, -lower, 0, 0])
    assert scatter_of_neighbours(lag[:7], spike[:7], np.ones(7)) == 1


def test_the_counts_of_errors_that_follow_no_theory_are_infinite():
    lag = np.arange(1.0, 61)
    x = np.array([0.2, np.log(10.0), 1.0, 0.0, 0.0, 1.0, 1.5, 1.0])
    terms = noise_terms(lag, x, 0.2, 1000, np.ones(60))
    error = np.sqrt(np.diag(at_counts(terms, 1.0)))
    error[::2] *= 3
    assert counts_of(error, terms) == np.inf
    error = np.sqrt(np.diag(at_counts(terms, 1.0)))
    error[:20] = np.nan  # not used
    assert counts_of(error, terms) == pytest.approx(1.0, rel=0.4)
