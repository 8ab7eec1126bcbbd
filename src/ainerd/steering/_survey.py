"""What is known of the sample when the next position is chosen, as fields on the nodes of the window."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ainerd.steering._hidden import Hidden
from ainerd.steering._layers import layered
from ainerd.steering._window import Window

TravelTime = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class SampleMap:
    """What is believed of the sample, on a grid.

    Attributes
    ----------
    axes : dict of str to ndarray
        Grid coordinates by actuator. The first one runs along the last axis of the arrays, (ny, nx) with two.
    regime : ndarray of int
        Most likely regime; -1 where none is known.
    confidence : ndarray
        Chance that it is this regime, and nothing unseen.
    unexplored : ndarray
        Chance that an exposure there hits a region that no exposure has hit.
    """

    axes: dict[str, NDArray[np.float64]]
    regime: NDArray[np.int64]
    confidence: NDArray[np.float64]
    unexplored: NDArray[np.float64]


@dataclass(frozen=True)
class Survey:
    """Everything a policy may look at."""

    hidden: Hidden  # with the window
    visited: NDArray[np.float64]  # (n, d), measured, failed, or about to be measured; in order
    found: NDArray[np.float64]  # (l, d), of the exposures that have a regime
    regime: NDArray[np.int64]  # (l,), what it is called
    beam_size: float
    dose_limit: int  # exposures that a spot of the size of the beam may get
    travel_time: TravelTime  # seconds from a position (d,) to positions (n, d)
    exposure_s: float
    seed: int

    @property
    def window(self) -> Window:
        """Limits and nodes."""
        return self.hidden.window

    def may_measure(self, positions: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether positions (n, d) are within the limits, not excluded, and below the dose limit."""
        last, _ = self.places.query(positions, [self.dose_limit])  # infinite where fewer were visited
        may_take_more = last[:, 0] >= (1 - 1e-6) * self.beam_size
        return self.window.inside(positions) & self.window.free(positions) & may_take_more

    @cached_property
    def places(self) -> cKDTree:
        """The visited positions, for questions of what is near."""
        return cKDTree(self.visited)

    @cached_property
    def nearest(self) -> NDArray[np.float64]:
        """Distance to the nearest visited position."""
        return self.places.query(self.window.nodes)[0]

    @cached_property
    def regimes(self) -> NDArray[np.int64]:
        """What the k known regimes are called."""
        return np.unique(self.regime)

    @cached_property
    def label(self) -> NDArray[np.int64]:
        """Regime of each of `found`, 0 … k - 1."""
        return np.searchsorted(self.regimes, self.regime)

    @cached_property
    def chances(self) -> NDArray[np.float64]:
        """Chance of each known regime, (k, m): inverse to the distance to its nearest exposure."""
        of_each = [cKDTree(self.found[self.label == k]) for k in range(len(self.regimes))]
        nearest = [places.query(self.window.nodes)[0] for places in of_each]
        nearness = 1 / np.maximum(nearest, 1e-9)
        return nearness / nearness.sum(0)

    @cached_property
    def boundary(self) -> NDArray[np.float64]:
        """How evenly a node lies between two regimes, 0 … 1: twice the chance that the nearest one is wrong."""
        if len(self.regimes) < 2:
            return np.zeros(len(self.window.nodes))
        first = np.partition(self.chances, -2, axis=0)[-2:]
        return 2 * first[0] / first.sum(0)

    @cached_property
    def inclusions(self) -> NDArray[np.float64]:
        """Expected new regimes from hidden inclusions and from layers along the limits."""
        hit, unhit = self.hidden.uncovered(self.nearest)
        commonest = np.bincount(self.label, minlength=1).argmax()
        rarer = [self.found[self.label == k] for k in range(len(self.regimes)) if k != commonest]
        return self.hidden.rates(unhit, rarer) @ hit + self.hidden.layers(self.visited)

    @cached_property
    def layers(self) -> NDArray[np.float64]:
        """Chance of an unseen layer of a new regime."""
        return self._layered[0] * self._layered[1]

    @cached_property
    def gain(self) -> NDArray[np.float64]:
        """Expected number of new regimes."""
        belief, chance = self._layered
        return (1 - belief) * self.inclusions + belief * chance

    @cached_property
    def travel_s(self) -> NDArray[np.float64]:
        """Seconds to each node from the last visited position."""
        return self.travel_to(self.window.nodes)

    @property
    def missed(self) -> float:
        """Chance that a region of the smallest radius is unhit."""
        return self.hidden.missed(self.nearest)

    @property
    def map(self) -> SampleMap:
        """Belief over position."""
        window = self.window
        unexplored = -np.expm1(-self.gain)
        regime, sure = np.full(len(window.nodes), -1), np.zeros(len(window.nodes))
        if self.regimes.size:
            regime, sure = self.regimes[self.chances.argmax(0)], self.chances.max(0)
        fields = [window.image(field) for field in (regime, sure * (1 - unexplored), unexplored)]
        return SampleMap(dict(zip(window.names, window.axes, strict=True)), *fields)

    def terms(self, position: NDArray[np.float64]) -> dict[str, float]:
        """What speaks for and against a position (d,): those of `Explorer.suggest` that are fields."""
        node = self.window.nearest_node(position[None])[0]
        empty = np.linalg.norm(self.visited - position, axis=1).min(
            initial=np.linalg.norm(np.ptp(self.window.nodes, 0))
        )
        travel = float(self.travel_to(position[None])[0])
        return {
            "unexplored": float(-np.expm1(-self.inclusions[node])),
            "empty_radius": float(empty),
            "boundary": float(self.boundary[node]),
            "layer": float(self.layers[node]),
            "travel": travel / (travel + self.exposure_s),
            "missed": self.missed,
        }

    def travel_to(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds to positions (n, d) from the last visited one."""
        if not len(self.visited):
            return np.zeros(len(positions))
        seconds = np.asarray(self.travel_time(self.visited[-1], positions), dtype=float)
        if seconds.shape != (len(positions),) or not (seconds >= 0).all():
            raise ValueError(f"travel_time must give seconds ({len(positions)},), none negative, got {seconds!r}")
        return seconds

    @cached_property
    def _layered(self) -> tuple[float, NDArray[np.float64]]:
        return layered(self.window, self.found, self.label)
