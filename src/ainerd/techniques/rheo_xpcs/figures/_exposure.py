"""One exposure on one page: its maps, its g2, and what was recorded meanwhile."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from ainerd.techniques.rheo_xpcs.figures._maps import C2_MAP, COLUMNS, GAP, LIMITS, side_by_side

Series = Mapping[str, tuple[NDArray[Any], NDArray[Any]]]


def draw_exposure(
    figure: Any,
    arrays: Mapping[str, NDArray[Any]],
    series: Series | None = None,
    *,
    duration_s: float | None,
    names: Sequence[str],
) -> None:
    """Draw what there is of two-time maps, g2 of every bin, and series.

    Of `arrays` that is ``c2`` (n_roi, n, n), and ``g2`` (n_roi, n_lags) over ``tau`` in s; `series` are (times in s,
    values) by their label; `names` are those of the bins.
    """
    curves = [*(["g2"] if {"g2", "tau"} <= set(arrays) else []), *(series or {})]
    maps = ["c2"] if "c2" in arrays else []
    rows = [[*maps, name] for name in curves] or [maps]
    axes = figure.subplot_mosaic(rows, width_ratios=[3, 2][-len(rows[0]) :])
    if maps:
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
    low, high = np.nanpercentile(maps, LIMITS)
    drawn = axes.imshow(side_by_side(maps), vmin=low, vmax=high, cmap=C2_MAP)
    step = maps.shape[1] + GAP
    for k, name in enumerate(names):
        row, column = divmod(k, COLUMNS)
        axes.text((column + 0.04) * step, (row + 0.04) * step, name, color="white", va="top", fontsize=7)
    axes.set_axis_off()
    each = "" if duration_s is None else f", {duration_s:.3g} s long"
    axes.set_title(f"$C_2(t_1, t_2)$ of each bin{each}: time up and to the right")
    figure.colorbar(drawn, ax=axes, label="$C_2$", shrink=0.7, pad=0.01)
