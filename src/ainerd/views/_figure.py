"""The campaign on one page: where, what, how alike, how new."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ainerd.views._latent_map import draw_latent
from ainerd.views._sample_map import draw_map, draw_terms
from ainerd.views._scene import Scene
from ainerd.views._spread import spread
from ainerd.views._style import NOVEL, attempt, in_order, name, regime_colour
from ainerd.views._timeline import draw_timeline

SIZE = (14.4, 8.8)  # inches: fits a screen of 1440 × 900 at 100 dpi


def campaign_figure(scene: Scene) -> Figure:
    """Draw a campaign on a figure of its own, without pyplot: save it with ``savefig``."""
    figure = Figure(figsize=SIZE, layout="constrained")
    draw_campaign(figure, scene)
    return figure


def draw_campaign(figure: Figure, scene: Scene) -> None:
    """Draw a campaign on an empty figure: sample, latent space, what came run after run, and the technique's panels."""
    runs = scene.runs
    top, bottom = np.asarray(figure.subfigures(2, 1, height_ratios=[1, 1.1]))
    sample, why, right = top.subfigures(1, 3, width_ratios=[1.12, 0.5, 2.1])
    gallery = getattr(scene.panels, "gallery", None)
    latent, timeline = bottom.subfigures(1, 2, width_ratios=[1, 1.6]) if gallery else (right, bottom)
    drawn: list[tuple[str, Any, Callable[[Any], object]]] = [
        ("the sample map", sample, lambda place: draw_map(place.subplots(), scene, runs)),
        ("the next point", why, lambda place: draw_terms(place.subplots(), scene)),
        ("the latent space", latent, lambda place: draw_latent(place.subplots(), scene, runs)),
        ("the timeline", timeline, lambda place: draw_timeline(place, scene, runs)),
    ]
    if gallery:
        drawn.append(("the technique's gallery", right, lambda place: gallery(place, scene, runs)))
    for what, place, draw in drawn:
        attempt(what, place, draw)
    figure.legend(
        handles=legend_of(scene, runs),
        loc="outside lower center",
        ncols=12,
        frameon=False,
        columnspacing=1.2,
        handletextpad=0.4,
    )
    spread(figure)


def legend_of(scene: Scene, runs: pd.DataFrame) -> list[Line2D]:
    """What the marks mean."""

    def mark(label: str, marker: str = "o", **style: Any) -> Line2D:
        options: dict[str, Any] = {"markersize": 9, "linestyle": "none"} | style
        return Line2D([], [], marker=marker, label=label, **options)

    marks = [
        mark(name(regime, scene.kinds), color=regime_colour(regime), markeredgecolor="white")
        for regime in in_order(runs.loc[runs["done"], "regime"])
    ]
    if runs["novel"].any():
        marks.append(mark("novel", markerfacecolor="none", markeredgecolor=NOVEL, markersize=12, markeredgewidth=1.5))
    if not runs["done"].all():
        marks.append(mark("failed", "x", color="0.25", markersize=7))
    claims = runs["p"].notna().any()
    if claims and (runs["done"] & runs["p"].isna()).any():
        marks.append(mark("no claim of novelty", "$?$", color="0.25", markersize=7))
    if scene.following is not None:
        marks.append(mark("next", "*", markerfacecolor="gold", markeredgecolor="black", markersize=14))
    if claims:
        marks.append(Line2D([], [], color=NOVEL, linewidth=0.9, linestyle="--", label=rf"$\alpha = {scene.alpha:g}$"))
    return marks
