"""Follow paths, and the findings of other techniques.

Paths are measured in their holes, at their borders, and again where the sample has changed since. A path is a set of
regimes that change steadily with a covariate, see `ainerd.novelty.structure`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
STEPS = 8  # between exposures, whose median tells how much older the sample is at the next one


@dataclass(frozen=True)
class Course:
    """A path.

    Attributes
    ----------
    regimes : tuple of int
    time : str
        "age" of the sample or "order" of measurement, if the path follows one of them and not a knob; otherwise empty.

    Examples
    --------
    >>> Course(regimes=(0, 2, 1), time="age")
    Course(regimes=(0, 2, 1), time='age')
    """

    regimes: tuple[int, ...]
    time: Literal["", "age", "order"] = ""


@dataclass(frozen=True)
class Candidate:
    """A position that is novel to the agent of another technique: by actuator, with its p-value and that agent.

    Examples
    --------
    >>> Candidate(position={"sample_x": 3.0}, p=0.004, agent="x-tec").position
    {'sample_x': 3.0}
    """

    position: Mapping[str, float]
    p: float
    agent: str


@dataclass(frozen=True)
class Following:
    """The paths that the next positions follow.

    Attributes
    ----------
    courses : tuple of Course
        Between the regimes of one path there is no boundary to be mapped.
    holes : tuple of (str, float, float)
        Parts of a knob in which nothing was measured beside a path: the knob, and both ends.
    changes : tuple of (tuple of int, float, float)
        Changes at some age: the regimes on both sides, and the last age in s before and the first after the change.
    """

    courses: tuple[Course, ...] = ()
    holes: tuple[tuple[str, float, float], ...] = ()
    changes: tuple[tuple[tuple[int, ...], float, float], ...] = ()

    def kinds(self, regime: Ints) -> Ints:
        """Return the regimes (n,) with one number, the lowest, for all of a path."""
        kinds = regime.copy()
        for course in self.courses:
            kinds[np.isin(regime, course.regimes)] = min(course.regimes)
        return kinds

    def gone_since(self, regime: Ints, age_s: Floats) -> Floats:
        """Return the share of its path that the sample has gone since each exposure, 0 to 1, (n,).

        The exposures are in the order of measurement; those that are of no path in time have 0.
        """
        gone = np.zeros(len(regime))
        for course in self.courses:
            mine = np.flatnonzero(np.isin(regime, course.regimes))
            if course.time and len(mine) > 1:
                rank = (
                    np.argsort(np.argsort(age_s[mine], kind="stable")) if course.time == "age" else np.arange(len(mine))
                )
                gone[mine] = np.abs(rank - rank[-1]) / (len(mine) - 1)
        return gone

    def due(self, age_s: Floats) -> tuple[int, ...]:
        """Return the regimes between which the sample is when it has the age of the next exposure; empty if none.

        `age_s` are the ages so far, in the order of measurement. The next one is later by the usual step.
        """
        known = age_s[np.isfinite(age_s)]
        steps = np.diff(known[-STEPS - 1 :])
        if not (steps > 0).any():
            return ()
        age = known[-1] + np.median(steps[steps > 0])
        return next((regimes for regimes, low, high in self.changes if low < age < high), ())


def in_holes(holes: Sequence[tuple[int, float, float]], nodes: Floats, visited: Floats) -> Floats:
    """Return the distance of nodes (m, d) to visited positions (n, d) along the knob of a hole, in half its width."""
    depth = np.zeros(len(nodes))
    for k, low, high in holes:
        known = np.sort([low, high, *visited[:, k]])
        x = nodes[:, k]
        after = np.clip(np.searchsorted(known, x), 1, len(known) - 1)
        away = np.minimum(np.abs(x - known[after - 1]), np.abs(known[after] - x))
        depth = np.maximum(depth, np.where((x > low) & (x < high), 2 * away / (high - low), 0.0))
    return depth
