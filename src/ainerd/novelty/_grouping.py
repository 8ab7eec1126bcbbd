"""Group the results of an agent: by their embeddings, corrected by p-values, under numbers that persist."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd.novelty._linkage import tree_of
from ainerd.novelty._regimes import match_labels, mean_distances
from ainerd.technique import Regimes

CLOSE = 2 / 3  # of the width: 19 in 20 pairs of one regime are closer
BETWEEN = 1.4  # widths: a lone result this close to a regime may still belong to it
Find = Callable[[NDArray[np.float32], NDArray[np.int64]], Regimes]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Grouped:
    """Regimes, and whether each result (n,) is novel but as close to known results of its regime as these are."""

    regimes: Regimes
    ambiguous: NDArray[np.bool_]


def grouped(
    find: Find, z: NDArray[np.float32], previous: Ints, novel: Ints, *, width: float | None, highest: int = -1
) -> Grouped:
    """Group results.

    Parameters
    ----------
    find : callable
        `ainerd.technique.Technique.regimes`.
    z : ndarray, shape (n, d)
        Embeddings.
    previous, novel : ndarray of int, shape (n,)
        Current regime numbers, -1 for none; 1 for novel, 0 for not novel, -1 without a verdict.
    width : float, optional
        Distance that two results of one regime rarely exceed; without it p-values change nothing.
    highest : int
        Highest regime number ever used.
    """
    regimes = find(z, previous)
    labels, ambiguous = regimes.labels, np.zeros(len(z), dtype=bool)
    if width is not None:
        labels, ambiguous = _corrected(np.asarray(z, dtype=float), labels, novel, width)
    return Grouped(_renamed(regimes, match_labels(labels, previous, highest=highest)), ambiguous)


def _corrected(z: NDArray[np.float64], labels: Ints, novel: Ints, width: float) -> tuple[Ints, NDArray[np.bool_]]:
    """Return the labels as corrected by p-values, and which novel results remain among known ones.

    A novel result does not take the label of a regime with results that are not novel, unless it lies as close to them
    as results of one regime do. Novel results that are taken out form regimes of their own. A lone result that is not
    novel, and hardly farther from a regime than its own results are, is unassigned until another exposure decides.
    """
    out, close = np.array(labels, dtype=np.int64), np.zeros(len(z), dtype=bool)
    fresh = int(out.max(initial=-1)) + 1
    for regime in np.unique(out[(novel == 1) & (out >= 0)]):
        known, new = (np.flatnonzero((out == regime) & ((novel == 1) == is_new)) for is_new in (False, True))
        if not known.size:
            continue
        apart = mean_distances(z[new], z[known], [slice(None)])[:, 0] > CLOSE * width
        close[new[~apart]] = True
        moved = new[apart]
        if moved.size:
            out[moved] = fresh - 1 + tree_of(z[moved], width).groups(width)
            fresh = int(out.max()) + 1
    size = np.bincount(out[out >= 0], minlength=1)
    alone = np.flatnonzero((novel == 0) & (out >= 0) & (size[np.maximum(out, 0)] == 1))
    larger = np.flatnonzero((out >= 0) & (size[np.maximum(out, 0)] > 1))
    if alone.size and larger.size:
        mean = mean_distances(z[alone], z[larger], [out[larger] == k for k in np.unique(out[larger])])
        out[alone[mean.min(1) <= BETWEEN * width]] = -1
    return out, close


def _renamed(found: Regimes, labels: Ints) -> Regimes:
    """Return the regimes under other labels (n,): each takes the label of most of its results."""
    named = {int(old): _most_frequent(labels[found.labels == old]) for old in np.unique(found.labels)}

    def predict(z: NDArray[np.float32]) -> Ints:
        return np.array([named.get(int(label), -1) for label in found.predict(z)], dtype=np.int64)

    n = int(np.unique(labels[labels >= 0]).size)
    low, high = found.supported_range
    return Regimes(labels=labels, n_regimes=n, supported_range=(min(low, n), max(high, n)), predict=predict)


def _most_frequent(labels: Ints) -> int:
    values, counts = np.unique(labels, return_counts=True)
    return int(values[counts.argmax()])
