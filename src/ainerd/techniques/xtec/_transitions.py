"""Temperatures of transitions: an order parameter with critical scattering, in the mean trajectories of clusters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

EXPONENTS = (0.25, 0.5, 0.66, 0.8, 1.0, 1.5)  # 2 beta
WIDTHS = (0.012, 0.025, 0.04, 0.07, 0.13)  # of critical scattering, as a share of the range
SHAPES = ("none", "cusp", "lorentzian", "cusp, narrow below", "lorentzian, narrow below")
# Of a trajectory that spans 1: what the curves leave at best, and, where they leave no more, sd of the heights of a
# constant, a slope, an order parameter and critical scattering that are expected.
NOISE, HEIGHTS = 0.01, (3.0, 1.0, 2.0, 1.0)
LEAST = -1e300  # log evidence where there is none
FEWEST = 8  # temperatures: the model has up to seven numbers, three of them on a grid
FINE = 8  # temperatures tried between two that were measured
EVIDENT = 3.0  # nats by which a transition is more probable than a cubic
TOGETHER = 1.5  # steps between what clusters say of one transition


@dataclass(frozen=True)
class Posteriors:
    """Where the transitions of k trajectories may be.

    Attributes
    ----------
    grid, p : ndarray, shape (g,) and (g, k)
        Temperatures and their probabilities, over all shapes, exponents and widths.
    evidence : ndarray, shape (k,)
        Nats by which a transition somewhere is more probable than a cubic; NaN where nothing can be said.
    order : ndarray, shape (k,)
        Share of the order parameter in what changes at the transition; the rest is critical scattering.
    """

    grid: NDArray[np.float64]
    p: NDArray[np.float64]
    evidence: NDArray[np.float64]
    order: NDArray[np.float64]

    @property
    def evident(self) -> NDArray[np.bool_]:
        """Whether there is a transition at all, (k,)."""
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


def posteriors(t: NDArray[np.float64], means: NDArray[np.float64], errors: NDArray[np.float64]) -> Posteriors:
    """Where each of the trajectories (k, n) at `t` (n,), ascending, with these standard errors has a transition.

    Each is a line, plus an order parameter (1 - t / Tc)^(2 beta), plus critical scattering around Tc. Fewer than
    `FEWEST` temperatures say nothing.
    """
    if t.size < FEWEST:
        nothing = np.full(len(means), np.nan)
        return Posteriors(t, np.zeros((t.size, len(means))), nothing, nothing)
    y, noise = scaled(means, errors)
    gaps = np.repeat(np.diff(t[1:-1]) / FINE, FINE)
    grid = np.repeat(t[1:-2], FINE) + gaps * (np.tile(np.arange(FINE), t.size - 3) + 0.5)
    prior = np.log(gaps / gaps.mean())
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
    return Posteriors(grid, np.exp(at - total), total - cubic, share[best, np.arange(len(means))])


def transitions(t: NDArray[np.float64], found: Posteriors) -> list[Transition]:
    """Transitions that trajectories show, by temperature; those of several clusters within 1.5 steps are one.

    It is at the median of the product of what its clusters say. The interval is that of their mean, so that it holds
    what clusters, exponents, widths and shapes of the critical scattering differ by; to either side a third of a step
    is added in squares.
    """
    at = found.grid[found.p.argmax(axis=0)]
    groups: list[list[int]] = []
    for k in sorted(np.flatnonzero(found.evident).tolist(), key=lambda k: at[k]):
        if groups and at[k] - (before := at[groups[-1][-1]]) <= TOGETHER * min(_step(t, before), _step(t, at[k])):
            groups[-1].append(k)
        else:
            groups.append([k])
    return [_joint(t, found, group) for group in groups]


def _joint(t: NDArray[np.float64], found: Posteriors, which: list[int]) -> Transition:
    grid, p, gaps = found.grid, found.p[:, which], np.gradient(found.grid)
    together = np.log(np.maximum(p / gaps[:, None], 1e-300)).sum(axis=1)
    (at,) = _quantiles(grid, gaps * np.exp(together - together.max()), (0.5,))
    low, middle, high = _quantiles(grid, p.mean(axis=1), (0.05, 0.5, 0.95))
    third = _step(t, middle) / 3
    low, high = middle - float(np.hypot(middle - low, third)), middle + float(np.hypot(high - middle, third))
    return Transition(at, min(low, at), max(high, at), tuple(which), float(found.evidence[which].max()))


def _quantiles(grid: NDArray[np.float64], p: NDArray[np.float64], shares: Sequence[float]) -> list[float]:
    return np.interp(shares, (np.cumsum(p) - p / 2) / p.sum(), grid).tolist()


def _step(t: NDArray[np.float64], at: float) -> float:
    """Between the two temperatures on either side."""
    return float(np.diff(t)[np.clip(np.searchsorted(t, at) - 1, 0, t.size - 2)])


def curves(
    t: NDArray[np.float64],
    grid: NDArray[np.float64],
    within: tuple[float, float],
    shape: str,
    exponents: Sequence[float] = EXPONENTS,
    widths: Sequence[float] = WIDTHS,
) -> NDArray[np.float64]:
    """What a trajectory is a sum of at `t`, for a transition at each of `grid`, each exponent and each width.

    A constant, a slope, the order parameter, which is 1 at the lower end of `within`, and critical scattering, which is
    1 at the transition: (len(exponents) * len(widths) * g, n, 4), or a column less for the shape "none".
    """
    low, span = within[0], within[1] - within[0]
    line = np.broadcast_to(np.stack([np.ones(t.size), (t - low) / span - 0.5])[:, None], (2, grid.size, t.size))
    columns = []
    for exponent in exponents:
        order = np.clip(1 - t / grid[:, None], 0, None) ** exponent
        order /= np.maximum(1 - low / grid[:, None], 1e-12) ** exponent
        for width in widths if shape != "none" else (1.0,):
            far = (t - grid[:, None]) / (width * span)
            far = np.where(far < 0, 2 * far, far) if "narrow" in shape else far
            peak = 1 / (1 + np.abs(far)) if "cusp" in shape else 1 / (1 + far**2)
            columns.append(np.stack([*line, order, *([] if shape == "none" else [peak])], axis=-1))
    return np.concatenate(columns)


def scaled(means: NDArray[np.float64], errors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Trajectories (k, n) around 0 that span 1, as columns (n, k), and what curves leave of each at best, (k,)."""
    span = np.maximum(np.ptp(means, axis=1), 1e-9)
    y = (means - means.mean(axis=1, keepdims=True)) / span[:, None]
    return y.T, np.hypot(NOISE, np.median(errors, axis=1) / span)


def weighed(
    x: NDArray[np.float64], y: NDArray[np.float64], noise: NDArray[np.float64]
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """How probable models (m, n, p) are of trajectories `y` (n, k): log evidence (m, k), over the number of models.

    Then heights (m, p, k), the sum of squares that is left (m, k), and the inverse (m, p, p) of the normal equations.
    The prior of heights is Gaussian, that of the noise an inverse gamma of two degrees of freedom around `noise` (k,).
    Of many models those with a negative order parameter or critical scattering are out.
    """
    n, p = x.shape[1:]
    prior = (NOISE / np.array(HEIGHTS[:p])) ** 2
    across = x.transpose(0, 2, 1)
    gram = across @ x + np.diag(prior)
    inverse, right = np.linalg.inv(gram), across @ y
    heights = inverse @ right
    left = np.maximum(np.sum(y**2, axis=0) - np.sum(heights * right, axis=1), 0) + 2 * noise**2
    occam = 0.5 * (np.linalg.slogdet(gram)[1] - np.log(prior).sum()) + np.log(len(x))
    logs = -occam[:, None] - 0.5 * (n + 2) * np.log(left)
    if len(x) > 1:
        logs[(heights[:, 2:] < 0).any(axis=1)] = -np.inf
    return logs, heights, left, inverse
