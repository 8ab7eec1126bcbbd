"""Colours and marks with the same meaning in every figure, panels that fail alone, and names that do not overlap."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from ainerd.words import printable

logger = logging.getLogger(__name__)

NOVEL = "#111111"
DISC, ON_MARK, NAME = "disc", "on a mark", "name"  # gids of marks, their labels, and names
MOST_NUMBERED = 60  # discs


def in_order(regimes: Iterable[int]) -> list[int]:
    """Return each regime once, by number, unassigned last."""
    return sorted({int(regime) for regime in regimes}, key=lambda regime: (regime < 0, regime))


def panel_title(region: Axes | SubFigure, text: str) -> None:
    """Write the title of a panel.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> panel_title(axes, "g2 of the newest run")
    >>> axes.get_title(loc="left")
    'g2 of the newest run'
    """
    if isinstance(region, Axes):
        region.set_title(text, loc="left", fontsize=11)
    else:
        region.suptitle(text, x=0.01, ha="left", fontsize=11)


def empty_panel(axes: Axes, text: str) -> None:
    """Write into an empty panel why it is empty.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> empty_panel(axes, "no result yet")
    >>> [text.get_text() for text in axes.texts]
    ['no result yet']
    """
    written = axes.text(0.5, 0.5, text, color="0.45", fontsize=9, wrap=True, parse_math=False)
    written.set(transform=axes.transAxes, ha="center", va="center")


def attempt(panel: str, region: Axes | SubFigure, draw: Callable[[Any], object]) -> None:
    """Draw a panel. If that fails, write the error in its place, so that the other panels are not lost."""
    try:
        draw(region)
    except Exception as error:
        logger.exception("%s cannot be drawn", panel)
        region.clear()
        axes = region if isinstance(region, Axes) else region.subplots()
        axes.set(xticks=[], yticks=[])
        reason = str(error).strip().partition("\n")[0]
        empty_panel(axes, printable(f"{panel} cannot be drawn: {type(error).__name__}: {reason}"))


def discs(axes: Axes, runs: pd.DataFrame, x: str, y: str, *, size: float) -> None:
    """Draw runs as discs in the colour of their regime, novel ones ringed."""
    novel = runs[runs["novel"]]
    rings = axes.scatter(novel[x], novel[y], s=2.1 * size, facecolor="none", edgecolor=NOVEL, linewidth=1.5)
    filled = axes.scatter(runs[x], runs[y], s=size, c=list(runs["colour"]), edgecolor="white", linewidth=0.6)
    for marks, zorder in ((rings, 4), (filled, 3)):
        marks.set(zorder=zorder, gid=DISC, clip_on=False)


def numbered_discs(axes: Axes, runs: pd.DataFrame, x: str, y: str, *, size: float) -> None:
    """Draw runs as `discs` with the numbers of their scans, those at one place together; many as plain dots."""
    if len(runs) > MOST_NUMBERED:
        discs(axes, runs, x, y, size=size / 4)
        return
    discs(axes, runs, x, y, size=size)
    for (px, py), same in runs.groupby([x, y], sort=False):
        numbers = list(same["scan"])
        label = ",".join(map(str, numbers)) if len(numbers) < 3 else f"{numbers[0]}…{numbers[-1]}"
        dark = np.dot(to_rgb(same["colour"].iloc[-1]), (0.3, 0.59, 0.11)) < 0.6
        written = axes.annotate(label, (px, py), ha="center", va="center_baseline", gid=ON_MARK, zorder=5)
        written.set(color="white" if dark else "black", fontsize=7 if len(label) < 3 else 5.5)


def place_names(figure: Figure) -> None:
    """Move the names in a figure off the discs and off each other, once it is laid out.

    A name without a free place near its own is left out.
    """
    figure.draw_without_rendering()
    for axes in figure.axes:
        discs = [each for each in axes.collections if isinstance(each, PathCollection) and each.get_gid() == DISC]
        marks = [each for each in discs if np.size(each.get_offsets())]
        _place_names(axes, [text for text in axes.texts if text.get_gid() == NAME], marks)


def _place_names(axes: Axes, names: list[Text], marks: list[PathCollection]) -> None:
    scale = axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    taken = []
    for mark in marks:
        at = axes.transData.transform(np.asarray(mark.get_offsets(), float))
        radius = 0.5 * mark.get_sizes().max() ** 0.5 * scale
        taken += [Bbox.from_extents(*(place - radius), *(place + radius)) for place in at]
    inside = axes.get_window_extent()
    for name in names:
        box, (x, y) = name.get_window_extent(), name.get_position()
        steps = [(0.25 * i * box.width, 0.5 * j * box.height) for i in range(-6, 7) for j in range(-8, 9)]
        for dx, dy in sorted(steps, key=lambda step: np.hypot(*step)):
            moved = box.translated(dx, dy)
            is_inside = (
                inside.x0 <= moved.x0 and moved.x1 <= inside.x1 and inside.y0 <= moved.y0 <= moved.y1 <= inside.y1
            )
            if is_inside and not any(moved.overlaps(other) for other in taken):
                name.set_position((x + dx / scale, y + dy / scale))
                taken.append(moved)
                break
        else:
            name.set_visible(False)
