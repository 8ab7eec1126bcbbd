"""Opposite bins: how much their profiles over the lag differ, beyond the noise of their pixels.

By Friedel's symmetry bins across the beam from each other see the same, whatever the dynamics are. Only the sample or
the instrument can make them differ. An offset of a bin and an error of its contrast are left out.
"""

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.latent import SIZE, to_triangle
from ainerd_xpcs.technique._noise_by_lag import OF_LAG, by_lag

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

_NOISE_ERR = 0.1  # of the noise of a run, in natural logarithm: the size of a speckle is not known better


def differences(maps: Singles, pairs: NDArray[np.int64], n_pixels: Floats) -> Floats:
    """Return the differences (p, 64) of profiles of pairs (p, 2) of bins, as large as the noise of one pixel.

    `maps` are (n_roi, 64, 64), of bins of `n_pixels`, (n_roi,).
    """
    profiles, (first, second) = by_lag(to_triangle(maps)), pairs.T
    noise = np.sqrt(1 / n_pixels[first] + 1 / n_pixels[second])[:, None]
    return np.asarray((profiles[first] - profiles[second]) / noise)


def drawn_differences(covariances: Singles, n_pairs: int, rng: np.random.Generator) -> Floats:
    """Draw differences (n, p, 64) of pairs of bins that see the same, with these covariances (n, 64, 64)."""
    out = np.empty((len(covariances), n_pairs, SIZE))
    values, vectors = np.linalg.eigh(covariances)
    roots = vectors * np.sqrt(np.maximum(values, 0))[:, None]
    for one, root in zip(out, roots, strict=True):
        white = rng.standard_normal((n_pairs, SIZE, SIZE), dtype=np.float32)
        one[:] = by_lag(to_triangle(root @ (white + white.swapaxes(1, 2)) @ root.T)) / np.sqrt(2)
    return out * np.exp(_NOISE_ERR / 2 * rng.standard_normal((len(out), 1, 1)))


def opposite(differing: Floats, profiles: Floats, expected: Floats) -> Floats:
    """Return the log (n,) of the squared differences (n, p, 64) over those expected; zero without a pair.

    `profiles`, (n, 64), are those of the mean maps, and `expected`, (n,), is as of `expected_left`.
    """
    if not differing.shape[1]:
        return np.zeros(len(differing))
    root = np.sqrt(OF_LAG)
    known = np.stack([np.broadcast_to(root, profiles.shape), profiles * root], axis=2)
    basis, _ = np.linalg.qr(known)  # (n, 64, 2)
    scaled = differing * root
    left = np.square(scaled).sum((1, 2)) - np.square(scaled @ basis).sum((1, 2))
    return np.asarray(np.log(left / (differing.shape[1] * expected) + 1e-9))
