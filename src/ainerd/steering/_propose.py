"""Choose the next position from the exposures, the positions that wait, and the rules."""

import math
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ainerd.knobs import Knob
from ainerd.steering._exposures import Exposures
from ainerd.steering._missed import missed, surely_hit
from ainerd.steering._policies import Policy, new_regimes
from ainerd.steering._stability import BACK, Stability
from ainerd.steering._suggestion import Suggestion
from ainerd.steering._survey import SURELY, Hidden, SampleMap, Survey, TravelTime
from ainerd.steering._window import Box, Window
from ainerd.words import number_of

Floats = NDArray[np.float64]
Positions = Collection[Mapping[str, float]]  # by actuator

RISK = 0.05  # chance of a missed region that is accepted
# Prior of a flagged exposure: the odds that it is new, and the p-values of new ones are distributed as p to this power
# minus one.
_ODDS, _SHAPE = 0.25, 0.2


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
class Search:
    """The rules by which positions are chosen.

    Attributes
    ----------
    window : Window
    smallest : float
        Radius of the smallest region that must not be missed, in lengths.
    beam_size : float
        Size of a spot for the dose limit, in lengths.
    dose_limit : int
        Most exposures of one spot.
    policy : callable
        Chooses the next position: ``policy(survey)`` returns a position (d,), in lengths, and the reason. See
        `ainerd.steering.POLICIES`.
    motors : callable or None
        Seconds from one position to others, ``motors(a, b)`` with a (d,) and b (n, d) in the units of the knobs,
        without the knobs that have a cost. Without it, travel across the widest bound counts as one exposure, if no
        knob has a cost.
    exposure_s : float
        Length of an exposure, to weigh the travel time.
    seed : int
        Breaks ties.
    names : mapping of int to str
        Names of regimes, for reasons.

    Examples
    --------
    >>> Search.of({"sample_x": (0, 10), "sample_y": (0, 5)}).smallest  # a tenth of the widest bound
    1.0
    """

    window: Window
    smallest: float
    beam_size: float
    dose_limit: int = 1
    policy: Policy = new_regimes
    motors: TravelTime | None = None
    exposure_s: float = 1.0
    seed: int = 0
    names: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        bounds: Box,
        *,
        knobs: Mapping[str, Knob] | None = None,
        policy: Policy = new_regimes,
        travel_time: TravelTime | None = None,
        exposure_s: float | None = None,
        smallest_feature: float | None = None,
        beam_size: float | None = None,
        dose_limit: int = 1,
        seed: int = 0,
        unit: str = "",
    ) -> Self:
        """Return rules; an option that is not given has its default.

        The smallest region has a tenth of the widest bound, or 1 if the knobs have lengths, which take its place; a
        spot has a tenth of that. Raises ValueError if the bounds have no width, or options do not fit together.
        """
        window = Window(bounds, unit=unit, knobs=knobs)
        if (travel_time is None) != (exposure_s is None):
            raise ValueError("travel_time and exposure_s belong together")
        if window.has_lengths and smallest_feature is not None:
            raise ValueError("smallest_feature and lengths of knobs are both given: leave smallest_feature out")
        usual = 1.0 if window.has_lengths else 0.1 * window.width
        smallest = usual if smallest_feature is None else smallest_feature
        beam_size = 0.1 * smallest if beam_size is None else beam_size
        if not (isinstance(dose_limit, int | np.integer) and dose_limit >= 1):
            raise ValueError(f"dose_limit must be a whole number from 1 on, got {dose_limit!r}")
        for name, value in {"smallest_feature": smallest, "beam_size": beam_size, "exposure_s": exposure_s}.items():
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive, got {value}")
        return cls(window, smallest, beam_size, int(dose_limit), policy, travel_time, exposure_s or 1.0, seed)

    def travel_time(self, a: Floats, b: Floats) -> Floats:
        """Return the seconds from a, (d,), to b, (n, d): knobs with a cost change one by one, then all others."""
        knobs = enumerate(map(self.window.knobs.get, self.window.names))
        costly = [(k, knob) for k, knob in knobs if knob is not None and knob.costs]
        if self.motors is not None:
            seconds = np.asarray(self.motors(a, b), dtype=float)
        elif costly:
            seconds = np.zeros(len(b))
        else:
            change = self.window.position(b - a)[:, ~self.window.is_apart]
            seconds = np.linalg.norm(change, axis=1) / self.window.width
        return seconds + sum(knob.seconds(a[k], b[:, k]) for k, knob in costly)


def propose(
    exposures: Exposures, waiting: Positions, failed: Positions, rules: Search, candidates: Sequence[Candidate] = ()
) -> Suggestion:
    """Return the next position. It depends on nothing but the arguments.

    `waiting` are positions that will be measured, `failed` those that were rejected or could not be measured, and
    `candidates` those that are novel to other techniques. Raises ValueError if no position is left.

    Examples
    --------
    >>> rules = Search.of({"sample_x": (0, 10), "sample_y": (0, 5)})
    >>> propose(Exposures(["sample_x", "sample_y"]), waiting=(), failed=(), rules=rules).reason
    'the first point: a region of unknown size is most likely hit here'
    """
    survey = survey_of(exposures, waiting, failed, rules, candidates)
    return _described(survey, *rules.policy(survey))


def completed(
    position: Mapping[str, float],
    reason: str,
    id: str,
    exposures: Exposures,
    waiting: Positions,
    failed: Positions,
    rules: Search,
) -> Suggestion:
    """Return a position of a person as a suggestion; ValueError if it may not be measured."""
    survey, window = survey_of(exposures, waiting, failed, rules), rules.window
    place = _places([position], window)[0]
    if (objection := window.objection(place)) is not None:
        raise ValueError(objection)
    if not window.onward(place[None], _visited(exposures, (), failed, window))[0]:
        raise ValueError(f"{window.text(place)} cannot be reached: a knob that goes only one way would go back")
    return _described(survey, place, reason, id)


def should_stop(exposures: Exposures, failed: Positions, rules: Search) -> tuple[bool, str]:
    """Return whether the sample is explored, and why or why not, in a sentence.

    It is explored if the chance of a missed region of the smallest radius, with its centre anywhere in the bounds, is
    at most 0.05 (`ainerd.steering._missed`), the regimes of earlier exposures did not change over the last eight
    (adjusted Rand index of at least 0.95), and each of these eight shares its regime with another exposure.
    """
    window, here = rules.window, _visited(exposures, (), failed, rules.window, ~exposures["left_out"])
    chance, radius = missed(window, here, rules.smallest), window.length(rules.smallest)
    surely = window.length(surely_hit(window, here))
    return verdict(chance, radius, surely, exposures.stability, exposures.n_failed + len(failed))


def verdict(chance: float, radius: str, surely: str, stability: Stability, n_failed: int) -> tuple[bool, str]:
    """Return whether to stop, and why or why not, in a sentence.

    A region of `radius`, a length in words, was missed with this chance: with its centre in that share of the sample no
    exposure hits it. None of the radius `surely` or more was missed.
    """
    share, hidden = f"{math.ceil(100 * chance)} % of the sample", f"a region of radius {radius} could"
    if chance > RISK:
        return False, f"{hidden} still hide in {share}; at {100 * RISK:.0f} % the search is complete"
    if (objection := stability.objection()) is not None:
        return False, f"{hidden} hide in only {share}, but {objection}"
    n = stability.n_regimes
    settled = f"{number_of(n, 'regime')}, unchanged over the last {BACK} exposures" if n else "no regimes were named"
    unknown = f"; {number_of(n_failed, 'position')} failed: no regime is known there" if n_failed else ""
    return True, f"{hidden} hide in only {share}, and nowhere one of radius {surely}; {settled}{unknown}"


def sample_map(exposures: Exposures, failed: Positions, rules: Search) -> SampleMap:
    """Return the present belief about the sample, on a grid."""
    return survey_of(exposures, (), failed, rules).map


def survey_of(
    exposures: Exposures, waiting: Positions, failed: Positions, rules: Search, candidates: Sequence[Candidate] = ()
) -> Survey:
    """Return the state of knowledge when the next position is chosen."""
    visited = _visited(exposures, waiting, failed, rules.window)
    covered = _visited(exposures, waiting, failed, rules.window, ~exposures["left_out"])
    places, labels = rules.window.places(exposures["position"]), exposures["regime"]
    labelled = exposures.placed & (labels >= 0)
    own = _alone(exposures, places, covered, rules.smallest)
    theirs = [] if not candidates else _open(candidates, visited, rules)
    p = np.array([*exposures.p_value[own], *(candidate.p for _, candidate in theirs)])
    return Survey(
        hidden=_hidden(rules.window, rules.smallest),
        visited=visited,
        covered=covered,
        labelled=places[labelled],
        regime=labels[labelled],
        spots=np.vstack([places[own], *(place[None] for place, _ in theirs)]),
        chance=chance_new(p),
        agents=(*[""] * len(own), *(candidate.agent for _, candidate in theirs)),
        beam_size=rules.beam_size,
        dose_limit=rules.dose_limit,
        travel_time=rules.travel_time,
        exposure_s=rules.exposure_s,
        seed=rules.seed,
        names=rules.names,
    )


_hidden = lru_cache(4)(Hidden)  # it holds the chances between all pairs of nodes


def chance_new(p: Floats) -> Floats:
    """Return the chance that flagged exposures with these p-values (n,) show a new regime."""
    odds = _ODDS * _SHAPE * np.maximum(p, np.finfo(float).tiny) ** (_SHAPE - 1)
    return np.asarray(odds / (1 + odds))


def _described(survey: Survey, position: Floats, reason: str, id: str = "") -> Suggestion:
    named = survey.window.named(position)
    return Suggestion(id=id or uuid.uuid4().hex, position=named, reason=reason, terms=survey.terms(position))


def _visited(
    exposures: Exposures, waiting: Positions, failed: Positions, window: Window, some: NDArray[np.bool_] | bool = True
) -> Floats:
    """Return the positions that failed, were measured (or `some` of them), and are to be measured, (n, d)."""
    measured = window.places(exposures["position"][exposures.placed & some])
    return np.vstack([_places(failed, window), measured, _places(waiting, window)])


def _places(positions: Positions, window: Window) -> Floats:
    named = [[float(position[name]) for name in window.names] for position in positions]
    return window.places(np.array(named).reshape(-1, len(window.names)))


def _alone(exposures: Exposures, places: Floats, visited: Floats, radius: float) -> NDArray[np.int64]:
    """Return the rows of novel exposures that stand alone.

    No other exposure has the regime, and none was taken, or is to be taken, within the radius.
    """
    chosen = np.flatnonzero(exposures.novel & exposures.placed & exposures.used)
    if not chosen.size:
        return chosen
    labels = exposures["regime"]
    _, of, count = np.unique(labels[exposures.placed], return_inverse=True, return_counts=True)
    shared = np.zeros(len(labels), bool)
    shared[exposures.placed] = count[of] > 1
    alone = chosen[~(shared & (labels >= 0))[chosen]]
    near = cKDTree(visited).query_ball_point(places[alone], radius, return_length=True)
    return np.asarray(alone[near == 1])


def _open(candidates: Sequence[Candidate], visited: Floats, rules: Search) -> list[tuple[Floats, Candidate]]:
    """Return the candidates, with their positions in lengths, that may be measured and were not visited."""
    window, some = rules.window, list[tuple[Floats, Candidate]]()
    for candidate in candidates:
        read = window.position(np.array([candidate.position[name] for name in window.names]))
        place = window.position(np.array([*window.named(read).values()]))  # a knob with values has one of them
        away = np.linalg.norm(visited - place, axis=1).min(initial=np.inf)
        may_go = window.objection(place) is None and window.onward(place[None], visited)[0]
        if may_go and away > SURELY * rules.smallest:
            some.append((place, candidate))
    return some
