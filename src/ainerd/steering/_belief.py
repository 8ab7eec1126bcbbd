"""Belief over position: which regime is where."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SampleMap:
    """What is believed of the sample, on a grid.

    Attributes
    ----------
    axes : dict of str to ndarray
        Grid coordinates by actuator. The first one runs along the last axis of the arrays, (ny, nx) with two.
    regime : ndarray of int
        Most likely regime; -1 where none is known.
    confidence : ndarray
        Chance that it is this regime, and nothing unseen.
    unexplored : ndarray
        Chance that an exposure there hits a region that no exposure has hit.
    """

    axes: dict[str, NDArray[np.float64]]
    regime: NDArray[np.int64]
    confidence: NDArray[np.float64]
    unexplored: NDArray[np.float64]


def regime_chances(apart: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Chance of each regime at places, (k, m).

    It is inverse to the distance to the nearest exposure of the regime: with two of them d2 / (d1 + d2). `apart` (n, m)
    is the distance of n exposures to m places, `labels` (n,) are their regimes 0 … k - 1.
    """
    nearness = np.stack([1 / np.maximum(apart[labels == k].min(0), 1e-9) for k in range(labels.max() + 1)])
    return nearness / nearness.sum(0)
