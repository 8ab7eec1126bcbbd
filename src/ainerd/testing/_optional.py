"""What a technique may have as well: landmarks, checks, a sketch, questions, an optimizer, whole frames."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ainerd.results import digest
from ainerd.technique import AnalysisError, Common, Finding, Landmarks, Question, provides
from ainerd.testing._example import Feed
from ainerd.testing._trial import CheckFailed, Trial, require

BOUNDS = {"example_x": (0.0, 10.0), "example_y": (-1.0, 1.0)}


def landmarks(trial: Trial) -> None:
    """Landmarks are embeddings with names, the same each time; there may be none."""
    technique = trial.technique
    if not provides(technique, "landmarks"):
        return
    found, again = technique.landmarks(), technique.landmarks()
    if not (isinstance(found, Landmarks) and isinstance(again, Landmarks)):
        raise CheckFailed(f"landmarks() must give ainerd.technique.Landmarks, got {type(found).__name__}")
    z, expected = found.embeddings, (len(found.names), technique.embedding_size)
    require(
        np.shape(z) == expected and z.dtype == np.float32 and np.isfinite(z).all(),
        f"embeddings of the landmarks must be finite float32 of shape {expected}, names by embedding_size, got "
        f"{z.dtype} {np.shape(z)}",
    )
    require(
        np.array_equal(z, again.embeddings) and found.names == again.names,
        "landmarks() gives others on a second call: axes drawn through them must never turn",
    )


def common(trial: Trial) -> None:
    """What results have in common can be written."""
    if not provides(trial.technique, "common"):
        return
    found = trial.technique.common()
    if not isinstance(found, Common):
        raise CheckFailed(f"common() must give ainerd.technique.Common, got {type(found).__name__}")
    for name, array in found.arrays.items():
        require(isinstance(array, np.ndarray), f"common().arrays[{name!r}] must be a numpy array")
        dims = found.dims.get(name)
        require(
            dims is None or len(dims) == array.ndim,
            f"common().dims[{name!r}] must name {array.ndim} dimensions: {dims}",
        )
    for name, value in found.instrument.items():
        require(
            value is None or isinstance(value, str | int | float),
            f"common().instrument[{name!r}] must be a number, text or None, got {type(value).__name__}",
        )


def findings(trial: Trial) -> None:
    """`check` gives findings for ``ainerd doctor``."""
    if not provides(trial.technique, "check"):
        return
    for finding in trial.technique.check():
        require(
            isinstance(finding, Finding)
            and all(isinstance(text, str) for text in (finding.what, finding.said, finding.todo))
            and finding.what,
            f"check() must give ainerd.technique.Finding(what, said, todo) of text, got {finding!r}",
        )


def sketch(trial: Trial) -> None:
    """What the technique wants of a frame is drawn, on a frame of an example and without one."""
    technique = trial.technique
    if not provides(technique, "sketch"):
        return
    for frame in (None, np.mean(trial.runs[0].frames, axis=0, dtype=float)):
        figure = Figure()
        technique.sketch(figure, frame)
        require(bool(figure.axes or figure.subfigs), "sketch() leaves the figure empty")


def questions(trial: Trial) -> None:
    """With the defaults for answers, the questions make a section from which the technique can be built."""
    technique = trial.technique
    if not provides(technique, "questions"):
        return
    section: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        asked = technique.questions(None)
        answer: Any = None
        while True:
            try:
                question = asked.send(answer)
            except StopIteration:
                break
            require(
                isinstance(question, Question) and bool(question.key) and bool(question.asked),
                f"questions() must yield ainerd.technique.Question(key=…, asked=…), got {question!r}",
            )
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


def optimizer(trial: Trial) -> None:
    """The optimizer stays within its bounds, and goes on after a point that gave nothing."""
    technique = trial.technique
    if not provides(technique, "optimizer"):
        return
    found = technique.optimizer(BOUNDS)
    missing = [name for name in ("suggest", "ingest") if not callable(getattr(found, name, None))]
    require(not missing, f"optimizer() has no {', '.join(missing)}: see bluesky_adaptive.protocols.Optimizer")
    for p in (0.5, None):
        found.ingest([{"_id": "a", **_suggested(found), "embedding": trial.analyses[0].embedding, "novelty_p": p}])
    failed = _suggested(found)
    if hasattr(found, "register_failures"):
        found.register_failures([{"_id": "b", **failed}])
    _suggested(found)


def _suggested(optimizer: Any) -> dict[str, Any]:
    suggestions = optimizer.suggest(1)
    require(len(suggestions) == 1, f"suggest(1) must give one suggestion, got {len(suggestions)}")
    (suggestion,) = suggestions
    for name, (low, high) in BOUNDS.items():
        x = suggestion.get(name, math.nan)
        require(low <= x <= high, f"suggest() says {name} = {x}, outside its bounds ({low}, {high})")
    return dict(suggestion)


def whole_frames(trial: Trial) -> None:
    """`every` is None or a number from 1 on, which may grow to a multiple of itself; there may be no `whole`."""
    for n_frames in (len(trial.run.frames), None):
        try:
            feed = Feed(trial.technique, trial.run, n_frames=n_frames)
        except AnalysisError:
            continue  # it says so where it is checked
        sees = feed.analysis
        if not provides(sees, "whole"):
            return
        require(
            provides(sees, "every"),
            "an analysis with whole() needs the attribute every: of how many frames it wants one whole",
        )
        before = None
        for _ in trial.run.frames:
            every = sees.every
            require(
                every is None or (isinstance(every, int | np.integer) and every >= 1),
                f"every must be None or a whole number from 1 on, got {every!r}",
            )
            require(
                before in (None, every) or (every is not None and every % before == 0),
                f"every was {before} and became {every}: it may only grow, to a multiple",
            )
            before = every
            feed.push(1)


def warm_up(trial: Trial) -> None:
    """To be warmed up changes no number."""
    technique = trial.technique
    if provides(technique, "warm_up"):
        before = digest(technique.parameters)
        technique.warm_up()
        require(digest(technique.parameters) == before, "warm_up() changes parameters")


OPTIONAL = (landmarks, common, findings, sketch, questions, optimizer, whole_frames, warm_up)
