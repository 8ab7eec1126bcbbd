"""The campaign for a screen that is read from across a room: what was found last, where, and where next."""

import textwrap
from typing import Any

import numpy as np
from matplotlib import colors
from matplotlib.collections import Collection, PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from ainerd import words
from ainerd.views._figure import legend_of
from ainerd.views._sample_map import draw_map
from ainerd.views._scene import Scene
from ainerd.views._spread import fit_titles, spread
from ainerd.views._style import attempt, name
from ainerd.views._timeline import draw_first_strip

LARGER, MARKS = 1.9, 2.4  # type and area of marks, against those of a screen on a desk
BACKGROUND = "#101418"


def draw_wall(figure: Figure, scene: Scene) -> None:
    """Draw the campaign on an empty figure: a headline, the sample, the technique's gallery, novelty run after run."""
    runs = scene.runs
    left, right = np.asarray(figure.subfigures(1, 2, width_ratios=[1, 1.25]))
    head, middle, below = np.asarray(right.subfigures(3, 1, height_ratios=[0.5, 1, 0.62]))
    attempt("the sample map", left, lambda place: draw_map(place.subplots(), scene, runs))
    attempt("the headline", head, lambda place: _headline(place, scene, runs))
    gallery = getattr(scene.panels, "gallery", None)
    if gallery:
        attempt("the technique's gallery", middle, lambda place: gallery(place, scene, runs))
    attempt("the timeline", below, lambda place: draw_first_strip(place.subplots(), scene, runs))
    if len(runs):
        left.legend(handles=legend_of(scene, runs), loc="outside lower center", ncols=2, frameon=False)
    darken(figure)
    spread(figure)
    fit_titles(figure)


def darken(figure: Any) -> None:
    """Make type larger, and what is grey or black light on dark; pictures and colours stay."""
    for artist in figure.findobj():
        if artist.get_gid() == "on a mark":
            if isinstance(artist, Text):
                artist.set_fontsize(MARKS**0.5 * float(artist.get_fontsize()))
            continue
        if isinstance(artist, Text):
            artist.set_fontsize(LARGER * float(artist.get_fontsize()))
            artist.set_color(_light(artist.get_color()))
        elif isinstance(artist, Line2D):
            artist.set_color(_light(artist.get_color()))
            artist.set_linewidth(1.6 * artist.get_linewidth())
            artist.set_markeredgecolor(_light(artist.get_markeredgecolor()))
        elif isinstance(artist, Collection):
            if isinstance(artist, PathCollection):
                artist.set_sizes(MARKS * artist.get_sizes())
            for get, put in (
                (artist.get_facecolor, artist.set_facecolor),
                (artist.get_edgecolor, artist.set_edgecolor),
            ):
                found = np.atleast_2d(get())
                if found.size:
                    put([_light(each) for each in found])
        elif isinstance(artist, Patch):
            artist.set_facecolor(_light(artist.get_facecolor()))
            artist.set_edgecolor(_light(artist.get_edgecolor()))
    for axes in figure.axes:
        axes.set_facecolor(BACKGROUND)
        known = getattr(axes, "_ainerd_marks", [])
        axes._ainerd_marks = [(marks, labels, d * MARKS**0.5) for marks, labels, d in known]  # noqa: SLF001
    figure.set_facecolor(BACKGROUND)


def _light(colour: Any) -> Any:
    """A grey, turned round; any other colour as it is."""
    try:
        red, green, blue, alpha = colors.to_rgba(colour)
    except (TypeError, ValueError):
        return colour
    if max(red, green, blue) - min(red, green, blue) > 0.02:
        return colour
    return (*[0.06 + 0.9 * (1 - red)] * 3, alpha)


def _headline(place: Any, scene: Scene, runs: Any) -> None:
    axes = place.subplots()
    axes.set_axis_off()
    lines = []
    if len(runs):
        last = runs.iloc[-1]
        found = "failed" if not last["done"] else name(int(last["regime"]), scene.kinds)
        p = f"p = {last['p']:.2g}" if last["p"] == last["p"] else "no claim of novelty"
        lines += [f"scan {last['scan']}: {found}", ("● NOVEL, " if last["novel"] else "") + p]
    if scene.following is not None:
        lines.append(f"next {words.place(scene.following.position, scene.units)}")
        lines += textwrap.wrap(scene.following.reason, 50)[:2]
    style: dict[str, Any] = {"transform": axes.transAxes, "va": "top", "parse_math": False, "in_layout": False}
    axes.text(0, 1.0, lines[0] if lines else "nothing yet", fontsize=13, weight="bold", **style)
    axes.text(0, 0.68, "\n".join(lines[1:]), fontsize=9.5, linespacing=1.25, **style)
