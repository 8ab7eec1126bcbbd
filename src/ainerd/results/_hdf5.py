"""Metadata, arrays and tables in a group of an HDF5 file, as plain as they are in Tiled."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import h5py  # not needed by whoever reads through a server


def put_attributes(place: "h5py.Group | h5py.Dataset", metadata: Mapping[str, Any]) -> None:
    """Keep metadata as attributes: numbers and texts as they are, what is nested as JSON, without what is None."""
    for name, value in metadata.items():
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if isinstance(value, Mapping | list | tuple):
            value = json.dumps(value, default=str)
        if value is not None and str(name):
            place.attrs[str(name)] = value if isinstance(value, bool | int | float) else str(value)


def put_array(group: "h5py.Group", name: str, values: Any, about: Mapping[str, Any] | None = None) -> None:
    """Keep an array of numbers, texts or times, with what is said about it as attributes."""
    array = np.asarray(values)
    if array.dtype.kind == "M":
        array = np.datetime_as_string(array)
    if array.dtype.kind in "OUT":
        array = np.char.encode(array.astype(str), "utf-8")
    elif array.dtype.kind not in "biufcSV":
        array = np.char.encode(array.astype(str), "utf-8")
    put_attributes(group.create_dataset(name.replace("/", "_"), data=array), about or {})


def put_table(group: "h5py.Group", name: str, table: pd.DataFrame, units: Mapping[str, str]) -> None:
    """Keep a table as a group of its columns."""
    columns = group.create_group(name.replace("/", "_"), track_order=True)
    for column in table:
        unit = units.get(str(column))
        put_array(columns, str(column), table[column].to_numpy(), {"units": unit})
