"""Documents as lines of a file, whatever is in them, and the name of that file."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from event_model import NumpyEncoder


class _AnyEncoder(NumpyEncoder):
    """What JSON has no form for (a path, a time, bytes) as text: metadata of a run may hold anything."""

    def default(self, value: Any) -> Any:
        try:
            return super().default(value)
        except TypeError:
            return str(value)


def as_line(name: str, doc: Mapping[str, Any]) -> str:
    """A document in one line of JSON; ValueError if it holds itself."""
    try:
        return json.dumps({"name": name, "doc": doc}, cls=_AnyEncoder, skipkeys=True) + "\n"
    except RecursionError:
        raise ValueError(f"a {name} document that holds itself") from None


def file_name(uid: str) -> str:
    """Of a run, in any folder: its uid where that can be one, else a digest of it."""
    uid = str(uid)
    return (
        uid if re.fullmatch(r"[\w-]{1,80}", uid, re.ASCII) else hashlib.sha256(uid.encode(errors="replace")).hexdigest()
    )
