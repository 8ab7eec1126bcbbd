"""Results as files: one as its technique writes it, all as a table or as plain HDF5."""

from pathlib import Path

import pandas as pd

from ainerd.results._file import read_table
from ainerd.results._hdf5 import put_array, put_attributes, put_table
from ainerd.results._patience import counted
from ainerd.results._records import USABLE
from ainerd.results._store import ResultStore
from ainerd.technique import panels
from ainerd.words import escape_table

NEXUS, TABLES = (".nxs", ".h5", ".hdf5"), (".csv", ".parquet")


def export(store: ResultStore, key: str, path: str | Path) -> Path:
    """Write a result to a file of the field's format, as its technique does, and return its path.

    Parameters
    ----------
    store : ResultStore
    key : str
        Or what else `ainerd.results.ResultStore.key` takes.
    path : path
        A file that does not exist yet. If the technique writes no files it is plain HDF5, and ends in .h5 or .hdf5.

    Raises
    ------
    KeyError
        If there is no such result.
    ValueError
        If the result holds nothing yet, its technique writes no such files, or the file exists.
    """
    key, path = store.key(key), Path(path)
    record = store.record(key)
    if record.status in ("computing", "failed"):
        raise ValueError(f"result {key} is {record.status}{f': {record.reason}' if record.reason else ''}")
    write = getattr(panels(record.technique), "export", None)
    try:
        if write is not None:
            return Path(write(store, key, path))
        if path.suffix in NEXUS[1:]:
            return write_plain(store, [key], path)
    except FileExistsError:
        raise ValueError(f"{path} exists already: give another name, or remove it") from None
    raise ValueError(
        f"nothing that is installed writes a result of technique {record.technique!r} to {path.suffix or path}: "
        f"give a name that ends in .h5, or read its arrays by store.array({key!r}, name)"
    )


def export_table(store: ResultStore, path: str | Path) -> Path:
    """Write the table of all results: ``.csv``, with units in brackets in its header, or ``.parquet``, with attributes.

    A text in CSV that a spreadsheet would take for a formula has a ' in front. ValueError if the path ends otherwise.
    """
    return write_table(store.table(), Path(path))


def export_all(store: ResultStore, path: str | Path) -> Path:
    """Write all results: the table as ``.csv`` or ``.parquet``, or everything as ``.h5``, a group for each.

    ValueError if the path ends otherwise, or there is such an HDF5 file.
    """
    path = Path(path)
    if path.suffix in TABLES:
        return export_table(store, path)
    if path.suffix not in NEXUS[1:]:
        raise ValueError(f"{path}: give a name that ends in .csv, .parquet or .h5; .nxs holds one result")
    table = store.table()
    keys = [str(key) for key in table.index[table["status"].isin(USABLE)]]
    try:
        return write_plain(store, keys, path)
    except FileExistsError:
        raise ValueError(f"{path} exists already: give another name, or remove it") from None


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """A table of results as CSV or Parquet."""
    if path.suffix == ".csv":
        units = table.attrs["units"]
        named = table.rename(columns=lambda name: f"{name} [{units[name]}]" if name in units else name)
        escape_table(named).to_csv(path)
    elif path.suffix == ".parquet":
        plain = pd.DataFrame(table)
        plain.attrs = table.attrs
        plain.to_parquet(path)
    else:
        raise ValueError(f"{path}: give a name that ends in .csv or .parquet")
    return path


def write_plain(store: ResultStore, keys: list[str], path: Path) -> Path:
    """Results as HDF5, a group each by its key: metadata as attributes, arrays as datasets, tables as groups."""
    import h5py

    with h5py.File(path, "x", libver="latest", track_order=True) as file:
        for key in counted(keys, f"writing {path.name}"):
            node = store[key]
            said, parts = node.metadata, dict(node.items())
            group = file.create_group(key, track_order=True)
            put_attributes(group, said)
            for name in said["arrays"]:
                about = {"units": said["units"].get(name), "dims": ",".join(parts[name].dims or ()) or None}
                put_array(group, name, parts[name].read(), about)
            for name in (*said.get("tables", ()), *said["series"]):
                put_table(group, name, read_table(parts[name]), said["units"])
    return path
