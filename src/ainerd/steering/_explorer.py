"""The optimizer: suggests positions, takes in what was found there."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from bluesky_adaptive.protocols import ID_KEY
from numpy.typing import NDArray

from ainerd.steering._sequence import r_sequence
from ainerd.steering._terms import Visited, boundary, novel_neighbour, unexplored

TERMS = ("unexplored", "boundary", "novel_neighbour", "travel")
WEIGHTS = {"unexplored": 1.0, "boundary": 0.6, "novel_neighbour": 2.0, "travel": -0.5}
Labeler = Callable[[NDArray[np.float32]], NDArray[np.int64]]


@dataclass(frozen=True)
class _Trial:
    position: NDArray[np.float64]  # in units of the bounds
    embedding: NDArray[np.float32] | None = None  # None: pending or failed
    novelty_p: float | None = None
    label: int = -1


class Explorer:
    """Suggests where to measure next: evenly first, then where it is empty, between regimes, beside what is novel.

    A bluesky-adaptive 1.0 `Optimizer`, also `CanRegisterSuggestions` and `TrialFaultAware`. A novel exposure
    interrupts the even sequence: it is bracketed first.

    Parameters
    ----------
    bounds : mapping of str to (float, float)
        Limits of each actuator, by name.
    labeler : callable, optional
        Embeddings (n, d) to regimes (n,), -1 unassigned. Without it there are no boundaries between regimes.
    smallest_feature : float, optional
        Size of the smallest region of interest, in units of the actuators; sets how far from a novel spot its
        neighbours are measured. A tenth of the widest bound without it.
    travel_time : callable, optional
        Seconds from one position to another, ``travel_time(a, b)`` with a (d,) and b (n, d); the distance counts
        without it.
    exposure_s : float, optional
        Length of an exposure, what travel time is weighed against.
    alpha : float
        An exposure of ``novelty_p`` <= alpha is novel.
    n_even : int
        Length of the even sequence at the start.
    seed : int
        Of the even sequence.

    Raises
    ------
    ValueError
        If the bounds have no width.
    """

    def __init__(
        self,
        bounds: Mapping[str, tuple[float, float]],
        *,
        labeler: Labeler | None = None,
        smallest_feature: float | None = None,
        travel_time: Callable[[NDArray, NDArray], NDArray] | None = None,
        exposure_s: float | None = None,
        alpha: float = 0.05,
        n_even: int = 6,
        seed: int = 0,
    ) -> None:
        for name, (low, high) in bounds.items():
            if not low < high:
                raise ValueError(f"bounds of {name!r} have no width: ({low}, {high})")
        if not bounds:
            raise ValueError("bounds are empty: name at least one actuator")
        if (travel_time is None) != (exposure_s is None):
            raise ValueError("travel_time and exposure_s belong together")
        self.names = tuple(bounds)
        self._low, self._high = np.array(list(bounds.values()), dtype=float).T
        self._width = self._high - self._low
        feature = 0.1 * self._width.max() if smallest_feature is None else smallest_feature
        self._reach = float(feature / self._width.max())
        self._labeler, self._travel_time, self._exposure_s = labeler, travel_time, exposure_s
        self._alpha, self._n_even, self._seed = alpha, n_even, seed
        self._trials: dict[str, _Trial] = {}
        self._candidates = r_sequence(2048, len(bounds), seed=seed)

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Next positions, each with its terms and a sentence.

        Returns
        -------
        list of dict
            ``_id``, one key for each actuator, ``reason``, and the terms `TERMS` between 0 and 1.
        """
        suggestions = []
        for _ in range(num_points or 1):
            position, terms, reason = self._choose()
            trial_id = uuid.uuid4().hex
            self._trials[trial_id] = _Trial(position)
            suggestions.append({ID_KEY: trial_id, **self._named(position), "reason": reason, **terms})
        return suggestions

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Take in what was found.

        Parameters
        ----------
        points : sequence of mapping
            ``_id``, ``embedding`` (d,), ``novelty_p``; the position is known from the suggestion, or brought along
            under the actuators' names. An embedding of NaN is a failed exposure: the position counts as visited and
            as nothing else. A point that is known already changes nothing.

        Raises
        ------
        ValueError
            If a point has neither a known ``_id`` nor a position.
        """
        changed = False
        for point in points:
            trial_id = str(point.get(ID_KEY) or uuid.uuid4().hex)
            known = self._trials.get(trial_id)
            embedding = np.asarray(point["embedding"], dtype=np.float32)
            found = embedding if np.isfinite(embedding).all() else None
            if known is not None and known.embedding is not None and found is not None:
                if np.array_equal(known.embedding, found):
                    continue
            p = point.get("novelty_p")
            p = None if p is None or not np.isfinite(p) else float(p)
            self._trials[trial_id] = _Trial(self._position(trial_id, point), found, p)
            changed = True
        if changed:
            self._relabel()

    def register_suggestions(self, suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Give a person's own points their ``_id``, reason and terms."""
        registered = []
        for suggestion in suggestions:
            position = self._position("", suggestion)
            trial_id = uuid.uuid4().hex
            terms = self._terms_at(position[None])
            self._trials[trial_id] = _Trial(position)
            reason = str(suggestion.get("reason") or "asked for by a person")
            found = {name: float(value[0]) for name, value in terms.items()}
            registered.append({ID_KEY: trial_id, **self._named(position), "reason": reason, **found})
        return registered

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Keep the positions of failed exposures visited, so that they are not tried again at once."""
        for suggestion in suggestions:
            self._trials.setdefault(str(suggestion[ID_KEY]), _Trial(self._position("", suggestion)))

    def withdraw(self, trial_id: str) -> None:
        """Forget a suggestion that will not be measured."""
        self._trials.pop(trial_id, None)

    def get_best_points(self) -> list[tuple[str, dict[str, float], dict[str, float | None]]]:
        """The novel exposures, most novel first."""
        novel = [(key, trial) for key, trial in self._trials.items() if self._is_novel(trial)]
        novel.sort(key=lambda item: item[1].novelty_p or 0.0)
        return [(key, self._named(trial.position), {"novelty_p": trial.novelty_p}) for key, trial in novel]

    def _choose(self) -> tuple[NDArray[np.float64], dict[str, float], str]:
        visited = self._visited()
        n = len(visited.position)
        terms = self._terms_at(self._candidates)
        if n == 0 or n < self._n_even and not terms["novel_neighbour"].max() > 0.2:
            position = r_sequence(1, len(self.names), start=n, seed=self._seed)[0]
            terms = self._terms_at(position[None])
            reason = f"point {n + 1} of {max(self._n_even, 1)} of an even sequence over the sample"
            return position, {name: float(value[0]) for name, value in terms.items()}, reason
        best = int(np.argmax(sum(WEIGHTS[name] * terms[name] for name in TERMS)))
        position, chosen = self._candidates[best], {name: float(terms[name][best]) for name in TERMS}
        return position, chosen, self._sentence(position, chosen, visited)

    def _terms_at(self, candidates: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        visited = self._visited()
        zero = np.zeros(len(candidates))
        if len(visited.position) == 0:
            return {"unexplored": zero + 1, "boundary": zero, "novel_neighbour": zero, "travel": zero}
        distance = np.linalg.norm(candidates[:, None] - visited.position, axis=2)
        if self._travel_time is None:
            travel = distance[:, -1] / np.sqrt(len(self.names))
        else:
            scale = self._low, self._width
            seconds = self._travel_time(*(scale[0] + scale[1] * x for x in (visited.position[-1], candidates)))
            travel = seconds / (seconds + self._exposure_s)
        return {
            "unexplored": unexplored(distance),
            "boundary": boundary(distance, visited.label, 2 * self._reach),
            "novel_neighbour": novel_neighbour(candidates, visited, self._reach, wanted=2),
            "travel": travel,
        }

    def _sentence(self, position: NDArray, terms: Mapping[str, float], visited: Visited) -> str:
        gains = {name: WEIGHTS[name] * terms[name] for name in TERMS if WEIGHTS[name] > 0}
        why = max(gains, key=gains.__getitem__)
        distance = np.linalg.norm(visited.position - position, axis=1) * self._width.max()
        if why == "novel_neighbour":
            spots = [t for t in self._trials.values() if self._is_novel(t)]
            spot = min(spots, key=lambda t: float(np.linalg.norm(t.position - position)))
            where = self._text(spot.position)
            return f"beside the novel spot at {where} (p = {spot.novelty_p:.2g}): how far does it reach?"
        order = [k for k in dict.fromkeys(visited.label[np.argsort(distance)]) if k >= 0]
        between = f"between regime {order[0]} and regime {order[1]}" if terms["boundary"] > 0.5 else ""
        if why == "boundary":
            return f"{between}, {distance.min():.2g} from the nearest exposure"
        empty = f"unexplored: nothing measured within {distance.min():.2g} of here"
        return f"{empty}, {between}" if between else empty

    def _relabel(self) -> None:
        found = {key: trial.embedding for key, trial in self._trials.items() if trial.embedding is not None}
        if self._labeler is None or not found:
            return
        for key, label in zip(found, self._labeler(np.stack(list(found.values()))), strict=True):
            self._trials[key] = replace(self._trials[key], label=int(label))

    def _visited(self) -> Visited:
        trials = list(self._trials.values())
        return Visited(
            np.array([t.position for t in trials]).reshape(-1, len(self.names)),
            np.array([t.label for t in trials], dtype=np.int64),
            np.array([self._is_novel(t) for t in trials], dtype=bool),
        )

    def _is_novel(self, trial: _Trial) -> bool:
        return trial.novelty_p is not None and trial.novelty_p <= self._alpha

    def _position(self, trial_id: str, point: Mapping[str, Any]) -> NDArray[np.float64]:
        if all(name in point for name in self.names):
            position = np.array([float(point[name]) for name in self.names])
            if not np.isfinite(position).all():
                raise ValueError(f"position {self._named((position - self._low) / self._width)} is not finite")
            return (position - self._low) / self._width
        if trial_id in self._trials:
            return self._trials[trial_id].position
        raise ValueError(f"point {trial_id!r} was not suggested here and brings no position ({', '.join(self.names)})")

    def _named(self, position: NDArray[np.float64]) -> dict[str, float]:
        return {name: float(x) for name, x in zip(self.names, self._low + self._width * position, strict=True)}

    def _text(self, position: NDArray[np.float64]) -> str:
        return "(" + ", ".join(f"{x:.2f}" for x in self._named(position).values()) + ")"
