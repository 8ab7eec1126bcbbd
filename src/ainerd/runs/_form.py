"""Documents of a run in a form that Tiled's catalog takes: names of columns, types of values, metadata.

Tiled stores readings in SQL tables, whose columns have a type and a name that is compared without case. TiledWriter
takes the types from the first events. A `Form` takes them from the descriptors, and raises ValueError where an event
does not agree. Then the run is written from its first document with a `WholeForm`, which takes the types from all
events: a value that its column cannot hold is nothing there, and stands in the notes of the run.
"""

import json
import math
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.documents import Document
from ainerd.runs._repair import column_name, node_name, repaired, storable

INT64 = 2**63
EXACT = 2**53  # the largest integer up to which a double holds all
MOST_NOTES = 100
LONGEST = 100  # characters of a value in a note
COUNT = {"number": "<f8", "integer": "<i8", "boolean": "|b1"}
REQUIRED = {
    "resource": ("uid", "spec", "root", "resource_path", "resource_kwargs"),
    "datum": ("datum_id", "resource", "datum_kwargs"),
    "stream_resource": ("uid", "data_key"),
    "stream_datum": ("uid", "stream_resource", "descriptor", "indices", "seq_nums"),
}
OF_FILES = {*REQUIRED, "datum_page"}  # documents about frames in files


@dataclass
class Column:
    """The name of a reading in the catalog, and the kind of its values.

    `kind` is "number", "integer", "boolean", "string", "array" (of this shape, None if it is not known) or "external".
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None = ()
    dtype: str = ""


@dataclass
class _Stream:
    name: str
    columns: dict[str, Column] = field(default_factory=dict)
    n_events: int = 0


class Form:
    """Brings the documents of one run, in order, into a form that the catalog takes.

    Examples
    --------
    >>> form = Form("a")
    >>> ((_, start),) = form("start", {"uid": "a", "time": 0.0, "limit": float("inf"), "sample.name": "gel"})
    >>> start["limit"], start["sample_name"]
    ('inf', 'gel')
    """

    def __init__(self, uid: str) -> None:
        self.uid = uid
        self.notes: list[str] = []  # on changes
        self._all_keys: dict[str, dict[str, Any]] = defaultdict(dict)  # by stream, as far as all documents are known
        self._streams: dict[str, _Stream] = {}
        self._of: dict[str, _Stream] = {}  # by uid of a descriptor
        self._resources: set[str] = set()

    def __call__(self, name: str, doc: Mapping[str, Any]) -> Iterator[Document]:
        """Yield the documents to write in place of a plain one.

        Raises ValueError if an event does not agree with the descriptor of its stream.
        """
        match name:
            case "start" | "stop":
                yield name, repaired(name, storable(doc, self._note), self.uid, self._note)
            case "descriptor":
                yield from self._descriptor(doc)
            case "event" | "event_page":
                for event in events_of(name, doc):
                    yield from self._event(event)
            case _ if name in OF_FILES:
                for each_name, each in _datums_of(name, doc):
                    yield from self._reference(each_name, each)

    def _note(self, text: str) -> None:
        if text not in self.notes and len(self.notes) < MOST_NOTES:
            self.notes.append(text)

    def _descriptor(self, doc: Mapping[str, Any]) -> Iterator[Document]:
        given, wanted = _mapping(doc.get("data_keys")), _name_of(doc)
        doc = repaired("descriptor", storable({**doc, "data_keys": {}}, self._note), self.uid, self._note)
        if doc["uid"] in self._of:
            return
        for each in doc.get("configuration", {}).values():
            each.setdefault("data_keys", {})  # event-model allows that it is missing, TiledWriter does not
        data_keys = {key: self._usable(key, each) for key, each in {**self._all_keys[wanted], **given}.items()}
        stream = self._streams.get(wanted)
        if stream is None:
            names = {each.name for each in self._streams.values()}
            stream = self._streams[wanted] = _Stream(node_name(wanted, names))
            if stream.name != wanted:
                self._note(f"the stream {wanted!r} is called {stream.name!r}")
            stream.columns = self._columns(wanted, data_keys)
        elif set(data_keys) - set(stream.columns):
            raise ValueError(f"the stream {wanted} is described again, with other keys")
        self._of[doc["uid"]] = stream
        known = {key: column for key, column in stream.columns.items() if key in data_keys}
        objects = {
            name: [known[key].name for key in keys if key in known] for name, keys in doc.get("object_keys", {}).items()
        }
        for hint in doc.get("hints", {}).values():
            if "fields" in hint:
                hint["fields"] = [known[key].name if key in known else key for key in hint["fields"]]
        described = {column.name: _described(data_keys[key], column) for key, column in known.items()}
        yield "descriptor", doc | {"name": stream.name, "data_keys": described, "object_keys": objects}

    def _usable(self, key: str, described: Any) -> dict[str, Any]:
        """Return the description of a data key as the schema allows it."""

        def note(text: str) -> None:
            self._note(text.replace("data_keys.key", f"data_keys.{key}", 1))

        doc = {"uid": "", "run_start": "", "time": 0.0, "data_keys": {"key": _mapping(described)}}
        usable: dict[str, Any] = repaired("descriptor", storable(doc, note), self.uid, note)["data_keys"]["key"]
        return usable

    def _columns(self, stream: str, data_keys: Mapping[str, Any]) -> dict[str, Column]:
        """Name the columns of a stream, and find their kinds."""
        columns: dict[str, Column] = {}
        nodes = {"internal"}
        taken = {"time", "seq_num", *nodes}
        for key, described in data_keys.items():
            column = self._column(stream, key, described)
            if column.kind == "external":
                column.name = node_name(key, nodes)
                nodes.add(column.name)
                taken.add(column.name.lower())
            else:
                column.name = column_name(key, taken)
                taken |= {column.name.lower(), f"ts_{column.name}".lower()}
            if column.name != key:
                self._note(f"{key!r} in {stream} is called {column.name!r}")
            columns[key] = column
        return columns

    def _column(self, stream: str, key: str, described: Mapping[str, Any]) -> Column:
        if "external" in described:
            return Column(key, "external")
        dtype, shape = described["dtype"], described["shape"]
        kind = "array" if shape and dtype != "string" else dtype
        known = None if None in shape else tuple(int(n) for n in shape)
        return Column(key, kind, known, str(described.get("dtype_numpy") or ""))

    def _event(self, doc: Mapping[str, Any]) -> Iterator[Document]:
        stream = self._of.get(doc.get("descriptor"))  # type: ignore[arg-type]
        if stream is None:
            self._note(f"an event without a descriptor is left out: {_short(doc.get('descriptor'))}")
            return
        stream.n_events += 1
        number = doc.get("seq_num")
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < INT64:
            number = stream.n_events
        given, stamps, filled = (_mapping(doc.get(name)) for name in ("data", "timestamps", "filled"))
        if unknown := [key for key in given if key not in stream.columns]:
            where = f"an event of {stream.name}"
            raise ValueError(f"{where} has {_short(unknown)}, which its descriptor does not have")
        data, timestamps, is_filled = {}, {}, {}
        read_at = _time(doc.get("time"), 0.0)
        for key, column in stream.columns.items():
            if column.kind != "external":
                stored = _converted(given.get(key), column)
                where = f"event {number} of {stream.name}"
                data[column.name] = self._instead(given.get(key), column, key, where) if stored is None else stored
            elif key in given and self._is_known(given[key]):
                data[column.name], is_filled[column.name] = given[key], bool(filled.get(key, False))
            else:
                continue
            timestamps[column.name] = _time(stamps.get(key), read_at)
        uid = doc.get("uid") if isinstance(doc.get("uid"), str) else str(uuid.uuid4())
        yield "event", {
            "uid": uid, "descriptor": doc["descriptor"], "seq_num": number, "time": read_at,
            "data": data, "timestamps": timestamps, "filled": is_filled,
        }  # fmt: skip

    def _is_known(self, datum: Any) -> bool:
        return True

    def _instead(self, value: Any, column: Column, key: str, where: str) -> Any:
        """Return what takes the place of a value that its column cannot hold."""
        raise ValueError(f"{key} is {_short(value)} in {where}, which is no {column.kind} of its descriptor")

    def _reference(self, name: str, doc: Mapping[str, Any]) -> Iterator[Document]:
        """Yield a document about frames in files, unless it cannot be used."""
        for key in REQUIRED[name]:
            known = self._of if key == "descriptor" else self._resources if key.endswith("resource") else None
            if doc.get(key) is None or (known is not None and doc[key] not in known):
                self._note(f"a {name} document without its {key} is left out")
                return
        if name in ("resource", "stream_resource"):
            self._resources.add(doc["uid"])
        if name == "stream_resource":
            names = [
                stream.columns[doc["data_key"]].name
                for stream in self._streams.values()
                if doc["data_key"] in stream.columns
            ]
            doc = {**doc, "data_key": names[0] if names else doc["data_key"]}
        yield name, dict(doc)


class WholeForm(Form):
    """The form of a run of which all documents are known: no event contradicts it."""

    def __init__(self, uid: str, documents: list[Document]) -> None:
        super().__init__(uid)
        self._documents = documents
        self._values: dict[tuple[str, str], list[Any]] = defaultdict(list)
        self._datums: set[str] = set()
        streams: dict[Any, str] = {}
        for name, doc in documents:
            if name == "descriptor" and isinstance(doc.get("uid"), str):
                stream = streams.setdefault(doc["uid"], _name_of(doc))
                for key, described in _mapping(doc.get("data_keys")).items():
                    self._all_keys[stream].setdefault(key, described)
            elif name in ("event", "event_page"):
                for event in events_of(name, doc):
                    if event.get("descriptor") in streams:
                        for key, value in _mapping(event.get("data")).items():
                            self._values[streams[event["descriptor"]], key].append(value)
            elif name in ("datum", "datum_page"):
                self._datums |= {each["datum_id"] for _, each in _datums_of(name, doc) if "datum_id" in each}
        for stream, key in self._values:
            self._all_keys[stream].setdefault(key, {"dtype": "number", "shape": [], "source": "(not described)"})

    def documents(self) -> Iterator[Document]:
        """Yield the documents to write; the last one is a stop document."""
        for document in self._documents:
            yield from self(*document)

    def _column(self, stream: str, key: str, described: Mapping[str, Any]) -> Column:
        declared = super()._column(stream, key, described)
        values = [value for value in self._values[stream, key] if value is not None]
        if declared.kind == "external" or not values:
            return declared if declared.kind != "array" else Column(key, "string")
        if all(_converted(value, declared) is not None for value in values):
            n_axes = {_n_axes(value) for value in values} if declared.shape is None else set()  # sizes may differ
            if n_axes <= {len(described["shape"])}:
                return declared
        column = _column_of(key, values)
        if (column.kind, column.shape, column.dtype) != (declared.kind, declared.shape, declared.dtype):
            self._note(f"{key} in {stream} is stored as {column.kind} of shape {column.shape}, not as it is described")
        return column

    def _is_known(self, datum: Any) -> bool:
        if isinstance(datum, str) and datum in self._datums:
            self._datums.discard(datum)  # TiledWriter takes each once
            return True
        self._note(f"a frame without its datum is left out: {_short(datum)}")
        return False

    def _instead(self, value: Any, column: Column, key: str, where: str) -> Any:
        if column.kind == "string" and value is not None:
            return _text(json.dumps(value))
        if column.kind == "array":  # of an event without it
            dtype = np.dtype(column.dtype or "<f8")
            return np.full(column.shape or (), math.nan if dtype.kind == "f" else 0, dtype).tolist()
        if value is not None:
            self._note(f"{key} is {_short(value)} in {where}, nothing stands in its place")
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _name_of(doc: Mapping[str, Any]) -> str:
    name = doc.get("name")
    return name if isinstance(name, str) and name else "primary"


def events_of(name: str, doc: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the events of an event or a page; the lists of a page may have different lengths.

    Examples
    --------
    >>> page = {"descriptor": "d", "seq_num": [1, 2], "time": [5.0], "data": {"x": [1, 2]}}
    >>> [(event["seq_num"], event["time"], event["data"]) for event in events_of("event_page", page)]
    [(1, 5.0, {'x': 1}), (2, None, {'x': 2})]
    """
    if name == "event":
        yield doc
        return
    parts: dict[str, Mapping[str, Any]] = {"": {key: doc.get(key) for key in ("uid", "seq_num", "time")}}
    parts |= {part: _mapping(doc.get(part)) for part in ("data", "timestamps", "filled")}
    lists = {(part, key): each for part in parts for key, each in parts[part].items() if isinstance(each, list)}
    for row in zip_longest(*lists.values()):
        event: dict[str, Any] = {"": {"descriptor": doc.get("descriptor")}, "data": {}, "timestamps": {}, "filled": {}}
        for (part, key), value in zip(lists, row, strict=True):
            event[part][key] = value
        yield {**event.pop(""), **event}


def _datums_of(name: str, doc: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the documents of a document about files: those of a page of datums, or itself."""
    if name != "datum_page":
        yield name, doc
        return
    ids, options = doc.get("datum_id"), _mapping(doc.get("datum_kwargs"))
    for i, datum_id in enumerate(ids if isinstance(ids, list) else ()):
        own = {key: values[i] for key, values in options.items() if isinstance(values, list) and len(values) > i}
        yield "datum", {"datum_id": datum_id, "resource": doc.get("resource"), "datum_kwargs": own}


def _converted(value: Any, column: Column) -> Any:
    """Return a value as a column of this kind holds it without loss; None if it cannot."""
    match column.kind:
        case "number":
            is_exact = isinstance(value, float) or (isinstance(value, int) and abs(value) <= EXACT)
            return math.nan if value is None else float(value) if is_exact else None
        case "integer":
            return int(value) if isinstance(value, int) and -INT64 <= value < INT64 else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "string":
            return _text(value) if isinstance(value, str) else None
        case "array":
            return value if _fits(value, column) else None
    return None


def _fits(value: Any, column: Column) -> bool:
    if not isinstance(value, list):
        return False
    if column.shape is None:  # of unknown length
        return True
    array = _array(value)
    if array is None or array.shape != column.shape or not array.size:
        return False
    if array.dtype.kind == "U":
        return column.dtype[1:2] in ("U", "")
    try:
        dtype = np.dtype(column.dtype or "<f8")
    except TypeError:
        return False
    with np.errstate(all="ignore"):
        return dtype.kind in "biuf" and bool(np.array_equal(array.astype(dtype), array, equal_nan=True))


def _array(value: Any) -> NDArray[Any] | None:
    """Return lists as an array of numbers or texts; None if they are ragged, or hold both."""
    try:
        kinds = set(map(type, np.array(value, object).flat))
        array = np.array(value) if kinds <= {int, float, bool} or kinds == {str} else None
    except (ValueError, OverflowError):
        return None
    return array if array is not None and array.dtype.kind in "biufU" else None


def _n_axes(value: Any) -> int:
    """Return how deep lists are nested, by the first ones."""
    return 1 + (_n_axes(value[0]) if value else 0) if isinstance(value, list) else 0


def _column_of(key: str, values: list[Any]) -> Column:
    """Return a column that holds as many of these values as possible without loss."""
    numbers = [value for value in values if isinstance(value, int | float)]
    if all(isinstance(value, bool) for value in values):
        return Column(key, "boolean")
    if any(not isinstance(value, bool) for value in numbers):
        if any(isinstance(value, float) for value in numbers):
            return Column(key, "number")
        is_small = all(-INT64 <= value < INT64 for value in numbers)
        return Column(key, "integer" if is_small else "string")
    arrays = [_array(value) if isinstance(value, list) else None for value in values]
    usable = [array for array in arrays if array is not None and array.dtype.kind != "U" and array.size]
    if len(usable) == len(values) and len(shapes := {array.shape for array in usable}) == 1:
        return Column(key, "array", shapes.pop(), np.result_type(*usable).str)
    return Column(key, "string")


def _described(described: Mapping[str, Any], column: Column) -> dict[str, Any]:
    """Return the data key of a column."""
    if column.kind == "external":
        return dict(described)
    if column.kind == "array":
        shape = list(described["shape"]) if column.shape is None else list(column.shape)
        return {**described, "dtype": "array", "shape": shape, "dtype_numpy": column.dtype or "<f8"}
    rest = {key: value for key, value in described.items() if key not in ("dtype_numpy", "dtype_str", "dtype_descr")}
    numpy = {"dtype_numpy": COUNT[column.kind]} if column.kind in COUNT else {}
    return {**rest, "dtype": column.kind, "shape": [], **numpy}


def _time(value: Any, other: float) -> float:
    is_time = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < EXACT
    return float(value) if is_time else other


def _text(value: str) -> str:
    return value.replace("\0", "\ufffd")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
