"""A few points that stand for very many."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

MOST = 2000  # points that are compared pair by pair
_AT_ONCE = 2000
_WIDER = 1.5


def leaders(z: NDArray[np.float64], radius: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """At most `MOST` points (m, e), and which of them each of `z`, (n, e), is near, (n,).

    Each point joins the nearest leader within the radius, or else leads. Where that makes too many, the radius grows.
    A leader gives way to the mean of its points in the end.
    """
    while (led := _led(z, radius)) is None:
        radius *= _WIDER
    _, led = np.unique(led, return_inverse=True)
    count = np.bincount(led)
    return np.stack([np.bincount(led, weights=column) / count for column in z.T], axis=1), led


def _led(z: NDArray[np.float64], radius: float) -> NDArray[np.int64] | None:
    """Which leader each point is near, (n,); None if there would be more than `MOST`."""
    led, leading, n = np.empty(len(z), dtype=np.int64), np.empty((MOST, z.shape[1])), 1
    leading[0] = z[0]
    for first in range(0, len(z), _AT_ONCE):
        some = z[first : first + _AT_ONCE]
        distance = cdist(some, leading[:n])
        near, apart = distance.argmin(1), distance.min(1)
        for i in np.flatnonzero(apart > radius):
            if apart[i] <= radius:  # one that leads since is near
                continue
            if n == MOST:
                return None
            leading[n] = some[i]
            new = np.linalg.norm(some - some[i], axis=1)
            closer = new < apart
            near[closer], apart[closer] = n, new[closer]
            n += 1
        led[first : first + _AT_ONCE] = near
    return led
