"""Metadata of the results as columns in files, so that a first reading of thousands takes a request or two."""

import json
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pandas as pd
from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd.results._columns import Columns, Nested
from ainerd.results._nodes import create_node, is_conflict, read_children

if TYPE_CHECKING:
    import pyarrow

_KEY = "snapshots"
_PART = re.compile(r"(\d{9})-(\d{9})")
_RAW_BYTES = {"Accept": "application/octet-stream", "Accept-Encoding": "identity"}
_TIMEOUT_S = 60.0
_SCALAR, _MIXED, _NESTED = "scalar ", "mixed ", "nested "  # before the name of a column


class Snapshot:
    """Arrays of bytes in ``ainerd/snapshots``: a cache, never the truth, rebuilt where it is missing.

    Each is an Arrow file with consecutive results in the order of creation; its key is the range of their numbers. A
    new file takes up the files before it that are no longer than itself, so that there are few. A client that may not
    write reads without a snapshot.
    """

    def __init__(self, ainerd: Container) -> None:
        self._ainerd = ainerd
        self._parts: list[tuple[int, int]] = []

    @property
    def n(self) -> int:
        """Number of results, from the first on, in the files that this object has read or written."""
        return self._parts[-1][1] if self._parts else 0

    def load(self) -> Columns | None:
        """Read the results from the first on, as far as there are files; None if no file can be read."""
        try:
            keys = [key for key, _ in read_children(self._ainerd, _KEY, _TIMEOUT_S)]
        except httpx.HTTPError:
            return None
        ranges = [tuple(map(int, match.groups())) for key in keys if (match := _PART.fullmatch(key))]
        parts = list[Columns]()
        for first, end in _consecutive(ranges):
            try:
                part = unpack(self._read(first, end), first)
            except httpx.HTTPError:  # another writer has put it into a longer file
                break
            except (ValueError, KeyError, TypeError):  # half written, or damaged
                self.drop()
                return None
            if len(part) != end - first:
                break
            parts.append(part)
            self._parts.append((first, end))
        if not parts:
            return None
        import pyarrow

        pyarrow.default_memory_pool().release_unused()  # it would keep as much memory as the results take
        return Columns.joined(parts)

    def append(self, results: Columns) -> bool:
        """Write those of all results that are in no file yet; False if the server refuses."""
        taken_up, end = list[tuple[int, int]](), len(results)
        first = self.n
        while self._parts and self._parts[-1][1] - self._parts[-1][0] <= end - first:
            taken_up.append(self._parts.pop())
            first = taken_up[-1][0]
        file = pack(results.at((results.number >= first) & (results.number < end)))
        try:
            node, _ = create_node(self._ainerd, _KEY, {}, None)
            try:
                node.write_array(np.frombuffer(file, np.uint8), key=_name(first, end))
            except ClientError as error:
                if not is_conflict(error):  # else another process wrote the same
                    raise
            self._delete(node, [_name(*part) for part in taken_up])
        except (httpx.HTTPError, KeyError):
            return False
        self._parts.append((first, end))
        return True

    def drop(self) -> None:
        """Remove all files."""
        self._parts = []
        self._delete(self._ainerd, [_KEY])

    def _read(self, first: int, end: int) -> bytes:
        address = self._ainerd.uri.replace("/metadata/", "/array/full/", 1) + f"/{_KEY}/{_name(first, end)}"
        response = self._ainerd.context.http_client.get(address, headers=_RAW_BYTES, timeout=_TIMEOUT_S)
        response.raise_for_status()
        return response.content

    @staticmethod
    def _delete(node: Container, keys: Sequence[str]) -> None:
        for key in keys:
            with suppress(httpx.HTTPError, KeyError):  # it does not exist, or we may not remove it
                node.delete_contents([key], recursive=True, external_only=False)


def _name(first: int, end: int) -> str:
    return f"{first:09d}-{end:09d}"


def _consecutive(ranges: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, int]]:
    """Yield the longest range that begins at 0, the longest that follows it, and so on."""
    at = 0
    while (end := max((end for first, end in ranges if first == at), default=0)) > at:
        yield at, end
        at = end


def pack(results: Columns) -> bytes:
    """Return a file: a checksum, and the columns in Arrow's format."""
    import pyarrow

    columns: dict[str, Any] = {"key": pyarrow.array(results.frame.index, pyarrow.string())}
    for name in results.frame:
        column = results.frame[name]
        try:
            columns[f"{_SCALAR}{name}"] = pyarrow.array(column, from_pandas=True)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
            texts = [None if pd.isna(value) else json.dumps(value) for value in column.tolist()]
            columns[f"{_MIXED}{name}"] = pyarrow.array(texts, pyarrow.string())
    for name, nested in results.nested.items():
        codes = pyarrow.array(nested.codes, mask=nested.codes < 0)
        columns[f"{_NESTED}{name}"] = pyarrow.DictionaryArray.from_arrays(codes, pyarrow.array(nested.texts, "string"))
    offsets = pyarrow.array(np.concatenate([[0], np.cumsum(results.sizes)]), pyarrow.int64())
    columns["points"] = pyarrow.LargeListArray.from_arrays(offsets, pyarrow.array(results.points, pyarrow.float32()))
    table = pyarrow.table(columns).replace_schema_metadata({"problems": json.dumps(results.problems)})
    file = BytesIO()
    options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
    with pyarrow.ipc.new_file(file, table.schema, options=options) as writer:
        writer.write_table(table)
    content = file.getvalue()
    return zlib.crc32(content).to_bytes(4, "little") + content


def unpack(file: bytes, first: int) -> Columns:
    """Return the columns in a file of `pack`; `first` is the number of its first result.

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
            coded = column.chunk(0) if column.num_chunks else pyarrow.array([], "string").dictionary_encode()
            codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
            nested[name.removeprefix(_NESTED)] = Nested(codes, coded.dictionary.to_pylist())
    index = pd.Index(table["key"].to_pandas(), name="key", dtype=object)
    points = table["points"].combine_chunks()
    points = points.chunk(0) if isinstance(points, pyarrow.ChunkedArray) else points
    return Columns(
        pd.DataFrame(frame, index=index, copy=False),
        first + np.arange(len(table)),
        np.diff(points.offsets.to_numpy()),
        points.flatten().to_numpy().copy(),  # or the whole file would stay in memory
        nested,
        json.loads(table.schema.metadata[b"problems"]),
    )


def _values(column: "pyarrow.ChunkedArray") -> Any:
    values = column.to_pandas().to_numpy()
    if values.dtype == object and column.null_count:
        values = values.copy()
        values[column.is_null().to_numpy()] = np.nan
    return values
