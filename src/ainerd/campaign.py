"""The campaign: what was found leads to suggestions, and suggestions have a fate."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import httpx
import numpy as np
import pandas as pd
from bluesky_adaptive.protocols import ID_KEY
from numpy.typing import NDArray
from tiled.client.utils import ClientError

from ainerd.results import AtlasRecord, ResultStore, SuggestionRecord, digest
from ainerd.steering import TERMS, Explorer, SampleMap
from ainerd.technique import Regimes, Technique
from ainerd.watch import Outcome

logger = logging.getLogger(__name__)


class Campaign:
    """Keeps the explorer, the regimes and the suggestions of one agent in step with its results in Tiled.

    A bluesky-adaptive `Optimizer`. Results reach the explorer from the worker, so that runs taken by hand count as
    well; `ingest` of the same points by the plan then changes nothing. Everything that writes to Tiled is deferred to
    the worker.

    Parameters
    ----------
    technique : Technique
    store : ResultStore
    bounds : mapping of str to (float, float)
        Limits of each actuator.
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
        defer: Callable[[Callable[[], None]], None],
        **explorer: Any,
    ) -> None:
        self._technique, self._store, self._defer = technique, store, defer
        self._lock = threading.RLock()
        self.explorer = Explorer(bounds, labeler=self._label, alpha=technique.alpha, **explorer)
        self.regimes: Regimes | None = None
        self._embeddings: dict[str, NDArray[np.float32]] = {}  # by result key
        self._labels: dict[str, int] = {}  # by result key
        self._ready: dict[str, Any] | None = None
        self._by_hand = False  # whether a person put the ready suggestion there
        self._remember()

    # what the worker tells

    def place(self, outcome: Outcome) -> dict[str, Any]:
        """Regime of an analysed run, in a new version of the atlas."""
        with self._lock:
            self._embeddings[outcome.key] = _embedding(outcome)
            regimes = self._refit()
            labels = dict(self._labels)
        atlas = self._store.add_atlas(
            AtlasRecord(n_regimes=regimes.n_regimes, supported_range=regimes.supported_range, labels=labels)
        )
        return {"regime": labels[outcome.key], "atlas_version": atlas.version}

    def absorb(self, outcome: Outcome) -> None:
        """Note the fate of the suggestion behind a run, say what was found, and have the next suggestion ready."""
        with self._lock:
            if set(self.explorer.names) <= set(outcome.positions):
                self.explorer.ingest([_point(outcome, self._technique.embedding_size)])
            if self._ready is not None and self._ready[ID_KEY] == outcome.trial_id:
                self._ready = None
        if outcome.trial_id != outcome.key:
            fate = "measured" if outcome.status == "complete" else "failed"
            self._set_fate(outcome.trial_id, fate, outcome.reason or None, outcome.raw_uid)
        self._store.log(_line(outcome, self._technique.alpha), raw_uid=outcome.raw_uid, result=outcome.key)
        if not self._by_hand:
            self.withdraw("newer results")
        self.peek()

    # the optimizer that bluesky-adaptive talks to

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Next positions, to be measured now: the one that is ready first."""
        with self._lock:
            taken = [self._ready] if self._ready is not None else []
            self._ready = None
            new = self.explorer.suggest((num_points or 1) - len(taken)) if (num_points or 1) > len(taken) else []
        suggestions = [*taken, *new]
        for suggestion in suggestions:
            self._defer(partial(self._record, suggestion, "accepted"))
        return suggestions

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """What the plan found; known already from the worker."""
        with self._lock:
            self.explorer.ingest(points)

    def register_suggestions(self, suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """A person's own points."""
        with self._lock:
            registered = self.explorer.register_suggestions(suggestions)
        for suggestion in registered:
            self._defer(partial(self._record, suggestion, "accepted"))
        return registered

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Exposures that could not be taken."""
        with self._lock:
            self.explorer.register_failures(suggestions)
        for suggestion in suggestions:
            self._defer(partial(self._set_fate, suggestion[ID_KEY], "failed", "the exposure was not finished"))

    def get_best_points(self) -> list[tuple[str, dict[str, float], dict[str, float | None]]]:
        """The novel exposures, most novel first."""
        with self._lock:
            return self.explorer.get_best_points()

    # what a person asks

    def peek(self) -> dict[str, Any]:
        """The next suggestion, without taking it."""
        with self._lock:
            if self._ready is None:
                (self._ready,) = self.explorer.suggest(1)
                self._by_hand = False
                self._defer(partial(self._record, self._ready, "proposed"))
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
        self._defer(partial(self._set_fate, rejected[ID_KEY], "rejected", reason))
        self._defer(partial(self._store.log, f"rejected {_place(rejected, self.explorer.names)}: {reason}"))
        return self.peek()

    def add(self, position: Mapping[str, float], reason: str) -> dict[str, Any]:
        """Measure this position next."""
        with self._lock:
            (added,) = self.explorer.register_suggestions([{**position, "reason": reason}])
            self.withdraw("a person's point comes first")
            self._ready, self._by_hand = added, True
        self._defer(partial(self._record, added, "proposed"))
        return dict(added)

    def withdraw(self, reason: str) -> None:
        """Take back the suggestion that is ready, if there is one; its position stays free."""
        with self._lock:
            stale, self._ready = self._ready, None
            if stale is not None:
                self.explorer.withdraw(stale[ID_KEY])
                self._defer(partial(self._set_fate, stale[ID_KEY], "rejected", reason))

    # inside

    def _remember(self) -> None:
        """Take the results that are in Tiled: of these parameters, with their labels."""
        mine = digest(self._technique.parameters)
        table = self._store.table("complete")
        embeddings = self._store.embeddings(mine)
        points = []
        for key, about in table.loc[embeddings.index].to_dict("index").items():
            z = self._embeddings[str(key)] = embeddings.loc[str(key)].to_numpy(np.float32)
            if not pd.isna(about["regime"]):
                self._labels[str(key)] = int(about["regime"])
            points.append({ID_KEY: str(key), "embedding": z, **about})
        if self._embeddings:
            self._refit()
        nothing = np.full(self._technique.embedding_size, np.nan)
        failed = self._store.search(status="failed", digest=mine).to_dict("index").items()
        points += [{ID_KEY: str(key), "embedding": nothing, **about} for key, about in failed]
        self.explorer.ingest(
            [p for p in points if all(np.isfinite(p.get(name, np.nan)) for name in self.explorer.names)]
        )

    def _refit(self) -> Regimes:
        keys = list(self._embeddings)
        previous = np.array([self._labels.get(key, -1) for key in keys])
        regimes = self._technique.regimes(np.stack(list(self._embeddings.values())), previous)
        self._labels = {key: int(label) for key, label in zip(keys, regimes.labels, strict=True)}
        self.regimes = regimes
        return regimes

    def _label(self, embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
        """Labels of the newest refit: the explorer asks in any thread, so nothing is fitted here."""
        known = {self._embeddings[key].tobytes(): label for key, label in self._labels.items()}
        return np.array([known.get(z.tobytes(), -1) for z in embeddings])

    def _record(self, suggestion: Mapping[str, Any], fate: str) -> None:
        try:
            self._store.add_suggestion(
                SuggestionRecord(
                    id=suggestion[ID_KEY],
                    positions={name: suggestion[name] for name in self.explorer.names},
                    reason=suggestion["reason"],
                    terms={name: suggestion[name] for name in TERMS},
                )
            )
            if fate != "proposed":
                self._set_fate(suggestion[ID_KEY], fate)
        except (ClientError, httpx.HTTPError):
            logger.exception("suggestion %s is not in Tiled", suggestion[ID_KEY])

    def _set_fate(self, trial_id: str, fate: str, reason: str | None = None, raw_uid: str | None = None) -> None:
        try:
            self._store.set_fate(trial_id, fate, reason, raw_uid)
        except KeyError:
            pass  # led by a suggestion that is not of this campaign
        except (ClientError, httpx.HTTPError):
            logger.exception("fate of suggestion %s is not in Tiled", trial_id)


def _embedding(outcome: Outcome) -> NDArray[np.float32]:
    assert outcome.embedding is not None
    return np.asarray(outcome.embedding, np.float32)


def _point(outcome: Outcome, size: int = 0) -> dict[str, Any]:
    embedding = np.full(size, np.nan, np.float32) if outcome.embedding is None else _embedding(outcome)
    return {
        ID_KEY: outcome.trial_id,
        "embedding": embedding,
        "novelty_p": outcome.novelty_p,
        **outcome.positions,
    }


def _place(position: Mapping[str, Any], names: Sequence[str]) -> str:
    return "(" + ", ".join(f"{position[name]:.2f}" for name in names if name in position) + ")"


def _line(outcome: Outcome, alpha: float) -> str:
    where = _place(outcome.positions, list(outcome.positions))
    if outcome.status == "failed":
        return f"at {where}: no result, {outcome.reason}"
    p = "no claim of novelty" if outcome.novelty_p is None else f"p = {outcome.novelty_p:.2g}"
    novel = outcome.novelty_p is not None and outcome.novelty_p <= alpha
    return f"at {where}: regime {outcome.regime}, {p}" + (" (novel)" if novel else "")
