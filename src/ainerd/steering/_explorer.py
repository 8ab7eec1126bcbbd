"""The optimizer: suggests positions, learns from the results there, and decides when to stop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from bluesky_adaptive.protocols import ID_KEY
from numpy.typing import NDArray

from ainerd.knobs import Knob
from ainerd.steering._missed import missed, surely_hit
from ainerd.steering._policies import Policy, new_regimes
from ainerd.steering._survey import Hidden, SampleMap, Survey, TravelTime
from ainerd.steering._trials import Labeler, Trials, chance_new, verdict
from ainerd.steering._window import Box, Window, Windowed

SURELY = 0.6  # of the smallest region: how far the smallest inclusion surely reaches, see `Hidden`


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


class Explorer(Windowed):
    """Suggests the next positions: those with the most expected new regimes for their beam time.

    A bluesky-adaptive 1.0 `Optimizer`, also `CanRegisterSuggestions`, `TrialFaultAware` and
    `SupportsStoppingCriteria`. Positions in arrays are in the units of the knobs here, and in lengths in a `Survey`.

    Parameters
    ----------
    bounds : mapping of str to (float, float)
        Limits of each actuator, by name. All share one unit, unless their `knobs` have lengths.
    knobs : mapping of str to Knob, optional
        Unit, length, cost and direction of each actuator.
    policy : callable, optional
        Chooses the next position: ``policy(survey)`` returns a position (d,), in lengths, and the reason. See
        `ainerd.steering.POLICIES`.
    labeler : callable, optional
        Maps embeddings (n, e) to regimes (n,), -1 unassigned, such as ``lambda z: find_regimes(z, width=1.0).labels``.
        Without it exposures have no regimes.
    travel_time : callable, optional
        Seconds from one position to others, ``travel_time(a, b)`` with a (d,) and b (n, d), without the knobs that have
        a cost. Without it, travel across the widest bound counts as one exposure, if no knob has a cost.
    exposure_s : float, optional
        Length of an exposure, to weigh the travel time.
    smallest_feature : float, optional
        Radius of the smallest region that must not be missed, in the actuators' unit. A tenth of the widest bound
        without it; 1 if the knobs have lengths, which take its place.
    elongation : float
        How many times as long as wide such a region may be, at the same area or volume: for `should_stop`.
    beam_size : float, optional
        Size of a spot for the dose limit. A tenth of `smallest_feature` without it.
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

    Examples
    --------
    >>> explorer = Explorer({"sample_x": (0, 10), "sample_y": (0, 10)}, smallest_feature=1.0, unit="mm")
    >>> first = explorer.suggest()[0]
    >>> first["reason"]
    'the first point: a region of unknown size is most likely hit here'
    >>> explorer.ingest([{"_id": first["_id"], "embedding": np.zeros(2)}])
    >>> explorer.should_stop()[0]
    False
    """

    takes_back = True
    terms: ClassVar = ("unexplored", "empty_radius", "boundary", "band", "novel_neighbour", "travel", "unsearched")

    def __init__(
        self,
        bounds: Box,
        *,
        knobs: Mapping[str, Knob] | None = None,
        policy: Policy = new_regimes,
        labeler: Labeler | None = None,
        travel_time: TravelTime | None = None,
        exposure_s: float | None = None,
        smallest_feature: float | None = None,
        elongation: float = 1.0,
        beam_size: float | None = None,
        dose_limit: int = 1,
        alpha: float = 0.05,
        seed: int = 0,
        unit: str = "",
    ) -> None:
        window = Window(bounds, unit=unit, knobs=knobs)
        if (travel_time is None) != (exposure_s is None):
            raise ValueError("travel_time and exposure_s belong together")
        if window.has_lengths and smallest_feature is not None:
            raise ValueError("smallest_feature and lengths of knobs are both given: leave smallest_feature out")
        usual = 1.0 if window.has_lengths else 0.1 * window.width
        smallest = usual if smallest_feature is None else smallest_feature
        self._beam_size = 0.1 * smallest if beam_size is None else beam_size
        if not (np.isfinite(elongation) and elongation >= 1):
            raise ValueError(f"elongation must be 1 or more, got {elongation}")
        if not (isinstance(dose_limit, int | np.integer) and dose_limit >= 1):
            raise ValueError(f"dose_limit must be a whole number from 1 on, got {dose_limit!r}")
        self._elongation = elongation
        for name, value in {
            "smallest_feature": smallest,
            "beam_size": self._beam_size,
            "exposure_s": exposure_s,
        }.items():
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive, got {value}")
        self._hidden, self._dose_limit = Hidden(window, smallest), dose_limit
        self._costly = [
            (k, knob) for k, name in enumerate(window.names) if (knob := window.knobs.get(name)) and knob.costs
        ]
        self._motors, self._policy = travel_time, policy
        self.exposure_s = exposure_s or 1.0
        self._seed = seed
        self._trials = Trials(window.names, labeler, alpha)

    @property
    def window(self) -> Window:
        """Limits of the actuators, excluded boxes, and a grid."""
        return self._hidden.window

    @window.setter
    def window(self, window: Window) -> None:
        if window is not self.window:
            self._hidden = Hidden(window, self._hidden.smallest)

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Return the next positions, each with its terms and a sentence.

        Returns
        -------
        list of dict
            ``_id``, one key for each actuator, ``reason``, and the terms:

            =================== ====================================================================
            ``unexplored``      chance that a hidden region is hit here for the first time
            ``empty_radius``    distance to the nearest exposure, in the actuators' unit, or in lengths
            ``boundary``        how evenly it lies between two regimes, 0 to 1
            ``band``            chance that a band of a new regime runs through here
            ``novel_neighbour`` chance that it shows a new regime nearby again, new to the agent or to another technique
            ``travel``          share of the beam time of this exposure that is travel
            ``unsearched``      share of the sample in which a region of the smallest radius could still hide
            =================== ====================================================================

        Raises
        ------
        ValueError
            If no position is left that may be measured.
        """
        surveys = (self._survey() for _ in range(1 if num_points is None else num_points))  # each with those before it
        return [self._propose(survey, *self._policy(survey)) for survey in surveys]

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Learn from measured points.

        Parameters
        ----------
        points : sequence of mapping
            ``_id``, ``embedding`` (e,), and if known ``novelty_p`` and ``novel``, the verdict. The position is known
            from the suggestion, or given under the actuators' names. An embedding of NaN is a failed exposure: its
            position only counts as visited. A point replaces that of the same ``_id``.

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
        positions = [self.window.position(self._trials.position(suggestion)) for suggestion in suggestions]
        visited = self._visited(pending=False)
        for position in positions:
            if (objection := self.window.objection(position)) is not None:
                raise ValueError(objection)
            if not self.window.onward(position[None], visited)[0]:
                why = "a knob that goes only one way would go back"
                raise ValueError(f"{self.window.text(position)} cannot be reached: {why}")
        return [
            self._propose(
                self._survey(),
                position,
                str(suggestion.get("reason") or "asked for by a person"),
                trial_id=str(suggestion.get(ID_KEY) or ""),
            )
            for position, suggestion in zip(positions, suggestions, strict=True)
        ]

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Count the positions of failed exposures as visited, so that they are not tried again."""
        for suggestion in suggestions:
            self._trials.fail(suggestion)

    def expect(self, pending: Mapping[str, Mapping[str, Any]], failed: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace the suggestions that are to be measured, by id, and add failed positions by the ids of theirs."""
        self._trials.expect(pending, failed)

    def should_stop(self) -> tuple[bool, str]:
        """Return whether the sample is explored, and why or why not, in a sentence.

        It is explored if the chance of a missed region of the smallest radius, with its centre anywhere in the bounds,
        is at most 0.05 (`ainerd.steering._missed`), the regimes of earlier exposures did not change over the last eight
        (adjusted Rand index of at least 0.95), and each of these eight shares its regime with another exposure.
        `bluesky_adaptive.plans.optimize` (1.0.0) returns as soon as this is true, before it records the step:
        `ainerd.plans.explore` records it.
        """
        here = self._visited(pending=False)
        chance = missed(self.window, here, self._hidden.smallest, self._elongation)
        radius = self.window.length(self._hidden.smallest)
        if self._elongation > 1:
            radius += f", and up to {self._elongation:g} times as long as wide,"
        surely = self.window.length(surely_hit(self.window, here))
        return verdict(chance, radius, surely, self._trials.stability, self._trials.n_failed)

    def map(self) -> SampleMap:
        """Return the present belief about the sample, on a grid."""
        return self._survey(pending=False).map

    def get_best_points(self) -> list[tuple[str, dict[str, float], dict[str, float | None]]]:
        """Return the novel exposures, most novel first."""
        return [(key, position, {"novelty_p": p}) for key, position, p in self._trials.novel()]

    def _survey(self, *, pending: bool = True) -> Survey:
        positions, regime = self._trials.labelled()
        visited = self._visited(pending=pending)
        own, own_new = self._trials.unsure(self.window, self._hidden.smallest)
        theirs = self._open_candidates(visited)
        p = np.array([candidate.p for _, candidate in theirs])
        return Survey(
            hidden=self._hidden,
            visited=visited,
            labelled=self.window.places(positions),
            regime=regime,
            spots=np.vstack([own, *(place[None] for place, _ in theirs)]),
            chance=np.append(own_new, chance_new(p)),
            agents=(*[""] * len(own), *(candidate.agent for _, candidate in theirs)),
            beam_size=self._beam_size,
            elongation=self._elongation,
            dose_limit=self._dose_limit,
            travel_time=self._travel_time,
            exposure_s=self.exposure_s,
            seed=self._seed,
        )

    def _visited(self, *, pending: bool) -> NDArray[np.float64]:
        return self.window.places(self._trials.visited(pending=pending))

    def _open_candidates(self, visited: NDArray[np.float64]) -> list[tuple[NDArray[np.float64], Candidate]]:
        """Return the candidates, with their positions in lengths, that may be measured and were not visited."""
        window, near, candidates = self.window, SURELY * self._hidden.smallest, []
        for candidate in self.candidates:
            place = window.position(np.array([candidate.position[name] for name in self.names]))
            away = np.linalg.norm(visited - place, axis=1).min(initial=np.inf)
            if away > near and window.objection(place) is None and window.onward(place[None], visited)[0]:
                candidates.append((place, candidate))
        return candidates

    def _propose(
        self, survey: Survey, position: NDArray[np.float64], reason: str, trial_id: str = ""
    ) -> dict[str, Any]:
        named = self.window.named(position)
        trial_id, terms = self._trials.propose(np.array([*named.values()]), trial_id), survey.terms(position)
        return {ID_KEY: trial_id, **named, "reason": reason, **{k: terms[k] for k in self.terms}}

    def _travel_time(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the seconds from a, (d,), to b, (n, d): knobs with a cost change one by one, then all others."""
        if self._motors is not None:
            seconds = np.asarray(self._motors(a, b), dtype=float)
        elif self._costly:
            seconds = np.zeros(len(b))
        else:
            change = self.window.position(b - a)[:, ~self.window.is_apart]
            seconds = np.linalg.norm(change, axis=1) / self.window.width
        return seconds + sum(knob.seconds(a[k], b[:, k]) for k, knob in self._costly)
