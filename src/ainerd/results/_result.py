"""The client of one result."""

from collections.abc import Collection
from http.client import NOT_ACCEPTABLE
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiled.client.constructors import from_context
from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd.results._drawing import plot_result, verdict_on
from ainerd.results._export import NETCDF, NEXUS, TABLES, dataset, new_path, write_netcdf, write_table
from ainerd.results._files import LoadedResult, load
from ainerd.results._records import ResultRecord
from ainerd.results._store import ResultStore
from ainerd.technique import exporter
from ainerd.words import run_text

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure
    from tiled.client.array import ArrayClient  # imports dask


class AinerdResult(Container):  # type: ignore[misc]
    """One result: its numbers in `metadata`, its arrays as attributes and children.

    Tiled makes these of nodes with the spec ``AinerdResult``; ``client["ainerd/results"][key]`` is one. An array is
    read when it is sliced. One with the name of an attribute of a container, such as ``items``, is a child only.

    Examples
    --------
    >>> result = client["ainerd/results"][store.key(3)]
    >>> result.verdict
    'no regime, p = 0.01 (novel)'
    >>> result.g2[0, :3].round(3)  # read from the server when it is sliced
    array([1.199, 1.199, 1.198])
    >>> result.to_xarray("g2").g2.dims
    ('roi', 'tau')
    """

    @property
    def record(self) -> ResultRecord:
        """The validated metadata."""
        return ResultRecord.from_metadata(self.metadata)

    @property
    def raw(self) -> Container:
        """The run behind the result, untouched.

        Raises
        ------
        KeyError
            If it is not on this server.
        """
        path = self.metadata.get("raw_path") or f"raw/{self.metadata['raw_uid']}"
        return self._node([*self.path_parts[:-3], *path.split("/")], f"the run {path}")

    @property
    def configuration(self) -> Container:
        """The arrays and metadata shared by all results with the same parameters, such as the pixels of each bin.

        Raises
        ------
        KeyError
            If it was not written.
        """
        digest = self.metadata["digest"]
        return self._node([*self.path_parts[:-2], "configurations", digest], f"the configuration {digest}")

    def to_xarray(self, *arrays: str) -> "xr.Dataset":
        """Return the result as an xarray dataset, or only some of its arrays: ``result.to_xarray("g2")``.

        Dimensions have the coordinates that the technique knows, and each variable its unit as the attribute
        ``units``. Numbers and texts of the metadata are attributes of the dataset.

        Raises
        ------
        KeyError
            If an array does not exist.
        """
        return dataset(self._load(arrays or None), arrays or None)

    def export(self, filepath: Any, fields: object = None, *, format: str | None = None) -> Any:
        """Write the result to a file, and return its path.

        Parameters
        ----------
        filepath : path or writable buffer
            ``.nxs`` or ``.h5``: everything, as the technique writes it. ``.csv``, ``.parquet`` or ``.xlsx``: its row of
            the table.
        fields, format
            With these, or another ending, Tiled's server packs it; see `tiled.client.container.Container.export`.

        Raises
        ------
        ValueError
            If the result has no contents yet, the file exists, or nothing writes such a file.
        """
        suffix = "" if hasattr(filepath, "write") else Path(filepath).suffix
        if fields is not None or format is not None or suffix not in (NEXUS, *NETCDF, *TABLES):
            try:
                return super().export(filepath, fields, format=format)
            except ClientError as error:
                if error.response.status_code != NOT_ACCEPTABLE:
                    raise
                endings = ", ".join((NEXUS, *NETCDF, *TABLES))
                raise ValueError(f"{filepath}: give a name that ends in {endings}") from None
        store, key = ResultStore(self._campaign), str(self.path_parts[-1])
        return export(store, key, filepath)

    def rows(self, name: str) -> "pd.DataFrame":
        """Return a table or a series. KeyError if the result has no such table."""
        return self._load([name])[name].values  # type: ignore[no-any-return]

    def plot(self) -> "Figure":
        """Draw the result on one page, as its technique does; else its series, lines and images.

        A notebook shows it; elsewhere ``node.plot().savefig("result.png")``.

        Raises
        ------
        ValueError
            If there is neither an array nor a series.
        """
        return plot_result(self._load(None))

    @property
    def verdict(self) -> str:
        """Status, regime and p-value in a few words."""
        return verdict_on(str(self.path_parts[-1]), self.metadata)

    def __repr__(self) -> str:
        inside = ", ".join(name for kind in ("arrays", "tables", "series") for name in self.metadata.get(kind, {}))
        return f"<AinerdResult of {run_text(self.metadata)}: {self.verdict}; {inside or 'no arrays'}>"

    @property
    def _campaign(self) -> Container:
        return self._node(self.path_parts[:-2], "the container ainerd")

    def _load(self, names: Collection[str] | None) -> LoadedResult:
        """Read the result, or only some of its arrays."""
        (loaded,) = load(self._campaign, [str(self.path_parts[-1])], names)
        return loaded

    def __getattr__(self, name: str) -> "ArrayClient":
        if name.startswith("_") or hasattr(type(self), name):  # the latter: a property that failed
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        if name not in self.metadata.get("arrays", {}):
            raise AttributeError(f"this result has no array {name!r}: {self!r}")
        return self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.metadata.get("arrays", {})]

    def _node(self, path: list[str], name: str) -> object:
        try:
            return from_context(self.context, structure_clients=self.structure_clients, node_path_parts=tuple(path))
        except (ClientError, KeyError):
            raise KeyError(f"{name} is not on this server") from None


def export(store: ResultStore, key: str, path: str | Path) -> Path:
    """Write a result to a file of the field's format, as its technique does, or its row of the table.

    Parameters
    ----------
    store : ResultStore
    key : str
        As for `ainerd.results.ResultStore.key`.
    path : path
        A file that does not exist yet. A name in .csv, .parquet or .xlsx is for the row of the table. If the technique
        writes no files, it is netCDF, and ends in .h5, .hdf5 or .nc.

    Raises
    ------
    KeyError
        If the result does not exist.
    ValueError
        If the result has no contents yet, its technique writes no such files, or the file exists.

    Examples
    --------
    >>> import xarray as xr
    >>> key = store.key(3)
    >>> with xr.open_dataset(export(store, key, folder / "scan_3.h5"), group=key) as result:
    ...     print(result.g2.dims, result.g2.shape, result.attrs["scan_id"])
    ('roi', 'tau') (1, 31) 3
    """
    key, path = store.key(key), Path(path)
    new_path(path)
    if path.suffix in TABLES:
        return write_table(store.table(all=True).loc[[key]], path)
    record = store.record(key)
    if record.status in ("computing", "failed"):
        raise ValueError(f"result {key} is {record.status}{f': {record.reason}' if record.reason else ''}")
    if (write := exporter(record.technique)) is not None:
        return Path(write(store, key, path))
    if path.suffix in NETCDF:
        return write_netcdf(store.load([key]), path)
    raise ValueError(
        f"nothing that is installed writes a result of technique {record.technique!r} to {path.suffix or path}: "
        f"give a name that ends in .h5, or read its arrays by store.array({key!r}, name)"
    )
