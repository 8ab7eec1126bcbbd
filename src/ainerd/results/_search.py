"""Which results fulfil what was asked: numbers compared as numbers, on any server."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

Metadata = Mapping[str, Any]


def matches(metadata: Metadata, where: Mapping[str, Any], text: str | None = None, notes: Sequence[str] = ()) -> bool:
    """Whether a result has all these values, ranges (low, high), and words in its texts and what is noted on it.

    A name with dots goes into nested metadata: ``model.name``. What is absent matches nothing.
    """
    if not all(_fits(_value(metadata, name), wanted) for name, wanted in where.items()):
        return False
    if not text:
        return True
    said = " ".join([*_texts(metadata), *notes]).lower()
    return all(word in said for word in re.findall(r"\w+", text.lower()))


def _value(metadata: Metadata, name: str) -> Any:
    value: Any = metadata
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _fits(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, tuple):
        return value is not None and bool(value == wanted)
    limits: list[Any] = [limit.timestamp() if isinstance(limit, datetime) else limit for limit in wanted]
    kind = str if any(isinstance(limit, str) for limit in limits) else int | float
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    low, high = limits
    return (low is None or value >= low) and (high is None or value <= high)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for item in value.values() for text in _texts(item))
    elif isinstance(value, list):
        yield from (text for item in value for text in _texts(item))
