"""Documents as lines of a file, whatever is in them, and the name of that file."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from event_model import NumpyEncoder

DEEPEST = 60  # levels of a document: JSON is written and read by recursion
LARGEST_BITS = 10_000  # of a whole number: Python prints no longer one


class _AnyEncoder(NumpyEncoder):
    """What JSON has no form for (a path, a time, bytes) as text: metadata of a run may hold anything."""

    def default(self, value: Any) -> Any:
        try:
            return super().default(value)
        except TypeError:
            return str(value)


def as_line(name: str, doc: Mapping[str, Any]) -> str:
    """A document in one line of JSON; what no JSON holds is text in it."""
    try:
        return _dumped(name, doc)
    except (RecursionError, ValueError):
        return _dumped(name, _cut(doc, ()))


def _dumped(name: str, doc: Any) -> str:
    return json.dumps({"name": name, "doc": doc}, cls=_AnyEncoder, skipkeys=True) + "\n"


def _cut(value: Any, inside: tuple[int, ...]) -> Any:
    """A value with text for what is too deep in it, holds itself, or is too long a number."""
    if isinstance(value, Mapping | list | tuple):
        if id(value) in inside or len(inside) == DEEPEST:
            return "(too deep to be kept)"
        inside = (*inside, id(value))
        if isinstance(value, Mapping):
            return {key: _cut(each, inside) for key, each in value.items()}
        return [_cut(each, inside) for each in value]
    return hex(value) if isinstance(value, int) and value.bit_length() > LARGEST_BITS else value


def file_name(uid: str) -> str:
    """Of a run, in any folder: its uid where that can be one, else a digest of it."""
    uid = str(uid)
    return (
        uid if re.fullmatch(r"[\w-]{1,80}", uid, re.ASCII) else hashlib.sha256(uid.encode(errors="replace")).hexdigest()
    )
