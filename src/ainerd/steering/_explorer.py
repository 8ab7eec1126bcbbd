"""The optimizer: suggests positions, learns from the results there, and decides when to stop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from bluesky_adaptive.protocols import ID_KEY
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ainerd.steering._survey import Hidden, SampleMap, Survey, TravelTime
from ainerd.steering._trials import Labeler, Novel, Trials, verdict
from ainerd.steering._window import Box, Window, Windowed

TERMS = ("unexplored", "empty_radius", "boundary", "layer", "novel_neighbour", "travel", "missed")


class Explorer(Windowed):
    """Suggests the next positions: those with the most expected new regimes per unit of beam time.

    A bluesky-adaptive 1.0 `Optimizer`, also `CanRegisterSuggestions`, `TrialFaultAware` and
    `SupportsStoppingCriteria`. A novel exposure is followed up where that is worth more than the best new position: one
    exposure beside it confirms it, then two bracket it.

    Parameters
    ----------
    bounds : mapping of str to (float, float)
        Limits of each actuator, by name. All share one unit.
    labeler : callable, optional
        Maps embeddings (n, e) to regimes (n,), -1 unassigned. Without it regimes are groups of embeddings that differ
        by no more than `noise`; without both, exposures have no regimes.
    noise : float, optional
        99th percentile of the distance between exposures of one regime, from the calibrated bank. With it, and where
        ages are known, two regimes of the labeler are joined if they are one regime at different ages.
    travel_time : callable, optional
        Seconds from one position to others, ``travel_time(a, b)`` with a (d,) and b (n, d). Without it, travel across
        the widest bound counts as one exposure.
    exposure_s : float, optional
        Length of an exposure, to weigh the travel time.
    smallest_feature : float, optional
        Radius of the smallest region that must not be missed, in the actuators' unit. A tenth of the widest bound
        without it.
    beam_size : float, optional
        Distance from a novel spot to the exposure that confirms it, and the size of a spot for the dose limit. A tenth
        of `smallest_feature` without it.
    dose_limit : int
        Most exposures of one spot.
    alpha : float
        An exposure without a verdict is novel if its ``novelty_p`` is at most alpha.
    seed : int
        Breaks ties.
    unit : str
        Unit of the actuators, for sentences.

    Raises
    ------
    ValueError
        If the bounds have no width, or options do not fit together.
    """

    def __init__(
        self,
        bounds: Box,
        *,
        labeler: Labeler | None = None,
        noise: float | None = None,
        travel_time: TravelTime | None = None,
        exposure_s: float | None = None,
        smallest_feature: float | None = None,
        beam_size: float | None = None,
        dose_limit: int = 1,
        alpha: float = 0.05,
        seed: int = 0,
        unit: str = "",
    ) -> None:
        window = Window(bounds, unit=unit)
        if (travel_time is None) != (exposure_s is None):
            raise ValueError("travel_time and exposure_s belong together")
        smallest = 0.1 * window.width if smallest_feature is None else smallest_feature
        self._beam_size = 0.1 * smallest if beam_size is None else beam_size
        positive = {"smallest_feature": smallest, "beam_size": self._beam_size, "dose_limit": dose_limit}
        for name, value in {**positive, "noise": noise, "exposure_s": exposure_s}.items():
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive, got {value}")
        self._hidden, self._dose_limit = Hidden(window, smallest), dose_limit
        self._travel_time = travel_time or self._distance
        self.exposure_s = exposure_s or 1.0  # may be set once an exposure was measured
        self._seed = seed
        self._trials = Trials(window.names, labeler, noise, alpha)

    @property
    def window(self) -> Window:
        """Limits of the actuators, excluded boxes, and a grid."""
        return self._hidden.window

    @window.setter
    def window(self, window: Window) -> None:
        if window is not self._hidden.window:  # `Hidden` caches fields of its window
            self._hidden = replace(self._hidden, window=window)

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Return the next positions, each with its terms and a sentence.

        Returns
        -------
        list of dict
            ``_id``, one key for each actuator, ``reason``, and the terms:

            =================== ====================================================================
            ``unexplored``      chance that a hidden region is hit here for the first time
            ``empty_radius``    distance to the nearest exposure, in the actuators' unit
            ``boundary``        how evenly it lies between two regimes, 0 to 1
            ``layer``           chance of an unseen layer of a new regime
            ``novel_neighbour`` 1 if it follows up a novel spot, else 0
            ``travel``          share of the beam time of this exposure that is travel
            ``missed``          chance that a region of the smallest radius is missed up to here
            =================== ====================================================================

        Raises
        ------
        ValueError
            If no position is left that may be measured.
        """
        suggestions = []
        for _ in range(num_points or 1):
            survey = self._survey()
            following = follow_up(survey, list(self._trials.novel().values()))
            if following is not None and following.rate(survey) < max(float(_rates(survey).max()), 0.0):
                following = None
            if following is None:
                position, reason = best_position(survey)
            else:
                position, spot = following.position, following.spot
                aim = "how far does it reach?" if following.confirmed else "one beam beside it, to confirm it"
                reason = f"beside the novel spot at {self.window.text(spot.position)} (p = {spot.p:.2g}): {aim}"
            suggestions.append(self._propose(survey, position, reason, novel_neighbour=float(following is not None)))
        return suggestions

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Learn from measured points.

        Parameters
        ----------
        points : sequence of mapping
            ``_id``, ``embedding`` (e,), and if known ``novelty_p``, ``novel`` (the verdict) and ``age_s``, the age of
            the sample in s. The position is known from the suggestion, or given under the actuators' names. An
            embedding of NaN is a failed exposure: its position only counts as visited. A point replaces that of the
            same ``_id``.

        Raises
        ------
        ValueError
            If a point has neither a known ``_id`` nor a position, or its embedding does not fit the others.
        """
        self._trials.take(points)

    def judge(self, verdicts: Mapping[str, tuple[float | None, bool | None]]) -> None:
        """Replace p-value and verdict of measured points, by id."""
        self._trials.judge(verdicts)

    def register_suggestions(self, suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Add an ``_id``, reason and terms to points of a person, where they are missing.

        ValueError if one may not be measured.
        """
        positions = [self._trials.position(suggestion) for suggestion in suggestions]
        for position in positions:
            if (objection := self.window.objection(position)) is not None:
                raise ValueError(objection)
        return [
            self._propose(
                self._survey(),
                position,
                str(suggestion.get("reason") or "asked for by a person"),
                trial_id=str(suggestion.get(ID_KEY, "")),
            )
            for position, suggestion in zip(positions, suggestions, strict=True)
        ]

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Count the positions of failed exposures as visited, so that they are not tried again."""
        for suggestion in suggestions:
            self._trials.fail(suggestion)

    def withdraw(self, trial_id: str) -> None:
        """Remove a suggestion that will not be measured."""
        self._trials.withdraw(trial_id)

    def should_stop(self) -> tuple[bool, str]:
        """Return whether the sample is explored, and why or why not, in a sentence.

        It is explored if the chance of a missed region of the smallest radius is at most 0.05, the regimes of earlier
        exposures did not change over the last eight (adjusted Rand index of at least 0.95), and each of these eight
        shares its regime with another exposure. `bluesky_adaptive.plans.optimize` (1.0.0) returns as soon as this is
        true, before it records the step: `ainerd.steering.explore` records it.
        """
        missed = self._survey(pending=False).missed
        return verdict(missed, self.window.length(self._hidden.smallest), self._trials.stability, self._trials.n_failed)

    def map(self) -> SampleMap:
        """Return the present belief about the sample, on a grid."""
        return self._survey(pending=False).map

    def get_best_points(self) -> list[tuple[str, dict[str, float], dict[str, float | None]]]:
        """Return the novel exposures, most novel first."""
        novel = sorted(self._trials.novel().items(), key=lambda item: item[1].p)
        return [(key, self.window.named(spot.position), {"novelty_p": spot.p}) for key, spot in novel]

    def _survey(self, *, pending: bool = True) -> Survey:
        return Survey(
            self._hidden,
            self._trials.visited(pending=pending),
            *self._trials.labelled(),
            self._beam_size,
            self._dose_limit,
            self._travel_time,
            self.exposure_s,
            self._seed,
        )

    def _propose(
        self,
        survey: Survey,
        position: NDArray[np.float64],
        reason: str,
        novel_neighbour: float = 0.0,
        trial_id: str = "",
    ) -> dict[str, Any]:
        trial_id = self._trials.propose(position, trial_id)
        terms = {**survey.terms(position), "novel_neighbour": novel_neighbour}
        return {ID_KEY: trial_id, **self.window.named(position), "reason": reason, **{k: terms[k] for k in TERMS}}

    def _distance(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.linalg.norm(b - a, axis=1) / self.window.width)


COVERED = 1e-3  # expected new regimes of the best exposure, below which boundaries are refined
BOUNDARY = 2.0  # added to the worth of an exposure half way between two regimes: it also locates their boundary


def best_position(survey: Survey) -> tuple[NDArray[np.float64], str]:
    """Return the position (d,) where most new regimes are expected per unit of beam time, and why, in a sentence.

    Positions between two known regimes count more. Once the sample is covered, the boundaries between the known regimes
    are refined. Raises ValueError if no position is left.
    """
    if not survey.is_open.any():
        raise ValueError("no position is left: all of it is excluded or at the dose limit")
    covered = bool(survey.gain[survey.is_open].max() < COVERED)
    rates = _rates(survey, survey.boundary * survey.nearest + 1e-3 * survey.nearest if covered else None)
    ties = np.random.default_rng(survey.seed).random(len(rates))
    best = int(np.argmax(rates * (1 + 1e-6 * ties)))
    return survey.window.nodes[best], _reason(survey, best, covered)


def _rates(survey: Survey, worth: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return the worth of each node per second, (m,), -1 where it may not be measured."""
    if worth is None:
        worth = survey.gain * (1 + BOUNDARY * survey.boundary)
    return np.where(survey.is_open, worth / (survey.exposure_s + survey.travel_s), -1.0)


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


AROUND = 1.5  # distance in beams, or smallest radii, up to which a position lies beside another
NEIGHBOURS = 2  # exposures that bracket a spot
# Prior of a flagged exposure: the odds that it is new, and the p-values of new ones are distributed as p to this power
# minus one.
_ODDS, _SHAPE = 0.25, 0.2
_TURN = 2 * np.pi * np.arange(16) / 16


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
    return float(odds / (1 + odds))


def follow_up(survey: Survey, novel: Sequence[Novel]) -> FollowUp | None:
    """Return the next position that follows up a novel spot, or None.

    One exposure beside a novel spot, by one beam size, confirms it; so does a novel neighbour, or a novel exposure of
    the same regime elsewhere. A confirmed spot is bracketed by `NEIGHBOURS` exposures at the smallest radius of
    interest, unless the spot that confirmed it was bracketed.

    Worth is measured in expected new regimes per beam time, as in `best_position`. The worth of a second exposure is
    the chance, by the p-value, that the spot is new. The worth of bracketing is that of any position between two
    regimes.
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
