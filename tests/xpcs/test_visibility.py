"""Speckle visibility over exposure times: against an integral of g2, and against simulated movies."""

import numpy as np
import pytest
from scipy.integrate import quad

from ainerd.xpcs import MultiTau, Partition, fit_visibility, visibility

WIDTHS = np.geomspace(0.1, 100, 10)


@pytest.mark.parametrize("tau", [0.01, 3.0, 1e6])
def test_it_is_the_mean_of_g2_over_pairs_of_times_in_a_frame(tau):
    for width in (0.5, 7.0):
        mean = quad(
            lambda t, w=width: 2 * (1 - t / w) * np.exp(-2 * t / tau) / w, 0, width, points=[tau / 2] * (tau < 1)
        )
        assert visibility(width, tau, 0.3) == pytest.approx(0.3 * mean[0], rel=1e-5)


def test_pulls_are_those_of_the_errors():
    rng, pulls = np.random.default_rng(0), []
    for _ in range(200):
        error = np.full(WIDTHS.size, 0.005)
        fit = fit_visibility(WIDTHS, visibility(WIDTHS, 5.0, 0.2) + rng.normal(0, error), error)
        pulls.append([(fit.tau - 5) / fit.tau_err, (fit.contrast - 0.2) / fit.contrast_err])
    assert np.isfinite(pulls).all() and (np.abs(np.mean(pulls, 0)) < 0.3).all()
    assert ((np.std(pulls, 0) > 0.8) & (np.std(pulls, 0) < 1.2)).all()


def test_movies_of_several_exposure_times_give_tau():
    """A field of correlation time 40 steps; each exposure time has frames of its own, with gaps between them."""
    rng, partition = np.random.default_rng(1), Partition.from_roi_map(np.ones((40, 50), int))
    keep, n_frames, widths = np.exp(-1 / 40), 25, [2, 8, 25, 80, 250]
    contrast, error = [], []
    for width in widths:
        field, correlator = rng.normal(size=(2000, 2)) @ [1, 1j], MultiTau(partition)
        for _ in range(n_frames):
            total = np.zeros(2000)
            for _ in range(width):
                field = keep * field + np.sqrt(1 - keep**2) * (rng.normal(size=(2000, 2)) @ [1, 1j])
                total += np.abs(field) ** 2
            field = rng.normal(size=(2000, 2)) @ [1, 1j]  # a long gap
            correlator.push(rng.poisson(total / width)[None].astype(np.uint16))
        g2 = correlator.result()
        contrast.append(g2.contrast0[0])
        error.append(g2.contrast0_err[0])
    fit = fit_visibility(widths, contrast, error)
    assert fit.p > 1e-3 and fit.tau_err < 8 and fit.contrast_err < 0.1
    assert abs(fit.tau - 40) < 3 * fit.tau_err and abs(fit.contrast - 1) < 3 * fit.contrast_err


@pytest.mark.parametrize("tau", [1e4, 1e-3])
def test_exposures_that_are_all_shorter_or_all_longer_than_tau_do_not_give_it(tau):
    rng, error = np.random.default_rng(2), np.full(WIDTHS.size, 0.003)
    fits = [fit_visibility(WIDTHS, visibility(WIDTHS, tau, 0.2) + rng.normal(0, error), error) for _ in range(20)]
    assert np.mean([fit.no_tau == "the data do not determine it" and np.isnan(fit.tau) for fit in fits]) >= 0.9


def test_what_is_no_relaxation_is_refused():
    error = np.full(WIDTHS.size, 0.003)
    assert fit_visibility(WIDTHS, 0.2 + 0.1 * np.sin(WIDTHS), error).no_tau == "no model describes it"
    assert fit_visibility([1, 1, 2], [0.2, 0.2, 0.1], [0.01] * 3).no_tau == "fewer than three exposure times"
    with pytest.raises(ValueError, match="must be positive"):
        fit_visibility([1, 2, -3], [0.2, 0.2, 0.1], [0.01] * 3)
    with pytest.raises(ValueError, match="must be lists alike"):
        fit_visibility([1, 2], [0.2, 0.2, 0.1], [0.01] * 3)
