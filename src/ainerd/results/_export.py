"""Results as files and as xarray datasets: one as its technique writes it, all as a table or as netCDF."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ainerd.jobs import waiting
from ainerd.results._files import LoadedResult
from ainerd.results._records import USABLE, Metadata
from ainerd.technique import panels

if TYPE_CHECKING:
    import xarray as xr

NEXUS, NETCDF, TABLES = ".nxs", (".h5", ".hdf5", ".nc"), (".csv", ".parquet", ".xlsx")
_OWN_VARIABLES = ("summary", "positions", "start", "arrays", "tables", "series")  # variables instead of attributes


def export_all(table: pd.DataFrame, load: Callable[[Sequence[str]], Iterable[LoadedResult]], path: str | Path) -> Path:
    """Write all results: the table as ``.csv``, ``.parquet`` or ``.xlsx``; everything as ``.h5`` or ``.nc``.

    A CSV or Excel file has units in brackets in its header, and a CSV file a ' before texts that a spreadsheet would
    take for a formula. A Parquet file has the attributes of the table. A netCDF file (``.h5`` too) has a group for each
    result, as ``to_xarray`` returns it.

    Raises
    ------
    ValueError
        If the path ends otherwise, or the netCDF file exists.
    """
    path = Path(path)
    if path.suffix in TABLES:
        return write_table(table, path)
    if path.suffix not in NETCDF:
        raise ValueError(f"{path}: give a name that ends in .csv, .parquet, .xlsx, .h5 or .nc; .nxs holds one result")
    return write_netcdf(load([str(key) for key in table.index[table["status"].isin(USABLE)]]), path)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield the path of a file to write, which gets its name when it is whole: Ctrl-C or a full disk leaves nothing.

    Raises ValueError if `path` exists.

    Examples
    --------
    >>> with new_file(folder / "result.txt") as path:
    ...     _ = path.write_text("half")
    ...     _ = 1 / 0  # it fails here
    Traceback (most recent call last):
        ...
    ZeroDivisionError: division by zero
    >>> [*folder.iterdir()]
    []
    """
    new_path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def new_path(path: Path) -> None:
    """Create the folder of a file to write; ValueError if the file exists."""
    if path.exists():
        raise ValueError(f"{path} exists already: give another name, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """Write a table of results as CSV, Parquet or Excel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    units, plain = table.attrs["units"], pd.DataFrame(table)
    plain.attrs = table.attrs
    named = plain.rename(columns=lambda name: f"{name} [{units[name]}]" if name in units else name)
    texts = named.select_dtypes("object")
    named = named.assign(**{str(name): texts[name].map(no_formula) for name in texts}).rename(columns=no_formula)
    if path.suffix == ".csv":
        named.to_csv(path)
    elif path.suffix == ".xlsx":
        times = named.select_dtypes("datetimetz")
        without_zones = {str(name): times[name].dt.tz_convert(None) for name in times}
        named.assign(**without_zones).to_excel(path)
    else:
        plain.to_parquet(path)
    return path


def no_formula(cell: object) -> object:
    """Return the value of a cell; a text that a spreadsheet would compute, such as ``=1+1``, begins with ``'``.

    Examples
    --------
    >>> no_formula("=1+1"), no_formula("gel 3"), no_formula(-1.5)
    ("'=1+1", 'gel 3', -1.5)
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")) else cell


def write_netcdf(results: Iterable[LoadedResult], path: Path) -> Path:
    """Write results as groups of a netCDF file, which gets its name when it is whole."""
    with new_file(path) as part, waiting(f"writing {path.name}"):
        for result in results:
            dataset(result).to_netcdf(part, mode="a", group=result.key, engine="h5netcdf")
    return path


def dataset(result: LoadedResult, names: Sequence[str] | None = None) -> "xr.Dataset":
    """Return one result: arrays, tables and series as variables, numbers and texts as attributes.

    Parameters
    ----------
    result : LoadedResult
    names : sequence of str, optional
        Names of arrays, which are loaded, with the coordinates of their dimensions. Default: all arrays, tables and
        series.

    Returns
    -------
    xarray.Dataset
        An array with a dimension of its own name is its coordinate; those of the technique are added. Where two arrays
        have different sizes along a dimension of one name, that of the later one is called ``<dimension>_<array>``. A
        column of a table is ``<table>_<column>``. Units are in the attribute ``units`` of each variable.

    Raises
    ------
    KeyError
        If an array does not exist.
    """
    import xarray as xr

    metadata, units = result.metadata, result.metadata["units"]
    if missing := [name for name in names or () if name not in metadata["arrays"]]:
        raise KeyError(f"no array {', '.join(missing)}: there are {', '.join(metadata['arrays']) or 'none'}")
    variables: dict[str, xr.Variable] = {}
    sizes: dict[str, int] = {}
    for name in [*metadata["arrays"]] if names is None else [name for name in metadata["arrays"] if name in result]:
        values, dims = result[name].values, result[name].dims or [f"{name}_{k}" for k in range(result[name].ndim)]
        dims = [_dimension(dim, name, n, sizes) for dim, n in zip(dims, values.shape, strict=True)]
        variables[name] = xr.Variable(dims, values, _unit(units, name))
    if names is None:
        for name in (*metadata.get("tables", ()), *metadata["series"]):
            variables |= _columns(name, result[name].values, units)
    data = _with_coordinates(xr.Dataset(variables, attrs=_attributes(metadata)), result)
    if names is None:
        return data
    used = {dim for name in names for dim in data[name].dims}
    return data.drop_vars([name for name, values in data.coords.items() if not {*values.dims} <= used])


def dataset_of_all(table: pd.DataFrame, results: Iterable[LoadedResult], names: Sequence[str]) -> "xr.Dataset":
    """Return a table of results as variables along ``result``, with some of their arrays.

    Parameters
    ----------
    table : pandas.DataFrame
        Table of the results, with units in its attributes.
    results : iterable of LoadedResult
        In the same order.
    names : sequence of str
        Names of arrays that all of them have.

    Raises
    ------
    KeyError
        If a result has no array with one of the names.
    ValueError
        If the arrays have different shapes.
    """
    import xarray as xr

    units = table.attrs.get("units", {})
    columns = {str(name): (("result",), _plain(table[name]), _unit(units, str(name))) for name in table}
    rows = xr.Dataset(columns, coords={"result": np.asarray(table.index, dtype=str)})
    if not names or table.empty:
        return rows
    with waiting("reading arrays"):
        each = [dataset(result, names).drop_attrs(deep=False) for result in results]
    try:
        arrays = xr.concat(each, dim=rows["result"], join="outer", coords="minimal", compat="override", data_vars="all")
    except ValueError as error:
        raise ValueError(f"{', '.join(names)} of these results do not fit side by side: {error}") from None
    return rows.merge(arrays, combine_attrs="override")


def _dimension(dim: str, array: str, n: int, sizes: dict[str, int]) -> str:
    """Return the name of a dimension of size n, with the name of the array if an earlier one has another size."""
    return dim if sizes.setdefault(dim, n) == n else f"{dim}_{array}"


def _columns(name: str, table: pd.DataFrame, units: Mapping[str, str]) -> dict[str, "xr.Variable"]:
    import xarray as xr

    return {
        f"{name}_{column}" if column != name else name: xr.Variable(
            (f"{name}_row",), _plain(table[column]), _unit(units, str(column))
        )
        for column in table
    }


def _with_coordinates(data: "xr.Dataset", result: LoadedResult) -> "xr.Dataset":
    """Return the dataset with the coordinates that its technique knows, as far as their sizes fit."""
    data = data.set_coords([name for name, variable in data.variables.items() if variable.dims == (name,)])
    coordinates = getattr(panels(result.metadata["technique"]), "coordinates", None)
    for name, (dim, values, unit) in (coordinates(result, dict(data.sizes)) if coordinates else {}).items():
        if data.sizes.get(dim) == len(values):
            data = data.assign_coords({name: ((dim,), np.asarray(values), {"units": unit})})
    return data


def _attributes(metadata: Metadata) -> dict[str, object]:
    """Return metadata as netCDF takes them: numbers and texts, nested values as JSON."""
    given = {n: x for n, x in metadata.items() if n not in _OWN_VARIABLES and x not in (None, [], {})}
    return {
        name: json.dumps(value) if isinstance(value, Mapping) else int(value) if isinstance(value, bool) else value
        for name, value in given.items()
    }


def _plain(values: pd.Series) -> object:
    """Return a column as a numpy array, with NaN, "" or NaT for missing values."""
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
