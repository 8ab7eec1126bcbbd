"""Temperatures of transitions: an order parameter with critical scattering, in the mean trajectories of clusters."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ainerd.threads import one_thread

FEWEST = 8  # temperatures: the model has up to seven numbers, three of them on a grid
FINE = 8  # temperatures tried between two that were measured
EXPONENTS = (0.25, 0.5, 0.66, 0.8, 1.0, 1.5)  # 2 beta
WIDTHS = (0.012, 0.025, 0.04, 0.07, 0.13)  # of critical scattering, as a share of the range
SHAPES = ("none", "cusp", "lorentzian", "cusp, narrow below", "lorentzian, narrow below")
# Sum of squares that may be left, as a share of that around a cubic: less for few temperatures, where noise alone comes
# below it in one of a hundred (by simulation, 8 to 15 temperatures).
EVIDENT, EVIDENT_PER_TEMPERATURE, EVIDENT_FROM = 0.3, 0.035, 8.0
TOGETHER = 1.5  # steps between what clusters say of one transition
LIKELY = 1.4  # in the sum of log misfits over clusters, for each: shapes that fit nearly as well as the best
# Of a trajectory that spans 1: what the curves leave at best, and sd of the heights of a constant, a slope, an order
# parameter and critical scattering that are expected.
NOISE, HEIGHTS = 0.01, (3.0, 1.0, 2.0, 1.0)
SURE = 1.64  # sd in a 90 % interval


@dataclass(frozen=True)
class Profile:
    """How well a trajectory is fitted with its transition at each of many temperatures.

    Attributes
    ----------
    grid : ndarray, shape (g,)
    left : ndarray, shape (len(SHAPES), g, 1 + m)
        Sum of squares that is left: of the trajectory, and of m with resampled peaks.
    misfit : float
        The least, as a share of that around a cubic.
    at : float
        Where it is.
    order : float
        Share of the order parameter in what changes at the transition; the rest is critical scattering.
    evident : bool
        Whether there is a transition at all.
    """

    grid: NDArray[np.float64]
    left: NDArray[np.float64]
    misfit: float
    at: float
    order: float
    evident: bool


@dataclass(frozen=True)
class Transition:
    """A transition that clusters share, and its 90 % interval.

    Attributes
    ----------
    at, low, high : float
    clusters : tuple of int
        Which of the trajectories show it.
    misfit : float
        Of the one that shows it best.
    """

    at: float
    low: float
    high: float
    clusters: tuple[int, ...]
    misfit: float


@one_thread
def profile(t: NDArray[np.float64], y: NDArray[np.float64]) -> Profile | None:
    """Fit a trajectory with a transition at each of many temperatures; None with fewer than `FEWEST`.

    A line, plus an order parameter (1 - t / Tc)^(2 beta), plus critical scattering around Tc.

    Parameters
    ----------
    t : ndarray, shape (n,)
        Ascending.
    y : ndarray, shape (1 + m, n)
        The trajectory, then m with resampled peaks.
    """
    if t.size < FEWEST:
        return None
    smooth = np.linalg.qr(np.vander((t - t.mean()) / np.ptp(t), 4))[0]
    y = (y - y[0].mean()) / max(float(np.ptp(y[0])), 1e-30)
    around = float(np.sum((y[0] - smooth @ (smooth.T @ y[0])) ** 2))
    total, left, shares = np.sum(y**2, axis=1), [], []
    for shape in SHAPES:
        grid, q, r = _designs(t.tobytes(), shape)
        z = np.einsum("mnc,bn->mcb", q[:, : t.size], y, optimize=True)
        rest = np.maximum(total - np.sum(z * z, axis=1), 1e-12 * total)
        critical = z[:, 3] / r[:, 3, 3, None] if shape != "none" else np.zeros_like(rest)
        order = (z[:, 2] - r[:, 2, -1, None] * critical * (shape != "none")) / r[:, 2, 2, None]
        rest = np.where((order < 0) | (critical < 0), np.inf, rest).reshape(-1, grid.size, len(y))
        best = rest[:, :, 0].argmin(axis=0), np.arange(grid.size)
        left.append(rest.min(axis=0))
        ordered, scattered = (part[:, 0].reshape(-1, grid.size)[best] for part in (order, critical))
        shares.append(ordered / np.maximum(ordered + scattered, 1e-30))
    every = np.array(left)
    best_shape, best_at = np.unravel_index(every[:, :, 0].argmin(), every.shape[:2])
    least = float(every[best_shape, best_at, 0])
    share = float(shares[best_shape][best_at])
    misfit = least / max(around, 1e-30)
    evident = misfit < min(EVIDENT, EVIDENT_PER_TEMPERATURE * (t.size - EVIDENT_FROM))
    return Profile(grid, every, misfit, float(grid[best_at]), share, evident)


def transitions(t: NDArray[np.float64], profiles: Sequence[Profile | None]) -> list[Transition]:
    """Transitions that trajectories show, by temperature; those of several clusters within 1.5 steps are one.

    Each is where the product of the misfits of its clusters is least. The interval is a third of a step to either side,
    and what shapes of the critical scattering, clusters and resampled peaks differ by, in squares.
    """
    evident = sorted((p.at, k) for k, p in enumerate(profiles) if p is not None and p.evident)
    groups: list[list[tuple[float, int]]] = []
    for at, k in evident:
        if groups and at - (before := groups[-1][-1][0]) <= TOGETHER * min(_step(t, before), _step(t, at)):
            groups[-1].append((at, k))
        else:
            groups.append([(at, k)])
    return [_joint(t, profiles, [k for _, k in group]) for group in groups]


def _joint(t: NDArray[np.float64], profiles: Sequence[Profile | None], which: list[int]) -> Transition:
    some = [p for k in which if (p := profiles[k]) is not None]
    grid = some[0].grid
    at = grid[sum(np.log(p.left.min(axis=0)) for p in some).argmin(axis=0)]
    by_shape = sum(np.log(np.minimum(p.left[:, :, 0], 1e30)) for p in some)
    likely = np.min(by_shape, axis=1) < np.min(by_shape) + LIKELY * len(some)
    spreads = [np.ptp(grid[np.argmin(by_shape, axis=1)][likely]) / 2, np.ptp([p.at for p in some]) / 2]
    half = np.sqrt(np.sum(np.square([_step(t, at[0]) / 3, SURE * at[1:].std() if at.size > 1 else 0.0, *spreads])))
    return Transition(float(at[0]), float(at[0] - half), float(at[0] + half), tuple(which), min(p.misfit for p in some))


def _step(t: NDArray[np.float64], at: float) -> float:
    """Between the two temperatures on either side."""
    return float(np.diff(t)[np.clip(np.searchsorted(t, at) - 1, 0, t.size - 2)])


@lru_cache(maxsize=2 * len(SHAPES))
def _designs(temperatures: bytes, shape: str) -> tuple[NDArray, NDArray, NDArray]:
    """The grid, and for each of its temperatures, each exponent and width an orthonormal basis and its triangle."""
    t = np.frombuffer(temperatures)
    grid = np.concatenate([a + (b - a) * (np.arange(FINE) + 0.5) / FINE for a, b in zip(t[:-1], t[1:], strict=True)])
    grid = grid[(grid > t[1]) & (grid < t[-2])]
    x = curves(t, grid, (t[0], t[-1]), shape)
    prior = np.diag(NOISE / np.array(HEIGHTS[: x.shape[2]]))  # rows below the others, where the trajectory is 0
    q, r = np.linalg.qr(np.concatenate([x, np.broadcast_to(prior, (len(x), *prior.shape))], axis=1))
    return grid, q, r


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
