"""The terminal output of an agent: its status, a line for each run, and its log.

Text from outside (reasons, names) goes through `printable` into `rich.text.Text`, where markup is not interpreted.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ainerd.results import Result
from ainerd.views._scene import Next
from ainerd.words import here, labelled, named_place, number_of, place, plain_address, printable, rendered, run_text

LINES = 60  # of the log that are shown, the newest


def status_panel(status: Mapping[str, Any]) -> Panel:
    """Return a panel with the status of the agent.

    Parameters
    ----------
    status : mapping
        ``attached`` (bool, for an agent with devices), ``tiled`` (address), ``page`` (address for a browser),
        ``results``, ``failed``, ``novel``, ``expected_false`` (flags by chance alone), ``regimes``,
        ``supported_range``, ``reads`` (who steers, if the session only reads), ``held`` (who holds the campaign and
        why, or empty), ``next`` (positions), ``units`` (of the positions), ``why``, ``explored`` (how far, in words),
        ``queue`` (points of people that wait), ``backlog`` (runs that have ended and are not analysed), ``free_gb``
        (free space) and ``busy`` (work that takes long). While Tiled does not answer: ``tiled``, ``backlog``,
        ``busy``, and ``away``, why the rest is unknown. The query of an address, which may hold a key, is not shown.
    """
    return Panel(labelled(_status_lines(status)), title="ainerd", title_align="left", expand=False)


def _status_lines(status: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    if "attached" in status:
        yield "attached", *(("yes", "green") if status["attached"] else ("no", "yellow"))
    for name in ("tiled", "page"):
        if status.get(name):
            yield name, plain_address(status[name]), ""
    if "away" in status:
        yield "", status["away"], "yellow"
    else:
        low, high = status["supported_range"]
        yield "results", f"{status['results']}" + (f", {status['failed']} failed" if status["failed"] else ""), ""
        yield "novel", f"{status['novel']} (chance alone gives about {status['expected_false']:.1f})", ""
        yield "regimes", f"{status['regimes']}" + (f" (it may be {low} to {high})" if low < high else ""), ""
        if status.get("reads"):
            yield "session", status["reads"], "yellow"
        if status.get("held"):
            yield "held by", status["held"], "yellow"
        if status["next"]:
            yield "next", named_place(status["next"], status["units"]), ""
        yield "why", status["why"], ""
        yield "explored", status["explored"], ""
        yield "queue", f"{number_of(status['queue'], 'point')} of people" if status["queue"] else "empty", ""
    waiting = status["backlog"]
    yield "analysis", f"{number_of(waiting, 'run')} to be analysed" if waiting else "up to date", ""
    if "free_gb" in status:
        yield "disk", f"{status['free_gb']:.3g} GB free", ""
    if status.get("busy"):
        yield "busy", status["busy"], "yellow"


def run_line(outcome: Result, following: Next, units: Mapping[str, str], names: Mapping[int, str] = {}) -> Text:
    """Return the line after a run: its result, and the next position, with its `units`, and the reason for it.

    `names` are those that people gave regimes.

    Examples
    --------
    >>> from ainerd.results import Result
    >>> outcome = Result(raw_uid="6f1d", key="6f1d", trial_id="1", status="failed", positions={}, reason="too dark")
    >>> str(run_line(outcome, Next(position={"sample_x": 3.0}, reason="unexplored"), {"sample_x": "mm"}))
    'scan ?: no result, too dark → next (3.00) mm: unexplored'
    """
    line = _line(f"{run_text(outcome.names)}: {outcome.verdict(names)}")
    if following.position:
        line.append(f" → next {place(following.position, units)}", "cyan")
        line.append(f": {printable(following.reason)}" if following.reason else "")
    return line


class Logbook(pd.DataFrame):
    """Lines of the log by time, as `ainerd.results.ResultStore.logbook` returns them.

    A DataFrame that shows times and texts, in local time. Rows of it, as of `tail`, show the same; without the columns
    ``created`` and ``text`` it is shown as any DataFrame.
    """

    @property
    def _constructor(self) -> "type[Logbook]":
        return Logbook

    def __repr__(self) -> str:
        return rendered(self) if {"created", "text"} <= {*self} else super().__repr__()

    def _repr_html_(self) -> str | None:  # the text is for notebooks too
        return None if {"created", "text"} <= {*self} else self.to_html(notebook=True, max_rows=LINES)

    def __rich__(self) -> Table | Text:
        if self.empty:
            return Text("nothing yet")
        lines = Table.grid(padding=(0, 2))
        lines.add_column(style="dim", no_wrap=True)
        lines.add_column()
        if len(self) > LINES:
            lines.add_row("", Text(f"… {len(self) - LINES} lines before", "dim"))
        newest = self.iloc[-LINES:]
        times = here(newest["created"].dt)
        day = None
        for time, text in zip(times, newest["text"], strict=True):
            if time.date() != day:
                day = time.date()
                lines.add_row(Text(f"{time:%a %d %b}", "bold"), "")
            lines.add_row(f"{time:%H:%M:%S}", _line(str(text)))
        return lines


def _line(text: str) -> Text:
    line = Text(printable(text))
    line.highlight_words(["(novel)"], "bold magenta")
    line.highlight_words(["no result", "rejected"], "yellow")
    return line
