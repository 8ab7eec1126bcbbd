"""Tables of results, and how a table of results shows itself."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ainerd.results._columns import Columns
from ainerd.results._records import FINAL
from ainerd.results._search import SHORT_KEY, Notes, notes_by_key, scan_text
from ainerd.technique import panels
from ainerd.words import coordinate, here, printable, rendered

if TYPE_CHECKING:
    from rich.table import Table

logger = logging.getLogger(__name__)

LINES = 60  # of a table that are shown, the newest
NOVEL = " ●"
_RESULT = [
    "scan_id", "event", "run_time", "status", "regime", "novelty_p", "novel", "regime_then", "reason", "raw_uid",
    "superseded_by", "note",
]  # fmt: skip
_TEXTS = ("reason", "superseded_by", "note")  # columns of texts, even if no result has one
_DTYPES: Mapping[str, Any] = {
    **dict.fromkeys(("scan_id", "event", "n_frames", "regime", "regime_then"), "Int64"),
    "novel": "boolean",
    "novelty_p": "float64",
}
_LAST = ("note", "status", "key")  # of the columns that are shown
_ALWAYS = ("scan", "time", "regime", "p", "status", "key")
_WORDS = ("sample", "note", "status")


class ResultTable(pd.DataFrame):
    """Results as `ainerd.results.ResultStore.table` returns them.

    A DataFrame of everything that shows the columns people ask for; operations on it return a plain DataFrame.
    """

    def __repr__(self) -> str:
        return rendered(self)

    def __rich__(self) -> "Table | str":
        return "no results" if self.empty else rich_table(self)

    def _repr_html_(self) -> str:
        return text_table(self).to_html(index=False, border=0)


def result_table(
    results: Columns, labels: "pd.Series[float]", others: Columns, notes: Notes = ()
) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """Return the results by time of the run and number of the event, and the index in `results` of each row.

    `labels` are those of the newest atlas, by key. `others` may supersede the results.
    """
    order = np.lexsort([results.number, *(results.column(name) for name in ("event", "run_time"))])
    keys = results.frame.index[order]
    names = dict.fromkeys([*_RESULT, *results.frame])
    columns: dict[Any, Any] = {name: results.column(name)[order] for name in names}  # faster than copies of a frame
    columns |= {name: np.full(len(keys), np.nan, object) for name in _TEXTS if name not in results.frame}
    then = columns["regime_then"] = columns["regime"]
    if len(labels):
        now = labels.reindex(keys).to_numpy()
        columns["regime"] = np.where(np.isnan(now), then, now)
    if noted := notes_by_key(results, notes):
        columns["note"] = _texts({key: "; ".join(some) for key, some in noted.items()}, keys)
    if "supersedes" in others.frame:
        new = others.frame["supersedes"][others.frame["status"].isin(FINAL)].dropna()
        columns["superseded_by"] = _texts(dict(zip(new.to_list(), new.index, strict=True)), keys)
    for name in {"run_time", "event_time"} & columns.keys():
        columns[name] = times_of(columns[name])
    if "created" in columns:
        columns["created"] = pd.to_datetime(columns["created"], utc=True, format="ISO8601")
    columns |= {
        name: pd.Series(columns[name]).astype(dtype).array for name, dtype in _DTYPES.items() if name in columns
    }
    table = pd.DataFrame(columns, index=keys, copy=False)
    units: dict[str, str] = {}
    for some in results.distinct("units"):
        units.update(some)
    motors = [name for some in results.distinct("positions") for name in some]
    table.attrs = {"units": units, "positions": list(dict.fromkeys(motors))}
    return table, order


def times_of(seconds: ArrayLike) -> "pd.Index[Any]":
    """Convert seconds since 1970, or NaN, to times; pandas < 3 multiplies uninitialized values (its issue 58419)."""
    values = np.asarray(seconds, float)
    known = np.isfinite(values)
    return pd.to_datetime(np.where(known, values, 0.0), unit="s", utc=True).where(known)


def newest_scope(results: Columns) -> dict[str, str]:
    """Return agent and digest of the newest usable result: only embeddings of the same scope can be compared."""
    done = results.at(results.sizes > 0)
    if not len(done):
        return {}
    newest = int(np.nan_to_num(done.column("run_time"), nan=np.inf).argmax())
    scope = {name: done.column(name)[newest] for name in ("agent", "digest")}
    return {name: value for name, value in scope.items() if isinstance(value, str)}


def embedding_table(results: Columns, scope: Mapping[str, str]) -> pd.DataFrame:
    """Return the embeddings of the results in the scope, by time of the run."""
    done = results.at(has_embedding(results, scope))
    when, event = done.column("run_time"), done.column("event")
    when = np.where(np.isnan(when), np.inf, when)
    order = np.lexsort([done.number, np.where(np.isnan(event), 0, event), when])
    points = done.points.reshape(len(done), -1) if len(done) else np.zeros((0, 0), np.float32)
    return pd.DataFrame(points[order], index=done.frame.index[order])


def has_embedding(results: Columns, scope: Mapping[str, str]) -> NDArray[np.bool_]:
    """Select the results that have an embedding and the metadata in `scope`."""
    wanted = [results.column(name) == value for name, value in scope.items()]
    return np.asarray(np.logical_and.reduce([results.sizes > 0, *wanted]))


def has_common_size(results: Columns) -> NDArray[np.bool_]:
    """Select all results but those whose embedding has another size than most of the same agent and parameters."""
    fits = np.ones(len(results), bool)
    if len(np.unique(results.sizes[results.sizes > 0])) < 2:
        return fits
    agent, digest = (pd.factorize(results.column(name))[0] for name in ("agent", "digest"))
    group = agent * (digest.max() + 2) + digest
    for one in np.unique(group):
        in_group = (group == one) & (results.sizes > 0)
        if in_group.any():
            sizes = results.sizes[in_group]
            fits[in_group] = sizes == sizes[np.bincount(sizes)[sizes].argmax()]  # the older one of equally many
    return fits


def nearest(points: NDArray[Any], point: NDArray[Any], n: int) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Return the indices of the `n` points (m, d) nearest to a point (d,), and their Euclidean distances, sorted."""
    away = points - point
    distance = np.sqrt(np.einsum("ij,ij->i", away, away))
    order = np.argsort(distance, kind="stable")[:n]
    return order, distance[order]


def text_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the newest results as text: scan, time, sample, position, regime, p, the technique's columns, status, key.

    The p of a novel result has a ●. A column that would be empty is left out.
    """
    newest = table.iloc[-LINES:]
    rows = [
        _cells(str(key), row, table.attrs) for key, row in zip(newest.index, newest.to_dict("records"), strict=True)
    ]
    columns = dict.fromkeys(name for row in rows for name in row)  # each technique has its own
    order = [name for name in columns if name not in _LAST] + [name for name in _LAST if name in columns]
    text = pd.DataFrame([{name: row.get(name, "") for name in order} for row in rows], columns=order)
    return text.loc[:, [name for name in order if name in _ALWAYS or text[name].ne("").any()]]


def rich_table(table: pd.DataFrame) -> "Table":
    """Return `text_table` for a terminal."""
    from rich.table import Table
    from rich.text import Text

    text = text_table(table)
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


def _cells(key: str, row: Mapping[Any, Any], attrs: Mapping[Any, Any]) -> dict[str, str]:
    known = {name: x for name, x in row.items() if not pd.isna(x)}
    names, units = attrs.get("positions", ()), attrs.get("units", {})
    status, regime = str(known.get("status", "?")), known.get("regime")
    return {
        "scan": scan_text(known.get("scan_id"), known.get("event")),
        "time": _local(known.get("event_time", known.get("run_time"))),
        "sample": str(known.get("sample", "")),
        _position_heading(names, units): ", ".join(coordinate(known[name]) for name in names if name in known),
        "regime": "" if regime is None else "–" if regime < 0 else str(int(regime)),
        "p": (f"{known['novelty_p']:.2g}" if "novelty_p" in known else "") + NOVEL * bool(known.get("novel")),
        **({} if status == "failed" else _technique_cells(known, units)),
        "note": str(known.get("note", "")),
        "status": f"{status}: {known['reason']}" if "reason" in known else status,
        "key": key[:SHORT_KEY],
    }


def _technique_cells(known: Mapping[Any, Any], units: Mapping[str, str]) -> Mapping[str, str]:
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
    distinct = {units.get(name, "") for name in names}
    if len(distinct) == 1:
        (unit,) = distinct
        return ", ".join(names) + (f" ({unit})" if unit else "")
    return ", ".join(f"{name} ({units[name]})" if name in units else name for name in names) or "position"


def _local(when: Any) -> str:
    """Return a time in the local time zone, with its day unless that is today."""
    if when is None:
        return ""
    time = here(when)
    return f"{time:%H:%M:%S}" if time.date() == datetime.now().date() else f"{time:%d %b %H:%M:%S}"


def _texts(values: Mapping[str, str], keys: "pd.Index[Any]") -> NDArray[Any]:
    """Return a column of texts, NaN for a missing one."""
    return np.array([*(values.get(key, np.nan) for key in keys), None], object)[:-1]
