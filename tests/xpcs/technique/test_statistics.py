"""The noise of a run, measured in its own maps."""

import numpy as np
import pytest

from ainerd_xpcs.technique import Cells, Noise, bank_options, pooled_contrast
from ainerd_xpcs.technique._speckle_size import speckle_px
from ainerd_xpcs.technique._verdict import GIVEN_ERR, add_noise, baseline, flicker

PHI = np.arange(10.0, 360.0, 20.0)


def options(photons=500.0, contrast=0.2, contrast_err=0.04, n_pixels=570.0, phi_deg=None, speckle_px=1.0, **others):
    noise = Noise.of(photons, contrast, np.full(18, n_pixels), speckle_px)
    return bank_options(noise, contrast_err, phi_deg, **others)


def bins(rng, n_bins=18, n_pixels=570, beta=0.2, photons=500.0, tau=0.1):
    """Maps of Gaussian pixels that relax with tau, (n_bins, 64, 64)."""
    t = np.arange(64) / 64
    root = np.linalg.cholesky(beta * np.exp(-2 * np.abs(t[:, None] - t) / tau) + 64 / photons * np.eye(64))
    pixels = root @ rng.standard_normal((n_bins, 64, n_pixels))
    return (1 + pixels @ pixels.swapaxes(1, 2) / n_pixels - 64 / photons * np.eye(64)).astype(np.float32)


def test_speckle_of_several_pixels_is_found():
    """The field consists of blocks of equal pixels; the expected size is a sum over their overlaps."""
    field = np.random.default_rng(0).exponential(size=(40, 16, 16)).repeat(3, 1).repeat(3, 2)
    counts = np.random.default_rng(1).poisson(4 * field).reshape(40, -1).astype(np.float32)
    size = speckle_px(counts, (48, 48), np.arange(48 * 48), np.repeat([0, 1], 24 * 48))
    m = {d: 1 - abs(d) / 3 for d in range(-3, 4)}
    assert size == pytest.approx(sum(m[i] ** 2 * m[j] ** 2 for i in m for j in m), rel=0.15)


@pytest.mark.parametrize("error", [0.0, 0.02])
def test_errors_of_single_moments_are_found(error):
    rng, sizes = np.random.default_rng(2), []
    for _ in range(5):
        wander = error * rng.standard_normal(64)
        mean = bins(rng).mean(0) + wander[:, None] + wander
        sizes.append(flicker(mean, Noise.of(500.0, 0.2, np.full(18, 570.0))))
    assert np.mean(sizes) == pytest.approx(error, abs=0.001 + 0.2 * error)


def test_offsets_between_opposite_bins_are_found():
    rng = np.random.default_rng(3)
    none, some = [], []
    for _ in range(5):
        maps = bins(rng)
        offset = 0.02 * rng.standard_normal((18, 1, 1))
        noise = Noise.of(500.0, 0.2, np.full(18, 570.0))
        none.append(baseline(maps, noise, PHI))
        some.append(baseline(maps + offset, noise, PHI))
    assert max(none) < 0.005 and np.mean(some) == pytest.approx(0.02, rel=0.35)


def test_given_and_measured_contrast_are_pooled_by_their_errors():
    assert pooled_contrast(None, None) is None
    assert pooled_contrast(None, 0.2) == (pytest.approx(0.2), GIVEN_ERR)
    assert pooled_contrast((0.14, 0.004), 0.2)[0] == pytest.approx(0.14, rel=0.02)
    value, error = pooled_contrast((0.1, 0.1), 0.2)
    assert 0.18 < value < 0.2 and error < GIVEN_ERR


def test_similar_runs_share_a_calibration_that_has_no_less_noise():
    """A run of larger speckle has fewer pixels, but the shot noise of all of them."""
    one = options(photons=480.0)
    assert options(photons=485.0, contrast=0.199, flicker=1e-4, contrast_err=0.06) == one
    assert options(photons=240.0, contrast=0.4) == one  # the ratio of shot noise to contrast is the same
    for photons in (10.0, 300.0, 5000.0):
        for pixels in (80.0, 570.0, 5000.0):
            noise, given = Noise.of(photons, 0.15, np.full(18, pixels)), options(photons, 0.15, n_pixels=pixels)
            assert 1 - 1e-6 <= 64 / given["photons"] / noise.shot < 1.29
            assert sum(given["n_pixels"]) <= 18 * pixels * (1 + 1e-6)
    few, many = (Noise.of(500.0, 0.2, np.full(18, 570.0), size) for size in (2.0, 1.0))
    assert few.n_pixels.sum() == pytest.approx(many.n_pixels.sum() / 2)
    squares = [2 * 0.2 * each.shot + each.shot**2 for each in (few, many)]
    assert squares[0] == pytest.approx(squares[1] / 2)
    assert options(flicker=0.01)["flicker"] >= 0.01 and options(contrast_err=0.3)["contrast_err"] == 0.6


@pytest.mark.parametrize("n_frames", [0, 96])
def test_noise_is_added_to_a_run_up_to_that_of_its_calibration(n_frames):
    """The variances are then those of independent pixels of the calibration, also where cells share frames."""
    rng, t = np.random.default_rng(4), np.arange(64) / 64
    cells = Cells.of_whole(n_frames) if n_frames else None
    shared = np.eye(64) if cells is None else cells.shot
    clean = 0.2 * np.exp(-np.abs(t[:, None] - t) / 0.1)
    own, given = Noise(0.05, np.array([3000.0])), {"photons": 64 / 0.12, "n_pixels": [1900.0], "cells": cells}

    def runs(shot, n_pixels, n):
        root = np.linalg.cholesky(clean + shot * shared)
        for _ in range(n):
            pixels = root @ rng.standard_normal((64, n_pixels))
            yield (1 + pixels @ pixels.T / n_pixels - shot * shared).astype(np.float32)

    expected = np.var([*runs(0.12, 1900, 150)], axis=0)
    before = np.array([*runs(0.05, 3000, 60)])
    many = Noise(own.shot, np.full(60, own.n_pixels[0]))  # as sectors of one run, for which the noise is independent
    noisier = add_noise(before, many, given | {"n_pixels": given["n_pixels"] * 60})
    added = np.square(noisier - before)
    i = np.arange(64)
    for lag in (0, 1, 2, 20):
        wanted = (expected - np.var(before, axis=0))[i[: 64 - lag], i[lag:]].mean()
        assert added[:, i[: 64 - lag], i[lag:]].mean() == pytest.approx(wanted, rel=0.35)
    assert abs(noisier.mean() - before.mean()) < 0.005
