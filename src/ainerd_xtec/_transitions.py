"""Temperatures of transitions in the mean trajectories of clusters.

A trajectory is modelled by an order parameter with critical scattering.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import logsumexp

EXPONENTS = (0.25, 0.5, 0.66, 0.8, 1.0, 1.5)  # 2 beta
WIDTHS = (0.012, 0.025, 0.05, 0.1, 0.2)  # of critical scattering above the transition, as a share of the range
# of critical scattering: its form, how much narrower it is below the transition, and its height there; None without any
Shape = tuple[str, float, float] | None
BELOW = ((1.0, 1.0), (3.0, 1.0), (3.0, 0.7), (3.0, 0.3))
SHAPES: tuple[Shape, ...] = (None, *((form, *below) for form in ("cusp", "lorentzian") for below in BELOW))
# for a trajectory that spans 1: the smallest residual, and the expected sd of the heights of a constant, a slope, an
# order parameter and critical scattering
NOISE, HEIGHTS = 0.01, (3.0, 1.0, 2.0, 1.0)
LEAST = -1e300  # log evidence for impossible models
FEWEST = 8  # temperatures: the model has up to seven parameters, three of them on a grid
FINE = 8  # trial temperatures between two measured ones
EVIDENT = 5.0  # nats by which a transition must be more probable than a cubic
MODEL = 0.2  # steps by which the shape of the model is wrong
APART = 0.8  # steps between the intervals of clusters that may show two transitions
TOGETHER = 2.5  # steps: transitions of two clusters this close are one
MIXED = 2.5  # residual, in the noise, up to which a trajectory is a mixture of others
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectories:
    """Temperatures (n,), mean trajectories of clusters (k, n), and their standard errors."""

    temperatures: Floats
    means: Floats
    errors: Floats


@dataclass(frozen=True)
class Posteriors:
    """Posterior temperatures of the transitions of k trajectories.

    Attributes
    ----------
    grid, p : ndarray, shape (g,) and (g, k)
        Temperatures and their probabilities, over all shapes, exponents and widths.
    evidence : ndarray, shape (k,)
        Nats by which a transition somewhere is more probable than a cubic; NaN with too few temperatures.
    order : ndarray, shape (k,)
        Share of the order parameter in the change at the transition; the rest is critical scattering.
    """

    grid: Floats
    p: Floats
    evidence: Floats
    order: Floats

    @property
    def evident(self) -> NDArray[np.bool_]:
        """Whether there is a transition, (k,)."""
        return self.evidence > EVIDENT


@dataclass(frozen=True)
class Transition:
    """A transition that clusters share, and its 90 % interval.

    Attributes
    ----------
    at, low, high : float
    clusters : tuple of int
        Trajectories that show it.
    merged : bool
        Whether the intervals of these are apart: there may be two transitions.
    evidence : float
        Largest evidence of these.
    """

    at: float
    low: float
    high: float
    clusters: tuple[int, ...]
    merged: bool
    evidence: float


def posteriors(t: Floats, means: Floats, errors: Floats) -> Posteriors:
    """Return the posteriors of transitions in trajectories (k, n) at `t` (n,), ascending, with standard errors (k, n).

    Each trajectory is a line, plus an order parameter (1 - t / Tc)^(2 beta), plus critical scattering around Tc. Fewer
    than `FEWEST` temperatures give no result.
    """
    if t.size < FEWEST:
        nothing = np.full(len(means), np.nan)
        return Posteriors(t, np.zeros((t.size, len(means))), nothing, nothing)
    y, noise = _scaled(means, errors)
    gaps = np.repeat(np.diff(t[1:-1]) / FINE, FINE)
    grid = np.repeat(t[1:-2], FINE) + gaps * (np.tile(np.arange(FINE), t.size - 3) + 0.5)
    prior = np.log(gaps / gaps.mean())
    of_shapes, shares = [], []
    for shape in SHAPES:
        logs, heights = _evidence(_curves(t, grid, shape), y, noise)
        of_shapes.append(logs.reshape(-1, grid.size, len(means)) + prior[:, None] - np.log(len(SHAPES)))
        shares.append(heights[:, 2] / np.maximum(heights[:, 2:].sum(axis=1), 1e-30))
    logs, share = np.concatenate(of_shapes), np.concatenate(shares)
    at = logsumexp(logs, axis=0)
    total = np.maximum(logsumexp(at, axis=0), LEAST)
    cubic = _evidence(np.vander((t - t[0]) / np.ptp(t) - 0.5, 4, increasing=True)[None], y, noise)[0][0]
    best = logs.reshape(-1, len(means)).argmax(axis=0)
    return Posteriors(grid, np.exp(at - total), total - cubic, share[best, np.arange(len(means))])


def transitions(t: Floats, posterior: Posteriors) -> list[Transition]:
    """Return the transitions that trajectories show, by temperature; those within `TOGETHER` steps are merged.

    A transition lies at the median of the product of its clusters' posteriors. The interval is that of their mean, so
    it includes the differences between clusters, exponents, widths and shapes; `MODEL` steps are added in
    quadrature on either side.
    """
    at = posterior.grid[posterior.p.argmax(axis=0)]
    groups: list[list[int]] = []
    for k in sorted(np.flatnonzero(posterior.evident).tolist(), key=lambda k: at[k]):
        if groups and at[k] - (before := at[groups[-1][-1]]) <= TOGETHER * min(_step(t, before), _step(t, at[k])):
            groups[-1].append(k)
        else:
            groups.append([k])
    return [_joint(t, posterior, group) for group in groups]


def unmixed(known: Trajectories, evidence: Floats, found: Sequence[Transition]) -> list[Transition]:
    """Return the transitions, by temperature, without those that may be another one.

    The interval of such a transition holds a surer one; or its cluster mixes pixels of the two transitions beside it:
    the trajectory is a line plus trajectories of their clusters. `evidence` (k,) is that of each cluster.
    """
    y, noise = _scaled(known.means, known.errors)
    line = known.temperatures - known.temperatures.mean()
    smooth = np.column_stack([line, -line, np.ones_like(line), -np.ones_like(line)])
    kept = [x for x in found if not any(x.low < y.at < x.high and y.evidence > x.evidence for y in found)]
    while len(kept) > 2:
        surest = [max(each.clusters, key=lambda k: evidence[k]) for each in kept]
        off = [
            nnls(np.column_stack([smooth, y[:, [below, above]]]), y[:, k])[1] / noise[k]
            for below, k, above in zip(surest, surest[1:], surest[2:], strict=False)
        ]
        if min(off) > MIXED * np.sqrt(line.size):
            break
        del kept[int(np.argmin(off)) + 1]
    return kept


def _joint(t: Floats, posterior: Posteriors, which: list[int]) -> Transition:
    grid, p, gaps = posterior.grid, posterior.p[:, which], np.gradient(posterior.grid)
    together = np.log(np.maximum(p / gaps[:, None], 1e-300)).sum(axis=1)
    (at,) = _quantiles(grid, gaps * np.exp(together - together.max()), (0.5,))
    low, middle, high = _quantiles(grid, p.mean(axis=1), (0.05, 0.5, 0.95))
    step = _step(t, middle)
    wrong = MODEL * step
    low, high = middle - float(np.hypot(middle - low, wrong)), middle + float(np.hypot(high - middle, wrong))
    lows, highs = np.transpose([_quantiles(grid, each, (0.05, 0.95)) for each in p.T])
    merged = bool(lows.max() - highs.min() > APART * step)
    return Transition(at, min(low, at), max(high, at), tuple(which), merged, float(posterior.evidence[which].max()))


def _quantiles(grid: Floats, p: Floats, shares: Sequence[float]) -> list[float]:
    return np.interp(shares, (np.cumsum(p) - p / 2) / p.sum(), grid).tolist()


def _step(t: Floats, at: float) -> float:
    """Return the step between the two temperatures around `at`."""
    return float(np.diff(t)[np.clip(np.searchsorted(t, at) - 1, 0, t.size - 2)])


def _curves(t: Floats, grid: Floats, shape: Shape) -> Floats:
    """Return the components of a trajectory at `t`, for a transition at each of `grid`, each exponent and each width.

    The components are a constant, a slope, the order parameter, which is 1 at the lowest temperature, and critical
    scattering, which is 1 at the transition: (len(EXPONENTS) * len(WIDTHS) * g, n, 4), or one less without any.
    """
    low, span = t[0], np.ptp(t)
    line = np.broadcast_to(np.stack([np.ones(t.size), (t - low) / span - 0.5])[:, None], (2, grid.size, t.size))
    columns = []
    for exponent in EXPONENTS:
        order = (np.clip(grid[:, None] - t, 0, None) / (grid[:, None] - low)) ** exponent
        if shape is None:
            columns.append(np.stack([*line, order], axis=-1))
            continue
        form, narrower, height = shape
        for width in WIDTHS:
            far = (t - grid[:, None]) / (width * span)
            is_below = far < 0
            far = np.where(is_below, narrower * far, far)
            peak = 1 / (1 + np.abs(far)) if form == "cusp" else 1 / (1 + far**2)
            columns.append(np.stack([*line, order, np.where(is_below, height * peak, peak)], axis=-1))
    return np.concatenate(columns)


def _scaled(means: Floats, errors: Floats) -> tuple[Floats, Floats]:
    """Return the trajectories (k, n) centered and scaled to span 1, as columns (n, k), and their noise, (k,)."""
    span = np.maximum(np.ptp(means, axis=1), 1e-9)
    y = (means - means.mean(axis=1, keepdims=True)) / span[:, None]
    return y.T, np.hypot(NOISE, np.median(errors, axis=1) / span)


def _evidence(x: Floats, y: Floats, noise: Floats) -> tuple[Floats, Floats]:
    """Return the log evidence (m, k), over the number of models, of models (m, n, p) for trajectories `y` (n, k).

    Also return heights (m, p, k).
    The prior of heights is Gaussian, that of the noise an inverse gamma of two degrees of freedom around `noise` (k,).
    Among many models, those with a negative order parameter or critical scattering are excluded.
    """
    n, p = x.shape[1:]
    prior = (NOISE / np.array(HEIGHTS[:p])) ** 2
    across = x.transpose(0, 2, 1)
    gram = across @ x + np.diag(prior)
    right = across @ y
    heights = np.asarray(np.linalg.solve(gram, right), dtype=float)
    left = np.maximum(np.sum(y**2, axis=0) - np.sum(heights * right, axis=1), 0) + 2 * noise**2
    occam = 0.5 * (np.linalg.slogdet(gram)[1] - np.log(prior).sum()) + np.log(len(x))
    logs = -occam[:, None] - 0.5 * (n + 2) * np.log(left)
    if len(x) > 1:
        logs[(heights[:, 2:] < 0).any(axis=1)] = -np.inf
    return logs, heights
