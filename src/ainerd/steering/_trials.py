"""What was suggested and what was found there."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from bluesky_adaptive.protocols import ID_KEY
from numpy.typing import NDArray

from ainerd.steering._labels import join_aged, regimes_at
from ainerd.steering._novel import Novel
from ainerd.steering._stopping import Stability

Labeler = Callable[[NDArray[np.float32]], NDArray[np.int64]]


@dataclass(frozen=True)
class Trial:
    """A position that is to be measured, was measured (it has an embedding), or has failed."""

    position: NDArray[np.float64]  # (d,)
    embedding: NDArray[np.float32] | None = None  # (e,)
    novelty_p: float | None = None
    novel: bool = False
    age_s: float = np.nan  # of the sample; NaN if it is not known
    label: int = -1  # regime, -1 if none is known
    failed: bool = False


class Trials:
    """Trials by id, the last measured or suggested one last; labels, noise and alpha are as `Explorer` takes them."""

    def __init__(self, names: Sequence[str], labeler: Labeler | None, noise: float | None, alpha: float) -> None:
        self._names, self._labeler, self._noise, self._alpha = tuple(names), labeler, noise, alpha
        self._trials: dict[str, Trial] = {}
        self.stability = Stability()

    def __iter__(self) -> Iterator[tuple[str, Trial]]:
        return iter(self._trials.items())

    def propose(self, position: NDArray[np.float64]) -> str:
        """Add a position that is to be measured; returns its id."""
        trial_id = uuid.uuid4().hex
        self._trials[trial_id] = Trial(position)
        return trial_id

    def take(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Add what was found, and label anew; see `Explorer.ingest`."""
        taken = {}
        for point in points:
            trial_id = str(point.get(ID_KEY) or uuid.uuid4().hex)
            taken[trial_id] = self._read(trial_id, point)
        for trial_id in taken:
            self._trials.pop(trial_id, None)
        self._trials |= taken
        if any(trial.embedding is not None for trial in taken.values()):
            self._relabel()

    def fail(self, suggestion: Mapping[str, Any]) -> None:
        """Note that a position could not be measured; one that was measured stays so."""
        trial_id = str(suggestion[ID_KEY])
        trial = self._trials.get(trial_id) or Trial(self.position(suggestion))
        self._trials[trial_id] = replace(trial, failed=trial.embedding is None)

    def withdraw(self, trial_id: str) -> None:
        """Forget a suggestion."""
        self._trials.pop(trial_id, None)

    def visited(self, *, pending: bool) -> NDArray[np.float64]:
        """Positions (n, d) measured or failed, with those to be measured if `pending`."""
        chosen = [t.position for t in self._trials.values() if pending or t.failed or t.embedding is not None]
        return np.array(chosen).reshape(-1, len(self._names))

    def labelled(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Positions (n, d) and regimes (n,) of the exposures that have one."""
        chosen = [t for t in self._trials.values() if t.label >= 0]
        position = np.array([t.position for t in chosen]).reshape(-1, len(self._names))
        return position, np.array([t.label for t in chosen], dtype=np.int64)

    def novel(self) -> dict[str, Novel]:
        """Novel exposures, by id."""
        return {key: Novel(t.position, t.novelty_p, t.label) for key, t in self if t.novel and t.novelty_p is not None}

    @property
    def n_failed(self) -> int:
        """How many have failed."""
        return sum(trial.failed for trial in self._trials.values())

    def position(self, point: Mapping[str, Any], trial_id: str = "") -> NDArray[np.float64]:
        """Where a point is, (d,); ValueError if that is not known, or not finite."""
        if all(name in point for name in self._names):
            position = np.array([float(point[name]) for name in self._names])
            if not np.isfinite(position).all():
                raise ValueError(f"position {dict(zip(self._names, position.tolist(), strict=True))} is not finite")
            return position
        if trial_id in self._trials:
            return self._trials[trial_id].position
        raise ValueError(f"point {trial_id!r} was not suggested here and brings no position ({', '.join(self._names)})")

    def snapshot(self) -> list[dict[str, Any]]:
        """All trials as plain numbers, strings and lists."""
        return [
            {
                ID_KEY: key,
                **dict(zip(self._names, trial.position.tolist(), strict=True)),
                "embedding": None if trial.embedding is None else trial.embedding.tolist(),
                "novelty_p": trial.novelty_p,
                "novel": trial.novel,
                "age_s": None if np.isnan(trial.age_s) else trial.age_s,
                "failed": trial.failed,
            }
            for key, trial in self
        ]

    def restore(self, snapshot: Sequence[Mapping[str, Any]]) -> None:
        """Hold the trials of a `snapshot` instead."""
        self._trials, self.stability = {}, Stability()
        for about in snapshot:
            key, pending = about[ID_KEY], about["embedding"] is None
            self._trials[key] = (
                Trial(self.position(about), failed=about["failed"]) if pending else self._read(key, about)
            )
        self._relabel()

    def _read(self, trial_id: str, point: Mapping[str, Any]) -> Trial:
        if point.get("embedding") is None:
            raise ValueError(f"point {trial_id!r} has no embedding: give NaN if the exposure failed")
        embedding = np.asarray(point["embedding"], dtype=np.float32)
        sizes = {trial.embedding.size for _, trial in self if trial.embedding is not None}
        if embedding.ndim != 1 or not sizes <= {embedding.size}:
            raise ValueError(
                f"embedding of point {trial_id!r} has shape {embedding.shape}, others have {sizes or '(e,)'}"
            )
        p, novel, age = (point.get(name) for name in ("novelty_p", "novel", "age_s"))
        measured = bool(np.isfinite(embedding).all())
        claim = float(p) if measured and p is not None and np.isfinite(p) else None
        if novel is None:
            novel = claim is not None and claim <= self._alpha
        return Trial(
            self.position(point, trial_id),
            embedding if measured else None,
            claim,
            bool(novel),
            np.nan if age is None else float(age),
            failed=not measured,
        )

    def _relabel(self) -> None:
        found = {key: trial for key, trial in self if trial.embedding is not None}
        if not found:
            return
        z = np.stack([trial.embedding for trial in found.values() if trial.embedding is not None])
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
            labels = join_aged(self._noise, labels, z, [trial.age_s for trial in found.values()])
        for (key, trial), label in zip(found.items(), labels, strict=True):
            self._trials[key] = replace(trial, label=int(label))
        self.stability.record({key: self._trials[key].label for key in found})
