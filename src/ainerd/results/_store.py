"""The store: everything the agent keeps in Tiled."""

import httpx
from tiled.client.container import Container
from tiled.queries import KeysFilter

from ainerd.results._notes import Notes
from ainerd.results._reading import ResultReader
from ainerd.results._writing import ResultWriter

QUICK_S = 2.0
_PARTS = ("results", "suggestions", "atlas", "log")


class ResultStore(ResultWriter, ResultReader, Notes):
    """What the agent wrote, in the container ``ainerd`` of a Tiled server.

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

    Raises
    ------
    ValueError
        If the container is not such a one.
    """

    def __init__(self, ainerd: Container) -> None:
        parts = dict(ainerd.search(KeysFilter([*_PARTS])).items())
        if missing := ", ".join(name for name in _PARTS if name not in parts):
            raise ValueError(
                f"{ainerd.uri} has no {missing}: give client['ainerd'] after ainerd.server.open_catalog(client)"
            )
        results, suggestions, atlas, log = (parts[name] for name in _PARTS)
        Notes.__init__(self, suggestions, atlas, log)
        ResultWriter.__init__(self, ainerd, results)
        ResultReader.__init__(self, ainerd, results, self.current_labels)
        self.container = ainerd

    def answers(self) -> bool:
        """Whether the server answers now, and takes the key; says so quickly."""
        http = self.container.context.http_client
        try:
            return bool(http.get(self.container.uri, timeout=QUICK_S).is_success)
        except httpx.HTTPError:
            return False

    def __repr__(self) -> str:
        results = self.table()
        failed, novel = int(results["status"].eq("failed").sum()), int(results["novel"].fillna(False).sum())
        atlas = self.newest_atlas()
        regimes = "no regimes yet"
        if atlas:
            low, high = atlas.supported_range
            regimes = f"{atlas.n_regimes} regimes ({low} to {high} supported, atlas {atlas.version})"
        return f"<ResultStore: {len(self)} results, {failed} failed, {novel} novel, {regimes}>"
