"""A result on one page, whatever its technique: series and arrays as lines and images."""

from typing import Any

import numpy as np

_MOST = 12  # panels


def draw_result(result: Any, figure: Any) -> None:
    """Draw each series over time, each array of one dimension as a line, and of two as an image; name the others."""
    said = result.metadata
    parts = dict(result.items())  # in one request
    arrays = {name: parts[name] for name in said["arrays"]}
    drawn = [name for name, array in arrays.items() if array.ndim in (1, 2) and array.dtype.kind in "biuf"]
    shown = [*said["series"], *drawn][:_MOST]
    columns = min(4, max(1, len(shown)))
    places = figure.subplots(-(-max(1, len(shown)) // columns), columns, squeeze=False).ravel()
    for axes, name in zip(places, shown, strict=False):
        label = f"{name} ({said['units'][name]})" if name in said["units"] else name
        if name in said["series"]:
            table = parts[name].read()
            axes.plot(table["time"], table[name], ".-", color="0.2", lw=1, ms=3)
            axes.set(xlabel="time (s)", ylabel=label)
            continue
        values, dims = np.asarray(arrays[name].read()), arrays[name].dims or ("", "")
        axes.set_xlabel(dims[-1])
        if values.ndim == 1:
            axes.plot(values, ".-", lw=1, ms=3)
            axes.set_ylabel(label)
        else:
            image = axes.imshow(values, origin="lower", aspect="auto", interpolation="nearest")
            axes.set_ylabel(dims[0])
            figure.colorbar(image, ax=axes, label=label)
    for axes in places[len(shown) :]:
        axes.set_axis_off()
    if left := [name for name in (*said["series"], *arrays) if name not in shown]:
        figure.supxlabel("not drawn: " + ", ".join(left), fontsize="small")
