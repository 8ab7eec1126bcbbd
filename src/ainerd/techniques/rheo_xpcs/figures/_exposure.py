"""One exposure on one page: its maps, its g2, and what was recorded meanwhile."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ainerd.techniques.rheo_xpcs.figures._maps import C2_MAP, COLUMNS, limits, new_figure, side_by_side


def exposure_figure(
    c2: NDArray[np.float32],
    tau: NDArray[np.float64],
    g2: NDArray[np.float64],
    *,
    duration_s: float,
    names: list[str],
    title: str,
) -> Figure:
    """Two-time maps of every bin, and g2 of all.

    Parameters
    ----------
    c2 : ndarray, shape (n_roi, n, n)
    tau : ndarray, shape (n_lags,)
        In seconds.
    g2 : ndarray, shape (n_roi, n_lags)
    duration_s : float
        Length of the exposure.
    names : list of str
        Of the bins.
    title : str
    """
    figure = new_figure(13, 5)
    draw_exposure(figure, {"c2": c2, "tau": tau, "g2": g2}, duration_s=duration_s, names=names)
    figure.suptitle(title)
    return figure


def draw_exposure(
    figure: Any,
    arrays: Mapping[str, NDArray[Any]],
    series: Mapping[str, tuple[NDArray[Any], NDArray[Any]]] | None = None,
    *,
    duration_s: float | None,
    names: Sequence[str],
) -> None:
    """Draw what there is of ``c2``, ``g2`` over ``tau``, and series (times, values) by their labels, in a figure."""
    curves = [*(["g2"] if {"g2", "tau"} <= set(arrays) else []), *(series or {})]
    rows = [[*(["c2"] if "c2" in arrays else []), *([name] if curves else [])] for name in curves or [""]]
    axes = figure.subplot_mosaic(rows, width_ratios=[3, 2][-len(rows[0]) :])
    if "c2" in arrays:
        _draw_maps(figure, axes["c2"], arrays["c2"], duration_s, names)
    if "g2" in axes:
        n = len(arrays["g2"])
        axes["g2"].set_prop_cycle(color=colormaps["hsv"](np.arange(n) / n) * [0.8, 0.8, 0.8, 1])
        axes["g2"].semilogx(arrays["tau"], arrays["g2"].T, ".-", ms=3, lw=0.8, alpha=0.7)
        axes["g2"].set(xlabel=r"$\tau$ (s)", ylabel="$g_2$", title="all bins")
    for label, (times, values) in (series or {}).items():
        axes[label].plot(times, values, ".-", color="0.2", lw=1, ms=3)
        axes[label].set(xlabel="time (s)", ylabel=label)


def _draw_maps(figure: Any, axes: Any, maps: NDArray[Any], duration_s: float | None, names: Sequence[str]) -> None:
    low, high = limits(maps)
    picture = side_by_side(maps)
    drawn = axes.imshow(picture, vmin=low, vmax=high, cmap=C2_MAP)
    step = (picture.shape[1] + 4) / min(COLUMNS, len(maps))
    for k, name in enumerate(names):
        row, column = divmod(k, COLUMNS)
        axes.text((column + 0.04) * step, (row + 0.04) * step, name, color="white", va="top", fontsize=7)
    axes.set_axis_off()
    each = "" if duration_s is None else f", {duration_s:.3g} s long"
    axes.set_title(f"$C_2(t_1, t_2)$ of each bin{each}: time up and to the right")
    figure.colorbar(drawn, ax=axes, label="$C_2$", shrink=0.7, pad=0.01)
