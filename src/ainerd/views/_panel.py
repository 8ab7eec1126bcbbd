"""One panel of the campaign's figure as a file, with the width and the type size that journals ask for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from ainerd.views._figure import draw_first_strip, draw_latent, draw_map, draw_timeline, legend_of
from ainerd.views._scene import Scene
from ainerd.views._style import fit_titles, scale_marks, spread

MM = 1 / 25.4  # in inches
TYPE = 7.0  # points; no type is larger
SMALLEST = 5.0
ENDINGS = (".pdf", ".svg", ".png")
_EMBEDDED: dict[Any, Any] = {"pdf.fonttype": 42, "svg.fonttype": "none", "font.size": TYPE, "axes.linewidth": 0.5}

# Name: ratio of height to width, whether it has a legend of the regimes, and the function that draws it.
_PANELS: dict[str, tuple[float, bool, Callable[[Any, Scene, Any], object]]] = {
    "map": (1.1, True, lambda place, scene, runs: draw_map(place.subplots(), scene, runs)),
    "latent": (0.95, True, lambda place, scene, runs: draw_latent(place.subplots(), scene, runs)),
    "novelty": (0.8, True, lambda place, scene, runs: draw_first_strip(place.subplots(), scene, runs)),
    "timeline": (1.1, False, draw_timeline),
}


def panel_names(scene: Scene) -> list[str]:
    """Return the names of the panels of a campaign."""
    return [*_PANELS, *(["gallery"] if getattr(scene.panels, "gallery", None) else [])]


def save_panel(scene: Scene, panel: str, path: str | Path, *, width_mm: float = 85.0) -> Path:
    """Draw one panel to a file, and return its path.

    Parameters
    ----------
    scene : Scene
    panel : str
        One of `panel_names`.
    path : path
        Ends in .pdf, .svg or .png (600 dots an inch). Fonts are embedded in a PDF, text stays text in an SVG.
    width_mm : float
        Width of the file; 85 mm is a column in most journals.

    Raises
    ------
    ValueError
        If the panel is unknown, the path has another ending, or the width is out of range.
    """
    path = Path(path)
    if panel not in panel_names(scene):
        raise ValueError(f"there is no panel {panel!r}: there are {', '.join(panel_names(scene))}")
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"{path}: give a name that ends in {', '.join(ENDINGS)}")
    if not 20 <= width_mm <= 1000:
        raise ValueError(f"width_mm is a width in millimetres from 20 to 1000, got {width_mm}")
    gallery: Any = getattr(scene.panels, "gallery", None)
    height, has_legend, draw = _PANELS.get(panel, (0.45, False, lambda place, s, runs: gallery(place, s, runs)))
    with matplotlib.rc_context(_EMBEDDED):
        figure = Figure(figsize=(width_mm * MM, height * width_mm * MM), layout="constrained", dpi=150)
        runs = scene.runs
        draw(figure, scene, runs)
        if has_legend and len(runs):
            marks = legend_of(scene, runs)
            style: dict[str, Any] = {"frameon": False, "columnspacing": 1.0, "handletextpad": 0.3}
            figure.legend(handles=marks, loc="outside lower center", ncols=2 if width_mm < 120 else 4, **style)
        _fit(figure, width_mm)
        spread(figure)
        _fit_type(figure)
        fit_titles(figure)
        figure.savefig(path, dpi=600)
    return path


def _fit(figure: Figure, width_mm: float) -> None:
    """Scale marks and lines, which are made for the campaign's figure of 366 mm, to a small figure."""
    share = min(1.0, max(0.4, width_mm / 180))
    for artist in figure.findobj():
        if isinstance(artist, PathCollection):
            artist.set_sizes(artist.get_sizes() * share)
        elif isinstance(artist, Line2D):
            artist.set_markersize(artist.get_markersize() * share**0.5)
    scale_marks(figure, share**0.5)
    _fit_type(figure)


def _fit_type(figure: Figure) -> None:
    for text in figure.findobj(Text):
        on_mark = text.get_gid() == "on a mark"
        size = text.get_fontsize()
        text.set_fontsize(min(size, 4.5) if on_mark else min(max(size, SMALLEST), TYPE))
