"""The figure of a campaign: sample map, next point, latent space, and a timeline of the runs."""

import math
import textwrap
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from ainerd.results.notebook import NotebookFigure
from ainerd.technique import Landmarks
from ainerd.views import _style
from ainerd.views._kinds import names_in_map, principal_axes
from ainerd.views._scene import MOST_SERIES, NEWEST, Scene, regime_colour
from ainerd.views._style import NOVEL
from ainerd.words import named_place

SIZE = (14.4, 8.8)  # inches: fits a screen of 1440 × 900 at 100 dpi
IN_LINE, OF_MARK = 170, 5  # characters of a line of the legend; those that a mark takes
MOST_COLUMNS = 12  # of the legend
Array = NDArray[Any]
STEPS = 30  # of the path that have an arrowhead
WIDE = 25  # characters of a line beside the map
LEAST_P = 1e-6  # smaller p-values are drawn there


def campaign_figure(scene: Scene) -> Figure:
    """Draw a campaign: sample, next point, latent space, timeline, and the technique's panels.

    The figure is made without pyplot: save it with ``savefig``; a notebook shows it.

    Examples
    --------
    >>> scene = read_scene(store, Toy(), {"sample_x": (0.0, 7.0)})
    >>> figure = campaign_figure(scene)
    >>> figure.savefig(folder / "campaign.png")
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['Sample', 'Next point', 'Latent space', 'Run after run', '']
    """
    figure, runs = NotebookFigure(figsize=SIZE, layout="constrained"), scene.runs
    top, bottom = np.asarray(figure.subfigures(2, 1, height_ratios=[1, 1.1]))
    sample, why, right = top.subfigures(1, 3, width_ratios=[1.12, 0.5, 2.1])
    has_gallery = bool(getattr(scene.panels, "gallery", None))
    latent, timeline = bottom.subfigures(1, 2, width_ratios=[1, 1.6]) if has_gallery else (right, bottom)
    for name, place, draw in (
        ("the sample map", sample, _draw_map),
        ("the next point", why, _draw_next),
        ("the latent space", latent, _draw_latent),
        ("the timeline", timeline, _draw_timeline),
        *([("the technique's gallery", right, scene.panels.gallery)] if has_gallery else []),  # type: ignore[union-attr]
    ):
        _style.attempt(name, place, lambda region, draw=draw: draw(region, scene, runs))  # type: ignore[misc]
    _draw_legend(figure, scene, runs)
    _style.place_names(figure)
    return figure


def _draw_legend(figure: Figure, scene: Scene, runs: pd.DataFrame) -> None:
    """Draw the legend, below the panels."""
    mark = partial(Line2D, [], [], marker="o", markersize=9, linestyle="none")

    marks = [
        mark(label=scene.name(regime), color=regime_colour(regime), markeredgecolor="white")
        for regime in _style.in_order(runs.loc[runs["done"], "regime"])
    ]
    if runs["novel"].any():
        marks.append(
            mark(label="novel", markerfacecolor="none", markeredgecolor=NOVEL, markersize=12, markeredgewidth=1.5)
        )
    if not runs["done"].all():
        marks.append(mark(label="failed", marker="x", color="0.25", markersize=7))
    claims = runs["p"].notna().any()
    if claims and (runs["done"] & runs["p"].isna()).any():
        marks.append(mark(label="no p-value", marker="$?$", color="0.25", markersize=7))
    if scene.following is not None:
        marks.append(mark(label="next", marker="*", markerfacecolor="gold", markeredgecolor="black", markersize=14))
    if claims:
        below = f"below {scene.alpha:g}: novel"
        marks.append(Line2D([], [], color=NOVEL, linewidth=0.9, linestyle="--", label=below))
    lines = math.ceil(sum(len(str(each.get_label())) + OF_MARK for each in marks) / IN_LINE)
    columns = min(MOST_COLUMNS, math.ceil(len(marks) / max(lines, 1)))
    legend = figure.legend(
        handles=marks, loc="outside lower center", ncols=max(columns, 1), frameon=False, columnspacing=1.2,
        handletextpad=0.4,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)  # names of people


def _draw_map(place: SubFigure, scene: Scene, runs: pd.DataFrame) -> None:
    """Draw the sample over the first two motors: the path, the regimes around it, and the next point."""
    axes, motors, belief, following = place.subplots(), tuple(scene.bounds)[:2], scene.belief, scene.following
    _style.panel_title(axes, "Sample" + (" (dotted: the simulated regions)" if scene.truth is not None else ""))
    x_range, y_range = [scene.bounds[motor] for motor in motors] + [(-1.0, 1.0)] * (2 - len(motors))
    placed = runs.dropna(subset=["x", "y"])
    done = placed[placed["done"]]
    if belief is not None:
        _shade(axes, np.atleast_2d(belief.regime), np.atleast_2d(belief.confidence), (*x_range, *y_range))
    if scene.truth is not None:
        region = np.unique(scene.truth, return_inverse=True)[1].reshape(np.shape(scene.truth))
        axes.contour(
            region, levels=np.arange(region.max()) + 0.5, extent=(*x_range, *y_range), colors="0.3", linestyles=":",
            linewidths=1.0, zorder=1,
        )  # fmt: skip
    axes.plot(placed["x"], placed["y"], color="0.45", linewidth=0.8, zorder=1)
    _point_forward(axes, placed[["x", "y"]].to_numpy(float))
    failed = placed[~placed["done"]]
    axes.scatter(failed["x"], failed["y"], marker="x", s=40, color="0.25", zorder=3)
    _style.numbered_discs(axes, done, "x", "y", size=130)
    if following is not None:
        x, y = [following.position[motor] for motor in motors] + [0.0] * (2 - len(motors))
        axes.scatter(x, y, s=330, zorder=6, marker="*", facecolor="gold", edgecolor="black", linewidth=0.9)
    margin_x, margin_y = (0.03 * (high - low) for low, high in (x_range, y_range))
    axes.set(xlim=(x_range[0] - margin_x, x_range[1] + margin_x), ylim=(y_range[0] - margin_y, y_range[1] + margin_y))
    axes.set_xlabel(scene.labelled(motors[0]))
    if len(motors) > 1:
        same_unit = scene.units.get(motors[0]) == scene.units.get(motors[1])
        axes.set(ylabel=scene.labelled(motors[1]), aspect="equal" if same_unit else "auto")
    else:
        axes.set_yticks([])


def _point_forward(axes: Axes, path: NDArray[np.float64]) -> None:
    """Draw an arrowhead in the middle of each of the newest steps of a path, (n, 2)."""
    steps = np.diff(path, axis=0)
    for start, step in list(zip(path[:-1], steps, strict=True))[-STEPS:]:
        if np.any(step):
            middle, tip = start + 0.5 * step, start + 0.54 * step
            arrow = FancyArrowPatch(middle, tip, arrowstyle="-|>", mutation_scale=9, color="0.35", lw=0.8, zorder=2)
            axes.add_patch(arrow)


def _shade(axes: Axes, regime: Array, confidence: Array, extent: tuple[float, float, float, float]) -> None:
    """Paint each regime in its colour where it is believed to be, paler where that is less sure."""
    image = np.zeros((*regime.shape, 4))
    for kind in np.unique(regime):
        image[regime == kind, :3] = to_rgb(regime_colour(int(kind)))
    image[..., 3] = 0.45 * confidence
    axes.imshow(image, extent=extent, origin="lower", interpolation="nearest", zorder=0, aspect="auto")


def _draw_next(place: SubFigure, scene: Scene, runs: pd.DataFrame) -> None:
    """Write the next position and the reason."""
    axes = place.subplots()
    axes.set(xlim=(0, 1), ylim=(1, 0))
    axes.set_axis_off()
    axes.set_title("Next point", fontsize=11, loc="left")
    if scene.following is None:
        _style.empty_panel(axes, "none is ready")
        return
    following = scene.following
    parts = [*named_place(following.position, scene.units).split(", "), "", following.reason]
    lines = "\n".join(textwrap.fill(each, WIDE) for each in parts)
    axes.text(0, 0.02, lines, va="top", fontsize=8.5, linespacing=1.25, parse_math=False)


def _draw_latent(place: SubFigure, scene: Scene, runs: pd.DataFrame) -> None:
    """Draw the runs among the landmarks, in the landmarks' first two principal axes."""
    axes = place.subplots()
    runs = runs[runs.index.isin(scene.embeddings.index)]
    points = scene.embeddings.loc[runs.index].to_numpy(float)
    landmarks = scene.landmarks if scene.landmarks is not None and scene.landmarks.names else None
    known = points if landmarks is None else np.asarray(landmarks.embeddings, float)
    middle, directions, share = principal_axes(known)
    if landmarks is not None:
        _draw_landmarks(axes, (known - middle) @ directions.T, landmarks)
    placed = (points - middle) @ directions.T if len(points) else np.empty((0, 2))
    _style.discs(axes, runs.assign(u=placed[:, 0], v=placed[:, 1]), "u", "v", size=50)
    axes.margins(0.08)
    of = "the runs" if landmarks is None else "simulated exposures"
    axes.set_xlabel("first principal axis" + (f" ({share[0]:.0%} of the variation among {of})" if share[0] else ""))
    axes.set_ylabel("second" + (f" ({share[1]:.0%})" if share[0] else ""))
    _style.panel_title(axes, "Latent space" + ("" if landmarks is None else ": simulated exposures in grey"))


def _draw_landmarks(axes: Axes, placed: NDArray[np.float64], landmarks: Landmarks) -> None:
    axes.scatter(placed[:, 0], placed[:, 1], s=5, color="0.82", linewidth=0, zorder=0)
    for name, above in names_in_map(placed, landmarks.names).items():
        written = axes.annotate(name, above, xytext=(0, 7), textcoords="offset points", ha="center")
        written.set(gid=_style.NAME, fontsize=8.5, color="0.35")


def _draw_timeline(place: SubFigure, scene: Scene, runs: pd.DataFrame) -> None:
    """Draw strips with a column for each of the newest runs: novelty or regimes, those of the technique, each series.

    Without a claim of novelty the first strip shows the regimes.
    """
    recent = runs.iloc[-NEWEST:]
    names = dict.fromkeys(name for series in scene.series.values() for name in series)
    series = list(names)[:MOST_SERIES]
    strip, quantities = (getattr(scene.panels, name, None) for name in ("strip", "quantities"))
    known = {str(name).removesuffix("_above").removesuffix("_below") for name in scene.table}
    measured = [name for name in quantities or () if name in known]
    ratios = [1.15, *([1.0] if strip else []), *[0.85] * len([*measured[:1], *series])]
    first, *rest = np.atleast_1d(place.subplots(len(ratios), 1, sharex=True, height_ratios=ratios))
    _style.panel_title(first, "Run after run")
    if runs["p"].notna().any():
        _draw_novelty(first, scene, recent)
    else:
        _draw_regimes(first, recent, scene)
    if strip:
        _style.attempt("the technique's strip", rest[0], lambda axes: strip(axes, scene, runs))
    for axes, each in zip(rest[bool(strip) :], [*measured[:1], *series], strict=True):
        (_draw_quantity if each in measured else _draw_series)(axes, scene, recent, each)
    for axes in (first, *rest):
        axes.tick_params(labelbottom=False)
    low = recent["number"].min() if len(recent) else 1
    high = max(recent["number"].max() if len(recent) else 1, low + 5)
    scans = dict(zip(recent["number"], recent["scan"], strict=True))
    last = (first, *rest)[-1]
    last.set(xlim=(low - 0.5, high + 0.5), xlabel="scan, in order of time")
    last.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    last.xaxis.set_major_formatter(FuncFormatter(lambda number, _: scans.get(round(number), "")))
    last.tick_params(labelbottom=True)


def _draw_novelty(axes: Axes, scene: Scene, runs: pd.DataFrame) -> None:
    runs = runs.assign(p=runs["p"].clip(lower=LEAST_P))
    lowest = np.nanmin([max(scene.alpha, LEAST_P), runs["p"].min()])
    axes.set(yscale="log", ylim=(lowest / 2.5, 2.0), ylabel="p (small: novel)")
    axes.axhspan(lowest / 2.5, scene.alpha, color="black", alpha=0.07, linewidth=0, zorder=0)
    axes.axhline(scene.alpha, color=NOVEL, linewidth=0.9, linestyle="--", zorder=1)
    _style.numbered_discs(axes, runs[runs["p"].notna()], "number", "p", size=110)
    failed = runs[~runs["done"]]
    axes.scatter(failed["number"], np.full(len(failed), 1.25), marker="x", s=36, color="0.25", zorder=3)
    unclaimed = runs[runs["done"] & runs["p"].isna()]
    axes.scatter(unclaimed["number"], np.full(len(unclaimed), 1.25), marker="$?$", s=36, c=list(unclaimed["colour"]))


def _draw_regimes(axes: Axes, runs: pd.DataFrame, scene: Scene) -> None:
    """Draw a row for each regime, for a technique that makes no claims of novelty."""
    done, failed = runs[runs["done"]], runs[~runs["done"]]
    order = _style.in_order(done["regime"])
    placed = done.assign(row=[order.index(regime) for regime in done["regime"]])
    _style.numbered_discs(axes, placed, "number", "row", size=90)
    axes.scatter(failed["number"], np.full(len(failed), len(order)), marker="x", s=36, color="0.25", zorder=3)
    rows = [*(scene.name(regime) for regime in order), *(["failed"] if len(failed) else [])]
    axes.set_yticks(range(len(rows)), rows, parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    if runs.empty:
        _style.empty_panel(axes, "no complete run yet")


def _draw_quantity(axes: Axes, scene: Scene, recent: pd.DataFrame, name: str) -> None:
    """Draw a number of each run with its error, or its limits: a line between two, a triangle at a single one."""
    table = scene.table.reindex(recent.index)
    value, error, above, below = (
        table.get(f"{name}{end}", pd.Series(index=table.index, dtype=float)).astype(float)
        for end in ("", "_err", "_above", "_below")
    )
    low, high = (value - error.fillna(0)).fillna(above), (value + error.fillna(0)).fillna(below)
    axes.vlines(recent["number"], low, high, color=list(recent["colour"]), linewidth=1.5)
    for marker, at in (("o", value), ("^", low.where(high.isna())), ("v", high.where(low.isna()))):
        axes.scatter(recent["number"], at, s=18, marker=marker, color=list(recent["colour"]), zorder=3)
    least, most = value.fillna(low).fillna(high).min(), high.fillna(low).max()
    if 0 < least < most / 10:  # the lower end of an error may be below zero
        axes.set_yscale("log")
        axes.set_ylim(least / 3, most * 1.5)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=6))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel(scene.labelled(name))


def _draw_series(axes: Axes, scene: Scene, recent: pd.DataFrame, name: str) -> None:
    values: list[float] = []
    number_of = recent["number"].to_dict()
    for key, series in scene.series.items():
        times, measured = series.get(name, np.empty((2, 0)))
        known = np.isfinite(measured) & (times >= 0)  # the first value is from before the run
        if key in number_of and known.any():
            within = times[known] / max(times[known].max(), 1e-9)  # shares of the exposure
            at = number_of[key] - 0.45 + 0.9 * within
            axes.plot(at, measured[known], ".-", color="0.25", linewidth=1, markersize=3)
            values.extend(measured[known])
    if values and min(values) > 0 and max(values) > 20 * min(values):
        axes.set_yscale("log")
    axes.set_ylabel(scene.labelled(name))
