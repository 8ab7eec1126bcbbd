"""Opposite bins: how much their profiles over the lag differ, beyond the noise of their pixels.

By Friedel's symmetry bins across the beam from each other see the same, whatever the dynamics are. Only the sample or
the instrument can make them differ. An offset of a bin and an error of its contrast are left out.
"""

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.latent import SIZE, to_triangle
from ainerd_xpcs.technique._noise_by_lag import by_lag

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]


def differences(maps: Singles, pairs: NDArray[np.int64], n_pixels: Floats) -> Floats:
    """Return the differences (…, p, 64) of profiles of pairs (p, 2) of bins, as large as the noise of one pixel.

    `maps` are (…, n_roi, 64, 64), of bins of `n_pixels`, (n_roi,).
    """
    profiles, (first, second) = by_lag(to_triangle(maps)), pairs.T
    noise = np.sqrt(1 / n_pixels[first] + 1 / n_pixels[second])[:, None]
    return np.asarray((profiles[..., first, :] - profiles[..., second, :]) / noise)


def opposite(differing: Floats, profiles: Floats, white: Floats) -> Floats:
    """Return the log (n,) of the squared differences (n, p, 64) over those of noise; zero without a pair.

    `profiles`, (n, p, 64), are those of the sectors of the pairs, and `white`, (n, p, 64, 64), is as of `whitening`.
    """
    n, pairs, _ = differing.shape
    if not pairs:
        return np.zeros(n)
    known = white @ np.stack([np.ones(profiles.shape), profiles], axis=3)
    basis, _ = np.linalg.qr(known)  # (n, p, 64, 2)
    scaled = white @ differing[..., None]
    left = np.square(scaled).sum((1, 2, 3)) - np.square(basis.swapaxes(2, 3) @ scaled).sum((1, 2, 3))
    return np.asarray(np.log(left / (pairs * (SIZE - 3)) + 1e-9))
