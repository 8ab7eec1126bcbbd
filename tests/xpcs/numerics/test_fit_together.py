"""Fits of bins together, and statements about curves of g2, against curves of two modes with independent noise.

The curves are those of a gel: a fast mode within the lags, and one that is slower than they are. All bins have one
contrast and one pair of exponents.
"""

import numpy as np
import pytest

from ainerd_xpcs import fit_curves

LAG = np.r_[np.arange(1, 9), (np.arange(5, 9) * 2 ** np.arange(1, 14)[:, None]).ravel()].astype(float)
N_FRAMES, CONTRAST, P, P2 = 100_000, 0.135, 0.7, 0.5
SHARE, TAU, TAU2 = np.array([0.28, 0.40, 0.49]), np.array([60.0, 40.0, 25.0]), np.array([1.2e7, 6e6, 4e6])
PAIRS = (N_FRAMES - LAG) * 2.0 ** np.r_[np.zeros(8), np.repeat(np.arange(1, 14), 4)]
GEL = {"n_frames": N_FRAMES, "frame_time": 1.0}


def gel(seed=0, noise=8.0, contrast=CONTRAST, n=3):
    """Return g2 (n, lags) with independent errors that fall with the pairs, and the errors."""
    rng = np.random.default_rng(seed)
    slow = np.exp(-((LAG / np.resize(TAU2, n)[:, None]) ** P2))
    share = np.resize(SHARE, n)[:, None]
    g1 = share * np.exp(-((LAG / np.resize(TAU, n)[:, None]) ** P)) + (1 - share) * slow
    error = noise / np.sqrt(PAIRS) * np.resize([0.1, 0.15, 0.2], n)[:, None]
    return 1 + np.resize(contrast, n)[:, None] * g1**2 + rng.normal(size=error.shape) * error, error


def test_curves_that_fall_are_not_denied_and_have_the_numbers_of_both_modes():
    pulls, held = [], []
    for seed in range(6):
        fit = fit_curves(LAG, *gel(seed), **GEL)
        assert not set(fit.no_tau) & {"no speckle", "does not decay", "slower than the lags", "no model fits g2"}
        assert (fit.fall > 5 * fit.fall_err).all() and set(fit.shared) == {"contrast, exponent"}
        pulls += [(fit.share - SHARE) / fit.share_err, np.log(fit.tau / TAU) * fit.tau / fit.tau_err]
        held.append(fit.tau2_above < TAU2)
        np.testing.assert_allclose(fit.fitted, gel(seed, noise=0)[0], atol=0.01)
    assert np.isfinite(pulls).mean() > 0.9 and 0.6 < np.nanstd(pulls) < 1.4 and np.mean(held) > 0.8


def test_a_contrast_that_is_known_makes_shares_certain():
    free, known = (fit_curves(LAG, *gel(), **GEL, **options) for options in ({}, {"contrast": CONTRAST}))
    assert (known.contrast == CONTRAST).all() and np.isnan(known.contrast_err).all()
    assert set(known.shared) == {"contrast"}
    shared = fit_curves(LAG, *gel(), **GEL, contrast=CONTRAST, share=["exponent"])
    assert (shared.share_err < free.share_err / 2).all()
    assert (np.abs(shared.share - SHARE) < 4 * shared.share_err).all()


def test_a_wrong_contrast_moves_the_shares():
    """What is left at the last lags, contrast (1 - share)², stays as it is."""
    right, wrong = (
        fit_curves(LAG, *gel(noise=0.5), **GEL, contrast=contrast, share=["exponent"])
        for contrast in (CONTRAST, 1.07 * CONTRAST)
    )
    np.testing.assert_allclose(wrong.share - right.share, (1 - SHARE) * (1 - 1.07**-0.5), atol=0.006)


def test_one_mode_is_fitted_together_as_one_mode():
    rng, tau = np.random.default_rng(1), np.array([40.0, 80.0, 160.0])
    y = 1 + 0.2 * np.exp(-2 * (LAG / tau[:, None]) ** 0.8)
    y += rng.normal(0, 2e-3, y.shape)
    fit, alone = (fit_curves(LAG, y, np.full_like(y, 2e-3), share=share) for share in (["contrast", "exponent"], None))
    assert set(fit.model) == {"stretched"} and not any(alone.shared)
    assert (np.abs(fit.tau - tau) < 4 * fit.tau_err).all() and (fit.tau_err < alone.tau_err).all()


@pytest.mark.parametrize("repeats", [1, 25])
def test_errors_smaller_than_photons_of_one_measurement_show_an_average(repeats):
    rng, pixels, counts = np.random.default_rng(2), np.array([500, 300, 800]), np.array([0.004, 0.002, 0.001])
    true, _ = gel(noise=0)
    error = np.sqrt(true / PAIRS / pixels[:, None] / repeats) / counts[:, None]
    y = true + rng.normal(size=true.shape) * error
    fit = fit_curves(LAG, y, error, counts=counts, n_pixels=pixels, **GEL)
    assert fit.n_files == pytest.approx(repeats, rel=0.2)
    assert all(("an average of about" in text) == (repeats > 1) for text in fit.errors)
    assert not set(fit.no_tau) & {"no speckle", "does not decay"} or repeats == 1
    doubted = fit_curves(LAG, y, error / 10, counts=counts, n_pixels=pixels, **GEL)
    assert doubted.n_files == 1 and all("too small" in text or "photon" in text for text in doubted.errors)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": ["tau"]}, "'tau' cannot be shared: give contrast, exponent, baseline"),
        ({"contrast": 1.2}, "the contrast must be above 0 and at most 1, got 1.2"),
    ],
)
def test_options_that_cannot_be_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fit_curves(LAG, *gel(), **options)
