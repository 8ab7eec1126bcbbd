"""A result on one page."""

from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ainerd.techniques.rheo_xpcs.figures._picture import montage


def plot(node: Any, title: str) -> Figure:
    """Maps on the left, g2 and each series on the right.

    Parameters
    ----------
    node : AinerdResult
    title : str
    """
    said, series = node.metadata, list(node.metadata["series"])
    figure = Figure(figsize=(12, 5), layout="constrained")
    FigureCanvasAgg(figure)
    mosaic = [["maps", name] for name in ("g2", *series)]
    axes: dict[str, Any] = figure.subplot_mosaic(mosaic, width_ratios=[3, 2])
    axes["maps"].imshow(montage(node.c2.read()), vmin=0, vmax=255)
    axes["maps"].set_axis_off()
    axes["maps"].set_title("$C_2$ of each bin in rows, the first one first; time up and to the right", fontsize="small")
    axes["g2"].semilogx(node.tau.read(), node.g2.read().T, lw=0.8)
    axes["g2"].set(xlabel=r"$\tau$ (s)", ylabel="$g_2$")
    for name in series:
        table = node[name].read()
        axes[name].plot(table["time"], table[name])
        axes[name].set(xlabel="time (s)", ylabel=f"{name} ({said['units'].get(name, '?')})")
    figure.suptitle(title)
    return figure
