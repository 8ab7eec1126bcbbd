"""Learn from regimes how the lengths of knobs compare."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEWEST, MOST = 12, 200  # exposures from which lengths are learned; exposures that are compared, the newest
GROWTH = 1.25  # of the number of exposures, after which lengths are learned again
SPREAD = np.log(2.0)  # prior: standard deviation of the logarithm of a length around its start value
WIDEST = np.log(4.0)  # most of it


def n_compared(n: int) -> int:
    """Return how many of n exposures are compared: a number that changes rarely as n grows; 0 for too few."""
    if n < FEWEST:
        return 0
    return int(FEWEST * GROWTH ** np.floor(np.log(n / FEWEST) / np.log(GROWTH) + 1e-9))


def stretch(positions: Floats, kind: Ints, apart: NDArray[np.bool_]) -> Floats:
    """Return the factors (d,) by which the lengths of knobs differ from their start values; their product is one.

    Two exposures at a distance r have one regime with the chance s + (1 - s) exp(-c r), with s that of any two. The
    factors, and c, are the most likely ones, with a log-normal prior of the factors. The pairs of an exposure, which
    depend on each other, count as one observation.

    Parameters
    ----------
    positions : ndarray, shape (n, d)
        In start lengths.
    kind : ndarray of int, shape (n,)
        Regimes; those of a path are one.
    apart : ndarray of bool, shape (d,)
        Knobs whose values have nothing in common. Their factor is one, and only exposures at one value are compared.
    """
    factors = np.ones(len(apart))
    positions, kind = positions[-MOST:], kind[-MOST:]
    n, d, (_, counts) = len(positions), int((~apart).sum()), np.unique(kind, return_counts=True)
    if d < 2 or n < FEWEST or len(counts) < 2:
        return factors
    i, j = np.triu_indices(n, 1)
    together = (positions[i][:, apart] == positions[j][:, apart]).all(1)
    i, j = i[together], j[together]
    squares, same = (positions[i] - positions[j])[:, ~apart] ** 2, kind[i] == kind[j]
    any_two = float(np.square(counts / n).sum())

    def cost(values: Floats) -> float:
        log = _centred(values[:-1])
        r = np.exp(values[-1]) * np.sqrt(squares @ np.exp(-2 * log))
        chance = np.clip(any_two + (1 - any_two) * np.exp(-r), 1e-6, 1 - 1e-6)
        likelihood = np.where(same, np.log(chance), np.log1p(-chance)).sum() * 2 / (n - 1)
        return float((log @ log) / (2 * SPREAD**2) - likelihood)

    limits = [(-WIDEST, WIDEST)] * (d - 1) + [(-5.0, 5.0)]
    found = minimize(cost, np.zeros(d), bounds=limits, method="L-BFGS-B")
    factors[~apart] = np.exp(np.clip(_centred(found.x[:-1]), -WIDEST, WIDEST))
    return factors


def _centred(free: Floats) -> Floats:
    """Return d numbers whose sum is zero, from d - 1."""
    values = np.append(free, 0.0)
    return np.asarray(values - values.mean())
