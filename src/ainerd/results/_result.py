"""The client of one result."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tiled.client.constructors import from_context
from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd.results._explain import Result
from ainerd.results._export import NETCDF, NEXUS, TABLES, dataset, export
from ainerd.results._files import LoadedResult, load
from ainerd.results._records import ResultRecord
from ainerd.results._store import ResultStore
from ainerd.technique import panels
from ainerd.words import SINCE, amount, named_place, run_text

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure
    from tiled.client.array import ArrayClient  # imports dask

_MOST_PANELS = 12


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

    def export(self, filepath: Any, fields: Any = None, *, format: str | None = None) -> Any:
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
            If the result has no contents yet, or the file exists.
        """
        suffix = "" if hasattr(filepath, "write") else Path(filepath).suffix
        if fields is not None or format is not None or suffix not in (NEXUS, *NETCDF, *TABLES):
            return super().export(filepath, fields, format=format)
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
        return self._load(None).plot()

    @property
    def verdict(self) -> str:
        """Status, regime and p-value in a few words."""
        return _verdict(str(self.path_parts[-1]), self.metadata)

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

    def _node(self, path: list[str], name: str) -> Any:
        try:
            return from_context(self.context, structure_clients=self.structure_clients, node_path_parts=tuple(path))
        except (ClientError, KeyError):
            raise KeyError(f"{name} is not on this server") from None


def plot_result(result: LoadedResult) -> "Figure":
    """Draw a result on one page, as `AinerdResult.plot` does."""
    from ainerd.results.picture import Picture  # imports matplotlib

    metadata = result.metadata
    if not metadata["arrays"] and not metadata["series"]:
        raise ValueError(f"there is nothing to plot: {run_text(metadata)}, {_verdict(result.key, metadata)}")
    figure = Picture(figsize=(13, 5), layout="constrained")
    drawing = panels(metadata["technique"])
    (getattr(drawing, "plot", None) or _draw)(result, figure)
    where = named_place({name: metadata[name] for name in metadata["positions"]}, metadata["units"])
    at = f" at {where}" if where else ""
    if ends := [name for name in getattr(drawing, "between", ()) if name in metadata]:
        at = " from " + amount(" to ".join(f"{metadata[end]:.3g}" for end in ends), metadata["units"].get(ends[0]))
    figure.suptitle(f"{run_text(metadata)}{at}: {_verdict(result.key, metadata)}", parse_math=False)
    return figure


def compare(results: Sequence[LoadedResult]) -> "Figure":
    """Draw results beside each other, as their technique does."""
    from ainerd.results.picture import Picture

    techniques = {str(result.metadata["technique"]) for result in results}
    draw = getattr(panels(*techniques), "compare", None) if len(techniques) == 1 else None
    if draw is None:
        raise ValueError(f"results of {' and '.join(sorted(techniques)) or 'no run'} cannot be drawn together")
    figure = Picture(figsize=(max(9, 3 * len(results)), 7.5), layout="constrained")
    draw(results, figure)
    return figure


def since_exposure(
    table: Any, name: str, metadata: Mapping[str, Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times in s since the exposure began, (n,), and values, (n,), of a series of a result.

    The times in `table` count from the start of the run. The last value before the exposure is taken for the value at
    its start; earlier ones are left out.

    Parameters
    ----------
    table : DataFrame, mapping or Part
        The columns ``time`` and `name`.
    name : str
        Name of the series.
    metadata : mapping
        That of the result, with ``run_time`` and ``exposure_time``. Without one, times count from the start of the run.

    Examples
    --------
    >>> series = {"time": [1.0, 12.0, 13.0, 20.0], "temperature": [3.0, 4.0, 5.0, 6.0]}
    >>> times, values = since_exposure(series, "temperature", {"run_time": 1000.0, "exposure_time": 1012.5})
    >>> times.tolist(), values.tolist()
    ([0.0, 0.5, 7.5], [4.0, 5.0, 6.0])
    """
    times, values = (np.asarray(table[column]) for column in ("time", name))
    known = {"exposure_time", "run_time"} <= {*metadata}
    began = metadata["exposure_time"] - metadata["run_time"] if known else 0.0
    since = times - began
    first = max(int(np.searchsorted(since, 0.0, side="right")) - 1, 0)
    return np.maximum(since[first:], 0.0), values[first:]


def _verdict(key: str, metadata: Mapping[str, Any]) -> str:
    return Result.of(key, {"raw_uid": "", "status": "of unknown status"} | dict(metadata), ()).verdict()


def _draw(result: LoadedResult, figure: "Figure") -> None:
    """Draw series and one-dimensional arrays as lines, two-dimensional arrays as images; name the others."""
    metadata = result.metadata
    arrays = result.arrays
    drawable = [name for name, array in arrays.items() if array.ndim in (1, 2) and array.dtype.kind in "biuf"]
    shown = [*metadata["series"], *drawable][:_MOST_PANELS]
    columns = min(4, max(1, len(shown)))
    all_axes = figure.subplots(-(-max(1, len(shown)) // columns), columns, squeeze=False).ravel()
    for axes, name in zip(all_axes, shown, strict=False):
        label = f"{name} ({metadata['units'][name]})" if name in metadata["units"] else name
        dims = result[name].dims or ()
        if name not in arrays:
            axes.plot(*since_exposure(result[name], name, metadata), ".-", color="0.2", lw=1, ms=3)
            axes.set(xlabel=SINCE, ylabel=label)
        elif arrays[name].ndim == 1:
            axes.plot(arrays[name], ".-", lw=1, ms=3)
            axes.set(xlabel="".join(dims), ylabel=label)
        else:
            image = axes.imshow(arrays[name], origin="lower", aspect="auto", interpolation="nearest")
            axes.set(xlabel="".join(dims[1:]), ylabel="".join(dims[:1]))
            figure.colorbar(image, ax=axes, label=label)
    for axes in all_axes[len(shown) :]:
        axes.set_axis_off()
    if left := [name for name in (*metadata["series"], *arrays) if name not in shown]:
        figure.supxlabel("not drawn: " + ", ".join(left), fontsize="small")
