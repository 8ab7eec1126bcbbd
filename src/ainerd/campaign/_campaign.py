"""The campaign of one agent: what was found leads to suggestions, and each suggestion has a status."""

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from bluesky_adaptive.protocols import ID_KEY

from ainerd.campaign._asked import Asked, Limits
from ainerd.campaign._atlas import Atlas
from ainerd.campaign._claims import Claims
from ainerd.campaign._ledger import Ledger
from ainerd.campaign._memory import remembered
from ainerd.campaign._notices import Drift, Notices
from ainerd.campaign._optimizer import TechniqueOptimizer
from ainerd.results import ResultStore, read_checkpoint
from ainerd.runs import Outcome
from ainerd.steering import Explorer, SampleMap
from ainerd.technique import Regimes, Technique

MAX_CONSECUTIVE_FAILURES = 5  # exposures in a row without a result, after which no plan goes on by itself


class Campaign(Asked):
    """Keeps the explorer, the regimes and the suggestions of one agent in step with its results in Tiled.

    A bluesky-adaptive `Optimizer` with all optional protocols. Results reach the explorer from the worker, so that runs
    taken by hand count as well. Everything that writes to Tiled is deferred to the worker.

    Parameters
    ----------
    technique : Technique
        With an `optimizer` of its own that is asked, else an `Explorer`.
    store : ResultStore
        The agent's own.
    bounds : mapping of str to (float, float)
        Limits of each actuator.
    agent : str
        Whose campaign it is: its checkpoint is found again by this name.
    age : str
        Name in the results of the age of the sample, in s; empty if it is not known.
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
        bounds: Limits,
        agent: str,
        age: str = "",
        drift: Drift | None = None,
        defer: Callable[[Callable[[], None]], None],
        **explorer: Any,
    ) -> None:
        known = remembered(store, tuple(bounds), age)
        self._size, self._defer = technique.embedding_size, defer
        self._lock = threading.RLock()
        self._configured = {name: list(limits) for name, limits in bounds.items()}
        self._ledger = Ledger(store, agent, tuple(bounds), explorer.get("unit", ""))
        self._atlas = Atlas(technique, store, tuple(bounds), known)
        self._claims = Claims(technique)
        self._claims.update(self._atlas.p_values())  # what was found before was said before
        self._notices = Notices(self._ledger, self._atlas, beam_size=explorer.get("beam_size"), drift=drift)
        self.explorer: Explorer | TechniqueOptimizer
        if (optimizer := technique.optimizer(bounds)) is not None:
            self.explorer = TechniqueOptimizer(optimizer, bounds, technique.name)
        else:
            self.explorer = Explorer(
                bounds, labeler=self._atlas.label, noise=technique.regime_width, alpha=technique.alpha, **explorer
            )
        self._weighs_time = "travel_time" in explorer
        self._ready: dict[str, Any] | None = None
        self._by_hand = False  # whether a person put the ready suggestion there
        self._taken: dict[str, str] = {}  # who took suggestions that are not measured yet, by id
        self.held: dict[str, Any] | None = None  # who holds the campaign, why, and since when
        self.regime_names: dict[int, str] = {}  # as people call them
        self._given: dict[str, dict[str, float]] = {}  # positions that were handed out to be measured, by id
        self._results: dict[str, str] = {}  # key of the first result that each suggestion led to
        self._known: set[str] = set()  # keys of complete results
        self._failures = 0  # exposures in a row without a result
        self._rejected: list[dict[str, float]] = []
        self._learn(known)
        self._found_before = known  # until `resume`
        self._spot = explorer.get("beam_size")
        self._own: set[str] = set()  # ids of what this session suggested, or was asked for
        self._elsewhere: dict[str, str] = {}  # what another session is to measure: id here by id there
        self._restore(read_checkpoint(store.container, agent))

    def resume(self, alone: bool) -> None:
        """Begin, once the worker is there; `alone`: no other session of this agent is at work, what is open is left.

        What a session that was killed proposed or accepted is closed, and what it found last is in the log.
        """
        known, self._found_before = self._found_before, []
        if alone:
            self._later(self._ledger.resume, known)

    # what the worker tells

    def assign(self, outcome: Outcome) -> dict[str, Any]:
        """Give an analysed run its regime, and the version of the atlas that the regime comes from."""
        with self._lock:
            self._atlas.add(outcome)
        version = self._atlas.keep(self._lock)
        return {"regime": self._atlas.regime_of(outcome.key), "atlas_version": version}

    def absorb(self, outcome: Outcome) -> None:
        """Learn from a finished run, write what came of it, and have the next suggestion ready.

        A result that is recalled (the run came again, or another process was faster) is learned once, and not logged.
        """
        with self._lock:
            if outcome.is_recalled and outcome.key in self._known:
                return
            is_usable = outcome.status != "failed"
            if outcome.is_recalled and is_usable:
                self._atlas.learn(outcome)
            self._failures = 0 if is_usable else self._failures + 1
            self._learn([outcome])
            if outcome.exposure_s and self._weighs_time and isinstance(self.explorer, Explorer):
                self.explorer.exposure_s = outcome.exposure_s
            if self._ready is not None and self._ready[ID_KEY] == outcome.trial_id:
                self._ready = None
        if outcome.trial_id != outcome.key:
            status = "measured" if is_usable else "failed"
            self._ledger.status(outcome.trial_id, status, outcome.reason or None, outcome.raw_uid)
        if not outcome.is_recalled:
            told_apart = outcome.key not in self._atlas.not_told_apart
            finding = self._ledger.finding(outcome, told_apart=told_apart)
            self._ledger.note(finding, raw_uid=outcome.raw_uid, result=outcome.key)
            for claim in self._claims.update(self._atlas.p_values()):
                self._ledger.note(claim, raw_uid=outcome.raw_uid, result=outcome.key)
            self._notices.post(outcome, *self.should_stop())
        if not self._by_hand:
            self.withdraw("newer results", "superseded")
        with suppress(ValueError):  # no position is left: whoever asks is told
            self.peek()

    # the optimizer that bluesky-adaptive talks to

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Next positions, to be measured now: the one that is ready first."""
        return self._hand_out(num_points or 1)

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Nothing: the campaign learns of a run from the worker, once its result is written.

        What a plan brings is the same, or NaN because the plan did not wait for the end of the analysis: that must not
        count as a failed exposure.
        """

    def register_suggestions(self, suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """A person's own points; suggestions that were accepted stay what they are."""
        with self._lock:
            registered = []
            for suggestion in suggestions:
                if suggestion.get(ID_KEY) in self._given:
                    registered.append(dict(suggestion))
                    continue
                registered += (added := self.explorer.register_suggestions([suggestion]))
                self._give(added, "person")
        return registered

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Exposures that could not be taken."""
        with self._lock:
            self.explorer.register_failures(suggestions)
        for suggestion in suggestions:
            self._later(self._ledger.status, suggestion[ID_KEY], "failed", "the exposure was not finished")

    def get_best_points(self) -> list[tuple[str, dict[str, float], dict[str, float | None]]]:
        """The novel exposures, most novel first."""
        with self._lock:
            return self.explorer.get_best_points()

    def should_stop(self) -> tuple[bool, str]:
        """Whether a plan should end by itself, and why, in words; see `Explorer.should_stop`."""
        if self._failures >= MAX_CONSECUTIVE_FAILURES:
            return True, f"the last {self._failures} exposures gave no result"
        with self._lock:
            return self.explorer.should_stop()

    def checkpoint(self) -> None:
        """Keep in Tiled what no result says: changed bounds, excluded regions, and rejected positions."""
        state = {
            "configured": self._configured,
            "bounds": {name: list(limits) for name, limits in self.bounds.items()},
            "excluded": [{name: list(limits) for name, limits in box.items()} for box in self.explorer.excluded],
            "rejected": list(self._rejected),
            "held": self.held,
            "names": {str(regime): name for regime, name in self.regime_names.items()},
        }
        self._later(self._ledger.checkpoint, state)

    @property
    def principal(self) -> str | None:
        """Who the agent is on a server with accounts; it goes with its suggestions."""
        return self._ledger.principal

    @principal.setter
    def principal(self, uuid: str | None) -> None:
        self._ledger.principal = uuid

    # what is known

    @property
    def regimes(self) -> Regimes | None:
        """Of the newest refit."""
        return self._atlas.regimes

    @property
    def advice(self) -> str | None:
        """What the latest run suggests to do."""
        return self._notices.advice

    @property
    def discoveries(self) -> dict[int, float]:
        """p-value of each regime that is a discovery, by its number."""
        return self._claims.found

    @property
    def n_results(self) -> int:
        """Complete results that are known."""
        return len(self._known)

    @property
    def bound(self) -> str | None:
        """What is claimed of all discoveries together, in words; None where there are no claims."""
        return self._claims.bound

    @property
    def ready(self) -> dict[str, Any] | None:
        """The suggestion that waits, if there is one: nothing is computed."""
        return None if self._ready is None else dict(self._ready)

    @property
    def drift(self) -> Drift | None:
        """What watches the session's p-values."""
        return self._notices.drift

    def peek(self) -> dict[str, Any]:
        """The next suggestion, without taking it."""
        with self._lock:
            if self._ready is None:
                (self._ready,) = self.explorer.suggest(1)
                self._by_hand = False
                self._own.add(self._ready[ID_KEY])
                self._later(self._ledger.suggested, self._ready)
                self._later(self._heed_others, self._ready[ID_KEY])
            return dict(self._ready)

    def map(self) -> SampleMap | None:
        """What is believed of the sample now; None where the technique's own optimizer has no such belief."""
        with self._lock:
            return self.explorer.map()

    def withdraw(self, reason: str, status: str = "withdrawn", by: str | None = None) -> None:
        """Take back the suggestion that is ready, if there is one; its position stays free."""
        with self._lock:
            stale, self._ready = self._ready, None
            if stale is not None:
                self.explorer.withdraw(stale[ID_KEY])
                was_taken = self._taken.pop(stale[ID_KEY], None) is not None
                self._later(self._ledger.status, stale[ID_KEY], "failed" if was_taken else status, reason, by=by)

    # inside

    def _hand_out(self, n: int, by: str | None = None) -> list[dict[str, Any]]:
        with self._lock:
            ready = [] if self._ready is None else [self._ready]
            suggestions = ready + (self.explorer.suggest(n - len(ready)) if n > len(ready) else [])
            self._ready = None
            self._give(suggestions, by)
        return suggestions

    def _give(self, suggestions: Sequence[Mapping[str, Any]], by: str | None) -> None:
        for suggestion in suggestions:
            self._own.add(suggestion[ID_KEY])
            self._given[suggestion[ID_KEY]] = {name: suggestion[name] for name in self.names}
            self._later(self._ledger.suggested, suggestion, "accepted", self._taken.pop(suggestion[ID_KEY], by))

    def _heed_others(self, id: str) -> None:
        """Another session of this agent may be about to measure at the same place: who came first does."""
        found = self._ledger.taken_elsewhere(id, self._own)
        if found is None:
            return
        with self._lock:
            theirs = {record.id: record.positions for record in found if set(record.positions) == set(self.names)}
            for gone in set(self._elsewhere) - set(theirs):
                self.explorer.withdraw(self._elsewhere.pop(gone))
            for other in set(theirs) - set(self._elsewhere):
                with suppress(ValueError):  # it is out of our bounds
                    (known,) = self.explorer.register_suggestions([theirs[other]])
                    self._elsewhere[other] = known[ID_KEY]
            ready = self._ready
            if ready is None or ready[ID_KEY] != id or not any(self._is_near(ready, each) for each in theirs.values()):
                return
            self.withdraw("another session is to measure there", "superseded")
        with suppress(ValueError):  # no position is left: whoever asks is told
            self.peek()

    def _is_near(self, a: Mapping[str, Any], b: Mapping[str, float]) -> bool:
        """Whether two positions are one spot for the beam."""
        within = self._spot or 1e-3 * min(high - low for low, high in self.bounds.values())
        return max(abs(a[name] - b[name]) for name in self.names) < within

    def _learn(self, outcomes: Sequence[Outcome]) -> None:
        """Have the explorer know what was found, where it is known at which position: its only source of results."""
        points = []
        for outcome in outcomes:
            if outcome.status != "failed":
                self._known.add(outcome.key)
            position = {**self._given.get(outcome.trial_id, {}), **outcome.positions}
            if all(np.isfinite(position.get(name, np.nan)) for name in self.names):
                points.append(self._point(outcome, position))
        self.explorer.ingest(points)

    def _point(self, outcome: Outcome, position: Mapping[str, float]) -> dict[str, Any]:
        first = self._results.setdefault(outcome.trial_id, outcome.key)
        return {
            **position,
            ID_KEY: outcome.trial_id if outcome.key == first else outcome.key,  # two results are two points
            "embedding": np.full(self._size, np.nan, np.float32) if outcome.embedding is None else outcome.embedding,
            "novelty_p": outcome.novelty_p,
            "novel": outcome.novel,
            "age_s": outcome.age_s,
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Take up a checkpoint; bounds that were changed in the configuration since then count more."""
        if not state:
            return
        if state["configured"] == self._configured:
            self.explorer.bounds = {name: (low, high) for name, (low, high) in state["bounds"].items()}
        for region in state["excluded"]:
            if set(region) <= set(self.names):  # else it is of actuators that are not there any more
                self.explorer.exclude({name: (low, high) for name, (low, high) in region.items()})
        self.held = state.get("held")
        self.regime_names = {int(regime): name for regime, name in (state.get("names") or {}).items()}
        self._rejected = [dict(position) for position in state["rejected"] if set(position) == set(self.names)]
        self.explorer.register_failures([{ID_KEY: uuid.uuid4().hex, **position} for position in self._rejected])

    def _note(self, text: str, suggestion: Mapping[str, Any]) -> None:
        line = text.replace("{}", self._ledger.position_text(suggestion), 1)
        self._later(self._ledger.note, line, suggestion_id=suggestion[ID_KEY])

    def _later(self, write: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        self._defer(partial(write, *args, **kwargs))
