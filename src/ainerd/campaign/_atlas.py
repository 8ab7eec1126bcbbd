"""The regimes of the exposures of one agent."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd.novelty import Components, components, grouped, own_p
from ainerd.results import AtlasRecord, Result, ResultStore
from ainerd.steering import Exposures, Window
from ainerd.technique import Regimes, Technique

_COLUMNS = (
    "raw_uid", "scan_id", "event", "n_events", "file", "suggestion_id", "status", "novelty_p", "novel", "own_p",
    "regime", "reason", "awaits_regime",
)  # fmt: skip


def remembered(store: ResultStore, names: Sequence[str]) -> list[Result]:
    """Return the outcomes of the finished runs in the store of an agent, by time; failed runs come last.

    `names` are the actuators.
    """
    embeddings, table = store.embeddings(), store.table(all=True)
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
    """Finds the regimes of the exposures.

    With at most `MANY` results, each new one leads to a refit. With more, a new result gets the label of its regime. A
    refit follows when a result belongs to no known regime, or when the number of results has grown by a few per cent.

    Attributes
    ----------
    regimes : Regimes or None
        Of the newest refit.
    components : Components
        Of these regimes.
    close_to_known : set of str
        Novel results that share a regime with known ones.
    """

    def __init__(self, technique: Technique, exposures: Exposures) -> None:
        self._technique, self._exposures, self._null = technique, exposures, technique.null_regimes()
        self.regimes: Regimes | None = None
        self.components, self.close_to_known = Components(), set[str]()
        self._n_fitted, self._highest = 0, -1  # number of results in the newest refit, highest number of a regime
        self._is_written = True

    def begin(self, labels: Iterable[int]) -> None:
        """Begin with the exposures that are known. No number of the labels in the newest atlas in Tiled is reused."""
        self._highest = max(self._highest, *self._exposures["regime"].tolist(), *labels, -1)
        if self._exposures["measured"].any():
            self.refit()

    def fit(self, key: str) -> None:
        """Find the regime of a new result."""
        table = self._exposures
        n = int(table.used.sum())
        if table["left_out"][table.row(key)]:
            return
        if self.regimes is not None and MANY < n <= GROWTH * self._n_fitted:
            (label,) = self.regimes.predict(table["embedding"][[table.row(key)]])
            if label >= 0:
                table.give(key, regime=label)
                return
        self.refit()

    def refitted(self) -> AtlasRecord | None:
        """Return the newest refit, once; None if there is no new one."""
        return None if self._is_written else self.record()

    def record(self) -> AtlasRecord:
        """Return the newest refit, without results of other agents."""
        self._is_written, table = True, self._exposures
        own = table["measured"] & ~table["of_another"]
        return AtlasRecord(
            n_regimes=self.regimes.n_regimes if self.regimes else 0,
            supported_range=self.regimes.supported_range if self.regimes else (0, 0),
            labels=dict(zip(table.keys(own), table["regime"][own].tolist(), strict=True)),
        )

    @property
    def labels(self) -> set[int]:
        """Regimes that have results."""
        return {label for label in np.unique(self._exposures["regime"]).tolist() if label >= 0}

    def with_p(self) -> dict[str, tuple[int, float]]:
        """Return regime and p-value of each exposure that has both, by key, in the order of arrival."""
        label, p = self._exposures["regime"], self._exposures["p"]
        both = (label >= 0) & ~np.isnan(p)
        values = zip(label[both].tolist(), p[both].tolist(), strict=True)
        return dict(zip(self._exposures.keys(both), values, strict=True))

    def own_p(self, key: str) -> tuple[float | None, list[int] | None]:
        """Return the p-value of a result against the components of the others, and the regimes of its component."""
        if self._null is None:
            return None, None
        row, z, label = self._exposures.row(key), self._exposures["embedding"], self._exposures["regime"].copy()
        label[row] = -1
        known = self.components.groups
        groups = (z[np.isin(label, group)] for group in known)
        nearest = own_p(z[row], groups, self._null.own, self._technique.regime_width)
        return (None, None) if nearest is None else (nearest[0], list(known[nearest[1]]))

    def of_regime(self, key: str) -> tuple[str, ...]:
        """Return the keys of the other results of the regime of a result, the newest last."""
        label, row = self._exposures["regime"], self._exposures.row(key)
        same = (label == label[row]) & (label >= 0)
        same[row] = False
        return tuple(self._exposures.keys(same))

    def before(self, key: str, window: Window, within: float | None) -> str | None:
        """Return the key of the latest earlier result within a distance, in the lengths of the window, or None.

        Without a distance there is no such result.
        """
        if within is None:
            return None
        row, places = self._exposures.row(key), window.places(self._exposures["position"])
        apart = np.linalg.norm(places[:row] - places[row], axis=1)
        near = np.flatnonzero((apart <= within) & self._exposures.used[:row])
        return self._exposures.keys(near[-1:])[0] if near.size else None

    def refit(self) -> None:
        """Group all exposures that are used."""
        table, width, find = self._exposures, self._technique.regime_width, self._technique.regimes
        rows = np.flatnonzero(table.used)
        self._n_fitted, self._is_written = len(rows), False
        if not rows.size:
            self.regimes, self.components, self.close_to_known = None, Components(), set()
            return
        z, previous, novel = (table[name][rows] for name in ("embedding", "regime", "verdict"))
        self.regimes, ambiguous = grouped(find, z, previous, novel, width=width, highest=self._highest)
        self.close_to_known = {*table.keys(rows[ambiguous])}
        labels: NDArray[np.int64] = self.regimes.labels
        table["regime"][rows] = labels
        self.components = components(z, labels, width)
        self._highest = max(self._highest, int(labels.max()))
