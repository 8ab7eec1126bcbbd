"""The window that may be measured: its limits, the excluded boxes, and a grid."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.knobs import Knob, lengths
from ainerd.words import amount, place

NODES = 1600  # of the grid, about
FEWEST = 3  # of them along a knob
FAR = 100.0  # distance between the values of a knob that lie apart, in widths of the window
Box = Mapping[str, tuple[float, float]]


class Window:
    """Limits of the knobs, excluded boxes, and a grid of cell centres.

    Positions and distances in a window are counted in the lengths of the knobs; without lengths all knobs share one
    unit, and positions are in it. Distances are Euclidean; the values of a knob that lie apart are far from each other.
    Bounds and boxes have limits by the knobs' names, in their units; a knob without a name in a box is not limited.
    ValueError if the bounds are empty, not finite or without width, or a box names an unknown knob.

    Examples
    --------
    >>> window = Window({"sample_x": (0.0, 10.0), "sample_y": (0.0, 5.0)})
    >>> window.names
    ('sample_x', 'sample_y')
    """

    def __init__(
        self, bounds: Box, excluded: Sequence[Box] = (), unit: str = "", knobs: Mapping[str, Knob] | None = None
    ) -> None:
        if not bounds:
            raise ValueError("bounds are empty: name at least one actuator")
        for name, (low, high) in bounds.items():
            if not (np.isfinite([low, high]).all() and low < high):
                raise ValueError(f"bounds of {name!r} have no width: ({low}, {high})")
        self.names, self.knobs, self._unit = tuple(bounds), knobs or {}, unit
        self.units = {name: (self.knobs[name].unit if name in self.knobs else "") or unit for name in self.names}
        self.has_lengths = any(knob.length is not None for knob in self.knobs.values())
        self._limits = np.array(list(bounds.values()), dtype=float)  # (d, 2), in the units of the knobs
        self._values = [np.array(self._values_of(name, *limits)) for name, limits in bounds.items()]
        self.is_apart = np.array([name in self.knobs and self.knobs[name].apart for name in self.names])
        length = lengths(self.knobs)
        scale = np.array([length.get(name, 1.0) for name in self.names])
        width = np.ptp(self._limits, axis=1) / scale
        self.width = float(width[~self.is_apart].max(initial=0.0)) or 1.0
        gaps = [np.diff(x).min(initial=np.inf) if x.size > 1 else 1.0 for x in self._values]
        self.scale = np.where(self.is_apart, np.divide(gaps, FAR * self.width), scale)  # unit of a knob in a length
        self.low, self.high = self._limits.T / self.scale
        self.excluded = [self._checked(box) for box in excluded]
        self.axes = self._axes(self.high - self.low)
        # The nodes (m, d), the last knob running fastest.
        self.nodes = np.stack([x.ravel() for x in np.meshgrid(*self.axes, indexing="ij")], axis=1)
        self.walls = np.hstack([*np.where(self.is_apart, np.inf, [self.nodes - self.low, self.high - self.nodes])])
        self.allowed = self.free(self.nodes)

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Limits by name, in the units of the knobs."""
        return {name: (float(low), float(high)) for name, (low, high) in zip(self.names, self._limits, strict=True)}

    @property
    def grid(self) -> dict[str, NDArray[np.float64]]:
        """Coordinates of the nodes by name, in the units of the knobs."""
        return {name: x * of for name, x, of in zip(self.names, self.axes, self.scale, strict=True)}

    @property
    def cell(self) -> NDArray[np.float64]:
        """Sides of a cell of the grid, (d,); 0 for knobs with values."""
        sides = (self.high - self.low) / [len(x) for x in self.axes]
        return np.where([values.size > 0 for values in self._values], 0.0, sides)

    def spread(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points (n, d) on the unit cube as positions in lengths; a knob with values takes the nearest below."""
        positions: NDArray[np.float64] = self.low + unit * (self.high - self.low)
        for k, (values, x) in enumerate(zip(self._values, self.axes, strict=True)):
            if values.size:
                positions[:, k] = x[np.minimum((unit[:, k] * len(x)).astype(int), len(x) - 1)]
        return positions

    def inside(self, positions: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether positions (n, d) lie within the limits."""
        return np.asarray(((positions >= self.low) & (positions <= self.high)).all(1))

    def free(self, positions: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether positions (n, d) lie outside all excluded boxes."""
        free = np.ones(len(positions), dtype=bool)
        for box in self.excluded:
            low, high = np.array([box.get(name, (-np.inf, np.inf)) for name in self.names]).T / self.scale
            free &= ((positions < low) | (positions > high)).any(1)
        return free

    def onward(self, positions: NDArray[np.float64], visited: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether no knob must be turned back to reach positions (n, d) after the visited ones, (m, d)."""
        return self._ahead(positions, visited)[0]

    def skips(self, positions: NDArray[np.float64], visited: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether a knob that only goes one way would leave out a length, or a node, on its way to (n, d)."""
        return ~self._ahead(positions, visited)[1]

    def _ahead(
        self, positions: NDArray[np.float64], visited: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return whether positions lie ahead of the visited ones along the knobs that go one way, and near them."""
        ahead, near = np.ones((2, len(positions)), dtype=bool)
        for k, name in enumerate(self.names):
            knob = self.knobs.get(name)
            if knob is None or knob.direction == "any":
                continue
            sign, start = (1, self.low[k]) if knob.direction == "up" else (-1, self.high[k])
            reached = (sign * visited[:, k]).max(initial=sign * start)
            step = sign * positions[:, k] - reached
            nodes = sign * self.axes[k] - reached
            slack = knob.slack / self.scale[k]
            ahead &= step >= -slack / 2  # the plan reads the knob again, with as much noise
            near &= step <= max(1.0, nodes[nodes > slack].min(initial=np.inf)) + slack
        return ahead, near

    def nearest_node(self, positions: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the node of the cell of each position (n, d); outside the limits, that of the nearest cell."""
        along = [
            np.searchsorted((x[1:] + x[:-1]) / 2, at, side="right")
            for x, at in zip(self.axes, positions.T, strict=True)
        ]
        return np.asarray(np.ravel_multi_index(tuple(along), tuple(len(x) for x in self.axes)))

    def objection(self, position: NDArray[np.float64]) -> str | None:
        """Return the reason why a position, (d,), may not be measured; None if it may be measured."""
        if not self.inside(position[None])[0]:
            return f"{self.text(position)} lies outside the bounds {self.bounds}"
        for name, x, values in zip(self.names, position * self.scale, self._values, strict=True):
            if values.size and not np.isclose(values, x).any():
                return f"{name} = {x:g} is not one of its values, {', '.join(f'{each:g}' for each in values)}"
        return None if self.free(position[None])[0] else f"{self.text(position)} lies in an excluded region"

    def objection_to(self, position: Mapping[str, float]) -> str | None:
        """Return the reason why a position by name, in the units of the knobs, may not be measured, or None."""
        return self.objection(self.position(np.array([position[name] for name in self.names])))

    def text(self, position: NDArray[np.float64]) -> str:
        """Return a position (d,) in words."""
        return place(self.named(position), self.units)

    def length(self, x: float) -> str:
        """Return a length in words."""
        return amount(f"{x:.2g}", "lengths" if self.has_lengths else self._unit)

    def on_new_sample(self, position: NDArray[np.float64], nearest: float) -> str:
        """Return the knobs whose values lie apart in words, if the nearest exposure is at another value; else empty."""
        if not self.is_apart.any() or nearest < FAR * self.width:
            return ""
        named = self.named(position)
        apart = zip(self.names, self.is_apart, strict=True)
        return ", ".join(f"{name} = {named[name]:g}" for name, is_apart in apart if is_apart)

    def changed(self, bounds: Box, excluded: Sequence[Box]) -> "Window":
        """Return a window with these limits and exclusions; this one if nothing changes."""
        if set(bounds) != set(self.names):
            got = ", ".join(bounds) or "nothing"
            raise ValueError(f"bounds need two limits for each of {', '.join(self.names)}, and for no other: got {got}")
        window = Window({name: bounds[name] for name in self.names}, excluded, self._unit, self.knobs)
        return self if (window.bounds, window.excluded) == (self.bounds, self.excluded) else window

    def image(self, field: NDArray[Any]) -> NDArray[Any]:
        """Return a field on the nodes as an array, the first knob along its last axis: (ny, nx) with two."""
        return field.reshape([len(x) for x in self.axes]).T

    def named(self, position: NDArray[np.float64]) -> dict[str, float]:
        """Return a position (d,) by name, in the units of the knobs; a knob with values has the nearest of them."""
        at = self.coordinates(position)
        if self.inside(position[None])[0]:
            at = at.clip(*self._limits.T)  # rounding may leave the limits
        coordinates = zip(self.names, at, self._values, strict=True)
        return {name: float(v[np.abs(v - x).argmin()] if v.size else x) for name, x, v in coordinates}

    def position(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return coordinates, (…, d) in the units of the knobs, as positions in lengths."""
        return coordinates / self.scale

    def places(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return readbacks, (n, d) in the units of the knobs, as positions: of samples that lie apart the nearest."""
        positions = self.position(coordinates)
        for k in np.flatnonzero(self.is_apart):
            values, x = np.array(self.knobs[self.names[k]].values) / self.scale[k], positions[:, k]
            positions[:, k] = np.where(np.isnan(x), x, values[np.abs(x[:, None] - values).argmin(1)])
        return positions

    def coordinates(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return positions, (…, d) in lengths, in the units of the knobs."""
        return positions * self.scale

    def _values_of(self, name: str, low: float, high: float) -> list[float]:
        """Return the values that a knob takes within its limits; none if it takes all."""
        values = self.knobs[name].values if name in self.knobs else ()
        within = [x for x in values if low <= x <= high]
        if values and not within:
            raise ValueError(f"bounds of {name!r} contain none of its values: ({low}, {high})")
        return within

    def _axes(self, width: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Return the coordinates of the nodes along each knob: its values, or the centres of cells."""
        n_values: int = math.prod(max(int(x.size), 1) for x in self._values)
        counts, wide = np.ones(len(width), dtype=int), np.array([not x.size for x in self._values])
        while wide.any():
            n_wide = int(np.count_nonzero(wide))
            cell = (width[wide].prod() / max(NODES / n_values, float(FEWEST**n_wide))) ** (1 / n_wide)
            counts = np.maximum(np.round(width / cell), 1).astype(int)
            narrow = wide & (width < cell / 2)  # such a knob has one node, and leaves more to the others
            if not narrow.any():
                break
            wide &= ~narrow
        return [
            values / scale if values.size else low + w * (np.arange(n) + 0.5) / n
            for values, scale, low, w, n in zip(self._values, self.scale, self.low, width, counts, strict=True)
        ]

    def _checked(self, box: Box) -> dict[str, tuple[float, float]]:
        unknown = set(box) - set(self.names)
        if unknown or not box:
            got = ", ".join(box) or "none"
            raise ValueError(f"an excluded region needs limits of {' or '.join(self.names)}, got {got}")
        limits = {name: (float(low), float(high)) for name, (low, high) in box.items()}
        if not all(low <= high for low, high in limits.values()):
            raise ValueError(f"the limits of an excluded region are the wrong way round: {limits}")
        return limits
