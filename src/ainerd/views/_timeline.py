"""Run after run: how new, what the technique draws of it, and what was recorded."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ainerd.views._scene import MOST_SERIES, NEWEST, Scene
from ainerd.views._style import NOVEL, attempt, discs, empty_panel, in_order, name, panel_title


def draw_timeline(figure: SubFigure, scene: Scene, runs: pd.DataFrame) -> None:
    """Strips over the newest runs, a column each: novelty, or the regimes; the technique's; and each series."""
    recent = runs.iloc[-NEWEST:]
    names = dict.fromkeys(name for series in scene.series.values() for name in series)
    series = list(names)[:MOST_SERIES]
    strip = getattr(scene.panels, "strip", None)
    ratios = [1.15, *([1.0] if strip else []), *[0.85] * len(series)]
    first, *rest = np.atleast_1d(figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios))
    _draw_first(first, scene, runs)
    if strip:
        attempt("the technique's strip", rest[0], lambda axes: strip(axes, scene, runs))
    for axes, each in zip(rest[-len(series) :], series, strict=False):
        _draw_series(axes, scene, recent, each)
    for axes in (first, *rest):
        axes.tick_params(labelbottom=False)
    _number((first, *rest)[-1], recent)


def draw_first_strip(axes: Axes, scene: Scene, runs: pd.DataFrame) -> None:
    """Novelty of the newest runs alone, or their regimes where there is no claim of novelty."""
    _draw_first(axes, scene, runs)
    _number(axes, runs.iloc[-NEWEST:])


def _draw_first(axes: Axes, scene: Scene, runs: pd.DataFrame) -> None:
    panel_title(axes, "Run after run")
    recent = runs.iloc[-NEWEST:]
    if runs["p"].notna().any():
        _draw_novelty(axes, scene, recent)
    else:
        _draw_regimes(axes, recent, scene.kinds)


def _number(axes: Axes, recent: pd.DataFrame) -> None:
    low = recent["number"].min() if len(recent) else 1
    high = max(recent["number"].max() if len(recent) else 1, low + 5)
    axes.set(xlim=(low - 0.5, high + 0.5), xlabel="scan, in order of time")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    scans = dict(zip(recent["number"], recent["scan"], strict=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: scans.get(round(number), "")))
    axes.tick_params(labelbottom=True)


def _draw_novelty(axes: Axes, scene: Scene, runs: pd.DataFrame) -> None:
    lowest = np.nanmin([scene.alpha, runs["p"].min()])
    axes.set(yscale="log", ylim=(lowest / 2.5, 2.0), ylabel="novelty p")
    axes.axhspan(lowest / 2.5, scene.alpha, color="black", alpha=0.07, linewidth=0, zorder=0)
    axes.axhline(scene.alpha, color=NOVEL, linewidth=0.9, linestyle="--", zorder=1)
    discs(axes, runs[runs["p"].notna()], "number", "p", size=90)
    failed = runs[~runs["done"]]
    axes.scatter(failed["number"], np.full(len(failed), 1.25), marker="x", s=36, color="0.25", zorder=3)
    unclaimed = runs[runs["done"] & runs["p"].isna()]
    axes.scatter(unclaimed["number"], np.full(len(unclaimed), 1.25), marker="$?$", s=36, c=list(unclaimed["colour"]))


def _draw_regimes(axes: Axes, runs: pd.DataFrame, kinds: Mapping[int, str]) -> None:
    """A row for each regime: of a technique that says nothing of novelty."""
    done, failed = runs[runs["done"]], runs[~runs["done"]]
    order = in_order(done["regime"])
    discs(axes, done.assign(row=[order.index(regime) for regime in done["regime"]]), "number", "row", size=90)
    axes.scatter(failed["number"], np.full(len(failed), len(order)), marker="x", s=36, color="0.25", zorder=3)
    rows = [*(name(regime, kinds) for regime in order), *(["failed"] if len(failed) else [])]
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    if runs.empty:
        empty_panel(axes, "no complete run yet")


def _draw_series(axes: Axes, scene: Scene, recent: pd.DataFrame, name: str) -> None:
    values: list[float] = []
    number_of = recent["number"].to_dict()
    for key, series in scene.series.items():
        times, measured = series.get(name, np.empty((2, 0)))
        known = np.isfinite(measured) & (times >= 0)  # the first value is from before the run
        if key in number_of and known.any():
            within = times[known] / max(times[known].max(), 1e-9)  # shares of the exposure
            axes.plot(
                number_of[key] - 0.45 + 0.9 * within, measured[known], ".-", color="0.25", linewidth=1, markersize=3
            )
            values.extend(measured[known])
    if values and min(values) > 0 and max(values) > 20 * min(values):
        axes.set_yscale("log")
    axes.set_ylabel(scene.labelled(name))
