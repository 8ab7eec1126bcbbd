"""The session's own reference: how far an exposure lies from earlier exposures of the session.

An exposure is compared with each component of earlier exposures. Its distance from the mean of a component, in units of
that component's spread, is ranked among simulated regimes of as many exposures. Given its regime, exposures of one
regime are exchangeable, so this p-value needs no bank that holds the sample. There is none if the nearest component
has too few exposures: an exposure of that kind would be compared with other kinds only.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST, MOST = 5, 18  # earlier exposures of a kind that is compared; with more the ranks are those of `MOST`
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


def own_p(
    x: NDArray[np.float32], groups: Iterable[ArrayLike], null: ArrayLike, width: float
) -> tuple[float, int] | None:
    """Compare an exposure (d,) with the session: the largest p-value over groups of earlier exposures, and its group.

    Parameters
    ----------
    x : ndarray, shape (d,)
    groups : iterable of ndarray, shape (k, d)
        Earlier exposures of each component. If the nearest one has fewer than `LEAST`, there is no p-value; others of
        fewer are left out.
    null : array_like, shape (14, n)
        From `null_distances`.
    width : float
        Distance that two exposures of one regime rarely exceed.

    Returns
    -------
    (float, int) or None
        The p-value, and the number of its group.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> null = null_distances(rng.normal(0, 1, (200, MOST + 1, 2)).astype(np.float32), width=4.0)
    >>> earlier = rng.normal(0, 1, (12, 2))
    >>> [round(own_p(np.array(x), [earlier], null, width=4.0)[0], 3) for x in ([0.5, 0.0], [9.0, 0.0])]
    [0.881, 0.005]
    >>> own_p(np.array([9.0, 0.0]), [earlier, [[8.5, 0.0]]], null, width=4.0) is None  # the nearest kind has one
    True
    """
    rows, p_values = np.asarray(null), []
    each = enumerate(map(np.asarray, groups))
    known = sorted((own_distance(x, earlier, width), number, len(earlier)) for number, earlier in each if len(earlier))
    if not known or known[0][2] < LEAST:
        return None
    for distance, number, k in known:
        if k >= LEAST:
            row = rows[min(k, MOST) - LEAST]
            p_values.append((float(1 + row.size - np.searchsorted(row, distance)) / (1 + row.size), number))
    return max(p_values, key=lambda p_of_group: p_of_group[0])
