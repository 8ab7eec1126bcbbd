"""The regimes of all results of one agent."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.novelty import grouped
from ainerd.results import AtlasRecord, ResultStore
from ainerd.runs import Outcome
from ainerd.steering import Rows
from ainerd.technique import Regimes, Technique

MANY = 1000  # results, up to which each new one is a reason to refit: it takes a fifth of a second
GROWTH = 1.02  # with more, how many times as many are a reason, whatever they are like
_NONE = np.iinfo(np.int64).min  # no regime has this number


class Atlas:
    """Embeddings of the results, and their regimes as the newest refit has them.

    Each result is a reason to refit while there are not many. Then one that is like a known regime is given its label,
    and a refit waits for one that is like none, for a few per cent more, or for other labels from another process of
    the same agent. `store` is the agent's own, `names` are the actuators, and `known` earlier results, by time.
    """

    def __init__(
        self, technique: Technique, store: ResultStore, names: Sequence[str], known: Sequence[Outcome] = ()
    ) -> None:
        self._technique, self._store, self._names = technique, store, tuple(names)
        self.regimes: Regimes | None = None  # of the newest refit
        self._rows = Rows()  # by result key, in the order the results came
        self._rows.add([], label=np.empty(0, np.int64), p=np.empty(0), is_other=np.empty(0, bool))
        self.not_told_apart: set[str] = set()  # novel results that share a regime with known ones
        self._n_fitted = 0  # results that the newest refit saw
        self._version: int | None = None  # of the newest refit; None if it is not in Tiled
        self._take([outcome for outcome in known if outcome.embedding is not None])
        given = {*np.unique(self._rows["label"]).tolist(), *store.current_labels().values()}
        self._highest = max(given, default=-1)  # number that a regime had, ever
        if len(self._rows):
            self._refit()

    def add(self, outcome: Outcome) -> int:
        """Label of one more result; `keep` writes down where it comes from."""
        self._follow(self._store.own_labels())
        self._fit(outcome)
        return self.regime_of(outcome.key)

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
        return {label for label in np.unique(self._rows["label"]).tolist() if label >= 0}

    def regime_of(self, key: str) -> int:
        """Label of a result."""
        return int(self._rows.of(key, "label"))

    def learn(self, outcome: Outcome) -> None:
        """Take up a result that another process wrote, unless it is known; labels of another agent's are not kept."""
        is_other = self._store.record(outcome.key).agent != self._store.agent
        if outcome.key not in self._rows and outcome.embedding is not None:
            self._fit(outcome)
        if is_other and outcome.key in self._rows:
            self._rows.add([outcome.key], is_other=[True])

    def label(self, embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
        """Regimes of known embeddings (n, e), -1 for others: nothing is fitted here."""
        if not len(self._rows):
            return np.full(len(embeddings), -1)
        points = (z.tobytes() for z in self._rows["embedding"])
        known = dict(zip(points, self._rows["label"].tolist(), strict=True))
        return np.array([known.get(z.tobytes(), -1) for z in embeddings])

    def p_values(self) -> dict[int, list[float]]:
        """p-values of the exposures of each regime, by its number, in the order they came."""
        there = (self._rows["label"] >= 0) & ~np.isnan(self._rows["p"])
        label, p = self._rows["label"][there], self._rows["p"][there]
        numbers, first = np.unique(label, return_index=True)
        return {number: p[label == number].tolist() for number in numbers[first.argsort()].tolist()}

    def regime_before(self, outcome: Outcome, within: float) -> int | None:
        """Regime of the latest result before this one at the same place; None if there is none."""
        if not len(self._rows):
            return None
        end = self._rows.place(outcome.key) if outcome.key in self._rows else len(self._rows)
        apart = np.linalg.norm(self._rows["position"][:end] - self._position(outcome), axis=1)
        near = np.flatnonzero(apart <= within)
        return int(self._rows["label"][near[-1]]) if near.size else None

    def _follow(self, current: Mapping[str, int]) -> bool:
        """Take up labels that another process of this agent gave; whether there are any."""
        if not len(self._rows):
            return False
        label = self._rows["label"]
        said = np.array([current.get(key, _NONE) for key in self._rows])
        changed = (said != _NONE) & (said != label) & ~self._rows["is_other"]
        if changed.any():
            self._rows.give("label", np.where(changed, said, label))
            self._n_fitted = 0
        return bool(changed.any())

    def _record(self) -> AtlasRecord:
        assert self.regimes is not None
        rows = zip(self._rows, self._rows["label"].tolist(), self._rows["is_other"].tolist(), strict=True)
        return AtlasRecord(
            n_regimes=self.regimes.n_regimes,
            supported_range=self.regimes.supported_range,
            labels={key: label for key, label, is_other in rows if not is_other},
        )

    def _fit(self, outcome: Outcome) -> None:
        self._take([outcome])
        if self.regimes is not None and MANY < len(self._rows) <= GROWTH * self._n_fitted:
            (label,) = self.regimes.predict(np.asarray(outcome.embedding, np.float32)[None])
            if label >= 0:
                self._rows.add([outcome.key], label=[label])
                return
        self._refit()

    def _take(self, outcomes: Sequence[Outcome]) -> None:
        """Have what was found; one that is there keeps its label."""
        if not outcomes:
            return
        new = [outcome for outcome in outcomes if outcome.key not in self._rows]
        self._rows.add(
            [outcome.key for outcome in new],
            label=np.array([outcome.regime for outcome in new], np.int64),
            is_other=np.zeros(len(new), bool),  # whether it is another agent's
        )
        self._rows.add(
            [outcome.key for outcome in outcomes],
            embedding=np.array([outcome.embedding for outcome in outcomes], np.float32),
            position=np.array([self._position(outcome) for outcome in outcomes]),
            p=np.array([np.nan if outcome.novelty_p is None else outcome.novelty_p for outcome in outcomes]),
            novel=[-1 if outcome.novel is None else int(outcome.novel) for outcome in outcomes],  # -1: no claim
        )

    def _position(self, outcome: Outcome) -> NDArray[np.float64]:
        """Where it was measured, NaN where that is not known."""
        return np.array([outcome.positions.get(name, np.nan) for name in self._names])

    def _refit(self) -> None:
        width, find = self._technique.regime_width, self._technique.regimes
        z, previous, novel = (self._rows[name] for name in ("embedding", "label", "novel"))
        found = grouped(find, z, previous, novel, width=width, highest=self._highest)
        self.regimes = found.regimes
        self.not_told_apart = set(self._rows.ids[found.ambiguous].tolist())
        self._rows.give("label", found.regimes.labels)
        self._highest = max(self._highest, int(found.regimes.labels.max()))
        self._n_fitted, self._version = len(self._rows), None
