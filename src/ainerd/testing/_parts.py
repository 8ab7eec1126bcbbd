"""Checks of the parts of a technique: attributes, parameters, settings, regimes, the optional parts, and the panels."""

import difflib
import inspect
import io
import json
import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ainerd.config import Settings
from ainerd.results import LoadedResult, Part, ResultRecord, digest
from ainerd.technique import (
    AnalysisError,
    Common,
    Finding,
    Landmarks,
    Panels,
    Question,
    Regimes,
    Series,
    Technique,
    provides,
)
from ainerd.testing._example import CheckFailed, Feed, Trial, analyse, require

if TYPE_CHECKING:
    from ainerd.views import Scene

ATTRIBUTES = ("name", "unit", "alpha", "embedding_size", "regime_width", "parameters")
METHODS = ("from_settings", "begin", "regimes")
PER_REGIME = 4
REMEDY = "ainerd.novelty.find_regimes(embeddings, previous) does that"
BOUNDS = {"example_x": (0.0, 10.0), "example_y": (-1.0, 1.0)}
TEXT = str | int | float | None


def protocol(trial: Trial) -> None:
    """Check that all attributes and methods exist, and that the attributes have valid values."""
    technique: Any = trial.technique
    require(not isinstance(technique, type), "the class was given: give an instance, such as Mine()")
    is_technique = isinstance(technique, Technique)
    require(is_technique, f"{type(technique).__name__} must inherit from ainerd.technique.Technique")
    missing = [name for name in ATTRIBUTES if not hasattr(technique, name)]
    missing += [name for name in METHODS if not provides(technique, name)]
    require(not missing, f"there is no {', '.join(missing)}: see ainerd.technique.Technique")
    no_methods = [name for name in METHODS if not callable(getattr(technique, name))]
    require(not no_methods, f"{', '.join(no_methods)} must be a method")
    name, unit = technique.name, technique.unit
    is_name = isinstance(name, str) and name.isidentifier()
    require(is_name, f"name must be an identifier, it is the section of the TOML and part of commands; got {name!r}")
    is_free = name not in Settings.model_fields
    require(is_free, f"name {name!r} is a key of the settings: the technique needs another")
    if isinstance(unit, Series):
        has_key = isinstance(unit.key, str) and unit.key
        require(has_key, "the key of Series must be that of the start document, such as 'ramp'")
    else:
        is_unit = unit in ("event", "run")
        require(is_unit, f"unit must be 'event', 'run' or ainerd.technique.Series(key), got {unit!r}")
    alpha, size, width = technique.alpha, technique.embedding_size, technique.regime_width
    require(_is(alpha, Real) and 0 < alpha < 1, f"alpha must be a number in (0, 1), got {alpha!r}")
    require(_is(size, Integral) and size > 0, f"embedding_size must be a positive int, got {size!r}")
    is_width = width is None or (_is(width, Real) and 0 < width < math.inf)
    require(is_width, f"regime_width must be None or a positive distance, got {width!r}")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def parameters(trial: Trial) -> None:
    """Check that the parameters are JSON, and always the same: the key of a result depends on them."""
    technique = trial.technique
    before, again = _json(technique.parameters), _json(technique.parameters)
    require(before == again, "parameters differs between two reads: leave out values that change by themselves")
    analyse(technique, trial.run)
    after = _json(technique.parameters)
    require(after == before, "an analysis changed the parameters: leave out what is learned from runs")


def settings(trial: Trial) -> None:
    """Check that `from_settings` builds the same technique each time, and refuses an unknown key."""
    if trial.section is None:
        return
    kind, section, folder = type(trial.technique), trial.section, trial.folder
    one, two = (kind.from_settings(dict(section), folder) for _ in range(2))
    require(isinstance(one, kind), f"from_settings must return a {kind.__name__}, got {type(one).__name__}")
    remedy = "leave out times, addresses, unseeded numbers"
    are_same = _json(one.parameters) == _json(two.parameters)
    require(are_same, f"two techniques from the same section have other parameters: {remedy}")
    unknown, remedy = "no_such_key", "use ainerd.config.read_section"
    try:
        kind.from_settings({**section, unknown: 1}, folder)
    except ValueError as error:
        require(unknown in str(error), f"the error for an unknown key must name it, got {error}: {remedy}")
    else:
        raise CheckFailed(f"a misspelt key of the section is ignored: {remedy}")


def _json(parameters: object) -> str:
    require(isinstance(parameters, Mapping), f"parameters must be a mapping, got {type(parameters).__name__}")
    try:
        return json.dumps(parameters, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckFailed(f"parameters must be plain JSON values without NaN: {error}") from None


def regimes(trial: Trial) -> None:
    """Check that the labels, `n_regimes` and `predict` are consistent, starting with one result."""
    points = _points(trial)
    for z in (points, points[:1], points[:2], np.repeat(points[:1], 3, axis=0)):
        before = z.copy()
        found = trial.technique.regimes(z)
        _check_regimes(found, z)
        _check_labels(found.predict(z), found, len(z), "predict()")
        _check_labels(found.predict(z[:1]), found, 1, "predict() of one embedding")
        require(np.array_equal(z, before), "regimes() changes the embeddings: work on a copy")
    one, two = (trial.technique.regimes(points).labels for _ in range(2))
    require(np.array_equal(one, two), "the same embeddings give other labels: seed what is random")


def regime_numbers(trial: Trial) -> None:
    """Check that a persistent regime keeps its number after a result is added, and that `predict` uses the number."""
    z = _points(trial)
    labels = trial.technique.regimes(z).labels
    numbers = np.where(labels >= 0, 3 * (labels.max() - labels) + 5, -1)  # reverse order, with gaps, not from 0
    known = numbers >= 0
    again = trial.technique.regimes(z, numbers.copy())
    got = f"{numbers.tolist()} got {again.labels.tolist()}"
    is_kept = np.array_equal(again.labels[known], numbers[known])
    require(is_kept, f"the same embeddings with previous numbers {got}: {REMEDY}")
    _check_regimes(again, z)
    _check_labels(again.predict(z), again, len(z), "predict() after a refit")
    grown = trial.technique.regimes(np.concatenate([z, z[:1]]), np.append(numbers, -1)).labels[:-1]
    is_kept = np.array_equal(grown[known], numbers[known])
    require(is_kept, f"with one more result the numbers {numbers.tolist()} became {grown.tolist()}: {REMEDY}")


def _points(trial: Trial) -> NDArray[np.float32]:
    """Return three distant groups of points, (12, d); the first lies around the embedding of the first run."""
    technique = trial.technique
    width = technique.regime_width or 1.0
    rng = np.random.default_rng(0)
    away = np.repeat(20.0 * width * np.arange(3), PER_REGIME)[:, None] * (np.arange(technique.embedding_size) == 0)
    scatter = 0.02 * width * rng.normal(size=(3 * PER_REGIME, technique.embedding_size))
    return np.asarray(trial.analyses[0].embedding + away + scatter, np.float32)


def _check_regimes(found: Regimes, z: NDArray[np.float32]) -> None:
    _check_labels(found.labels, None, len(z), "labels")
    n = np.unique(found.labels[found.labels >= 0]).size
    require(found.n_regimes == n, f"n_regimes is {found.n_regimes}, the labels have {n} (-1 is none)")
    low, high = found.supported_range
    require(0 <= low <= high, f"supported_range must be (fewest, most), got {found.supported_range}")


def _check_labels(labels: NDArray[np.int64], of: Regimes | None, n: int, name: str) -> None:
    is_array = isinstance(labels, np.ndarray) and labels.shape == (n,) and labels.dtype == np.int64
    got = f"{getattr(labels, 'dtype', type(labels))} of shape {np.shape(labels)}"
    require(is_array, f"{name} of {n} embedding(s) must be int64 of shape ({n},), got {got}")
    require(labels.min() >= -1, f"{name} must be at least -1 (unassigned), got {labels.min()}")
    unknown = [] if of is None else sorted({*labels.tolist()} - {*of.labels.tolist(), -1})
    require(not unknown, f"{name} says regime {unknown}, which is none of the labels: give the same numbers")


def landmarks(trial: Trial) -> None:
    """Check that landmarks are named embeddings, and the same in each call."""
    found, again = trial.technique.landmarks(), trial.technique.landmarks()
    if not (isinstance(found, Landmarks) and isinstance(again, Landmarks)):
        raise CheckFailed(f"landmarks() must give ainerd.technique.Landmarks, got {type(found).__name__}")
    z, shape = found.embeddings, (len(found.names), trial.technique.embedding_size)
    is_array = np.shape(z) == shape and z.dtype == np.float32 and np.isfinite(z).all()
    expected = f"finite float32 of shape {shape}, names by embedding_size"
    require(is_array, f"embeddings of the landmarks must be {expected}, got {z.dtype} {np.shape(z)}")
    are_same = np.array_equal(z, again.embeddings) and found.names == again.names
    require(are_same, "landmarks() gives others on a second call: axes drawn through them must never turn")


def common(trial: Trial) -> None:
    """Check that the common data can be written."""
    found = trial.technique.common()
    if not isinstance(found, Common):
        raise CheckFailed(f"common() must give ainerd.technique.Common, got {type(found).__name__}")
    for name, array in found.arrays.items():
        require(isinstance(array, np.ndarray), f"common().arrays[{name!r}] must be a numpy array")
        dims = found.dims.get(name)
        fits = dims is None or len(dims) == array.ndim
        require(fits, f"common().dims[{name!r}] must name {array.ndim} dimensions: {dims}")
    for name, value in found.instrument.items():
        got = type(value).__name__
        require(isinstance(value, TEXT), f"common().instrument[{name!r}] must be a number, text or None, got {got}")


def findings(trial: Trial) -> None:
    """Check that `check` yields findings for ``ainerd doctor``."""
    for finding in trial.technique.check():
        is_finding = isinstance(finding, Finding) and finding.subject
        is_text = is_finding and all(isinstance(text, str) for text in (finding.subject, finding.state, finding.remedy))
        require(is_text, f"check() must give ainerd.technique.Finding(subject, state, remedy) of text, got {finding!r}")


def sketch(trial: Trial) -> None:
    """Check that `sketch` draws on an example frame, and without a frame."""
    for frame in (None, np.mean(trial.run.frames, axis=0, dtype=float)):
        figure = Figure()
        trial.technique.sketch(figure, frame)
        require(figure.axes or figure.subfigs, "sketch() leaves the figure empty")


def questions(trial: Trial) -> None:
    """Check that the default answers make a section from which the technique can be built."""
    section: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        asked, answer = trial.technique.questions(None), None
        while True:
            try:
                question = asked.send(answer)
            except StopIteration:
                break
            is_question = isinstance(question, Question) and question.key and question.text
            require(is_question, f"questions() must yield ainerd.technique.Question(key=…, text=…), got {question!r}")
            answer = question.default
            if answer is not None:
                *outer, last = question.key.split(".")
                inner = section
                for name in outer:
                    inner = inner.setdefault(name, {})
                inner[last] = answer
            if question.array is not None:
                np.save(Path(folder) / str(answer), question.array)
        type(trial.technique).from_settings(section, Path(folder))


def optimizer(trial: Trial) -> None:
    """Check that the optimizer stays within its bounds, and continues after a failed point."""
    found = trial.technique.optimizer(BOUNDS)
    missing = [name for name in ("suggest", "ingest") if not callable(getattr(found, name, None))]
    require(not missing, f"optimizer() has no {', '.join(missing)}: see bluesky_adaptive.protocols.Optimizer")
    for p in (0.5, None):
        found.ingest([{"_id": "a", **_suggestion(found), "embedding": trial.analyses[0].embedding, "novelty_p": p}])
    failed = _suggestion(found)
    if hasattr(found, "register_failures"):
        found.register_failures([{"_id": "b", **failed}])
    _suggestion(found)


def _suggestion(optimizer: Any) -> dict[str, Any]:
    suggestions = optimizer.suggest(1)
    require(len(suggestions) == 1, f"suggest(1) must give one suggestion, got {len(suggestions)}")
    for name, (low, high) in BOUNDS.items():
        x = suggestions[0].get(name, math.nan)
        require(low <= x <= high, f"suggest() says {name} = {x}, outside its bounds ({low}, {high})")
    return dict(suggestions[0])


def whole_frames(trial: Trial) -> None:
    """Check that `every` is None or a positive integer that only grows to multiples of itself. `whole` is optional."""
    for n_frames in (len(trial.run.frames), None):
        try:
            feed = Feed(trial.technique, trial.run, n_frames=n_frames)
        except AnalysisError:
            continue  # another check reports this error
        if not provides(feed.analysis, "whole"):
            return
        has_every, before = provides(feed.analysis, "every"), None
        require(has_every, "an analysis with whole() needs the attribute every: of how many frames it wants one whole")
        for _ in trial.run.frames:
            every = feed.analysis.every
            is_valid = every is None or (isinstance(every, int | np.integer) and every >= 1)
            require(is_valid, f"every must be None or a whole number from 1 on, got {every!r}")
            is_multiple = before is None or (every is not None and every % before == 0)
            require(is_multiple, f"every was {before} and became {every}: it may only grow, to a multiple")
            before = every
            feed.push(1)


def warm_up(trial: Trial) -> None:
    """Check that `warm_up` does not change the parameters."""
    before = digest(trial.technique.parameters)
    trial.technique.warm_up()
    require(digest(trial.technique.parameters) == before, "warm_up() changes parameters")


REQUIRED = (parameters, settings, regimes, regime_numbers, whole_frames)
OPTIONAL: dict[Callable[[Trial], None], str] = {  # by check, the method that the technique may omit
    **{check: check.__name__ for check in (landmarks, common, sketch, questions, optimizer, warm_up)},
    findings: "check",
}


ARGUMENTS = {
    name: tuple(inspect.signature(function).parameters)[1:]
    for name, function in vars(Panels).items()
    if inspect.isfunction(function) and not name.startswith("_")
}


def panels(trial: Trial) -> None:
    """Check that the installed panels can be imported, and that their functions have known names and arguments."""
    module = trial.panels
    own = {name: each for name, each in vars(module).items() if callable(each) and not name.startswith("_")}
    functions = {name for name, each in own.items() if getattr(each, "__module__", "") == module.__name__}
    for name in sorted(functions - set(ARGUMENTS)):
        close = difflib.get_close_matches(name, set(ARGUMENTS) - functions, 1, cutoff=0.8)
        require(not close, f"{name}() is never called: did you mean {''.join(close)}()?")
    known = [name for name in ARGUMENTS if hasattr(module, name)]
    is_used = known or not functions
    require(is_used, f"{module.__name__} has none of {', '.join(ARGUMENTS)}: nothing calls {', '.join(functions)}")
    for name in known:
        try:
            inspect.signature(getattr(module, name)).bind(*ARGUMENTS[name])
        except TypeError as error:
            raise CheckFailed(f"{name}() is called as {name}({', '.join(ARGUMENTS[name])}): {error}") from None
    wanted = getattr(module, "arrays", {})
    are_names = isinstance(wanted, Mapping) and set(wanted) <= {"gallery", "strip"}
    require(are_names, f"arrays must be such as {{'strip': ('trajectory',)}}, with gallery or strip, got {wanted!r}")
    for panel, names in wanted.items():
        require(not isinstance(names, str), f"arrays[{panel!r}] must be names of arrays, ({names!r},) say")


def plot_and_image(trial: Trial) -> None:
    """Check that `plot` draws a result in a figure, and that `image` returns a gray picture of the result."""
    module, result = trial.panels, _result(trial)
    if hasattr(module, "plot"):
        figure = Figure(figsize=(6, 4))
        module.plot(result, figure)
        require(figure.axes, "plot() draws nothing: it gets a figure to draw in, and returns nothing")
        figure.savefig(io.BytesIO(), format="png")
    if hasattr(module, "image"):
        image = module.image(result)
        is_image = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 2 and image.size
        got = f"{getattr(image, 'dtype', type(image).__name__)} {np.shape(image)}"
        require(is_image, f"image() must give uint8 of shape (ny, nx), got {got}")


def gallery_and_strip(trial: Trial) -> None:
    """Check that `gallery` and `strip` draw a campaign with many, one or zero results."""
    for n in (len(trial.runs), 1, 0):
        scene, figure = _scene(trial, n), Figure(figsize=(8, 6), layout="constrained")
        upper, lower = np.asarray(figure.subfigures(2, 1))
        for name, region in (("gallery", upper), ("strip", lower.subplots())):
            if hasattr(trial.panels, name):
                try:
                    getattr(trial.panels, name)(region, scene, scene.runs)
                except Exception as error:
                    raise CheckFailed(f"{name}() of {n} run(s): {type(error).__name__}: {error}") from error
        figure.savefig(io.BytesIO(), format="png")


def _scene(trial: Trial, n: int) -> "Scene":
    """Return a campaign of the first `n` runs."""
    import pandas as pd

    from ainerd.views import Scene

    keys = [f"example {i}" for i in range(n)]
    arrays = getattr(trial.panels, "arrays", {})
    found, wanted = trial.analyses[:n], {name for names in arrays.values() for name in names}
    table = pd.DataFrame({"status": "complete", "example_x": 1.0, "novelty_p": 0.5}, index=pd.Index(keys, dtype=object))
    table["regime"], table["novel"] = pd.array([0] * n, "Int64"), pd.array([False] * n, "boolean")
    return Scene(
        table=table,
        embeddings=pd.DataFrame([a.embedding for a in found], index=table.index),
        alpha=trial.technique.alpha,
        bounds={"example_x": (0.0, 10.0)},
        panels=trial.panels,
        arrays={key: {k: a.arrays[k] for k in wanted & set(a.arrays)} for key, a in zip(keys, found, strict=True)},
    )


def _result(trial: Trial) -> LoadedResult:
    """Return the first result in memory, as `plot` and `image` get it from Tiled."""
    run, analysis = trial.run, trial.analyses[0]
    parts = {name: Part(array, analysis.dims.get(name)) for name, array in analysis.arrays.items() if array.size}
    names = ("status", "embedding", "novelty_p", "novel", "summary", "units")
    made = {name: getattr(analysis, name) for name in names}
    arrays = {name: part.values.shape for name, part in parts.items()}
    known = {"raw_uid": run.uid, "scan_id": 1, "n_frames": len(run.frames), "frame_time_s": run.frame_time_s}
    technique = {"technique": trial.technique.name, "parameters": trial.technique.parameters, "agent": "example"}
    record = ResultRecord.model_validate({**made, **known, **technique, "arrays": arrays})
    return LoadedResult("example", record.metadata(), parts)


PANELS = (panels, plot_and_image, gallery_and_strip)
