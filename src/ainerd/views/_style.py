"""Colours and marks with the same meaning in every figure, panels that fail alone, and marks that do not overlap."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import SubFigure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from ainerd.words import printable

logger = logging.getLogger(__name__)

NOVEL = "#111111"
DISC, ON_MARK, NAME = "disc", "on a mark", "name"  # gids of marks that `spread` moves, their labels, and names
ROUNDS = 60
FARTHEST = 4.0  # diameters that a mark is moved at most


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
    place: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center"}
    axes.text(0.5, 0.5, text, color="0.45", fontsize=9, wrap=True, parse_math=False, **place)


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
    """Draw runs as numbered discs in the colour of their regime, novel ones ringed; many runs as plain dots."""
    numbered = len(runs) <= 60
    size = size if numbered else size / 4
    novel = runs[runs["novel"]]
    ring: dict[str, Any] = {"facecolor": "none", "edgecolor": NOVEL, "linewidth": 1.5}
    axes.scatter(novel[x], novel[y], s=2.1 * size, zorder=4, gid=DISC, clip_on=False, **ring)
    filled: dict[str, Any] = {"c": list(runs["colour"]), "edgecolor": "white", "linewidth": 0.6}
    axes.scatter(runs[x], runs[y], s=size, zorder=3, gid=DISC, clip_on=False, **filled)
    if not numbered:
        return
    for (px, py), same in runs.groupby([x, y], sort=False):
        numbers = list(same["scan"] if "scan" in same else same["number"])
        label = ",".join(map(str, numbers)) if len(numbers) < 3 else f"{numbers[0]}…{numbers[-1]}"
        dark = np.dot(to_rgb(same["colour"].iloc[-1]), (0.3, 0.59, 0.11)) < 0.6
        style: dict[str, Any] = {"color": "white" if dark else "black", "fontsize": 7 if len(label) < 3 else 5.5}
        axes.annotate(label, (px, py), ha="center", va="center_baseline", gid=ON_MARK, zorder=5, **style)


def spread(figure: Any) -> None:
    """Move overlapping discs of a figure apart, with a line to their true position, once it is laid out.

    Then move names off the discs and off each other; a name without a free place near its own is left out.
    """
    figure.draw_without_rendering()
    for axes in figure.axes:
        discs_of = [each for each in axes.collections if each.get_gid() == DISC and len(each.get_offsets())]
        labels = [text for text in axes.texts if text.get_gid() == ON_MARK]
        if len(labels) > 1:
            size = max(each.get_sizes().max() for each in discs_of)
            _spread_in(axes, discs_of, labels, size**0.5 * figure.dpi / 72)
        _place_names(axes, [text for text in axes.texts if text.get_gid() == NAME], discs_of)


def _place_names(axes: Axes, names: list[Any], marks: list[PathCollection]) -> None:
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


def _spread_in(axes: Axes, marks: list[PathCollection], labels: list[Annotation], diameter: float) -> None:
    true = np.array([label.xy for label in labels], float)
    at = axes.transData.transform(true)
    moved = apart(at, diameter)
    is_shifted = np.linalg.norm(moved - at, axis=1) > 0.5
    shifted = np.where(is_shifted[:, None], axes.transData.inverted().transform(moved), true)
    new_place = {tuple(place): tuple(new) for place, new in zip(true, shifted, strict=True)}
    limits = axes.get_xlim(), axes.get_ylim()
    for place, new in zip(true[is_shifted], shifted[is_shifted], strict=True):
        axes.plot(*zip(place, new, strict=True), color="0.35", linewidth=0.7, zorder=2)
        axes.plot(*place, ".", color="0.35", markersize=2.5, zorder=2)
    for mark in marks:
        mark.set_offsets([new_place.get(place, place) for place in map(tuple, np.asarray(mark.get_offsets(), float))])
    for label, place in zip(labels, shifted, strict=True):
        label.xy = tuple(place)
        label.set_position(label.xy)
    axes.set(xlim=limits[0], ylim=limits[1])


def apart(at: NDArray[np.float64], diameter: float) -> NDArray[np.float64]:
    """Push points (n, 2) from each other until they are a diameter apart, within the largest allowed distance."""
    moved = at + 1e-3 * diameter * np.stack([np.cos(np.arange(len(at))), np.sin(np.arange(len(at)))], axis=1)
    for _ in range(ROUNDS):
        between = moved[:, None] - moved[None]
        distance = np.linalg.norm(between, axis=2) + np.eye(len(at)) * 1e9
        lack = np.clip(diameter - distance, 0, None)
        if lack.max() < 0.05 * diameter:
            break
        moved = moved + 0.5 * (between * (lack / distance)[..., None]).sum(axis=1)
        step = moved - at
        length = np.linalg.norm(step, axis=1, keepdims=True)
        moved = at + step * np.minimum(1, FARTHEST * diameter / np.maximum(length, 1e-9))
    is_near = np.linalg.norm(moved - at, axis=1) < 0.05 * diameter
    return np.where(is_near[:, None], at, moved)
