"""Noisy maps as instruments give them, from noise-free ones: what a training step sees."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd.dynamics import noisy
from ainerd.latent._grid import SIZE, from_triangle
from ainerd.latent.training._truths import PARAMETERS, Truths

# Photons per pixel of an exposure (0.01 to 2 a frame, 5000 frames), pixels per bin, contrast: log-uniform, log-uniform
# and uniform.
PHOTONS, PIXELS, CONTRAST = (40.0, 10000.0), (150.0, 5000.0), (0.04, 0.4)
_NO_CONTRAST = 0.004  # what stands for none at all
_SPECKLED, _SUMS, _EMPTY, _CLEAN, _DRIFTING = 0.15, 0.08, 0.02, 0.08, 0.4


@dataclass(frozen=True)
class Examples:
    """Noisy `maps` (n, 64, 64) of baseline 1 and |g1|² behind each, its `shape`.

    `noise` is roughly the variance of the noise of `shape`; `truth` its place in the truths, -1 where the map is
    another one's.
    """

    maps: NDArray[np.float32]
    shape: NDArray[np.float32]
    contrast: NDArray[np.float32]
    noise: NDArray[np.float32]
    truth: NDArray[np.int64]


def examples(truths: Truths, n: int, rng: np.random.Generator) -> Examples:
    """Draw n truths and two noisy maps of each: 2 n examples, the second halves of the first."""
    which = rng.integers(len(truths.family), size=n)
    shape = from_triangle(truths.triangles[which].astype(np.float32))
    kinds = np.split(np.arange(n), (np.cumsum([_SPECKLED, _SUMS, _EMPTY]) * n).astype(int))[:3]
    shape[kinds[0]] = speckled(shape[kinds[0]], rng)
    flowless = np.flatnonzero(truths.parameters[:, PARAMETERS.index("fringe")] == 0)
    other = from_triangle(truths.triangles[rng.choice(flowless, kinds[1].size)].astype(np.float32))
    part = rng.uniform(0.2, 0.8, (kinds[1].size, 1, 1)).astype(np.float32)
    shape[kinds[1]] = part * shape[kinds[1]] + (1 - part) * other
    shape[kinds[2]] = 0
    which[: kinds[2][-1] + 1] = -1

    shape, which = np.concatenate([shape, shape]), np.concatenate([which, which])
    contrast = rng.uniform(*CONTRAST, 2 * n).astype(np.float32)
    photons, pixels = (np.exp(rng.uniform(np.log(low), np.log(high), 2 * n)) for low, high in (PHOTONS, PIXELS))
    maps = noisy(contrast[:, None, None] * shape, n_pixels=pixels, n_frames=1.0, counts=photons, rng=rng)[:, 0]
    contrast[shape[:, 0, 0] == 0] = _NO_CONTRAST
    noise = (contrast + SIZE / photons) ** 2 / pixels / contrast**2
    clean = rng.random(2 * n) < _CLEAN
    maps[clean], noise[clean] = 1 + contrast[clean, None, None] * shape[clean], 0
    _drift(maps, rng)
    return Examples(maps, shape, contrast, noise.astype(np.float32), which)


def speckled(shape: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Maps as a few coherent areas realise them: bins of real runs show structure that is theirs alone."""
    n, cells = len(shape), np.arange(SIZE)
    covariance = shape.copy()
    covariance[:, cells, cells] += 6e-3  # what float16 can lack of being positive definite
    field = np.linalg.cholesky(covariance) @ rng.standard_normal((n, SIZE, 2 * SIZE), dtype=np.float32)
    areas = np.exp(rng.uniform(np.log(12), np.log(2 * SIZE), n))
    field *= np.arange(2 * SIZE) < areas[:, None, None]
    realised = field @ field.swapaxes(1, 2)
    level = shape.diagonal(0, 1, 2).mean(1) / np.maximum(realised.diagonal(0, 1, 2).mean(1), 1e-3)
    return level[:, None, None] * realised


def _drift(maps: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Offsets of the baseline, and intensities that wander or flicker, in some of the maps, in place."""
    n, t = len(maps), np.linspace(-1, 1, SIZE)
    chosen = rng.random((3, n, 1)) < _DRIFTING
    wander = 0.012 * rng.standard_normal((n, 1)) * np.sin(rng.uniform(0.5, 8, (n, 1)) * t + rng.uniform(0, 6.3, (n, 1)))
    flicker = 0.003 * rng.standard_normal((n, SIZE))
    along = (chosen[0] * wander + chosen[1] * flicker).astype(np.float32)
    maps *= 1 + along[:, :, None] + along[:, None, :]
    maps += (0.01 * chosen[2] * rng.standard_normal((n, 1))).astype(np.float32)[:, :, None]
