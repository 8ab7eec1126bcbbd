"""What a Tiled server gives to whoever downloads a node: in place of what Tiled 0.2.20 cannot pack.

Tiled refuses containers as HDF5 if their metadata are nested or empty, fails with tables as HDF5 and with arrays as
HTML, and writes text that a spreadsheet takes for a formula.
"""

import csv
import io
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tiled.media_type_registration import default_serialization_registry
from tiled.utils import SerializationError, UnsupportedShape, ensure_awaitable

from ainerd.results import put_array, put_attributes, put_table
from ainerd.words import escape_cell, escape_table

HDF5 = "application/x-hdf5"
CSV = ["text/csv", "text/x-comma-separated-values", "text/plain", "application/vnd.ms-excel"]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def offer_downloads() -> None:
    """Have the servers that this process starts from now on give nodes so."""
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
    """Everything below a node: containers and tables as groups, arrays as datasets, metadata as attributes."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest", track_order=True) as file:
        put_attributes(file, metadata)
        await _fill(file, node, metadata, filter_for_access)
    return buffer.getbuffer()


async def table_as_hdf5(mimetype: str, node: Any, metadata: Mapping[str, Any], filter_for_access: Any = None) -> Any:
    """The columns of a table as datasets."""
    table = node if isinstance(node, pd.DataFrame) else await ensure_awaitable(node.read)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest", track_order=True) as file:
        put_attributes(file, metadata or {})
        for column in table:
            put_array(file, str(column), table[column].to_numpy())
    return buffer.getbuffer()


def table_as_csv(mimetype: str, table: pd.DataFrame, metadata: Any, preserve_index: bool = False) -> bytes:
    """A table without live formulas."""
    return escape_table(table).to_csv(index=preserve_index).encode()


def table_as_xlsx(mimetype: str, table: pd.DataFrame, metadata: Any, preserve_index: bool = False) -> Any:
    """The same for Excel, which knows no time zones."""
    buffer, plain = io.BytesIO(), escape_table(table)
    for name in plain.select_dtypes("datetimetz"):
        plain[name] = plain[name].astype(str)
    plain.to_excel(buffer, index=preserve_index)
    return buffer.getbuffer()


def array_as_csv(mimetype: str, array: NDArray[Any], metadata: Any) -> bytes:
    """Rows of an array; of more than two dimensions in blocks, with a comment that says where each is."""
    array = np.asarray(array)
    array = array if array.ndim > 1 else array.reshape(-1, 1)  # a column
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if not array.size:
        return b""
    text, blocks = io.StringIO(), array.reshape(-1, *array.shape[-2:])
    for where, block in zip(np.ndindex(array.shape[:-2]), blocks, strict=True):
        if where:
            print(f"# {', '.join(map(str, where))}", file=text)
        if block.dtype.kind in "OU":
            csv.writer(text, lineterminator="\n").writerows(
                [escape_cell(cell) for cell in row] for row in block.tolist()
            )
        else:
            np.savetxt(text, block, "%s", ",")
    return text.getvalue().encode()


def array_as_png(mimetype: str, array: NDArray[Any], metadata: Any) -> Any:
    """A grey picture between the first and the last percentile, NaN black; of numbers in at most two dimensions."""
    from PIL import Image

    array = np.asarray(array)
    if array.ndim > 2:
        raise UnsupportedShape(array.shape)
    if array.dtype.kind not in "biuf" or not array.size:
        raise SerializationError(f"an array of {array.dtype} and shape {array.shape} makes no picture")
    values = np.atleast_2d(array).astype(float)
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [1, 99]) if known.size else (0.0, 1.0)
    shades = np.clip((values - low) / (high - low or 1.0), 0, 1)
    buffer = io.BytesIO()
    Image.fromarray(np.nan_to_num(255 * shades).astype(np.uint8)).save(buffer, format="png")
    return buffer.getbuffer()


def array_as_tiff(mimetype: str, array: NDArray[Any], metadata: Any) -> Any:
    """The numbers of an array of up to four dimensions."""
    from tifffile import imwrite

    array = np.atleast_2d(array)
    if array.ndim > 4:
        raise UnsupportedShape(array.shape)
    if array.dtype.kind not in "biuf":
        raise SerializationError(f"an array of {array.dtype} makes no picture")
    buffer = io.BytesIO()
    imwrite(buffer, array)
    return buffer.getbuffer()


def array_as_html(mimetype: str, array: NDArray[Any], metadata: Any) -> bytes:
    """A page with the numbers."""
    from html import escape

    return f"<html><body><pre>{escape(array_as_csv(mimetype, array, metadata).decode())}</pre></body></html>".encode()


async def _fill(group: Any, node: Any, metadata: Mapping[str, Any], filter_for_access: Any) -> None:
    inside = await filter_for_access(node)
    items = await inside.items_range() if hasattr(inside, "items_range") else inside.items()
    units = metadata.get("units")
    units = units if isinstance(units, Mapping) else {}
    for key, child in items:
        about = dict(child.metadata() or {})
        if child.structure_family == "container":
            place = group.create_group(key, track_order=True)
            put_attributes(place, about)
            await _fill(place, child, about, filter_for_access)
        elif child.structure_family == "table":
            put_table(group, key, await ensure_awaitable(child.read), units)
            put_attributes(group[key], about)
        else:
            about |= {"units": units[key]} if key in units else {}
            dims = getattr(child.structure(), "dims", None)
            put_array(
                group, key, await ensure_awaitable(child.read), about | ({"dims": ",".join(dims)} if dims else {})
            )
