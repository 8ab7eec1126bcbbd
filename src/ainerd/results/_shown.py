"""The table of results as people read it: the newest ones, in the columns that are asked for at the beamline."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from ainerd.results._which import SHORT, scan_text
from ainerd.technique import panels
from ainerd.words import coordinate, here, printable

if TYPE_CHECKING:
    from rich.table import Table

logger = logging.getLogger(__name__)

LINES = 60  # shown at most, the newest


class ResultTable(pd.DataFrame):
    """Results as `ainerd.results.ResultStore.table` gives them.

    A DataFrame of everything, which shows itself as what people ask for; what is computed from it is a plain one.
    """

    def __repr__(self) -> str:
        from rich.console import Console

        console = Console()
        with console.capture() as capture:
            console.print(self)
        return "\n".join(line.rstrip() for line in capture.get().splitlines())

    def __rich__(self) -> "Table | str":
        return "no results" if self.empty else rich_table(self)

    def _repr_html_(self) -> str:
        return shown(self).to_html(index=False, border=0)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The newest results as text: scan, time, sample, position, regime, p, what the technique says, status and key.

    The p of a novel one has a ●. A column that would be empty is left out.
    """
    newest = table.iloc[-LINES:]
    rows = [_row(str(key), row, table.attrs) for key, row in zip(newest.index, newest.to_dict("records"), strict=True)]
    columns = dict.fromkeys(name for row in rows for name in row)  # of several techniques, each has its own
    order = [name for name in columns if name not in _LAST] + [name for name in _LAST if name in columns]
    text = pd.DataFrame([{name: row.get(name, "") for name in order} for row in rows], columns=order)
    return text.loc[:, [name for name in order if name in _ALWAYS or text[name].ne("").any()]]


def rich_table(table: pd.DataFrame) -> "Table":
    """The same for a terminal."""
    from rich.table import Table
    from rich.text import Text

    text = shown(table)
    lines = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for name in text:
        words = name in _WORDS
        heading = Text(str(name).replace(", ", ",\n"))
        lines.add_column(heading, justify="left" if words else "right", no_wrap=not words, min_width=10 * words)
    for cells in text.to_dict("records"):
        novel, failed = cells["p"].endswith(NOVEL), cells["status"].startswith("failed")
        style = "bold magenta" if novel else "yellow" if failed else ""
        lines.add_row(*(Text(printable(cell), style) for cell in cells.values()))
    if len(table) > LINES:
        lines.caption, lines.caption_justify = f"and {len(table) - LINES} before", "left"
    return lines


NOVEL = " ●"
_LAST = ("note", "status", "key")
_ALWAYS = ("scan", "time", "regime", "p", "status", "key")
_WORDS = ("sample", "note", "status")


def _row(key: str, said: Mapping[Any, Any], attrs: Mapping[Any, Any]) -> dict[str, str]:
    known = {name: x for name, x in said.items() if not pd.isna(x)}
    when = known.get("event_time", known.get("run_time"))
    names, units = attrs.get("positions", ()), attrs.get("units", {})
    status = str(known.get("status", "?"))
    return {
        "scan": scan_text(known.get("scan_id"), known.get("event")),
        "time": _local(when),
        "sample": str(known.get("sample", "")),
        _headed(names, units): ", ".join(coordinate(known[name]) for name in names if name in known),
        "regime": _regime(known),
        "p": (f"{known['novelty_p']:.2g}" if "novelty_p" in known else "") + NOVEL * bool(known.get("novel")),
        **({} if status == "failed" else _said_by_technique(known, units)),
        "note": str(known.get("note", "")),
        "status": f"{status}: {known['reason']}" if "reason" in known else status,
        "key": key[:SHORT],
    }


def _said_by_technique(known: Mapping[Any, Any], units: Mapping[str, str]) -> Mapping[str, str]:
    say = getattr(panels(str(known.get("technique"))), "columns", None)
    if say is None:
        return {}
    try:
        return {str(name): str(text) for name, text in say(known, units).items()}
    except Exception:  # it may be anybody's code
        logger.exception("the columns of technique %r are not shown", known.get("technique"))
        return {}


def _headed(names: Sequence[str], units: Mapping[str, str]) -> str:
    """Heading of the position: its motors, with their unit where that is one."""
    found = {units.get(name, "") for name in names}
    if len(found) == 1:
        (unit,) = found
        return ", ".join(names) + (f" ({unit})" if unit else "")
    return ", ".join(f"{name} ({units[name]})" if name in units else name for name in names) or "position"


def _regime(known: Mapping[Any, Any]) -> str:
    regime = known.get("regime")
    return "" if regime is None else "–" if regime < 0 else str(int(regime))


def _local(when: Any) -> str:
    """A time at the clock on the wall, with its day if that is not today."""
    if when is None:
        return ""
    time = here(when)
    return f"{time:%H:%M:%S}" if time.date() == datetime.now().date() else f"{time:%d %b %H:%M:%S}"
