"""What no exposure has hit yet: the chance of a hidden inclusion, and of a layer along a limit.

An inclusion is a disc whose centre c is uniform and whose radius r is log-uniform on [r_lo, r_hi] with the cumulative
F. After exposures at distance D(c) or more it is still unhit if r < D(c), and an exposure at x then hits it if
r > |x - c|. Two populations are weighed: discs anywhere, and discs that lie inside the limits, r < E(c), with E the
distance to the nearest limit:

    uncovered(x) = sum_c [F(min(D, E)) - F(|x - c|)]+ / sum_c F(E)        (inside; without E anywhere)

Each population has a rate, the expected number of its regimes on a sample. It has a gamma prior, and what was found
and what was covered without finding anything update it: (prior + found) / (1 + share covered). So whether inclusions
lie inside the limits is inferred, not assumed.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ainerd.steering._window import Window

PRIOR = np.array([1.0, 0.5])  # expected regimes: of inclusions inside the limits, of inclusions anywhere
LAYERS = 0.2  # expected regimes that lie along one of the limits
THINNEST, THICKEST = 0.125, 2.0  # of such layers, in units of the smallest feature
WIDEST = 0.25  # radius of the largest inclusion, in units of the window's width


@dataclass(frozen=True)
class Hidden:
    """Chances of hidden regions in a window."""

    window: Window
    smallest: float  # radius of a region that must not be missed; inclusions are sought from 0.6 of it on

    def radius_below(self, distance: NDArray) -> NDArray[np.float32]:
        """F, the chance that the radius of an inclusion is smaller."""
        low = 0.6 * self.smallest
        return _log_uniform(distance, low, max(WIDEST * self.window.width, 3 * low))

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.intp]]:
        """Centres that an inclusion may have that holds a node: their index, F, and where those of each node begin."""
        below = self.radius_below(cdist(self.window.nodes, self.window.nodes))
        node, centre = np.nonzero(below < 1)
        return centre, below[node, centre], np.searchsorted(node, np.arange(len(below)))

    @cached_property
    def _unseen(self) -> NDArray[np.float64]:
        """`uncovered` before the first exposure, (2, m)."""
        return self.uncovered(np.full(len(self.window.nodes), np.inf))[0]

    def uncovered(self, nearest: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What an exposure would hit that no earlier one has, `nearest` (m,) being the distance of each node to these.

        Returns the chance (2, m) that an exposure at the node is the first to hit a given inclusion, inside the limits
        and anywhere, and the chance (2,) that no exposure has hit it yet.
        """
        hit, unhit = np.zeros((2, len(nearest))), np.zeros(2)
        centre, below, begins = self._pairs
        for i, most in enumerate((self.window.edge, np.full(len(nearest), np.inf))):
            now, prior = self.radius_below(np.minimum(nearest, most)), self.radius_below(most).sum(dtype=float)
            if prior:
                hit[i] = np.add.reduceat(np.maximum(now[centre] - below, 0), begins) / prior
                unhit[i] = now.sum(dtype=float) / prior
        return hit, unhit

    def rates(self, unhit: NDArray[np.float64], found: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Expected regimes of the two populations on this sample, (2,).

        `found` are the positions (n, d) of each regime but the commonest. One that reaches farther than the widest
        inclusion, or closer to a limit than an inclusion inside would, speaks for the second population.
        """
        share = np.zeros(2)
        for positions in found:
            nodes = self.window.nearest_node(positions)
            speaks = PRIOR * self._unseen[:, nodes[self.window.edge[nodes].argmin()]]
            if np.linalg.norm(np.ptp(positions, axis=0)) > 2 * WIDEST * self.window.width:
                speaks[0] = 0.0
            share += speaks / max(speaks.sum(), np.finfo(float).tiny)
        return (PRIOR + share) / (2 - unhit)

    def layers(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected regimes along the limits that an exposure at each node would be the first to hit, (m,).

        A layer along a limit, as at the wall of a cell, has a log-uniform thickness.
        """
        thin, thick = THINNEST * self.smallest, THICKEST * self.smallest
        to_walls = np.hstack([positions - self.window.low, self.window.high - positions])
        seen = _log_uniform(np.maximum(to_walls.min(0, initial=np.inf), 0), thin, thick)
        walls = self.window.walls
        return LAYERS / walls.shape[1] * np.maximum(seen - _log_uniform(walls, thin, thick), 0).sum(1)

    def missed(self, nearest: NDArray[np.float64]) -> float:
        """Chance that a disc of the smallest radius, anywhere inside the limits but for what is excluded, is unhit."""
        inside = self.window.edge >= self.smallest
        centres = self.window.allowed & (inside if inside.any() else True)
        return float((nearest[centres] > self.smallest).mean()) if centres.any() else 0.0


def _log_uniform(x: NDArray, low: float, high: float) -> NDArray[np.float32]:
    """Cumulative of a log-uniform quantity on [low, high]."""
    with np.errstate(divide="ignore"):
        return np.clip(np.log(np.asarray(x, dtype=np.float32) / low) / np.log(high / low), 0, 1)
