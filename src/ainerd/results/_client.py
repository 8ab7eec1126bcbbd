"""What a Tiled client makes of the node of a result, where ainerd is installed."""

from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
from numpy.typing import NDArray
from tiled.client.constructors import from_context
from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd.results._explain import explain
from ainerd.results._records import ResultRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from tiled.client.array import ArrayClient  # imports dask and numba


class _Array:
    """An array of a result as an attribute, read when it is sliced; there where the result has it."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, node: None, owner: type) -> Self: ...
    @overload
    def __get__(self, node: "AinerdResult", owner: type) -> "ArrayClient": ...
    def __get__(self, node: "AinerdResult | None", owner: type) -> "Self | ArrayClient":
        if node is None:
            return self
        if self._name not in node.metadata.get("arrays", {}):
            raise AttributeError(f"this result has no array {self._name!r}: {node!r}")
        return node[self._name]


class AinerdResult(Container):
    """One result: its numbers in `metadata`, its arrays as attributes and children.

    Tiled makes these of nodes with the spec ``AinerdResult``; ``client["ainerd/results"][key]`` is one.
    """

    c2 = _Array("Two-time correlation maps, (roi, t1, t2).")
    g2 = _Array("One-time correlation, (roi, tau).")
    tau = _Array("Lags of `g2` in seconds.")
    latent = _Array("Latent vector of each map, (roi, component).")
    denoised = _Array("The maps without their noise, (roi, t1, t2), at 64 px.")

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

    def image(self) -> NDArray[np.uint8]:
        """All maps as one grey picture, six in a row, time up and to the right."""
        from ainerd.techniques.rheo_xpcs.figures._picture import montage

        return montage(self.c2.read())

    def plot(self) -> "Figure":
        """Maps, g2 and what was monitored, on one page.

        Returns
        -------
        matplotlib.figure.Figure
            A notebook shows it; elsewhere ``node.plot().savefig("result.png")``.
        """
        from ainerd.techniques.rheo_xpcs.figures._plot import plot

        where = ", ".join(f"{name} = {self.metadata[name]:.3g}" for name in self.metadata["positions"])
        return plot(self, f"scan {self.metadata.get('scan_id', '?')} at {where}: {self.verdict}")

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
    def explanation(self) -> str:
        """Why the run was called novel, or was not."""
        return explain(self.record)

    def __repr__(self) -> str:
        inside = ", ".join([*self.metadata.get("arrays", {}), *self.metadata.get("series", {})])
        return f"<AinerdResult of scan {self.metadata.get('scan_id', '?')}: {self.verdict}; {inside or 'no arrays'}>"

    def __dir__(self) -> list[str]:
        there = self.metadata.get("arrays", {})
        return [
            name for name in super().__dir__() if name in there or not isinstance(getattr(type(self), name, 0), _Array)
        ]

    def _at(self, path: list[str], what: str) -> Any:
        try:
            return from_context(self.context, structure_clients=self.structure_clients, node_path_parts=tuple(path))
        except (ClientError, KeyError):
            raise KeyError(f"{what} is not on this server") from None
