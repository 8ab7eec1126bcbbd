"""Simulated maps of whole runs."""

import numpy as np

from ainerd_xpcs.dynamics import noisy


def noisy_runs(clean, *, n_pixels, n_frames, counts, rng, n_roi=18):
    """Draw C2 maps of whole runs, (n, n_roi, 64, 64): `noisy` at equal azimuthal bins around the full circle.

    `clean`, (n, d, 64, 64), is beta |g1|² at the d = 9 directions of `ainerd_xpcs.dynamics.DIRECTIONS`, of which each
    bin takes the nearest; d = 1 for isotropic dynamics. The statistics are as in `noisy`, one number for all.
    """
    n, d = clean.shape[:2]
    if d == 1:
        return noisy(clean[:, 0], n_pixels=n_pixels, n_frames=n_frames, counts=counts, rng=rng, draws=n_roi)
    nearest = (2 * np.arange(n_roi) + 1) * d // n_roi % d
    bins = clean[:, nearest].reshape(-1, 64, 64)
    maps = noisy(bins, n_pixels=n_pixels, n_frames=n_frames, counts=counts, rng=rng)
    return maps.reshape(n, n_roi, 64, 64)
