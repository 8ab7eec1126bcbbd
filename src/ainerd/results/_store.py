"""The store: everything the agent keeps in Tiled."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from tiled.client.container import Container
from tiled.queries import KeysFilter

from ainerd.results._campaign_records import CampaignRecords
from ainerd.results._nodes import newest_key
from ainerd.results._reading import ResultReader
from ainerd.results._records import USABLE, ResultRecord
from ainerd.results._shown import ResultTable
from ainerd.results._writing import ResultWriter

if TYPE_CHECKING:
    import xarray as xr

QUICK_S = 2.0
_PARTS = ("results", "suggestions", "atlas", "log")


class ResultStore(ResultWriter, ResultReader, CampaignRecords):
    """What agents wrote, in the container ``ainerd`` of a Tiled server.

    With `agent` and `digest` it is one agent's own store, `agent.results`: results, regimes and embeddings are those
    with both, suggestions and the log are the agent's. Without them it shows what all agents wrote.

    A result is written in two calls, from any thread: `begin` when the run starts, `complete` or `fail` when
    it is analysed. Its key says which run and which parameters, so a replay finds it: a complete one is left
    as it is, a half-written one is written again, a failed one may be replaced. Writers of the same key write
    the same numbers; Tiled has no transactions, so a writer that fails in the very moment another completes
    may have the last word until the next replay.

    Tables are those of this moment, whoever writes. Thousands of results are read once, then what has changed.

    Parameters
    ----------
    ainerd : tiled.client.container.Container
        ``client["ainerd"]``, as `ainerd.server.open_catalog` makes it.
    agent : str, optional
        Name of the agent.
    digest : str, optional
        Of the parameters of its technique, see `ainerd.results.digest`.

    Raises
    ------
    ValueError
        If the container is not such a one.
    """

    def __init__(self, ainerd: Container, *, agent: str | None = None, digest: str | None = None) -> None:
        parts = dict(ainerd.search(KeysFilter([*_PARTS])).items())
        if missing := ", ".join(name for name in _PARTS if name not in parts):
            raise ValueError(
                f"{ainerd.uri} has no {missing}: give client['ainerd'] after ainerd.server.open_catalog(client)"
            )
        results, suggestions, atlas, log = (parts[name] for name in _PARTS)
        given = {"agent": agent, "digest": digest}
        scope = {name: value for name, value in given.items() if value is not None}
        CampaignRecords.__init__(self, suggestions, atlas, log, scope)
        ResultWriter.__init__(self, ainerd, results, agent)
        ResultReader.__init__(self, ainerd, results, self, scope)
        self.container, self.agent = ainerd, agent

    def _other_digests(self, record: ResultRecord) -> list[str] | None:
        digests = self._digests()
        return None if digests is None else sorted(digests - {record.digest})

    def newest_key(self) -> str | None:
        """Key of the result that was begun last; None if there is none. One request."""
        return newest_key(self.container["results"], agent=self.agent)

    def export(self, path: str | Path) -> Path:
        """Write all results to a file: the table as ``.csv`` or ``.parquet``, everything as ``.h5``.

        One result as its technique writes it: ``results[12].export("scan_12.nxs")``. ValueError if the path ends
        otherwise, or there is such an HDF5 file.
        """
        from ainerd.results._export import export_all

        return export_all(self, path)

    def to_xarray(self, *arrays: str, **asked: Any) -> "xr.Dataset":
        """The table of the usable results as an xarray dataset along ``result``, with these arrays of each.

        ``results.to_xarray("g2", regime=1)`` has g2 of those in regime 1; what is asked is as for `search`. Units are
        in the attribute ``units`` of each variable.

        Raises
        ------
        KeyError
            If a result has no array of a name.
        ValueError
            If arrays cannot be put side by side.
        """
        from ainerd.results._xarray import dataset_of_all

        table = self.search(**asked)
        table = table[table["status"].isin(USABLE)]
        return dataset_of_all(table, {str(key): self[str(key)] for key in table.index if arrays}, arrays)

    def answers(self, within_s: float = QUICK_S) -> bool:
        """Whether the server answers now, and takes the key; says so quickly."""
        http = self.container.context.http_client
        try:
            return bool(http.get(self.container.uri, timeout=within_s).is_success)
        except httpx.HTTPError:
            return False

    def __repr__(self) -> str:
        return self._shown_with(repr)

    def _repr_html_(self) -> str:
        return self._shown_with(ResultTable._repr_html_)

    def _shown_with(self, show: Callable[[ResultTable], str]) -> str:
        """What there is in a line, and the table; that Tiled is away, if it is: a person asked, no program."""
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
