"""The known results of one agent, and their regimes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd.novelty import Components, components, grouped, own_p
from ainerd.results import AtlasRecord, Result, ResultStore
from ainerd.steering import RowsById, Window
from ainerd.technique import Regimes, Technique

_COLUMNS = (
    "raw_uid", "scan_id", "event", "n_events", "file", "suggestion_id", "status", "novelty_p", "novel", "own_p",
    "regime", "reason", "awaits_regime",
)  # fmt: skip


def remembered(store: ResultStore, names: Sequence[str]) -> list[Result]:
    """Return the outcomes of the finished runs in the store of an agent, by time; failed runs come last.

    `names` are the actuators.
    """
    embeddings, table = store.embeddings(), store.table()
    rows = pd.concat([table.loc[embeddings.index], table[table["status"].eq("failed")]])
    rows = rows.reindex(columns=list(dict.fromkeys([*_COLUMNS, *names]))).astype(object)
    points = [*embeddings.to_numpy(np.float32), *[None] * (len(rows) - len(embeddings))]
    columns = {str(name): column.tolist() for name, column in rows.where(rows.notna(), None).items()}
    each = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    return [
        Result.of(key, row, names, embedding=point) for key, row, point in zip(rows.index, each, points, strict=True)
    ]


MANY = 1000  # with at most this many results each new one leads to a refit, which takes a fifth of a second
GROWTH = 1.02  # with more results, growth of their number that leads to a refit


class Atlas:
    """Embeddings of the results, and their regimes by the newest refit.

    With at most `MANY` results, each new one leads to a refit. With more, a new result gets the label of its regime. A
    refit follows when a result belongs to no known regime, or when the number of results has grown by a few per cent.
    `names` are the actuators.
    """

    def __init__(self, technique: Technique, names: Sequence[str]) -> None:
        self._technique, self._names = technique, tuple(names)
        self._null = technique.null_regimes()
        self.begin([], {})

    def begin(self, known: Sequence[Result], labels: Mapping[str, int]) -> None:
        """Begin with earlier results, by time. `labels` are those in the newest atlas in Tiled: no number is reused."""
        self.regimes: Regimes | None = None  # of the newest refit
        self.components = Components()  # of these regimes
        self._rows = RowsById()  # by result key, in the order of arrival
        self._rows.add([], label=np.empty(0, np.int64), p=np.empty(0), is_other=np.empty(0, bool))
        self.close_to_known = set[str]()  # novel results that share a regime with known ones
        self._n_fitted = 0  # number of results in the newest refit
        self._is_written = True
        self._take([outcome for outcome in known if outcome.embedding is not None])
        self._highest = max({*self._rows["label"].tolist(), *labels.values()}, default=-1)  # highest number so far
        if len(self._rows):
            self._refit()

    def add(self, outcome: Result) -> int:
        """Add a result and return its label."""
        self._fit(outcome)
        return self.regime_of(outcome.key)

    def refitted(self) -> AtlasRecord | None:
        """Return the newest refit, once; None if there is no new one."""
        if self._is_written or self.regimes is None:
            return None
        self._is_written = True
        rows = zip(self._rows, self._rows["label"].tolist(), self._rows["is_other"].tolist(), strict=True)
        return AtlasRecord(
            n_regimes=self.regimes.n_regimes,
            supported_range=self.regimes.supported_range,
            labels={key: label for key, label, is_other in rows if not is_other},
        )

    @property
    def labels(self) -> set[int]:
        """Regimes that have results."""
        return {label for label in np.unique(self._rows["label"]).tolist() if label >= 0}

    def regime_of(self, key: str) -> int:
        """Return the label of a result."""
        return int(self._rows.of(key, "label"))

    def learn(self, outcome: Result) -> None:
        """Add a result that another process wrote, unless it is known.

        The atlas in Tiled contains no labels for results of another agent.
        """
        if outcome.key not in self._rows and outcome.embedding is not None:
            self._fit(outcome)
        if outcome.is_of_another and outcome.key in self._rows:
            self._rows.add([outcome.key], is_other=[True])

    def label(self, embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the regimes of known embeddings, (n, e), without a refit; -1 for unknown embeddings."""
        if not len(self._rows):
            return np.full(len(embeddings), -1)
        points = (z.tobytes() for z in self._rows["embedding"])
        known = dict(zip(points, self._rows["label"].tolist(), strict=True))
        return np.array([known.get(z.tobytes(), -1) for z in embeddings])

    def exposures(self) -> dict[str, tuple[int, float]]:
        """Return regime and p-value of each exposure that has both, by key, in the order of arrival."""
        rows = zip(self._rows, self._rows["label"].tolist(), self._rows["p"].tolist(), strict=True)
        return {key: (label, p) for key, label, p in rows if label >= 0 and not np.isnan(p)}

    def own_p(self, outcome: Result) -> tuple[float | None, list[int] | None]:
        """Return the p-value of a result against the components of the others, and the regimes of its component."""
        width = self._technique.regime_width
        if self._null is None or outcome.embedding is None:
            return None, None
        label, z = self._rows["label"].copy(), self._rows["embedding"] if len(self._rows) else np.empty((0, 0))
        if outcome.key in self._rows:
            label[self._rows.place(outcome.key)] = -1
        known = self.components.groups
        groups = (z[np.isin(label, group)] for group in known)
        nearest = own_p(outcome.embedding, groups, self._null.own, width)
        return (None, None) if nearest is None else (nearest[0], list(known[nearest[1]]))

    def of_regime(self, outcome: Result) -> tuple[str, ...]:
        """Return the keys of the other results of the regime of a result, the newest last."""
        if outcome.regime < 0:
            return ()
        rows = zip(self._rows, self._rows["label"].tolist(), strict=True)
        return tuple(key for key, label in rows if label == outcome.regime and key != outcome.key)

    def before(self, outcome: Result, window: Window, within: float | None) -> str | None:
        """Return the key of the latest earlier result within a distance, in the lengths of the window, or None.

        Without a distance there is no such result.
        """
        if within is None or not len(self._rows):
            return None
        end = self._rows.place(outcome.key) if outcome.key in self._rows else len(self._rows)
        earlier, here = (window.places(x) for x in (self._rows["position"][:end], self._position(outcome)[None]))
        apart = np.linalg.norm(earlier - here, axis=1)
        near = np.flatnonzero(apart <= within)
        return [*self._rows][near[-1]] if near.size else None

    def _fit(self, outcome: Result) -> None:
        self._take([outcome])
        if self.regimes is not None and MANY < len(self._rows) <= GROWTH * self._n_fitted:
            (label,) = self.regimes.predict(np.asarray(outcome.embedding, np.float32)[None])
            if label >= 0:
                self._rows.add([outcome.key], label=[label])
                return
        self._refit()

    def _take(self, outcomes: Sequence[Result]) -> None:
        """Add results. For known results replace all values except the labels."""
        if not outcomes:
            return
        new = [outcome for outcome in outcomes if outcome.key not in self._rows]
        self._rows.add(
            [outcome.key for outcome in new],
            label=np.array([outcome.regime for outcome in new], np.int64),
            is_other=np.zeros(len(new), bool),  # whether it belongs to another agent
        )
        self._rows.add(
            [outcome.key for outcome in outcomes],
            embedding=np.array([outcome.embedding for outcome in outcomes], np.float32),
            position=np.array([self._position(outcome) for outcome in outcomes]),
            p=np.array([np.nan if outcome.novelty_p is None else outcome.novelty_p for outcome in outcomes]),
            novel=[-1 if outcome.novel is None else int(outcome.novel) for outcome in outcomes],  # -1: no claim
        )

    def _position(self, outcome: Result) -> NDArray[np.float64]:
        """Return the position of a result, (d,); NaN where it is unknown."""
        return np.array([outcome.positions.get(name, np.nan) for name in self._names])

    def _refit(self) -> None:
        width, find = self._technique.regime_width, self._technique.regimes
        z, previous, novel = (self._rows[name] for name in ("embedding", "label", "novel"))
        self.regimes, ambiguous = grouped(find, z, previous, novel, width=width, highest=self._highest)
        self.close_to_known = set(self._rows.ids[ambiguous].tolist())
        self._rows.give("label", self.regimes.labels)
        self.components = components(z, self.regimes.labels, width)
        self._highest = max(self._highest, int(self.regimes.labels.max()))
        self._n_fitted, self._is_written = len(self._rows), False
