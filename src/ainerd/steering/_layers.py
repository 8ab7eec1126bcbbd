"""The chance of an unseen layer, if the sample lies in layers."""

import numpy as np
from numpy.typing import NDArray

from ainerd.steering._window import Window

DIRECTIONS = 24
LAYERED = 0.65  # belief in layers while the regimes found lie in layers without an exception
PER_EXCEPTION = 2.0  # what one exception takes off the logarithm of that belief
NEW = 0.5  # chance that an unseen layer is of a regime not seen elsewhere


def layered(window: Window, positions: NDArray, labels: NDArray[np.int64]) -> tuple[float, NDArray[np.float64]]:
    """Belief that the sample lies in layers, and the chance (m,) that each node lies in an unseen, new one if it does.

    Along a direction the layers are a telegraph process: boundaries come at a rate of one more than the regimes known
    in the width of the window. Between two exposures of one regime an unseen layer needs a boundary on both sides;
    between two regimes there is one already. Directions are weighed by how many changes of regime they show beyond
    the fewest possible. The labels are 0 … k - 1; the belief is zero below two: one regime says nothing of layers.
    """
    chance = np.zeros(len(window.nodes))
    known = np.unique(labels).size
    if known < 2:
        return 0.0, chance
    along = positions @ (directions := _half_turn(window.low.size)).T
    changes = (np.diff(labels[np.argsort(x, kind="stable")]) for x in along.T)
    exceptions = np.array([*map(np.count_nonzero, changes)]) - (known - 1)
    fewest = exceptions.min()
    share = np.exp(-PER_EXCEPTION * (exceptions - fewest))  # 500 exceptions are nothing in floating point
    share /= share.sum()
    rate = (known + 1) / window.width
    for j in np.flatnonzero(share > 0.01):
        order = np.argsort(along[:, j], kind="stable")
        x, label, at = along[order, j], labels[order], window.nodes @ directions[j]
        after = np.searchsorted(x, at)
        left, right = np.clip(after - 1, 0, len(x) - 1), np.clip(after, 0, len(x) - 1)
        from_left, from_right = -np.expm1(-rate * np.abs(at - x[left])), -np.expm1(-rate * np.abs(x[right] - at))
        between = from_left * from_right
        changes = label[left] != label[right]
        between[changes] /= -np.expm1(-rate * (x[right] - x[left])[changes]).clip(None, -1e-6)
        between = np.where(after == 0, from_right, np.where(after == len(x), from_left, between))
        chance += share[j] * NEW * between
    return float(LAYERED * np.exp(-PER_EXCEPTION * fewest)), chance


def _half_turn(dimensions: int) -> NDArray[np.float64]:
    """Unit vectors without their opposites, (k, d): all round in two dimensions, else the axes."""
    if dimensions != 2:
        return np.eye(dimensions)
    turn = np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)
