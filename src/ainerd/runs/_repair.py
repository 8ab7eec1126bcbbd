"""Names, metadata and descriptions that event-model's schema, SQL tables and Tiled's catalog take."""

import hashlib
import math
import re
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from event_model import DocumentNames, schema_validators

LARGEST = 2**53 - 1  # of the integers that JSON holds exactly everywhere
LONGEST = 2**20  # characters of a text
MOST_REPAIRS = 200  # of a document
LONGEST_COLUMN = 60  # bytes: 63 in PostgreSQL, less those of the prefix of the column of times
FORBIDDEN = re.compile(r"""['"`;\\%()=+/.\x00-\x1f\x7f\u2028\u2029\x85]|--|\*""")

Note = Callable[[str], None]


def storable(doc: Mapping[str, Any], note: Note) -> dict[str, Any]:
    """Return the metadata of a document as Tiled stores them.

    Numbers that are not finite and large integers become text, as do very long texts their beginnings; names lose dots
    and slashes. TiledWriter would replace large numbers by others without a word.

    Examples
    --------
    >>> storable({"a.b": float("nan"), "n": [2**60]}, print)
    a.b: the name is 'a_b'
    a.b is nan, stored as text
    n is 1152921504606846976, stored as text
    {'a_b': 'nan', 'n': ['1152921504606846976']}
    """
    return {_name(key, key, note): _value(value, key, note) for key, value in doc.items()}


def _name(key: str, where: str, note: Note) -> str:
    name = key.replace(".", "_").replace("/", "_").replace("\0", "\ufffd") or "_"
    if name != key:
        note(f"{where[:80]}: the name is {name[:80]!r}")
    return name


def _value(value: Any, where: str, note: Note) -> Any:
    if isinstance(value, Mapping):
        keeps = where in ("data_keys", "configuration", "object_keys", "hints") or where.startswith("configuration.")
        return {
            key if keeps else _name(key, f"{where}.{key}", note): _value(each, f"{where}.{key}", note)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_value(each, where, note) for each in value]
    if isinstance(value, str):
        if len(value) > LONGEST:
            note(f"{where[:80]} has {len(value)} characters, {LONGEST} are stored")
        return value[:LONGEST].replace("\0", "\ufffd")
    is_large = isinstance(value, int) and abs(value) > LARGEST
    if is_large or (isinstance(value, float) and not math.isfinite(value)):
        note(f"{where[:80]} is {str(value)[:80]}, stored as text")
        return str(value)
    return value


def repaired(name: str, doc: Mapping[str, Any], run: str, note: Note) -> dict[str, Any]:
    """Return a document that matches event-model's schema: values of a wrong type are left out, missing ones added.

    Raises ValueError if that does not help.

    Examples
    --------
    >>> repaired("stop", {"uid": "b", "run_start": "a", "time": 1.0, "exit_status": 7}, "a", print)
    exit_status is left out of the stop document: 7 is not one of ['success', 'abort', 'fail']
    exit_status is missing in the stop document
    {'uid': 'b', 'run_start': 'a', 'time': 1.0, 'exit_status': 'fail'}
    """
    document, validator = dict(doc), schema_validators[DocumentNames[name]]
    defaults = {
        "uid": run if name == "start" else str(uuid.uuid4()), "run_start": run, "time": time.time(),
        "exit_status": "fail", "data_keys": {}, "dtype": "number", "shape": [], "source": "",
        "high": None, "low": None,
    }  # fmt: skip
    for _ in range(MOST_REPAIRS):
        error = next(validator.iter_errors(document), None)
        if error is None:
            return document
        path = list(error.absolute_path)
        if error.validator == "required":
            missing = next(key for key in error.validator_value if key not in error.instance)
            note(f"{'.'.join(map(str, [*path, missing]))[:80]} is missing in the {name} document")
            error.instance[missing] = defaults.get(missing, "")
            continue
        if not path:
            break
        inner: Any = document
        for step in path[:-1]:
            inner = inner[step]
        note(f"{'.'.join(map(str, path))[:80]} is left out of the {name} document: {error.message[:80]}")
        del inner[path[-1]]
    raise ValueError(f"the {name} document does not match event-model's schema")


def column_name(key: str, taken: set[str]) -> str:
    """Return a name for the column of a reading, with underscores in place of characters that SQL refuses.

    `taken` are names in lower case that it must not have, in any case; nor must ``ts_`` and the name, which is the
    column of its times.

    Examples
    --------
    >>> column_name("Cell", {"cell", "ts_cell"}), column_name("time", {"time"}), column_name("I(0)", set())
    ('Cell_', 'time_', 'I_0_')
    """
    name = FORBIDDEN.sub("_", key)
    if not re.match("[a-zA-Z]", name):  # names that begin with an underscore belong to Tiled
        name = f"key_{name}"
    if _length(name) > LONGEST_COLUMN:
        name = _ending(name, f"_{hashlib.sha256(key.encode()).hexdigest()[:8]}")
    number, free = 1, name
    while free.lower() in taken or f"ts_{free}".lower() in taken:
        number += 1
        free = _ending(name, "_" if number == 2 else f"_{number}")
    return free


def _ending(name: str, suffix: str) -> str:
    """Return a name with a suffix, and without as many letters before it as are too many for a column."""
    while _length(name + suffix) > LONGEST_COLUMN:
        name = name[:-1]
    return name + suffix


def node_name(key: str, taken: set[str]) -> str:
    """Return a name for a node, with underscores in place of slashes and control characters.

    Examples
    --------
    >>> node_name("a/b", {"a_b"}), node_name("", set())
    ('a_b_', '_')
    """
    name = re.sub(r"[/\x00-\x1f\x7f]", "_", key)
    name = "_" if name in ("", ".", "..") else name
    while name in taken:
        name += "_"
    return name


def _length(name: str) -> int:
    return max(len(name.encode()), len(name.lower().encode()))
