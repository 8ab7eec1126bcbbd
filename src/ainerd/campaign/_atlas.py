"""The regimes of all results of one agent."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.novelty import grouped
from ainerd.results import AtlasRecord, ResultStore
from ainerd.runs import Outcome
from ainerd.technique import Regimes, Technique

MANY = 1000  # results, up to which each new one is a reason to refit: it takes a fifth of a second
GROWTH = 1.02  # with more, how many times as many are a reason, whatever they are like


class Atlas:
    """Embeddings of the results, and their regimes as the newest refit has them.

    Each result is a reason to refit while there are not many. Then one that is like a known regime is given its label,
    and a refit waits for one that is like none, for a few per cent more, or for other labels from another process of
    the same agent. `store` is the agent's own, `known` are earlier results, by time.
    """

    def __init__(self, technique: Technique, store: ResultStore, known: Sequence[Outcome] = ()) -> None:
        self._technique, self._store = technique, store
        self.regimes: Regimes | None = None  # of the newest refit
        self._embeddings: dict[str, NDArray[np.float32]] = {}  # by result key
        self._labels: dict[str, int] = {}  # in the order the results came
        self._positions: dict[str, Mapping[str, float]] = {}
        self._novel: dict[str, int] = {}  # 1 novel, 0 not, -1 no claim
        self._p: dict[str, float | None] = {}
        self._highest = -1  # number that a regime had, ever
        self.not_told_apart: set[str] = set()  # novel results that share a regime with known ones
        self._others: set[str] = set()  # keys of other agents' results
        self._n_fitted = 0  # results that the newest refit saw
        self._version: int | None = None  # of the newest refit; None if it is not in Tiled
        for outcome in known:
            if outcome.embedding is not None:
                self._take(outcome)
                self._labels[outcome.key] = outcome.regime
                self._highest = max(self._highest, outcome.regime)
        self._highest = max(self._highest, *store.current_labels().values(), -1)
        if self._embeddings:
            self._refit()

    def add(self, outcome: Outcome) -> int:
        """Label of one more result; `keep` writes down where it comes from."""
        self._follow(self._store.own_labels())
        self._fit(outcome)
        return self._labels[outcome.key]

    def keep(self, lock: AbstractContextManager[Any]) -> int:
        """Have the newest refit in Tiled; its version. Under `lock` labels change if another process kept one since."""
        while self._version is None:
            kept = self._store.add_atlas(self._record(), if_newest=True)
            if kept is not None:
                self._version = kept.version
                break
            current = self._store.current_labels()
            with lock:
                if self._follow(current):
                    self._refit()
        assert self._version is not None
        return self._version

    @property
    def labels(self) -> set[int]:
        """Regimes that results have."""
        return {label for label in self._labels.values() if label >= 0}

    def regime_of(self, key: str) -> int:
        """Label of a result."""
        return self._labels[key]

    def learn(self, outcome: Outcome) -> None:
        """Take up a result that another process wrote, unless it is known; labels of another agent's are not kept."""
        if self._store.record(outcome.key).agent != self._store.agent:
            self._others.add(outcome.key)
        if outcome.key not in self._embeddings and outcome.embedding is not None:
            self._labels[outcome.key] = outcome.regime
            self._fit(outcome)

    def label(self, embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
        """Regimes of known embeddings (n, e), -1 for others: nothing is fitted here."""
        known = {self._embeddings[key].tobytes(): label for key, label in self._labels.items()}
        return np.array([known.get(z.tobytes(), -1) for z in embeddings])

    def p_values(self) -> dict[int, list[float]]:
        """p-values of the exposures of each regime, by its number, in the order they came."""
        found: dict[int, list[float]] = {}
        for key, label in self._labels.items():
            p = self._p.get(key)
            if label >= 0 and p is not None:
                found.setdefault(label, []).append(p)
        return found

    def regime_before(self, outcome: Outcome, within: float) -> int | None:
        """Regime of the latest result before this one at the same place; None if there is none."""
        keys = list(self._labels)
        earlier = keys[: keys.index(outcome.key)] if outcome.key in self._labels else keys
        for key in reversed(earlier):
            if _apart(self._positions[key], outcome.positions) <= within:
                return self._labels[key]
        return None

    def _follow(self, current: Mapping[str, int]) -> bool:
        """Take up labels that another process of this agent gave; whether there are any."""
        known = (self._labels.keys() & current.keys()) - self._others
        changed = {key: current[key] for key in known if current[key] != self._labels[key]}
        if changed:
            self._labels |= changed
            self._n_fitted = 0
        return bool(changed)

    def _record(self) -> AtlasRecord:
        assert self.regimes is not None
        return AtlasRecord(
            n_regimes=self.regimes.n_regimes,
            supported_range=self.regimes.supported_range,
            labels={key: label for key, label in self._labels.items() if key not in self._others},
        )

    def _fit(self, outcome: Outcome) -> None:
        z = self._take(outcome)
        if self.regimes is not None and MANY < len(self._embeddings) <= GROWTH * self._n_fitted:
            (label,) = self.regimes.predict(z[None])
            if label >= 0:
                self._labels[outcome.key] = int(label)
                return
        self._refit()

    def _take(self, outcome: Outcome) -> NDArray[np.float32]:
        z = self._embeddings[outcome.key] = np.asarray(outcome.embedding, np.float32)
        self._positions[outcome.key] = outcome.positions
        self._p[outcome.key] = outcome.novelty_p
        self._novel[outcome.key] = -1 if outcome.novel is None else int(outcome.novel)
        return z

    def _refit(self) -> None:
        keys, z = list(self._embeddings), np.stack(list(self._embeddings.values()))
        previous = np.array([self._labels.get(key, -1) for key in keys])
        novel = np.array([self._novel[key] for key in keys])
        width, find = self._technique.regime_width, self._technique.regimes
        found = grouped(find, z, previous, novel, width=width, highest=self._highest)
        self.regimes, labels = found.regimes, found.regimes.labels
        self.not_told_apart = {key for key, is_close in zip(keys, found.not_told_apart, strict=True) if is_close}
        self._labels = {key: int(label) for key, label in zip(keys, labels, strict=True)}
        self._highest = max(self._highest, int(labels.max()))
        self._n_fitted, self._version = len(keys), None


def _apart(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    """Distance between two positions; infinite where one is not known."""
    return float(np.linalg.norm([a.get(name, np.inf) - x for name, x in b.items()])) if b else np.inf
