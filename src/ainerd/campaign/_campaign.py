"""The campaign: what was found leads to suggestions, and suggestions have a fate."""

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from bluesky_adaptive.protocols import ID_KEY

from ainerd.campaign._atlas import Atlas
from ainerd.campaign._ledger import Ledger, in_words
from ainerd.campaign._notices import Drift, Remarks
from ainerd.results import ResultStore, read_checkpoint
from ainerd.runs import Outcome
from ainerd.steering import Explorer, SampleMap
from ainerd.technique import Regimes, Technique

IN_VAIN = 5  # exposures in a row without a result, after which nobody should go on unasked


class Campaign:
    """Keeps the explorer, the regimes and the suggestions of one agent in step with its results in Tiled.

    A bluesky-adaptive `Optimizer` with all optional protocols. Results reach the explorer from the worker, so that runs
    taken by hand count as well; `ingest` of the same points by the plan then changes nothing. Everything that writes to
    Tiled is deferred to the worker.

    Parameters
    ----------
    technique : Technique
    store : ResultStore
    bounds : mapping of str to (float, float)
        Limits of each actuator.
    agent : str
        Whose campaign it is: its checkpoint is found again by this name.
    age : str
        Name in the results of the time since shear stopped; empty if it is not known.
    drift : Drift, optional
        Watches the session's p-values.
    defer : callable
        Runs a job in the worker's thread.
    **explorer
        Options of `Explorer`.
    """

    def __init__(
        self,
        technique: Technique,
        store: ResultStore,
        *,
        bounds: Mapping[str, tuple[float, float]],
        agent: str,
        age: str = "",
        drift: Drift | None = None,
        defer: Callable[[Callable[[], None]], None],
        **explorer: Any,
    ) -> None:
        self._technique, self._store, self._agent, self._age, self._defer = technique, store, agent, age, defer
        self._ledger = Ledger(store, agent, tuple(bounds))
        self._lock = threading.RLock()
        self._configured = {name: list(limits) for name, limits in bounds.items()}
        self._rejected: list[dict[str, float]] = []
        self._in_vain = 0  # exposures in a row without a result
        self._atlas = Atlas(technique, store)
        self._remarks = Remarks(self._ledger, self._atlas, beam_size=explorer.get("beam_size"), drift=drift)
        self.explorer = Explorer(
            bounds, labeler=self._atlas.label, noise=technique.regime_width, alpha=technique.alpha, **explorer
        )
        self._ready: dict[str, Any] | None = None
        self._by_hand = False  # whether a person put the ready suggestion there
        self._known: set[str] = set()  # keys of complete results that the explorer knows
        self._weighs_time = "travel_time" in explorer
        self._accepted: set[str] = set()  # ids of suggestions that a person took
        self._remember()

    # what the worker tells

    def place(self, outcome: Outcome) -> dict[str, Any]:
        """Regime of an analysed run, and the version of the atlas that it comes from."""
        with self._lock:
            regime = self._atlas.add(outcome)
        return {"regime": regime, "atlas_version": self._atlas.keep()}

    def absorb(self, outcome: Outcome) -> None:
        """Note the fate of the suggestion behind a run, say what was found, and have the next suggestion ready.

        Of a run that has its result from elsewhere, only what was found is taken up, once.
        """
        with self._lock:
            if outcome.is_recalled and outcome.key in self._known:
                return
            self._take(outcome)
        if not outcome.is_recalled:
            self._say(outcome)
        if not self._by_hand:
            self.withdraw("newer results")
        with suppress(ValueError):  # no position is left: who asks is told
            self.peek()

    def _take(self, outcome: Outcome) -> None:
        """Have the atlas and the explorer know of a run."""
        if outcome.status == "complete":
            self._atlas.learn(outcome)
            self._known.add(outcome.key)
        self._in_vain = 0 if outcome.status == "complete" else self._in_vain + 1
        if set(self.names) <= set(outcome.positions):
            self.explorer.ingest([_point(outcome, self._technique.embedding_size)])
        if outcome.exposure_s and self._weighs_time:
            self.explorer.exposure_s = outcome.exposure_s
        if self._ready is not None and self._ready[ID_KEY] == outcome.trial_id:
            self._ready = None

    def _say(self, outcome: Outcome) -> None:
        """Write down what became of a run."""
        if outcome.trial_id != outcome.key:
            fate = "measured" if outcome.status == "complete" else "failed"
            self._ledger.fate(outcome.trial_id, fate, outcome.reason or None, outcome.raw_uid)
        self._ledger.note(
            self._ledger.finding(outcome, self._technique.alpha), raw_uid=outcome.raw_uid, result=outcome.key
        )
        self._remarks.make(outcome, *self.should_stop())
        if outcome.status == "complete":
            self._later(self._ledger.link, outcome.key)

    # the optimizer that bluesky-adaptive talks to

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Next positions, to be measured now: the one that is ready first."""
        with self._lock:
            taken = [self._ready] if self._ready is not None else []
            self._ready = None
            new = self.explorer.suggest((num_points or 1) - len(taken)) if (num_points or 1) > len(taken) else []
        suggestions = [*taken, *new]
        for suggestion in suggestions:
            self._later(self._ledger.suggested, suggestion, "accepted")
        return suggestions

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """What the plan found; known already from the worker."""
        with self._lock:
            self.explorer.ingest(points)

    def register_suggestions(self, suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """A person's own points; suggestions that were accepted stay what they are."""
        with self._lock:
            known = self._accepted
            registered = [
                dict(suggestion)
                if suggestion.get(ID_KEY) in known
                else self.explorer.register_suggestions([suggestion])[0]
                for suggestion in suggestions
            ]
        for suggestion in registered:
            if suggestion[ID_KEY] not in known:
                self._later(self._ledger.suggested, suggestion, "accepted")
        return registered

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Exposures that could not be taken."""
        with self._lock:
            self.explorer.register_failures(suggestions)
        for suggestion in suggestions:
            self._later(self._ledger.fate, suggestion[ID_KEY], "failed", "the exposure was not finished")

    def get_best_points(self) -> list[tuple[str, dict[str, float], dict[str, float | None]]]:
        """The novel exposures, most novel first."""
        with self._lock:
            return self.explorer.get_best_points()

    def should_stop(self) -> tuple[bool, str]:
        """Whether to go on unasked makes sense, and why, in words; see `Explorer.should_stop`."""
        if self._in_vain >= IN_VAIN:
            return True, f"the last {self._in_vain} exposures gave no result"
        with self._lock:
            return self.explorer.should_stop()

    def checkpoint(self) -> None:
        """Keep in Tiled what no result says: changed bounds, excluded regions, and positions turned down."""
        state = {
            "configured": self._configured,
            "bounds": {name: list(limits) for name, limits in self.bounds.items()},
            "excluded": [{name: list(limits) for name, limits in box.items()} for box in self.explorer.excluded],
            "rejected": list(self._rejected),
        }
        self._later(self._ledger.checkpoint, state)

    # what a person asks

    @property
    def regimes(self) -> Regimes | None:
        """Of the newest refit."""
        return self._atlas.regimes

    @property
    def advice(self) -> str | None:
        """What the latest run suggests to do."""
        return self._remarks.advice

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the actuators."""
        return self.explorer.names

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Limits of each actuator. They may be set: what was found stays known."""
        return self.explorer.bounds

    @bounds.setter
    def bounds(self, bounds: dict[str, tuple[float, float]]) -> None:
        with self._lock:
            self.explorer.bounds = bounds
            self.withdraw("the bounds were changed")
        self._later(self._ledger.note, f"bounds are now {in_words(self.bounds)}")
        self.checkpoint()

    @property
    def excluded(self) -> list[dict[str, tuple[float, float]]]:
        """Boxes that are never suggested. They may be set."""
        return self.explorer.excluded

    @excluded.setter
    def excluded(self, regions: Sequence[dict[str, tuple[float, float]]]) -> None:
        with self._lock:
            self.explorer.excluded = list(regions)
            self.withdraw("the excluded regions were changed")
        self._later(self._ledger.note, f"excluded are now {'; '.join(map(in_words, regions)) or 'no regions'}")
        self.checkpoint()

    def position(self, values: Sequence[float]) -> dict[str, float]:
        """One number for each actuator, by name; ValueError if that is no position within the bounds."""
        if len(values) != len(self.names):
            raise ValueError(f"a position has {len(self.names)} numbers ({', '.join(self.names)}), got {len(values)}")
        for (name, (low, high)), x in zip(self.bounds.items(), values, strict=True):
            if not isinstance(x, int | float) or not low <= x <= high:
                raise ValueError(f"{name} = {x} lies outside its bounds ({low}, {high})")
        return dict(zip(self.names, map(float, values), strict=True))

    def peek(self) -> dict[str, Any]:
        """The next suggestion, without taking it."""
        with self._lock:
            if self._ready is None:
                (self._ready,) = self.explorer.suggest(1)
                self._by_hand = False
                self._later(self._ledger.suggested, self._ready)
            return dict(self._ready)

    def map(self) -> SampleMap:
        """What is believed of the sample now."""
        with self._lock:
            return self.explorer.map()

    def reject(self, reason: str) -> dict[str, Any]:
        """Turn the next suggestion down; returns the one after it. The rejected position counts as visited."""
        rejected = self.peek()
        with self._lock:
            self._ready = None
            self._rejected.append({name: float(rejected[name]) for name in self.names})
        self._later(self._ledger.fate, rejected[ID_KEY], "rejected", reason)
        self._later(
            self._ledger.note,
            f"a person rejected {self._ledger.place(rejected)}: {reason}",
            suggestion_id=rejected[ID_KEY],
        )
        self.checkpoint()
        return self.peek()

    def accept(self) -> dict[str, Any]:
        """Take the next suggestion, to measure it by hand."""
        (accepted,) = self.suggest(1)
        self._accepted.add(accepted[ID_KEY])
        self._later(
            self._ledger.note, f"a person accepted {self._ledger.place(accepted)}", suggestion_id=accepted[ID_KEY]
        )
        return accepted

    def exclude(self, region: Mapping[str, tuple[float, float]], reason: str) -> dict[str, Any]:
        """Never suggest a position in a box; returns the next suggestion."""
        with self._lock:
            self.explorer.exclude(region)
            self.withdraw("a region was excluded")
        self._later(self._ledger.note, f"a person excluded {in_words(region)}: {reason}")
        self.checkpoint()
        return self.peek()

    def add(self, position: Mapping[str, float], reason: str) -> dict[str, Any]:
        """Measure this position next."""
        with self._lock:
            (added,) = self.explorer.register_suggestions([{**position, "reason": reason}])
            self.withdraw("a person's point comes first")
            self._ready, self._by_hand = added, True
        self._later(self._ledger.suggested, added)
        self._later(
            self._ledger.note, f"a person wants {self._ledger.place(added)} next: {reason}", suggestion_id=added[ID_KEY]
        )
        return dict(added)

    def withdraw(self, reason: str) -> None:
        """Take back the suggestion that is ready, if there is one; its position stays free."""
        with self._lock:
            stale, self._ready = self._ready, None
            if stale is not None:
                self.explorer.withdraw(stale[ID_KEY])
                self._later(self._ledger.fate, stale[ID_KEY], "rejected", reason)

    # inside

    def _remember(self) -> None:
        """Take up what is in Tiled: results, and the checkpoint."""
        known = [p for p in self._atlas.remembered if all(np.isfinite(p.get(name, np.nan)) for name in self.names)]
        self.explorer.ingest([{ID_KEY: p["key"], "age_s": p.get(self._age), **p} for p in known])
        self._known.update(p["key"] for p in known if p["status"] == "complete")
        self._restore(read_checkpoint(self._store.container, self._agent))

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Take up a checkpoint; bounds that were changed in the configuration since then count more."""
        if not state:
            return
        if state["configured"] == self._configured:
            self.explorer.bounds = {name: (low, high) for name, (low, high) in state["bounds"].items()}
        for region in state["excluded"]:
            self.explorer.exclude({name: (low, high) for name, (low, high) in region.items()})
        self._rejected = [dict(position) for position in state["rejected"]]
        self.explorer.register_failures([{ID_KEY: uuid.uuid4().hex, **position} for position in self._rejected])

    def _later(self, write: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        self._defer(partial(write, *args, **kwargs))


def _point(outcome: Outcome, size: int) -> dict[str, Any]:
    return {
        ID_KEY: outcome.trial_id,
        "embedding": np.full(size, np.nan, np.float32) if outcome.embedding is None else outcome.embedding,
        "novelty_p": outcome.novelty_p,
        "age_s": outcome.age_s,
        **outcome.positions,
    }
