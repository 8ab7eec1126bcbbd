"""Hidden maps of a second author, written from a description in words, and from nothing of the policy or its prior.

The description: small discs in a matrix; tilted bands of unequal width; weighted Voronoi cells. Each region has at
least 1.2 % of the area.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SIDE = 200  # pixels
LEAST = 0.012  # share of the area of each region
Drawn = NDArray[np.int64]

_across, _up = np.meshgrid(*[(np.arange(SIDE) + 0.5) / SIDE] * 2)


def _discs(rng: np.random.Generator) -> Drawn:
    """Three to six discs that do not touch, each a regime, in a matrix."""
    drawn, discs = np.zeros((SIDE, SIDE), dtype=np.int64), list[tuple[float, float, float]]()
    wanted = int(rng.integers(3, 7))
    while len(discs) < wanted:
        x, y, r = rng.random(), rng.random(), rng.uniform(0.062, 0.12)
        if all(np.hypot(x - u, y - v) > r + s + 0.02 for u, v, s in discs):
            discs.append((x, y, r))
            drawn[np.hypot(_across - x, _up - y) < r] = len(discs)
    return drawn


def _bands(rng: np.random.Generator) -> Drawn:
    """Four to seven tilted bands of unequal width, each a regime."""
    tilt, n = rng.uniform(-np.pi / 2, np.pi / 2), int(rng.integers(4, 8))
    depth = np.cos(tilt) * _across + np.sin(tilt) * _up
    shares = rng.gamma(1.2, size=n)
    return np.searchsorted(depth.min() + np.ptp(depth) * np.cumsum(shares / shares.sum())[:-1], depth)


def _cells(rng: np.random.Generator) -> Drawn:
    """Six to ten Voronoi cells with weights, each a regime."""
    n = int(rng.integers(6, 11))
    seeds, weights = rng.random((n, 2)), rng.uniform(0, 0.25, n)
    apart = [np.hypot(_across - x, _up - y) - weight for (x, y), weight in zip(seeds, weights, strict=True)]
    return np.argmin(apart, axis=0)


KINDS: dict[str, Callable[[np.random.Generator], Drawn]] = {
    "small discs": _discs,
    "tilted bands": _bands,
    "weighted cells": _cells,
}


def foreign_map(i: int, seed: int) -> tuple[str, Drawn]:
    """Return kind and regimes (SIDE, SIDE), 0 … n - 1, of map `i`: the kinds in turns, all else by `seed`."""
    kind = list(KINDS)[i % len(KINDS)]
    return kind, drawn_map(KINDS[kind], np.random.default_rng([seed, i, 29]), LEAST, 3)


def drawn_map(
    draw: Callable[[np.random.Generator], Drawn], rng: np.random.Generator, least: float, fewest: int
) -> Drawn:
    """Draw until there are `fewest` regimes, each with a share `least` of the area; number them 0 … n - 1."""
    while True:
        drawn = np.unique(draw(rng), return_inverse=True)[1].reshape(SIDE, SIDE)
        share = np.bincount(drawn.ravel()) / drawn.size
        if len(share) >= fewest and share.min() >= least:
            return drawn
