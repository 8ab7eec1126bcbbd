import numpy as np
import pytest

from ainerd.xpcs import MultiTau, fit_kww, g2, two_time


@pytest.mark.parametrize("normalization", ["smoothed", "paper", "symmetric"])
def test_g2_is_the_mean_along_the_diagonals_of_c2(frames, partition, normalization):
    found = g2(frames, partition, normalization=normalization)
    full = two_time(frames, partition, normalization=normalization, dtype="float64")
    wanted = np.array([[np.diagonal(c2, lag).mean() for lag in range(1, 60)] for c2 in full])
    assert np.array_equal(found.lag, np.arange(1, 60))
    assert np.abs(found.value - wanted).max() < 1e-12


def test_g2_with_bad_frames_is_the_mean_over_valid_pairs(frames, partition):
    valid = np.ones(60, bool)
    valid[[3, 20, 21]] = False
    found = g2(frames, partition, valid=valid)
    full = two_time(frames, partition, valid=valid, dtype="float64")
    wanted = np.array([[np.nanmean(np.diagonal(c2, lag)) for lag in range(1, 57)] for c2 in full])
    assert np.abs(found.value[:, :56] - wanted).max() < 1e-12


def test_multitau_agrees_with_all_lags(frames, partition):
    correlator = MultiTau(partition, 60)
    for start in range(0, 60, 11):
        correlator.push(frames[start : start + 11])
    live = correlator.result()
    every = g2(frames, partition)
    first = live.lag <= 15
    assert np.array_equal(live.lag[first], np.arange(1, 16))
    assert np.abs(live.value[:, first] - every.value[:, :15]).max() < 1e-5
    assert np.array_equal(live.lag[~first], [16, 18, 20, 22, 24, 26, 28, 30, 32, 36, 40, 44, 48, 52, 56])
    assert np.abs(live.value[:, ~first] - every.value[:, live.lag[~first].astype(int) - 1]).max() < 0.2


def test_fit_recovers_what_was_put_in():
    tau = np.geomspace(0.01, 100, 60)
    rng = np.random.default_rng(0)
    truth = {"contrast": 0.2, "tau": 3.0, "exponent": 1.4, "baseline": 1.01}
    clean = truth["baseline"] + truth["contrast"] * np.exp(-2 * (tau / truth["tau"]) ** truth["exponent"])
    noisy = clean + rng.normal(0, 0.002, (200, 60))
    fit = fit_kww(tau, noisy, np.full(noisy.shape, 0.002))
    assert fit.ok.all()
    assert 0.9 < np.mean(fit.chi2) < 1.1
    for name, value in truth.items():
        found, error = getattr(fit, name), getattr(fit, f"{name}_err")
        pull = (found - value) / error
        assert abs(pull.mean()) < 5 / np.sqrt(200) and 0.8 < pull.std() < 1.25


def test_a_fit_that_cannot_be_made_is_flagged():
    tau = np.arange(1.0, 20)
    values = np.vstack([1 + 0.2 * np.exp(-tau / 3), np.full(19, np.nan)])
    fit = fit_kww(tau, values)
    assert fit.ok.tolist() == [True, False]
    assert np.isnan(fit.tau[1])
    assert "exp" in fit.formula


def test_lags_and_values_must_fit():
    with pytest.raises(ValueError, match="does not fit"):
        fit_kww(np.arange(5), np.ones((2, 6)))
