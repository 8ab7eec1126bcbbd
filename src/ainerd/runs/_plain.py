"""Documents with any values as plain values of JSON."""

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

DEEPEST = 60  # levels of a document: JSON is written and read recursively
LARGEST_BITS = 10_000  # of an integer: Python prints no longer one
MOST_VALUES = 10_000_000  # of a document
TOO_DEEP, NO_VALUE = "(too deep to be kept)", "(cannot be read)"


def plain(doc: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a document that consists of dicts, lists, text, numbers, booleans and None.

    Text takes the place of values that JSON cannot hold (paths, times, bytes, sets), of integers with thousands of
    digits, and of values that are nested too deep or contain themselves. Numbers that are not finite stay.

    Raises
    ------
    ValueError
        If it holds too many values, or is no mapping.

    Examples
    --------
    >>> plain({"a": np.arange(3), "b": (b"x", np.float32(0.5)), 7: {1}})
    {'a': [0, 1, 2], 'b': ["b'x'", 0.5], '7': '{1}'}
    """
    if not isinstance(doc, Mapping):
        raise ValueError(f"a document is a mapping, this is a {type(doc).__name__}")
    copy: dict[str, Any] = _copy(doc, (), itertools.count(1))
    return copy


def line_of(name: str, doc: Mapping[str, Any]) -> str:
    """Return a document as one line of JSON, see `plain`."""
    return json.dumps({"name": name, "doc": plain(doc)}) + "\n"


def _copy(value: Any, parents: tuple[int, ...], numbers: Iterator[int]) -> Any:
    """Return a plain copy of a value within `parents`, the ids of the values that contain it; each gets a number."""
    if next(numbers) > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES} values")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return hex(value) if value.bit_length() > LARGEST_BITS else int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        return (value.astype(float) if value.dtype.itemsize > 8 else value).tolist()
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind != "V":
        return _copy(value.tolist(), parents, numbers)
    if not isinstance(value, Mapping | list | tuple):
        return _text(value)
    if id(value) in parents or len(parents) >= DEEPEST:
        return TOO_DEEP
    parents = (*parents, id(value))
    if isinstance(value, Mapping):
        return {_text(key): _copy(_child(value, key), parents, numbers) for key in list(value)}
    return [_copy(each, parents, numbers) for each in value]


def _child(value: Mapping[Any, Any], key: Any) -> Any:
    try:
        return value[key]
    except Exception:  # a mapping of somebody's own
        return NO_VALUE


def _text(value: Any) -> str:
    """Return a value as a text that UTF-8 can hold."""
    try:
        text = str.__str__(value) if isinstance(value, str) else str(value)
    except Exception:  # an error of somebody's object, or a value that is nested too deep to be printed
        return f"({type(value).__name__})"
    return text.encode("utf-8", "backslashreplace").decode()
