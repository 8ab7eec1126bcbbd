"""What the bins of a ring have in common, and how they differ over azimuth: mean, second and fourth harmonic."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_RIDGE = 0.05  # keeps harmonics small that the bins do not tell, as in a narrow sector
ORDERS = (2, 4)  # by Friedel's symmetry there are no odd ones


def equal_azimuths(n: int) -> NDArray[np.float64]:
    """Centres, in degrees, of n equal bins around the full circle."""
    return np.asarray(360 / n * (np.arange(n) + 0.5), dtype=np.float64)


def harmonics(phi_deg: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float32]:
    """Operator (5, n) on what n bins show: mean, and cosine and sine of the second and the fourth harmonic.

    Weighted least squares; azimuths that are not finite tell the mean alone.
    """
    phi = np.asarray(phi_deg, dtype=float)
    share = np.full(phi.size, 1.0) if weights is None else np.asarray(weights, dtype=float)
    share = share / share.sum()
    out = np.zeros((1 + 2 * len(ORDERS), phi.size))
    if not np.isfinite(phi).all():
        out[0] = share
        return out.astype(np.float32)
    turn = np.deg2rad(phi)
    waves = np.stack([np.ones_like(turn), *(f(k * turn) for k in ORDERS for f in (np.cos, np.sin))])
    normal = (waves * share) @ waves.T + _RIDGE * np.diag([0.0] + [1.0] * (len(waves) - 1))
    return np.linalg.solve(normal, waves * share).astype(np.float32)


def rings_of(n: int, q: ArrayLike | None) -> list[NDArray[np.int64]]:
    """Which of n bins have one q, to within two per cent; those whose q is not known are one ring."""
    if q is None:
        return [np.arange(n)]
    q = np.asarray(q, dtype=float)
    order = np.argsort(q, kind="stable")
    step = np.diff(q[order]) > 0.02 * q[order][:-1]
    return [np.sort(part) for part in np.split(order, np.flatnonzero(step) + 1)]
