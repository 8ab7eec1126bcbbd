"""A figure that follows a campaign: any thread may read a new scene, only the main thread draws."""

import io
import logging
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import matplotlib
import numpy as np
from matplotlib import colors
from matplotlib.backends.registry import BackendFilter, backend_registry
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from ainerd.views._figure import SIZE, draw_campaign, draw_legend, draw_panel, panel_names
from ainerd.views._scene import Scene
from ainerd.views._style import ON_MARK, attempt, fit_titles, spread
from ainerd.words import place as place_text

logger = logging.getLogger(__name__)

LARGER, MARKS = 1.9, 2.4  # type and area of marks, against those of a screen on a desk
BACKGROUND = "#101418"
STYLES = ("desk", "wall", "talk")
TALK_SIZE = (6.4, 6.9)  # inches: half of a slide of 13.3 × 7.5
TALK_TYPE, TALK_MARKS = 12.0, 1.6  # points; area of marks of the sample against those on a desk
PERIOD_S = 0.5  # between two checks of a window
_followed: "WeakSet[LiveFigure]" = WeakSet()


class LiveFigure:
    """The figure of a campaign, redrawn after each new scene.

    With a matplotlib backend that has windows, the figure is a window. It checks for a new scene while its event loop
    runs: at the prompt (through ``%matplotlib``) and while the RunEngine is busy (Qt, or any other backend with
    `WhileRunning`). In a notebook the figure is an image that is replaced. Otherwise it is drawn when it is saved.

    Parameters
    ----------
    read : callable
        Returns the newest `Scene`; called by `update`, in its thread.
    name : str
        Title of the window.
    style : {"desk", "wall", "talk"}
        Wall: large and light on dark, for a screen across the room. Talk: large, for half a slide.

    Raises
    ------
    RuntimeError
        If not created in the main thread.
    ValueError
        If the style is unknown.
    """

    def __init__(self, read: Callable[[], Scene], name: str, style: str = "desk") -> None:
        _only_the_main_thread()
        if style not in STYLES:
            raise ValueError(f"there is no style {style!r}: there are {', '.join(STYLES)}")
        self._read, self.name, self.style = read, name, style
        self._scene: Scene | None = None
        self._drawn: Scene | None = None
        self._image: Any = None  # where it is shown in a notebook
        self.has_window = has_windows()
        if self.has_window:
            self._open_window()
        else:
            self.figure = Figure(figsize=TALK_SIZE if style == "talk" else SIZE, layout="constrained")
        _followed.add(self)
        _refresh_after_each_cell()

    @property
    def is_open(self) -> bool:
        """Whether the figure is still updated: False after its window was closed."""
        if not self.has_window:
            return True
        from matplotlib import pyplot

        return pyplot.fignum_exists(self.figure.number)

    def update(self) -> None:
        """Read the newest scene; in any thread. The main thread draws it later."""
        if self.is_open:
            self._scene = self._read()

    def refresh(self) -> None:
        """Draw the scene that was read since the last drawing, if any; in the main thread."""
        _only_the_main_thread()
        scene = self._scene
        if scene is not None and scene is not self._drawn and self.is_open:
            self._draw(scene)
            if self.has_window:
                self.figure.canvas.draw_idle()
            if self._image is not None:
                self._image.update(self._bundle(), raw=True)

    def savefig(self, path: Any, **options: Any) -> None:
        """Draw the newest scene and save it, with options of `matplotlib.figure.Figure.savefig`; in the main thread."""
        _only_the_main_thread()
        self._draw(self._read())
        self.figure.savefig(path, **options)

    def __repr__(self) -> str:
        if self.has_window:
            return f"<LiveFigure {self.name!r}, {'in a window' if self.is_open else 'its window was closed'}>"
        return f"<LiveFigure {self.name!r}, no window with matplotlib's {matplotlib.get_backend()!r}: .savefig(path)>"

    def _draw(self, scene: Scene) -> None:
        self._drawn = scene
        self.figure.clear()
        draw = {"desk": draw_campaign, "wall": draw_wall, "talk": draw_talk}[self.style]
        draw(self.figure, scene)

    def _ipython_display_(self) -> None:
        from IPython import get_ipython
        from IPython.display import display

        if hasattr(get_ipython(), "kernel"):  # a notebook
            self._image = display(self._bundle(), raw=True, display_id=True)
        else:
            print(repr(self))

    def _bundle(self) -> dict[str, Any]:
        png = io.BytesIO()
        self.figure.savefig(png, format="png", dpi=100)
        return {"text/plain": repr(self), "image/png": png.getvalue()}

    def _open_window(self) -> None:
        from matplotlib import pyplot

        self.figure = pyplot.figure(
            num=self.name, figsize=TALK_SIZE if self.style == "talk" else SIZE, layout="constrained", clear=True
        )
        timer = self.figure.canvas.new_timer(interval=int(1000 * PERIOD_S))
        timer.add_callback(refresh_all)
        timer.start()
        # A Qt timer must be stopped in the thread that started it, so not by the garbage collector.
        self.figure.canvas.mpl_connect("close_event", lambda event: timer.stop())
        pyplot.show(block=False)


def refresh_all(*, react: bool = False) -> None:
    """Draw all figures that have a new scene; errors are logged, as a run must not end because of a picture.

    With `react`, also process the events of windows, for when no event loop is running.
    """
    for live in list(_followed):
        try:
            live.refresh()
            if react and live.has_window and live.is_open:
                live.figure.canvas.flush_events()
        except Exception:
            logger.exception("%r cannot be drawn", live)


def has_windows() -> bool:
    """Return whether matplotlib's backend opens windows."""
    return matplotlib.get_backend().lower() in backend_registry.list_builtin(BackendFilter.INTERACTIVE)


def _only_the_main_thread() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("figures are drawn by the main thread: ask for them there")


def _refresh_after_each_cell() -> None:
    """Make IPython, if it is running, draw new scenes after each cell or line."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    if shell is not None and refresh_all not in shell.events.callbacks["post_execute"]:
        shell.events.register("post_execute", refresh_all)


def draw_wall(figure: Figure, scene: Scene) -> None:
    """Draw the campaign for a large screen: a headline, the sample, the technique's gallery, novelty run after run."""
    runs = scene.runs
    left, right = np.asarray(figure.subfigures(1, 2, width_ratios=[1, 1.25]))
    head, middle, below = np.asarray(right.subfigures(3, 1, height_ratios=[0.5, 1, 0.62]))
    attempt("the headline", head, lambda place: _headline(place, scene, runs))
    for panel, place in {"map": left, "gallery": middle, "novelty": below}.items():
        if panel in panel_names(scene):
            draw_panel(panel, place, scene, runs)
    if len(runs):
        draw_legend(left, scene, runs, 2)
    _wrap_legend(left, 18)
    _enlarge(figure)
    _darken(figure)
    spread(figure)
    fit_titles(figure)


def draw_talk(figure: Figure, scene: Scene) -> None:
    """Draw the campaign for half a slide: the sample, the technique's gallery, novelty run after run."""
    runs = scene.runs
    top, middle, below = np.asarray(figure.subfigures(3, 1, height_ratios=[1.4, 1.15, 0.75]))
    left, right = np.asarray(top.subfigures(1, 2, width_ratios=[1.25, 1]))
    for panel, place in {"map": left, "gallery": middle, "novelty": below}.items():
        if panel in panel_names(scene):
            draw_panel(panel, place, scene, runs)
    if len(runs):
        draw_legend(right, scene, runs, 1, "center left")
    for text in figure.findobj(Text):
        on_mark = text.get_gid() == ON_MARK
        text.set_fontsize(1.25 * float(text.get_fontsize()) if on_mark else TALK_TYPE)
        text.set_visible(text.get_visible() and not (on_mark and text.axes in below.axes))  # the axis has the scans
    for marks in left.findobj(PathCollection):
        marks.set_sizes(TALK_MARKS * marks.get_sizes())
    _wrap_legend(right, 28)
    _fit_legend(figure, right)
    for axes in figure.axes:
        most = 3 if axes.get_label() == "<colorbar>" else 4
        for axis in (axes.xaxis, axes.yaxis):
            if axes not in below.axes and len(axis.get_majorticklocs()) > most:
                axis.set_major_locator(MaxNLocator(most))
        axes.set_title("\n".join(textwrap.wrap(axes.get_title().partition("\n")[0], 14)), fontsize=TALK_TYPE)
    spread(figure)


def _wrap_legend(place: Any, width: int) -> None:
    """Break the lines of a legend, if there is one, after so many characters."""
    for text in (text for legend in place.legends for text in legend.get_texts()):
        text.set_text("\n".join(textwrap.wrap(text.get_text(), width)))


def _fit_legend(figure: Figure, place: Any) -> None:
    """Make the type of a legend smaller until it is no higher than its place."""
    figure.draw_without_rendering()
    for legend in place.legends:
        share = min(1.0, place.bbox.height / legend.get_window_extent().height)
        for text in legend.get_texts():
            text.set_fontsize(share * float(text.get_fontsize()))


def _enlarge(figure: Any) -> None:
    for artist in figure.findobj():
        if isinstance(artist, Text):
            larger = MARKS**0.5 if artist.get_gid() == ON_MARK else LARGER
            artist.set_fontsize(larger * float(artist.get_fontsize()))
        elif isinstance(artist, Line2D):
            artist.set_linewidth(1.6 * artist.get_linewidth())
        elif isinstance(artist, PathCollection):
            artist.set_sizes(MARKS * artist.get_sizes())


def _darken(figure: Any) -> None:
    """Invert grey and black for a dark background; pictures and colours stay."""
    for artist in figure.findobj():
        on_mark = artist.get_gid() == ON_MARK
        for name in () if on_mark else ("color", "facecolor", "edgecolor", "markeredgecolor"):
            present: Any = getattr(artist, f"get_{name}", tuple)()
            if len(present):
                artist.set(**{name: _light(present)})
    for each in (figure, *figure.axes):
        each.set_facecolor(BACKGROUND)


def _light(colour: Any) -> Any:
    """Invert greys; return other colours as they are."""
    rgba = np.array(colors.to_rgba(colour) if np.ndim(colour) < 2 else colour, ndmin=2)
    grey = np.ptp(rgba[:, :3], axis=1) <= 0.02
    rgba[grey, :3] = 0.06 + 0.9 * (1 - rgba[grey, :1])
    return rgba[0] if np.ndim(colour) < 2 else rgba


def _headline(place: Any, scene: Scene, runs: Any) -> None:
    axes = place.subplots()
    axes.set_axis_off()
    lines = []
    if len(runs):
        last = runs.iloc[-1]
        result = "failed" if not last["done"] else scene.name(int(last["regime"]))
        p = f"p = {last['p']:.2g}" if last["p"] == last["p"] else "no claim of novelty"
        lines += [f"scan {last['scan']}: {result}", ("● NOVEL, " if last["novel"] else "") + p]
    if scene.following is not None:
        lines.append(f"next {place_text(scene.following.position, scene.units)}")
        lines += textwrap.wrap(scene.following.reason, 50)[:2]
    style: dict[str, Any] = {"transform": axes.transAxes, "va": "top", "parse_math": False, "in_layout": False}
    axes.text(0, 1.0, lines[0] if lines else "nothing yet", fontsize=13, weight="bold", **style)
    axes.text(0, 0.68, "\n".join(lines[1:]), fontsize=9.5, linespacing=1.25, **style)
