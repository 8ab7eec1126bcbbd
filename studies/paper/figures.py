"""The figures: azimuths in the latent space, cluster by cluster, and over time."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ainerd.views import empty_panel, panel_title, principal_axes, regime_colour
from ainerd_xpcs.technique import draw_map, highest, new_figure
from ainerd_xpcs.technique.panels import draw_columns
from studies.paper.azimuths import Azimuths, Coincidence

_FEWEST_FOR_UMAP = 50
_DIP_PA = 0.25  # smallest dip that is marked: five times the noise of the reading, in Pa
_RELAXED_S = 240.0  # before that the stress falls by itself, off the panel
MapsOf = Callable[[str], NDArray[Any]]  # C2 maps (n_roi, t, t) of a result, by key


def latent_figure(azimuths: Azimuths) -> Figure:
    """Draw the latent space in two dimensions, by cluster and by time.

    The two dimensions are UMAP's with the paper's settings, or principal axes if umap-learn is not installed or there
    are fewer than 50 azimuths.
    """
    n, n_roi = azimuths.labels.shape
    figure = new_figure(11, 5.2)
    by_cluster, by_time = figure.subplots(1, 2, sharex=True, sharey=True)
    flat = _draw_plane(by_cluster, azimuths)
    minutes = np.repeat(azimuths.runs["start_s"].to_numpy(float) / 60, n_roi)
    points = _scatter(by_time, flat, minutes, s=14, cmap="cividis")
    figure.colorbar(points, ax=by_time, label="time since shear stopped (min)", pad=0.02)
    by_time.set_xlabel(by_cluster.get_xlabel())
    panel_title(by_time, "the same, by time")
    figure.suptitle(f"Latent space: {n} exposures × {n_roi} azimuths", x=0.01, ha="left", fontsize=12)
    return figure


def _draw_plane(axes: Axes, azimuths: Azimuths) -> NDArray[np.float64]:
    """Draw the latent vectors in two dimensions by cluster, and return these points (n, 2)."""
    flat, names = two_dimensions(azimuths.flat)
    _scatter(axes, flat, [regime_colour(int(k)) for k in azimuths.labels.ravel()], s=14)
    axes.legend(handles=_cluster_marks(azimuths), frameon=False, fontsize=9, loc="best")
    axes.set(xlabel=names[0], ylabel=names[1])
    panel_title(axes, "k-means clusters of the latent vectors")
    return flat


def _scatter(axes: Axes, flat: NDArray[np.float64], colours: Any, **style: Any) -> Any:
    """Draw points in a random order, so that no cluster hides another."""
    order = np.random.default_rng(0).permutation(len(flat))
    return axes.scatter(*flat[order].T, c=np.asarray(colours)[order], linewidth=0, **style)


def two_dimensions(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[str, str]]:
    """Reduce points (n, m) to (n, 2) for a figure; also return the names of the two axes."""
    if len(points) >= _FEWEST_FOR_UMAP:
        with warnings.catch_warnings(), suppress(ImportError):
            warnings.simplefilter("ignore", ImportWarning)  # Tensorflow is missing
            from umap import UMAP

            flat = UMAP(n_neighbors=5, min_dist=0.25, random_state=0, n_jobs=1).fit_transform(points)
            return flat, ("UMAP 1", "UMAP 2")
    middle, directions, share = principal_axes(points)
    names = f"first principal axis ({share[0]:.0%})", f"second principal axis ({share[1]:.0%})"
    return (points - middle) @ directions.T, names


def _cluster_marks(azimuths: Azimuths, marker: str = "o") -> list[Line2D]:
    """Return a mark in the colour of each cluster, for a legend."""
    style: dict[str, Any] = {"marker": marker, "linestyle": "none"}
    return [Line2D([], [], color=regime_colour(c), label=f"cluster {c}", **style) for c in range(azimuths.n_clusters)]


def cluster_figure(azimuths: Azimuths, maps_of: MapsOf) -> Figure:
    """Draw the mean and the scatter of the C2 maps of each cluster."""
    k = azimuths.n_clusters
    sums, squares = np.zeros((2, k, 1, 1))
    for key, labels in zip(azimuths.runs.index, azimuths.labels, strict=True):  # all maps would not fit in memory
        maps, belongs = maps_of(str(key)).astype(float), labels == np.arange(k)[:, None]
        sums = sums + np.tensordot(belongs, maps, 1)
        squares = squares + np.tensordot(belongs, maps**2, 1)
    members = np.bincount(azimuths.labels.ravel(), minlength=k)
    means = sums / members[:, None, None]
    scatters = np.sqrt(np.maximum(squares / members[:, None, None] - means**2, 0))
    figure = new_figure(2.7 * k + 1.0, 5.6)
    upper, lower = figure.subplots(2, k, sharex=True, sharey=True, squeeze=False)
    for row, images, low, label in ((upper, means, 1.0, "mean of $C_2$"), (lower, scatters, 0.0, "scatter of $C_2$")):
        for c, axes in enumerate(row):
            image = draw_map(axes, images[c], azimuths.duration_s, low, highest(images), regime_colour(c))
        row[0].set_ylabel("$t_2$ (s)")
        figure.colorbar(image, ax=list(row), label=label, shrink=0.85, pad=0.02)
    for c in range(k):
        exposures = int((azimuths.labels == c).any(axis=1).sum())
        upper[c].set_title(f"cluster {c}\n{members[c]} azimuths, {exposures} exposures", fontsize=9)
        lower[c].set_xlabel("$t_1$ (s)")
    return figure


def timeline_figure(azimuths: Azimuths, correlated: Coincidence | None = None) -> Figure:
    """Draw cluster of each azimuth, cluster timeline, latent spread and stress over time; the paper's Fig. 3.

    With a coincidence, its dips are marked and its correlation is drawn below.
    """
    figure = Figure(figsize=(11, 9.2 if correlated else 7.2), layout="constrained")
    above = figure
    if correlated is not None:
        above, below = np.asarray(figure.subfigures(2, 1, height_ratios=[3.4, 1]))
        _draw_correlation(below.subplots(), correlated)
    strips = above.subplots(4, 1, sharex=True, height_ratios=[1.25, 0.9, 0.9, 1.15])
    start, stop = (azimuths.runs[name].to_numpy(float) / 60 for name in ("start_s", "stop_s"))
    draw_columns(strips[0], zip(start, stop, azimuths.labels, strict=True))
    panel_title(strips[0], "Cluster of each azimuth")
    _legend(strips[0], handles=_cluster_marks(azimuths, "s"), ncols=8)
    _draw_clusters(strips[1], azimuths, (start + stop) / 2)
    _draw_spread(strips[2], azimuths, (start + stop) / 2)
    _draw_stress(strips[3], azimuths.stress)
    if correlated is not None:
        for i in np.flatnonzero(correlated.dips > _DIP_PA):
            for axes in strips:
                axes.axvspan(start[i], stop[i], color="black", alpha=0.12, linewidth=0, zorder=0.5)
    strips[3].set_xlabel("time since shear stopped (min)")
    margin = 0.01 * (stop.max() - start.min())
    strips[3].set_xlim(start.min() - margin, stop.max() + margin)
    return figure


def published_figure(azimuths: Azimuths, inertia: NDArray[np.float64]) -> Figure:
    """Draw the latent plane by cluster, the inertia of 1 to n clusters, (n,), and clusters and stress over time."""
    figure = new_figure(12, 8)
    axes = figure.subplot_mosaic([["plane", "number"], ["time", "time"], ["stress", "stress"]], height_ratios=[2, 1, 1])
    _draw_plane(axes["plane"], azimuths)
    axes["number"].plot(np.arange(1, len(inertia) + 1), inertia, ".-", color="#0072B2")
    axes["number"].axvline(azimuths.n_clusters, color="black", linewidth=0.9, linestyle="--")
    axes["number"].set(xlabel="number of clusters", ylabel="inertia of k-means", ylim=(0, None))
    panel_title(axes["number"], f"Elbow: {azimuths.n_clusters}")
    _draw_clusters(axes["time"], azimuths, azimuths.runs[["start_s", "stop_s"]].mean(axis=1).to_numpy() / 60)
    _draw_stress(axes["stress"], azimuths.stress)
    axes["stress"].sharex(axes["time"])
    axes["stress"].set_xlabel("time since shear stopped (min)")
    return figure


def _legend(axes: Axes, **options: Any) -> None:
    """Draw the legend beside the title."""
    style: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2}
    axes.legend(frameon=False, fontsize=9, **style, **options)


def _draw_clusters(axes: Axes, azimuths: Azimuths, middle: NDArray[np.float64]) -> None:
    for c in range(azimuths.n_clusters):
        share = (azimuths.labels == c).mean(axis=1)
        there = share > 0
        axes.scatter(
            middle[there], np.full(there.sum(), c), s=60 * share[there], color=regime_colour(c), linewidth=0, zorder=2
        )
    axes.set(ylim=(azimuths.n_clusters - 0.5, -0.5), yticks=range(azimuths.n_clusters), ylabel="cluster")
    panel_title(axes, "Cluster timeline: the area is the share of the azimuths")


def _draw_spread(axes: Axes, azimuths: Azimuths, middle: NDArray[np.float64]) -> None:
    axes.plot(middle, azimuths.spread, ".-", color="#0072B2", linewidth=1, label="over the azimuths, rms")
    axes.plot(middle, azimuths.step, ".-", color="#D55E00", linewidth=1, label="from the exposure before")
    axes.set_ylim(0, None)
    axes.set_ylabel("distance")
    _legend(axes, ncols=2)
    panel_title(axes, "Spread in the latent space")


def _draw_stress(axes: Axes, stress: pd.DataFrame) -> None:
    axes.set_ylabel("stress (Pa)")
    if stress.empty:
        panel_title(axes, "Shear stress")
        empty_panel(axes, "none was monitored")
        return
    for _, readings in stress.groupby("exposure"):
        axes.plot(readings["age"] / 60, readings["stress"], ".-", color="0.2", linewidth=1, markersize=2, zorder=2)
    relaxed, off = stress.loc[stress["age"] > _RELAXED_S, "stress"], ""
    if relaxed.size > 10 and stress["stress"].max() > relaxed.max() + 2:
        room = 0.15 * np.ptp(relaxed)
        axes.set_ylim(relaxed.min() - room, relaxed.max() + room)
        first = stress.nsmallest(1, "age").iloc[0]
        off = f" (at {first['age']:.0f} s {first['stress']:.0f} Pa, off the panel)"
    panel_title(axes, "Shear stress" + off)


def _draw_correlation(axes: Axes, correlated: Coincidence) -> None:
    lag, correlation, chance = correlated.lag, correlated.correlation, correlated.chance
    axes.bar(lag, correlation, color=np.where(np.abs(lag) <= 1, "#0072B2", "0.7"), width=0.8)
    axes.axhline(chance, color="black", linewidth=0.9, linestyle="--")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.text(lag[0] - 0.4, chance + 0.02, "reached by chance in 1 of 20", fontsize=8.5, va="bottom")
    axes.set(ylim=(np.nanmin(np.r_[correlation, 0]) - 0.05, np.nanmax(np.r_[correlation, chance]) + 0.2))
    axes.set(xlabel="label change after stress dip (exposures)", ylabel="correlation", xticks=lag)
    dipped = int((correlated.dips > _DIP_PA).sum())
    counted = f"{dipped} exposures with a dip of more than {_DIP_PA:g} Pa (grey bands above)"
    panel_title(axes, f"Label changes against stress dips: {counted}\n{correlated}")
