"""What the main thread does while the RunEngine is busy: count frames on a line, and keep figures up to date."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import matplotlib
from bluesky.utils import DefaultDuringTask
from rich import get_console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ainerd.views import refresh_all

TICK_S = 0.2


_counting: "WeakSet[Any]" = WeakSet()


def show_progress_of(agent: Any) -> None:
    """Count the frames of an agent from now on, while the RunEngine is busy and the agent is not `quiet`.

    Its `progress` is the number of frames analysed, and announced if that is known; None between runs.
    """
    _counting.add(agent)


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
    if not console.is_terminal or console.is_jupyter or all(agent.quiet for agent in _counting):
        yield
        return
    with Live(console=console, get_renderable=_progress, refresh_per_second=1 / TICK_S, transient=True):
        yield


def _progress() -> Table | Text:
    """The run that is going on, as a bar; empty between runs."""
    for agent in list(_counting):
        if (counted := agent.progress) is not None:
            read, announced = counted
            line = Table.grid(padding=(0, 1))
            of = "" if announced is None else f" of {announced}"
            first = "; the first run of a session takes longest" if not read and not agent.concluded else ""
            line.add_row("analysed", ProgressBar(announced, read, width=30), f"{read}{of} frames{first}")
            return line
    return Text()
