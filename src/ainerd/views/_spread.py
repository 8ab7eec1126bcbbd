"""Marks that would hide each other are moved apart, with a line to where they belong."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from numpy.typing import NDArray

ROUNDS = 60
SMALL = 200.0  # points
FARTHEST = 4.0  # a mark is moved by so many of its diameters at most

Label = tuple[Any, NDArray[np.float64]]


def keep_apart(axes: Axes, marks: list[PathCollection], labels: list[Any], diameter: float) -> None:
    """Remember marks of one set of points, (n, 2) offsets each, which `spread` may move; `diameter` in points."""
    known = getattr(axes, "_ainerd_marks", [])
    axes._ainerd_marks = [*known, (marks, labels, diameter)]  # type: ignore[attr-defined]  # noqa: SLF001


def spread(figure: Any) -> None:
    """Move the marks of a figure apart that lie on each other, once it is laid out."""
    crowded = [axes for axes in figure.axes if _may_be_crowded(axes)]
    if not crowded:
        return  # to lay it out takes as long as to draw it
    figure.draw_without_rendering()
    for axes in crowded:
        for marks, labels, diameter in axes._ainerd_marks:  # noqa: SLF001
            _spread_in(axes, marks, labels, diameter * figure.dpi / 72)


def _may_be_crowded(axes: Axes) -> bool:
    """Whether marks would lie on each other in axes of the smallest size that a campaign's figure has."""
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    for marks, _, diameter in getattr(axes, "_ainerd_marks", ()):
        if axes.get_yscale() == "log":
            return True
        at = np.concatenate([np.asarray(mark.get_offsets(), float) for mark in marks])
        at = np.unique(at[np.isfinite(at).all(axis=1)], axis=0) / (high - low) * SMALL
        distance = np.linalg.norm(at[:, None] - at[None], axis=2) + np.eye(len(at)) * 1e9
        if distance.size and distance.min() < diameter:
            return True
    return False


def fit_titles(figure: Any) -> None:
    """Make titles smaller that are wider than their axes, once the figure is laid out."""
    figure.draw_without_rendering()
    for axes in figure.axes:
        width = axes.get_window_extent().width * 1.15
        if axes.axison and axes.title.get_text() and axes.title.get_window_extent().width > width:
            share = width / axes.title.get_window_extent().width
            axes.title.set_fontsize(max(share * float(axes.title.get_fontsize()), 4.0))


def _spread_in(axes: Axes, marks: list[PathCollection], labels: list[Any], diameter: float) -> None:
    true = np.unique(np.concatenate([np.asarray(mark.get_offsets(), float) for mark in marks]), axis=0)
    true = true[np.isfinite(true).all(axis=1)]
    if len(true) < 2:
        return
    at = axes.transData.transform(true)
    moved = apart(at, diameter)
    shift = np.linalg.norm(moved - at, axis=1) > 0.5
    if not shift.any():
        return
    found = axes.transData.inverted().transform(moved)
    found[~shift] = true[~shift]
    where = {tuple(place): new for place, new in zip(true, found, strict=True)}
    limits = axes.get_xlim(), axes.get_ylim()
    for place, new in zip(true[shift], found[shift], strict=True):
        axes.plot(*zip(place, new, strict=True), color="0.35", linewidth=0.7, zorder=2)
        axes.plot(*place, ".", color="0.35", markersize=2.5, zorder=2)
    for mark in marks:
        offsets = np.asarray(mark.get_offsets(), float)
        if len(offsets):
            mark.set_offsets([where.get(tuple(place), place) for place in offsets])
    for label in labels:
        label.xy = tuple(where.get(tuple(np.asarray(label.xy, float)), label.xy))
        label.set_position(label.xy)
    axes.set(xlim=limits[0], ylim=limits[1])


def apart(at: NDArray[np.float64], diameter: float) -> NDArray[np.float64]:
    """Points (n, 2) pushed from each other until they are a diameter apart, as far as they may be moved."""
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
    moved[np.linalg.norm(moved - at, axis=1) < 0.05 * diameter] = at[
        np.linalg.norm(moved - at, axis=1) < 0.05 * diameter
    ]
    return moved
