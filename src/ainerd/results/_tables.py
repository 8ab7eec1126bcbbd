"""Metadata of many nodes as tables."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ainerd.results._notes import Notes, notes_on
from ainerd.results._records import FINAL, with_status

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
_SCALARS = {str, int, float, bool}  # of what JSON and msgpack give; isinstance would take twice as long
_SUGGESTION = ["created", "status", "reason", "status_reason", "status_by", "status_time", "raw_uid"]
_DTYPES = {
    "scan_id": "Int64",
    "event": "Int64",
    "n_frames": "Int64",
    "regime": "Int64",
    "regime_then": "Int64",
    "novel": "boolean",
    "novelty_p": "float64",
}


def result_table(results: Nodes, labels: Mapping[str, int], beside: Nodes, notes: Notes = ()) -> pd.DataFrame:
    """Results by time of the run and number of the event.

    `labels` are those of the newest atlas by key, those `beside` may supersede them.
    """
    rows = {key: _row(metadata) for key, metadata in results.items()}
    for key, row in rows.items():
        row["regime_then"] = row.get("regime")
        row["regime"] = labels.get(key, row["regime_then"])
        if noted := notes and notes_on(key, results[key], notes):
            row["note"] = "; ".join(map(str, noted))
    for key, said in beside.items():
        if said.get("status") in FINAL and said.get("supersedes") in rows:
            rows[said["supersedes"]]["superseded_by"] = key
    table = _table(rows, "key", _RESULT)
    for name in {"run_time", "event_time"} & set(table):
        table[name] = pd.to_datetime(table[name], unit="s", utc=True)
    table = table.astype({name: dtype for name, dtype in _DTYPES.items() if name in table})
    units: dict[str, str] = {}
    for said in results.values():
        units.update(said.get("units") or {})
    table.attrs["units"] = units
    motors = (name for said in results.values() for name in said.get("positions") or ())
    table.attrs["positions"] = list(dict.fromkeys(motors))
    return table.sort_values(["run_time", "event"], kind="stable")


def suggestion_table(suggestions: Nodes) -> pd.DataFrame:
    """Suggestions by time, their terms in columns ``terms.<name>``."""
    rows = {}
    for key, metadata in suggestions.items():
        rows[key] = _row(with_status(metadata)) | {f"terms.{name}": x for name, x in metadata["terms"].items()}
        del rows[key]["id"]
    table = _table(rows, "id", _SUGGESTION).sort_values("created", kind="stable")
    return table.assign(status_time=pd.to_datetime(table["status_time"], utc=True, format="ISO8601"))


def log_table(lines: Nodes) -> pd.DataFrame:
    """Log lines by time."""
    rows = {key: _row(metadata) for key, metadata in lines.items()}
    return _table(rows, "key", ["created", "text"]).sort_index()


def comparable(results: Nodes) -> dict[str, str]:
    """Agent and digest of the newest usable result: only embeddings that have these can be compared with it."""
    done = [said for said in results.values() if said.get("embedding") is not None]
    newest = max(done, key=lambda said: said.get("run_time", float("inf")), default={})
    return {name: newest[name] for name in ("agent", "digest") if name in newest}


def embedding_table(results: Nodes, like: Mapping[str, str]) -> pd.DataFrame:
    """Embeddings of the results that have the metadata in `like`, by time of the run."""
    usable = {key: said for key, said in results.items() if said.get("embedding") is not None}
    done = {key: said for key, said in usable.items() if all(said.get(name) == x for name, x in like.items())}
    ordered = sorted(done.items(), key=lambda item: (item[1].get("run_time", float("inf")), item[1].get("event", 0)))
    index = pd.Index([key for key, _ in ordered], name="key", dtype=object)
    return pd.DataFrame(np.array([said["embedding"] for _, said in ordered], np.float32), index=index)


def _row(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if type(value) in _SCALARS}


def _table(rows: Mapping[str, Mapping[str, Any]], index: str, leading: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows.values()), index=pd.Index(list(rows), name=index, dtype=object))
    others = [name for name in table.columns if name not in leading]
    table = table.reindex(columns=leading + others)
    if "created" in table:
        table["created"] = pd.to_datetime(table["created"], utc=True, format="ISO8601")
    return table
