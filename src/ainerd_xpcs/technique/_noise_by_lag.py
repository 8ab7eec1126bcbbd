"""Profiles over the lag, and the noise of Wishart maps in them.

The profile is the mean over ages of C2 - 1. A map of one pixel, whose reduced intensities have covariance S, has noise
of covariance S_ik S_jl + S_il S_jk between its cells (i, j) and (k, l).
"""

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.latent import COLS, ROWS, SIZE

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

OF_LAG = (1 - np.arange(SIZE) / SIZE) * (np.arange(SIZE) > 0)
"""Weight of each lag in a squared residual; that of zero has none, because it holds shot noise."""
_TO_LAGS = np.zeros((ROWS.size, SIZE), dtype=np.float32)
_TO_LAGS[np.arange(ROWS.size), COLS - ROWS] = 1 / (SIZE - (COLS - ROWS))


def by_lag(triangles: Singles) -> Floats:
    """Return the means over ages (…, 64) of triangles (…, 2080)."""
    return np.asarray(triangles @ _TO_LAGS, dtype=np.float64)


def expected_left(covariances: Singles, profiles: Floats, shot: float) -> Floats:
    """Return the squared residual (n,), weighted by `OF_LAG`, that the noise of one pixel leaves in a profile.

    Errors along the profile and offsets are left out. `covariances` (n, 64, 64) are mean maps of C2 - 1 with shot
    noise, `profiles` (n, 64) those without it, and `shot` is that of a cell.
    """
    share = np.array([_kept(profile, shot) for profile in profiles])
    return np.asarray(share * (_variances(covariances) @ OF_LAG))


@nb.njit(nogil=True, cache=True, fastmath=True)
def _variances(maps):  # type: ignore[no-untyped-def]
    """Return the variance (n, 64) of the profiles of maps of one pixel with these covariances (n, 64, 64)."""
    out = np.zeros((maps.shape[0], SIZE))
    for m in range(maps.shape[0]):
        s = maps[m].astype(np.float64)
        for lag in range(1, SIZE):
            n, total = SIZE - lag, 0.0
            for i in range(n):
                for j in range(n):
                    total += s[i, j] * s[i + lag, j + lag] + s[i, j + lag] * s[i + lag, j]
            out[m, lag] = total / n**2
    return out


@nb.njit(nogil=True, cache=True, fastmath=True)
def _kept(curve, shot):  # type: ignore[no-untyped-def]
    """Return the share of the noise of a profile (64,) that is neither along the profile nor an offset.

    It is that of the noise of one sector, as if dynamics were stationary.
    """
    s, last = np.zeros(2 * SIZE), SIZE - 1
    for lag in range(SIZE):
        s[lag] = abs(curve[lag])
    s[0] += shot
    first, second = np.sqrt(OF_LAG), np.sqrt(OF_LAG) * curve
    first = first / np.sqrt((first * first).sum())
    second = second - first * (first * second).sum()
    second = second / (np.sqrt((second * second).sum()) + 1e-9)
    total, removed = 0.0, 0.0
    for a in range(1, SIZE):
        for b in range(1, a + 1):
            m, n, covariance = SIZE - a, SIZE - b, 0.0
            for d in range(1 - n, m):
                both = s[abs(d)] * s[min(abs(d + a - b), last)] + s[min(abs(d - b), last)] * s[min(abs(d + a), last)]
                covariance += (min(m, n + d) - max(0, d)) * both
            covariance *= np.sqrt(OF_LAG[a] * OF_LAG[b]) / (m * n)
            if a == b:
                total += covariance
            removed += (2 if a != b else 1) * covariance * (first[a] * first[b] + second[a] * second[b])
    return max(1 - removed / total, 0.02)
