"""Checks of the optional parts: landmarks, common data, findings, sketch, questions, optimizer, whole frames."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ainerd.results import digest
from ainerd.technique import AnalysisError, Common, Finding, Landmarks, Question, provides
from ainerd.testing._example import Feed
from ainerd.testing._trial import CheckFailed, Problems, Trial

BOUNDS = {"example_x": (0.0, 10.0), "example_y": (-1.0, 1.0)}


def landmarks(trial: Trial) -> Problems:
    """Check that landmarks are named embeddings, and the same in each call. The technique may omit them."""
    technique = trial.technique
    if not provides(technique, "landmarks"):
        return
    found, again = technique.landmarks(), technique.landmarks()
    if not (isinstance(found, Landmarks) and isinstance(again, Landmarks)):
        yield f"landmarks() must give ainerd.technique.Landmarks, got {type(found).__name__}"
        return
    z, expected = found.embeddings, (len(found.names), technique.embedding_size)
    if np.shape(z) != expected or z.dtype != np.float32 or not np.isfinite(z).all():
        yield (
            f"embeddings of the landmarks must be finite float32 of shape {expected}, names by embedding_size, got "
            f"{z.dtype} {np.shape(z)}"
        )
    if not np.array_equal(z, again.embeddings) or found.names != again.names:
        yield "landmarks() gives others on a second call: axes drawn through them must never turn"


def common(trial: Trial) -> Problems:
    """Check that the common data can be written."""
    if not provides(trial.technique, "common"):
        return
    found = trial.technique.common()
    if not isinstance(found, Common):
        yield f"common() must give ainerd.technique.Common, got {type(found).__name__}"
        return
    for name, array in found.arrays.items():
        if not isinstance(array, np.ndarray):
            yield f"common().arrays[{name!r}] must be a numpy array"
        dims = found.dims.get(name)
        if dims is not None and len(dims) != array.ndim:
            yield f"common().dims[{name!r}] must name {array.ndim} dimensions: {dims}"
    for name, value in found.instrument.items():
        if not (value is None or isinstance(value, str | int | float)):
            yield f"common().instrument[{name!r}] must be a number, text or None, got {type(value).__name__}"


def findings(trial: Trial) -> Problems:
    """Check that `check` yields findings for ``ainerd doctor``."""
    for finding in trial.technique.check() if provides(trial.technique, "check") else ():
        is_finding = isinstance(finding, Finding) and finding.what
        if not is_finding or not all(isinstance(text, str) for text in (finding.what, finding.said, finding.todo)):
            yield f"check() must give ainerd.technique.Finding(what, said, todo) of text, got {finding!r}"


def sketch(trial: Trial) -> Problems:
    """Check that `sketch` draws on an example frame, and without a frame."""
    if not provides(trial.technique, "sketch"):
        return
    for frame in (None, np.mean(trial.run.frames, axis=0, dtype=float)):
        figure = Figure()
        trial.technique.sketch(figure, frame)
        if not (figure.axes or figure.subfigs):
            yield "sketch() leaves the figure empty"


def questions(trial: Trial) -> Problems:
    """Check that the default answers make a section from which the technique can be built."""
    technique = trial.technique
    if not provides(technique, "questions"):
        return
    section: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        asked, answer = technique.questions(None), None
        while True:
            try:
                question = asked.send(answer)
            except StopIteration:
                break
            if not (isinstance(question, Question) and question.key and question.asked):
                yield f"questions() must yield ainerd.technique.Question(key=…, asked=…), got {question!r}"
            answer = question.default
            if answer is not None:
                *outer, last = question.key.split(".")
                inner = section
                for name in outer:
                    inner = inner.setdefault(name, {})
                inner[last] = answer
            if question.array is not None:
                np.save(Path(folder) / str(answer), question.array)
        type(technique).from_settings(section, Path(folder))


def optimizer(trial: Trial) -> Problems:
    """Check that the optimizer stays within its bounds, and continues after a failed point."""
    if not provides(trial.technique, "optimizer"):
        return
    found = trial.technique.optimizer(BOUNDS)
    if missing := [name for name in ("suggest", "ingest") if not callable(getattr(found, name, None))]:
        yield f"optimizer() has no {', '.join(missing)}: see bluesky_adaptive.protocols.Optimizer"
    for p in (0.5, None):
        found.ingest([{"_id": "a", **_suggestion(found), "embedding": trial.analyses[0].embedding, "novelty_p": p}])
    failed = _suggestion(found)
    if hasattr(found, "register_failures"):
        found.register_failures([{"_id": "b", **failed}])
    _suggestion(found)


def _suggestion(optimizer: Any) -> dict[str, Any]:
    suggestions = optimizer.suggest(1)
    if len(suggestions) != 1:
        raise CheckFailed(f"suggest(1) must give one suggestion, got {len(suggestions)}")
    for name, (low, high) in BOUNDS.items():
        if not low <= (x := suggestions[0].get(name, math.nan)) <= high:
            raise CheckFailed(f"suggest() says {name} = {x}, outside its bounds ({low}, {high})")
    return dict(suggestions[0])


def whole_frames(trial: Trial) -> Problems:
    """Check that `every` is None or a positive integer that only grows to multiples of itself. `whole` is optional."""
    for n_frames in (len(trial.run.frames), None):
        try:
            feed = Feed(trial.technique, trial.run, n_frames=n_frames)
        except AnalysisError:
            continue  # another check reports this error
        if not provides(feed.analysis, "whole"):
            return
        if not provides(feed.analysis, "every"):
            yield "an analysis with whole() needs the attribute every: of how many frames it wants one whole"
        before = None
        for _ in trial.run.frames:
            every = feed.analysis.every
            if every is not None and not (isinstance(every, int | np.integer) and every >= 1):
                yield f"every must be None or a whole number from 1 on, got {every!r}"
            if before is not None and (every is None or every % before):
                yield f"every was {before} and became {every}: it may only grow, to a multiple"
            before = every
            feed.push(1)


def warm_up(trial: Trial) -> Problems:
    """Check that `warm_up` does not change the parameters."""
    technique = trial.technique
    if provides(technique, "warm_up"):
        before = digest(technique.parameters)
        technique.warm_up()
        if digest(technique.parameters) != before:
            yield "warm_up() changes parameters"


OPTIONAL = (landmarks, common, findings, sketch, questions, optimizer, whole_frames, warm_up)
