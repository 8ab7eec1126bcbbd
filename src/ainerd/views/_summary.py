"""Lines and tables for the terminal.

Text from outside (reasons, names) goes through `plain` into `rich.text.Text`, where markup is not interpreted.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ainerd.views._plain import plain

_STATUS_STYLE = {"complete": "green", "failed": "red", "computing": "yellow"}


def results_table(
    results: pd.DataFrame, *, positions: Sequence[str] = ("sample_x", "sample_y"), unit: str = "mm"
) -> Table:
    """One line for each result.

    Parameters
    ----------
    results : pandas.DataFrame
        As `ainerd.results.ResultStore.table` gives it.
    positions : sequence of str
        Columns that say where a run was taken.
    unit : str
        Their unit.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("#", "scan", f"position ({unit})", "frames", "regime", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("novel", justify="center")
    table.add_column("status", overflow="fold", ratio=1)
    table.add_column("key", no_wrap=True, style="dim")
    for number, (key, row) in enumerate(results.iterrows(), start=1):
        status = str(row["status"])
        said = Text(status, _STATUS_STYLE.get(status, ""))
        if _known(row.get("reason")):
            said.append(f": {plain(row['reason'])}", "default")
        table.add_row(
            str(number),
            _number(row.get("scan_id"), "d"),
            _place({name: row.get(name) for name in positions}),
            _number(row.get("n_frames"), "d"),
            _regime(row.get("regime")),
            _number(row.get("novelty_p"), ".3g"),
            Text("●", "bold magenta") if _is_true(row.get("novel")) else "",
            said,
            Text(str(key)[:8]),
        )
    return table


def status_panel(status: Mapping[str, Any]) -> Panel:
    """How the agent is doing.

    Parameters
    ----------
    status : mapping
        Of these, what is known: ``attached`` (bool), ``tiled`` (address), ``results``, ``failed``, ``novel``,
        ``expected_false`` (flags expected by chance), ``regimes``, ``supported_range``, ``next`` (positions),
        ``why``, ``explored`` (how far, in words), ``queue`` (runs waiting). A key in the query of the address is not
        shown.
    """
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")

    def line(name: str, *parts: str, style: str = "") -> None:
        lines.add_row(name, Text(plain("".join(parts)), style))

    if "attached" in status:
        attached = bool(status["attached"])
        line("attached", "yes" if attached else "no", style="green" if attached else "yellow")
    if _known(status.get("tiled")):
        line("tiled", str(status["tiled"]).partition("?")[0])
    if "results" in status:
        failed = status.get("failed") or 0
        line("results", str(status["results"]), f", {failed} failed" if failed else "")
    if "novel" in status:
        expected = status.get("expected_false")
        line("novel", str(status["novel"]), f" ({expected:.1f} expected by chance)" if _known(expected) else "")
    if _known(status.get("regimes")):
        low, high = status.get("supported_range") or (None, None)
        line("regimes", str(status["regimes"]), f" ({low} to {high} supported)" if _known(low) else "")
    if status.get("next"):
        line("next", _place(status["next"], named=True))
    if _known(status.get("why")):
        line("why", str(status["why"]))
    if _known(status.get("explored")):
        line("explored", str(status["explored"]))
    if "queue" in status:
        line("queue", f"{status['queue']} waiting" if status["queue"] else "empty")
    return Panel(lines, title="ainerd", title_align="left", expand=False)


def run_line(
    number: int,
    *,
    regime: int | None = None,
    novelty_p: float | None = None,
    novel: bool | None = None,
    reason: str | None = None,
    next_point: Mapping[str, float] | None = None,
    why: str | None = None,
) -> Text:
    """One line after a run: what it was, and where next and why.

    Parameters
    ----------
    number : int
        Of the run.
    regime, novelty_p, novel
        What was said of it; None where nothing could be.
    reason : str, optional
        Why it could not be analysed.
    next_point : mapping of str to float, optional
        Where next, by motor.
    why : str, optional
        Why there.
    """
    line = Text(f"run {number}: ")
    if reason is not None:
        line.append("failed", "red").append(f", {plain(reason)}")
    else:
        line.append("no regime" if regime is None or regime < 0 else f"regime {regime}", "bold")
        line.append(f", p = {novelty_p:.3g}" if _known(novelty_p) else ", no claim of novelty")
        if novel:
            line.append(" ● novel", "bold magenta")
    if next_point:
        line.append(f" → next ({_place(next_point)})", "cyan")
        line.append(f": {plain(why)}" if why else "")
    return line


def _known(value: Any) -> bool:
    return not pd.isna(value)


def _is_true(value: Any) -> bool:
    return _known(value) and bool(value)


def _number(value: Any, form: str) -> str:
    return format(int(value) if form == "d" else float(value), form) if _known(value) else "–"


def _regime(value: Any) -> str:
    return "unassigned" if _known(value) and value < 0 else _number(value, "d")


def _place(positions: Mapping[str, Any], *, named: bool = False) -> str:
    shown = {name: _number(value, ".2f") for name, value in positions.items()}
    return ", ".join(f"{name} {value}" if named else value for name, value in shown.items())
