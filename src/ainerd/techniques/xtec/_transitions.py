"""Temperatures of transitions: an order parameter with critical scattering, in the mean trajectories of clusters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ainerd.techniques.xtec._curves import LEAST, SHAPES, curves, scaled, weighed
from ainerd.threads import one_thread

FEWEST = 8  # temperatures: the model has up to seven numbers, three of them on a grid
FINE = 8  # temperatures tried between two that were measured
EVIDENT = 3.0  # nats by which a transition is more probable than a cubic
TOGETHER = 1.5  # steps between what clusters say of one transition


@dataclass(frozen=True)
class Posterior:
    """Where the transition of a trajectory may be.

    Attributes
    ----------
    grid, p : ndarray, shape (g,)
        Temperatures and their probabilities, over all shapes, exponents and widths.
    evidence : float
        Nats by which a transition somewhere is more probable than a cubic.
    order : float
        Share of the order parameter in what changes at the transition; the rest is critical scattering.
    """

    grid: NDArray[np.float64]
    p: NDArray[np.float64]
    evidence: float
    order: float

    @property
    def evident(self) -> bool:
        """Whether there is a transition at all."""
        return self.evidence > EVIDENT


@dataclass(frozen=True)
class Transition:
    """A transition that clusters share, and its 90 % interval.

    Attributes
    ----------
    at, low, high : float
    clusters : tuple of int
        Which of the trajectories show it.
    evidence : float
        Of the one that shows it best.
    """

    at: float
    low: float
    high: float
    clusters: tuple[int, ...]
    evidence: float


@one_thread
def posteriors(
    t: NDArray[np.float64], means: NDArray[np.float64], errors: NDArray[np.float64]
) -> list[Posterior | None]:
    """Where each of the trajectories (k, n) at `t` (n,), ascending, with these standard errors has a transition.

    Each is a line, plus an order parameter (1 - t / Tc)^(2 beta), plus critical scattering around Tc. None for all with
    fewer than `FEWEST` temperatures.
    """
    if t.size < FEWEST:
        return [None] * len(means)
    y, noise = scaled(means, errors)
    gaps = np.repeat(np.diff(t) / FINE, FINE)
    grid = np.repeat(t[:-1], FINE) + gaps * (np.tile(np.arange(FINE), t.size - 1) + 0.5)
    inside = slice(FINE, -FINE)
    grid, prior = grid[inside], np.log(gaps[inside] / gaps[inside].mean())
    of_shapes, shares = [], []
    for shape in SHAPES:
        logs, heights, *_ = weighed(curves(t, grid, (t[0], t[-1]), shape), y, noise)
        of_shapes.append(logs.reshape(-1, grid.size, len(means)) + prior[:, None] - np.log(len(SHAPES)))
        shares.append(heights[:, 2] / np.maximum(heights[:, 2:].sum(axis=1), 1e-30))
    logs, share = np.concatenate(of_shapes), np.concatenate(shares)
    at = logsumexp(logs, axis=0)
    total = np.maximum(logsumexp(at, axis=0), LEAST)
    cubic = weighed(np.vander((t - t[0]) / np.ptp(t) - 0.5, 4, increasing=True)[None], y, noise)[0][0]
    best = logs.reshape(-1, len(means)).argmax(axis=0)
    return [
        Posterior(grid, np.exp(at[:, k] - total[k]), float(total[k] - cubic[k]), float(share[best[k], k]))
        for k in range(len(means))
    ]


def transitions(t: NDArray[np.float64], found: Sequence[Posterior | None]) -> list[Transition]:
    """Transitions that trajectories show, by temperature; those of several clusters within 1.5 steps are one.

    It is at the median of the product of what its clusters say. The interval is that of their mean, so that it holds
    what clusters, exponents, widths and shapes of the critical scattering differ by; to either side a third of a step
    is added in squares.
    """
    evident = sorted((float(p.grid[p.p.argmax()]), k) for k, p in enumerate(found) if p is not None and p.evident)
    groups: list[list[tuple[float, int]]] = []
    for at, k in evident:
        if groups and at - (before := groups[-1][-1][0]) <= TOGETHER * min(_step(t, before), _step(t, at)):
            groups[-1].append((at, k))
        else:
            groups.append([(at, k)])
    return [_joint(t, found, [k for _, k in group]) for group in groups]


def _joint(t: NDArray[np.float64], found: Sequence[Posterior | None], which: list[int]) -> Transition:
    some = [p for k in which if (p := found[k]) is not None]
    grid = some[0].grid
    gaps = np.gradient(grid)
    together = np.sum([np.log(np.maximum(each.p / gaps, 1e-300)) for each in some], axis=0)
    (at,) = _quantiles(grid, gaps * np.exp(together - together.max()), (0.5,))
    low, middle, high = _quantiles(grid, np.mean([each.p for each in some], axis=0), (0.05, 0.5, 0.95))
    third = _step(t, middle) / 3
    low, high = middle - float(np.hypot(middle - low, third)), middle + float(np.hypot(high - middle, third))
    return Transition(at, min(low, at), max(high, at), tuple(which), max(each.evidence for each in some))


def _quantiles(grid: NDArray[np.float64], p: NDArray[np.float64], shares: Sequence[float]) -> list[float]:
    return np.interp(shares, (np.cumsum(p) - p / 2) / p.sum(), grid).tolist()


def _step(t: NDArray[np.float64], at: float) -> float:
    """Between the two temperatures on either side."""
    return float(np.diff(t)[np.clip(np.searchsorted(t, at) - 1, 0, t.size - 2)])
