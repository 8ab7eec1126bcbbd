"""Rings of bins, harmonics over their azimuths, and a point for one run computed by hand.

Two exposures that yield at different moments belong to one regime, so the point must not depend on when in the exposure
something happens. It is computed from the decoded maps, which removes noise, and divided by their plateau, the mean at
lag zero, which removes the contrast of the beam:

====== ====================================================================================================
column meaning
====== ====================================================================================================
0–7    decay: mean of C - 1 over ages, in eight bins of log lag
8–14   unsteadiness: twice the standard deviation over ages, in the first seven of these bins
15     anisotropy: log(1 + a / 0.03), a the rms amplitude of the second harmonic over azimuth. By Friedel's
       symmetry the first harmonic is noise, so its power is subtracted: isotropic runs are near zero
====== ====================================================================================================
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.latent._grid import COLS, ROWS, to_triangle

# First lag of each bin, in cells of 1/64 exposure.
_LAGS = np.array([0, 1, 2, 3, 5, 8, 13, 21, 34])
LAG_BIN = np.searchsorted(_LAGS, COLS - ROWS, "right") - 1
LAG_MEAN = ((LAG_BIN == np.arange(_LAGS.size)[:, None]) / np.bincount(LAG_BIN)[:, None]).astype(np.float32)
_LEAST_PLATEAU = 0.01
_ANISOTROPY = 0.03
_RIDGE = 0.05  # keeps harmonics small that the bins do not determine, as in a narrow sector
_ORDERS = (2, 4)  # by Friedel's symmetry odd orders vanish

# Median distance between points of two runs of one regime, whose parameters differ by up to 25 % and whose events come
# at any time.
REGIME_SCATTER = 0.25


def embedding_of(
    maps: NDArray[np.float32], weights: NDArray[np.float64] | None = None, *, by_azimuth: bool = True
) -> NDArray[np.float32]:
    """Compute the point (16,) of one run from the decoded maps (n_roi, 64, 64) of a ring; see `run_embedding`."""
    columns, plateau = decay_and_unsteadiness(to_triangle(np.average(maps, axis=0, weights=weights)[None]) - 1)
    harmonic = _second_harmonic(maps[None]) if by_azimuth else np.zeros(1, np.float32)
    return np.hstack([columns, np.log1p(harmonic[:, None] / plateau / _ANISOTROPY)])[0].astype(np.float32)


def decay_and_unsteadiness(triangles: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return columns 0–14 (n, 15) of triangles (n, 2080) of C - 1, and the plateau (n, 1) they are divided by."""
    decay = triangles @ LAG_MEAN.T
    spread = np.sqrt(np.square(triangles - decay[:, LAG_BIN]) @ LAG_MEAN.T)
    plateau = np.maximum(decay[:, :1], _LEAST_PLATEAU)
    return np.hstack([decay[:, 1:] / plateau, 2 * spread[:, 1:-1] / plateau]), plateau


def _second_harmonic(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rms over cells of the second harmonic over azimuth (n,), less the power of the first."""
    n, n_roi = maps.shape[:2]
    if n_roi < 3:
        return np.zeros(n, dtype=np.float32)
    turn = 2 * np.pi * np.arange(n_roi) / n_roi
    waves = np.stack([f(h * turn) for h in (1, 2) for f in (np.cos, np.sin)]).astype(np.float32) / n_roi
    power = np.square(waves @ maps.reshape(n, n_roi, -1)).mean(2)
    return np.sqrt(np.maximum(power[:, 2:].sum(1) - power[:, :2].sum(1), 0))


def equal_azimuths(n: int) -> NDArray[np.float64]:
    """Return the centers, in degrees, of n equal bins around the full circle."""
    return np.asarray(360 / n * (np.arange(n) + 0.5), dtype=np.float64)


def harmonics(phi_deg: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float32]:
    """Return the operator (5, n) from values of n bins to mean, cosine and sine of the second and fourth harmonic.

    It is a weighted least-squares fit. If an azimuth is not finite, only the mean is determined.
    """
    phi = np.asarray(phi_deg, dtype=float)
    share = np.full(phi.size, 1.0) if weights is None else np.asarray(weights, dtype=float)
    share = share / share.sum()
    out = np.zeros((1 + 2 * len(_ORDERS), phi.size))
    if not np.isfinite(phi).all():
        out[0] = share
        return out.astype(np.float32)
    turn = np.deg2rad(phi)
    waves = np.stack([np.ones_like(turn), *(f(k * turn) for k in _ORDERS for f in (np.cos, np.sin))])
    normal = (waves * share) @ waves.T + _RIDGE * np.diag([0.0] + [1.0] * (len(waves) - 1))
    return np.linalg.solve(normal, waves * share).astype(np.float32)


def rings_of(n: int, q: ArrayLike | None) -> list[NDArray[np.int64]]:
    """Return the bins of each q, equal to within two percent; bins of unknown q are one ring."""
    if q is None:
        return [np.arange(n)]
    q = np.asarray(q, dtype=float)
    order = np.argsort(q, kind="stable")
    step = np.diff(q[order]) > 0.02 * q[order][:-1]
    return [np.sort(part) for part in np.split(order, np.flatnonzero(step) + 1)]
