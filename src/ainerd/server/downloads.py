"""Download formats of a Tiled server, where those of Tiled 0.2.20 fail.

Tiled refuses containers as HDF5 if their metadata are nested or empty, fails for tables as HDF5 and arrays as HTML, and
writes text that a spreadsheet would run as a formula.
"""

import csv
import io
import math
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import pandas as pd
from fastapi import HTTPException
from numpy.typing import NDArray
from tiled.media_type_registration import default_serialization_registry
from tiled.utils import SerializationError, UnsupportedShape, ensure_awaitable

from ainerd.results import Part, bundle, put_attributes
from ainerd.server.internals import save_to_buffer_tifffile
from ainerd.words import escape_cell, escape_table

MOST_BYTES = 2**30  # of a container, in memory
HDF5 = "application/x-hdf5"
CSV = ["text/csv", "text/x-comma-separated-values", "text/plain", "application/vnd.ms-excel"]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def offer_downloads() -> None:
    """Register these formats for the servers that this process starts from now on."""
    for family, media_types, pack in (
        ("container", HDF5, container_as_hdf5),
        ("table", HDF5, table_as_hdf5),
        ("table", CSV, table_as_csv),
        ("table", XLSX, table_as_xlsx),
        ("array", CSV, array_as_csv),
        ("array", "image/png", array_as_png),
        ("array", "image/tiff", array_as_tiff),
        ("array", "text/html", array_as_html),
    ):
        default_serialization_registry.register(family, media_types, pack)


async def container_as_hdf5(mimetype: str, node: Any, metadata: Mapping[str, Any], filter_for_access: Any) -> Any:
    """Return all that is below a node: containers and tables as groups, arrays as datasets, metadata as attributes."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest", track_order=True) as file:
        put_attributes(file, metadata)
        await _fill(file, node, metadata, filter_for_access)
    return buffer.getbuffer()


async def table_as_hdf5(mimetype: str, node: Any, metadata: Mapping[str, Any], filter_for_access: Any = None) -> Any:
    """Return the columns of a table as datasets."""
    table = node if isinstance(node, pd.DataFrame) else await ensure_awaitable(node.read)
    return bundle({str(name): Part(table[name].to_numpy()) for name in table}, {}, metadata)


def table_as_csv(mimetype: str, table: pd.DataFrame, metadata: Any, preserve_index: bool = False) -> bytes:
    """Return a table without formulas that a spreadsheet would run."""
    return escape_table(table).to_csv(index=preserve_index).encode()


def table_as_xlsx(mimetype: str, table: pd.DataFrame, metadata: Any, preserve_index: bool = False) -> Any:
    """Return the same for Excel, which has no time zones."""
    buffer, plain = io.BytesIO(), escape_table(table)
    for name in plain.select_dtypes("datetimetz"):
        plain[name] = plain[name].astype(str)
    plain.to_excel(buffer, index=preserve_index)
    return buffer.getbuffer()


def array_as_csv(mimetype: str, array: NDArray[Any], metadata: Any) -> bytes:
    """Return the rows of an array; with more than two dimensions in blocks, each after a comment with its index."""
    array = np.asarray(array)
    array = array if array.ndim > 1 else array.reshape(-1, 1)  # a column
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if not array.size:
        return b""
    text, blocks = io.StringIO(), array.reshape(-1, *array.shape[-2:])
    for index, block in zip(np.ndindex(array.shape[:-2]), blocks, strict=True):
        if index:
            print(f"# {', '.join(map(str, index))}", file=text)
        if block.dtype.kind in "OU":
            csv.writer(text, lineterminator="\n").writerows(
                [escape_cell(cell) for cell in row] for row in block.tolist()
            )
        else:
            np.savetxt(text, block, "%s", ",")
    return text.getvalue().encode()


def array_as_png(mimetype: str, array: NDArray[Any], metadata: Any) -> Any:
    """Return numbers in at most two dimensions as gray levels from the first to the last percentile; NaN is black."""
    from PIL import Image

    array = np.asarray(array)
    if array.ndim > 2:
        raise UnsupportedShape(array.shape)
    if array.dtype.kind not in "biuf" or not array.size:
        raise SerializationError(f"an array of {array.dtype} and shape {array.shape} cannot be shown as a picture")
    values = np.atleast_2d(array).astype(float)
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [1, 99]) if finite.size else (0.0, 1.0)
    shades = np.clip((values - low) / (high - low or 1.0), 0, 1)
    buffer = io.BytesIO()
    Image.fromarray(np.nan_to_num(255 * shades).astype(np.uint8)).save(buffer, format="png")
    return buffer.getbuffer()


def array_as_tiff(mimetype: str, array: NDArray[Any], metadata: Any) -> Any:
    """Return numbers in at most four dimensions as TIFF."""
    if array.dtype.kind not in "biuf":
        raise SerializationError(f"an array of {array.dtype} cannot be shown as a picture")
    return save_to_buffer_tifffile(mimetype, array, metadata)


def array_as_html(mimetype: str, array: NDArray[Any], metadata: Any) -> bytes:
    """Return a page with the numbers."""
    from html import escape

    return f"<html><body><pre>{escape(array_as_csv(mimetype, array, metadata).decode())}</pre></body></html>".encode()


async def _fill(group: Any, node: Any, metadata: Mapping[str, Any], filter_for_access: Any) -> None:
    visible = await filter_for_access(node)
    items = [*(await visible.items_range() if hasattr(visible, "items_range") else visible.items())]
    structures = [child.structure() for _, child in items if child.structure_family == "array"]
    size = sum(math.prod(each.shape) * each.data_type.to_numpy_dtype().itemsize for each in structures)
    if group.file.id.get_filesize() + size > MOST_BYTES:
        raise HTTPException(400, f"all that is there needs more than {MOST_BYTES} bytes: download parts of it")
    units = metadata.get("units")
    units = units if isinstance(units, Mapping) else {}
    for key, child in items:
        details = dict(child.metadata() or {})
        if child.structure_family == "container":
            subgroup = group.create_group(key, track_order=True)
            put_attributes(subgroup, details)
            await _fill(subgroup, child, details, filter_for_access)
        elif child.structure_family == "table":
            Part(await ensure_awaitable(child.read)).write(group, key, units, details)
        else:
            dims = getattr(child.structure(), "dims", None)
            Part(await ensure_awaitable(child.read), dims).write(group, key, units, details)
