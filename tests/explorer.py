"""The choice of positions as an optimizer of bluesky-adaptive, without a campaign."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from bluesky_adaptive.protocols import ID_KEY
from numpy.typing import NDArray

from ainerd.steering import Exposures, SampleMap, Search, Survey, Window, completed, propose, sample_map, should_stop
from ainerd.steering._propose import survey_of

Labeler = Callable[[NDArray[np.float32]], NDArray[np.int64]]


class Explorer:
    """Suggests the positions with the most expected new regimes for their beam time, without a campaign.

    A bluesky-adaptive 1.0 `Optimizer`, also `CanRegisterSuggestions` and `SupportsStoppingCriteria`, around `propose`.
    `bluesky_adaptive.plans.optimize` (1.0.0) returns as soon as the sample is explored, before it records the step:
    `ainerd.plans.explore` records it.

    Parameters
    ----------
    bounds : mapping of str to (float, float)
        Limits of each actuator, by name. All share one unit, unless their `knobs` have lengths.
    labeler : callable, optional
        Maps embeddings (n, e) to regimes (n,), -1 unassigned, such as ``lambda z: find_regimes(z, width=1.0).labels``.
        Without it exposures have no regimes.
    alpha : float
        An exposure without a verdict is novel if its ``novelty_p`` is at most alpha.
    **options
        As for `Search.of`.

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

    def __init__(
        self,
        bounds: Mapping[str, tuple[float, float]],
        *,
        labeler: Labeler | None = None,
        alpha: float = 0.05,
        **options: Any,
    ) -> None:
        self.rules, self._labeler = Search.of(bounds, **options), labeler
        self.exposures = Exposures(self.rules.window.names, alpha=alpha)
        self._embeddings: dict[str, NDArray[np.float32]] = {}
        self.waiting: dict[str, Mapping[str, float]] = {}  # positions to be measured, by id
        self._failed: dict[str, Mapping[str, float]] = {}

    terms = ("unexplored", "empty_radius", "boundary", "band", "novel_neighbour", "travel", "unsearched")

    @property
    def window(self) -> Window:
        """Limits of the actuators, excluded boxes, and a grid; it may be set."""
        return self.rules.window

    @window.setter
    def window(self, window: Window) -> None:
        self.rules = replace(self.rules, window=window)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the actuators."""
        return self.window.names

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Limits of the actuators."""
        return self.window.bounds

    def expect(self, waiting: Mapping[str, Mapping[str, Any]], failed: Mapping[str, Mapping[str, float]]) -> None:
        """Replace the positions to be measured, and add those that failed."""
        self.waiting = {id: {name: each[name] for name in self.names} for id, each in waiting.items()}
        self._failed |= {id: each for id, each in failed.items() if id not in self._embeddings}

    def survey(self) -> Survey:
        """Return the state of knowledge when the next position is chosen."""
        return survey_of(self.exposures, self.waiting.values(), self._failed.values(), self.rules)

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Return the next positions, each with its reason and its terms; see `Survey.terms`.

        Raises ValueError if no position is left that may be measured.
        """
        points = []
        for _ in range(1 if num_points is None else num_points):
            chosen = propose(self.exposures, self.waiting.values(), self._failed.values(), self.rules)
            self.waiting[chosen.id] = chosen.position
            points.append(chosen.point)
        return points

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Learn measured points: id, embedding (NaN if the exposure failed), and position, if it was not suggested.

        They may have ``novelty_p`` and ``novel``.
        """
        for id, position, embedding, p, novel in [self._read(point) for point in points]:
            self.exposures.add(id, position, None if embedding is None else [], suggestion=id, p=p, novel=novel)
            self.waiting.pop(id, None)
            if embedding is not None:
                self._embeddings[id] = embedding
        if self._embeddings and points:
            z = np.stack([*self._embeddings.values()])
            labels = np.full(len(z), -1) if self._labeler is None else self._labeler(z)
            self.exposures["regime"][[self.exposures.row(id) for id in self._embeddings]] = labels
            self.exposures.settle()

    def register_suggestions(self, suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Add an ``_id``, reason and terms to points of a person; ValueError if one may not be measured."""
        points = []
        for each in suggestions:
            reason, id = str(each.get("reason") or "asked for by a person"), str(each.get(ID_KEY) or uuid.uuid4().hex)
            waiting, failed = self.waiting.values(), self._failed.values()
            chosen = completed(self._position(each, id), reason, id, self.exposures, waiting, failed, self.rules)
            self.waiting[id] = chosen.position
            points.append(chosen.point)
        return points

    def should_stop(self) -> tuple[bool, str]:
        """Return whether the sample is explored, and why or why not; see `ainerd.steering.should_stop`."""
        return should_stop(self.exposures, self._failed.values(), self.rules)

    def map(self) -> SampleMap:
        """Return the present belief about the sample, on a grid."""
        return sample_map(self.exposures, self._failed.values(), self.rules)

    def get_best_points(self) -> list[tuple[str, dict[str, float], dict[str, float | None]]]:
        """Return the novel exposures, most novel first."""
        return [(id, position, {"novelty_p": p}) for id, position, p in self.exposures.most_novel()]

    def _position(self, point: Mapping[str, Any], id: str) -> dict[str, float]:
        names = self.rules.window.names
        known = point if all(name in point for name in names) else self.waiting[id]
        return {name: float(known[name]) for name in names}

    def _read(
        self, point: Mapping[str, Any]
    ) -> tuple[str, dict[str, float], NDArray[np.float32] | None, float | None, bool | None]:
        """Return id, position, embedding (None if it failed), p-value and verdict of a measured point."""
        id, embedding = str(point.get(ID_KEY) or uuid.uuid4().hex), np.asarray(point["embedding"], np.float32)
        if np.isnan(embedding).all():
            return id, self._position(point, id), None, None, None
        p = point.get("novelty_p")
        return id, self._position(point, id), embedding, p, point.get("novel")
