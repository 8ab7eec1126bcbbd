"""Results as files: one as its technique writes it, CSV or Parquet for the table."""

from pathlib import Path

from ainerd.results._store import ResultStore
from ainerd.technique import panels


def export(store: ResultStore, key: str, path: str | Path) -> Path:
    """Write a result to a file of the field's format, as its technique does, and return its path.

    Parameters
    ----------
    store : ResultStore
    key : str
    path : path
        A file that does not exist yet.

    Raises
    ------
    KeyError
        If there is no such result.
    ValueError
        If the result holds nothing yet, its technique writes no files, or the file exists.
    """
    record, path = store.record(key), Path(path)
    if record.status in ("computing", "failed"):
        raise ValueError(f"result {key} is {record.status}{f': {record.reason}' if record.reason else ''}")
    write = getattr(panels(record.technique), "export", None)
    if write is None:
        raise ValueError(
            f"nothing that is installed writes a result of technique {record.technique!r} to a file: "
            f"its arrays are read by store.array({key!r}, name)"
        )
    try:
        return Path(write(store, key, path))
    except FileExistsError:
        raise ValueError(f"{path} exists already: give another name, or remove it") from None


def export_table(store: ResultStore, path: str | Path) -> Path:
    """Write the table of all results: ``.csv``, with units in brackets in its header, or ``.parquet``, with attributes.

    ValueError if the path ends otherwise.
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
