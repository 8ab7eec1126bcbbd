"""Results as files: NXxpcs for one, CSV or Parquet for the table."""

from pathlib import Path

from ainerd.results._store import ResultStore


def export(store: ResultStore, key: str, path: str | Path) -> Path:
    """Write a complete result to an HDF5 file that follows NXxpcs, which pyXpcsViewer opens too.

    The masks of the bins and the groups of pyXpcsViewer are written if the store has the configuration of the
    result: without it nobody knows which pixels a map is of.

    Parameters
    ----------
    store : ResultStore
    key : str
    path : path
        A file that does not exist yet, such as ``scan_12.nxs``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    KeyError
        If there is no such result.
    ValueError
        If the result is not complete, or the file exists.
    """
    import h5py

    from ainerd.techniques.rheo_xpcs.exports._nexus import write_nexus
    from ainerd.techniques.rheo_xpcs.exports._viewer import MASKS, write_viewer

    record, path = store.record(key), Path(path)
    if record.status != "complete":
        raise ValueError(f"result {key} is {record.status}{f': {record.reason}' if record.reason else ''}")
    arrays = {name: store.array(key, name) for name in record.arrays}
    series = {name: store.series(key, name) for name in record.series}
    configuration = store.configuration(record.digest)
    try:
        file = h5py.File(path, "x")
    except FileExistsError:
        raise ValueError(f"{path} exists already: give another name, or remove it") from None
    with file:
        write_nexus(file, record, arrays, series, configuration)
        if configuration is not None and {"c2", "g2", "tau"} <= set(arrays) and MASKS <= set(configuration.arrays):
            write_viewer(file, record, arrays, configuration)
    return path


def export_table(store: ResultStore, path: str | Path) -> Path:
    """Write the table of all results.

    Parameters
    ----------
    store : ResultStore
    path : path
        ``.csv``, whose header has the units in brackets, or ``.parquet``, which has them among its attributes.

    Raises
    ------
    ValueError
        If the path ends otherwise.
    """
    path, table = Path(path), store.table()
    if path.suffix == ".csv":
        units = table.attrs["units"]
        table.rename(columns=lambda name: f"{name} [{units[name]}]" if name in units else name).to_csv(path)
    elif path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        raise ValueError(f"{path}: give a name that ends in .csv or .parquet")
    return path
