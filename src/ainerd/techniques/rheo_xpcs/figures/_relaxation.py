"""Exposure after exposure: the clusters of the azimuths, how far they spread, and the stress under them."""

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ainerd.techniques.rheo_xpcs.figures._azimuths import Azimuths, cluster_marks
from ainerd.techniques.rheo_xpcs.figures._coincidence import Coincidence
from ainerd.techniques.rheo_xpcs.figures._maps import draw_columns
from ainerd.views._style import colour, nothing, title

_DIP_PA = 0.25  # what is marked as a dip: five times the noise of the reading, in Pa
_RELAXED_S = 240.0  # before that the stress falls by itself, off the panel


def timeline_figure(azimuths: Azimuths, found: Coincidence | None = None) -> Figure:
    """Azimuth × time map, cluster timeline, latent spread and stress over one axis of time; the paper's Fig. 3.

    If a coincidence was `found`, its dips are marked, and its correlation is drawn below.
    """
    figure = Figure(figsize=(11, 9.2 if found else 7.2), layout="constrained")
    above = figure
    if found is not None:
        above, below = np.asarray(figure.subfigures(2, 1, height_ratios=[3.4, 1]))
        left, right = below.subplots(1, 2, width_ratios=[1.5, 1])
        _draw_correlation(left, found)
        _say(right, found)
    strips = above.subplots(4, 1, sharex=True, height_ratios=[1.25, 0.9, 0.9, 1.15])
    start, stop = (azimuths.runs[name].to_numpy(float) / 60 for name in ("start_s", "stop_s"))
    draw_columns(strips[0], zip(start, stop, azimuths.labels, strict=True))
    title(strips[0], "Cluster of each azimuth")
    _legend(strips[0], handles=cluster_marks(azimuths, "s"), ncols=8)
    _draw_clusters(strips[1], azimuths, (start + stop) / 2)
    _draw_spread(strips[2], azimuths, (start + stop) / 2)
    _draw_stress(strips[3], azimuths.stress)
    if found is not None:
        for i in np.flatnonzero(found.dips > _DIP_PA):
            for axes in strips:
                axes.axvspan(start[i], stop[i], color="black", alpha=0.12, linewidth=0, zorder=0.5)
    strips[3].set_xlabel("time since shear stopped (min)")
    margin = 0.01 * (stop.max() - start.min())
    strips[3].set_xlim(start.min() - margin, stop.max() + margin)
    return figure


def _legend(axes: Axes, **options: Any) -> None:
    """Beside the title."""
    style: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2}
    axes.legend(frameon=False, fontsize=9, **style, **options)


def _draw_clusters(axes: Axes, azimuths: Azimuths, middle: NDArray[np.float64]) -> None:
    n_roi = azimuths.labels.shape[1]
    for c in range(azimuths.n_clusters):
        share = (azimuths.labels == c).sum(axis=1) / n_roi
        seen = share > 0
        axes.scatter(middle[seen], np.full(seen.sum(), c), s=60 * share[seen], color=colour(c), linewidth=0, zorder=2)
    axes.set(ylim=(azimuths.n_clusters - 0.5, -0.5), yticks=range(azimuths.n_clusters), ylabel="cluster")
    title(axes, "Cluster timeline: the area is the share of the azimuths")


def _draw_spread(axes: Axes, azimuths: Azimuths, middle: NDArray[np.float64]) -> None:
    axes.plot(middle, azimuths.spread, ".-", color="#0072B2", linewidth=1, label="over the azimuths, rms")
    axes.plot(middle, azimuths.step, ".-", color="#D55E00", linewidth=1, label="from the exposure before")
    axes.set_ylim(0, None)
    axes.set_ylabel("distance")
    _legend(axes, ncols=2)
    title(axes, "Spread in the latent space")


def _draw_stress(axes: Axes, stress: pd.DataFrame) -> None:
    axes.set_ylabel("stress (Pa)")
    if stress.empty:
        title(axes, "Shear stress")
        nothing(axes, "none was monitored")
        return
    for _, readings in stress.groupby("exposure"):
        axes.plot(readings["age"] / 60, readings["stress"], ".-", color="0.2", linewidth=1, markersize=2, zorder=2)
    relaxed, off = stress.loc[stress["age"] > _RELAXED_S, "stress"], ""
    if relaxed.size > 10 and stress["stress"].max() > relaxed.max() + 2:
        room = 0.15 * np.ptp(relaxed)
        axes.set_ylim(relaxed.min() - room, relaxed.max() + room)
        first = stress.nsmallest(1, "age").iloc[0]
        off = f" (at {first['age']:.0f} s {first['stress']:.0f} Pa, off the panel)"
    title(axes, "Shear stress" + off)


def _draw_correlation(axes: Axes, found: Coincidence) -> None:
    near = np.abs(found.lag) <= 1
    axes.bar(found.lag, found.correlation, color=np.where(near, "#0072B2", "0.7"), width=0.8)
    axes.axhline(found.chance, color="black", linewidth=0.9, linestyle="--")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.text(found.lag[0] - 0.4, found.chance + 0.02, "reached by chance in 1 of 20", fontsize=8.5, va="bottom")
    highest = np.nanmax(np.r_[found.correlation, found.chance])
    axes.set(ylim=(np.nanmin(np.r_[found.correlation, 0]) - 0.05, highest + 0.2))
    axes.set(xlabel="label change after stress dip (exposures)", ylabel="correlation", xticks=found.lag)
    title(axes, "Label changes against stress dips")


def _say(axes: Axes, found: Coincidence) -> None:
    axes.set_axis_off()
    dipped = int((found.dips > _DIP_PA).sum())
    counted = f"{dipped} exposures with a dip of more than {_DIP_PA:g} Pa (grey bands above)"
    text = "\n".join([counted, "", *textwrap.wrap(str(found), 48)])
    axes.text(0, 0.9, text, transform=axes.transAxes, va="top", fontsize=9.5, linespacing=1.5)
