"""The noise that the pixels show, beside that of many bins that see the same."""

import numpy as np
import pytest

from ainerd_xpcs import Partition
from ainerd_xpcs.latent import SIZE
from ainerd_xpcs.numerics import TwoTimeReducer
from ainerd_xpcs.technique._noise_by_lag import by_lag, excess_of, noise_by_lag
from ainerd_xpcs.technique._pixel_noise import pixel_noise

BINS, PIXELS, FRAMES, MODES, PHOTONS = 40, 160, 128, 3, 200.0
ROWS, COLS = np.triu_indices(SIZE)


def counts(tau, rng):
    """Return photons (FRAMES, BINS * PIXELS) of Gaussian fields that relax in `tau` frames; half of a bin is bright."""
    shape, keep = (2, MODES, BINS * PIXELS), np.exp(-1 / tau)
    field, out = rng.standard_normal(shape), []
    bright = np.tile(np.repeat([0.5, 1.5], PIXELS // 2), BINS)
    for _ in range(FRAMES):
        out.append(rng.poisson(np.square(field).sum((0, 1)) / 2 / MODES * bright * PHOTONS / FRAMES))
        field = keep * field + np.sqrt(1 - keep**2) * rng.standard_normal(shape)
    return np.array(out, dtype=np.uint16)


def test_the_noise_of_pixels_is_that_between_bins():
    roi = np.repeat(np.arange(1, BINS + 1), PIXELS)[None]
    static = np.repeat(np.arange(1, 2 * BINS + 1), PIXELS // 2)[None]
    partition = Partition(roi_map=roi, static_map=static, q=np.full(BINS, 0.02), phi=np.full(BINS, np.nan))
    reducer = TwoTimeReducer(partition, FRAMES, size=256)
    reducer.push(counts(8.0, np.random.default_rng(6)))
    maps = reducer.maps().reshape(BINS, SIZE, 4, SIZE, 4).mean((2, 4))
    measured = np.mean([pixel_noise(*reducer.cells_of(k, SIZE, PIXELS)) for k in range(BINS)], axis=0)
    wishart = noise_by_lag((maps.mean(0) - 1 + SIZE / PHOTONS * np.eye(SIZE)).astype(np.float32)[None])
    between = PIXELS * np.cov(by_lag(maps[:, ROWS, COLS]).T)
    excess, wanted = excess_of(wishart, measured[None]), excess_of(wishart, between[None])
    assert excess == pytest.approx(wanted, rel=0.1)
    assert wanted > 1.4
