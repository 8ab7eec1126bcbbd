"""The terminal output of an agent: its status, a line for each run, and its log.

Text from outside (reasons, names) goes through `printable` into `rich.text.Text`, where markup is not interpreted.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ainerd.words import here, named_place, place, printable, rendered

LINES = 60  # of the log that are shown, the newest


def status_panel(status: Mapping[str, Any]) -> Panel:
    """Return a panel with the status of the agent.

    Parameters
    ----------
    status : mapping
        Any of: ``attached`` (bool), ``tiled`` (address), ``page`` (address for a browser), ``results``, ``failed``,
        ``novel``, ``expected_false`` (flags expected by chance), ``regimes``, ``supported_range``, ``next``
        (positions), ``why``, ``explored`` (how far, in words), ``queue`` (runs waiting), ``units`` (of the positions),
        ``away`` (why the rest is unknown). The query of an address, which may hold a key, is not shown.
    """
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")

    def line(name: str, text: str, style: str = "") -> None:
        lines.add_row(name, Text(printable(text), style))

    if "attached" in status:
        line("attached", *(("yes", "green") if status["attached"] else ("no", "yellow")))
    for name in ("tiled", "page"):
        if status.get(name):
            line(name, str(status[name]).partition("?")[0])
    if status.get("away"):
        line("", str(status["away"]), "yellow")
    if "results" in status:
        line("results", str(status["results"]) + (f", {status['failed']} failed" if status.get("failed") else ""))
    if "novel" in status:
        expected = status.get("expected_false")
        line("novel", str(status["novel"]) + (f" ({expected:.1f} expected by chance)" if pd.notna(expected) else ""))
    if pd.notna(status.get("regimes")):
        low, high = status.get("supported_range") or (None, None)
        line("regimes", str(status["regimes"]) + (f" ({low} to {high} supported)" if pd.notna(low) else ""))
    if status.get("next"):
        line("next", named_place(status["next"], status.get("units", {})))
    for name in ("why", "explored"):
        if status.get(name):
            line(name, str(status[name]))
    if "queue" in status:
        line("queue", f"{status['queue']} waiting" if status["queue"] else "empty")
    return Panel(lines, title="ainerd", title_align="left", expand=False)


def run_line(
    scan: str,
    *,
    regime: int | None = None,
    novelty_p: float | None = None,
    novel: bool | None = None,
    reason: str | None = None,
    growing: bool = False,
    next_point: Mapping[str, float] | None = None,
    units: Mapping[str, str] | None = None,
    why: str | None = None,
) -> Text:
    """Return the line after a run: its result, and the next position with the reason for it.

    `scan` is its number, ``12`` or ``12.2``. `novelty_p` is None without a claim of novelty. `reason` is why the
    run could not be analysed (if `growing`, why its series has no numbers yet). `next_point` and `units` are by motor.
    """
    line = Text(f"scan {printable(scan)}: ").append("growing, " if growing else "")
    if reason is not None:
        line.append("" if growing else "failed, ", "red").append(printable(reason))
    else:
        line.append("no regime" if regime is None or regime < 0 else f"regime {regime}", "bold")
        line.append(f", p = {novelty_p:.3g}" if pd.notna(novelty_p) else ", no claim of novelty")
        if novel:
            line.append(" ● novel", "bold magenta")
    if next_point:
        line.append(f" → next {place(next_point, units or {})}", "cyan")
        line.append(f": {printable(why)}" if why else "")
    return line


class Logbook(pd.DataFrame):
    """Lines of the log by time, as `ainerd.results.ResultStore.logbook` returns them.

    A DataFrame that shows times and texts, in local time; operations on it return a plain DataFrame.
    """

    _repr_html_ = None  # the text is for notebooks too

    def __repr__(self) -> str:
        return rendered(self)

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
