"""What speaks for a position and what against it, each between 0 and 1."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDE_HOLE = 0.25  # of the widest bound


@dataclass(frozen=True)
class Visited:
    """Where the campaign has been, in units of the bounds.

    Attributes
    ----------
    position : ndarray, shape (n, d)
    label : ndarray of int, shape (n,)
        Regime; -1 where none is known.
    novel : ndarray of bool, shape (n,)
    """

    position: NDArray[np.float64]
    label: NDArray[np.int64]
    novel: NDArray[np.bool_]


def unexplored(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each candidate to the nearest visited position, 1 from `WIDE_HOLE` on.

    Parameters
    ----------
    distance : ndarray, shape (n_candidates, n_visited)
    """
    return np.minimum(distance.min(1) / WIDE_HOLE, 1)


def boundary(distance: NDArray[np.float64], label: NDArray[np.int64], reach: float) -> NDArray[np.float64]:
    """How evenly a candidate lies between two regimes, (2 d1 / (d1 + d2))², less within `reach` of a visited one."""
    regimes = np.unique(label[label >= 0])
    if regimes.size < 2:
        return np.zeros(len(distance))
    nearest = np.sort([distance[:, label == k].min(1) for k in regimes], axis=0)
    between = (2 * nearest[0] / np.maximum(nearest[0] + nearest[1], 1e-12)) ** 2
    return between * np.minimum(distance.min(1) / reach, 1)


def novel_neighbour(
    candidates: NDArray[np.float64], visited: Visited, reach: float, wanted: int
) -> NDArray[np.float64]:
    """How well a candidate brackets a novel spot that has fewer than `wanted` neighbours.

    High at `reach` from the spot and away from the neighbours it has.
    """
    score = np.zeros(len(candidates))
    for spot in visited.position[visited.novel]:
        around = np.linalg.norm(visited.position - spot, axis=1)
        neighbours = visited.position[(around > 0) & (around < 1.6 * reach)]
        if len(neighbours) >= wanted:
            continue
        ring = np.exp(-0.5 * ((np.linalg.norm(candidates - spot, axis=1) - reach) / (0.3 * reach)) ** 2)
        for other in neighbours:
            ring *= 1 - np.exp(-0.5 * (np.linalg.norm(candidates - other, axis=1) / reach) ** 2)
        score = np.maximum(score, ring)
    return score
