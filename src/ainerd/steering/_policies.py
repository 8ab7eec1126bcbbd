"""Policies: which position next, and whether a novel spot is followed up first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import qmc

from ainerd.steering._survey import Survey

COVERED = 1e-3  # expected new regimes of the best exposure, below which boundaries are refined
BOUNDARY = 2.0  # added to the worth of an exposure half way between two regimes: it also locates their boundary


class Policy(Protocol):
    """Chooses the next position."""

    def choose(self, survey: Survey) -> tuple[NDArray[np.float64], str]:
        """Return a position, (d,), that ``survey.may_measure``, and a sentence with the reason.

        Raises ValueError if no position is left.
        """
        ...

    def rate(self, survey: Survey) -> float:
        """Return the expected new regimes per second of its choice; 0 without a choice."""
        ...


@dataclass(frozen=True)
class NewRegimes:
    """Measure where most new regimes are expected per unit of beam time; more so between two known regimes.

    Once the sample is covered, refine the boundaries between the known regimes.
    """

    def choose(self, survey: Survey) -> tuple[NDArray[np.float64], str]:
        """Return the best node."""
        nodes, open_ = survey.window.nodes, survey.may_measure(survey.window.nodes)
        if not open_.any():
            raise ValueError("no position is left: all of it is excluded or at the dose limit")
        covered = survey.gain[open_].max() < COVERED
        if covered:
            value = survey.boundary * survey.nearest + 1e-3 * survey.nearest
            rate = np.where(open_, value / (survey.exposure_s + survey.travel_s), -1.0)
        else:
            rate = self._rates(survey, open_)
        ties = np.random.default_rng(survey.seed).random(len(nodes))
        best = int(np.argmax(rate * (1 + 1e-6 * ties)))
        return nodes[best], self._reason(survey, best, covered)

    def rate(self, survey: Survey) -> float:
        """Return the rate of the best node."""
        return max(float(self._rates(survey, survey.may_measure(survey.window.nodes)).max()), 0.0)

    @staticmethod
    def _rates(survey: Survey, open_: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the worth of each node per second, (m,), -1 where it may not be measured."""
        value = survey.gain * (1 + BOUNDARY * survey.boundary)
        return np.where(open_, value / (survey.exposure_s + survey.travel_s), -1.0)

    @staticmethod
    def _reason(survey: Survey, node: int, covered: bool) -> str:
        if not len(survey.visited):
            return "nothing is known yet: from here most regions would be seen"
        between = ""
        if survey.boundary[node] > 0.5:
            first, second = survey.regimes[np.argsort(survey.chances[:, node])[:-3:-1]]
            between = f"between regime {first} and regime {second}"
        radius = survey.window.length(survey.nearest[node])
        if covered:
            return f"{between or 'covered'}, {radius} from the nearest exposure"
        if survey.layers[node] > survey.inclusions[node]:
            return f"an unseen layer may lie here, {radius} from the nearest exposure"
        empty = f"unexplored: nothing measured within {radius} of here"
        return f"{empty}, {between}" if between else empty


@dataclass(frozen=True)
class Sobol:
    """The Sobol sequence, scrambled by `seed`."""

    seed: int = 0

    def choose(self, survey: Survey) -> tuple[NDArray[np.float64], str]:
        """Return the next point of the sequence that may be measured."""
        sequence = qmc.Sobol(survey.visited.shape[1], seed=self.seed)
        return _next(survey, sequence.random_base2(12), "the Sobol sequence")

    def rate(self, survey: Survey) -> float:
        """Return 0, so that a novel spot is followed up first."""
        return 0.0


@dataclass(frozen=True)
class R2(Sobol):
    """The additive recurrence on the generalised golden ratio; in two dimensions R2, on the plastic number.

    M. Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018.
    """

    def choose(self, survey: Survey) -> tuple[NDArray[np.float64], str]:
        """Return the next point of the sequence that may be measured."""
        return _next(survey, r_sequence(4096, survey.visited.shape[1], seed=self.seed), "the R sequence")


def r_sequence(n: int, dimensions: int, *, seed: int = 0) -> NDArray[np.float64]:
    """Return the first `n` points of the R sequence in the unit cube, (n, dimensions); seed 0 begins in the middle."""
    ratio = 2.0
    for _ in range(64):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    offset = 0.5 if seed == 0 else np.random.default_rng(seed).random(dimensions)
    return (offset + ratio ** -np.arange(1.0, dimensions + 1) * np.arange(n)[:, None]) % 1


def _next(survey: Survey, sequence: NDArray[np.float64], name: str) -> tuple[NDArray[np.float64], str]:
    window, start = survey.window, len(survey.visited)
    positions = window.low + sequence * (window.high - window.low)
    allowed = np.flatnonzero(survey.may_measure(positions[start:]))
    if not allowed.size:
        raise ValueError(f"{name} has no position left that may be measured")
    number = start + allowed[0]
    return positions[number], f"point {number + 1} of {name}"


AROUND = 1.5  # distance in beams, or smallest radii, up to which a position lies beside another
NEIGHBOURS = 2  # exposures that bracket a spot
# Prior of a flagged exposure: the odds that it is new, and the p-values of new ones are distributed as p to this power
# minus one.
_ODDS, _SHAPE = 0.25, 0.2
_TURN = 2 * np.pi * np.arange(16) / 16


@dataclass(frozen=True)
class Novel:
    """An exposure with a novel verdict, at (d,); the label is its regime, -1 if none is known."""

    position: NDArray[np.float64]
    p: float
    label: int  # its regime, -1 if none is known


@dataclass(frozen=True)
class FollowUp:
    """A position (d,) that follows up a novel spot: to bracket it if it is confirmed, else to confirm it."""

    position: NDArray[np.float64]
    spot: Novel
    confirmed: bool

    def rate(self, survey: Survey) -> float:
        """Return the expected new regimes per second of beam time."""
        worth = chance_new(self.spot.p)
        if self.confirmed:
            node = survey.window.nearest_node(self.position[None])[0]
            worth = max(float(survey.gain[node]), COVERED) * (1 + BOUNDARY)
        return worth / (survey.exposure_s + float(survey.travel_to(self.position[None])[0]))


def chance_new(p: float) -> float:
    """Return the chance that an exposure with this p-value shows a new regime."""
    odds = _ODDS * _SHAPE * p ** (_SHAPE - 1)
    return odds / (1 + odds)


def follow_up(survey: Survey, novel: Sequence[Novel]) -> FollowUp | None:
    """Return the next position that follows up a novel spot, or None.

    One exposure beside a novel spot, by one beam size, confirms it; so does a novel neighbour, or a novel exposure of
    the same regime elsewhere. A confirmed spot is bracketed by `NEIGHBOURS` exposures at the smallest radius of
    interest, unless the spot that confirmed it was bracketed.

    Worth is measured in expected new regimes per beam time, as in the policy. The worth of a second exposure is the
    chance, by the p-value, that the spot is new. The worth of bracketing is that of any position between two regimes.
    """
    beam, smallest = AROUND * survey.beam_size, AROUND * survey.hidden.smallest
    if not novel:
        return None
    places, labels = np.stack([x.position for x in novel]), np.array([x.label for x in novel])
    n_beside, n_around = (survey.places.query_ball_point(places, at, return_length=True) for at in (beam, smallest))
    is_bracketed = n_around - n_beside >= NEIGHBOURS
    _, of, count = np.unique(labels, return_inverse=True, return_counts=True)
    others, _ = cKDTree(places).query(places, [2])  # the nearest of all is the spot itself
    is_confirmed = (others[:, 0] <= smallest) | ((labels >= 0) & (count[of] > 1))
    bracketed, _ = cKDTree(places[is_bracketed]).query(places)
    of_bracketed = np.isin(labels, labels[is_bracketed & (labels >= 0)])
    is_done = np.where(is_confirmed, (bracketed <= smallest) | of_bracketed, n_beside > 1)  # itself among them
    for i in sorted(map(int, np.flatnonzero(~is_done)), key=lambda i: novel[i].p):
        spot = novel[i]
        distance = survey.hidden.smallest if is_confirmed[i] else survey.beam_size
        ring = spot.position + distance * _directions(len(spot.position))
        ring = ring[survey.may_measure(ring)]
        if len(ring):
            return FollowUp(ring[survey.places.query(ring)[0].argmax()], spot, bool(is_confirmed[i]))
    return None


def _directions(dimensions: int) -> NDArray[np.float64]:
    """Return unit vectors in all directions (k, d): around the circle in two dimensions, else along the axes."""
    if dimensions == 2:
        return np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
    return np.vstack([np.eye(dimensions), -np.eye(dimensions)])
