"""Metadata of nodes as columns in a file of this machine, so that a first reading of thousands takes a second."""

import json
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ainerd.results._columns import Columns, Nested

if TYPE_CHECKING:
    import pyarrow

_SCALAR, _MIXED, _NESTED = "scalar ", "mixed ", "nested "  # before the name of a column

Cursor = Mapping[str, Any]


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
        with NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
            part.write(pack(columns, cursor))
        os.replace(part.name, path)


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
    for name, nested in results.nested.items():
        codes = pyarrow.array(nested.codes, mask=nested.codes < 0)
        columns[f"{_NESTED}{name}"] = pyarrow.DictionaryArray.from_arrays(codes, pyarrow.array(nested.texts, "string"))
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
            coded = column.chunk(0) if column.num_chunks else pyarrow.array([], "string").dictionary_encode()
            codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
            nested[name.removeprefix(_NESTED)] = Nested(codes, coded.dictionary.to_pylist())
    index = pd.Index(table["key"].to_pandas(), name="key", dtype=object)
    points = table["points"].combine_chunks()
    points = points.chunk(0) if isinstance(points, pyarrow.ChunkedArray) else points
    columns = Columns(
        pd.DataFrame(frame, index=index, copy=False),
        table["number"].to_numpy(),
        np.diff(points.offsets.to_numpy()),
        points.flatten().to_numpy().copy(),  # or the whole file would stay in memory
        nested,
        json.loads(table.schema.metadata[b"problems"]),
    )
    return columns, json.loads(table.schema.metadata[b"cursor"])


def _values(column: "pyarrow.ChunkedArray") -> Any:
    values = column.to_pandas().to_numpy()
    if values.dtype == object and column.null_count:
        values = values.copy()
        values[column.is_null().to_numpy()] = np.nan
    return values
