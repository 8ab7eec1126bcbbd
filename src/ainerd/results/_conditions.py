"""Conditions of a search: whether they can hold, and which results fulfil them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import infer_dtype

from ainerd.results._table import Columns

TIMES = ("run_time", "event_time", "exposure_time")  # seconds since 1970, which tables show as times
_A_NUMBER, _A_TEXT, _A_TRUTH = "a number", "a text", "True or False"
_KINDS = {
    **dict.fromkeys(("integer", "floating", "mixed-integer-float"), _A_NUMBER),
    "string": _A_TEXT,
    "boolean": _A_TRUTH,
}


def checked(results: Columns, where: Mapping[str, Any]) -> dict[str, Any]:
    """Return conditions with times as seconds since 1970.

    Raises
    ------
    ValueError
        If a range is not (low, high), a time has no time zone, or no result can have the value because all have values
        of another kind.

    Examples
    --------
    >>> results = Columns.of({"a": {"sample_x": 2.5, "run_time": 0.0}})
    >>> checked(results, {"run_time": ("2026-11-19 18:00Z", None)})
    {'run_time': (1795111200.0, None)}
    >>> checked(results, {"sample_x": (None, "2 mm")})
    Traceback (most recent call last):
        ...
    ValueError: sample_x is a number, got '2 mm'
    """
    return {name: _checked(results, name, wanted) for name, wanted in where.items()}


def _checked(results: Columns, name: str, wanted: Any) -> Any:
    is_range = isinstance(wanted, tuple)
    if is_range and len(wanted) != 2:
        raise ValueError(f"{name}={wanted!r} is not a range: give (low, high), None for an open end")
    values = [_seconds(name, value) for value in (wanted if is_range else (wanted,))]
    kind = _kind_of(results, name)
    for value in values:
        is_text = isinstance(value, str)
        if value is not None and kind is not None and is_text != (kind == _A_TEXT):
            raise ValueError(f"{name} is {kind}, got {value!r}")
    if not is_range:
        return values[0]
    low, high = values
    if low is not None and high is not None and low > high:
        raise ValueError(f"{name}={wanted!r} is the wrong way round: give (low, high)")
    return low, high


def _seconds(name: str, value: Any) -> Any:
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


def _kind_of(results: Columns, name: str) -> str | None:
    """Return the kind of all scalars of a name; None if there are none, or if they are of several kinds."""
    if name not in results.frame or name in results.nested:
        return None
    values = results.frame[name].dropna()
    return _KINDS.get(infer_dtype(values)) if len(values) else None


def matches(
    results: Columns,
    where: Mapping[str, Any],
    text: str | None = None,
    notes: Mapping[str, Sequence[str]] | None = None,
) -> NDArray[np.bool_]:
    """Select the results with all these values, ranges (low, high), and words in their texts and `notes` (by key).

    `where` is from `checked`.
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
        selected |= np.array([_value_matches(value, wanted) for value in results.column(name).tolist()], bool)
    first, *rest = name.split(".")
    return selected | results.where(first, lambda value: _value_matches(_inner(value, rest), wanted))


def _inner(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _value_matches(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, tuple):
        return value is not None and bool(value == wanted)
    low, high = wanted
    kind = str if isinstance(low, str) or isinstance(high, str) else int | float
    if not isinstance(value, kind) or isinstance(value, bool) or value != value:
        return False
    return (low is None or value >= low) and (high is None or value <= high)


def _words_match(results: Columns, text: str, notes: Mapping[str, Sequence[str]]) -> NDArray[np.bool_]:
    """Select the results that have every word in one of their texts, nested texts or notes."""
    words = re.findall(r"\w+", text.lower())
    columns = [results.frame[name] for name in results.frame if results.frame[name].dtype == object]
    parts = [[x if isinstance(x, str) else "" for x in column.tolist()] for column in columns]
    for name in map(str, results.nested):
        texts = {id(value): " ".join(_all_texts(value)) for value in results.distinct(name)}  # many share a value
        parts.append([texts.get(id(value), "") for value in results.values(name)])
    parts.append([" ".join(notes.get(key, ())) for key in results.frame.index])
    lines = (" ".join(some).lower() for some in zip(*parts, strict=True))
    return np.array([all(word in line for word in words) for line in lines], bool)


def _all_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for item in value.values() for text in _all_texts(item))
    elif isinstance(value, list):
        yield from (text for item in value for text in _all_texts(item))
