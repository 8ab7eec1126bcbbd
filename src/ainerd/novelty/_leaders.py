"""A few points that stand for very many."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

MOST = 2000  # leaders
_AT_ONCE = 2000
_WIDER = 1.5


@dataclass(frozen=True)
class Leaders:
    """Means (m, e) of groups of points, and which of them each point is in.

    `count` (m,) is how many points a group has, `spread` (m,) their mean squared distance from the mean, and `led`
    (n,) the number of the group that a point is in.
    """

    points: NDArray[np.float64]
    count: NDArray[np.int64]
    spread: NDArray[np.float64]
    led: NDArray[np.int64]


def leaders(z: NDArray[np.float64], radius: float) -> Leaders:
    """At most `MOST` groups of the points `z`, (n, e).

    Some of the points lead, evenly spread over their order: where there are many points there are many leaders. Points
    farther than `radius` from all of these are led by others: each joins the nearest within the radius, or else leads.
    Where that makes too many, the radius grows. In the end each point joins the nearest, and a leader gives way to the
    mean of its points.
    """
    leading = z[:: -(-2 * len(z) // MOST)]
    led, apart = _nearest(z, leading)
    far = z[apart > radius]
    if len(far):
        while (of := _led(far, radius, MOST - len(leading))) is None:
            radius *= _WIDER
        leading = np.concatenate([leading, _means(far, of)])
        led, _ = _nearest(z, leading)
    _, led = np.unique(led, return_inverse=True)
    points, count = _means(z, led), np.bincount(led)
    spread = np.bincount(led, weights=((z - points[led]) ** 2).sum(1)) / count
    return Leaders(points, count, spread, led)


def _means(z: NDArray[np.float64], led: NDArray[np.int64]) -> NDArray[np.float64]:
    count = np.bincount(led)
    return np.stack([np.bincount(led, weights=column) / count for column in z.T], axis=1)


def _nearest(z: NDArray[np.float64], leading: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Number of the nearest leader of each point, and its distance, (n,)."""
    middle, near, apart = leading.mean(0), np.empty(len(z), dtype=np.int64), np.empty(len(z))
    about = leading - middle
    half = (about**2).sum(1) / 2
    for first in range(0, len(z), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        near[some] = (half - (z[some] - middle) @ about.T).argmin(1)  # a product of matrices is faster than distances
        apart[some] = np.linalg.norm(z[some] - leading[near[some]], axis=1)
    return near, apart


def _led(z: NDArray[np.float64], radius: float, most: int) -> NDArray[np.int64] | None:
    """Which leader each point is near, (n,); None if there would be more than `most`."""
    led, leading, n = np.empty(len(z), dtype=np.int64), np.empty((most, z.shape[1])), 1
    leading[0] = z[0]
    for first in range(0, len(z), _AT_ONCE):
        some = z[first : first + _AT_ONCE]
        distance = cdist(some, leading[:n])
        near, apart = distance.argmin(1), distance.min(1)
        for i in np.flatnonzero(apart > radius):
            if apart[i] <= radius:  # one that leads since is near
                continue
            if n == most:
                return None
            leading[n] = some[i]
            new = np.linalg.norm(some - some[i], axis=1)
            closer = new < apart
            near[closer], apart[closer] = n, new[closer]
            n += 1
        led[first : first + _AT_ONCE] = near
    return np.unique(led, return_inverse=True)[1]
