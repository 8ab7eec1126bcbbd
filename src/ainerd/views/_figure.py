"""The campaign on one page: where, what, how alike, how new."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

# Okabe and Ito, distinct to the colour-blind too
_REGIMES = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442", "#D55E00"]
_UNASSIGNED = "#9a9a9a"
_NOVEL = "#111111"
_GALLERY = 6  # maps at most


def campaign_figure(
    table: pd.DataFrame,
    embeddings: pd.DataFrame,
    c2_of: Callable[[str], NDArray[Any]],
    *,
    alpha: float,
    bounds: Mapping[str, tuple[float, float]],
    positions: Sequence[str] = ("sample_x", "sample_y"),
    position_unit: str = "mm",
    series: str = "stress",
    series_unit: str = "Pa",
    next_point: Mapping[str, float] | None = None,
    truth: NDArray[Any] | None = None,
) -> Figure:
    """Draw a campaign: sample map, C2 gallery, latent space, novelty.

    Parameters
    ----------
    table : pandas.DataFrame
        Results by time, as `ainerd.results.ResultStore.table` gives them; failed ones may be among them.
    embeddings : pandas.DataFrame, shape (n, d)
        Points of the latent space by key.
    c2_of : callable
        From a key to its C2 maps, (n_roi, t, t).
    alpha : float
        Level at which a run counts as novel.
    bounds : mapping of str to (float, float)
        Extent of the sample by motor, in `position_unit`.
    positions : sequence of two str
        The motors to draw.
    series : str
        The mean of this series, column ``<series>_mean`` in `series_unit`, is drawn beside the novelty.
    next_point : mapping of str to float, optional
        Where the next run will be.
    truth : ndarray of int, shape (ny, nx), optional
        Regions of a simulated sample over `bounds`, first row at the lower bound; drawn faintly.

    Returns
    -------
    matplotlib.figure.Figure
        On an Agg canvas, without pyplot: may be drawn in any thread; save it with ``savefig``.
    """
    runs = _runs(table[table["status"].ne("computing")], positions, series)
    figure = Figure(figsize=(12, 9), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.add_gridspec(2, 1, height_ratios=[1.1, 1])
    top, bottom = rows[0].subgridspec(1, 2, width_ratios=[1, 1.5]), rows[1].subgridspec(1, 2, wspace=0.06)
    _draw_map(figure.add_subplot(top[0]), runs, bounds, positions, position_unit, next_point, truth)
    _draw_gallery(figure.add_subfigure(top[1]), runs, embeddings, c2_of)
    _draw_latent(figure.add_subplot(bottom[0]), runs, embeddings)
    _draw_novelty(figure.add_subplot(bottom[1]), runs, alpha, series, series_unit)
    marks = _legend(runs, alpha, series, next_point is not None)
    figure.legend(
        handles=marks, loc="outside lower center", ncols=12, frameon=False, columnspacing=1.2, handletextpad=0.4
    )
    return figure


def _runs(table: pd.DataFrame, positions: Sequence[str], series: str) -> pd.DataFrame:
    """The columns that are drawn, plain and complete; runs numbered from 1."""
    runs = pd.DataFrame({"number": np.arange(1, len(table) + 1)}, index=table.index)
    wanted = {"x": positions[0], "y": positions[1], "p": "novelty_p", "series": f"{series}_mean"}
    for name, column in (wanted | {"n_frames": "n_frames", "frame_time_s": "frame_time_s"}).items():
        runs[name] = table[column].astype(float) if column in table else np.nan
    runs["regime"] = table["regime"].fillna(-1).astype(int)
    runs["novel"] = table["novel"].fillna(False).astype(bool)
    runs["done"] = table["status"].eq("complete")
    runs["colour"] = [_colour(regime) for regime in runs["regime"]]
    return runs


def _colour(regime: int) -> str:
    return _UNASSIGNED if regime < 0 else _REGIMES[regime % len(_REGIMES)]


def _name(regime: int) -> str:
    return "unassigned" if regime < 0 else f"regime {regime}"


def _unassigned_last(regime: int) -> float:
    return np.inf if regime < 0 else regime


def _points(axes: Axes, runs: pd.DataFrame, x: str, y: str, *, size: float) -> None:
    """Runs as numbered discs, the novel ones ringed."""
    novel = runs[runs["novel"]]
    axes.scatter(novel[x], novel[y], s=2.1 * size, facecolor="none", edgecolor=_NOVEL, linewidth=1.5, zorder=4)
    axes.scatter(runs[x], runs[y], s=size, c=list(runs["colour"]), edgecolor="white", linewidth=0.6, zorder=3)
    for (px, py), same in runs.groupby([x, y], sort=False):
        numbers = list(same["number"])
        label = ",".join(map(str, numbers)) if len(numbers) < 3 else f"{numbers[0]}…{numbers[-1]}"
        dark = np.dot(to_rgb(same["colour"].iloc[-1]), (0.3, 0.59, 0.11)) < 0.6
        axes.annotate(
            label,
            (px, py),
            ha="center",
            va="center_baseline",
            fontsize=7 if len(label) < 3 else 5.5,
            color="white" if dark else "black",
            zorder=5,
        )


def _title(axes: Axes | SubFigure, letter: str, text: str) -> None:
    if isinstance(axes, Axes):
        axes.set_title(rf"$\bf{{{letter}}}$   {text}", loc="left", fontsize=11)
    else:
        axes.suptitle(rf"$\bf{{{letter}}}$   {text}", x=0.02, ha="left", fontsize=11)


def _draw_map(
    axes: Axes,
    runs: pd.DataFrame,
    bounds: Mapping[str, tuple[float, float]],
    positions: Sequence[str],
    unit: str,
    next_point: Mapping[str, float] | None,
    truth: NDArray[Any] | None,
) -> None:
    (x0, x1), (y0, y1) = (bounds[name] for name in positions)
    if truth is not None:
        shade = np.unique(truth, return_inverse=True)[1].reshape(np.shape(truth))
        style: dict[str, Any] = {"extent": (x0, x1, y0, y1), "origin": "lower", "zorder": 0}
        axes.imshow(shade, cmap="Greys", vmin=0, vmax=4 * max(shade.max(), 1), interpolation="nearest", **style)
    placed = runs.dropna(subset=["x", "y"])
    axes.plot(placed["x"], placed["y"], color="0.6", linewidth=0.8, zorder=1)
    failed = placed[~placed["done"]]
    axes.scatter(failed["x"], failed["y"], marker="x", s=40, color="0.35", zorder=3)
    _points(axes, placed[placed["done"]], "x", "y", size=130)
    if next_point is not None:
        x, y = (next_point[name] for name in positions)
        axes.scatter(x, y, marker="*", s=330, facecolor="gold", edgecolor="black", linewidth=0.9, zorder=6)
    margin_x, margin_y = 0.05 * (x1 - x0), 0.05 * (y1 - y0)
    axes.set(xlim=(x0 - margin_x, x1 + margin_x), ylim=(y0 - margin_y, y1 + margin_y), aspect="equal")
    axes.set(xlabel=f"{positions[0]} ({unit})", ylabel=f"{positions[1]} ({unit})")
    shaded = "" if truth is None else " (shaded: the simulated regions)"
    _title(axes, "a", f"Sample: where the runs were{shaded}")


def _draw_gallery(
    figure: SubFigure, runs: pd.DataFrame, embeddings: pd.DataFrame, c2_of: Callable[[str], NDArray[Any]]
) -> None:
    _title(figure, "b", r"$C_2(t_1, t_2)$, mean over azimuths")
    chosen = _gallery(runs[runs["done"]], embeddings)
    if not chosen:
        figure.text(0.5, 0.5, "no complete run yet", ha="center", color="0.4")
        return
    maps = {key: np.nanmean(c2_of(key), axis=0) for key in chosen}
    highest = max(float(np.nanpercentile(_off_diagonal(image), 99.5)) for image in maps.values())
    columns = min(len(chosen), 3)
    panels = figure.subplots(-(-len(chosen) // columns), columns, squeeze=False)
    for axes in panels.flat[len(chosen) :]:
        axes.set_visible(False)
    for i, (axes, (key, what)) in enumerate(zip(panels.flat, chosen.items(), strict=False)):
        run = runs.loc[key]
        duration = run["n_frames"] * run["frame_time_s"]
        timed = np.isfinite(duration)
        extent = (0, duration, 0, duration) if timed else None
        drawn = axes.imshow(maps[key], origin="lower", extent=extent, vmin=1, vmax=max(highest, 1.001), cmap="magma")
        claim = "no claim" if np.isnan(run["p"]) else f"p = {run['p']:.2g}"
        axes.set_title(f"{what}: run {run['number']}\n({run['x']:.1f}, {run['y']:.1f}), {claim}", fontsize=8)
        for side in axes.spines.values():
            side.set(color=run["colour"], linewidth=2.5)
        is_left, is_lowest = i % columns == 0, i + columns >= len(chosen)
        axes.tick_params(labelsize=7, labelleft=is_left, labelbottom=is_lowest)
        unit = "s" if timed else "cells"
        axes.set_xlabel(f"$t_1$ ({unit})" if is_lowest else "", fontsize=8)
        axes.set_ylabel(f"$t_2$ ({unit})" if is_left else "", fontsize=8)
    figure.colorbar(drawn, ax=panels, shrink=0.8, aspect=30, label="$C_2$")


def _off_diagonal(image: NDArray[Any]) -> NDArray[Any]:
    return image[~np.eye(len(image), dtype=bool)]


def _gallery(runs: pd.DataFrame, embeddings: pd.DataFrame) -> dict[str, str]:
    """What to show, by key: the run nearest the centre of each of the largest regimes, and the most novel run."""
    runs = runs[runs.index.isin(embeddings.index)]
    largest = runs["regime"].value_counts().index[: _GALLERY - 1]
    chosen: dict[str, str] = {}
    for regime in sorted(largest, key=_unassigned_last):
        points = embeddings.loc[runs.index[runs["regime"] == regime]]
        central = str(((points - points.mean()) ** 2).sum(axis=1).idxmin())
        chosen[central] = _name(regime)
    if runs["p"].notna().any():
        lowest = str(runs["p"].idxmin())
        what = "most novel" if runs.loc[lowest, "novel"] else "lowest p"
        chosen[lowest] = f"{chosen[lowest]}, {what}" if lowest in chosen else what
    return chosen


def _draw_latent(axes: Axes, runs: pd.DataFrame, embeddings: pd.DataFrame) -> None:
    runs = runs[runs.index.isin(embeddings.index)]
    points = embeddings.loc[runs.index].to_numpy(float)
    principal, share = np.zeros((len(points), 2)), ["", ""]
    if len(points) > 2:
        centred = points - points.mean(axis=0)
        _, weights, directions = np.linalg.svd(centred, full_matrices=False)
        for i, direction in enumerate(directions[:2]):
            sign = np.sign(direction[np.abs(direction).argmax()])  # so that the picture does not flip
            principal[:, i] = centred @ direction * sign
            share[i] = f" ({weights[i] ** 2 / (weights**2).sum():.0%} of the spread)"
    elif len(points) == 2:
        principal[:, 0] = np.array([-0.5, 0.5]) * np.linalg.norm(points[1] - points[0])
    axes.axhline(0, color="0.88", linewidth=0.8, zorder=0)
    axes.axvline(0, color="0.88", linewidth=0.8, zorder=0)
    _points(axes, runs.assign(u=principal[:, 0], v=principal[:, 1]), "u", "v", size=130)
    axes.margins(0.1)
    if len(points) < 2:
        axes.set_xlim(-1, 1)
    if not principal[:, 1].any():
        axes.set_ylim(axes.get_xlim())
    axes.set(xlabel=f"first principal axis{share[0]}", ylabel=f"second principal axis{share[1]}")
    _title(axes, "c", "Latent space: runs that are near look alike")


def _draw_novelty(axes: Axes, runs: pd.DataFrame, alpha: float, series: str, unit: str) -> None:
    lowest = np.nanmin([alpha, runs["p"].min()])
    axes.set(yscale="log", ylim=(lowest / 2.5, 1.6), xlim=(0.4, max(len(runs), 1) + 0.6))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.axhspan(lowest / 2.5, alpha, color="black", alpha=0.07, linewidth=0, zorder=0)
    axes.axhline(alpha, color=_NOVEL, linewidth=0.9, linestyle="--", zorder=1)
    known = runs[runs["series"].notna()]
    if len(known):
        beside = axes.twinx()
        beside.plot(known["number"], known["series"], color="0.55", linewidth=1, marker="d", markersize=4)
        if known["series"].min() > 0 and known["series"].max() > 20 * known["series"].min():
            beside.set_yscale("log")
        beside.set_ylabel(f"mean {series} of the run ({unit})", color="0.4")
        beside.tick_params(axis="y", colors="0.4", which="both")
        axes.set_zorder(beside.get_zorder() + 1)
        axes.patch.set_visible(False)
    claimed = runs[runs["p"].notna()]
    _points(axes, claimed, "number", "p", size=110)
    failed = runs[~runs["done"]]
    axes.scatter(failed["number"], np.full(len(failed), 1.25), marker="x", s=36, color="0.35", zorder=3)
    axes.set(xlabel="run", ylabel="novelty p-value")
    _title(axes, "d", "Novelty of each run")


def _legend(runs: pd.DataFrame, alpha: float, series: str, has_next: bool) -> list[Line2D]:
    def mark(label: str, marker: str = "o", **style: Any) -> Line2D:
        options: dict[str, Any] = {"markersize": 9, "linestyle": "none"} | style
        return Line2D([], [], marker=marker, label=label, **options)

    regimes = sorted(set(runs.loc[runs["done"], "regime"]), key=_unassigned_last)
    marks = [mark(_name(regime), color=_colour(regime), markeredgecolor="white") for regime in regimes]
    if runs["novel"].any():
        marks.append(mark("novel", markerfacecolor="none", markeredgecolor=_NOVEL, markersize=12, markeredgewidth=1.5))
    if not runs["done"].all():
        marks.append(mark("failed", "x", color="0.35", markersize=7))
    if has_next:
        marks.append(mark("next", "*", markerfacecolor="gold", markeredgecolor="black", markersize=14))
    marks.append(Line2D([], [], color=_NOVEL, linewidth=0.9, linestyle="--", label=rf"$\alpha = {alpha:g}$"))
    if runs["series"].notna().any():
        marks.append(mark(f"mean {series}", "d", color="0.5", linestyle="-", linewidth=1, markersize=4))
    return marks
