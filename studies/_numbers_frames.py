"""Speckle movies with known g1, contrast and counts, made here and nowhere else: nothing of `ainerd` is in them.

The field of a pixel is a complex Gaussian process with the correlation asked for, by the Cholesky factor of its
covariance; intensities are those of some modes added up, which sets the contrast (Goodman, Speckle Phenomena in
Optics, 2007, ch. 3); counts are Poisson.
"""

import numpy as np
from numpy.typing import NDArray


def stretched(n_frames: int, tau: float, exponent: float) -> NDArray[np.float64]:
    """g1 at lags 0 … n_frames - 1 of a stretched exponential, whose g2 - 1 is contrast * exp(-2 (t / tau)^exponent)."""
    with np.errstate(divide="ignore"):
        return np.exp(-((np.arange(n_frames) / tau) ** exponent))


def modes(contrast: float) -> NDArray[np.float64]:
    """Weights of independent modes, sum 1, sum of squares `contrast`: one larger than the others, which are equal."""
    n = int(np.ceil(1 / contrast - 1e-9))
    if n == 1:
        return np.ones(1)
    # a + (n - 1) b = 1, a² + (n - 1) b² = contrast
    first = (1 + np.sqrt((n - 1) * (n * contrast - 1))) / n
    return np.append(first, np.full(n - 1, (1 - first) / (n - 1)))


def intensity(rng: np.random.Generator, g1: NDArray, n_pixels: int, contrast: float) -> NDArray[np.float32]:
    """Speckle intensities of mean 1, (T, n_pixels); `contrast` 0 is a flat field, g1 all 1 a static one."""
    n = len(g1)
    if contrast == 0:
        return np.ones((n, n_pixels), np.float32)
    factor = _factor(g1)
    total = np.zeros((n, n_pixels), np.float32)
    for weight in modes(contrast):
        for _ in range(2):  # real and imaginary part
            noise = rng.standard_normal((factor.shape[1], n_pixels), np.float32)
            total += np.float32(weight / 2) * (factor @ noise) ** 2
    return total


def counts(rng: np.random.Generator, bright: NDArray, photons: float) -> NDArray[np.uint16]:
    """Poisson counts with `photons` a pixel and frame on average."""
    return rng.poisson(photons * bright.astype(float)).astype(np.uint16)


def _factor(g1: NDArray) -> NDArray[np.float32]:
    """What makes noise that is independent from frame to frame correlated: (T, T), or (T, 1) if nothing moves."""
    if (g1 == 1).all():
        return np.ones((len(g1), 1), np.float32)
    where = np.arange(len(g1))
    covariance = g1[np.abs(where[:, None] - where)]
    return np.linalg.cholesky(covariance + 1e-6 * np.eye(len(g1))).astype(np.float32) / np.float32(np.sqrt(1 + 1e-6))
