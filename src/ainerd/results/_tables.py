"""Metadata of many nodes as tables."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ainerd.results._columns import Columns
from ainerd.results._notes import Notes, noted_on
from ainerd.results._records import FINAL

Nodes = Mapping[str, Mapping[str, Any]]

_RESULT = [
    "scan_id",
    "event",
    "run_time",
    "status",
    "regime",
    "novelty_p",
    "novel",
    "regime_then",
    "reason",
    "raw_uid",
    "superseded_by",
    "note",
]
_TEXTS = ("reason", "superseded_by", "note")  # columns of texts where none has any
_SCALARS = {str, int, float, bool}  # of what JSON and msgpack give; isinstance would take twice as long
_SUGGESTION = ["created", "status", "reason", "status_reason", "status_by", "status_time", "raw_uid"]
_DTYPES: Mapping[str, Any] = {
    "scan_id": "Int64",
    "event": "Int64",
    "n_frames": "Int64",
    "regime": "Int64",
    "regime_then": "Int64",
    "novel": "boolean",
    "novelty_p": "float64",
}


def result_table(
    results: Columns, labels: "pd.Series[float]", beside: Columns, notes: Notes = ()
) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """Results by time of the run and number of the event, and which of `results` each row is.

    `labels` are those of the newest atlas by key, those `beside` may supersede them.
    """
    order = np.lexsort([results.number, *(results.column(name) for name in ("event", "run_time"))])
    keys = results.frame.index[order]
    names = dict.fromkeys([*_RESULT, *results.frame])
    said: dict[Any, Any] = {name: results.column(name)[order] for name in names}  # frames of columns are copied less
    said |= {name: np.full(len(keys), np.nan, object) for name in _TEXTS if name not in results.frame}
    then = said["regime_then"] = said["regime"]
    if len(labels):
        now = labels.reindex(keys).to_numpy()
        said["regime"] = np.where(np.isnan(now), then, now)
    if noted := noted_on(results, notes):
        texts = {key: "; ".join(some) for key, some in noted.items()}
        said["note"] = np.array([*(texts.get(key, np.nan) for key in keys), None], object)[:-1]
    if "supersedes" in beside.frame:
        new = beside.frame["supersedes"][beside.frame["status"].isin(FINAL)].dropna()
        by = dict(zip(new.to_list(), new.index, strict=True))
        said["superseded_by"] = np.array([*(by.get(key, np.nan) for key in keys), None], object)[:-1]
    for name in {"run_time", "event_time"} & said.keys():
        said[name] = _times(said[name])
    if "created" in said:
        said["created"] = pd.to_datetime(said["created"], utc=True, format="ISO8601")
    said |= {name: pd.Series(said[name]).astype(dtype).array for name, dtype in _DTYPES.items() if name in said}
    table = pd.DataFrame(said, index=keys, copy=False)
    units: dict[str, str] = {}
    for some in results.said("units"):
        units.update(some)
    motors = [name for some in results.said("positions") for name in some]
    table.attrs = {"units": units, "positions": list(dict.fromkeys(motors))}
    return table, order


def _times(seconds: ArrayLike) -> "pd.Index[Any]":
    """Seconds since 1970, with NaN, as times; by itself pandas < 3 multiplies what it never set (its issue 58419)."""
    found = np.asarray(seconds, float)
    known = np.isfinite(found)
    return pd.to_datetime(np.where(known, found, 0.0), unit="s", utc=True).where(known)


def suggestion_table(suggestions: Nodes) -> pd.DataFrame:
    """Suggestions by time, their terms in columns ``terms.<name>``."""
    rows = {}
    for key, metadata in suggestions.items():
        rows[key] = _row(metadata) | {f"terms.{name}": x for name, x in metadata["terms"].items()}
        del rows[key]["id"]
    table = _table(rows, "id", _SUGGESTION).sort_values("created", kind="stable")
    return table.assign(status_time=pd.to_datetime(table["status_time"], utc=True, format="ISO8601"))


def log_table(lines: Columns) -> pd.DataFrame:
    """Log lines by time."""
    return _led(lines.frame, ["created", "text"]).sort_index()


def comparable(results: Columns) -> dict[str, str]:
    """Agent and digest of the newest usable result: only embeddings that have these can be compared with it."""
    done = np.flatnonzero(results.sizes)
    if not len(done):
        return {}
    when = results.column("run_time")[done]
    latest = np.flatnonzero(when == (np.inf if np.isnan(when).any() else when.max()))
    newest = done[latest[0]] if len(latest) else done[np.flatnonzero(np.isnan(when))[0]]
    said = {name: results.column(name)[newest] for name in ("agent", "digest")}
    return {name: value for name, value in said.items() if isinstance(value, str)}


def embedding_table(results: Columns, like: Mapping[str, str]) -> pd.DataFrame:
    """Embeddings of the results that have the metadata in `like`, by time of the run."""
    done = results.at(have_point(results, like))
    when, event = done.column("run_time"), done.column("event")
    when = np.where(np.isnan(when), np.inf, when)
    order = np.lexsort([done.number, np.where(np.isnan(event), 0, event), when])
    points = done.points.reshape(len(done), -1) if len(done) else np.zeros((0, 0), np.float32)
    return pd.DataFrame(points[order], index=done.frame.index[order])


def have_point(results: Columns, like: Mapping[str, str]) -> NDArray[np.bool_]:
    """Which have an embedding, and the metadata in `like`."""
    wanted = [results.column(name) == value for name, value in like.items()]
    return np.asarray(np.logical_and.reduce([results.sizes > 0, *wanted]))


def _row(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if type(value) in _SCALARS}


def _led(table: pd.DataFrame, leading: list[str]) -> pd.DataFrame:
    """With these columns first, whether they are there or not; a copy."""
    return _stamped(table.reindex(columns=leading + [name for name in table.columns if name not in leading]))


def _table(rows: Mapping[str, Mapping[str, Any]], index: str, leading: list[str]) -> pd.DataFrame:
    return _led(pd.DataFrame(list(rows.values()), index=pd.Index(list(rows), name=index, dtype=object)), leading)


def _stamped(table: pd.DataFrame) -> pd.DataFrame:
    if "created" in table:
        table["created"] = pd.to_datetime(table["created"], utc=True, format="ISO8601")
    return table
