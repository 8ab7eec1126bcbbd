"""Colours and marks that mean the same in every figure, and panels that fail alone."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import SubFigure

from ainerd.views._spread import keep_apart
from ainerd.words import printable

logger = logging.getLogger(__name__)

# Okabe and Ito, distinct to the colour-blind too; after seven the same again, darker.
_PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442"]
UNASSIGNED = "#9a9a9a"
NOVEL = "#111111"


def regime_colour(regime: int) -> str:
    """Colour of a regime or cluster; grey if unassigned (-1)."""
    if regime < 0:
        return UNASSIGNED
    turn, place = divmod(regime, len(_PALETTE))
    red, green, blue = np.array(to_rgb(_PALETTE[place])) * 0.55**turn
    return to_hex((red, green, blue))


def name(regime: int, kinds: Mapping[int, str] | None = None) -> str:
    """What a regime is called, with the known kind that most of its runs look like, if there is one."""
    if regime < 0:
        return "unassigned"
    kind = (kinds or {}).get(regime)
    return f"regime {regime}" + (f" ({kind})" if kind else "")


def in_order(regimes: Iterable[int]) -> list[int]:
    """Each regime once, by number, unassigned last."""
    return sorted({int(regime) for regime in regimes}, key=lambda regime: (regime < 0, regime))


def panel_title(region: Axes | SubFigure, text: str) -> None:
    """What a panel shows."""
    if isinstance(region, Axes):
        region.set_title(text, loc="left", fontsize=11)
    else:
        region.suptitle(text, x=0.01, ha="left", fontsize=11)


def empty_panel(axes: Axes, text: str) -> None:
    """Say in an empty panel why it is empty."""
    place: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center"}
    axes.text(0.5, 0.5, text, color="0.45", fontsize=9, wrap=True, parse_math=False, **place)


def attempt(what: str, region: Axes | SubFigure, draw: Callable[[Any], object]) -> None:
    """Draw a panel; if that fails, say so in its place in one line, so that the other panels are not lost."""
    try:
        draw(region)
    except Exception as error:
        logger.exception("%s cannot be drawn", what)
        region.clear()
        axes = region if isinstance(region, Axes) else region.subplots()
        axes.set(xticks=[], yticks=[])
        reason = str(error).strip().partition("\n")[0]
        empty_panel(axes, printable(f"{what} cannot be drawn: {type(error).__name__}: {reason}"))


def discs(axes: Axes, runs: pd.DataFrame, x: str, y: str, *, size: float) -> None:
    """Runs as numbered discs in the colour of their regime, the novel ones ringed; many runs as plain dots."""
    numbered = len(runs) <= 60
    size = size if numbered else size / 4
    novel = runs[runs["novel"]]
    ring: dict[str, Any] = {"facecolor": "none", "edgecolor": NOVEL, "linewidth": 1.5}
    rings = axes.scatter(novel[x], novel[y], s=2.1 * size, zorder=4, **ring)
    filled = axes.scatter(runs[x], runs[y], s=size, c=list(runs["colour"]), edgecolor="white", linewidth=0.6, zorder=3)
    if not numbered:
        return
    labels = []
    for (px, py), same in runs.groupby([x, y], sort=False):
        numbers = list(same["scan"] if "scan" in same else same["number"])
        label = ",".join(map(str, numbers)) if len(numbers) < 3 else f"{numbers[0]}…{numbers[-1]}"
        dark = np.dot(to_rgb(same["colour"].iloc[-1]), (0.3, 0.59, 0.11)) < 0.6
        said = axes.annotate(
            label,
            (px, py),
            ha="center",
            va="center_baseline",
            fontsize=7 if len(label) < 3 else 5.5,
            color="white" if dark else "black",
            gid="on a mark",
            zorder=5,
        )
        labels.append(said)
    keep_apart(axes, [filled, rings], labels, size**0.5 * (1.45 if len(novel) else 1.0))
