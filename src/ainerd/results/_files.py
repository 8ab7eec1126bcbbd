"""Results as HDF5: the bundle of one result that goes to the server, and groups of a file for people."""

import io
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tiled.client.container import Container
from tiled.client.utils import handle_error
from tiled.utils import safe_json_dump

from ainerd.results._nodes import SPEC_VERSION

if TYPE_CHECKING:
    import h5py  # not needed by whoever reads through a server

ATTEMPTS, PAUSE_S = 2, 0.5
QUICK_S, FILE_S = 10.0, 30.0  # time limits of a request without a file and with one
_NO_ROUTE = {"Not Found", "Method Not Allowed"}  # details of a server's answer for a route that it does not have


class Written(NamedTuple):
    """Answer of a server: the former status of the node, None if it is new, and whether anything was written."""

    former: str | None
    written: bool


def bundle(
    arrays: Mapping[str, NDArray[Any]],
    dims: Mapping[str, tuple[str, ...]],
    tables: Mapping[str, pd.DataFrame],
    units: Mapping[str, str],
) -> bytes:
    """Return an HDF5 file with a dataset for each array and a group of columns for each table."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest", track_order=True) as file:
        for name, array in arrays.items():
            dataset = file.create_dataset(name, data=_encoded(np.ascontiguousarray(array)))
            attributes = {"dims": ",".join(dims.get(name) or ()), "units": units.get(name, "")}
            dataset.attrs.update({attribute: text for attribute, text in attributes.items() if text})
        for name, table in tables.items():
            group = file.create_group(name, track_order=True)
            for column, values in table.items():
                group[str(column)] = _encoded(values.to_numpy())
    return buffer.getvalue()


def put_bundle(
    results: Container, key: str, metadata: Mapping[str, Any], file: bytes, *, unless: Sequence[str]
) -> Written | None:
    """Write the node `key` of a result and its file in one request, unless its status is in `unless`.

    Returns None if the server has no route for this. If the server does not answer, the request is made `ATTEMPTS`
    times within a second; a server that hangs is given `QUICK_S`. Runs that cannot be written wait elsewhere.
    """
    specs = [{"name": "AinerdResult", "version": SPEC_VERSION}]
    head = safe_json_dump({"metadata": metadata, "specs": specs, "unless": list(unless)})
    url = f"{results.item['links']['self'].replace('/api/v1/metadata', '/custom/ainerd/result', 1)}/{key}"
    headers = {"x-metadata-length": str(len(head)), "content-type": "application/x-hdf5"}
    for attempt in range(ATTEMPTS):
        try:
            response = results.context.http_client.put(
                url, content=head + file, headers=headers, timeout=FILE_S if file else QUICK_S
            )
        except (httpx.NetworkError, httpx.RemoteProtocolError):  # such as an idle connection that the server closed
            if attempt + 1 == ATTEMPTS:
                raise
            time.sleep(PAUSE_S)
            continue
        if _has_no_route(response):
            return None
        answer = handle_error(response).json()
        return Written(answer["found"], bool(answer["written"]))
    raise AssertionError("the last attempt raises")


def read_table(node: Any) -> pd.DataFrame:
    """Read a table of a result; on a server without our adapters it is a group of columns."""
    if node.structure_family == "table":
        return node.read()
    return decode_table({name: column.read() for name, column in node.items()})


def decode_table(columns: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """Return a table of columns read from HDF5, where texts are bytes."""
    return pd.DataFrame({name: np.char.decode(x, "utf-8") if x.dtype.kind == "S" else x for name, x in columns.items()})


def put_attributes(place: "h5py.Group | h5py.Dataset", metadata: Mapping[str, Any]) -> None:
    """Write metadata as attributes: nested values as JSON, without None."""
    for name, value in metadata.items():
        if isinstance(value, np.generic | np.ndarray):
            value = value.tolist()
        if isinstance(value, Mapping | list | tuple):
            value = json.dumps(value, default=str)
        if value is not None and str(name):
            place.attrs[str(name)] = value if isinstance(value, bool | int | float) else str(value)


def put_array(group: "h5py.Group", name: str, values: Any, attributes: Mapping[str, Any] | None = None) -> None:
    """Write an array of numbers, texts or times."""
    array = np.asarray(values)
    if array.dtype.kind == "M":
        array = np.datetime_as_string(array)
    array = array if array.dtype.kind in "biufcSV" else array.astype(str)
    put_attributes(group.create_dataset(name.replace("/", "_"), data=_encoded(array)), attributes or {})


def put_table(group: "h5py.Group", name: str, table: pd.DataFrame, units: Mapping[str, str]) -> None:
    """Write a table as a group of its columns."""
    columns = group.create_group(name.replace("/", "_"), track_order=True)
    for column in table:
        put_array(columns, str(column), table[column].to_numpy(), {"units": units.get(str(column))})


def _encoded(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array as HDF5 stores it: texts as UTF-8."""
    return np.char.encode(values.astype(str), "utf-8") if values.dtype.kind in "OU" else values


def _has_no_route(response: httpx.Response) -> bool:
    if response.status_code not in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
        return False
    try:
        return response.json().get("detail") in _NO_ROUTE
    except ValueError:
        return True
