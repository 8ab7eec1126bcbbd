"""Checks of the required parts: attributes, parameters, settings, regimes and their lasting numbers."""

import json
import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.config import Settings
from ainerd.technique import Regimes, Series, provides
from ainerd.testing._example import analyse
from ainerd.testing._trial import CheckFailed, Problems, Trial

ATTRIBUTES = ("name", "unit", "alpha", "embedding_size", "regime_width", "parameters")
METHODS = ("from_settings", "begin", "regimes")
PER_REGIME = 4


def protocol(trial: Trial) -> Problems:
    """Check that all attributes and methods exist, and that the attributes have valid values."""
    technique: Any = trial.technique
    if isinstance(technique, type):
        yield "the class was given: give an instance, such as Mine()"
    missing = [name for name in ATTRIBUTES if not hasattr(technique, name)]
    if missing := missing + [name for name in METHODS if not provides(technique, name)]:
        yield f"there is no {', '.join(missing)}: see ainerd.technique.Technique"
    if no_methods := [name for name in METHODS if not callable(getattr(technique, name))]:
        yield f"{', '.join(no_methods)} must be a method"
    name, unit = technique.name, technique.unit
    if not isinstance(name, str) or not name.isidentifier():
        yield f"name must be an identifier, it is the section of the TOML and part of commands; got {name!r}"
    if name in Settings.model_fields:
        yield f"name {name!r} is a key of the settings: the technique needs another"
    if unit not in ("event", "run") and not isinstance(unit, Series):
        yield f"unit must be 'event', 'run' or ainerd.technique.Series(key), got {unit!r}"
    if isinstance(unit, Series) and not (isinstance(unit.key, str) and unit.key):
        yield "the key of Series must be that of the start document, such as 'ramp'"
    alpha, size, width = technique.alpha, technique.embedding_size, technique.regime_width
    if not _is(alpha, Real) or not 0 < alpha < 1:
        yield f"alpha must be a number in (0, 1), got {alpha!r}"
    if not _is(size, Integral) or size <= 0:
        yield f"embedding_size must be a positive int, got {size!r}"
    if width is not None and not (_is(width, Real) and 0 < width < math.inf):
        yield f"regime_width must be None or a positive distance, got {width!r}"


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def parameters(trial: Trial) -> Problems:
    """Check that the parameters are JSON, and always the same: the key of a result depends on them."""
    technique = trial.technique
    before = _json(technique.parameters)
    if _json(technique.parameters) != before:
        yield "parameters differs between two reads: leave out values that change by themselves"
    analyse(technique, trial.run)
    if _json(technique.parameters) != before:
        yield "an analysis changed the parameters: leave out what is learned from runs"


def settings(trial: Trial) -> Problems:
    """Check that `from_settings` builds the same technique each time, and refuses an unknown key."""
    if trial.section is None:
        return
    kind, section, folder = type(trial.technique), trial.section, trial.folder
    one, two = (kind.from_settings(dict(section), folder) for _ in range(2))
    if not isinstance(one, kind):
        yield f"from_settings must return a {kind.__name__}, got {type(one).__name__}"
    if _json(one.parameters) != _json(two.parameters):
        yield "two techniques from the same section have other parameters: leave out times, addresses, unseeded numbers"
    unknown = "no_such_key"
    try:
        kind.from_settings({**section, unknown: 1}, folder)
    except ValueError as error:
        if unknown not in str(error):
            yield f"the error for an unknown key must name it, said {error}: use ainerd.config.read_section"
    else:
        yield "a misspelt key of the section is ignored: use ainerd.config.read_section"


def _json(parameters: object) -> str:
    if not isinstance(parameters, Mapping):
        raise CheckFailed(f"parameters must be a mapping, got {type(parameters).__name__}")
    try:
        return json.dumps(parameters, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckFailed(f"parameters must be plain JSON values without NaN: {error}") from None


def regimes(trial: Trial) -> Problems:
    """Check that the labels, `n_regimes` and `predict` are consistent, starting with one result."""
    points = _points(trial)
    for z in (points, points[:1], points[:2], np.repeat(points[:1], 3, axis=0)):
        before = z.copy()
        found = trial.technique.regimes(z)
        yield from _regimes_problems(found, z)
        yield from _labels_problems(found.predict(z), found, len(z), "predict()")
        yield from _labels_problems(found.predict(z[:1]), found, 1, "predict() of one embedding")
        if not np.array_equal(z, before):
            yield "regimes() changes the embeddings: work on a copy"
    one, two = (trial.technique.regimes(points).labels for _ in range(2))
    if not np.array_equal(one, two):
        yield "the same embeddings give other labels: seed what is random"


def regime_numbers(trial: Trial) -> Problems:
    """Check that a persistent regime keeps its number after a result is added, and that `predict` uses the number."""
    z = _points(trial)
    labels = trial.technique.regimes(z).labels
    numbers = np.where(labels >= 0, 3 * (labels.max() - labels) + 5, -1)  # reverse order, with gaps, not from 0
    known = numbers >= 0
    remedy = "ainerd.novelty.find_regimes(embeddings, previous) does that"
    again = trial.technique.regimes(z, numbers.copy())
    if not np.array_equal(again.labels[known], numbers[known]):
        got = again.labels.tolist()
        yield f"the same embeddings with previous numbers {numbers.tolist()} got {got}: {remedy}"
    yield from _regimes_problems(again, z)
    yield from _labels_problems(again.predict(z), again, len(z), "predict() after a refit")
    grown = trial.technique.regimes(np.concatenate([z, z[:1]]), np.append(numbers, -1)).labels[:-1]
    if not np.array_equal(grown[known], numbers[known]):
        yield f"with one more result the numbers {numbers.tolist()} became {grown.tolist()}: {remedy}"


def _points(trial: Trial) -> NDArray[np.float32]:
    """Return three distant groups of points, (12, d); the first lies around the embedding of the first run."""
    technique = trial.technique
    width = technique.regime_width or 1.0
    rng = np.random.default_rng(0)
    away = np.repeat(20.0 * width * np.arange(3), PER_REGIME)[:, None] * (np.arange(technique.embedding_size) == 0)
    scatter = 0.02 * width * rng.normal(size=(3 * PER_REGIME, technique.embedding_size))
    return (trial.analyses[0].embedding + away + scatter).astype(np.float32)


def _regimes_problems(found: Regimes, z: NDArray[np.float32]) -> Problems:
    yield from _labels_problems(found.labels, None, len(z), "labels")
    n = np.unique(found.labels[found.labels >= 0]).size
    if found.n_regimes != n:
        yield f"n_regimes is {found.n_regimes}, the labels have {n} (-1 is none)"
    low, high = found.supported_range
    if not 0 <= low <= high:
        yield f"supported_range must be (fewest, most), got {found.supported_range}"


def _labels_problems(labels: NDArray[np.int64], of: Regimes | None, n: int, what: str) -> Problems:
    if not isinstance(labels, np.ndarray) or labels.shape != (n,) or labels.dtype != np.int64:
        got = f"{getattr(labels, 'dtype', type(labels))} of shape {np.shape(labels)}"
        yield f"{what} of {n} embedding(s) must be int64 of shape ({n},), got {got}"
    if labels.min() < -1:
        yield f"{what} must be at least -1 (unassigned), got {labels.min()}"
    if of is not None and (unknown := sorted({*labels.tolist()} - {*of.labels.tolist(), -1})):
        yield f"{what} says regime {unknown}, which is none of the labels: give the same numbers"


REQUIRED = (parameters, settings, regimes, regime_numbers)
