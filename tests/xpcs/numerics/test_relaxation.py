"""Relaxation times with errors or limits, on simulated AR(1) speckle: g2 - 1 = contrast exp(-2 t / tau)."""

from dataclasses import replace

import numpy as np
import pytest

from ainerd_xpcs.numerics import MultiTau, Partition, fit_relaxation


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
    assert all(np.isfinite(fit.tau).all() and (fit.misfit_p > 1e-4).all() for fit in fits)
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
    names = "value error parts part_weight n_pixels counts contrast0 contrast0_err parts0 bias".split()
    joined = {name: np.concatenate([getattr(g2, name) for g2 in (slow, fast)]) for name in names}
    joined["part_roi"] = np.concatenate([slow.part_roi, fast.part_roi + 9])
    both = type(slow)(lag=slow.lag, n_frames=slow.n_frames, **joined)
    fit, alone = fit_relaxation(both, together=True), fit_relaxation(both, together=True, bins=range(9))
    assert fit.p_same[0] < 1e-3 < alone.p_same[0]
    assert fit.tau_err[0] / fit.tau[0] > 2 * alone.tau_err[0] / alone.tau[0]


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
