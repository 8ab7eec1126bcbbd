"""The regimes of all results of one technique."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd.results import AtlasRecord, ResultStore, digest
from ainerd.runs import Outcome
from ainerd.technique import Regimes, Technique

MANY = 1000  # results, up to which each new one is a reason to refit: it takes a fifth of a second
GROWTH = 1.02  # how many times as many are one later, whatever they are like


class Atlas:
    """Embeddings of the results with the technique's parameters, and their regimes as the newest refit has them.

    Each result is a reason to refit while there are not many. Then one that is like a known regime is given its label,
    and a refit waits for one that is like none, for a few per cent more, or for other numbers from another agent.

    Parameters
    ----------
    technique : Technique
    store : ResultStore
        What it holds is known from the start.

    Attributes
    ----------
    regimes : Regimes or None
        Of the newest refit.
    """

    def __init__(self, technique: Technique, store: ResultStore) -> None:
        self._technique, self._store = technique, store
        self.regimes: Regimes | None = None
        self._embeddings: dict[str, NDArray[np.float32]] = {}  # by result key
        self._labels: dict[str, int] = {}
        self._positions: dict[str, Mapping[str, float]] = {}
        self._n_fitted = 0  # results that the newest refit saw
        self._version: int | None = None  # of the newest refit; None if it is not in Tiled
        self.remembered: list[dict[str, Any]] = []  # results that were there, the failed ones last
        self._remember()

    def add(self, outcome: Outcome) -> int:
        """Label of one more result; `keep` writes down where it comes from."""
        current = self._store.current_labels()  # another agent with these parameters may have given other numbers
        known = self._labels.keys() & current.keys()
        if changed := {key: current[key] for key in known if current[key] != self._labels[key]}:
            self._labels |= changed
            self._n_fitted = 0
        self._take(outcome)
        return self._labels[outcome.key]

    def keep(self) -> int:
        """Have the newest refit in Tiled; its version."""
        if self._version is None:
            assert self.regimes is not None
            record = AtlasRecord(
                n_regimes=self.regimes.n_regimes,
                supported_range=self.regimes.supported_range,
                labels=dict(self._labels),
            )
            self._version = self._store.add_atlas(record).version
        assert self._version is not None
        return self._version

    def learn(self, outcome: Outcome) -> None:
        """Take up a result that another agent wrote, unless it is known."""
        if outcome.key not in self._embeddings and outcome.embedding is not None:
            self._labels[outcome.key] = outcome.regime
            self._take(outcome)

    def label(self, embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
        """Regimes of known embeddings (n, e), -1 for others: nothing is fitted here."""
        known = {self._embeddings[key].tobytes(): label for key, label in self._labels.items()}
        return np.array([known.get(z.tobytes(), -1) for z in embeddings])

    def regime_before(self, outcome: Outcome, within: float) -> int | None:
        """Regime of the result before this one at the same place; None if there is none."""
        for key in reversed(list(self._labels)):
            if key != outcome.key and _apart(self._positions[key], outcome.positions) <= within:
                return self._labels[key]
        return None

    def _remember(self) -> None:
        mine = digest(self._technique.parameters)
        embeddings = self._store.embeddings(mine)
        for key, about in _rows(self._store.table("complete").loc[embeddings.index]):
            z = self._embeddings[key] = embeddings.loc[key].to_numpy(np.float32)
            self._positions[key] = about
            if not pd.isna(about["regime"]):
                self._labels[key] = int(about["regime"])
            self.remembered.append({"key": key, "embedding": z, **about})
        if self._embeddings:
            self._refit()
        nothing = np.full(self._technique.embedding_size, np.nan, np.float32)
        failed = _rows(self._store.search(status="failed", digest=mine))
        self.remembered += [{"key": key, "embedding": nothing, **about} for key, about in failed]

    def _take(self, outcome: Outcome) -> None:
        assert outcome.embedding is not None
        z = self._embeddings[outcome.key] = np.asarray(outcome.embedding, np.float32)
        self._positions[outcome.key] = outcome.positions
        if self.regimes is not None and MANY < len(self._embeddings) <= GROWTH * self._n_fitted:
            (label,) = self.regimes.predict(z[None])
            if label >= 0:
                self._labels[outcome.key] = int(label)
                return
        self._refit()

    def _refit(self) -> None:
        keys = list(self._embeddings)
        previous = np.array([self._labels.get(key, -1) for key in keys])
        self.regimes = self._technique.regimes(np.stack(list(self._embeddings.values())), previous)
        self._labels = {key: int(label) for key, label in zip(keys, self.regimes.labels, strict=True)}
        self._n_fitted, self._version = len(keys), None


def _rows(table: pd.DataFrame) -> list[tuple[str, dict[str, Any]]]:
    return [(str(key), {str(name): x for name, x in row.items()}) for key, row in table.to_dict("index").items()]


def _apart(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    """Distance from `b` to `a`, which may know more than positions."""
    return float(np.linalg.norm([a.get(name, np.inf) - x for name, x in b.items()])) if b else np.inf
