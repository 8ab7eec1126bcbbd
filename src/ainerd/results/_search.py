"""Which results fulfil what was asked: numbers compared as numbers, on any server."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd.results._columns import Columns

Noted = Mapping[str, Sequence[str]]


def matches(
    results: Columns, where: Mapping[str, Any], text: str | None = None, noted: Noted | None = None
) -> NDArray[np.bool_]:
    """Which results have all these values, ranges (low, high), and words in their texts and what is noted on them.

    A name with dots goes into nested metadata: ``model.name``. What is absent matches nothing.
    """
    found = np.ones(len(results), bool)
    for name, wanted in where.items():
        found &= _fit(results, name, wanted)
    if text and found.any():
        found[found] = _say(results.at(found), text, noted or {})
    return found


def _fit(results: Columns, name: str, wanted: Any) -> NDArray[np.bool_]:
    fits = np.zeros(len(results), bool)
    if name in results.frame:
        fits |= _column_fits(results.column(name), wanted)
    first, *rest = name.split(".")
    if (nested := results.nested.get(first)) is not None:
        fits |= np.array([_fits(_value(said, rest), wanted) for said in nested.values])[nested.codes]
    return fits


def _column_fits(column: NDArray[Any], wanted: Any) -> NDArray[np.bool_]:
    if column.dtype.kind not in "iuf" or not isinstance(wanted, tuple):
        if isinstance(wanted, str | bool | int | float):
            return np.asarray(column == wanted, bool) & np.ones(len(column), bool)
        return np.array([value == value and _fits(value, wanted) for value in column.tolist()], bool)
    low, high = _limits(wanted)
    if isinstance(low, str) or isinstance(high, str):
        return np.zeros(len(column), bool)
    with np.errstate(invalid="ignore"):
        return ~np.isnan(column) & (low is None or column >= low) & (high is None or column <= high)


def _value(said: Any, names: Sequence[str]) -> Any:
    for name in names:
        said = said.get(name) if isinstance(said, Mapping) else None
    return said


def _fits(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, tuple):
        return value is not None and bool(value == wanted)
    low, high = _limits(wanted)
    kind = str if isinstance(low, str) or isinstance(high, str) else int | float
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    return (low is None or value >= low) and (high is None or value <= high)


def _limits(wanted: tuple[Any, ...]) -> list[Any]:
    return [limit.timestamp() if isinstance(limit, datetime) else limit for limit in wanted]


def _say(results: Columns, text: str, noted: Noted) -> NDArray[np.bool_]:
    """Which results say every word in some text: their own, one inside of what they say, a note."""
    words = re.findall(r"\w+", text.lower())
    said = np.zeros((len(words), len(results)), bool)
    for name in results.frame:
        column = results.frame[name]
        if column.dtype == object:
            said |= _words_in(words, column)
    for nested in results.nested.values():
        texts = [" ".join(_texts(value)).lower() for value in nested.values]
        said |= np.array([[word in one for one in texts] for word in words]).reshape(len(words), -1)[:, nested.codes]
    for key in noted.keys() & {*results.frame.index} if noted else ():
        one = " ".join(noted[key]).lower()
        said[:, results.frame.index.get_loc(key)] |= [word in one for word in words]
    return np.asarray(said.all(axis=0))


def _words_in(words: Sequence[str], column: "pd.Series[Any]") -> NDArray[np.bool_]:
    import pyarrow.compute

    texts = pyarrow.array([x if isinstance(x, str) else None for x in column.tolist()], pyarrow.string())
    lower = pyarrow.compute.utf8_lower(texts)
    found = [pyarrow.compute.match_substring(lower, word).fill_null(False) for word in words]
    return np.array([one.to_numpy(zero_copy_only=False) for one in found], bool).reshape(len(words), -1)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for item in value.values() for text in _texts(item))
    elif isinstance(value, list):
        yield from (text for item in value for text in _texts(item))
