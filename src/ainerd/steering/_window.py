"""The window that may be measured: its limits, the excluded boxes, and a grid."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.words import place

NODES = 1600  # of the grid, about
Box = Mapping[str, tuple[float, float]]


class Window:
    """Limits of the actuators, excluded boxes, and a grid of cell centres.

    All actuators share one unit, in which distances are Euclidean. A box has limits by the actuators' names; an
    actuator without a name there is not limited. ValueError if the bounds are empty, not finite or without width, or a
    box names an unknown actuator.
    """

    def __init__(self, bounds: Box, excluded: Sequence[Box] = (), unit: str = "") -> None:
        if not bounds:
            raise ValueError("bounds are empty: name at least one actuator")
        for name, (low, high) in bounds.items():
            if not (np.isfinite([low, high]).all() and low < high):
                raise ValueError(f"bounds of {name!r} have no width: ({low}, {high})")
        self.names, self.unit = tuple(bounds), unit
        self.low, self.high = np.array(list(bounds.values()), dtype=float).T
        self.excluded = [self._checked(box) for box in excluded]
        width = self.high - self.low
        self.width = float(width.max())
        cell = (width.prod() / NODES) ** (1 / len(width))
        counts = np.maximum(np.round(width / cell), 1).astype(int)
        # Grid coordinates along each actuator, and the nodes (m, d), the last actuator running fastest.
        self.axes = [low + w * (np.arange(n) + 0.5) / n for low, w, n in zip(self.low, width, counts, strict=True)]
        self.nodes = np.stack([x.ravel() for x in np.meshgrid(*self.axes, indexing="ij")], axis=1)
        self.walls = np.hstack([self.nodes - self.low, self.high - self.nodes])  # (m, 2 d)
        self.edge = self.walls.min(1)  # distance of each node to the nearest limit
        self.allowed = self.free(self.nodes)

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Limits by name."""
        limits = zip(self.names, self.low, self.high, strict=True)
        return {name: (float(low), float(high)) for name, low, high in limits}

    def inside(self, positions: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether positions (n, d) lie within the limits."""
        return np.asarray(((positions >= self.low) & (positions <= self.high)).all(1))

    def free(self, positions: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether positions (n, d) lie outside all excluded boxes."""
        free = np.ones(len(positions), dtype=bool)
        for box in self.excluded:
            low, high = np.array([box.get(name, (-np.inf, np.inf)) for name in self.names]).T
            free &= ((positions < low) | (positions > high)).any(1)
        return free

    def nearest_node(self, positions: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the node of the cell of each position (n, d); outside the limits, that of the nearest cell."""
        counts = np.array([len(x) for x in self.axes])
        cell = (positions - self.low) / (self.high - self.low) * counts
        return np.asarray(np.ravel_multi_index(tuple(np.clip(cell.astype(int), 0, counts - 1).T), tuple(counts)))

    def objection(self, position: NDArray[np.float64]) -> str | None:
        """Return the reason why a position, (d,), may not be measured; None if it may be measured."""
        if not self.inside(position[None])[0]:
            return f"{self.text(position)} lies outside the bounds {self.bounds}"
        return None if self.free(position[None])[0] else f"{self.text(position)} lies in an excluded region"

    def text(self, position: NDArray[np.float64]) -> str:
        """Return a position (d,) in words."""
        return place(self.named(position), dict.fromkeys(self.names, self.unit))

    def length(self, x: float) -> str:
        """Return a length in words."""
        return f"{x:.2g} {self.unit}".rstrip()

    def changed(self, bounds: Box, excluded: Sequence[Box]) -> "Window":
        """Return a window with these limits and exclusions; this one if nothing changes."""
        if set(bounds) != set(self.names):
            raise ValueError(f"bounds must be of {', '.join(self.names)}, got {', '.join(bounds)}")
        window = Window({name: bounds[name] for name in self.names}, excluded, self.unit)
        return self if (window.bounds, window.excluded) == (self.bounds, self.excluded) else window

    def image(self, field: NDArray[Any]) -> NDArray[Any]:
        """Return a field on the nodes as an array, the first actuator along its last axis: (ny, nx) with two."""
        return field.reshape([len(x) for x in self.axes]).T

    def named(self, position: NDArray[np.float64]) -> dict[str, float]:
        """Return coordinates by name."""
        return {name: float(x) for name, x in zip(self.names, position, strict=True)}

    def _checked(self, box: Box) -> dict[str, tuple[float, float]]:
        unknown = set(box) - set(self.names)
        if unknown or not box:
            raise ValueError(f"an excluded region takes limits of {', '.join(self.names)}, got {dict(box)}")
        limits = {name: (float(low), float(high)) for name, (low, high) in box.items()}
        if not all(low <= high for low, high in limits.values()):
            raise ValueError(f"an excluded region has its limits the wrong way round: {limits}")
        return limits


class Windowed:
    """An optimizer whose suggestions lie in a window."""

    window: Window

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the actuators."""
        return self.window.names

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Limits of each actuator. They may be set: results stay known."""
        return self.window.bounds

    @bounds.setter
    def bounds(self, bounds: Box) -> None:
        self.window = self.window.changed(bounds, self.window.excluded)

    @property
    def excluded(self) -> list[dict[str, tuple[float, float]]]:
        """Boxes that are never suggested. They may be set: an empty list lifts all."""
        return list(self.window.excluded)

    @excluded.setter
    def excluded(self, regions: Sequence[Box]) -> None:
        self.window = self.window.changed(self.bounds, regions)

    def exclude(self, region: Box) -> None:
        """Exclude a box, which has limits by the actuators' names. An actuator without limits is not restricted."""
        self.excluded = [*self.window.excluded, dict(region)]
