"""The regimes of all results of one technique."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd._outcome import Outcome
from ainerd.results import AtlasRecord, ResultStore, digest
from ainerd.technique import Regimes, Technique


class Atlas:
    """Embeddings of the results with the technique's parameters, and their regimes as the newest refit has them.

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
        self.remembered: list[dict[str, Any]] = []  # results that were there, the failed ones last
        self._remember()

    def add(self, outcome: Outcome) -> AtlasRecord:
        """Refit with one more result; the record is not yet in Tiled."""
        current = self._store.current_labels()  # another agent with these parameters may have given other numbers
        self._labels |= {key: current[key] for key in self._labels.keys() & current.keys()}
        regimes = self._take(outcome)
        return AtlasRecord(
            n_regimes=regimes.n_regimes, supported_range=regimes.supported_range, labels=dict(self._labels)
        )

    def learn(self, outcome: Outcome) -> None:
        """Refit with a result that another agent wrote, unless it is known."""
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

    def _take(self, outcome: Outcome) -> Regimes:
        assert outcome.embedding is not None
        self._embeddings[outcome.key] = np.asarray(outcome.embedding, np.float32)
        self._positions[outcome.key] = outcome.positions
        return self._refit()

    def _refit(self) -> Regimes:
        keys = list(self._embeddings)
        previous = np.array([self._labels.get(key, -1) for key in keys])
        self.regimes = self._technique.regimes(np.stack(list(self._embeddings.values())), previous)
        self._labels = {key: int(label) for key, label in zip(keys, self.regimes.labels, strict=True)}
        return self.regimes


def _rows(table: pd.DataFrame) -> list[tuple[str, dict[str, Any]]]:
    return [(str(key), {str(name): x for name, x in row.items()}) for key, row in table.to_dict("index").items()]


def _apart(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    """Distance from `b` to `a`, which may know more than positions."""
    return float(np.linalg.norm([a.get(name, np.inf) - x for name, x in b.items()])) if b else np.inf
