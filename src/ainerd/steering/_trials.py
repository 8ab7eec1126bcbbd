"""The trials of an explorer, their regimes, and whether these are settled."""

import math
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from bluesky_adaptive.protocols import ID_KEY
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from ainerd.steering._window import Window
from ainerd.technique import is_novel
from ainerd.words import number_of


class RowsById:
    """A row of values for each id, in the order of arrival; one object for each would take a kilobyte.

    A column is made with its first values, which set its dtype and shape.
    """

    def __init__(self) -> None:
        self._row: dict[str, int] = {}
        self._columns: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, id: object) -> bool:
        return id in self._row

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    @property
    def ids(self) -> NDArray[np.object_]:
        """All ids, (n,)."""
        return np.array([*self._row, None], object)[:-1]

    def add(self, ids: Sequence[str], **values: ArrayLike) -> None:
        """Set values (n, …) of n ids. A known id keeps its place; of an id that comes twice the last values count."""
        before = len(self)
        for id in ids:
            self._row.setdefault(id, len(self._row))
        rows, more = [self._row[id] for id in ids], len(self) - before
        if more:
            for name, column in self._columns.items():
                self._columns[name] = np.concatenate([column, np.empty((more, *column.shape[1:]), column.dtype)])
        for name, some in values.items():
            some = np.asarray(some)
            if name not in self._columns:
                self._columns[name] = np.empty((len(self), *some.shape[1:]), some.dtype)
            self._columns[name][rows] = some

    def remove(self, ids: Collection[str]) -> None:
        """Remove ids, if they are there."""
        if gone := [row for id in ids if (row := self._row.pop(id, None)) is not None]:
            self._columns = {name: np.delete(column, gone, 0) for name, column in self._columns.items()}
            self._row = {id: row for row, id in enumerate(self._row)}

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column (n, …), not to be changed; KeyError if it has no values."""
        return self._columns[name]

    def of(self, id: str, name: str) -> Any:
        """Return one value of an id; raise KeyError if the id is unknown."""
        return self._columns[name][self._row[id]]

    def place(self, id: str) -> int:
        """Return the row number of an id; raise KeyError if the id is unknown."""
        return self._row[id]

    def give(self, name: str, values: ArrayLike) -> None:
        """Set a known column for all ids."""
        self._columns[name][:] = values


BACK = 8  # exposures over which the regimes must not change
SETTLED = 0.95  # adjusted Rand index of the labels then and now
RISK = 0.05  # chance of a missed region that is accepted


class Stability:
    """The labels of the last exposures, and whether they still change."""

    def __init__(self) -> None:
        self._past: list[tuple[NDArray[np.object_], NDArray[np.int64]]] = []

    def record(self, ids: NDArray[np.object_], labels: NDArray[np.int64]) -> None:
        """Record ids and labels (n,) of all measured exposures, in the order of measurement."""
        if self._past and len(labels) < len(self._past[-1][1]):
            self._past.clear()
        if self._past and len(labels) == len(self._past[-1][1]):
            del self._past[-1]  # the same exposures with other labels
        self._past.append((ids, labels))
        while len(self._past) > 1 and len(self._past[1][1]) <= len(labels) - BACK:
            del self._past[0]

    def objection(self) -> str | None:
        """Return the reason why the regimes are not settled; None if they are settled."""
        if not self._past or len(self._past[0][1]) > len(self._past[-1][1]) - BACK:
            return f"the regimes must first stay the same over {BACK} exposures"
        then, now = (dict(zip(ids, labels.tolist(), strict=True)) for ids, labels in (self._past[0], self._past[-1]))
        common = [key for key in then if key in now]
        from sklearn.metrics import adjusted_rand_score  # here, because it takes long to import

        if adjusted_rand_score([then[key] for key in common], [now[key] for key in common]) < SETTLED:
            return f"the regimes changed during the last {BACK} exposures"
        labels = self._past[-1][1]
        for label in labels[-BACK:]:
            if label >= 0 and (labels == label).sum() == 1:
                return f"regime {label} was seen only once, in the last {BACK} exposures"
        return None

    @property
    def n_regimes(self) -> int:
        """Number of regimes known now."""
        return len(np.unique(self._past[-1][1][self._past[-1][1] >= 0])) if self._past else 0


def verdict(missed: float, radius: str, surely: str, stability: Stability, failed: int) -> tuple[bool, str]:
    """Return whether to stop, and why or why not, in a sentence.

    A region of `radius`, a length in words, was missed with the chance `missed`: with its centre in that share of the
    sample no exposure hits it. None of the radius `surely` or more was missed.
    """
    share, hidden = f"{math.ceil(100 * missed)} % of the sample", f"a region of radius {radius} could"
    if missed > RISK:
        return False, f"{hidden} still hide in {share}; at {100 * RISK:.0f} % the search is complete"
    objection = stability.objection()
    if objection:
        return False, f"{hidden} hide in only {share}, but {objection}"
    n = stability.n_regimes
    settled = f"{number_of(n, 'regime')}, unchanged over the last {BACK} exposures" if n else "no regimes were named"
    unknown = f"; {number_of(failed, 'position')} failed: no regime is known there" if failed else ""
    return True, f"{hidden} hide in only {share}, and nowhere one of radius {surely}; {settled}{unknown}"


Labeler = Callable[[NDArray[np.float32]], NDArray[np.int64]]


# Prior of a flagged exposure: the odds that it is new, and the p-values of new ones are distributed as p to this power
# minus one.
_ODDS, _SHAPE = 0.25, 0.2


def chance_new(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance that flagged exposures with these p-values (n,) show a new regime."""
    odds = _ODDS * _SHAPE * np.maximum(p, np.finfo(float).tiny) ** (_SHAPE - 1)
    return np.asarray(odds / (1 + odds))


# A position that is to be measured. A measured one has an embedding, too.
_PENDING: Mapping[str, NDArray[Any]] = {
    "is_measured": np.zeros(1, bool),
    "failed": np.zeros(1, bool),
    "p": np.full(1, np.nan),
    "novel": np.zeros(1, bool),
    "label": np.full(1, -1),
}


class Trials:
    """Positions that are to be measured, were measured, or failed, by id, in the order of their last change.

    Labeler and alpha are those of `Explorer`.
    """

    def __init__(self, names: Sequence[str], labeler: Labeler | None, alpha: float) -> None:
        self._names, self._labeler, self._alpha = tuple(names), labeler, alpha
        self._rows, self.stability = RowsById(), Stability()
        empty = {name: values[:0] for name, values in _PENDING.items()}
        self._rows.add([], position=np.empty((0, len(self._names))), **empty)

    def propose(self, position: NDArray[np.float64], trial_id: str = "") -> str:
        """Add a position that is to be measured; returns its id: the one given, unless it is known already."""
        if not trial_id or trial_id in self._rows:
            trial_id = uuid.uuid4().hex
        self._rows.add([trial_id], position=position[None], **_PENDING)
        return trial_id

    def take(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Add measured points, and update the labels; see `Explorer.ingest`."""
        if not points:
            return
        ids, columns = self._read(points)
        self._rows.remove(ids)
        self._rows.add(ids, **columns)
        if columns["is_measured"].any():
            self._relabel()

    def judge(self, verdicts: Mapping[str, tuple[float | None, bool | None]]) -> None:
        """Replace p-value and verdict of known points, by id."""
        ids = [id for id in verdicts if id in self._rows]
        p = [np.nan if verdicts[id][0] is None else verdicts[id][0] for id in ids]
        self._rows.add(ids, p=np.array(p, float), novel=np.array([bool(verdicts[id][1]) for id in ids]))

    def fail(self, suggestion: Mapping[str, Any]) -> None:
        """Mark a position as failed, unless it was measured."""
        trial_id = str(suggestion[ID_KEY])
        if trial_id not in self._rows:
            self._rows.add([trial_id], position=self.position(suggestion)[None], **_PENDING)
        self._rows.add([trial_id], failed=[not self._rows.of(trial_id, "is_measured")])

    def expect(self, pending: Mapping[str, Mapping[str, Any]], failed: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace the positions that are to be measured, by id, and add those that failed."""
        waits = self._rows.ids[~self._is_over]
        self._rows.remove([id for id in waits if id not in pending and id not in failed])
        for id, suggestion in pending.items():
            if id not in self._rows:
                self.propose(self.position(suggestion), id)
        for id, position in failed.items():
            if id not in self._rows or not (self._rows.of(id, "failed") or self._rows.of(id, "is_measured")):
                self.fail({**position, ID_KEY: id})

    def visited(self, *, pending: bool) -> NDArray[np.float64]:
        """Return positions (n, d) that were measured or failed; if `pending`, also those to be measured."""
        return self._rows["position"] if pending else self._rows["position"][self._is_over]

    def labelled(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return positions (n, d) and regimes (n,) of the exposures that have one."""
        label = self._rows["label"]
        return self._rows["position"][label >= 0], label[label >= 0]

    def novel(self) -> list[tuple[str, dict[str, float], float]]:
        """Return id, position by name and p-value of the novel exposures, the most novel first."""
        chosen = self._novel[np.argsort(self._rows["p"][self._novel], kind="stable")]
        columns = (self._rows[name][chosen].tolist() for name in ("position", "p"))
        return [
            (key, dict(zip(self._names, position, strict=True)), p)
            for key, position, p in zip(self._rows.ids[chosen], *columns, strict=True)
        ]

    def unsure(self, window: Window, radius: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return positions (n, d) of novel exposures that stand alone, and the chances (n,) that their regime is new.

        An exposure stands alone if no other has its regime, and none was taken, or is to be taken, within `radius`.
        Positions and radius are in lengths.
        """
        chosen, position = self._novel, window.places(self._rows["position"])
        if not chosen.size:
            return position[:0], np.empty(0)
        _, of, count = np.unique(self._rows["label"], return_inverse=True, return_counts=True)
        shared = (self._rows["label"] >= 0) & (count[of] > 1)
        alone = chosen[~shared[chosen]]
        alone = alone[cKDTree(position).query_ball_point(position[alone], radius, return_length=True) == 1]
        return position[alone], chance_new(self._rows["p"][alone])

    @property
    def n_failed(self) -> int:
        """Number of failed positions."""
        return int(self._rows["failed"].sum())

    def position(self, point: Mapping[str, Any], trial_id: str = "") -> NDArray[np.float64]:
        """Return the position (d,) of a point; ValueError if it is not known, or not finite."""
        if all(name in point for name in self._names):
            position = [float(point[name]) for name in self._names]
        elif trial_id in self._rows:
            position = self._rows.of(trial_id, "position").tolist()
        else:
            names = ", ".join(self._names)
            raise ValueError(f"point {trial_id!r} was not suggested here and brings no position ({names})")
        if not all(map(math.isfinite, position)):
            raise ValueError(f"position {dict(zip(self._names, position, strict=True))} is not finite")
        return np.array(position)

    @property
    def _novel(self) -> NDArray[np.int64]:
        """Rows of the novel exposures."""
        return np.flatnonzero(self._rows["novel"] & ~np.isnan(self._rows["p"]))

    @property
    def _is_over(self) -> NDArray[np.bool_]:
        return np.asarray(self._rows["is_measured"] | self._rows["failed"])

    def _read(self, points: Sequence[Mapping[str, Any]]) -> tuple[list[str], dict[str, NDArray[Any]]]:
        """Return ids and columns of measured points."""
        ids = [str(point.get(ID_KEY) or uuid.uuid4().hex) for point in points]
        z = self._embeddings(points, ids)
        is_measured = np.asarray(np.isfinite(z).all(1))
        p = np.array([np.nan if (p := point.get("novelty_p")) is None else float(p) for point in points])
        p[~(is_measured & np.isfinite(p))] = np.nan
        claimed = is_novel(p, self._alpha).tolist()
        verdicts = (point.get("novel") for point in points)
        return ids, {
            "position": np.stack([self.position(*each) for each in zip(points, ids, strict=True)]),
            **({"embedding": z} if is_measured.any() else {}),
            "is_measured": is_measured,
            "failed": np.logical_not(is_measured),
            "p": p,
            "novel": np.array([claim if x is None else bool(x) for x, claim in zip(verdicts, claimed, strict=True)]),
            "label": np.full(len(points), -1),
        }

    def _embeddings(self, points: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings (n, e) of points; ValueError if one is missing, or differs in length."""
        embeddings, size = [], self._rows["embedding"].shape[1] if self._rows["is_measured"].any() else None
        for trial_id, point in zip(ids, points, strict=True):
            if point.get("embedding") is None:
                raise ValueError(f"point {trial_id!r} has no embedding: give NaN if the exposure failed")
            embedding = np.asarray(point["embedding"], dtype=np.float32)
            failed = bool(np.isnan(embedding).all())
            if not failed and (embedding.ndim != 1 or size not in (None, embedding.size)):
                others = "(e,)" if size is None else size
                raise ValueError(f"embedding of point {trial_id!r} has shape {embedding.shape}, others have {others}")
            size = size if failed else embedding.size
            embeddings.append(None if failed else embedding)
        return np.stack([np.full(size or 1, np.nan, np.float32) if each is None else each for each in embeddings])

    def _relabel(self) -> None:
        is_measured = self._rows["is_measured"]
        z = self._rows["embedding"][is_measured]
        labels = np.full(len(z), -1) if self._labeler is None else np.asarray(self._labeler(z))
        if labels.shape != (len(z),):
            raise ValueError(f"labeler must give a regime for each of the {len(z)} embeddings, got {labels.shape}")
        label = self._rows["label"].copy()
        label[is_measured] = labels
        self._rows.give("label", label)
        self.stability.record(self._rows.ids[is_measured], labels)
