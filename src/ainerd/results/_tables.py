"""Results as people see them: one table, how it shows itself, and which result a scan number or a key means."""

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ainerd.results._conditions import TIMES, distinct
from ainerd.results._records import AtlasRecord, Metadata, ResultRecord
from ainerd.results._table import Notes
from ainerd.technique import panels
from ainerd.words import coordinate, here, printable, rendered, scan_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

logger = logging.getLogger(__name__)

LINES = 60  # of a table that are shown, the newest
NOVEL = " ●"
MOST = 30  # columns of a table of results, unless all are asked for
FIRST = [  # of them
    "scan_id", "event", "run_time", "status", "regime", "regime_name", "novelty_p", "novel", "reason", "left_out",
    "raw_uid", "note",
]  # fmt: skip
_DTYPES: Mapping[str, Any] = {
    **dict.fromkeys(("scan_id", "event", "n_events", "n_frames", "regime", "regime_then"), "Int64"),
    **dict.fromkeys(("regime_name", "left_out", "reason", "superseded_by", "note"), object),
    "novel": "boolean",
    **dict.fromkeys(("novelty_p", "own_p"), "float64"),
}
_STATISTICS = ("own_p", "atlas_version", "digest", "whole_frames", "mean_frame_binning")  # never among the first
_LAST = ("note", "status", "key")  # of the columns that are shown
_ALWAYS = ("scan", "time", "regime", "p", "status", "key")
_WORDS, NARROW = ("sample", "note", "status"), 10  # columns that may wrap, down to so many characters
WIDE = 16  # as NARROW, for the technique's columns
KEY_LENGTH = 36
SHORT_KEY = 8  # characters of a key that tables show


class ResultTable(pd.DataFrame):
    """Results as `ainerd.results.ResultStore.table` returns them.

    A DataFrame that shows the columns people ask for. Rows of it show the same; a table with other
    columns is shown as any DataFrame.
    """

    _metadata = ["whole"]  # pandas passes it on
    whole: "ResultTable | None" = None

    @property
    def _constructor(self) -> "type[ResultTable]":
        return ResultTable

    def narrow(self) -> "ResultTable":
        """Return the columns that people ask for, `MOST` at most: places, quantities with a unit or an error, words.

        It shows itself as the whole table does.
        """
        units, lead = self.attrs["units"], [*FIRST, "sample", *self.attrs["positions"], "dynamics"]

        def rank(name: str) -> tuple[bool, bool, bool]:
            of = re.sub("_(err|above|below)$", "", name)
            is_inner = name in ResultRecord.model_fields or name.endswith(("_p", "_min", "_max", "_last"))
            return is_inner, units.get(of, "1") == "1", f"{of}_err" not in self

        others = [x for x in map(str, self) if x not in (*lead, *_STATISTICS) and not x.startswith("strange")]
        chosen = {*lead, *sorted(others, key=rank)[: MOST - len({*lead} & {*self})]}
        table = self[[name for name in self if name in chosen]]
        table.whole = self
        return table

    @property
    def _is_of_results(self) -> bool:
        return {"scan_id", "run_time", "status"} <= {*self} and self.index.name == "key"

    def __repr__(self) -> str:
        return rendered(self) if self._is_of_results else super().__repr__()

    def __rich__(self) -> "_Shown | str":
        return "no results" if self.empty else _Shown(self)

    def _repr_html_(self) -> str:
        if not self._is_of_results:
            return self.to_html(notebook=True, max_rows=LINES)
        return self.text().to_html(index=False, border=0)

    def text(self, n: int = LINES) -> pd.DataFrame:
        """Return the newest `n` results as text: scan, time, sample, position, regime, p, the technique's columns, etc.

        The p of a novel result has a ●. A column that would be empty is left out.
        """
        newest = self.iloc[-n:]
        given = newest.to_dict("records")
        if (whole := self.whole) is not None and newest.index.isin(whole.index).all():
            known = whole.loc[newest.index].to_dict("records")
            given = [all_of | some for all_of, some in zip(known, given, strict=True)]
        rows = [_cells(str(key), row, self.attrs) for key, row in zip(newest.index, given, strict=True)]
        columns = dict.fromkeys(name for row in rows for name in row)  # each technique has its own
        order = [name for name in columns if name not in _LAST] + [name for name in _LAST if name in columns]
        text = pd.DataFrame(rows, columns=order).fillna("")
        return text.loc[:, [name for name in order if name in _ALWAYS or text[name].ne("").any()]]


def result_table(results: pd.DataFrame, atlas: AtlasRecord | None, notes: Notes = ()) -> ResultTable:
    """Return results as a table without their nested metadata, in the same order.

    `results` are metadata by key; `atlas` is the newest one.
    """
    of_objects = results.select_dtypes(object)
    nested = [name for name in of_objects if any(isinstance(x, dict | list) for x in of_objects[name])]
    table = results.drop(columns=nested).assign(regime_then=results["regime"])
    if atlas is not None:
        now = pd.Series(atlas.labels, dtype=float).reindex(table.index)
        table["regime"] = now.where(now.notna(), table["regime"])
    names, left_out = ({}, {}) if atlas is None else (atlas.names, atlas.left_out)
    table["left_out"] = [left_out.get(key) for key in table.index]
    numbers = table["regime"].astype(float).map("{:.0f}".format)
    table["regime_name"] = [names.get(of, {}).get(n) for of, n in zip(table["agent"], numbers, strict=True)]
    noted = {key: "; ".join(some) for key, some in notes_by_key(results, notes).items()}
    table["note"] = [noted.get(key, np.nan) for key in table.index]
    for name in {*TIMES} & {*table}:
        table[name] = times_of(table[name])
    table["created"] = pd.to_datetime(table["created"], utc=True, format="ISO8601")
    known = [name for name in table if table[name].notna().any()]
    always = [*FIRST, "own_p", "regime_then", "superseded_by"]
    table = ResultTable(table[[*dict.fromkeys([*always, *known])]])
    table = table.astype({name: dtype for name, dtype in _DTYPES.items() if name in table})
    units = {name: unit for some in distinct(results["units"]) for name, unit in some.items()}
    table.attrs["units"] = ({"frame_time_s": "s"} if "frame_time_s" in table else {}) | units
    for kind in ("positions", "series"):
        table.attrs[kind] = list(dict.fromkeys(name for some in distinct(results[kind]) for name in some))
    return table


def times_of(seconds: ArrayLike) -> "pd.Index[Any]":
    """Convert seconds since 1970, or NaN, to times; pandas < 3 multiplies uninitialized values (its issue 58419)."""
    values = np.asarray(seconds, float)
    known = np.isfinite(values)
    return pd.to_datetime(np.where(known, values, 0.0), unit="s", utc=True).where(known)


class _Shown:
    """Results for a terminal. If it is too narrow, the least important columns are left out, and named below."""

    def __init__(self, table: ResultTable) -> None:
        self._text = table.text()
        self._above = [f"and {len(table) - LINES} before"] if len(table) > LINES else []

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.table import Table
        from rich.text import Text

        text = _fitting(self._text, options.max_width)
        lines = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
        for name in text:
            justify: Literal["left", "right"] = "left" if name in _WORDS else "right"
            least, widest = _widths(text, name)
            lines.add_column(Text(_heading(name)), justify=justify, no_wrap=least == widest, min_width=least)
        for cells in text.to_dict("records"):
            novel, failed = cells["p"].endswith(NOVEL), cells["status"].startswith("failed")
            style = "bold magenta" if novel else "yellow" if failed else ""
            lines.add_row(*(Text(printable(cell), style) for cell in cells.values()))
        left_out = [str(name) for name in self._text if name not in text]
        caption = [*self._above]
        caption += [f"a wider terminal also shows {', '.join(left_out)}"] * bool(left_out)
        if caption:
            lines.caption, lines.caption_justify = "\n".join(caption), "left"
        yield lines


def _heading(name: object) -> str:
    return str(name).replace(", ", ",\n")


def _fitting(text: pd.DataFrame, width: int) -> pd.DataFrame:
    """Return the columns of a table of text for which there is room. Scan, position, regime, p and status stay."""
    widths = {name: 1 + _widths(text, name)[0] for name in text}
    for name in ("time", *reversed(_of_technique(text)), "key", "note", "sample"):
        if sum(widths.values()) > width + 1:
            widths.pop(name, None)
    return text[[*widths]]


def _of_technique(text: pd.DataFrame) -> list[str]:
    return [name for name in [*text][[*text].index("p") + 1 :] if name not in _LAST]


def _widths(text: pd.DataFrame, name: object) -> tuple[int, int]:
    """Return the least and the largest width of a column. Words and the technique's numbers may wrap."""
    widest = max(map(len, (*_heading(name).split("\n"), *text[name])))
    return min(widest, NARROW if name in _WORDS else WIDE if name in _of_technique(text) else widest), widest


def _cells(key: str, row: Mapping[object, Any], attrs: Mapping[object, Any]) -> dict[str, str]:
    known = {name: x for name, x in row.items() if not pd.isna(x)}
    names, units, own_level = attrs.get("positions", ()), attrs.get("units", {}), attrs.get("own_level")
    p, novel = known.get("novelty_p"), bool(known.get("novel"))
    if own_level is not None:  # the exposures of this session are compared with each other
        p = known.get("own_p")
        novel = p is not None and p <= own_level
    status, regime = str(known.get("status", "?")), known.get("regime")
    return {
        "distance": f"{known['distance']:.3g}" if "distance" in known else "",  # of `similar`
        "scan": scan_text(known),
        "time": _local(known.get("event_time", known.get("run_time"))),
        "sample": str(known.get("sample", "")),
        _position_heading(names, units): ", ".join(coordinate(known[name]) for name in names if name in known),
        "regime": ""
        if regime is None
        else "–"
        if regime < 0
        else f"{regime:.0f} {known.get('regime_name', '')}".rstrip(),
        "p": ("" if p is None else f"{p:.2g}") + NOVEL * novel,
        **({} if status == "failed" else _technique_cells(known, units)),
        "note": str(known.get("note", "")),
        "status": ": ".join(known[name] for name in ("status", "reason") if name in known)
        + (f", left out by {known['left_out']}" if "left_out" in known else ""),
        "key": key[:SHORT_KEY],
    }


def _technique_cells(known: Mapping[object, object], units: Mapping[str, str]) -> Mapping[str, str]:
    columns = getattr(panels(str(known.get("technique"))), "columns", None)
    if columns is None:
        return {}
    try:
        return {str(name): str(text) for name, text in columns(known, units).items()}
    except Exception:  # a technique may be anybody's code
        logger.exception("the columns of technique %r are not shown", known.get("technique"))
        return {}


def _position_heading(names: Sequence[str], units: Mapping[str, str]) -> str:
    """Return the names of the motors, with the unit once if they share it."""
    distinct_units = {units.get(name, "") for name in names}
    if len(distinct_units) == 1:
        (unit,) = distinct_units
        return ", ".join(names) + (f" ({unit})" if unit else "")
    return ", ".join(f"{name} ({units[name]})" if name in units else name for name in names) or "position"


def _local(when: object) -> str:
    """Return a time in the local time zone, with its day unless that is today."""
    if when is None:
        return ""
    time = here(when)
    return f"{time:%H:%M:%S}" if time.date() == datetime.now().date() else f"{time:%d %b %H:%M:%S}"


def find_key(results: pd.DataFrame, run: str | int | float) -> str:
    """Return the key of the result that a person means.

    Parameters
    ----------
    results : pandas.DataFrame
        Metadata by key, by time of the run.
    run : int, float or str
        The number of a scan, ``12`` (its first result); ``"12.2"`` or ``12.2`` for its second event; or the first
        characters of a key.

    Raises
    ------
    KeyError
        If no result matches, or several do, also if several runs with this scan number have results.
    """
    text = str(run).removesuffix(".0")  # pandas makes floats of integers where one is missing
    number = re.fullmatch(r"(\d{1,7})(?:\.(\d+))?", text)
    if number is None:
        keys = [str(key) for key in results.index if key.startswith(text)] if text else []
        if len(keys) != 1:
            reason = f"{len(keys)} results have keys that begin so" if keys else "no result has such a key"
            raise KeyError(f"no result {text!r}: {reason}; see the table of results")
        return keys[0]
    scan, event = int(number[1]), int(number[2] or 1)
    of_scan = results[results["scan_id"] == scan]
    if of_scan.empty:
        raise KeyError(f"no result {text!r}: scan {scan} has none; see the table of results")
    runs = _usable(of_scan).drop_duplicates("raw_uid")
    if len(runs) > 1:
        which = ", ".join(f"{str(key)[:8]} ({_when(time)})" for key, time in runs["run_time"].items())
        raise KeyError(f"scan {scan} was taken {len(runs)} times: give one by its key, {which}")
    of_run = of_scan[of_scan["raw_uid"].isin(runs["raw_uid"])]
    events = of_run["event"].fillna(1)
    if isinstance(run, float) and events.eq(10 * event).any():  # Python reads 12.10 as 12.1
        raise KeyError(f"{run} is '{scan}.{event}' or '{scan}.{event}0': write it in quotes")
    if not events.eq(event).any():
        known = ", ".join(f"{scan}.{one:.0f}" for one in events.sort_values())
        raise KeyError(f"no result {text!r}: scan {scan} has {'only ' * (len(events) == 1)}{known}")
    return str(_usable(of_run[events == event]).index[-1])  # the last made has the newest parameters


def _usable(results: pd.DataFrame) -> pd.DataFrame:
    """Return the results with numbers; all if none has."""
    usable = results[~results["status"].isin(("computing", "failed"))]
    return results if usable.empty else usable


def _when(time: float) -> str:
    return "at an unknown time" if np.isnan(time) else f"{here(pd.Timestamp(time, unit='s', tz='UTC')):%d %b %H:%M}"


def notes_on(key: str, metadata: Metadata, notes: Notes) -> list[str]:
    """Return the notes on a result or on its whole run, given the key and the metadata of the result."""
    uids = metadata.get("raw_uids")
    runs = {metadata.get("raw_uid"), *(uids if isinstance(uids, list) else ())}
    return [
        str(note["note"])
        for note in notes
        if note.get("result") == key or ("result" not in note and note.get("raw_uid") in runs)
    ]


def notes_by_key(results: pd.DataFrame, notes: Notes) -> dict[str, list[str]]:
    """Return the notes on each result that has any, by key."""
    if not notes:
        return {}
    keys, runs = ({note.get(name) for note in notes} for name in ("result", "raw_uid"))
    rows = zip(results.index, results["raw_uid"], results["raw_uids"], strict=True)
    noted = {
        key: notes_on(key, {"raw_uid": uid, "raw_uids": uids}, notes)
        for key, uid, uids in rows
        if key in keys or uid in runs or isinstance(uids, list)
    }
    return {key: some for key, some in noted.items() if some}
