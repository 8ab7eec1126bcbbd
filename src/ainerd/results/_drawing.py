"""Figures of results."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ainerd.results._explain import Result
from ainerd.results._files import LoadedResult
from ainerd.results._records import Metadata
from ainerd.technique import panels
from ainerd.words import SINCE, amount, named_place, run_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_PANELS = 12


def plot_result(result: LoadedResult) -> "Figure":
    """Draw a result on one page, as `AinerdResult.plot` does."""
    from ainerd.results.notebook import NotebookFigure  # imports matplotlib

    metadata = result.metadata
    if not metadata["arrays"] and not metadata["series"]:
        raise ValueError(f"there is nothing to plot: {run_text(metadata)}, {verdict_on(result.key, metadata)}")
    figure = NotebookFigure(figsize=(13, 5), layout="constrained")
    drawing = panels(metadata["technique"])
    (getattr(drawing, "plot", None) or _draw)(result, figure)
    where = named_place({name: metadata[name] for name in metadata["positions"]}, metadata["units"])
    at = f" at {where}" if where else ""
    if ends := [name for name in getattr(drawing, "between", ()) if name in metadata]:
        at = " from " + amount(" to ".join(f"{metadata[end]:.3g}" for end in ends), metadata["units"].get(ends[0]))
    figure.suptitle(f"{run_text(metadata)}{at}: {verdict_on(result.key, metadata)}", parse_math=False)
    return figure


def compare(results: Sequence[LoadedResult]) -> "Figure":
    """Draw results beside each other, as their technique does."""
    from ainerd.results.notebook import NotebookFigure

    techniques = {str(result.metadata["technique"]) for result in results}
    draw = getattr(panels(*techniques), "compare", None) if len(techniques) == 1 else None
    if draw is None:
        raise ValueError(f"results of {' and '.join(sorted(techniques)) or 'no run'} cannot be drawn together")
    figure = NotebookFigure(figsize=(max(9, 3 * len(results)), 7.5), layout="constrained")
    draw(results, figure)
    return figure


def since_exposure(table: Any, name: str, metadata: Metadata) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times in s since the exposure began, (n,), and values, (n,), of a series of a result.

    The times in `table` count from the start of the run. The last value before the exposure is taken for the value at
    its start; earlier ones are left out.

    Parameters
    ----------
    table : DataFrame, mapping or Content
        The columns ``time`` and `name`.
    name : str
        Name of the series.
    metadata : mapping
        That of the result, with ``run_time`` and ``exposure_time``. Without one, times count from the start of the run.

    Examples
    --------
    >>> series = {"time": [1.0, 12.0, 13.0, 20.0], "temperature": [3.0, 4.0, 5.0, 6.0]}
    >>> times, values = since_exposure(series, "temperature", {"run_time": 1000.0, "exposure_time": 1012.5})
    >>> times.tolist(), values.tolist()
    ([0.0, 0.5, 7.5], [4.0, 5.0, 6.0])
    """
    times, values = (np.asarray(table[column]) for column in ("time", name))
    known = {"exposure_time", "run_time"} <= {*metadata}
    began = metadata["exposure_time"] - metadata["run_time"] if known else 0.0
    since = times - began
    first = max(int(np.searchsorted(since, 0.0, side="right")) - 1, 0)
    return np.maximum(since[first:], 0.0), values[first:]


def verdict_on(key: str, metadata: Metadata) -> str:
    return Result.of(key, {"raw_uid": "", "status": "of unknown status"} | dict(metadata), ()).verdict()


def _draw(result: LoadedResult, figure: "Figure") -> None:
    """Draw series and one-dimensional arrays as lines, two-dimensional arrays as images; name the others."""
    metadata = result.metadata
    arrays = result.arrays
    drawable = [name for name, array in arrays.items() if array.ndim in (1, 2) and array.dtype.kind in "biuf"]
    shown = [*metadata["series"], *drawable][:_MOST_PANELS]
    columns = min(4, max(1, len(shown)))
    all_axes = figure.subplots(-(-max(1, len(shown)) // columns), columns, squeeze=False).ravel()
    for axes, name in zip(all_axes, shown, strict=False):
        label = f"{name} ({metadata['units'][name]})" if name in metadata["units"] else name
        dims = result[name].dims or ()
        if name not in arrays:
            axes.plot(*since_exposure(result[name], name, metadata), ".-", color="0.2", lw=1, ms=3)
            axes.set(xlabel=SINCE, ylabel=label)
        elif arrays[name].ndim == 1:
            axes.plot(arrays[name], ".-", lw=1, ms=3)
            axes.set(xlabel="".join(dims), ylabel=label)
        else:
            image = axes.imshow(arrays[name], origin="lower", aspect="auto", interpolation="nearest")
            axes.set(xlabel="".join(dims[1:]), ylabel="".join(dims[:1]))
            figure.colorbar(image, ax=axes, label=label)
    for axes in all_axes[len(shown) :]:
        axes.set_axis_off()
    if left := [name for name in (*metadata["series"], *arrays) if name not in shown]:
        figure.supxlabel("not drawn: " + ", ".join(left), fontsize="small")
