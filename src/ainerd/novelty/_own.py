"""The session's own reference: how far an exposure lies from earlier exposures of the session.

An exposure is compared with each component of earlier exposures. Its distance from the mean of a component, in units of
that component's spread, is ranked among simulated regimes of as many exposures. Given its regime, exposures of one
regime are exchangeable, so this p-value needs no bank that holds the sample.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST, MOST = 5, 18  # earlier exposures: with fewer there is no p-value, with more the ranks are those of `MOST`
LEVEL = 0.01  # at which an exposure differs from the session
FREEDOM, SPREAD = 2.0, 0.0693  # prior of the spread over all axes: degrees of freedom, and share of the width


def own_distance(x: NDArray[np.float32], earlier: NDArray[np.float32], width: float) -> float:
    """Return the distance of a point (d,) from earlier ones (k, d) in units of the spread expected of a new one.

    `width` is the distance that two exposures of one regime rarely exceed.
    """
    k, z = len(earlier), np.asarray(earlier, float)
    mean = z.mean(0)
    squares = FREEDOM * (SPREAD * width) ** 2 + float(np.square(z - mean).sum())
    return float(np.linalg.norm(x - mean) / np.sqrt((1 + 1 / k) * squares / (FREEDOM + k - 1)))


def null_distances(z: NDArray[np.float32], width: float) -> NDArray[np.float64]:
    """Return the distance of the next exposure from `LEAST` to `MOST` earlier ones of its regime, sorted in each row.

    `z` is (n, `MOST` + 1, d): exposures of n simulated regimes.

    Examples
    --------
    >>> regimes = np.random.default_rng(0).normal(0, 1, (200, MOST + 1, 2)).astype(np.float32)
    >>> null = null_distances(regimes, width=4.0)
    >>> np.quantile(null, 0.9, axis=1)[[0, -1]].round(1)  # with 5 and with 18 earlier exposures
    array([2.2, 1.6])
    """
    rows = [[own_distance(each[k], each[:k], width) for each in z] for k in range(LEAST, MOST + 1)]
    return np.sort(np.array(rows), axis=1)


def own_p(x: NDArray[np.float32], groups: Iterable[NDArray[Any]], null: ArrayLike, width: float) -> float | None:
    """Return the p-value of an exposure (d,) against the session: the largest over groups of earlier exposures.

    Parameters
    ----------
    x : ndarray, shape (d,)
    groups : iterable of ndarray, shape (k, d)
        Earlier exposures of each component. Those of fewer than `LEAST` are left out; without others there is no p.
    null : array_like, shape (14, n)
        From `null_distances`.
    width : float
        Distance that two exposures of one regime rarely exceed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> null = null_distances(rng.normal(0, 1, (200, MOST + 1, 2)).astype(np.float32), width=4.0)
    >>> earlier = rng.normal(0, 1, (12, 2))
    >>> [round(own_p(np.array(x), [earlier], null, width=4.0), 3) for x in ([0.5, 0.0], [9.0, 0.0])]
    [0.881, 0.005]
    """
    rows, found = np.asarray(null), []
    for earlier in groups:
        if len(earlier) >= LEAST:
            row = rows[min(len(earlier), MOST) - LEAST]
            stranger = row.size - np.searchsorted(row, own_distance(x, earlier, width))
            found.append(float(1 + stranger) / (1 + row.size))
    return max(found, default=None)
