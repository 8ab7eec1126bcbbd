"""The arrays and tables of a result as one HDF5 file, and the request that takes it to the server."""

import io
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import httpx
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tiled.client.container import Container
from tiled.client.utils import handle_error
from tiled.utils import safe_json_dump

from ainerd.results._nodes import SPEC_VERSION

ATTEMPTS, PAUSE_S = 2, 0.5
QUICK_S, FILE_S = 10.0, 30.0  # for an answer, without a file and with one
_ABSENT = {"Not Found", "Method Not Allowed"}  # what a server says of a route it does not have


class Found(NamedTuple):
    """What a server said: the status of the node before, None if it is new, and whether anything was written."""

    status: str | None
    written: bool


def packed(
    arrays: Mapping[str, NDArray[Any]],
    dims: Mapping[str, tuple[str, ...]],
    units: Mapping[str, str],
    tables: Mapping[str, pd.DataFrame],
) -> bytes:
    """An HDF5 file: a dataset for each array, a group of columns for each table."""
    import h5py  # an analyst's install reads files through the server

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest", track_order=True) as file:
        for name, array in arrays.items():
            dataset = file.create_dataset(name, data=_plain(np.ascontiguousarray(array)))
            said = {"dims": ",".join(dims.get(name) or ()), "units": units.get(name, "")}
            dataset.attrs.update({what: text for what, text in said.items() if text})
        for name, table in tables.items():
            group = file.create_group(name, track_order=True)
            for column, values in table.items():
                group[str(column)] = _plain(values.to_numpy())
    return buffer.getvalue()


def put_file(
    results: Container, key: str, metadata: Mapping[str, Any], file: bytes, *, unless: Sequence[str]
) -> Found | None:
    """Write the node `key` of a result and the file behind it in one request.

    One with a status in `unless` stays. None if the server does not take results as files. A server that is away is
    asked `ATTEMPTS` times within a second, one that hangs is waited for `QUICK_S`: runs wait for it elsewhere.
    """
    specs = [{"name": "AinerdResult", "version": SPEC_VERSION}]
    said = safe_json_dump({"metadata": metadata, "specs": specs, "unless": list(unless)})
    url = f"{results.item['links']['self'].replace('/api/v1/metadata', '/custom/ainerd/result', 1)}/{key}"
    headers = {"x-metadata-length": str(len(said)), "content-type": "application/x-hdf5"}
    for attempt in range(ATTEMPTS):
        try:
            response = results.context.http_client.put(
                url, content=said + file, headers=headers, timeout=FILE_S if file else QUICK_S
            )
        except (httpx.NetworkError, httpx.RemoteProtocolError):  # such as an idle connection that it closed
            if attempt + 1 == ATTEMPTS:
                raise
            time.sleep(PAUSE_S)
            continue
        if _is_absent(response):
            return None
        answer = handle_error(response).json()
        return Found(answer["found"], bool(answer["written"]))
    raise AssertionError("the last attempt raises")


def read_table(node: Any) -> pd.DataFrame:
    """A table of a result; a server that is not ours shows the columns of the file."""
    if node.structure_family == "table":
        return node.read()
    return decode_table({name: column.read() for name, column in node.items()})


def decode_table(columns: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """A table of the columns as a file has them: its texts are bytes."""
    return pd.DataFrame({name: np.char.decode(x, "utf-8") if x.dtype.kind == "S" else x for name, x in columns.items()})


def _is_absent(response: httpx.Response) -> bool:
    """Whether the server has no such route."""
    if response.status_code not in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
        return False
    try:
        return response.json().get("detail") in _ABSENT
    except ValueError:
        return True


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """A column as HDF5 keeps it, texts as UTF-8."""
    return np.char.encode(values.astype(str), "utf-8") if values.dtype.kind in "OU" else values
