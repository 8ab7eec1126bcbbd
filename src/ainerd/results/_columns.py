"""Metadata of many nodes as columns, in memory and in a file: a hundred thousand without an object for each."""

import json
import os
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow

Metadata = Mapping[str, Any]
FindProblem = Callable[[Metadata], str | None]

Cursor = Mapping[str, Any]

POINT = "embedding"
_SCALAR, _MIXED, _NESTED = "scalar ", "mixed ", "nested "  # before the name of a column in a file
_MOST_FILES = 20  # of catalogs, in a folder
_SCALARS = {str, int, float, bool}  # the types in JSON and msgpack; isinstance would take twice as long


@dataclass(frozen=True, eq=False)
class Columns:
    """Metadata of nodes, in any order.

    Attributes
    ----------
    frame : pandas.DataFrame, shape (n, …)
        Scalars by name, index ``key``; NaN where a node has no value.
    number : ndarray of int, shape (n,)
        Position of each node in the order of creation.
    sizes, points : ndarray of int, shape (n,), and of float32
        Number of components of each embedding, and the components of all embeddings, concatenated.
    nested : pandas.DataFrame, shape (n, …)
        Other values by name, as JSON: nodes with the same value share one text.
    problems : dict of str to str
        Why nodes cannot be shown, by key; such a node has no values here.
    """

    frame: pd.DataFrame
    nested: pd.DataFrame
    number: NDArray[np.int64]
    sizes: NDArray[np.int64]
    points: NDArray[np.float32]
    problems: dict[str, str]

    @classmethod
    def of(
        cls,
        nodes: Mapping[str, Metadata],
        find_problem: FindProblem | None = None,
        number: NDArray[np.int64] | None = None,
    ) -> Self:
        """Make columns of metadata by key; `find_problem` returns why a node cannot be shown, or None."""
        rows, texts, points = list[dict[str, Any]](), list[dict[str, str]](), list[Any]()
        problems = {}
        for key, metadata in nodes.items():
            if find_problem is not None and (problem := find_problem(metadata)) is not None:
                problems[key], metadata = problem, {}
            points.append(metadata.get(POINT) or ())
            others = {name: x for name, x in metadata.items() if type(x) not in _SCALARS and x is not None}
            rows.append({name: x for name, x in metadata.items() if type(x) in _SCALARS})
            texts.append({name: sys.intern(_json(x)) for name, x in others.items() if name != POINT})
        index = pd.Index(list(nodes), name="key", dtype=object)
        return cls(
            pd.DataFrame(rows, index=index),
            pd.DataFrame(texts, index=index),
            np.arange(len(nodes)) if number is None else number,
            np.array([*map(len, points)], np.int64),
            np.concatenate([np.array(point, np.float32) for point in points if point] or [np.zeros(0, np.float32)]),
            problems,
        )

    @classmethod
    def joined(cls, parts: Sequence["Columns"]) -> "Columns":
        """Concatenate columns."""
        parts = [part for part in parts if len(part)] or list(parts[:1])
        if len(parts) == 1:
            return parts[0]
        return cls(
            _concatenate([part.frame for part in parts]),
            _concatenate([part.nested for part in parts]),
            np.concatenate([part.number for part in parts]),
            np.concatenate([part.sizes for part in parts]),
            np.concatenate([part.points for part in parts]),
            {key: problem for part in parts for key, problem in part.problems.items()},
        )

    def __len__(self) -> int:
        return len(self.number)

    def at(self, mask: NDArray[np.bool_]) -> "Columns":
        """Select nodes by a mask, shape (n,); returns the same object if it selects all."""
        if mask.all():
            return self
        frame = self.frame[mask]
        return Columns(
            frame,
            self.nested[mask],
            self.number[mask],
            self.sizes[mask],
            self.points[np.repeat(mask, self.sizes)],
            {key: problem for key, problem in self.problems.items() if key in frame.index} if self.problems else {},
        )

    def column(self, name: str) -> NDArray[Any]:
        """Return the scalars of a name, shape (n,); NaN where a node has none."""
        return self.frame[name].to_numpy() if name in self.frame else np.full(len(self), np.nan)

    def values(self, name: str) -> list[Any]:
        """Return the nested values of a name, one for each node; None where a node has no value."""
        codes, values = self._distinct(name)
        return [values[code] for code in codes]

    def distinct(self, name: str) -> list[Any]:
        """Return the distinct nested values of a name, in the order of the nodes."""
        return self._distinct(name)[1][:-1]

    def where(self, name: str, holds: Callable[[Any], bool]) -> NDArray[np.bool_]:
        """Select the nodes for whose nested value of a name a condition holds."""
        codes, values = self._distinct(name)
        return np.array([*map(holds, values[:-1]), False], bool)[codes]

    def _distinct(self, name: str) -> tuple[NDArray[np.intp], list[Any]]:
        """Return an index for each node into the distinct nested values of a name, which end with None."""
        if name not in self.nested:
            return np.full(len(self), -1), [None]
        if name not in self._known:
            codes, texts = pd.factorize(self.nested[name])
            self._known[name] = codes, [*map(parse_json, texts), None]
        return self._known[name]

    @cached_property
    def _known(self) -> dict[str, tuple[NDArray[np.intp], list[Any]]]:
        return {}


def parse_json(text: str | bytes) -> Any:
    """Parse JSON, with NaN as Python's json writes it."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(value)


def _concatenate(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate frames with the dtypes that pandas would give; NaN for a column that is missing."""
    columns: dict[Any, NDArray[Any]] = {}
    for name in dict.fromkeys(name for frame in frames for name in frame):
        arrays = [frame[name].to_numpy() if name in frame else np.full(len(frame), np.nan) for frame in frames]
        kinds = {array.dtype.kind for array in arrays}
        if len(kinds) > 1 and not kinds <= set("iuf"):
            arrays = [array.astype(object) for array in arrays]
        columns[name] = np.concatenate(arrays)
    index = pd.Index(np.concatenate([frame.index.to_numpy() for frame in frames]), name="key", dtype=object)
    return pd.DataFrame(columns, index=index, copy=False)


def load_snapshot(path: Path) -> tuple[Columns, Cursor] | None:
    """Return the columns in a file and their cursor; None without a file, or if it is damaged."""
    try:
        columns, cursor = unpack(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    import pyarrow

    pyarrow.default_memory_pool().release_unused()  # it would keep as much memory as the results take
    return columns, cursor


def save_snapshot(path: Path, columns: Columns, cursor: Cursor) -> None:
    """Write columns to a file in one step, readable by this user only; nothing happens if that is impossible."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=path.stem, delete=False) as part:
            part.write(pack(columns, cursor))
        os.replace(part.name, path)
        for old in sorted(path.parent.glob("results-*"), key=os.path.getmtime)[:-_MOST_FILES]:
            old.unlink()


def pack(results: Columns, cursor: Cursor) -> bytes:
    """Return a file: a checksum, and the columns with the cursor in Arrow's format."""
    import pyarrow

    columns: dict[str, Any] = {
        "key": pyarrow.array(results.frame.index, pyarrow.string()),
        "number": pyarrow.array(results.number),
    }
    for name in results.frame:
        column = results.frame[name]
        try:
            columns[f"{_SCALAR}{name}"] = pyarrow.array(column, from_pandas=True)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
            texts = [None if pd.isna(value) else json.dumps(value) for value in column.tolist()]
            columns[f"{_MIXED}{name}"] = pyarrow.array(texts, pyarrow.string())
    for name in results.nested:
        texts = pyarrow.array(results.nested[name], pyarrow.string(), from_pandas=True)
        columns[f"{_NESTED}{name}"] = texts.dictionary_encode()
    offsets = pyarrow.array(np.concatenate([[0], np.cumsum(results.sizes)]), pyarrow.int64())
    columns["points"] = pyarrow.LargeListArray.from_arrays(offsets, pyarrow.array(results.points, pyarrow.float32()))
    table = pyarrow.table(columns).replace_schema_metadata(
        {"problems": json.dumps(results.problems), "cursor": json.dumps(cursor)}
    )
    file = BytesIO()
    options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
    with pyarrow.ipc.new_file(file, table.schema, options=options) as writer:
        writer.write_table(table)
    content = file.getvalue()
    return zlib.crc32(content).to_bytes(4, "little") + content


def unpack(file: bytes) -> tuple[Columns, Cursor]:
    """Return the columns and the cursor in a file of `pack`.

    Raises
    ------
    ValueError, KeyError, TypeError
        If `pack` did not write the file, or it is damaged.
    """
    import pyarrow

    content = memoryview(file)[4:]
    if zlib.crc32(content).to_bytes(4, "little") != file[:4]:
        raise ValueError("the checksum does not fit")
    table = pyarrow.ipc.open_file(pyarrow.py_buffer(content)).read_all().combine_chunks()
    frame, nested = {}, {}
    for name in table.column_names:
        column = table[name]
        if name.startswith(_SCALAR):
            frame[name.removeprefix(_SCALAR)] = _values(column)
        elif name.startswith(_MIXED):
            texts = column.to_pylist()
            values = [np.nan if text is None else json.loads(text) for text in texts]
            frame[name.removeprefix(_MIXED)] = np.array([*values, None], object)[:-1]
        elif name.startswith(_NESTED):
            nested[name.removeprefix(_NESTED)] = _values(column.cast(pyarrow.string()))
    index = pd.Index(table["key"].to_pandas(), name="key", dtype=object)
    points = table["points"].combine_chunks()
    points = points.chunk(0) if isinstance(points, pyarrow.ChunkedArray) else points
    columns = Columns(
        pd.DataFrame(frame, index=index, copy=False),
        pd.DataFrame(nested, index=index, copy=False),
        table["number"].to_numpy(),
        np.diff(points.offsets.to_numpy()),
        points.flatten().to_numpy().copy(),  # or the whole file would stay in memory
        json.loads(table.schema.metadata[b"problems"]),
    )
    return columns, json.loads(table.schema.metadata[b"cursor"])


def _values(column: "pyarrow.ChunkedArray") -> Any:
    values = column.to_pandas().to_numpy()
    if values.dtype == object and column.null_count:
        values = values.copy()
        values[column.is_null().to_numpy()] = np.nan
    return values
