"""Belief over position: which regime is where, as of now."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

PER_FOLD = (0.0, 0.1, 0.3, 1.0)  # distances, in widths of the window, that one e-fold of age may count as
EVIDENCE = 3.0  # log-likelihood that must speak for age before it counts


@dataclass(frozen=True)
class SampleMap:
    """What is believed of the sample, on a grid.

    Attributes
    ----------
    axes : dict of str to ndarray
        Grid coordinates by actuator.
    regime : ndarray of int
        Most likely regime now; -1 where none is known. The first actuator runs along the last axis, (ny, nx) with two.
    confidence : ndarray
        Chance that it is this regime, and nothing unseen.
    unexplored : ndarray
        Chance that an exposure there hits a region that no exposure has hit.
    """

    axes: dict[str, NDArray[np.float64]]
    regime: NDArray[np.int64]
    confidence: NDArray[np.float64]
    unexplored: NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """Exposures with a regime.

    Attributes
    ----------
    position : ndarray, shape (n, d)
    label : ndarray of int, shape (n,)
    log_age : ndarray, shape (n,)
        Logarithm of the time since shear stopped, zero if it is not known.
    per_fold : float
        Distance that one e-fold of age counts as: 0 if regimes do not change with age.
    """

    position: NDArray[np.float64]
    label: NDArray[np.int64]
    log_age: NDArray[np.float64]
    per_fold: float = 0.0

    @property
    def regimes(self) -> NDArray[np.int64]:
        """Those there are, ascending."""
        return np.unique(self.label)

    def chances(self, apart: NDArray[np.float64], log_age: float) -> NDArray[np.float64]:
        """Chance of each regime at places (k, m) at an age, from distances `apart` (n, m) to the exposures.

        The chance is inverse to the distance to the nearest exposure of a regime, in space and age: with two regimes
        d2 / (d1 + d2).
        """
        return _chances(apart + self.per_fold * np.abs(self.log_age - log_age)[:, None], self.label, self.regimes)


def weigh_age(
    position: NDArray[np.float64], label: NDArray[np.int64], age_s: Sequence[float], width: float
) -> Labelled:
    """Labelled exposures, with how much age counts: so that ageing is not mistaken for space.

    The weight of age is the one under which exposures predict each other best, each left out in turn; age counts only
    if that speaks for it clearly.
    """
    age = np.asarray(age_s, dtype=float)
    usable = np.isfinite(age).all() and (age > 0).all() and np.ptp(age) > 0 if age.size else False
    log_age = np.log(age) if usable else np.zeros(len(label))
    found = Labelled(position, label, log_age)
    regimes = found.regimes
    if not usable or len(regimes) < 2:
        return found
    apart, folds = cdist(position, position), np.abs(log_age[:, None] - log_age)
    np.fill_diagonal(apart, np.inf)
    number = np.searchsorted(regimes, label)
    shared = np.flatnonzero(np.bincount(number)[number] > 1)  # a lone exposure cannot be predicted by others
    own, floor = (number[shared], shared), 0.01 * width
    likelihood = [np.log(_chances(apart + w * width * folds + floor, label, regimes)[own]).sum() for w in PER_FOLD]
    best = int(np.argmax(likelihood))
    if likelihood[best] - likelihood[0] < EVIDENCE:
        best = 0
    return Labelled(position, label, log_age, PER_FOLD[best] * width)


def _chances(far: NDArray[np.float64], label: NDArray[np.int64], regimes: NDArray[np.int64]) -> NDArray[np.float64]:
    nearest = np.stack([far[label == k].min(0) for k in regimes])
    near = 1 / np.maximum(nearest, 1e-9)
    return near / near.sum(0)
