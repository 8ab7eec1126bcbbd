"""The state of knowledge when the next position is chosen, as fields on the nodes of the window."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from ainerd.steering._missed import missed
from ainerd.steering._window import Window

Floats = NDArray[np.float64]

INCLUSIONS = 1.5  # expected regimes of inclusions on a sample
WIDEST = 0.35  # radius of the largest inclusion, in units of the window's width
LAYERS = 0.2  # expected regimes that lie along one of the limits
THINNEST, THICKEST = 0.125, 2.0  # of such layers, in units of the smallest feature
LARGE = 4.0  # worth of the first exposure of a large region, and its radius in units of the window's width
LARGE_RADIUS = 0.7
BOUNDARY = 1.0  # added to the worth half way between two regimes: such exposures show a known regime again
CONFIRM = 1.0  # worth of a second exposure of a novel spot, in new regimes


@dataclass(frozen=True)
class Hidden:
    """Expected regimes in a window that no exposure has hit: inclusions, and layers along a limit.

    An inclusion is a disc whose centre c is uniform and whose radius r is log-uniform on [r_lo, r_hi] with the
    cumulative F. After exposures at distance D(c) or more it is still unhit if r < D(c), and an exposure at x then hits
    it if r > |x - c|:

        uncovered(x) = mean_c [F(D) - F(|x - c|)]+
    """

    window: Window
    smallest: float  # radius of a region that must not be missed; inclusions have at least `SURELY` of it

    def radius_below(self, distance: NDArray[Any]) -> NDArray[np.float32]:
        """Return F, the chance that the radius of an inclusion is smaller."""
        low = SURELY * self.smallest
        return _log_uniform(distance, low, max(WIDEST * self.window.width, 3 * low))

    @cached_property
    def _between(self) -> NDArray[np.float32]:
        """F at the distance between each two nodes, (m, m)."""
        return self.radius_below(cdist(self.window.nodes, self.window.nodes))

    def uncovered(self, nearest: Floats) -> Floats:
        """Return the expected number of inclusions that an exposure at each node is the first to hit, (m,).

        `nearest` (m,) is the distance of each node to the nearest exposure.
        """
        now = self.radius_below(nearest)
        more = now[now > 0, None] - self._between[now > 0]
        return np.asarray(INCLUSIONS / len(nearest) * np.maximum(more, 0, out=more).sum(0, dtype=float))

    def layers(self, positions: Floats) -> Floats:
        """Return the expected number of new regimes along the limits that an exposure at each node would hit, (m,).

        A layer along a limit, as at the wall of a cell, has a log-uniform thickness.
        """
        thin, thick = THINNEST * self.smallest, THICKEST * self.smallest
        to_walls = np.hstack([positions - self.window.low, self.window.high - positions])
        seen = _log_uniform(np.maximum(to_walls.min(0, initial=np.inf), 0), thin, thick)
        walls = self.window.walls
        return np.asarray(LAYERS / walls.shape[1] * np.maximum(seen - _log_uniform(walls, thin, thick), 0).sum(1))

    def large(self, nearest: Floats) -> Floats:
        """Return the chance that an exposure at each node is the first to hit a large region, (m,).

        Its radius is uniform from 0 to `LARGE_RADIUS`.
        """
        widest, nodes = LARGE_RADIUS * self.window.width, self.window.nodes
        more = np.minimum(nearest / widest, 1)[:, None] - np.minimum(cdist(nodes, nodes) / widest, 1)
        return np.asarray(np.maximum(more, 0, out=more).mean(0))


def _log_uniform(x: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """Return the cumulative distribution of a log-uniform quantity on [low, high]."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.clip(np.log(np.asarray(x, dtype=np.float32) / low) / np.log(high / low), 0, 1))


DIRECTIONS = 24
SURELY = 0.6  # of the smallest region: how far the smallest inclusion surely reaches, see `Hidden`
LAYERED = 0.65  # belief in layers while all regimes found lie in layers
PER_EXCEPTION = 2.0  # subtracted from the logarithm of that belief for each exception
NEW = 0.5  # chance that an unseen layer has a regime not seen elsewhere


def layered(window: Window, positions: Floats, labels: NDArray[np.int64]) -> tuple[float, Floats]:
    """Return the belief that the sample is layered, and the chance (m,) of an unseen new layer at each node if it is.

    Along a direction the layers are a telegraph process: the number of boundaries in the width of the window is that of
    the known regimes plus one. Between two exposures of one regime an unseen layer needs a boundary on both sides;
    between two regimes there is one already. Directions are weighted by the number of changes of regime beyond the
    minimum. The labels are 0 … k - 1. The belief is zero with fewer than two regimes, or if all knobs lie apart.
    """
    chance = np.zeros(len(window.nodes))
    known = np.unique(labels).size
    if known < 2 or window.is_apart.all():
        return 0.0, chance
    along = positions @ (directions := _half_turn(~window.is_apart)).T
    changes = (np.diff(labels[np.argsort(x, kind="stable")]) for x in along.T)
    exceptions = np.array([*map(np.count_nonzero, changes)]) - (known - 1)
    fewest = exceptions.min()
    share = np.exp(-PER_EXCEPTION * (exceptions - fewest))  # 500 exceptions are nothing in floating point
    share /= share.sum()
    rate = (known + 1) / window.width
    for j in np.flatnonzero(share > 0.01):
        order = np.argsort(along[:, j], kind="stable")
        x, label, at = along[order, j], labels[order], window.nodes @ directions[j]
        after = np.searchsorted(x, at)
        left, right = np.maximum(after - 1, 0), np.minimum(after, len(x) - 1)
        from_left, from_right = -np.expm1(-rate * np.abs(at - x[left])), -np.expm1(-rate * np.abs(x[right] - at))
        between = from_left * from_right
        changes = label[left] != label[right]
        between[changes] /= -np.expm1(-rate * (x[right] - x[left])[changes]).clip(None, -1e-6)
        between = np.where(after == 0, from_right, np.where(after == len(x), from_left, between))
        chance += share[j] * NEW * between
    return float(LAYERED * np.exp(-PER_EXCEPTION * fewest)), chance


def _half_turn(along: NDArray[np.bool_]) -> Floats:
    """Return unit vectors without their opposites along these of d knobs, (k, d): half a turn of two, else the axes."""
    axes = np.eye(along.size)[along]
    if len(axes) != 2:
        return axes
    turn = np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    return np.stack([np.cos(turn), np.sin(turn)], axis=1) @ axes


TravelTime = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class SampleMap:
    """Belief about the sample, on a grid.

    Attributes
    ----------
    axes : dict of str to ndarray
        Grid coordinates by actuator. The first one runs along the last axis of the arrays, (ny, nx) with two.
    regime : ndarray of int
        Most likely regime; -1 where no regime is known.
    confidence : ndarray
        Chance that the regime is this one, and not an unseen one.
    unexplored : ndarray
        Chance that an exposure there hits a region that no exposure has hit.

    Examples
    --------
    >>> exposures = Exposures(["sample_x"], size=2)
    >>> for x in (1.0, 2.0, 8.0, 9.0):
    ...     exposures.add(f"at {x}", {"sample_x": x}, [0.0, 0.0], regime=int(x > 5))
    >>> belief = sample_map(exposures, (), Search.of({"sample_x": (0, 10)}))
    >>> belief.axes["sample_x"][[0, -1]].round(1), belief.regime[[0, -1]]  # at both ends
    (array([ 0., 10.]), array([0, 1]))
    """

    axes: dict[str, Floats]
    regime: NDArray[np.int64]
    confidence: Floats
    unexplored: Floats

    def along(self, names: Sequence[str], at: Mapping[str, float]) -> "SampleMap":
        """Return the belief along these actuators, in their order, at the nodes nearest to `at` for all others.

        An actuator without a value in `at` is at its first node.
        """
        order = [*self.axes]
        cut: tuple[Any, ...] = tuple(
            slice(None) if name in names else int(np.abs(self.axes[name] - at.get(name, -np.inf)).argmin())
            for name in reversed(order)
        )
        kept = [name for name in reversed(order) if name in names]
        turn = [kept.index(name) for name in reversed(names)]
        fields = [field[cut].transpose(turn) for field in (self.regime, self.confidence, self.unexplored)]
        return SampleMap({name: self.axes[name] for name in names}, *fields)


@dataclass(frozen=True)
class Survey:
    """Everything from which the next position is chosen.

    Positions are in lengths.

    Examples
    --------
    >>> def farthest(survey):  # a policy
    ...     nodes = survey.window.nodes[survey.is_open]
    ...     return nodes[np.argmax(survey.nearest[survey.is_open])], "far from all others"
    >>> exposures = Exposures(["sample_x"], size=2)
    >>> exposures.add("first", {"sample_x": 2.0}, [0.0, 0.0])
    >>> rules = Search.of({"sample_x": (0, 10)}, policy=farthest)
    >>> round(propose(exposures, (), (), rules).position["sample_x"], 1)
    10.0
    """

    hidden: Hidden  # with the window
    visited: Floats  # (n, d), measured, failed, or to be measured; in order
    covered: Floats  # (c, d), the same without exposures that people left out: there nothing is known
    labelled: Floats  # (l, d), of the exposures that have a regime
    regime: NDArray[np.int64]  # (l,), its number
    spots: Floats  # (s, d), novel and alone: own exposures that wait for a second one, and places of other techniques
    chance: Floats  # (s,), that they show a new regime
    agents: tuple[str, ...]  # (s,), agents of other techniques that found them; empty for own exposures
    beam_size: float
    dose_limit: int  # most exposures of a spot of the size of the beam
    travel_time: TravelTime  # seconds from (d,) to (n, d), in the units of the knobs
    exposure_s: float
    seed: int
    names: Mapping[int, str]  # of regimes, from people

    @property
    def window(self) -> Window:
        """Limits and nodes."""
        return self.hidden.window

    def may_measure(self, positions: Floats) -> NDArray[np.bool_]:
        """Whether positions (n, d) can be reached, are not excluded, and below the dose limit."""
        most = min(self.dose_limit, len(self.visited) + 1)
        last, _ = cKDTree(self.visited).query(positions, [most])  # infinite where fewer were visited
        may_take_more = last[:, 0] >= (1 - 1e-6) * self.beam_size
        may_go = self.window.inside(positions) & self.window.onward(positions, self.visited)
        return np.asarray(may_go & self.window.free(positions) & may_take_more)

    @cached_property
    def is_open(self) -> NDArray[np.bool_]:
        """Whether the nodes may be measured, (m,), and no part of a knob's only way is left out."""
        nodes = self.window.nodes
        return self.may_measure(nodes) & ~self.window.skips(nodes, self.visited)

    @cached_property
    def places(self) -> cKDTree:
        """Search tree of the covered positions."""
        return cKDTree(self.covered)

    @cached_property
    def nearest(self) -> Floats:
        """Distance to the nearest covered position."""
        return np.asarray(self.places.query(self.window.nodes)[0])

    @cached_property
    def inclusions(self) -> Floats:
        """Expected new regimes from hidden inclusions and from layers along the limits."""
        return self.hidden.uncovered(self.nearest) + self.walls

    @cached_property
    def walls(self) -> Floats:
        """Expected new regimes from layers along the limits."""
        return self.hidden.layers(self.covered)

    @cached_property
    def is_uniform(self) -> bool:
        """Whether one regime is known at most, and a gap is left in which the widest inclusion fits."""
        return len(self.known) < 2 and bool(self.nearest.max() > WIDEST * self.window.width)

    @cached_property
    def layers(self) -> Floats:
        """Chance of an unseen layer of a new regime."""
        return self._layered[0] * self._layered[1]

    @cached_property
    def gain(self) -> Floats:
        """Expected number of new regimes."""
        return (1 - self._layered[0]) * self.inclusions + self.layers

    @cached_property
    def confirmation(self) -> Floats:
        """Chance that an exposure shows the regime of a novel spot again."""
        reaches = 1 - self.hidden.radius_below(cdist(self.spots, self.window.nodes))
        return np.asarray((self.chance[:, None] * reaches).max(0, initial=0.0))

    @cached_property
    def known(self) -> NDArray[np.int64]:
        """Numbers of the k known regimes."""
        return np.unique(self.regime)

    @cached_property
    def chances(self) -> Floats:
        """Chance of each known regime, (k, m): inverse to the distance to its nearest exposure."""
        places = [cKDTree(self.labelled[self.regime == k]) for k in self.known]
        nearness = 1 / np.maximum([each.query(self.window.nodes)[0] for each in places], 1e-9)
        return np.asarray(nearness / nearness.sum(0))

    @cached_property
    def boundary(self) -> Floats:
        """Twice the chance that the nearest of two regimes is wrong, 0 … 1: 1 is half way between them."""
        if len(self.known) < 2:
            return np.zeros(len(self.window.nodes))
        first = np.partition(self.chances, -2, axis=0)[-2:]
        return np.asarray(2 * first[0] / first.sum(0))

    @cached_property
    def worth(self) -> Floats:
        """Expected new regimes, more between two known ones, and that novel spots are confirmed."""
        return self.gain * (1 + BOUNDARY * self.boundary) + CONFIRM * self.confirmation

    @cached_property
    def travel_s(self) -> Floats:
        """Seconds to each node from the last visited position."""
        return self.travel_to(self.window.nodes)

    @property
    def map(self) -> SampleMap:
        """Belief over position."""
        window = self.window
        unexplored = -np.expm1(-self.gain)
        regime, sure = np.full(len(window.nodes), -1), np.zeros(len(window.nodes))
        if self.regime.size:
            regime, sure = self.known[self.chances.argmax(0)], self.chances.max(0)
        fields = [window.image(field) for field in (regime, sure * (1 - unexplored), unexplored)]
        return SampleMap(window.grid, *fields)

    def terms(self, position: Floats) -> dict[str, float]:
        """Return the terms of a suggestion at a position (d,).

        =================== ====================================================================
        ``unexplored``      chance that a hidden region is hit here for the first time
        ``empty_radius``    distance to the nearest exposure, in the actuators' unit, or in lengths
        ``boundary``        how evenly it lies between two regimes, 0 to 1
        ``band``            chance that a band of a new regime runs through here
        ``novel_neighbour`` chance that it shows a new regime nearby again, new to the agent or to another technique
        ``travel``          share of the beam time of this exposure that is travel
        ``unsearched``      share of the sample in which a region of the smallest radius could still hide
        =================== ====================================================================
        """
        node = self.window.nearest_node(position[None])[0]
        away = np.linalg.norm(self.covered - position, axis=1)
        empty = away.min() if away.size else np.linalg.norm(np.ptp(self.window.nodes, 0))
        travel = float(self.travel_to(position[None])[0])
        return {
            "unexplored": float(-np.expm1(-self.inclusions[node])),
            "empty_radius": float(empty),
            "boundary": float(self.boundary[node]),
            "band": float(self.layers[node]),
            "novel_neighbour": float(self.confirmation[node]),
            "travel": travel / (travel + self.exposure_s),
            "unsearched": missed(self.window, self.covered, self.hidden.smallest),
        }

    def travel_to(self, positions: Floats) -> Floats:
        """Return the seconds to positions (n, d) from the last visited one."""
        if not len(self.visited):
            return np.zeros(len(positions))
        here, there = self.window.coordinates(self.visited[-1]), self.window.coordinates(positions)
        seconds = np.asarray(self.travel_time(here, there), dtype=float)
        if seconds.shape != (len(positions),) or not (seconds >= 0).all():
            raise ValueError(f"travel_time must give seconds ({len(positions)},), none negative, got {seconds!r}")
        return seconds

    @cached_property
    def _layered(self) -> tuple[float, Floats]:
        """The result of `layered`; a position without a regime counts as one of the regime nearest to it."""
        if not len(self.labelled):
            return 0.0, np.zeros(len(self.window.nodes))
        nearest = cKDTree(self.labelled).query(self.covered)[1]
        return layered(self.window, self.covered, np.unique(self.regime, return_inverse=True)[1][nearest])
