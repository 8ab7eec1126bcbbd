"""Power laws of relaxation times over q."""

import numpy as np
import pytest

from ainerd_xpcs.numerics import fit_power


def test_a_power_law_is_found_with_its_errors():
    q = np.linspace(0.01, 0.05, 12)
    rng = np.random.default_rng(0)
    pulls = []
    for _ in range(200):
        clean = 3.0 * q**-2.2
        fit = fit_power(q, clean * (1 + rng.normal(0, 0.03, 12)), 0.03 * clean)
        pulls.append((fit.exponent - 2.2) / fit.exponent_err)
    assert 0 < fit.p < 1 and np.isnan(fit.diffusion)
    broken = fit_power(q, clean + (q > 0.03) * clean, 0.03 * clean)
    assert broken.p < 1e-6 and np.isnan(broken.exponent) and "scatter about a power law" in broken.reason
    assert abs(np.mean(pulls)) < 5 / np.sqrt(200) and 0.8 < np.std(pulls) < 1.25
    exact = fit_power(q, clean, 0.03 * clean)
    assert exact.reason == "" and exact.exponent == pytest.approx(2.2)


def test_a_power_law_without_points_has_the_reason():
    fit = fit_power([0.01, 0.02, 0.03], [1.0, np.nan, -2.0], [0.1, 0.1, 0.1])
    assert np.isnan(fit.exponent) and fit.n == 1
    assert fit.reason == "fewer than two relaxation times are known with their errors and q"
    for step in (0, 1e-10):  # equal but for rounding
        q = 0.02 + step * np.arange(4)
        fit = fit_power(q, [1.0, 2.0, 1.5, 1.2], [0.1] * 4)
        assert np.isnan(fit.exponent) and fit.reason == "all relaxation times are at one q"
    with pytest.raises(ValueError, match="of one length"):
        fit_power([0.01, 0.02], [1.0], [0.1])


def test_diffusion_has_its_coefficient_and_errors():
    q, rng = np.linspace(0.01, 0.05, 10), np.random.default_rng(1)
    pulls = []
    for _ in range(200):
        tau = 1 / (5e-4 * 1e6 * q**2) * np.exp(0.02 * rng.normal(size=10))
        fit = fit_power(q, tau, 0.02 * tau)
        pulls.append(((fit.exponent - 2) / fit.exponent_err, (fit.diffusion - 500) / fit.diffusion_err))
    errors = np.array(pulls)
    assert np.isfinite(errors).all(1).mean() > 0.9  # the exponent is within two errors of 2 in .95
    assert np.all(np.abs(np.nanstd(errors, axis=0) - 1) < 0.2)
