"""What was suggested and what was found there."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from bluesky_adaptive.protocols import ID_KEY
from numpy.typing import NDArray

from ainerd.steering._labels import join_aged, regimes_at
from ainerd.steering._novel import Novel
from ainerd.steering._rows import Rows
from ainerd.steering._stopping import Stability
from ainerd.technique import is_novel

Labeler = Callable[[NDArray[np.float32]], NDArray[np.int64]]
# Of a position that is to be measured. One that was measured has an embedding, too.
_PENDING: Mapping[str, NDArray[Any]] = {
    "is_measured": np.zeros(1, bool),
    "failed": np.zeros(1, bool),
    "p": np.full(1, np.nan),
    "novel": np.zeros(1, bool),
    "age_s": np.full(1, np.nan),
    "label": np.full(1, -1),
}


class Trials:
    """Positions that are to be measured, were measured, or have failed, by id, the last measured or suggested one last.

    Labels, noise and alpha are as `Explorer` takes them.
    """

    def __init__(self, names: Sequence[str], labeler: Labeler | None, noise: float | None, alpha: float) -> None:
        self._names, self._labeler, self._noise, self._alpha = tuple(names), labeler, noise, alpha
        self._rows, self.stability = self._empty()

    def propose(self, position: NDArray[np.float64], trial_id: str = "") -> str:
        """Add a position that is to be measured; returns its id: the one given, unless it is known already."""
        if not trial_id or trial_id in self._rows:
            trial_id = uuid.uuid4().hex
        self._rows.add([trial_id], position=position[None], **_PENDING)
        return trial_id

    def take(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Add what was found, and label anew; see `Explorer.ingest`."""
        if not points:
            return
        ids, found = self._read(points)
        for trial_id in ids:
            self._rows.remove(trial_id)
        self._rows.add(ids, **found)
        if found["is_measured"].any():
            self._relabel()

    def fail(self, suggestion: Mapping[str, Any]) -> None:
        """Note that a position could not be measured; one that was measured stays so."""
        trial_id = str(suggestion[ID_KEY])
        if trial_id not in self._rows:
            self._rows.add([trial_id], position=self.position(suggestion)[None], **_PENDING)
        self._rows.add([trial_id], failed=[not self._rows.of(trial_id, "is_measured")])

    def withdraw(self, trial_id: str) -> None:
        """Forget a suggestion."""
        self._rows.remove(trial_id)

    def visited(self, *, pending: bool) -> NDArray[np.float64]:
        """Positions (n, d) measured or failed, with those to be measured if `pending`."""
        return self._rows["position"] if pending else self._rows["position"][self._is_over]

    def labelled(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Positions (n, d) and regimes (n,) of the exposures that have one."""
        label = self._rows["label"]
        return self._rows["position"][label >= 0], label[label >= 0]

    def novel(self) -> dict[str, Novel]:
        """Novel exposures, by id."""
        chosen = np.flatnonzero(self._rows["novel"] & ~np.isnan(self._rows["p"]))
        about = (self._rows[name][chosen] for name in ("position", "p", "label"))
        return {
            key: Novel(position, float(p), int(label))
            for key, position, p, label in zip(self._rows.ids[chosen], *about, strict=True)
        }

    @property
    def n_failed(self) -> int:
        """How many have failed."""
        return int(self._rows["failed"].sum())

    def position(self, point: Mapping[str, Any], trial_id: str = "") -> NDArray[np.float64]:
        """Where a point is, (d,); ValueError if that is not known, or not finite."""
        return self._positions([point], [trial_id])[0]

    def snapshot(self) -> list[dict[str, Any]]:
        """All trials as plain numbers, strings and lists."""
        columns = ("position", "is_measured", "p", "novel", "age_s", "failed")
        return [
            {
                ID_KEY: key,
                **dict(zip(self._names, position, strict=True)),
                "embedding": self._rows.of(key, "embedding").tolist() if is_measured else None,
                "novelty_p": None if np.isnan(p) else p,
                "novel": novel,
                "age_s": None if np.isnan(age_s) else age_s,
                "failed": failed,
            }
            for key, position, is_measured, p, novel, age_s, failed in zip(
                self._rows, *(self._rows[name].tolist() for name in columns), strict=True
            )
        ]

    def restore(self, snapshot: Sequence[Mapping[str, Any]]) -> None:
        """Hold the trials of a `snapshot` instead."""
        self._rows, self.stability = self._empty()
        for about in snapshot:
            if about["embedding"] is None:
                more = {**_PENDING, "failed": np.array([about["failed"]])}
                self._rows.add([about[ID_KEY]], position=self.position(about)[None], **more)
            else:
                ids, found = self._read([about])
                self._rows.add(ids, **found)
        self._relabel()

    @property
    def _is_over(self) -> NDArray[np.bool_]:
        return np.asarray(self._rows["is_measured"] | self._rows["failed"])

    def _empty(self) -> tuple[Rows, Stability]:
        rows = Rows()
        rows.add([], position=np.empty((0, len(self._names))), **{name: x[:0] for name, x in _PENDING.items()})
        return rows, Stability()

    def _read(self, points: Sequence[Mapping[str, Any]]) -> tuple[list[str], dict[str, NDArray[Any]]]:
        """Ids and columns of what was found."""
        ids = [str(point.get(ID_KEY) or uuid.uuid4().hex) for point in points]
        z = self._embeddings(points, ids)
        is_measured = np.asarray(np.isfinite(z).all(1))
        p = np.array([np.nan if (p := point.get("novelty_p")) is None else float(p) for point in points])
        p[~(is_measured & np.isfinite(p))] = np.nan
        claimed = is_novel(p, self._alpha).tolist()
        said = (point.get("novel") for point in points)
        return ids, {
            "position": self._positions(points, ids),
            **({"embedding": z} if is_measured.any() else {}),
            "is_measured": is_measured,
            "failed": np.logical_not(is_measured),
            "p": p,
            "novel": np.array([claim if x is None else bool(x) for x, claim in zip(said, claimed, strict=True)]),
            "age_s": np.array([np.nan if (age := point.get("age_s")) is None else float(age) for point in points]),
            "label": np.full(len(points), -1),
        }

    def _embeddings(self, points: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> NDArray[np.float32]:
        """Of all points, (n, e); ValueError if one has none, or one that does not fit."""
        found, size = [], self._rows["embedding"].shape[1] if self._rows["is_measured"].any() else None
        for trial_id, point in zip(ids, points, strict=True):
            if point.get("embedding") is None:
                raise ValueError(f"point {trial_id!r} has no embedding: give NaN if the exposure failed")
            embedding = np.asarray(point["embedding"], dtype=np.float32)
            if embedding.ndim != 1 or size not in (None, embedding.size):
                others = "(e,)" if size is None else size
                raise ValueError(f"embedding of point {trial_id!r} has shape {embedding.shape}, others have {others}")
            size = embedding.size
            found.append(embedding)
        return np.stack(found)

    def _positions(self, points: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> NDArray[np.float64]:
        """Where points are, (n, d)."""
        found = np.empty((len(points), len(self._names)))
        for i, (point, trial_id) in enumerate(zip(points, ids, strict=True)):
            if all(name in point for name in self._names):
                found[i] = [float(point[name]) for name in self._names]
            elif trial_id in self._rows:
                found[i] = self._rows.of(trial_id, "position")
            else:
                names = ", ".join(self._names)
                raise ValueError(f"point {trial_id!r} was not suggested here and brings no position ({names})")
        wrong = found[~np.isfinite(found).all(1)]
        if len(wrong):
            raise ValueError(f"position {dict(zip(self._names, wrong[0].tolist(), strict=True))} is not finite")
        return found

    def _relabel(self) -> None:
        is_measured = self._rows["is_measured"]
        if not is_measured.any():
            return
        z = self._rows["embedding"][is_measured]
        labels = np.full(len(z), -1)
        if self._labeler is not None:
            labels = np.asarray(self._labeler(z))
            if labels.shape != (len(z),):
                raise ValueError(
                    f"labeler must give a regime for each of the {len(z)} embeddings, got shape {labels.shape}"
                )
        elif self._noise is not None:
            labels = regimes_at(self._noise, z)
        if self._noise is not None:
            labels = join_aged(self._noise, labels, z, self._rows["age_s"][is_measured])
        label = self._rows["label"].copy()
        label[is_measured] = labels
        self._rows.give("label", label)
        self.stability.record(self._rows.ids[is_measured], labels)
