"""The optimizer of a technique or of another package, and the policy of the settings."""

import logging
import uuid
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

import numpy as np
from bluesky_adaptive.protocols import ID_KEY, CanRegisterSuggestions, SupportsStoppingCriteria, TrialFaultAware

from ainerd.config import Steering
from ainerd.steering import POLICIES, Exposures, Search, Suggestion, TravelTime, Window
from ainerd.technique import Technique

logger = logging.getLogger(__name__)

GROUP = "ainerd.policies"  # of entry points
TRIES = 20  # requests for a position that may be measured

Travel = tuple[TravelTime, float]  # with the length of an exposure in s, as for `ainerd.steering.Search`


def search_of(
    technique: Technique, steering: Steering, unit: str, travel: Travel | None
) -> "tuple[Search, OtherOptimizer | None]":
    """Return the rules of the settings, and the optimizer of the technique or of the settings, if there is one.

    Raises ValueError if the policy of the settings cannot be loaded.
    """
    travel_time, exposure_s = travel or (None, None)
    policy = policy_of(steering)
    own, whose = technique.optimizer(steering.bounds), f"the optimizer of technique {technique.name}"
    if own is None and hasattr(policy, "suggest"):
        own, whose = policy(steering.bounds), f"the optimizer {steering.policy}"
    search = Search.of(
        steering.bounds,
        knobs=steering.knobs,
        policy=policy,
        travel_time=travel_time,
        exposure_s=exposure_s,
        smallest_feature=steering.smallest_feature,
        beam_size=steering.beam_size,
        dose_limit=steering.dose_limit,
        unit=unit,
    )
    return search, None if own is None else OtherOptimizer(own, search.window.names, whose)


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


class OtherOptimizer:
    """Asks another bluesky-adaptive `Optimizer` for positions, in place of `ainerd.steering.propose`.

    A suggestion without id or reason gets one, and its numbers besides the position become terms. Positions outside the
    bounds or in an excluded region are dropped. The optimizer itself must respect a dose limit. `whose` names it in
    messages. Raises ValueError if the optimizer has no `suggest` or no `ingest`.
    """

    def __init__(self, optimizer: Any, names: tuple[str, ...], whose: str) -> None:
        for method in ("suggest", "ingest"):
            if not callable(getattr(optimizer, method, None)):
                raise ValueError(f"{whose}, a {type(optimizer).__name__}, has no {method}()")
        self._optimizer, self._names, self._whose = optimizer, names, whose
        self._n_known, self._failed = 0, set[str]()  # exposures, and failed suggestions, that it knows

    def learn(self, exposures: Exposures, failed: Mapping[str, Mapping[str, float]]) -> None:
        """Pass new exposures and failures to the optimizer, and log its errors."""
        new = [row for row in range(self._n_known, len(exposures)) if exposures.placed[row]]
        self._n_known, p, novel = len(exposures), exposures.p_value, exposures.novel
        points = [
            {
                **dict(zip(self._names, exposures["position"][row].tolist(), strict=True)),
                ID_KEY: exposures.suggestion(row),
                "embedding": exposures["embedding"][row],
                "novelty_p": None if np.isnan(p[row]) else float(p[row]),
                "novel": bool(novel[row]),
            }
            for row in new
        ]
        lost = [{**position, ID_KEY: id} for id, position in failed.items() if id not in self._failed]
        self._failed |= {*failed}
        lost += [point for row, point in zip(new, points, strict=True) if not exposures["measured"][row]]
        measured = [point for row, point in zip(new, points, strict=True) if exposures.used[row]]
        try:
            if measured:
                self._optimizer.ingest(measured)
        except Exception:
            logger.exception("%s did not accept the results", self._whose)
        try:
            if lost and isinstance(self._optimizer, TrialFaultAware):
                self._optimizer.register_failures(lost)
        except Exception:
            logger.exception("%s did not accept the failures", self._whose)

    def propose(self, window: Window) -> Suggestion:
        """Return the next position; raise ValueError if the optimizer suggests no position that may be measured."""
        for _ in range(TRIES):
            offered = self._asked("to suggest a position", lambda: [*map(self._complete, self._optimizer.suggest(1))])
            for each in offered:
                if self._objection(each, window) is None:
                    return each  # type: ignore[no-any-return]
        raise ValueError(f"{self._whose} suggested no position that may be measured, in {TRIES} tries")

    def complete(self, position: Mapping[str, float], reason: str, id: str, window: Window) -> Suggestion:
        """Return a position of a person as a suggestion; raise ValueError if it may not be measured."""
        point = self._complete({**position, "reason": reason, ID_KEY: id})
        if (objection := self._objection(point, window)) is not None:
            raise ValueError(objection)
        if not isinstance(self._optimizer, CanRegisterSuggestions):
            return point
        known = self._asked("to take a point", lambda: dict(*self._optimizer.register_suggestions([point.point])))
        return self._complete({"reason": reason, **known})

    def should_stop(self) -> tuple[bool, str]:
        """Return whether to stop, and the reason. An optimizer without such a method never stops."""
        if not isinstance(self._optimizer, SupportsStoppingCriteria):
            return False, f"{self._whose} does not say when to stop"
        try:
            stop, why = self._asked("to say when to stop", self._optimizer.should_stop)
        except ValueError as error:
            return False, str(error)
        return bool(stop), why or f"{self._whose} says {'stop' if stop else 'go on'}"

    def best_points(self) -> list[Any]:
        """Return the best points; empty if the optimizer has no such method."""
        if not hasattr(self._optimizer, "get_best_points"):
            return []
        return list(self._asked("to name its best points", self._optimizer.get_best_points))

    def _asked(self, doing: str, ask: Callable[[], Any]) -> Any:
        """Turn an error of the optimizer into a ValueError of one line."""
        try:
            return ask()
        except Exception as error:
            raise ValueError(f"{self._whose} failed {doing}: {type(error).__name__}: {error}") from error

    def _complete(self, point: Mapping[str, Any]) -> Suggestion:
        if missing := [name for name in self._names if name not in point]:
            raise ValueError(f"a position has no {', '.join(missing)}: {dict(point)}")
        reason = point.get("reason") or f"suggested by {self._whose}"
        return Suggestion.of({ID_KEY: uuid.uuid4().hex, **point, "reason": reason}, self._names)

    def _objection(self, suggestion: Suggestion, window: Window) -> str | None:
        """Return the reason why a position may not be measured; None if it may be measured."""
        return window.objection_to(suggestion.position)
