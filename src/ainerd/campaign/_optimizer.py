"""The optimizer of a campaign: an `Explorer` with the campaign's options, or the optimizer of the technique."""

import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

import numpy as np
from bluesky_adaptive.protocols import ID_KEY, CanRegisterSuggestions, SupportsStoppingCriteria, TrialFaultAware

from ainerd.config import Steering
from ainerd.decisions import terms_of
from ainerd.steering import POLICIES, Explorer, Labeler, TravelTime, Window, Windowed
from ainerd.technique import Technique

logger = logging.getLogger(__name__)

GROUP = "ainerd.policies"  # of entry points
TRIES = 20  # requests for a position that may be measured

Travel = tuple[TravelTime, float]  # with the length of an exposure in s, as for `ainerd.steering.Explorer`


def optimizer_of(
    technique: Technique, steering: Steering, labeler: Labeler, unit: str, travel: Travel | None
) -> "Explorer | OtherOptimizer":
    """Return the optimizer of the technique or of the settings, if there is one, otherwise an `Explorer`.

    Raises ValueError if the policy of the settings cannot be loaded.
    """
    travel_time, exposure_s = travel or (None, None)
    policy = policy_of(steering)
    own, whose = technique.optimizer(steering.bounds), f"the optimizer of technique {technique.name}"
    if own is None and hasattr(policy, "suggest"):
        own, whose = policy(steering.bounds), f"the optimizer {steering.policy}"
    if own is not None:
        return OtherOptimizer(own, Window(steering.bounds, knobs=steering.knobs), whose)
    return Explorer(
        steering.bounds,
        knobs=steering.knobs,
        policy=policy,
        labeler=labeler,
        travel_time=travel_time,
        exposure_s=exposure_s,
        smallest_feature=steering.smallest_feature,
        beam_size=steering.beam_size,
        dose_limit=steering.dose_limit,
        alpha=technique.alpha,
        unit=unit,
    )


def policy_of(steering: Steering, *, runs: bool = True) -> Any:
    """Return the policy of the settings: one of ours, of another package (``ainerd.policies``), or ``module:function``.

    If not `runs`, no code of it runs, and only its entry point is returned. Raises ValueError if nothing has its name,
    or if it cannot be loaded or called.
    """
    name, others = steering.policy, {each.name: each for each in entry_points(group=GROUP)}
    if name in POLICIES:
        return POLICIES[name]
    if name not in others and ":" not in name:
        known = ", ".join([*POLICIES, *others])
        raise ValueError(f"steering.policy: {name!r} is not one of {known}, or module:function")
    entry = others.get(name, EntryPoint(name, name, GROUP))
    package = entry.module.partition(".")[0]
    try:
        if find_spec(package) is None:  # of the package alone: to find a module in it imports the package
            raise ModuleNotFoundError(f"No module named {package!r}")
        policy = entry.load() if runs else entry
    except Exception as error:  # foreign code
        raise ValueError(f"steering.policy: {name!r} cannot be loaded: {type(error).__name__}: {error}") from error
    if runs and not callable(policy):
        raise ValueError(f"steering.policy: {name!r} is not a function, nor a class")
    return policy


class OtherOptimizer(Windowed):
    """Wraps another bluesky-adaptive `Optimizer` in the interface of `ainerd.steering.Explorer`.

    A suggestion without id or reason gets one, and its numbers besides the position become terms. Positions outside the
    bounds or in an excluded region are dropped. The optimizer itself must respect a dose limit. `whose` names it in
    messages. Raises ValueError if the optimizer has no `suggest` or no `ingest`.
    """

    def __init__(self, optimizer: Any, window: Window, whose: str) -> None:
        for method in ("suggest", "ingest"):
            if not callable(getattr(optimizer, method, None)):
                raise ValueError(f"{whose}, a {type(optimizer).__name__}, has no {method}()")
        self._optimizer, self.window, self._whose = optimizer, window, whose
        self._failed: set[str] = set()  # ids that it knows as failed

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Return the next positions; raise ValueError if the optimizer suggests no position that may be measured."""
        n, suggestions = num_points or 1, list[dict[str, Any]]()
        for _ in range(TRIES):
            with self._failure("to suggest a position"):
                offered = [self._completed(each) for each in self._optimizer.suggest(n)]
            suggestions += [each for each in offered if self._objection(each) is None]
            if len(suggestions) >= n:
                return suggestions[:n]
        raise ValueError(f"{self._whose} suggested no position that may be measured, in {TRIES} tries")

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Pass results to the optimizer, and log its errors."""
        measured = [point for point in points if np.isfinite(point["embedding"]).all()]
        try:
            if measured:
                self._optimizer.ingest(measured)
        except Exception:
            logger.exception("%s did not accept the results", self._whose)
        self.register_failures([point for point in points if not np.isfinite(point["embedding"]).all()])

    def register_suggestions(self, suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return points of a person as complete suggestions; raise ValueError if a point may not be measured."""
        for suggestion in suggestions:
            if (objection := self._objection(suggestion)) is not None:
                raise ValueError(objection)
        if isinstance(self._optimizer, CanRegisterSuggestions):
            with self._failure("to take a point"):
                suggestions = self._optimizer.register_suggestions(suggestions)
        return [self._completed({"reason": "asked for by a person", **each}) for each in suggestions]

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Report failed exposures, and log an error of the optimizer."""
        try:
            if suggestions and isinstance(self._optimizer, TrialFaultAware):
                self._optimizer.register_failures(suggestions)
        except Exception:
            logger.exception("%s did not accept the failures", self._whose)

    def judge(self, verdicts: Mapping[str, tuple[float | None, bool | None]]) -> None:
        """Do nothing: the protocols of bluesky-adaptive have no verdicts that change."""

    def expect(self, pending: Mapping[str, Mapping[str, Any]], failed: Mapping[str, Mapping[str, Any]]) -> None:
        """Report positions that failed, by id, once. The protocols have no method to withdraw a suggestion."""
        self.register_failures([{**position, ID_KEY: id} for id, position in failed.items() if id not in self._failed])
        self._failed |= {*failed}

    def should_stop(self) -> tuple[bool, str]:
        """Return whether to stop, and the reason. An optimizer without such a method never stops."""
        if not isinstance(self._optimizer, SupportsStoppingCriteria):
            return False, f"{self._whose} does not say when to stop"
        try:
            with self._failure("to say when to stop"):
                stop, why = self._optimizer.should_stop()
        except ValueError as error:
            return False, str(error)
        return bool(stop), why or f"{self._whose} says {'stop' if stop else 'go on'}"

    def get_best_points(self) -> list[Any]:
        """Return the best points; empty if the optimizer has no such method."""
        return list(self._optimizer.get_best_points()) if hasattr(self._optimizer, "get_best_points") else []

    def map(self) -> None:
        """Return None: this optimizer has no belief over position to draw."""

    @contextmanager
    def _failure(self, doing: str) -> Iterator[None]:
        """Turn an error of the optimizer into a ValueError of one line."""
        try:
            yield
        except Exception as error:
            raise ValueError(f"{self._whose} failed {doing}: {type(error).__name__}: {error}") from error

    def _completed(self, suggestion: Mapping[str, Any]) -> dict[str, Any]:
        return {
            ID_KEY: str(suggestion.get(ID_KEY, uuid.uuid4().hex)),
            **self._position(suggestion),
            "reason": str(suggestion.get("reason") or f"suggested by {self._whose}"),
            **terms_of(suggestion, (*self.names, ID_KEY)),
        }

    def _objection(self, suggestion: Mapping[str, Any]) -> str | None:
        """Return the reason why a position may not be measured; None if it may be measured."""
        return self.window.objection(self.window.position(np.array([*self._position(suggestion).values()])))

    def _position(self, suggestion: Mapping[str, Any]) -> dict[str, float]:
        if missing := [name for name in self.names if name not in suggestion]:
            raise ValueError(f"a position has no {', '.join(missing)}: {dict(suggestion)}")
        return {name: float(suggestion[name]) for name in self.names}
