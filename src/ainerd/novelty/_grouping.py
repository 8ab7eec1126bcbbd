"""How an agent groups its results: by their points, by what p-values say against it, under numbers that last."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd.novelty._regimes import match_labels
from ainerd.novelty._settled import settled
from ainerd.technique import Regimes

Find = Callable[[NDArray[np.float32], NDArray[np.int64]], Regimes]


@dataclass(frozen=True)
class Grouped:
    """The regimes; and which novel results (n,) nothing but their p-value tells from known ones of their regime."""

    regimes: Regimes
    not_told_apart: NDArray[np.bool_]


def grouped(
    find: Find,
    z: NDArray[np.float32],
    previous: NDArray[np.int64],
    novel: NDArray[np.int64],
    *,
    width: float | None,
    highest: int = -1,
) -> Grouped:
    """Group results.

    Parameters
    ----------
    find : callable
        `ainerd.technique.Technique.regimes`.
    z : ndarray, shape (n, d)
        Embeddings.
    previous, novel : ndarray of int, shape (n,)
        Numbers that results have, -1 for none; 1 for novel, 0 for not, -1 for no claim.
    width : float, optional
        Distance that two results of one regime seldom exceed; without it p-values change nothing.
    highest : int
        Number that a regime had, ever.
    """
    found = find(z, previous)
    labels, close = found.labels, np.zeros(len(z), dtype=bool)
    if width is not None:
        said = settled(z, labels, novel, width=width)
        labels, close = said.labels, said.not_told_apart
    return Grouped(_renamed(found, match_labels(labels, previous, highest=highest)), close)


def _renamed(found: Regimes, labels: NDArray[np.int64]) -> Regimes:
    """The regimes that were found under other labels (n,): each by that of most of its results."""
    named = {int(old): _most(labels[found.labels == old]) for old in np.unique(found.labels)}

    def predict(z: NDArray[np.float32]) -> NDArray[np.int64]:
        return np.array([named.get(int(label), -1) for label in found.predict(z)], dtype=np.int64)

    n = int(np.unique(labels[labels >= 0]).size)
    low, high = found.supported_range
    return Regimes(labels=labels, n_regimes=n, supported_range=(min(low, n), max(high, n)), predict=predict)


def _most(labels: NDArray[np.int64]) -> int:
    values, counts = np.unique(labels, return_counts=True)
    return int(values[counts.argmax()])
