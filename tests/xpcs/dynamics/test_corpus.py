"""Simulated exposures: their families, and their noise compared with frames drawn photon by photon."""

import numpy as np
import pytest

from ainerd_xpcs.dynamics import HELD_OUT, KNOWN, MECHANISMS, Dynamics, clean_exposure, noisy, reduced_g1_squared
from ainerd_xpcs.latent import SHIPPED, read_weights
from ainerd_xpcs.technique import Bank


def test_held_out_families_are_not_in_shipped_weights_and_bank():
    _, recipe = read_weights(SHIPPED / "pca.safetensors", "pca", {"mean": 1, "components": 2})
    assert set(recipe["families"]) == set(KNOWN)
    assert set(Bank.load().families) == set(MECHANISMS) and not HELD_OUT & set(MECHANISMS)


def test_the_map_of_a_bin_is_the_mean_over_it():
    flow = Dynamics(family="flow", tau_s=1.0, static=0.5, flow_rad_s=40.0, flow_deg=30.0)
    brute = reduced_g1_squared(flow, 1.0, 64, 100 + np.arange(0.25, 20, 0.5)).mean(0)
    np.testing.assert_allclose(clean_exposure(flow, [110.0])[0], brute, atol=1e-3)
    assert np.abs(reduced_g1_squared(flow, 1.0, 64, 110.0)[0] - brute).max() > 0.1  # which its centre is not


def test_noise_agrees_with_simulated_frames():
    """Speckle of 5 modes (contrast 0.2), Poisson counts, area reduction, photon by photon."""
    rng = np.random.default_rng(3)
    n_pixels, n_frames, counts, repeats, modes = 150, 128, 1.0, 120, 5
    t = (np.arange(n_frames) + 0.5) / n_frames
    g1 = np.exp(-np.abs(t[:, None] - t) / 0.3)
    factor = np.linalg.cholesky(g1)
    frames = np.empty((repeats, 64, 64))
    for i in range(repeats):
        z = rng.standard_normal((2, n_frames, n_pixels * modes)) / np.sqrt(2)
        field = np.hypot(*(factor @ z)).reshape(n_frames, n_pixels, modes)
        photons = rng.poisson(counts * np.square(field).mean(2))
        d = (photons / counts - 1).reshape(64, 2, n_pixels).mean(1)
        frames[i] = 1 + d @ d.T / n_pixels
        shot = photons.reshape(64, 2, n_pixels).sum(1).mean(1) / counts**2 / 4
        frames[i][np.diag_indices(64)] -= shot
    clean = (g1**2).reshape(64, 2, 64, 2).mean((1, 3))[None].astype(np.float32) / modes
    statistics = {"n_pixels": n_pixels, "n_frames": n_frames, "counts": counts}
    maps = noisy(clean, **statistics, rng=np.random.default_rng(4), draws=repeats)[0]

    lag = np.abs(np.subtract.outer(np.arange(64), np.arange(64)))
    # Near the diagonal speckle of few modes is noisier than Gaussian pixels, as documented.
    for name, where, too_quiet in (("far", lag > 20, 0.0), ("near", (lag > 0) & (lag < 4), 0.1)):
        ours, theirs = maps[:, where], frames[:, where]
        error = np.hypot(ours.mean(1).std(), theirs.mean(1).std()) / np.sqrt(repeats)
        assert abs(ours.mean() - theirs.mean()) < 4 * error, name
        quiet = (1 - too_quiet) * theirs.std(0).mean()
        assert ours.std(0).mean() == pytest.approx(quiet, rel=0.04), name
    diagonal = maps[:, lag == 0].mean(), frames[:, lag == 0].mean(), 1 + clean[0].diagonal().mean()
    assert diagonal == pytest.approx([1.19] * 3, abs=0.02)
    # Noise in one row is correlated, as white noise would not be.
    streak = [np.corrcoef(m[:, 2, 40], m[:, 2, 41])[0, 1] for m in (maps, frames)]
    assert min(streak) > 0.1 and streak[0] == pytest.approx(streak[1], abs=0.15)


@pytest.mark.parametrize("wrong", [{"counts": 0.0}, {"n_frames": -1}, {"counts": np.nan}])
def test_an_exposure_without_photons_is_refused(wrong):
    given = {"n_pixels": 100, "n_frames": 500, "counts": 1.0} | wrong
    with pytest.raises(ValueError, match="n_frames and counts must be positive"):
        noisy(np.ones((1, 64, 64)), **given, rng=np.random.default_rng(0))
