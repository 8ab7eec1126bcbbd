"""Odd values, and changes of documents, files and texts, drawn by hypothesis."""

import datetime
import io
import json
import reprlib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h5py
import numpy as np
from event_model import DocumentNames, schemas
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

_TEXTS = (
    "", ".", "..", "../../outside/canary.h5", "%2e%2e%2foutside", "a/b", "a.b", "x" * 300, "\0", "\ud800", "\x1b[2J",
    "=HYPERLINK(1)", "det", "dеt", "NaN", "__class__", "2026-11-21", "<script>", "🧪" * 40,
)  # fmt: skip
_NUMBERS = (
    0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**30, 10**400, 1e300, -1e300, 1e-320,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
_ODD = (
    b"\xff", Path("/a"), datetime.datetime(2026, 11, 21), np.float32(1), np.int64(2), np.zeros((0, 3)), (1,), {1}, 1j,
)  # fmt: skip
PLAIN = st.one_of(
    st.none(), st.booleans(), st.sampled_from(_NUMBERS), st.sampled_from(_TEXTS), st.integers(), st.floats(),
    st.text(max_size=8),
)  # fmt: skip


def _deep(depth: int) -> Any:
    value: Any = 1
    for i in range(depth):
        value = [value] if i % 2 else {"a": value}
    return value


NESTED = st.one_of(
    PLAIN,
    st.lists(PLAIN, max_size=4),
    st.dictionaries(st.one_of(st.sampled_from(_TEXTS), st.text(max_size=5)), PLAIN, max_size=4),
    st.sampled_from([20, 300, 5000]).map(_deep),
)
ANY = st.one_of(NESTED, st.sampled_from(_ODD))
_INSIDE = ("set", "set", "set", "drop", "add")  # changes inside a document
_DEEPEST = 6  # levels of a document that are changed
Change = tuple[str, int, int, Any]


def changes(values: st.SearchStrategy[Any] = ANY, *, inside: bool = False) -> st.SearchStrategy[list[Change]]:
    """Draw changes of documents: kind, number of the document, place in it, new value; maybe only inside documents."""
    ways = _INSIDE if inside else (*_INSIDE, "twice", "leave out", "swap")
    one = st.tuples(st.sampled_from(ways), st.integers(0, 40), st.integers(0, 400), values)
    return st.lists(one, min_size=1, max_size=4)


def changed(values: list[Any], what: list[Change], inside: Callable[[Any], Any] = lambda value: value) -> list[Any]:
    """Return a changed copy of values; `inside` returns the part of a value that may change."""
    values = _copied(values)
    for way, i, where, value in what:
        if not values:
            return values
        i %= len(values)
        if way == "twice":
            values.insert(where % (len(values) + 1), _copied(values[i]))
        elif way == "leave out":
            del values[i]
        elif way == "swap":
            j = where % len(values)
            values[i], values[j] = values[j], values[i]
        elif places := list(_places(inside(values[i]))):
            holder, key = places[where % len(places)]
            if way == "set":
                holder[key] = value
            elif way == "drop":
                del holder[key]
            elif isinstance(holder, dict):
                holder[_TEXTS[where % len(_TEXTS)]] = value
            else:
                holder.append(value)
    return values


def _copied(value: Any, depth: int = 0) -> Any:
    """Copy as deep as changes go; drawn values may be too deep to be copied."""
    if depth > _DEEPEST + 2:
        return value
    if isinstance(value, dict):
        return {key: _copied(each, depth + 1) for key, each in value.items()}
    return [_copied(each, depth + 1) for each in value] if isinstance(value, list) else value


def _places(value: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST or not isinstance(value, dict | list):
        return
    for key in [*value] if isinstance(value, dict) else range(len(value)):
        yield value, key
        yield from _places(value[key], depth + 1)


HEAD = 2500  # bytes at the beginning of a file, where most changes are


@st.composite
def bytes_of(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """Draw one of some files, cut short, or with changed bytes, mostly near its beginning."""
    file = bytearray(draw(st.sampled_from(files)))
    way = draw(st.sampled_from(["cut", "bytes", "bits", "runs", "grown"]))
    if way == "cut":
        return bytes(file[: draw(st.integers(0, len(file)))])
    if way == "grown":
        return bytes(file + draw(st.binary(max_size=64)))
    reach = len(file) if draw(st.booleans()) else min(len(file), HEAD)
    for at in draw(st.lists(st.integers(0, max(reach - 1, 0)), min_size=1, max_size=8)):
        if way == "bytes":
            file[at] = draw(st.integers(0, 255))
        elif way == "bits":
            file[at] ^= 1 << draw(st.integers(0, 7))
        else:
            n = draw(st.integers(1, 8))
            file[at : at + n] = bytes([draw(st.sampled_from([0, 255]))]) * n
    return bytes(file)


def _result_file() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["sums"], file.attrs["names"] = np.arange(3.0), ["a", "b"]
        file["bins/q"] = np.arange(2.0)
    return buffer.getvalue()


# Arbitrary metadata of a run.
METADATA = st.dictionaries(
    st.sampled_from(
        ["odd", "sample", "user", "proposal", "suggestion_id", "num_points", "scan_id", "time", "plan_name", "äö"]
    ),
    ANY,
    min_size=1,
    max_size=3,
)


def _places_of_schemas() -> list[tuple[str, tuple[str, ...]]]:
    """Return the name of a document and the place of each key that event-model's schemas describe."""
    places = [(kind.name, (key,)) for kind in DocumentNames for key in schemas[kind].get("properties", {})]
    described = schemas[DocumentNames.descriptor]["$defs"]
    inside = {"data_keys": described["DataKey"], "configuration": described["Configuration"]}
    places += [("descriptor", (part, "det", key)) for part, schema in inside.items() for key in schema["properties"]]
    places += [("descriptor", ("configuration", "det", "data", "frames"))] * 5
    places += [("stream_datum", (part, key)) for part in ("indices", "seq_nums") for key in ("start", "stop")]
    return [*places, *(("event", (key,)) for key in ("data", "timestamps", "time", "filled"))]


DROPPED = object()
# Changes of keys that the schemas describe: a key is dropped, null, empty, of another type, or has another value.
SCHEMAS = st.lists(
    st.tuples(st.sampled_from(_places_of_schemas()), st.sampled_from([DROPPED, None, [], {}, "", 0]) | PLAIN | NESTED),
    min_size=1,
    max_size=3,
)


def changed_by_schema(documents: list[list[Any]], what: list[tuple[tuple[str, tuple[str, ...]], Any]]) -> list[Any]:
    """Return a changed copy of documents."""
    documents = _copied(documents)
    for (name, (*outer, last)), value in what:
        for doc in (doc for kind, doc in documents if kind == name):
            for key in outer:
                doc = doc.setdefault(key, {}) if isinstance(doc, dict) else None
            if isinstance(doc, dict):
                doc.pop(last, None) if value is DROPPED else doc.update({last: value})
    return documents


# Results with any metadata, path, header, and file, and the format in which they are downloaded.
_PARTS = ("ainerd", "results", "..", ".", "", "%2e%2e", "%2f", "..%2f..%2foutside", "raw", "k" * 300, "a.b", "%00", "é")
_PATHS = st.lists(st.sampled_from(_PARTS) | st.text(max_size=3).map(lambda x: quote(x, errors="replace")), max_size=4)
_FORMATS = (
    "application/x-hdf5",
    "text/csv",
    "image/png",
    "image/tiff",
    "text/html",
    "application/json",
    "a/b",
    "\ufeff",
)
REQUESTS = st.tuples(
    changes(NESTED, inside=True),
    st.none() | _PATHS,
    st.none() | st.sampled_from(["-1", "0", "1e3", "9" * 30, "٣", ""]),
    st.just(b"") | st.just(_result_file()) | bytes_of([_result_file()]),
    st.sampled_from(["application/x-hdf5", "text/html", "", "multipart/form-data; boundary=x"]),
    st.sampled_from(_FORMATS),
)


def each(
    inputs: st.SearchStrategy[Any], n: int, number: int, check: Callable[[Any], str | None]
) -> tuple[int, list[str]]:
    """Draw about `n` inputs from a seed, and return their number and the errors that `check` returns or raises."""
    seen, wrong = [0], []

    @seed(number)
    @settings(
        max_examples=n, deadline=None, database=None, derandomize=False, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(inputs)
    def one(drawn: Any) -> None:
        seen[0] += 1
        try:
            problem = check(drawn)
        except Exception as error:  # hypothesis would print the input, which may be too deep for that
            at = traceback.extract_tb(error.__traceback__)[-1]
            problem = f"{type(error).__name__}: {str(error)[:200]} ({Path(at.filename).name}, line {at.lineno})"
        if problem is not None:
            wrong.append(problem)

    one()
    return seen[0], wrong


def shown(value: Any) -> str:
    """Return a short text for a value, however deep and long it is."""
    few = reprlib.Repr()
    few.maxlevel, few.maxstring, few.maxother = 4, 40, 60
    try:
        return few.repr(value)
    except (RecursionError, ValueError):
        return f"of type {type(value).__name__}"


def as_json(value: Any) -> bytes:
    """Return JSON as a careless client writes it: with NaN, any integer, halves of surrogate pairs."""
    try:
        return json.dumps(value, default=str, skipkeys=True).encode()
    except (RecursionError, ValueError):  # a number of more digits than Python prints
        return b"[" * 5000
