"""The parts of checks, and the check of the panels of a technique."""

import inspect
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ainerd.results import LoadedResult, Part, ResultRecord
from ainerd.technique import Analysis, Panels, Technique
from ainerd.testing._example import ExampleRun, analyse


class CheckFailed(Exception):
    """Raised if a check fails. The message gives the problem and its remedy in one line."""


def require(condition: object, problem: str) -> None:
    """Raise `CheckFailed` unless the condition holds; `problem` gives the problem and its remedy."""
    if not condition:
        raise CheckFailed(problem)


def is_finite(array: Any, shape: tuple[int, ...]) -> bool:
    """Return whether this is a float32 array of a shape without NaN and infinity."""
    fits = isinstance(array, np.ndarray) and array.shape == shape and array.dtype == np.float32
    return fits and bool(np.isfinite(array).all())


@dataclass(frozen=True)
class Trial:
    """A technique and runs that it can analyse."""

    technique: Technique
    runs: tuple[ExampleRun, ...]
    section: Any
    folder: Path

    @property
    def run(self) -> ExampleRun:
        """The first run."""
        return self.runs[0]

    @cached_property
    def analyses(self) -> list[Analysis]:
        """The technique's result for each run."""
        return [analyse(self.technique, run) for run in self.runs]

    @cached_property
    def panels(self) -> Any:
        """The panels module that is installed under the technique's name, or None."""
        entry = next(iter(entry_points(group="ainerd.panels", name=self.technique.name)), None)
        return None if entry is None else entry.load()


ARGUMENTS = {
    name: tuple(inspect.signature(function).parameters)[1:]
    for name, function in vars(Panels).items()
    if inspect.isfunction(function) and not name.startswith("_")
}


def panels(trial: Trial) -> None:
    """Check the arguments of the functions of the panels, the pictures of a result, and its sentences and cells."""
    if (module := trial.panels) is None:
        return
    for name in (name for name in ARGUMENTS if hasattr(module, name)):
        try:
            inspect.signature(getattr(module, name)).bind(*ARGUMENTS[name])
        except TypeError as error:
            raise CheckFailed(f"{name}() is called as {name}({', '.join(ARGUMENTS[name])}): {error}") from None
    summary, units = trial.analyses[0].summary, trial.analyses[0].units
    known = {name: value for name, value in summary.items() if value is not None}
    for name in ("sentences", "details"):
        if hasattr(module, name):
            lines = getattr(module, name)(known)
            require(
                isinstance(lines, list) and _are_texts(lines),
                f"{name}() must return a list of sentences, got {lines!r}",
            )
    if hasattr(module, "columns"):
        cells = module.columns(known, units)
        are_cells = isinstance(cells, Mapping) and _are_texts([*cells, *cells.values()])
        require(are_cells, f"columns() must return texts by heading, got {cells!r}")
    if hasattr(module, "plot"):
        figure = Figure(figsize=(6, 4))
        module.plot(_result(trial), figure)
        require(figure.axes, "plot() draws nothing: it gets a figure to draw in, and returns nothing")
        figure.savefig(io.BytesIO(), format="png")
    if hasattr(module, "image"):
        image = module.image(_result(trial))
        is_image = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 2 and image.size
        require(is_image, f"image() must give uint8 of shape (ny, nx), got {np.shape(image)}")


def _are_texts(given: Iterable[object]) -> bool:
    return all(isinstance(each, str) for each in given)


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
