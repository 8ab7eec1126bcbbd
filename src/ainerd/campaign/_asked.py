"""What people ask of a campaign: the next point, where not to go, when to wait, what a regime is called."""

import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bluesky_adaptive.protocols import ID_KEY

from ainerd.campaign._atlas import Atlas
from ainerd.campaign._ledger import Ledger, limits_text
from ainerd.campaign._optimizer import TechniqueOptimizer
from ainerd.steering import Explorer

Limits = Mapping[str, tuple[float, float]]


class Asked(ABC):
    """The part of a campaign that people steer, at the prompt or on a page; `by` says who."""

    explorer: Explorer | TechniqueOptimizer
    held: dict[str, Any] | None
    regime_names: dict[int, str]
    _lock: threading.RLock
    _ledger: Ledger
    _atlas: Atlas
    _ready: dict[str, Any] | None
    _by_hand: bool
    _taken: dict[str, str]
    _own: set[str]
    _given: dict[str, dict[str, float]]
    _rejected: list[dict[str, float]]

    @abstractmethod
    def peek(self) -> dict[str, Any]: ...

    @abstractmethod
    def withdraw(self, reason: str, status: str = "withdrawn", by: str | None = None) -> None: ...

    @abstractmethod
    def checkpoint(self) -> None: ...

    @abstractmethod
    def _hand_out(self, n: int, by: str | None = None) -> list[dict[str, Any]]: ...

    @abstractmethod
    def _note(self, text: str, suggestion: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def _later(self, write: Callable[..., None], *args: Any, **kwargs: Any) -> None: ...

    @property
    def taken(self) -> str | None:
        """Id of the suggestion that a person took and that is measured next; None if there is none."""
        ready = self._ready
        return ready[ID_KEY] if ready is not None and ready[ID_KEY] in self._taken else None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the actuators."""
        return self.explorer.names

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Limits of each actuator. They may be set: what was found stays known."""
        return self.explorer.bounds

    @bounds.setter
    def bounds(self, bounds: Limits) -> None:
        with self._lock:
            self.explorer.bounds = bounds
            self._limits_changed("the bounds were changed", f"bounds are now {limits_text(self.bounds)}")

    @property
    def excluded(self) -> list[dict[str, tuple[float, float]]]:
        """Boxes that are never suggested. They may be set."""
        return self.explorer.excluded

    @excluded.setter
    def excluded(self, regions: Sequence[Limits]) -> None:
        with self._lock:
            self.explorer.excluded = list(regions)
            text = "; ".join(map(limits_text, regions)) or "no regions"
            self._limits_changed("the excluded regions were changed", f"excluded are now {text}")

    def position(self, values: Sequence[float]) -> dict[str, float]:
        """One number for each actuator, by name; ValueError if that is no position within the bounds."""
        if len(values) != len(self.names):
            raise ValueError(f"a position has {len(self.names)} numbers ({', '.join(self.names)}), got {len(values)}")
        for (name, (low, high)), x in zip(self.bounds.items(), values, strict=True):
            if not isinstance(x, int | float) or not low <= x <= high:
                raise ValueError(f"{name} = {x} lies outside its bounds ({low}, {high})")
        return dict(zip(self.names, map(float, values), strict=True))

    def accept(self) -> dict[str, Any]:
        """Take the next suggestion, to measure it by hand."""
        (accepted,) = self._hand_out(1, "person")
        self._note("a person accepted {}", accepted)
        return accepted

    def reject(self, reason: str, by: str = "person", suggestion: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Turn the next suggestion down, or this earlier one; returns the one after it.

        The rejected position counts as visited.
        """
        rejected = dict(suggestion) if suggestion is not None else self.peek()
        with self._lock:
            position = {name: float(rejected[name]) for name in self.names}
            if self._ready is not None and self._ready[ID_KEY] == rejected[ID_KEY]:
                self._ready = None
            else:  # it was replaced meanwhile, maybe by one at the same place
                self.withdraw("another suggestion was rejected", by=by)
                self.explorer.register_failures([{ID_KEY: uuid.uuid4().hex, **position}])
            self._rejected.append(position)
        self._later(self._ledger.status, rejected[ID_KEY], "rejected", reason, by=by)
        self._note(f"{_who(by)} rejected {{}}: " + reason, rejected)
        self.checkpoint()
        return self.peek()

    def take(self, suggestion: Mapping[str, Any], reason: str, by: str) -> dict[str, Any]:
        """Measure this suggestion next, whatever is found before: the one that is ready, or an earlier one.

        ValueError if its position may not be measured any more, or it was taken to be measured before.
        """
        with self._lock:
            taken = dict(suggestion)
            if taken[ID_KEY] in self._given:
                raise ValueError("it was measured already, or is being measured")
            if self._ready is None or self._ready[ID_KEY] != taken[ID_KEY]:
                try:
                    (known,) = self.explorer.register_suggestions([taken])  # whether it may be measured
                except ValueError as error:
                    self._later(self._ledger.status, taken[ID_KEY], "failed", str(error))
                    raise
                self.explorer.withdraw(known[ID_KEY])
                self.withdraw(f"{_who(by)} took another one", by=by)
                self._ready = taken
            taken = dict(self._ready)
            self._by_hand = True
            self._taken[taken[ID_KEY]] = by
            self._own.add(taken[ID_KEY])
        self._later(self._ledger.suggested, taken, "accepted", by)
        self._note(f"{_who(by)} took {{}}" + (f": {reason}" if reason else ""), taken)
        return taken

    def hold(self, reason: str, by: str = "person") -> None:
        """Have plans take no new suggestion until `release`."""
        self.held = {"by": by, "why": reason, "t": time.time()}
        self._later(self._ledger.note, f"{_who(by)} holds the campaign" + (f": {reason}" if reason else ""))
        self.checkpoint()

    def release(self, by: str = "person") -> None:
        """Let plans go on."""
        if self.held is not None:
            self.held = None
            self._later(self._ledger.note, f"{_who(by)} released the campaign")
            self.checkpoint()

    def name_regime(self, regime: int, name: str, by: str = "person") -> None:
        """Call a regime so, in the log and on pages; ValueError if there is no such regime. No name takes it away."""
        if regime not in self._atlas.labels:
            raise ValueError(f"there is no regime {regime}")
        self.regime_names = {**self.regime_names, regime: name}
        if not name:
            del self.regime_names[regime]
        called = f"calls regime {regime} {name!r}" if name else f"took the name of regime {regime} away"
        self._later(self._ledger.note, f"{_who(by)} {called}")
        self.checkpoint()

    def exclude(self, region: Limits, reason: str, by: str = "person") -> dict[str, Any]:
        """Never suggest a position in a box; returns the next suggestion."""
        with self._lock:
            self.explorer.exclude(region)
            self._limits_changed("a region was excluded", f"{_who(by)} excluded {limits_text(region)}: {reason}")
        return self.peek()

    def add(
        self, position: Mapping[str, float], reason: str, by: str = "person", principal: str | None = None
    ) -> dict[str, Any]:
        """Measure this position next; `principal` is who wants it, on a server with accounts."""
        with self._lock:
            (added,) = self.explorer.register_suggestions([{**position, "reason": reason}])
            self.withdraw("a person's point comes first", by="person")
            self._ready, self._by_hand = added, True
            self._own.add(added[ID_KEY])
        self._later(self._ledger.suggested, added, by=by, principal=principal)
        self._note(f"{_who(by)} wants {{}} next: " + reason, added)
        return dict(added)

    def _limits_changed(self, why: str, line: str) -> None:
        self.withdraw(why, by="person")
        self._later(self._ledger.note, line)
        self.checkpoint()


def _who(by: str) -> str:
    """Who did something, in words."""
    return "a person" if by == "person" else by
