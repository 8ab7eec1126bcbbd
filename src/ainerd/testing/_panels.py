"""Checks of the panels that a technique draws."""

import difflib
import inspect
import io
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any

import numpy as np

from ainerd.technique import Analysis
from ainerd.testing._example import ExampleRun
from ainerd.testing._trial import CheckFailed, Problems, Trial

ARGUMENTS = {
    "plot": ("result", "figure"),
    "image": ("result",),
    "gallery": ("figure", "scene", "runs"),
    "strip": ("axes", "scene", "runs"),
    "sentences": ("summary",),
    "columns": ("summary", "units"),
    "coordinates": ("result", "sizes"),
    "export": ("store", "key", "path"),
}


def panels(trial: Trial) -> Problems:
    """Check that the installed panels can be imported, and that their functions have known names and arguments."""
    module = _panels(trial)
    if module is None:
        return
    functions = {name for name in vars(module) if callable(getattr(module, name)) and not name.startswith("_")}
    functions = {name for name in functions if getattr(getattr(module, name), "__module__", "") == module.__name__}
    for name in sorted(functions - set(ARGUMENTS)):
        close = difflib.get_close_matches(name, ARGUMENTS, 1, cutoff=0.8)
        if close and close[0] not in functions:
            yield f"{name}() is never called: did you mean {close[0]}()?"
    known = [name for name in ARGUMENTS if hasattr(module, name)]
    if functions and not known:
        yield f"{module.__name__} has none of {', '.join(ARGUMENTS)}: nothing calls {', '.join(functions)}"
    for name in known:
        try:
            inspect.signature(getattr(module, name)).bind(*ARGUMENTS[name])
        except TypeError as error:
            yield f"{name}() is called as {name}({', '.join(ARGUMENTS[name])}): {error}"
    wanted = getattr(module, "arrays", {})
    if not isinstance(wanted, Mapping) or not set(wanted) <= {"gallery", "strip"}:
        yield f"arrays must be such as {{'strip': ('trajectory',)}}, with gallery or strip, got {wanted!r}"
    for panel, names in wanted.items():
        if isinstance(names, str):
            yield f"arrays[{panel!r}] must be names of arrays, ({names!r},) say"


def plot_and_image(trial: Trial) -> Problems:
    """Check that `plot` draws a result in a figure, and that `image` returns a gray picture of the result."""
    from matplotlib.figure import Figure

    module = _panels(trial)
    for run in trial.runs[:1] if module else ():
        result = _Result(trial.technique.name, run, trial.analyses[0])
        if hasattr(module, "plot"):
            figure = Figure(figsize=(6, 4))
            module.plot(result, figure)
            if not figure.axes:
                yield "plot() draws nothing: it gets a figure to draw in, and returns nothing"
            figure.savefig(io.BytesIO(), format="png")
        if hasattr(module, "image"):
            image = module.image(result)
            is_image = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 2 and image.size
            if not is_image:
                got = f"{getattr(image, 'dtype', type(image).__name__)} {np.shape(image)}"
                yield f"image() must give uint8 of shape (ny, nx), got {got}"


def gallery_and_strip(trial: Trial) -> Problems:
    """Check that `gallery` and `strip` draw a campaign with many, one or zero results."""
    import pandas as pd
    from matplotlib.figure import Figure

    from ainerd.views import Scene

    module = _panels(trial)
    for n in (len(trial.runs), 1, 0) if module else ():
        keys = [f"example {i}" for i in range(n)]
        found, wanted = trial.analyses[:n], {name for names in getattr(module, "arrays", {}).values() for name in names}
        table = pd.DataFrame(
            {"status": "complete", "example_x": 1.0, "novelty_p": 0.5}, index=pd.Index(keys, dtype=object)
        )
        table["regime"], table["novel"] = pd.array([0] * n, "Int64"), pd.array([False] * n, "boolean")
        scene = Scene(
            table=table,
            embeddings=pd.DataFrame([a.embedding for a in found], index=table.index),
            alpha=trial.technique.alpha,
            bounds={"example_x": (0.0, 10.0)},
            panels=module,
            arrays={
                key: {name: a.arrays[name] for name in wanted & set(a.arrays)}
                for key, a in zip(keys, found, strict=True)
            },
        )
        figure = Figure(figsize=(8, 6), layout="constrained")
        upper, lower = np.asarray(figure.subfigures(2, 1))
        for name, region in (("gallery", upper), ("strip", lower.subplots())):
            if hasattr(module, name):
                try:
                    getattr(module, name)(region, scene, scene.runs)
                except Exception as error:
                    yield f"{name}() of {n} run(s): {type(error).__name__}: {error}"
        figure.savefig(io.BytesIO(), format="png")


class _Result(Mapping[str, "_Array"]):
    """Substitute for an `ainerd.results.AinerdResult`: has `metadata`, and the arrays as children and attributes."""

    def __init__(self, technique: str, run: ExampleRun, analysis: Analysis) -> None:
        kept = {name: array for name, array in analysis.arrays.items() if array.size}
        self._nodes = {name: _Array(array) for name, array in kept.items()}
        known = {name: value for name, value in analysis.summary.items() if value is not None}
        self.metadata: dict[str, Any] = {
            **known,
            "summary": list(known),
            "positions": [],
            "technique": technique,
            "status": analysis.status,
            "scan_id": 1,
            "raw_uid": run.uid,
            "n_frames": len(run.frames),
            "embedding": analysis.embedding.tolist(),
            "units": dict(analysis.units),
            "arrays": {name: list(array.shape) for name, array in kept.items()},
            "series": {},
        }
        optional = {"frame_time_s": run.frame_time_s, "novelty_p": analysis.novelty_p, "novel": analysis.novel}
        self.metadata |= {name: value for name, value in optional.items() if value is not None}

    def __getitem__(self, name: str) -> "_Array":
        return self._nodes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __getattr__(self, name: str) -> "_Array":
        if name.startswith("_") or name not in self._nodes:
            raise AttributeError(f"this result has no array {name!r}")
        return self._nodes[name]


class _Array(SimpleNamespace):
    """Substitute for an array in Tiled."""

    def __init__(self, array: Any) -> None:
        super().__init__(shape=array.shape, dtype=array.dtype, read=array.copy)

    def __getitem__(self, index: Any) -> Any:
        return self.read()[index]


def _panels(trial: Trial) -> Any:
    """Return the panels module that is installed under the technique's name, or None."""
    for entry in entry_points(group="ainerd.panels", name=trial.technique.name):
        try:
            return entry.load()
        except Exception as error:
            raise CheckFailed(f"{entry.value} cannot be imported: {type(error).__name__}: {error}") from error
    return None


PANELS = (panels, plot_and_image, gallery_and_strip)
