"""The store of everything that agents keep in Tiled, and the client of one result."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from numpy.typing import NDArray
from tiled.client.constructors import from_context
from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd.results._campaign_records import read_notes
from ainerd.results._export import NEXUS, TABLES, dataset, dataset_of_all, export, export_all, write_table
from ainerd.results._nodes import newest_key
from ainerd.results._reading import explain
from ainerd.results._records import USABLE, ResultRecord
from ainerd.results._search import notes_on, scan_text
from ainerd.results._tables import ResultTable
from ainerd.results._writing import ResultWriter
from ainerd.technique import panels
from ainerd.words import named_place

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from tiled.client.array import ArrayClient  # imports dask

QUICK_S = 2.0
_MOST_PANELS = 12


class ResultStore(ResultWriter):
    """Everything that agents wrote, in the container ``ainerd`` of a Tiled server.

    With `agent` and `digest` it is the store of one agent, `agent.results`: results, regimes and embeddings are those
    with both, suggestions and the log are the agent's. Without them it shows what all agents wrote.

    A result is written in two calls, from any thread: `begin` when the run starts, `complete` or `fail` when it is
    analysed. Its key is made from the run and the parameters, so that a replay finds it: a complete one is left as it
    is, a half-written one is written again, a failed one may be replaced. Writers of the same key write the same
    numbers. Tiled has no transactions: a writer that fails at the moment at which another completes may have the last
    word until the next replay.

    Tables are current, whoever writes. All results are read once, afterwards only changes.

    Parameters
    ----------
    ainerd : tiled.client.container.Container
        ``client["ainerd"]``, as `ainerd.server.open_catalog` makes it.
    agent : str, optional
        Name of the agent.
    digest : str, optional
        Digest of the parameters of its technique, see `ainerd.results.digest`.

    Raises
    ------
    ValueError
        If the container was not made by `ainerd.server.open_catalog`.
    """

    def __getitem__(self, run: str | int | float) -> "AinerdResult":
        """Return one result, by the number of its scan or the first characters of its key: ``results[12]``.

        ``results["12.2"]`` is the result of the second event of scan 12.

        Raises
        ------
        KeyError
            If there is none.
        """
        return self._results[self.key(run)]

    def newest_key(self) -> str | None:
        """Return the key of the result that was begun last, or None. One request."""
        return newest_key(self._results, agent=self.agent)

    def export(self, path: str | Path) -> Path:
        """Write all results to a file: the table as ``.csv`` or ``.parquet``, everything as ``.h5``.

        One result is written as its technique does by ``results[12].export("scan_12.nxs")``.

        Raises
        ------
        ValueError
            If the path ends otherwise, or the HDF5 file exists.
        """
        return export_all(self, path)

    def to_xarray(self, *arrays: str, **where: Any) -> "xr.Dataset":
        """Return the table of the usable results as an xarray dataset along ``result``, with these arrays of each.

        ``results.to_xarray("g2", regime=1)`` has g2 of the results in regime 1; conditions are those of `search`. Units
        are in the attribute ``units`` of each variable.

        Raises
        ------
        KeyError
            If a result has no array with one of the names.
        ValueError
            If the arrays have different shapes.
        """
        table = self.search(**where)
        table = table[table["status"].isin(USABLE)]
        return dataset_of_all(table, {str(key): self[str(key)] for key in table.index if arrays}, arrays)

    def answers(self, within_s: float = QUICK_S) -> bool:
        """Return whether the server answers within this time and accepts the key."""
        http = self.container.context.http_client
        try:
            return bool(http.get(self.container.uri, timeout=within_s).is_success)
        except httpx.HTTPError:
            return False

    def __repr__(self) -> str:
        return self._shown_by(repr)

    def _repr_html_(self) -> str:
        return self._shown_by(ResultTable._repr_html_)

    def _shown_by(self, show: Callable[[ResultTable], str]) -> str:
        """Return a summary line and the table, or that Tiled is away: the reader is a person, not a program."""
        of = f" of {self.agent}" if self.agent else ""
        if not self.answers():
            return f"<ResultStore{of}: Tiled does not answer at {self.container.uri}>"
        results = self.search()
        failed, novel = int(results["status"].eq("failed").sum()), int(results["novel"].fillna(False).sum())
        atlas = self.newest_atlas()
        regimes = "no regimes yet"
        if atlas:
            low, high = atlas.supported_range
            regimes = f"{atlas.n_regimes} regimes ({low} to {high} supported, atlas {atlas.version})"
        line = f"{len(self)} results{of}, {failed} failed, {novel} novel, {regimes}"
        return f"{line}\n{show(results)}" if len(results) else line


class AinerdResult(Container):
    """One result: its numbers in `metadata`, its arrays as attributes and children.

    Tiled makes these of nodes with the spec ``AinerdResult``; ``client["ainerd/results"][key]`` is one. An array is
    read when it is sliced. One with the name of an attribute of a container, such as ``items``, is a child only.
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
        return dataset(self, arrays or None)

    def export(self, filepath: Any, fields: Any = None, *, format: str | None = None) -> Any:
        """Write the result to a file, and return its path.

        Parameters
        ----------
        filepath : path or writable buffer
            ``.nxs`` or ``.h5``: everything, as the technique writes it. ``.csv`` or ``.parquet``: its row of the table.
        fields, format
            With these, or another ending, Tiled's server packs it; see `tiled.client.container.Container.export`.

        Raises
        ------
        ValueError
            If the result has no contents yet, or the file exists.
        """
        suffix = "" if hasattr(filepath, "write") else Path(filepath).suffix
        if fields is not None or format is not None or suffix not in (*NEXUS, *TABLES):
            return super().export(filepath, fields, format=format)
        store = ResultStore(self._node(self.path_parts[:-2], "the container ainerd"))
        key = str(self.path_parts[-1])
        if suffix in TABLES:
            return write_table(store.table().loc[[key]], Path(filepath))
        return export(store, key, filepath)

    def image(self) -> NDArray[np.uint8]:
        """Return the result as a grey picture (ny, nx), as its technique draws it.

        Raises
        ------
        ValueError
            If its technique draws none, or is not installed.
        """
        draw = self._panel("image")
        if draw is None:
            raise ValueError(
                f"nothing that is installed makes a picture of a result of technique {self.metadata['technique']!r}: "
                "try plot()"
            )
        return draw(self)

    def plot(self) -> "Figure":
        """Draw the result on one page, as its technique does; else its series, lines and images.

        A notebook shows it; elsewhere ``node.plot().savefig("result.png")``.

        Raises
        ------
        ValueError
            If there is neither an array nor a series.
        """
        from matplotlib.figure import Figure

        if not self.metadata["arrays"] and not self.metadata["series"]:
            raise ValueError(f"there is nothing to plot: {self!r}")
        figure = Figure(figsize=(13, 5), layout="constrained")
        (self._panel("plot") or _draw)(self, figure)
        position = {name: self.metadata[name] for name in self.metadata["positions"]}
        where = named_place(position, self.metadata["units"])
        at = f" at {where}" if where else ""
        figure.suptitle(f"{self._scan}{at}: {self.verdict}", parse_math=False)
        return figure

    @property
    def verdict(self) -> str:
        """Status, regime and p-value in a few words."""
        metadata = self.metadata
        text = str(metadata.get("status", "of unknown status"))
        if "reason" in metadata:
            text += f" ({metadata['reason']})"
        if "regime" in metadata:
            text += f", regime {metadata['regime']}"
        if "novelty_p" in metadata:
            text += f", p = {metadata['novelty_p']:.2g}" + (" (novel)" if metadata["novel"] else "")
        return text

    @property
    def notes(self) -> list[str]:
        """Notes of people on the result or on its run, oldest first."""
        log = self._node([*self.path_parts[:-2], "log"], "the log")
        return notes_on(self.path_parts[-1], self.metadata, read_notes(log))

    @property
    def explanation(self) -> str:
        """Why the run was called novel, or not."""
        return explain(self.record)

    def __repr__(self) -> str:
        inside = ", ".join(name for kind in ("arrays", "tables", "series") for name in self.metadata.get(kind, {}))
        return f"<AinerdResult of {self._scan}: {self.verdict}; {inside or 'no arrays'}>"

    @property
    def _scan(self) -> str:
        return f"scan {scan_text(self.metadata.get('scan_id'), self.metadata.get('event'))}"

    def __getattr__(self, name: str) -> "ArrayClient":
        if name.startswith("_") or hasattr(type(self), name):  # the latter: a property that failed
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        if name not in self.metadata.get("arrays", {}):
            raise AttributeError(f"this result has no array {name!r}: {self!r}")
        return self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.metadata.get("arrays", {})]

    def _panel(self, part: str) -> Callable[..., Any] | None:
        return getattr(panels(self.metadata["technique"]), part, None)

    def _node(self, path: list[str], name: str) -> Any:
        try:
            return from_context(self.context, structure_clients=self.structure_clients, node_path_parts=tuple(path))
        except (ClientError, KeyError):
            raise KeyError(f"{name} is not on this server") from None


def _draw(result: AinerdResult, figure: "Figure") -> None:
    """Draw series and one-dimensional arrays as lines, two-dimensional arrays as images; name the others."""
    metadata = result.metadata
    parts = dict(result.items())  # in one request
    arrays = {name: parts[name] for name in metadata["arrays"]}
    drawable = [name for name, array in arrays.items() if array.ndim in (1, 2) and array.dtype.kind in "biuf"]
    shown = [*metadata["series"], *drawable][:_MOST_PANELS]
    columns = min(4, max(1, len(shown)))
    all_axes = figure.subplots(-(-max(1, len(shown)) // columns), columns, squeeze=False).ravel()
    for axes, name in zip(all_axes, shown, strict=False):
        label = f"{name} ({metadata['units'][name]})" if name in metadata["units"] else name
        if name in metadata["series"]:
            table = parts[name].read()
            axes.plot(table["time"], table[name], ".-", color="0.2", lw=1, ms=3)
            axes.set(xlabel="time (s)", ylabel=label)
            continue
        values, dims = np.asarray(arrays[name].read()), arrays[name].dims or ("", "")
        axes.set_xlabel(dims[-1])
        if values.ndim == 1:
            axes.plot(values, ".-", lw=1, ms=3)
            axes.set_ylabel(label)
        else:
            image = axes.imshow(values, origin="lower", aspect="auto", interpolation="nearest")
            axes.set_ylabel(dims[0])
            figure.colorbar(image, ax=axes, label=label)
    for axes in all_axes[len(shown) :]:
        axes.set_axis_off()
    if left := [name for name in (*metadata["series"], *arrays) if name not in shown]:
        figure.supxlabel("not drawn: " + ", ".join(left), fontsize="small")
