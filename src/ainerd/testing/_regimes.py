"""Regimes of many results, and the numbers that they keep."""

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Regimes
from ainerd.testing._trial import Trial, require

PER_REGIME = 4


def regimes(trial: Trial) -> None:
    """Labels, their number, and `predict` fit each other, from the first result on."""
    points = _points(trial)
    for z in (points, points[:1], points[:2], np.repeat(points[:1], 3, axis=0)):
        before = z.copy()
        found = trial.technique.regimes(z)
        _require_whole(found, z)
        _require_labels(found.predict(z), found, len(z), "predict()")
        _require_labels(found.predict(z[:1]), found, 1, "predict() of one embedding")
        require(np.array_equal(z, before), "regimes() changes the embeddings: work on a copy")
    again = trial.technique.regimes(points).labels
    require(
        np.array_equal(again, trial.technique.regimes(points).labels),
        "the same embeddings give other labels: seed what is random",
    )


def regime_numbers(trial: Trial) -> None:
    """A regime that persists keeps its number, also when a result is added, and `predict` knows it by that."""
    z = _points(trial)
    labels = trial.technique.regimes(z).labels
    numbers = np.where(labels >= 0, 3 * (labels.max() - labels) + 5, -1)  # neither in their order nor from 0
    known = numbers >= 0
    todo = "ainerd.novelty.find_regimes(embeddings, previous) does that"
    again = trial.technique.regimes(z, numbers.copy())
    require(
        np.array_equal(again.labels[known], numbers[known]),
        f"the same embeddings with previous numbers {numbers.tolist()} got {again.labels.tolist()}: {todo}",
    )
    _require_whole(again, z)
    _require_labels(again.predict(z), again, len(z), "predict() after a refit")
    more = np.concatenate([z, z[:1]])
    grown = trial.technique.regimes(more, np.append(numbers, -1)).labels
    require(
        np.array_equal(grown[:-1][known], numbers[known]),
        f"with one more result the numbers {numbers.tolist()} became {grown[:-1].tolist()}: {todo}",
    )


def _points(trial: Trial) -> NDArray[np.float32]:
    """Three regimes far apart, around the embedding of the first run, (12, d)."""
    technique = trial.technique
    width = technique.regime_width or 1.0
    rng = np.random.default_rng(0)
    away = np.repeat(20.0 * width * np.arange(3), PER_REGIME)[:, None] * (np.arange(technique.embedding_size) == 0)
    scatter = 0.02 * width * rng.normal(size=(3 * PER_REGIME, technique.embedding_size))
    return (trial.analyses[0].embedding + away + scatter).astype(np.float32)


def _require_whole(found: Regimes, z: NDArray[np.float32]) -> None:
    _require_labels(found.labels, None, len(z), "labels")
    n = np.unique(found.labels[found.labels >= 0]).size
    require(found.n_regimes == n, f"n_regimes is {found.n_regimes}, the labels have {n} (-1 is none)")
    low, high = found.supported_range
    require(0 <= low <= high, f"supported_range must be (fewest, most), got {found.supported_range}")


def _require_labels(labels: NDArray[np.int64], of: Regimes | None, n: int, what: str) -> None:
    require(
        isinstance(labels, np.ndarray) and labels.shape == (n,) and labels.dtype == np.int64,
        f"{what} of {n} embedding(s) must be int64 of shape ({n},), got "
        f"{getattr(labels, 'dtype', type(labels))} of shape {np.shape(labels)}",
    )
    require(labels.min() >= -1, f"{what} must be at least -1 (unassigned), got {labels.min()}")
    if of is not None:
        unknown = sorted({*labels.tolist()} - {*of.labels.tolist(), -1})
        require(not unknown, f"{what} says regime {unknown}, which is none of the labels: give the same numbers")


REGIMES = (regimes, regime_numbers)
