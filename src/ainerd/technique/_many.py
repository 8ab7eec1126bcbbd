"""What a technique says of many runs, and what they have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Regimes:
    """The regimes of many runs.

    Attributes
    ----------
    labels : ndarray of int, shape (n,)
        Regime of each run; -1 is unassigned.
    n_regimes : int
        How many there are.
    supported_range : tuple of int
        Fewest and most regimes the data speak for.
    predict : callable
        Regime of each of more runs, from their embeddings (m, d), without a refit; -1 for one that is like none.
    """

    labels: NDArray[np.int64]
    n_regimes: int
    supported_range: tuple[int, int]
    predict: Callable[[NDArray[np.float32]], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """Runs of known kinds: where a person who looks at the latent space finds their way.

    Attributes
    ----------
    embeddings : ndarray, shape (n, d), float32
        Always the same for one technique, so that axes drawn through them never turn.
    names : list of str
        What each is called.
    """

    embeddings: NDArray[np.float32]
    names: list[str]


@dataclass(frozen=True, kw_only=True)
class NullRegimes:
    """Simulated regimes of known kinds, as an agent that judges like the technique would have met them.

    Attributes
    ----------
    by_look : ndarray, shape (6, n)
        Evidence of n regimes, the mean of -log p of their exposures, after one, two, … exposures.
    smallest : ndarray, shape (m,)
        Smallest rank among these of m regimes of simulated nights.
    """

    by_look: NDArray[np.float64]
    smallest: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Common:
    """What all results of the same parameters have in common.

    Attributes
    ----------
    instrument : mapping of str to number or str
        Such as ``distance_m``.
    arrays : mapping of str to ndarray
    dims : mapping of str to tuple of str
    units : mapping of str to str
        Of the arrays.
    """

    instrument: Mapping[str, float | int | str | None] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
