"""A figure that follows a campaign: anyone may say that there is news, only the main thread draws."""

import io
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import matplotlib
from matplotlib.backends import BackendFilter, backend_registry
from matplotlib.figure import Figure

from ainerd.views._figure import SIZE, draw_campaign
from ainerd.views._scene import Scene
from ainerd.views._wall import draw_wall

logger = logging.getLogger(__name__)

STYLES: dict[str, Callable[[Figure, Scene], None]] = {
    "desk": lambda figure, scene: draw_campaign(figure, scene),
    "wall": draw_wall,
}
PERIOD_S = 0.5  # how often a window looks for news
_followed: "WeakSet[LiveFigure]" = WeakSet()


class LiveFigure:
    """The campaign's figure, drawn anew when there is news.

    With a matplotlib backend that has windows it is a window, which looks for news whenever its event loop runs: at
    the prompt (``%matplotlib`` sees to that) and while the RunEngine is busy (Qt, or any other with `WhileRunning`).
    In a notebook it is an image that is replaced. Without either it is drawn when it is saved.

    Parameters
    ----------
    read : callable
        Gives the newest `Scene`; called by `update`, in whichever thread that is.
    name : str
        Title of the window.
    style : {"desk", "wall"}
        Wall: large and light on dark, for a screen that is read from across a room.

    Raises
    ------
    RuntimeError
        If made in another thread than the main one.
    ValueError
        If there is no such style.
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
            self.figure = Figure(figsize=SIZE, layout="constrained")
        _followed.add(self)
        _refresh_after_each_cell()

    @property
    def is_open(self) -> bool:
        """Whether there is something to keep up to date: False once its window was closed."""
        if not self.has_window:
            return True
        from matplotlib import pyplot

        return pyplot.fignum_exists(self.figure.number)

    def update(self) -> None:
        """Read the newest scene; in any thread. It is drawn later, by the main one."""
        if self.is_open:
            self._scene = self._read()

    def refresh(self) -> None:
        """Draw what was read since the last time, if anything; in the main thread."""
        _only_the_main_thread()
        scene = self._scene
        if scene is not None and scene is not self._drawn and self.is_open:
            self._draw(scene)
            if self.has_window:
                self.figure.canvas.draw_idle()
            if self._image is not None:
                self._image.update(self._bundle(), raw=True)

    def savefig(self, path: Any, **options: Any) -> None:
        """Save what it shows now to a file, with options of `matplotlib.figure.Figure.savefig`; in the main thread."""
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
        STYLES[self.style](self.figure, scene)

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

        self.figure = pyplot.figure(num=self.name, figsize=SIZE, layout="constrained", clear=True)
        timer = self.figure.canvas.new_timer(interval=int(1000 * PERIOD_S))
        timer.add_callback(refresh_all)
        timer.start()
        # A timer of Qt must be stopped by the thread that started it, so not whenever it is collected as garbage.
        self.figure.canvas.mpl_connect("close_event", lambda event: timer.stop())
        pyplot.show(block=False)


def refresh_all(*, react: bool = False) -> None:
    """Draw the figures that have news, whatever becomes of one of them: a run must not end because of a picture.

    With `react` the windows' events wait for us, because no event loop is running.
    """
    for live in list(_followed):
        try:
            live.refresh()
            if react and live.has_window and live.is_open:
                live.figure.canvas.flush_events()
        except Exception:
            logger.exception("%r cannot be drawn", live)


def has_windows() -> bool:
    """Whether matplotlib's backend opens windows."""
    return matplotlib.get_backend().lower() in backend_registry.list_builtin(BackendFilter.INTERACTIVE)


def _only_the_main_thread() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("figures are drawn by the main thread: ask for them there")


def _refresh_after_each_cell() -> None:
    """Have IPython, if it is running, draw what came while a cell or a line was executed."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    if shell is not None and refresh_all not in shell.events.callbacks["post_execute"]:
        shell.events.register("post_execute", refresh_all)
