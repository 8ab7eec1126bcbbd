"""Numbers of curves of g2 that need no model, on curves whose numbers follow from a formula."""

import numpy as np
import pytest

from ainerd_xpcs.numerics import fit_curves
from ainerd_xpcs.numerics._judge import without_model

LAG = np.unique(np.geomspace(1, 2000, 60).astype(int)).astype(float)
CURVES = {
    "stretched": lambda t: np.exp(-2 * (t / 60) ** 0.5),
    "compressed": lambda t: np.exp(-2 * (t / 60) ** 1.6),
    "two steps": lambda t: (0.5 * np.exp(-t / 20) + 0.5 * np.exp(-t / 500)) ** 2,
}


def half_of(decay):
    """Return when a curve has fallen to a half of its mean at the first three lags."""
    fine = np.geomspace(LAG[0], LAG[-1], 200_000)
    return fine[(decay(fine) < decay(LAG[:3]).mean() / 2).argmax()]


def numbers_of(decay, error, n, seed=0, shared=0.0):
    """Return the numbers of `n` noisy curves of contrast .2, of which a share of the contrast fluctuates."""
    rng, y = np.random.default_rng(seed), 0.2 * decay(LAG)
    error = np.broadcast_to(error, y.shape)
    covariance = np.diag(error**2) + shared**2 * np.outer(y, y)
    noisy = y * (1 + shared * rng.standard_normal((n, 1))) + error * rng.standard_normal((n, LAG.size))
    return [without_model(LAG, each, covariance) for each in noisy]


def column(each, name):
    return np.array([of.get(name, np.nan) for of in each])


def pulls(each, name, truth):
    """Return deviations in errors, of times in their logarithms."""
    value, error = column(each, name), column(each, f"{name}_err")
    return np.log(value / truth) * value / error if name == "tau_half" else (value - truth) / error


@pytest.mark.parametrize("name", CURVES)
def test_errors_are_those_of_the_curve_with_its_first_lags(name):
    decay = CURVES[name]
    of = [numbers_of(decay, error, 120, seed) for seed, error in enumerate((0.006, 0.015))]
    z = np.concatenate([pulls(each, "tau_half", half_of(decay)) for each in of])
    assert np.isfinite(z).mean() > 0.9
    assert 0.85 < np.sqrt(np.nanmean(z**2)) < 1.2 and 0.6 < np.nanmean(np.abs(z) < 1) < 0.8
    left = decay(LAG[-3:]).mean() / decay(LAG[:3]).mean()
    z = np.concatenate([pulls(each, "left", left) for each in of])
    assert 0.85 < np.sqrt(np.mean(z**2)) < 1.2


def test_a_contrast_that_fluctuates_changes_no_time():
    """The covariance of the lags counts: they all go up or down together."""
    same, alone = (numbers_of(CURVES["stretched"], 0.003, 100, shared=x) for x in (0.1, 0.0))
    assert np.allclose(*(np.median(column(x, "tau_half_err")) for x in (same, alone)), rtol=0.15)
    z = pulls(same, "tau_half", half_of(CURVES["stretched"]))
    assert 0.85 < np.sqrt(np.mean(z**2)) < 1.2


def test_a_level_outside_the_lags_has_a_limit_that_holds():
    def slow(t):
        return np.exp(-2 * (t / 9000))  # falls to .64 within the lags

    of = numbers_of(slow, 0.01, 100)
    assert np.isnan(column(of, "tau_half")).all() and np.isnan(column(of, "tau_half_below")).all()
    above = column(of, "tau_half_above")
    assert (above <= LAG[-1] * (1 + 1e-9)).all() and np.median(above) > 0.9 * LAG[-1]
    z = pulls(of, "left", slow(LAG[-3:]).mean() / slow(LAG[:3]).mean())
    assert 0.8 < np.sqrt(np.mean(z**2)) < 1.2


def test_limits_of_a_time_that_noise_hides_hold():
    decay = CURVES["two steps"]
    of = numbers_of(decay, 0.05, 200, seed=3)
    above, below = (column(of, f"tau_half_{side}") for side in ("above", "below"))
    assert (np.isfinite(above) | np.isfinite(below)).sum() > 10
    truth = half_of(decay)
    assert ((above > truth).sum() < 0.1 * len(of)) and ((below < truth).sum() < 0.1 * len(of))


def test_a_curve_without_a_visible_value_at_the_first_lags_has_no_numbers():
    assert not {"tau_half", "left"} & set(numbers_of(CURVES["stretched"], 0.5, 1)[0])
    assert sum(len(each) > 2 for each in numbers_of(lambda t: 0 * t, 0.01, 100)) <= 3
    assert without_model(LAG[:5], CURVES["stretched"](LAG[:5]), 1e-4 * np.eye(5)) == {}


def test_a_fit_reports_them_where_it_has_no_tau_and_nowhere_else():
    rng = np.random.default_rng(1)

    def swinging(t):
        return (0.6 + 0.4 * np.cos(t / 20)) ** 2 * np.exp(-t / 500)

    y = 1 + 0.2 * np.stack([CURVES["stretched"](LAG), swinging(LAG)]) + rng.normal(0, 0.002, (2, LAG.size))
    fit = fit_curves(0.01 * LAG, y, np.full_like(y, 0.002))
    assert np.isfinite(fit.tau[0]) and np.isnan([fit.tau_half[0], fit.left[0], fit.tau_half_above[0]]).all()
    assert fit.no_tau[1] == "no model fits g2" and np.isnan(fit.tau[1])
    assert abs(fit.tau_half[1] - 0.01 * half_of(swinging)) < 3 * fit.tau_half_err[1] < 0.2 * fit.tau_half[1]
