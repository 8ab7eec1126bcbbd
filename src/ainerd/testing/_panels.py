"""Checks of the panels that a technique draws."""

import difflib
import inspect
import io
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ainerd.results import ResultRecord
from ainerd.technique import Panels
from ainerd.testing._example import CheckFailed, Trial, require

if TYPE_CHECKING:
    from ainerd.views import Scene

ARGUMENTS = {
    name: tuple(inspect.signature(function).parameters)[1:]
    for name, function in vars(Panels).items()
    if inspect.isfunction(function) and not name.startswith("_")
}


def panels(trial: Trial) -> None:
    """Check that the installed panels can be imported, and that their functions have known names and arguments."""
    module = _panels(trial)
    if module is None:
        return
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
    from matplotlib.figure import Figure

    module = _panels(trial)
    if module is None:
        return
    result = _Result(trial)
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
    from matplotlib.figure import Figure

    module = _panels(trial)
    for n in (len(trial.runs), 1, 0) if module else ():
        scene, figure = _scene(trial, module, n), Figure(figsize=(8, 6), layout="constrained")
        upper, lower = np.asarray(figure.subfigures(2, 1))
        for name, region in (("gallery", upper), ("strip", lower.subplots())):
            if hasattr(module, name):
                try:
                    getattr(module, name)(region, scene, scene.runs)
                except Exception as error:
                    raise CheckFailed(f"{name}() of {n} run(s): {type(error).__name__}: {error}") from error
        figure.savefig(io.BytesIO(), format="png")


def _scene(trial: Trial, module: Any, n: int) -> "Scene":
    """Return a campaign of the first `n` runs."""
    import pandas as pd

    from ainerd.views import Scene

    keys = [f"example {i}" for i in range(n)]
    found, wanted = trial.analyses[:n], {name for names in getattr(module, "arrays", {}).values() for name in names}
    table = pd.DataFrame({"status": "complete", "example_x": 1.0, "novelty_p": 0.5}, index=pd.Index(keys, dtype=object))
    table["regime"], table["novel"] = pd.array([0] * n, "Int64"), pd.array([False] * n, "boolean")
    return Scene(
        table=table,
        embeddings=pd.DataFrame([a.embedding for a in found], index=table.index),
        alpha=trial.technique.alpha,
        bounds={"example_x": (0.0, 10.0)},
        panels=module,
        arrays={key: {k: a.arrays[k] for k in wanted & set(a.arrays)} for key, a in zip(keys, found, strict=True)},
    )


class _Result(dict[str, "_Array"]):
    """Substitute for an `ainerd.results.AinerdResult`: has `metadata`, and the arrays as children and attributes."""

    def __init__(self, trial: Trial) -> None:
        run, analysis = trial.run, trial.analyses[0]
        super().__init__({name: array.view(_Array) for name, array in analysis.arrays.items() if array.size})
        names = ("status", "embedding", "novelty_p", "novel", "summary", "units")
        made = {name: getattr(analysis, name) for name in names}
        arrays = {name: array.shape for name, array in self.items()}
        known = {"raw_uid": run.uid, "scan_id": 1, "n_frames": len(run.frames), "frame_time_s": run.frame_time_s}
        technique = {"technique": trial.technique.name, "parameters": trial.technique.parameters, "agent": "example"}
        self.metadata = ResultRecord.model_validate({**made, **known, **technique, "arrays": arrays}).metadata()

    def __getattr__(self, name: str) -> "_Array":
        if name not in self:
            raise AttributeError(f"this result has no array {name!r}")
        return self[name]


class _Array(np.ndarray[Any, np.dtype[Any]]):
    """Substitute for an array in Tiled."""

    def read(self) -> NDArray[Any]:
        """Return the values."""
        return np.array(self)


def _panels(trial: Trial) -> Any:
    """Return the panels module that is installed under the technique's name, or None."""
    for entry in entry_points(group="ainerd.panels", name=trial.technique.name):
        try:
            return entry.load()
        except Exception as error:
            raise CheckFailed(f"{entry.value} cannot be imported: {type(error).__name__}: {error}") from error
    return None


PANELS = (panels, plot_and_image, gallery_and_strip)
