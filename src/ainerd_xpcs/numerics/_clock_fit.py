"""Fit a sample's clock to the two-time map of a ring: Newton's method for the rates between cells and the shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._clock_noise import (
    N_SHAPE,
    clock_map,
    free_diagonal,
    information,
    step_products,
)
from ainerd_xpcs.numerics._clock_rate import GRID, SLOW, Prior, RateData, cost, covariance

Floats = NDArray[np.float64]
NO_SHARE = -8.0  # logit of a static share of nothing
_FIRST: Prior = (0.02, 0.15, 0.2)
_LEAST_NOISE = 0.02  # of a cell, as a share of the contrast
_SHARE_COST = 0.5  # log odds of no static share
_LONGEST, _AT_REST = 1.5, -1.0  # longest step of Newton's method, and log rate of a sample at rest
_ENOUGH = 0.03  # gain of the log likelihood below which a step is the last


@dataclass
class RingMaps:
    """C2 - 1 of the bins of a ring, (b, n, n), their shares of its pixels, the noise of cells, and their times."""

    bins: Floats
    weights: Floats
    noise: Floats  # (n, n), covariance of the shot noise of cells
    n_pixels: float
    age0: float  # of the first frame; times are in units of the exposure

    @property
    def n(self) -> int:
        """Number of cells."""
        return int(self.bins.shape[1])

    def halved(self) -> "RingMaps":
        """Return the maps of cells twice as long."""
        n = self.n // 2
        bins, noise = (x.reshape(*x.shape[:-2], n, 2, n, 2).mean((-3, -1)) for x in (self.bins, self.noise))
        return RingMaps(bins, self.weights, noise, self.n_pixels, self.age0)


@dataclass(frozen=True)
class ClockModel:
    """A model of a map: what `ClockFit.restore` takes, and what `ClockFit.gain` compares."""

    theta: Floats
    static: bool
    prior: Prior
    events: list[int]
    keep: NDArray[np.int64]
    fixed: float  # evidence without chi square
    weights: tuple[Floats, Floats]


class ClockFit:
    """The state of a fit: `theta`, logarithms of the rates and shape; `events`, steps whose rate is free.

    The rates are in units of 1 / exposure. The scatter of the bins around the ring, over that of independent pixels,
    is `scatter`.
    """

    def __init__(self, ring: RingMaps) -> None:
        self.ring, self.scatter, self.static = ring, 1.0, False
        self.prior: Prior = _FIRST
        self.events: list[int] = []
        self.theta = np.zeros(ring.n - 1 + N_SHAPE)
        self.keep_cells(np.arange(ring.n))

    def keep_cells(self, keep: NDArray[np.int64]) -> None:
        """Use these cells alone."""
        self.keep = keep
        self.times = (keep + 0.5) / self.ring.n
        self.steps, self.middles = np.diff(self.times), (self.times[1:] + self.times[:-1]) / 2
        self.bins = self.ring.bins[:, keep[:, None], keep]
        self.map = np.tensordot(self.ring.weights, self.bins, 1)
        log_age = np.log(self.middles + self.ring.age0)
        self.design = np.column_stack([np.ones(len(log_age)), log_age - log_age.mean()])
        self.at: Floats | None = None

    @property
    def m(self) -> int:
        """Number of steps."""
        return len(self.steps)

    @property
    def shape_prior(self) -> tuple[Floats, Floats]:
        """Inverse variances and means of the shape parameters."""
        wide = 1.5 if self.static else 1e-2
        return np.array([1.5, 0.4, wide]) ** -2, np.array([np.log(0.2), 0, -1.0 if self.static else NO_SHARE])

    def evaluate(self) -> None:
        """Compute map, noise, score and information at `theta`, unless they are known."""
        if self.at is not None and np.array_equal(self.at, self.theta):
            return
        m, k = self.m, self.ring.n_pixels / self.scatter
        parts = clock_map(self.theta, self.steps, 1 / self.ring.n)
        self.model = parts[0]
        noise = self.ring.noise[np.ix_(self.keep, self.keep)].copy()
        i = np.diag_indices(m + 1)
        noise[i] = np.maximum(noise[i], _LEAST_NOISE * np.exp(self.theta[m]))
        self.weight = np.linalg.inv(self.model + noise)
        self.squared = np.linalg.inv(self.weight**2)
        self.advance = np.exp(self.theta[:m]) * self.steps
        self.slope, shapes = parts[1], parts[[0, 2, 3]]
        self.shapes = shapes
        self.products = np.concatenate([step_products(self.weight, self.slope, self.advance), self.weight @ shapes])
        self.fisher, self.diagonals = information(self.products, self.weight, self.squared, k)
        self.z, _, _ = free_diagonal(self.weight, self.squared, self.map - self.model)
        self.score = self.scores(self.z) * k / 2
        self.at = self.theta.copy()

    def scores(self, z: Floats) -> Floats:
        """Return tr(D Z) of the parameters for matrices Z, (..., n, n)."""
        product = np.triu(self.slope * z, 1)
        crossed = (product.sum(-1) - product.sum(-2)).cumsum(-1)[..., :-1]
        shapes = np.tensordot(z, self.shapes, ([-2, -1], [1, 2]))
        return np.concatenate([2 * crossed * self.advance, shapes], axis=-1)

    def misfit(self, theta: Floats, weights: tuple[Floats, Floats]) -> float:
        """Return half of chi square at `theta` by these weights, with a free diagonal."""
        residual = self.map - clock_map(theta, self.steps, 1 / self.ring.n)[0]
        z, bare, own = free_diagonal(*weights, residual)
        return float(self.ring.n_pixels / self.scatter / 4 * ((z * bare).sum() + (np.diag(z) * own).sum()))

    def loss(self, theta: Floats, penalty: Floats) -> float:
        """Return the loss at `theta` with the weights of the last evaluation."""
        off = self._off_prior(theta)
        return self.misfit(theta, (self.weight, self.squared)) + float(0.5 * off @ penalty @ off)

    def _off_prior(self, theta: Floats) -> Floats:
        off = theta.copy()
        off[self.m :] -= self.shape_prior[1]
        return off

    def penalty(self) -> Floats:
        """Return the information of the prior, which constant and trend do not change."""
        m = self.m
        q = np.linalg.inv(covariance(self.middles, self.prior, self.events))
        across = q @ self.design
        out = np.zeros((m + N_SHAPE, m + N_SHAPE))
        out[:m, :m] = q - across @ np.linalg.solve(self.design.T @ across, across.T)
        out[np.arange(m, m + N_SHAPE), np.arange(m, m + N_SHAPE)] = self.shape_prior[0]
        return out

    def _length(self, step: NDArray[Any]) -> float:
        """Return the largest change; rates of a sample at rest may change at will."""
        out, slow = np.abs(step), np.maximum(_AT_REST - self.theta[: self.m], 0)
        out[: self.m] -= np.where(step[: self.m] > 0, slow, 2 * slow)
        return float(out.max())

    def newton(self, most: int) -> None:
        """Take Newton steps, `most` at most, and evaluate at the end."""
        damping, penalty = 1e-3, self.penalty()
        self.evaluate()
        for _ in range(most):
            old = self.loss(self.theta, penalty)
            up = self.score - penalty @ self._off_prior(self.theta)
            for _ in range(6):
                damped = self.fisher + penalty + damping * np.diag(np.diag(self.fisher) + 1e-6)
                step = np.asarray(np.linalg.solve(damped, up), dtype=float)
                expected = 0.5 * float(step @ up)
                step *= min(1, _LONGEST / max(self._length(step), 1e-9))
                new = np.clip(self.theta + step, -16, 7)
                new[-2] = min(new[-2], np.log(2))
                value = self.loss(new, penalty)
                if value < old:
                    damping *= 0.3
                    break
                damping = 10 * damping + 1e-3
            else:
                break
            if expected < _ENOUGH:
                break  # the score accounts for the rest
            self.theta = new
            self.evaluate()
            if old - value < _ENOUGH:
                break

    def measure_scatter(self) -> None:
        """Set `scatter` from the scores of the bins."""
        self.evaluate()
        s = self.scores(free_diagonal(self.weight, self.squared, self.bins - self.map)[0])
        factor = self.scatter_of(s, self.fisher * self.scatter)
        self.fisher, self.score = (x * self.scatter / factor for x in (self.fisher, self.score))
        self.scatter = factor

    def scatter_of(self, scores: Floats, fisher: Floats) -> float:
        """Return the mean square of scores of bins (b, m), in units of their information without scatter."""
        s = self.ring.n_pixels / 2 * scores * self.ring.weights[:, None]
        values, vectors = np.linalg.eigh(fisher)
        use = values > 1e-3 * values.max()
        b = len(s)
        if b < 3:
            return 1.0
        return float(((s @ vectors[:, use]) ** 2 / values[use]).sum() / use.sum() * b / (b - 1))

    def data(self) -> RateData:
        """Return what the map says of the log rates, with the shape integrated out."""
        self.evaluate()
        m, (precision, mean) = self.m, self.shape_prior
        f, b = self.fisher.copy(), self.score.copy()
        f[np.arange(m, m + N_SHAPE), np.arange(m, m + N_SHAPE)] += precision
        b[m:] -= precision * (self.theta[m:] - mean)
        across = np.linalg.solve(f[m:, m:], f[m:, :m])
        inner = f[:m, :m] - f[:m, m:] @ across
        inner = (inner + inner.T) / 2
        return RateData(inner, b[:m] - b[m:] @ across + inner @ self.theta[:m], self.middles, self.design)

    def state(self) -> "ClockModel":
        """Return the current model, which `restore` takes back."""
        self.evaluate()
        m, (precision, _) = self.m, self.shape_prior
        corner = self.fisher[m:, m:] + np.diag(precision)
        inner = self.data().information
        spread = np.eye(m) + inner @ covariance(self.middles, self.prior, self.events)
        projected = self.design.T @ np.linalg.solve(spread, inner) @ self.design
        dets = [np.linalg.slogdet(x)[1] for x in (spread, projected, corner)]
        off = self._off_prior(self.theta)
        fixed = (np.log(precision).sum() - sum(dets) - off @ self.penalty() @ off) / 2
        fixed -= len(self.events) * np.log(m) + cost(self.prior) + _SHARE_COST * self.static
        weights = self.weight, self.squared
        return ClockModel(self.theta, self.static, self.prior, list(self.events), self.keep, float(fixed), weights)

    def restore(self, model: "ClockModel") -> None:
        """Take a model of before."""
        if not np.array_equal(model.keep, self.keep):
            self.keep_cells(model.keep)
        self.theta, self.static, self.prior, self.events = model.theta, model.static, model.prior, list(model.events)
        self.evaluate()

    def gain(self, one: "ClockModel", other: "ClockModel") -> float:
        """Return the log evidence of a model over another.

        Laplace's approximation; chi square is the mean of that by the weights of either, which is symmetric, and needs
        no diagonal.
        """
        chi = [self.misfit(one.theta, w) - self.misfit(other.theta, w) for w in (one.weights, other.weights)]
        return one.fixed - other.fixed - float(np.mean(chi))

    def start(self) -> None:
        """Take the best of starts without and with a static share, from the mean over the lag."""
        n, tries = self.ring.n, []
        profile = np.array([np.diagonal(self.map, k).mean() for k in range(1, n * 3 // 4)])
        contrast = max(1.1 * profile[0], 0.02)
        left = float(np.clip(profile[-len(profile) // 4 :].mean() / contrast, 0, 0.8))
        starts = [(0.0, 1.0, 1.0), (0.0, 0.6, 1.5), (0.0, 1.5, 0.6)]
        starts += [(left, 1.0, 1.0), (left / 2, 0.6, 1.0)] if left > 0.015 else []
        for rest, exponent, factor in starts:
            below = np.flatnonzero(profile / contrast - rest < (1 - rest) * np.exp(-2))
            at = (below[0] + 1 if below.size else n) / n
            x = np.clip(np.sqrt(rest), 0.05, 0.8)
            logit = np.log(x / (1 - x)) if rest else NO_SHARE
            self.static, self.prior = rest > 0, _FIRST
            self.theta = np.r_[np.full(n - 1, np.log(factor / at)), np.log(contrast), np.log(exponent), logit]
            self.newton(4)
            tries.append(self.state())
        best = tries[0]
        for model in tries[1:]:
            best = model if self.gain(model, best) > 0 else best
        self.restore(best)
        self.prior = SLOW
        self.newton(6)
        self.measure_scatter()
        self.newton(4)

    def advance_between(self) -> float:
        """Return the advance of the clock without events."""
        quiet = np.setdiff1d(np.arange(self.m), self.events)
        u = self.theta[: self.m].copy()
        u[self.events] = np.interp(self.middles[self.events], self.middles[quiet], u[quiet])
        return float((np.exp(u) * self.steps).sum())

    def choose_static(self) -> tuple[float, float]:
        """Take a static share, or none, by the evidence.

        Return the probability of the other, and the logarithm of its clock over the chosen one.
        """
        mine, old, tries = self.state(), self.theta, []
        self.static ^= True
        starts = ((-1.5, 0.0), (-0.8, 0.5), (-0.3, 1.0)) if self.static else ((NO_SHARE, 0.0),)
        for logit, faster in starts:
            self.theta = np.r_[old[: self.m] + faster, old[self.m : -1], logit]
            self.newton(5)
            tries.append((self.loss(self.theta, self.penalty()), self.theta))
        self.theta = min(tries, key=lambda each: each[0])[1]
        self.newton(4)
        other, advance = self.state(), self.advance_between()
        gain = self.gain(mine, other)
        if gain > 0:
            self.restore(mine)
            return 1 / (1 + np.exp(min(gain, 500.0))), float(np.log(advance / self.advance_between()))
        self.restore(mine)
        before = self.advance_between()
        self.restore(other)
        return 1 / (1 + np.exp(min(-gain, 500.0))), float(np.log(before / advance))

    def choose_prior(self, grid: Sequence[Prior] = GRID, rounds: int = 2) -> None:
        """Take the prior of the most evidence."""
        for _ in range(rounds):
            evidence = self.data().evidence(self.events, tuple(grid))
            best = grid[int(evidence.log.argmax())]
            if best == self.prior:
                self.newton(2)
                return
            self.prior = best
            self.newton(4)
