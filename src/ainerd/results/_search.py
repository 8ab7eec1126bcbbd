"""Find results: by the number of a scan, the beginning of a key, values, words, and notes of people."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd.results._columns import Columns

KEY_LENGTH = 36
SHORT_KEY = 8  # characters of a key that tables show

Notes = Sequence[Mapping[str, Any]]


def scan_text(scan_id: Any, event: Any = None) -> str:
    """Return the number of a scan as text: 12, and 12.2 for its second event."""
    if pd.isna(scan_id):
        return "?"
    is_later = not pd.isna(event) and int(event) > 1
    return f"{int(scan_id)}.{int(event)}" if is_later else str(int(scan_id))


def find_key(results: Columns, run: str | int | float) -> str:
    """Return the key of the result that a person means.

    Parameters
    ----------
    results : Columns
    run : int, float or str
        The number of a scan, ``12`` (its first result); ``"12.2"`` or ``12.2`` for its second event; or the first
        characters of a key. Of several scans with the same number, the newest.

    Raises
    ------
    KeyError
        If no result matches, or several do.
    """
    text = str(run).removesuffix(".0")  # pandas makes floats of integers where one is missing
    number = re.fullmatch(r"(\d{1,7})(?:\.(\d+))?", text)
    if number is None:
        keys = [str(key) for key in results.frame.index if key.startswith(text)] if text else []
        if len(keys) != 1:
            reason = f"{len(keys)} results have keys that begin so" if keys else "no result has such a key"
            raise KeyError(f"no result {text!r}: {reason}; see store.table()")
        return keys[0]
    scan, event = int(number[1]), int(number[2] or 1)
    of_scan = results.at(results.column("scan_id") == scan)
    if not len(of_scan):
        raise KeyError(f"no result {text!r}: scan {scan} has none; see store.table()")
    when = np.nan_to_num(of_scan.column("run_time"))
    of_run = of_scan.at(when == when.max())
    events = of_run.column("event")
    of_event = of_run.at(np.where(np.isnan(events), 1, events) == event)
    if not len(of_event):
        known = ", ".join(scan_text(scan, one) for one in events)
        raise KeyError(f"no result {text!r}: of that scan there are {known}")
    done = of_event.at(~np.isin(of_event.column("status").astype(object), ("computing", "failed")))
    candidates = done if len(done) else of_event
    return str(candidates.frame.index[int(candidates.number.argmax())])  # the last made has the newest parameters


def notes_on(key: str, metadata: Mapping[str, Any], notes: Notes) -> list[str]:
    """Return the notes on a result or on its whole run, given the key and the metadata of the result."""
    runs = {metadata.get("raw_uid"), *(metadata.get("raw_uids") or ())}
    return [
        str(note["note"])
        for note in notes
        if note.get("result") == key or ("result" not in note and note.get("raw_uid") in runs)
    ]


def notes_by_key(results: Columns, notes: Notes) -> dict[str, list[str]]:
    """Return the notes on each result that has any, by key."""
    if not notes:
        return {}
    keys, runs = ({str(note.get(name)) for note in notes} for name in ("result", "raw_uid"))
    may_match = results.frame.index.isin([*keys]) | np.isin(results.column("raw_uid").astype(object), [*runs])
    may_match |= results.where("raw_uids", lambda uids: bool(runs & {*uids}))
    some = results.at(np.asarray(may_match, bool))
    rows = zip(some.frame.index, some.column("raw_uid"), some.values("raw_uids"), strict=True)
    texts = {key: notes_on(key, {"raw_uid": uid, "raw_uids": uids}, notes) for key, uid, uids in rows}
    return {key: each for key, each in texts.items() if each}


def matches(
    results: Columns,
    where: Mapping[str, Any],
    text: str | None = None,
    notes: Mapping[str, Sequence[str]] | None = None,
) -> NDArray[np.bool_]:
    """Select the results with all these values, ranges (low, high), and words in their texts and `notes` (by key).

    A name with dots refers to nested metadata: ``model.name``. A missing value matches nothing.
    """
    selected = np.ones(len(results), bool)
    for name, wanted in where.items():
        selected &= _name_matches(results, name, wanted)
    if text and selected.any():
        selected[selected] = _words_match(results.at(selected), text, notes or {})
    return selected


def _name_matches(results: Columns, name: str, wanted: Any) -> NDArray[np.bool_]:
    selected = np.zeros(len(results), bool)
    if name in results.frame:
        selected |= _column_matches(results.column(name), wanted)
    first, *rest = name.split(".")
    return selected | results.where(first, lambda value: _value_matches(_inner(value, rest), wanted))


def _column_matches(column: NDArray[Any], wanted: Any) -> NDArray[np.bool_]:
    if column.dtype.kind not in "iuf" or not isinstance(wanted, tuple):
        if isinstance(wanted, str | bool | int | float):
            return np.asarray(column == wanted, bool) & np.ones(len(column), bool)
        return np.array([value == value and _value_matches(value, wanted) for value in column.tolist()], bool)
    low, high = _limits(wanted)
    if isinstance(low, str) or isinstance(high, str):
        return np.zeros(len(column), bool)
    with np.errstate(invalid="ignore"):
        return ~np.isnan(column) & (low is None or column >= low) & (high is None or column <= high)


def _inner(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _value_matches(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, tuple):
        return value is not None and bool(value == wanted)
    low, high = _limits(wanted)
    kind = str if isinstance(low, str) or isinstance(high, str) else int | float
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    return (low is None or value >= low) and (high is None or value <= high)


def _limits(wanted: tuple[Any, ...]) -> list[Any]:
    return [limit.timestamp() if isinstance(limit, datetime) else limit for limit in wanted]


def _words_match(results: Columns, text: str, notes: Mapping[str, Sequence[str]]) -> NDArray[np.bool_]:
    """Select the results that have every word in one of their texts, nested texts or notes."""
    words = re.findall(r"\w+", text.lower())
    has_word = np.zeros((len(words), len(results)), bool)
    for name in results.frame:
        column = results.frame[name]
        if column.dtype == object:
            has_word |= _words_in(words, column)
    for name in map(str, results.nested):
        for k, word in enumerate(words):
            has_word[k] |= results.where(name, partial(_has_word, word))
    for key in notes.keys() & {*results.frame.index} if notes else ():
        one = " ".join(notes[key]).lower()
        has_word[:, results.frame.index.get_loc(key)] |= [word in one for word in words]
    return np.asarray(has_word.all(axis=0))


def _words_in(words: Sequence[str], column: "pd.Series[Any]") -> NDArray[np.bool_]:
    import pyarrow.compute

    texts = pyarrow.array([x if isinstance(x, str) else None for x in column.tolist()], pyarrow.string())
    lower = pyarrow.compute.utf8_lower(texts)
    found = [pyarrow.compute.match_substring(lower, word).fill_null(False) for word in words]
    return np.array([one.to_numpy(zero_copy_only=False) for one in found], bool).reshape(len(words), -1)


def _has_word(word: str, value: Any) -> bool:
    return word in " ".join(_texts(value)).lower()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for item in value.values() for text in _texts(item))
    elif isinstance(value, list):
        yield from (text for item in value for text in _texts(item))
