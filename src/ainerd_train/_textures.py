"""Noise other than counting noise: textures of the maps of a run."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ainerd_xpcs.dynamics import log_uniform
from ainerd_xpcs.latent import SIZE

Maps = NDArray[np.float32]
# Standard deviation over the contrast, log-uniform; share of runs without any texture.
_AMPLITUDE, _NONE = (0.01, 0.4), 0.25


def textured(maps: Maps, contrast: float, rng: np.random.Generator) -> Maps:
    """Add noise of one or two of the `TEXTURES`, or none, to the maps (k, 64, 64) of a run.

    All textures are symmetric. Half of the time the bins of a run share them.
    """
    n = 0 if rng.random() < _NONE else rng.integers(1, 3)
    for name in rng.choice(list(TEXTURES), n, replace=False):
        maps = TEXTURES[str(name)](maps, contrast * log_uniform(rng, *_AMPLITUDE), rng)
    return maps


def _normal(maps: Maps, shape: tuple[int, ...], rng: np.random.Generator) -> Maps:
    """Draw normal numbers for each map, or the same for all."""
    k = len(maps) if rng.random() < 0.5 else 1
    return rng.standard_normal((k, *shape), dtype=np.float32)


def _symmetric(noise: Maps) -> Maps:
    return (noise + noise.swapaxes(1, 2)) / np.float32(2**0.5)


def _white(maps: Maps, sd: float, rng: np.random.Generator) -> Maps:
    """Add independent noise to each cell."""
    return maps + np.float32(sd) * _symmetric(_normal(maps, (SIZE, SIZE), rng))


def _smooth(maps: Maps, sd: float, rng: np.random.Generator) -> Maps:
    """Add noise that is alike over one to eight cells."""
    noise, width = _normal(maps, (SIZE, SIZE), rng), np.exp(rng.uniform(np.log(0.5), np.log(8)))
    noise = _symmetric(gaussian_filter(noise, (0, width, width)))
    return np.asarray(maps + np.float32(sd * 0.6) * noise / np.maximum(noise.std(), np.float32(1e-6)))


def _stripe(maps: Maps, sd: float, rng: np.random.Generator) -> Maps:
    """Add errors of a moment against all others."""
    along = _normal(maps, (SIZE,), rng)
    if rng.random() < 0.5:
        along = gaussian_filter(along, (0, np.exp(rng.uniform(np.log(0.5), np.log(8)))))
        along /= np.maximum(along.std(), np.float32(1e-6))
    along *= np.float32(sd / 2)
    return maps + along[:, :, None] + along[:, None, :]


def _tailed(maps: Maps, sd: float, rng: np.random.Generator) -> Maps:
    """Add large errors to a few cells."""
    noise = _normal(maps, (SIZE, SIZE), rng)
    share = np.exp(rng.uniform(np.log(0.002), np.log(0.1)))
    noise *= (rng.random(noise.shape) < share) * np.float32(1 / share**0.5)
    return maps + np.float32(sd) * _symmetric(noise)


def _masked(maps: Maps, sd: float, rng: np.random.Generator) -> Maps:
    """Replace blocks of cells, or moments, by the baseline or the mean at their lag."""
    gone = np.zeros((SIZE, SIZE), dtype=bool)
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 5)):
            (i, j), (a, b) = rng.integers(0, SIZE, 2), rng.integers(2, 16, 2)
            gone[i : i + a, j : j + b] = True
    else:
        moments = rng.random(SIZE) < rng.uniform(0.01, 0.12)
        gone[moments] = True
    gone |= gone.T
    filling = np.ones_like(maps)
    if rng.random() < 0.5:
        lag = np.abs(np.subtract.outer(np.arange(SIZE), np.arange(SIZE)))
        there = np.bincount(lag[~gone], minlength=SIZE)
        sums = np.stack([np.bincount(lag[~gone], weights=a_map[~gone], minlength=SIZE) for a_map in maps])
        mean = np.where(there, sums / np.maximum(there, 1), 1.0).astype(np.float32)
        filling = mean[:, lag]
    return np.where(gone, filling, maps)


TEXTURES: dict[str, Callable[[Maps, float, np.random.Generator], Maps]] = {
    "white": _white,
    "smooth": _smooth,
    "stripe": _stripe,
    "tailed": _tailed,
    "masked": _masked,
}
