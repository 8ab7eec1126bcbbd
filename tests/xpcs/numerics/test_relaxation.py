"""Relaxation times with errors or limits, on simulated AR(1) speckle: g2 - 1 = contrast exp(-2 t / tau)."""

from dataclasses import replace
from operator import itemgetter

import numpy as np
import pytest

from ainerd_xpcs.numerics import MultiTau, Partition, fit_relaxation
from ainerd_xpcs.numerics._choice import Chosen
from ainerd_xpcs.numerics._family import MODELS, NAMES, NEUTRAL
from ainerd_xpcs.numerics._relaxation import (
    FAST,
    NO_DECAY,
    NO_SPECKLE,
    SLOW,
    UNSURE,
    determined,
    is_determined,
    why_not,
)


def measured(
    seed, tau, *, contrast_modes=4, photons=1.0, n_bins=18, n_pixels=150, n_frames=200, still=0.0, slow=np.inf
):
    """Return g2 of fields that decay as exp(-t / tau), with a share `still` that is static, or decays with `slow`."""
    rng = np.random.default_rng(seed)
    shape = (2, contrast_modes, n_bins * n_pixels)
    keep = np.exp(-1 / tau)
    field, rest = rng.normal(size=shape), rng.normal(size=shape)
    correlator = MultiTau(Partition.from_roi_map(np.repeat(np.arange(1, n_bins + 1), n_pixels)[None]))
    for t in range(n_frames):
        if t:
            field = keep * field + np.sqrt(1 - keep**2) * rng.normal(size=shape)
            if slow < np.inf:
                rest = np.exp(-1 / slow) * rest + np.sqrt(1 - np.exp(-2 / slow)) * rng.normal(size=shape)
        bright = ((np.sqrt(1 - still) * field + np.sqrt(still) * rest) ** 2).sum(0).mean(0) / 2
        correlator.push(rng.poisson(photons * bright)[None].astype(np.uint16))
    return correlator.result()


def test_results_scatter_by_their_errors():
    fits = [fit_relaxation(measured(seed, 12.0), 0.5) for seed in range(3)]
    assert all(np.isfinite(fit.tau).all() for fit in fits)
    for name, truth in (("tau", 6.0), ("exponent", 1.0), ("contrast", 0.25)):
        value, error = (np.concatenate([getattr(fit, name + end) for fit in fits]) for end in ("", "_err"))
        z = (value - truth) / error
        assert abs(z.mean()) < 0.6 and 0.7 < z.std() < 1.4, name
    one = fit_relaxation(measured(0, 12.0), 0.5, together=True)
    assert one.tau.shape == (1,) and one.tau_err[0] < np.median(fits[0].tau_err) / 3
    assert abs(one.tau[0] - 6) < 3 * one.tau_err[0] and one.speckle[0] == "yes"
    assert one.plateau[0] == 0 and one.p_same[0] > 1e-3


@pytest.mark.parametrize(
    ("sample", "models"),
    [
        ({"tau": 12.0, "still": 0.1}, {"stretched + static", "stretched + baseline"}),
        ({"tau": 3.0, "still": 0.5, "slow": 60.0}, {"two modes"}),
    ],
)
def test_bins_take_the_modes_and_the_rest_of_their_ring(sample, models):
    g2 = measured(4, **sample, n_pixels=200, n_frames=400)
    ring, alone = fit_relaxation(g2, together=True), fit_relaxation(g2)
    fit = fit_relaxation(g2, like=ring)
    assert {*fit.model} <= models and not {*alone.model} <= models
    values = np.stack([(fit.tau, fit.tau_err), (fit.tau_either, fit.tau_either_err)])
    off = np.fmin(*(np.abs(np.log(tau / sample["tau"])) * tau / err for tau, err in values))
    assert (off < 3).all() and (off < 1).mean() > 0.5
    assert fit.tau_err.max() > 2 * ring.tau_err[0]
    unlike = replace(ring, p_same=np.array([1e-5]))
    assert (fit_relaxation(g2, like=unlike).model == alone.model).all()


def test_a_static_sample_gets_a_limit_and_its_contrast():
    g2 = measured(1, np.inf)
    for fit in (fit_relaxation(g2), fit_relaxation(g2, together=True)):
        assert np.isnan(fit.tau).all() and np.isnan(fit.exponent).all()
        assert np.isfinite(fit.tau_above).mean() > 0.9 and np.median(fit.tau_above) > 100
        assert np.isfinite(fit.tau_below).mean() < 0.2
        assert np.abs((fit.contrast - 0.25) / fit.contrast_err).max() < 4


def test_without_tau_the_contrast_is_that_of_the_first_lag():
    g2 = measured(1, 4.0, still=0.6, contrast_modes=2)
    g2 = replace(g2, value=g2.value + 0.1 * np.sin(g2.lag), parts=g2.parts + 0.1 * np.sin(g2.lag))  # no model fits
    for fit, bins in ((fit_relaxation(g2), 18), (fit_relaxation(g2, together=True), 1)):
        assert np.isnan(fit.tau).all() and not (fit.no_tau == NO_DECAY).any()
        first = (g2.value - g2.bias)[:, 0] - 1
        assert np.allclose(fit.contrast, first.reshape(bins, -1).mean(1), atol=1e-9)
        assert (fit.contrast_err > 0).all() and (fit.contrast_err < 0.05).all()


def test_a_flat_field_has_no_speckle():
    rng = np.random.default_rng(2)
    correlator = MultiTau(Partition.from_roi_map(np.repeat([1, 2, 3], 300)[None]))
    correlator.push(rng.poisson(0.5, (200, 900)).astype(np.uint16))
    fit = fit_relaxation(correlator.result(), together=True)
    assert fit.speckle[0] == "no" and fit.no_tau[0] == "no speckle" and np.isnan(fit.contrast[0])
    assert all(np.isnan(getattr(fit, name)[0]) for name in ("tau", "tau_above", "tau_below"))


def test_speckle_that_decays_within_a_frame_gets_an_upper_limit():
    fit = fit_relaxation(measured(3, 0.3), together=True)
    assert fit.speckle[0] == "yes" and np.isnan(fit.tau[0]) and np.isnan(fit.tau_above[0])
    assert 0.3 < fit.tau_below[0] < 1.5
    assert abs(fit.contrast[0] - 0.25) < 3 * fit.contrast_err[0]


@pytest.mark.parametrize(("n_bins", "n_frames", "seed"), [(3, 100, 466), (18, 64, 81), (18, 100, 988)])
def test_with_very_few_photons_no_tau_is_reported(n_bins, n_frames, seed):
    """Bins of five pixels, .05 photons a pixel: most lags of most bins hold no pair of photons."""
    g2 = measured(seed, 1.0, photons=0.05, n_bins=n_bins, n_pixels=5, n_frames=n_frames)
    fit = fit_relaxation(g2, 0.5)
    assert np.isnan(fit.tau).all() and not (fit.contrast_err <= 0).any()
    assert not (g2.error <= 0).any() and not (g2.contrast0_err <= 0).any()


def test_a_static_share_is_a_plateau():
    fit = fit_relaxation(measured(4, 6.0, contrast_modes=1, still=0.5, photons=5.0), together=True)
    # |x g + 1 - x|² with x = 1/2: half of the contrast decays as exp(-t / tau), a quarter stays
    assert abs(fit.plateau[0] - 0.25) < 4 * fit.plateau_err[0] and fit.plateau_err[0] < 0.1


def test_differing_bins_are_detected_and_widen_the_error():
    slow, fast = (measured(seed, tau, n_bins=9) for seed, tau in ((5, 25.0), (6, 6.0)))
    joined = {
        name: np.concatenate([getattr(g2, name) for g2 in (slow, fast)])
        for name in (
            "value",
            "error",
            "parts",
            "part_weight",
            "n_pixels",
            "counts",
            "contrast0",
            "contrast0_err",
            "parts0",
            "bias",
        )
    }
    both = type(slow)(
        lag=slow.lag, n_frames=slow.n_frames, part_roi=np.concatenate([slow.part_roi, fast.part_roi + 9]), **joined
    )
    fit, alone = fit_relaxation(both, together=True), fit_relaxation(both, together=True, bins=range(9))
    assert fit.p_same[0] < 1e-3 < alone.p_same[0]
    assert fit.tau_err[0] / fit.tau[0] > 2 * alone.tau_err[0] / alone.tau[0]


def test_with_too_few_pixels_speckle_is_unknown():
    correlator = MultiTau(Partition.from_roi_map(np.array([[1, 1]])))
    correlator.push(np.random.default_rng(0).poisson(5.0, (40, 2)).astype(np.uint16))
    fit = fit_relaxation(correlator.result())
    assert fit.speckle[0] == "unknown" and np.isnan(fit.tau[0]) and np.isnan(fit.tau_above[0])


def test_errors_of_a_ring_include_speckle_shared_by_opposite_bins():
    """Nine bins are seen twice with different photons: the error is about that of nine bins, not of eighteen."""
    rng, n_frames, n_pixels = np.random.default_rng(0), 128, 60
    lag = np.abs(np.subtract.outer(np.arange(n_frames), np.arange(n_frames)))
    root = np.linalg.cholesky(np.exp(-lag / 10.0) + 1e-9 * np.eye(n_frames))
    bright = ((root @ rng.normal(size=(n_frames, 6 * 9 * n_pixels))).reshape(n_frames, 6, -1) ** 2).mean(1)
    partition = Partition.from_roi_map(np.repeat(np.arange(1, 19), n_pixels).reshape(18, n_pixels))
    correlator = MultiTau(partition)
    correlator.push(rng.poisson(20 * np.concatenate([bright, bright], axis=1)).astype(np.uint16))
    g2 = correlator.result()
    half = fit_relaxation(g2, bins=range(9), together=True).tau_err[0]
    naive, knowing = (
        fit_relaxation(g2, together=True, opposite=o).tau_err[0] for o in (None, (np.arange(18) + 9) % 18)
    )
    assert naive < 0.95 * half and 0.85 * half < knowing < 1.3 * half


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_time": 0.0}, "frame_time must be positive, got 0.0"),
        ({"bins": [2]}, "bins must be numbers from 0 to 1"),
    ],
)
def test_invalid_options_are_named(options, message):
    correlator = MultiTau(Partition.from_roi_map(np.array([[1, 1, 2, 2]])))
    correlator.push(np.ones((20, 4), np.uint16))
    with pytest.raises(ValueError, match=message):
        fit_relaxation(correlator.result(), **options)


# contrast, log tau, exponent, static, baseline, share, log ratio, exponent2
X = np.array([0.2, np.log(30.0), 0.8, 0.3, 0.05, 0.6, np.log(10.0), 1.2])


def chosen_of(model, x=X, scale=0.03, either=None):
    """A model with the correlated errors of its free parameters, about `scale` of each."""
    free, mix = [NAMES.index(name) for name in MODELS[model]], np.random.default_rng(0).normal(size=(8, 8))
    covariance = np.zeros((8, 8))
    neutral = np.array([*NEUTRAL.values()])
    neutral[free] = x[free]
    size = scale * np.maximum(np.abs(neutral[free]), 0.1) * np.where(np.isin(free, (1, 6)), 0.3, 1.0)
    some = mix[np.ix_(free, free)] + 3 * np.eye(len(free))
    covariance[np.ix_(free, free)] = (some @ some.T) * np.outer(size, size) / 10
    return Chosen(model, neutral, covariance, 40.0, 40, either)


@pytest.mark.parametrize("model", [name for name in MODELS if name not in ("none", "flat")])
def test_numbers_and_errors_follow_from_the_parameters_of_a_model(model):
    """Errors are propagated by differences; they are widened as those of quantities with a relative error."""
    chosen, last = chosen_of(model), 1e4
    report = determined(chosen, chosen.covariance, 1.0, last)
    free = MODELS[model]
    numbers = {
        "tau": lambda x: np.exp(x[1]), "contrast": lambda x: x[0] + x[4],
        "plateau": lambda x: x[4] / (x[0] + x[4]) if "baseline" in free else x[3] ** 2,
    }  # fmt: skip
    for name in ("static", "baseline", "share", "exponent", "exponent2"):
        if name in free:
            numbers[name] = itemgetter(NAMES.index(name))
    if "ratio" in free:
        numbers["tau2"] = lambda x: np.exp(x[1] + x[6])
    for name, of in numbers.items():
        value, step = of(chosen.x), 1e-6
        slope = np.array([(of(chosen.x + step * one) - of(chosen.x - step * one)) / (2 * step) for one in np.eye(8)])
        error = np.sqrt(slope @ chosen.covariance @ slope)
        if name in ("tau", "tau2", "contrast"):
            error = value * (error / value) / (1 - 2 * (error / value) ** 2)
        assert report[name] == pytest.approx(value), name
        if error > 0:
            assert report[f"{name}_err"] == pytest.approx(error, rel=1e-5), name
    expected = {*numbers, *(f"{name}_err" for name in numbers)} - ({"plateau_err"} if "+" not in model else set())
    assert {*report} == expected


def test_a_slow_mode_beyond_the_lags_has_a_limit():
    chosen = chosen_of("two modes")
    log_tau2 = chosen.x[1] + chosen.x[6]  # of 300
    error = np.sqrt(chosen.covariance[np.ix_([1, 6], [1, 6])].sum())
    report = determined(chosen, chosen.covariance, 1.0, 290.0)
    assert "tau2" not in report and report["tau2_above"] == pytest.approx(np.exp(log_tau2 - 1.645 * error))
    assert determined(chosen, chosen.covariance, 1.0, 200.0)["tau2_above"] == pytest.approx(200)
    wide = chosen.covariance.copy()
    wide[6, 6] += 1.0  # unsure within the lags
    report = determined(chosen, wide, 1.0, 1e4)
    error = np.sqrt(wide[np.ix_([1, 6], [1, 6])].sum())
    assert "tau2" not in report and report["tau2_above"] == pytest.approx(np.exp(log_tau2 - 1.645 * error))


@pytest.mark.parametrize(
    ("change", "error", "is_known", "why"),
    [
        ({}, {}, True, UNSURE),
        ({}, {1: 0.41}, False, UNSURE),
        ({1: np.log(1.01e3)}, {}, False, SLOW),
        ({1: np.log(1.98)}, {}, False, FAST),
        ({2: 0.201}, {2: 0.01}, False, UNSURE),
        ({2: 2.48}, {}, False, UNSURE),
        ({}, {2: 0.404}, False, UNSURE),
        ({}, {0: 0.0668}, False, UNSURE),
    ],
)
def test_a_relaxation_time_is_known_within_limits(change, error, is_known, why):
    x, sd = X.copy(), np.array([0.01, 0.05, 0.05, 0, 0, 0, 0, 0])
    for j, value in change.items():
        x[j] = value
    for j, value in error.items():
        sd[j] = value
    chosen = chosen_of("stretched", x)
    assert is_determined(chosen, sd, 1.0, 1e3) is is_known and why_not(chosen, 1.0, 1e3) == why
    none, flat, low = chosen_of("none"), chosen_of("flat"), chosen_of("flat", -X)
    assert not any(is_determined(each, sd, 1.0, 1e3) for each in (none, flat))
    assert [why_not(each, 1.0, 1e3) for each in (none, flat, low)] == [NO_SPECKLE, NO_DECAY, NO_SPECKLE]
