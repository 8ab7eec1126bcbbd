"""Policies: which position next. The explorer asks one of them; they are interchangeable."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from ainerd.steering._survey import Survey

COVERED = 1e-3  # expected new regimes of the best exposure; below that boundaries are refined
BOUNDARY = 2.0  # what half way between two regimes adds to an exposure's worth: it tells as well where the one ends


class Policy(Protocol):
    """Where to measure next."""

    def choose(self, survey: Survey) -> tuple[NDArray[np.float64], str]:
        """A position (d,) that ``survey.may_measure``, and why in one sentence; ValueError if there is none."""
        ...

    def rate(self, survey: Survey) -> float:
        """What it expects of its choice, in new regimes per second; 0 if there is none, or it expects nothing."""
        ...


@dataclass(frozen=True)
class NewRegimes:
    """The most expected new regimes per unit of beam time, worth more between two regimes that are known.

    Once covered, the boundaries between those known.
    """

    def choose(self, survey: Survey) -> tuple[NDArray[np.float64], str]:
        """The best node."""
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
        """Of the best node."""
        return max(float(self._rates(survey, survey.may_measure(survey.window.nodes)).max()), 0.0)

    @staticmethod
    def _rates(survey: Survey, open_: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Worth of each node per second, (m,), -1 where it may not be measured."""
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
        """The next point of the sequence that may be measured."""
        sequence = qmc.Sobol(survey.visited.shape[1], seed=self.seed)
        return _next(survey, sequence.random_base2(12), "the Sobol sequence")

    def rate(self, survey: Survey) -> float:
        """Nothing is expected: what is novel is followed up first."""
        return 0.0


@dataclass(frozen=True)
class R2:
    """The additive recurrence on the generalised golden ratio; in two dimensions R2, on the plastic number.

    M. Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018.
    """

    seed: int = 0

    def choose(self, survey: Survey) -> tuple[NDArray[np.float64], str]:
        """The next point of the sequence that may be measured."""
        return _next(survey, r_sequence(4096, survey.visited.shape[1], seed=self.seed), "the R sequence")

    def rate(self, survey: Survey) -> float:
        """Nothing is expected: what is novel is followed up first."""
        return 0.0


@dataclass(frozen=True)
class Raster:
    """Row after row, there and back, with `rows` positions along each actuator."""

    rows: int = 9

    def choose(self, survey: Survey) -> tuple[NDArray[np.float64], str]:
        """The next point of the raster that may be measured."""
        return _next(survey, raster(self.rows, survey.visited.shape[1]), "a raster")

    def rate(self, survey: Survey) -> float:
        """Nothing is expected: what is novel is followed up first."""
        return 0.0


def r_sequence(n: int, dimensions: int, *, seed: int = 0) -> NDArray[np.float64]:
    """The first `n` points of the R sequence in the unit cube, (n, dimensions); seed 0 begins in the middle."""
    ratio = 2.0
    for _ in range(64):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    offset = 0.5 if seed == 0 else np.random.default_rng(seed).random(dimensions)
    return (offset + ratio ** -np.arange(1.0, dimensions + 1) * np.arange(n)[:, None]) % 1


def raster(rows: int, dimensions: int) -> NDArray[np.float64]:
    """Centres of a grid of `rows` cells a side in the unit cube, the first coordinate running fastest, to and fro."""
    number = np.arange(rows**dimensions)
    lines = [number // rows**k for k in range(dimensions + 1)]  # that were begun along each coordinate
    cell = [np.where(after % 2, rows - 1 - at % rows, at % rows) for at, after in pairwise(lines)]
    return (np.stack(cell, axis=1) + 0.5) / rows


def _next(survey: Survey, sequence: NDArray[np.float64], name: str) -> tuple[NDArray[np.float64], str]:
    window, start = survey.window, len(survey.visited)
    positions = window.low + sequence * (window.high - window.low)
    allowed = np.flatnonzero(survey.may_measure(positions[start:]))
    if not allowed.size:
        raise ValueError(f"{name} has no position left that may be measured")
    number = start + allowed[0]
    return positions[number], f"point {number + 1} of {name}"
