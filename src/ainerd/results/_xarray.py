"""Results as xarray datasets: named dimensions, coordinates with units, and what was found as attributes."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ainerd.results._file import read_table
from ainerd.results._patience import counted
from ainerd.technique import panels

if TYPE_CHECKING:
    import xarray as xr

    from ainerd.results._client import AinerdResult

_NOT_SAID = ("summary", "positions", "start", "arrays", "tables", "series")  # each is there itself


def dataset(result: "AinerdResult", names: Sequence[str] | None = None) -> "xr.Dataset":
    """One result: arrays, tables and series as variables, numbers and texts as attributes.

    Parameters
    ----------
    result : AinerdResult
    names : sequence of str, optional
        Of the arrays that are wanted; all arrays, tables and series without it.

    Returns
    -------
    xarray.Dataset
        An array that has a dimension of its own name is its coordinate, those of the technique are added. Where two
        arrays have different sizes along a dimension of one name, that of the later is called ``<dimension>_<array>``.
        A column of a table is ``<table>_<column>``. Units are in the attribute ``units`` of each variable.

    Raises
    ------
    KeyError
        If there is no array of a name.
    """
    import xarray as xr

    said, units = result.metadata, result.metadata["units"]
    if missing := [name for name in names or () if name not in said["arrays"]]:
        raise KeyError(f"no array {', '.join(missing)}: there are {', '.join(said['arrays']) or 'none'}")
    nodes = dict(result.items())  # in one request
    wanted = said["arrays"] if names is None else [name for name in said["arrays"] if name in {*names, *_axes(nodes)}]
    variables: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    for name in wanted:
        node = nodes[name]
        dims = node.dims or [f"{name}_{k}" for k in range(node.ndim)]
        dims = [_own(dim, name, n, sizes) for dim, n in zip(dims, node.shape, strict=True)]
        variables[name] = xr.Variable(dims, np.asarray(node.read()), _unit(units, name))
    if names is None:
        for name in (*said.get("tables", ()), *said["series"]):
            variables |= _columns(name, read_table(nodes[name]), units)
    told = xr.Dataset(variables, attrs=_attributes(said))
    return _with_coordinates(told, result)


def dataset_of_all(table: pd.DataFrame, results: Mapping[str, "AinerdResult"], names: Sequence[str]) -> "xr.Dataset":
    """The table of results as variables along ``result``, with some of their arrays.

    Parameters
    ----------
    table : pandas.DataFrame
        Of the results that are wanted, with units in its attributes.
    results : mapping
        Nodes by key.
    names : sequence of str
        Of arrays that all of them have.

    Raises
    ------
    KeyError
        If a result has no array of a name.
    ValueError
        If arrays cannot be put side by side.
    """
    import xarray as xr

    units = table.attrs.get("units", {})
    columns = {str(name): (("result",), _plain(table[name]), _unit(units, str(name))) for name in table}
    told = xr.Dataset(columns, coords={"result": np.asarray(table.index, dtype=str)})
    if not names or table.empty:
        return told
    keys = counted([str(key) for key in table.index], "reading arrays")
    each = [dataset(results[key], names).drop_attrs(deep=False) for key in keys]
    try:
        arrays = xr.concat(each, dim=told["result"], join="outer", coords="minimal", compat="override", data_vars="all")
    except ValueError as error:
        raise ValueError(f"{', '.join(names)} of these results do not fit side by side: {error}") from None
    return told.merge(arrays, combine_attrs="override")


def _axes(nodes: Mapping[str, Any]) -> set[str]:
    """Arrays that are the axis of others: of one dimension, which bears their name."""
    return {name for name, node in nodes.items() if tuple(getattr(node, "dims", None) or ()) == (name,)}


def _own(dim: str, name: str, n: int, sizes: dict[str, int]) -> str:
    return dim if sizes.setdefault(dim, n) == n else f"{dim}_{name}"


def _columns(name: str, table: pd.DataFrame, units: Mapping[str, str]) -> dict[str, Any]:
    import xarray as xr

    return {
        f"{name}_{column}" if column != name else name: xr.Variable(
            (f"{name}_row",), _plain(table[column]), _unit(units, str(column))
        )
        for column in table
    }


def _with_coordinates(told: "xr.Dataset", result: "AinerdResult") -> "xr.Dataset":
    """The dataset with what its technique knows of the axes, as far as that fits."""
    told = told.set_coords([name for name, variable in told.variables.items() if variable.dims == (name,)])
    find = getattr(panels(result.metadata["technique"]), "coordinates", None)
    for name, (dim, values, unit) in (find(result, dict(told.sizes)) if find else {}).items():
        if told.sizes.get(dim) == len(values):
            told = told.assign_coords({name: ((dim,), np.asarray(values), {"units": unit})})
    return told


def _attributes(said: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as netCDF takes them: numbers and texts, what is nested as JSON."""
    kept = {name: value for name, value in said.items() if name not in _NOT_SAID and value not in (None, [], {})}
    return {
        name: json.dumps(value) if isinstance(value, Mapping) else int(value) if isinstance(value, bool) else value
        for name, value in kept.items()
    }


def _plain(values: pd.Series) -> Any:
    """A column as numpy has it: what is not known is NaN, "" or NaT."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values.dt.tz_convert(None).to_numpy("datetime64[ns]")
    if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_integer_dtype(values.dtype):
        kind = bool if pd.api.types.is_bool_dtype(values.dtype) else np.int64
        return values.to_numpy(kind) if values.notna().all() else values.to_numpy(float, na_value=np.nan)
    if pd.api.types.is_float_dtype(values.dtype):
        return values.to_numpy(float)
    return np.asarray(["" if pd.isna(x) else str(x) for x in values], dtype=str)


def _unit(units: Mapping[str, str], name: str) -> dict[str, str]:
    return {"units": units[name]} if name in units else {}
