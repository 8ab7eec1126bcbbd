"""Hidden maps as phase diagrams of mixtures are: few phases, most of which touch a corner or an edge.

The looked-at kinds are power diagrams (weighted Voronoi cells) in a square or a triangle, and two large phases. The
held-back kinds are drawn in other ways; no policy was tuned on them. Each phase has at least `LEAST` of the area.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from studies._foreign_maps import SIDE, Drawn, drawn_map

LEAST = 0.02  # share of the area of each phase
Kinds = dict[str, Callable[[np.random.Generator], Drawn]]

_across, _up = np.meshgrid(*[(np.arange(SIDE) + 0.5) / SIDE] * 2)
SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
TRIANGLE = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]])
_in_triangle = (_up <= 2 * _across) & (_up <= 2 * (1 - _across))


def _cells(rng: np.random.Generator, n: int, corners: NDArray[np.float64]) -> tuple[Drawn, NDArray[np.float64]]:
    """Return the cell of each pixel in a power diagram of n seeds, and its power: a third of the seeds at corners."""
    seeds = np.empty((n, 2))
    for k, luck in enumerate(rng.random(n)):
        first, second = corners[rng.choice(len(corners), 2, replace=False)]
        at_edge = first + (second - first) * (0.0 if luck < 0.35 else rng.random()) + rng.normal(0, 0.055, 2)
        seeds[k] = at_edge if luck < 0.65 else rng.dirichlet(np.ones(len(corners))) @ corners
    weights = rng.uniform(0, 0.15, n)
    power = [(_across - x) ** 2 + (_up - y) ** 2 - w for (x, y), w in zip(seeds, weights, strict=True)]
    return np.argmin(power, axis=0), np.min(power, axis=0)


def _with_rest(rng: np.random.Generator, corners: NDArray[np.float64], inside: NDArray[np.bool_]) -> Drawn:
    """Return one to five cells. Pixels far from all seeds, and those outside, are the rest."""
    n = int(rng.integers(1, 6))
    cell, power = _cells(rng, n, corners)
    near = power <= np.quantile(power[inside], rng.uniform(0.3, 0.8))
    return np.where(near & inside, cell, n)


def _square(rng: np.random.Generator) -> Drawn:
    """Two to five cells that fill the square."""
    return _cells(rng, int(rng.integers(2, 6)), SQUARE)[0]


def _square_with_rest(rng: np.random.Generator) -> Drawn:
    return _with_rest(rng, SQUARE, np.ones_like(_in_triangle))


def _triangle_with_rest(rng: np.random.Generator) -> Drawn:
    return _with_rest(rng, TRIANGLE, _in_triangle)


def _two_large(rng: np.random.Generator) -> Drawn:
    """Two cells with a fifth of the area at least."""
    while True:
        cell, _ = _cells(rng, 2, SQUARE)
        if 0.2 <= cell.mean() <= 0.8:
            return cell


def _domes(rng: np.random.Generator) -> Drawn:
    """One to three miscibility gaps: parabolas that stand on an edge, in a solution."""
    drawn = np.zeros((SIDE, SIDE), dtype=np.int64)
    for k in range(1, int(rng.integers(2, 5))):
        x, y = (_across, _up) if rng.random() < 0.5 else (_up, _across)
        y = y if rng.random() < 0.5 else 1 - y
        top, half = rng.uniform(0.2, 0.8), rng.uniform(0.12, 0.4)
        drawn[y < top * (1 - ((x - rng.random()) / half) ** 2)] = k
    return drawn


def _sectors(rng: np.random.Generator) -> Drawn:
    """Three to five phases that meet at a point, with bent borders."""
    x, y = rng.uniform(0.2, 0.8, 2)
    r, angle = np.hypot(_across - x, _up - y), np.arctan2(_up - y, _across - x)
    borders = np.sort(rng.uniform(-np.pi, np.pi, int(rng.integers(3, 6))))
    return np.searchsorted(borders, (angle + rng.uniform(-0.8, 0.8) * r + np.pi) % (2 * np.pi) - np.pi) % len(borders)


def _eutectic(rng: np.random.Generator) -> Drawn:
    """A melt above two falling lines that meet, with two solid solutions at the sides and a mixture between them."""
    at, low = rng.uniform(0.25, 0.75), rng.uniform(0.2, 0.6)
    left, right = rng.uniform(low + 0.1, 1.0, 2)
    fall, rise = left + (low - left) * _across / at, low + (right - low) * (_across - at) / (1 - at)
    liquidus = np.where(_across < at, fall, rise)
    alpha, beta = rng.uniform(0.05, 0.3, 2)
    solid = np.where(_across < alpha * _up / low, 1, np.where(1 - _across < beta * _up / low, 2, 3))
    return np.where(_up > liquidus, 0, np.where(_up > low, np.where(_across < at, 4, 5), solid))


LOOKED_AT: Kinds = {
    "two large phases": _two_large,
    "cells of a triangle": _triangle_with_rest,
    "cells of a square": _square,
    "cells of a square, rest": _square_with_rest,
}
HELD_BACK: Kinds = {"domes": _domes, "sectors": _sectors, "eutectic": _eutectic}


def phase_map(i: int, seed: int, kinds: Kinds) -> tuple[str, Drawn]:
    """Return kind and phases (SIDE, SIDE), 0 … n - 1, of map `i`: the kinds in turns, all else by `seed`."""
    kind = list(kinds)[i % len(kinds)]
    return kind, drawn_map(kinds[kind], np.random.default_rng([seed, i, 77]), LEAST, 2)
