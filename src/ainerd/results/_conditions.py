"""Conditions of a search: whether they can hold, and which results fulfil them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import infer_dtype

from ainerd.results._records import ResultRecord
from ainerd.results._table import POINT

TIMES = ("run_time", "event_time", "exposure_time")  # seconds since 1970, which tables show as times
# Metadata that results copy from the start documents that have them.
OF_THE_START = ("sample", "user", "proposal", "data_session", "cycle", "plan", "file")
_A_NUMBER, _A_TEXT, _A_TRUTH = "a number", "a text", "True or False"
_KINDS = {
    **dict.fromkeys(("integer", "floating", "mixed-integer-float"), _A_NUMBER),
    "string": _A_TEXT,
    "boolean": _A_TRUTH,
}


def checked(results: pd.DataFrame, where: Mapping[str, object]) -> dict[str, Any]:
    """Return conditions with times as seconds since 1970.

    Raises
    ------
    ValueError
        If a range is not (low, high), a time has no time zone, or no result can have the value because all have values
        of another kind.

    Examples
    --------
    >>> results = pd.DataFrame({"sample_x": [2.5], "run_time": [0.0]}, ["a"])
    >>> checked(results, {"run_time": ("2026-11-19 18:00Z", None)})
    {'run_time': (1795111200.0, None)}
    >>> checked(results, {"sample_x": (None, "2 mm")})
    Traceback (most recent call last):
        ...
    ValueError: sample_x is a number, got '2 mm'
    """
    return {name: _checked(results, name, wanted) for name, wanted in where.items()}


def _checked(results: pd.DataFrame, name: str, wanted: Any) -> object:
    is_range = isinstance(wanted, tuple)
    if is_range and len(wanted) != 2:
        raise ValueError(f"{name}={wanted!r} is not a range: give (low, high), None for an open end")
    values = [_seconds(name, value) for value in (wanted if is_range else (wanted,))]
    known = results[name].dropna() if name in results else ()
    kind = _KINDS.get(infer_dtype(known)) if len(known) else None
    for value in values:
        if value is not None and kind is not None and isinstance(value, str) != (kind == _A_TEXT):
            raise ValueError(f"{name} is {kind}, got {value!r}")
    if not is_range:
        return values[0]
    low, high = values
    if low is not None and high is not None and low > high:
        raise ValueError(f"{name}={wanted!r} is the wrong way round: give (low, high)")
    return low, high


def _seconds(name: str, value: object) -> Any:
    """Return a time as seconds since 1970, and anything else as it is."""
    if isinstance(value, str) and name in TIMES:
        try:
            value = pd.Timestamp(value)
        except ValueError:
            raise ValueError(f"{name} is a time, such as '2026-11-19 18:00Z', got {value!r}") from None
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError(f"{name}: {value} has no time zone: add one, such as '{value}Z' for UTC")
    return value.timestamp()


def known_names(results: pd.DataFrame) -> set[str]:
    """Return the names of metadata that a result has or may have."""
    return {*map(str, results), *ResultRecord.model_fields, *OF_THE_START}


def refuse(name: str, results: pd.DataFrame, *, is_text: bool) -> None:
    """Raise ValueError if no result has metadata of this name, with similar names; a text may be of other results."""
    known = known_names(results).union(*distinct(results["units"]))
    close = get_close_matches(name, known)
    if name not in known and not (is_text and not close):
        hint = f"did you mean {', '.join(close)}?" if close else "results.table(all=True).columns has all names"
        raise ValueError(f"no result has {name!r}: {hint}")


def distinct(column: "pd.Series[Any]") -> list[Any]:
    """Return the distinct nested values of a column, in its order."""
    return [*{id(value): value for value in column if isinstance(value, dict | list)}.values()]


def matches(
    results: pd.DataFrame,
    where: Mapping[str, object],
    text: str | None,
    notes: Mapping[str, Sequence[str]],
) -> NDArray[np.bool_]:
    """Select the results with all these values, ranges (low, high), and words in their texts and `notes` (by key).

    `where` is from `checked`.
    A name with dots refers to nested metadata: ``model.name``. A missing value matches nothing.
    """
    selected = np.ones(len(results), bool)
    for name, wanted in where.items():
        first, *rest = name.split(".")
        values = results[first].tolist() if first in results else [None] * len(results)
        selected &= np.array([_value_matches(_inner(value, rest), wanted) for value in values], bool)
    if text and selected.any():
        selected[selected] = _words_match(results[selected], text, notes)
    return selected


def _inner(value: object, names: Sequence[str]) -> object:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _value_matches(value: object, wanted: object) -> bool:
    if not isinstance(wanted, tuple):
        return value is not None and bool(value == wanted)
    low, high = wanted
    kind = str if isinstance(low, str) or isinstance(high, str) else int | float
    if not isinstance(value, kind) or isinstance(value, bool) or value != value:
        return False
    return (low is None or value >= low) and (high is None or value <= high)


def _words_match(results: pd.DataFrame, text: str, notes: Mapping[str, Sequence[str]]) -> NDArray[np.bool_]:
    """Select the results that have every word in one of their texts, nested texts or notes."""
    words, known = re.findall(r"\w+", text.lower()), dict[int, str]()  # many results share a nested value
    lines = [" ".join(notes.get(key, ())) for key in results.index]
    for name in (name for name in results if results[name].dtype == object and name != POINT):
        for i, value in enumerate(results[name].tolist()):
            if id(value) not in known:
                known[id(value)] = " ".join(_all_texts(value)).lower()
            lines[i] += f" {known[id(value)]}"
    return np.array([all(word in line for word in words) for line in lines], bool)


def _all_texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for item in value.values() for text in _all_texts(item))
    elif isinstance(value, list):
        yield from (text for item in value for text in _all_texts(item))
