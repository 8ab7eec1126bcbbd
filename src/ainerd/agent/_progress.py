"""What the main thread does while the RunEngine is busy: count frames on a line, and keep figures up to date."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from weakref import WeakSet

import matplotlib
from bluesky.utils import DefaultDuringTask
from rich import get_console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ainerd.views._live import refresh_all

TICK_S = 0.2


class Watched(Protocol):
    """Who counts frames."""

    quiet: bool

    @property
    def progress(self) -> tuple[int, int | None] | None:
        """Frames analysed and announced of the run that is going on; None between runs."""
        ...


_watched: "WeakSet[Any]" = WeakSet()


def show_progress_of(watched: Watched) -> None:
    """Count the frames of `watched` from now on, while the RunEngine is busy."""
    _watched.add(watched)


class WhileRunning(DefaultDuringTask):
    """A during task that shows how a run gets on: ``RunEngine(during_task=WhileRunning())``.

    While the RunEngine is busy it counts the frames that were analysed on the terminal's last line, and redraws the
    figures of ``agent.plot()``; at the prompt, paused too, it leaves the terminal alone. With a Qt backend the main
    thread runs Qt's event loop, as bluesky's own during task does, and windows redraw themselves.
    """

    def block(self, blocking_event: threading.Event) -> None:
        """Wait until the plan has finished or pauses."""
        with _progress_line():
            if "qt" in matplotlib.get_backend().lower():
                super().block(blocking_event)
            while not blocking_event.wait(TICK_S):
                refresh_all(react=True)


@contextmanager
def _progress_line() -> Iterator[None]:
    console = get_console()  # whoever prints there prints above the line
    if not console.is_terminal or console.is_jupyter or all(watched.quiet for watched in _watched):
        yield
        return
    with Live(console=console, get_renderable=_progress, refresh_per_second=1 / TICK_S, transient=True):
        yield


def _progress() -> Table | Text:
    """The run that is going on, as a bar; empty between runs."""
    for watched in list(_watched):
        counted = watched.progress
        if counted is not None:
            read, expected = counted
            of = f"{read} of {expected} frames" if expected else f"{read} frames"
            line = Table.grid(padding=(0, 1))
            line.add_row("analysed", ProgressBar(expected, read, width=30), of)
            return line
    return Text()
