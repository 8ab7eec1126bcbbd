"""What a Tiled client makes of the node of a result, where ainerd is installed."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tiled.client.constructors import from_context
from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd.results._explain import explain
from ainerd.results._export import NEXUS, TABLES, export, write_table
from ainerd.results._notes import notes_on, read_notes
from ainerd.results._records import ResultRecord
from ainerd.results._store import ResultStore
from ainerd.results._which import scan_text
from ainerd.technique import panels
from ainerd.words import named_place

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from tiled.client.array import ArrayClient  # imports dask


class AinerdResult(Container):
    """One result: its numbers in `metadata`, its arrays as attributes and children.

    Tiled makes these of nodes with the spec ``AinerdResult``; ``client["ainerd/results"][key]`` is one. An array is
    read when it is sliced; one that is called as something a container has, such as ``items``, is a child only.
    """

    @property
    def record(self) -> ResultRecord:
        """The metadata, checked."""
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
        return self._at([*self.path_parts[:-3], *path.split("/")], f"the run {path}")

    @property
    def configuration(self) -> Container:
        """What this result has in common with all of the same parameters: the pixels of each bin, say.

        Raises
        ------
        KeyError
            If nobody kept it.
        """
        digest = self.metadata["digest"]
        return self._at([*self.path_parts[:-2], "configurations", digest], f"the configuration {digest}")

    def to_xarray(self, *arrays: str) -> "xr.Dataset":
        """The result as an xarray dataset, or only some of its arrays: ``result.to_xarray("g2")``.

        Dimensions have their coordinates, as far as the technique knows them, and each variable its unit as the
        attribute ``units``. Numbers and texts of the metadata are attributes of the dataset.

        Raises
        ------
        KeyError
            If there is no array of a name.
        """
        from ainerd.results._xarray import dataset

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
            If it holds nothing yet, or there is such a file.
        """
        suffix = "" if hasattr(filepath, "write") else Path(filepath).suffix
        if fields is not None or format is not None or suffix not in (*NEXUS, *TABLES):
            return super().export(filepath, fields, format=format)
        store = ResultStore(self._at(self.path_parts[:-2], "what agents wrote"))
        key = str(self.path_parts[-1])
        if suffix in TABLES:
            return write_table(store.table().loc[[key]], Path(filepath))
        return export(store, key, filepath)

    def image(self) -> NDArray[np.uint8]:
        """The result as a grey picture (ny, nx), as its technique draws it.

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
        """The result on one page, as its technique draws it; else its series, lines and images.

        A notebook shows it; elsewhere ``node.plot().savefig("result.png")``.

        Raises
        ------
        ValueError
            If there is neither an array nor a series.
        """
        from matplotlib.figure import Figure

        from ainerd.results._page import draw_result

        if not self.metadata["arrays"] and not self.metadata["series"]:
            raise ValueError(f"there is nothing to plot: {self!r}")
        figure = Figure(figsize=(13, 5), layout="constrained")
        (self._panel("plot") or draw_result)(self, figure)
        position = {name: self.metadata[name] for name in self.metadata["positions"]}
        where = named_place(position, self.metadata["units"])
        at = f" at {where}" if where else ""
        figure.suptitle(f"{self._what}{at}: {self.verdict}", parse_math=False)
        return figure

    @property
    def verdict(self) -> str:
        """What was found, in a few words."""
        said = self.metadata
        found = str(said.get("status", "of unknown status"))
        if "reason" in said:
            found += f" ({said['reason']})"
        if "regime" in said:
            found += f", regime {said['regime']}"
        if "novelty_p" in said:
            found += f", p = {said['novelty_p']:.2g}" + (" (novel)" if said["novel"] else "")
        return found

    @property
    def notes(self) -> list[str]:
        """What people noted on it, or on its run, oldest first."""
        log = self._at([*self.path_parts[:-2], "log"], "the log")
        return notes_on(self.path_parts[-1], self.metadata, read_notes(log))

    @property
    def explanation(self) -> str:
        """Why the run was called novel, or was not."""
        return explain(self.record)

    def __repr__(self) -> str:
        inside = ", ".join(name for kind in ("arrays", "tables", "series") for name in self.metadata.get(kind, {}))
        return f"<AinerdResult of {self._what}: {self.verdict}; {inside or 'no arrays'}>"

    @property
    def _what(self) -> str:
        """What it is of, in words."""
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
        """What the technique has for this."""
        return getattr(panels(self.metadata["technique"]), part, None)

    def _at(self, path: list[str], what: str) -> Any:
        try:
            return from_context(self.context, structure_clients=self.structure_clients, node_path_parts=tuple(path))
        except (ClientError, KeyError):
            raise KeyError(f"{what} is not on this server") from None
