"""One exposure on one page: its maps, its g2, the picture of the beam, and what was recorded meanwhile."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from ainerd.techniques.rheo_xpcs.figures._maps import C2_MAP, COLUMNS, GAP, LIMITS, side_by_side

BEAM = {
    "mean_frame": {"mean_frame"},
    "saxs": {"saxs", "saxs_q"},
    "intensity": {"intensity", "intensity_total", "intensity_time"},
}
Series = Mapping[str, tuple[NDArray[Any], NDArray[Any]]]


def draw_exposure(
    figure: Any,
    arrays: Mapping[str, NDArray[Any]],
    series: Series | None = None,
    *,
    duration_s: float | None,
    names: Sequence[str],
) -> None:
    """Draw what there is of two-time maps, g2 and I(t) of every bin, mean frame, I(q), and series.

    Of `arrays` that is ``c2`` (n_roi, n, n); ``g2`` (n_roi, n_lags) over ``tau`` in s; ``mean_frame``; ``saxs`` over
    ``saxs_q`` in 1/nm; ``intensity`` (n_roi, n_times) and ``intensity_total`` over ``intensity_time`` in s. `series`
    are (times in s, values) by their label; `names` are those of the bins.
    """
    columns = [
        ["c2"] if "c2" in arrays else [],
        [*(["g2"] if {"g2", "tau"} <= set(arrays) else []), *(series or {})],
        [name for name, wanted in BEAM.items() if wanted <= set(arrays)],
    ]
    widths = [width for column, width in zip(columns, (3.3, 1.8, 1.7), strict=True) if column]
    there = [[[name] for name in column] for column in columns if column]
    axes = figure.subplot_mosaic([there], width_ratios=widths) if there else {}
    colours = colormaps["hsv"](np.arange(len(names)) / max(len(names), 1)) * [0.8, 0.8, 0.8, 1]
    if "c2" in axes:
        _draw_maps(figure, axes["c2"], arrays["c2"], duration_s, names)
    if "g2" in axes:
        axes["g2"].set_prop_cycle(color=colours)
        axes["g2"].semilogx(arrays["tau"], arrays["g2"].T, ".-", ms=3, lw=0.8, alpha=0.7)
        axes["g2"].set(xlabel=r"$\tau$ (s)", ylabel="$g_2$", title="all bins")
    if "mean_frame" in axes:
        _draw_mean_frame(figure, axes["mean_frame"], arrays["mean_frame"])
    if "saxs" in axes:
        seen = arrays["saxs"] > 0  # not behind the beamstop
        axes["saxs"].loglog(arrays["saxs_q"][seen], arrays["saxs"][seen], ".-", color="0.2", ms=3, lw=0.8)
        axes["saxs"].set(xlabel="$q$ (1/nm)", ylabel="$I(q)$")
    if "intensity" in axes:
        axes["intensity"].set_prop_cycle(color=colours)
        axes["intensity"].plot(arrays["intensity_time"], arrays["intensity"].T, lw=0.5, alpha=0.3)
        axes["intensity"].plot(arrays["intensity_time"], arrays["intensity_total"], lw=0.8, color="0.1")
        axes["intensity"].set(xlabel="time (s)", ylabel="$I(t)$", ylim=(0, None))
    for label, (times, values) in (series or {}).items():
        axes[label].plot(times, values, ".-", color="0.2", lw=1, ms=3)
        axes[label].set(xlabel="time (s)", ylabel=label)


def _draw_mean_frame(figure: Any, axes: Any, image: NDArray[Any]) -> None:
    shown = image[image > 0]
    low, high = np.nanpercentile(shown, [2, 99.8]) if shown.size else (0.1, 1)
    axes.set_facecolor("0.85")  # masked pixels
    drawn = axes.imshow(np.maximum(image, low), norm=LogNorm(low, max(high, 1.001 * low)))
    axes.set(xticks=[], yticks=[], title="mean frame")
    ticks = {"ticks": np.geomspace(low, high, 3), "format": "{x:.2g}", "label": "photons/px/frame"}
    figure.colorbar(drawn, ax=axes, pad=0.02, shrink=0.9, aspect=12, **ticks).minorticks_off()


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
