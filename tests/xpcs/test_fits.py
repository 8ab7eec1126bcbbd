import numpy as np
import pytest
from scipy.optimize import curve_fit

from ainerd.xpcs import fit_kww, fit_power


def test_fit_recovers_the_true_parameters():
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


def test_a_failed_fit_is_flagged():
    tau = np.arange(1.0, 20)
    values = np.vstack([1 + 0.2 * np.exp(-tau / 3), np.full(19, np.nan)])
    fit = fit_kww(tau, values)
    assert fit.ok.tolist() == [True, False]
    assert np.isnan(fit.tau[1])
    assert "exp" in fit.formula


def test_lags_and_values_must_fit():
    with pytest.raises(ValueError, match="does not fit"):
        fit_kww(np.arange(5), np.ones((2, 6)))


@pytest.mark.parametrize("noise", [0.001, 0.02])
@pytest.mark.parametrize("tau0", [0.02, 3.0, 200.0])
def test_the_minimum_agrees_with_scipy(noise, tau0):
    tau = np.geomspace(0.01, 100, 60)
    y = 1 + 0.2 * np.exp(-2 * (tau / tau0) ** 0.9) + np.random.default_rng(4).normal(0, noise, (6, 60))
    fit = fit_kww(tau, y)

    def model(t, contrast, log_tau, exponent, baseline):
        return baseline + contrast * np.exp(-2 * (t / np.exp(log_tau)) ** exponent)

    for k, row in enumerate(y):
        start = [0.2, np.log(tau0), 0.9, 1.0]
        best, cov = curve_fit(model, tau, row, start, bounds=([0, -100, 0.1, 0.5], [2, 100, 3, 1.5]))
        wanted = ((row - model(tau, *best)) ** 2).sum() / 56
        assert fit.chi2[k] < wanted * (1 + 1e-6) or not fit.ok[k]
        if fit.chi2[k] > wanted * (1 - 1e-6) and tau0 == 3.0:
            assert fit.tau[k] == pytest.approx(np.exp(best[1]), rel=1e-3)
            assert fit.tau_err[k] == pytest.approx(np.exp(best[1]) * np.sqrt(cov[1, 1]), rel=1e-2)


def test_lags_of_any_scale_are_fitted():
    for unit in (1e-9, 1.0, 1e9):
        tau = np.r_[0, np.geomspace(0.01, 100, 60)] * unit
        fit = fit_kww(tau, 1 + 0.1 * np.exp(-2 * (tau / (2 * unit)) ** 1.7))
        assert fit.ok[0] and fit.tau[0] == pytest.approx(2 * unit, rel=1e-6)


def test_a_power_law_is_found_with_its_errors():
    q = np.linspace(0.01, 0.05, 12)
    rng = np.random.default_rng(0)
    pulls = []
    for _ in range(200):
        clean = 3.0 * q**-2.2
        fit = fit_power(q, clean * (1 + rng.normal(0, 0.03, 12)), 0.03 * clean)
        pulls.append(
            ((fit.exponent - 2.2) / fit.exponent_err, (np.log(fit.amplitude / 3)) * fit.amplitude / fit.amplitude_err)
        )
    assert 0 < fit.p < 1 and fit_power(q, clean + (q > 0.03) * clean, 0.03 * clean).p < 1e-6
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 5 / np.sqrt(200))
    assert np.all((np.std(pulls, axis=0) > 0.8) & (np.std(pulls, axis=0) < 1.25))
    exact = fit_power(q, clean, 0.03 * clean)
    assert exact.exponent == pytest.approx(2.2) and exact.amplitude == pytest.approx(3.0)


def test_a_power_law_without_points_is_nan():
    fit = fit_power([0.01, 0.02, 0.03], [1.0, np.nan, -2.0], [0.1, 0.1, 0.1])
    assert np.isnan(fit.exponent) and fit.n == 1
    assert np.isnan(fit_power([0.02, 0.02], [1.0, 2.0], [0.1, 0.1]).exponent)
    with pytest.raises(ValueError, match="of one length"):
        fit_power([0.01, 0.02], [1.0], [0.1])
