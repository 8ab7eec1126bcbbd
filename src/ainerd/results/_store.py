"""The store: results, suggestions, atlases and log lines in Tiled, and back as tables."""

import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tiled.client.container import Container
from tiled.queries import FullText, In, Key

from ainerd.results._analysis import added, completed
from ainerd.results._draft import Draft, series_table
from ainerd.results._nodes import create_node, read_metadata
from ainerd.results._records import AtlasRecord, LogRecord, ResultRecord, SuggestionRecord
from ainerd.results._tables import embedding_table, log_table, result_table, suggestion_table
from ainerd.technique import Analysis, Layout


class ResultStore:
    """What the agent wrote, in the container ``ainerd`` of a Tiled server.

    A result is written in two calls, from any thread: `begin` when the run starts, `complete` or `fail` when
    it is analysed. Its key says which run and which parameters, so a replay finds it: a complete one is left
    as it is, a half-written one is written again, a failed one may be replaced. Writers of the same key write
    the same numbers; Tiled has no transactions, so a writer that fails in the very moment another completes
    may have the last word until the next replay.

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
        try:
            self._results: Container = ainerd["results"]
            self._suggestions: Container = ainerd["suggestions"]
            self._atlas: Container = ainerd["atlas"]
            self._log: Container = ainerd["log"]
        except KeyError as error:
            raise ValueError(
                f"{ainerd.uri} has no {error}: give client['ainerd'] after ainerd.server.open_catalog(client)"
            ) from None
        self._drafts: dict[str, Draft] = {}  # results that room was made for
        self._version = 0  # of the newest atlas this store wrote

    # Results: writing

    def begin(self, record: ResultRecord) -> str:
        """Say that a run is being analysed, and return the key of its result.

        A complete result of the same key is left as it is; a failed or half-written one begins anew.
        """
        metadata = record.changed(status="computing").metadata()
        node, is_new = create_node(self._results, record.key, metadata, "AinerdResult")
        if not is_new and node.metadata["status"] != "complete":
            node.replace_metadata(metadata, drop_revision=True)
        return record.key

    def expect(self, key: str, layouts: Mapping[str, Layout]) -> None:
        """Make room for the arrays of a result that was begun, so that `complete` is sooner done.

        Raises
        ------
        KeyError
            If no such result was begun.
        """
        draft = self._drafts[key] = Draft(self._node(key))
        draft.make_room(layouts)

    def complete(
        self,
        key: str,
        analysis: Analysis,
        *,
        series: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
        **changes: Any,
    ) -> bool:
        """Write the analysis of a run that was begun.

        Parameters
        ----------
        key : str
            What `begin` returned.
        analysis : Analysis
        series : mapping of str to (times, values), optional
            What was monitored during the run, times in seconds from its start. ``stress`` becomes the table
            ``stress`` with the columns ``time`` and ``stress``, and the numbers ``stress_mean``, ``_min``, ``_max``
            and ``_last``.
        **changes
            Fields of `ResultRecord` that became known since `begin`; positions, summary and units are added
            to what is there.

        Returns
        -------
        bool
            False if the result was complete already and nothing was written.

        Raises
        ------
        KeyError
            If no such result was begun.
        ValueError
            If the analysis does not make a valid `ResultRecord`.
        """
        node = self._node(key)
        if node.metadata["status"] == "complete":
            return False
        draft = self._drafts.pop(key, None) or Draft(node)
        record = completed(ResultRecord.from_metadata(node.metadata), analysis, series or {})
        metadata = added(record, **changes).metadata()
        for name, array in analysis.arrays.items():
            if np.size(array):
                draft.write(name, array, analysis.dims.get(name))
        for name, (times, values) in (series or {}).items():
            draft.write_table(name, series_table(name, times, values))
        node.replace_metadata(metadata, drop_revision=True)
        return True

    def fail(self, key: str, reason: str, **changes: Any) -> bool:
        """Say why a run that was begun could not be analysed.

        Returns False if there is a complete result: it stays.
        """
        self._drafts.pop(key, None)
        node = self._node(key)
        if node.metadata["status"] == "complete":
            return False
        node.delete_contents(external_only=False)  # rooms that nothing came into, and half of an analysis
        record = ResultRecord.from_metadata(node.metadata)
        record = added(record, **changes).changed(status="failed", reason=reason)
        node.replace_metadata(record.metadata(), drop_revision=True)
        return True

    # Results: reading

    def __len__(self) -> int:
        """How many results there are, complete or failed."""
        return len(self._finished())

    def table(self, status: str | None = None) -> pd.DataFrame:
        """All results, a row each, by time of the run.

        Parameters
        ----------
        status : {"computing", "complete", "failed"}, optional

        Returns
        -------
        pandas.DataFrame
            Index ``key``. ``regime`` is the label of the newest atlas, ``regime_then`` the one the result
            got; -1 is unassigned, <NA> is none. Times are UTC timestamps.
        """
        return self.search(status=status)

    def search(
        self,
        *,
        novel: bool | None = None,
        regime: int | None = None,
        status: str | None = None,
        text: str | None = None,
        **where: Any,
    ) -> pd.DataFrame:
        """Results that fulfil all of this, as in `table`.

        Parameters
        ----------
        novel : bool, optional
        regime : int, optional
            The label of the newest atlas.
        status : str, optional
        text : str, optional
            Words that occur in the metadata.
        **where
            Any other metadata: ``sample_x=(2, 3)`` is a range (None: open), ``scan_id=7`` one value.
        """
        found = self._results
        for name, value in ({"novel": novel, "status": status} | where).items():
            if isinstance(value, tuple):
                low, high = value
                found = found if low is None else found.search(Key(name) >= low)
                found = found if high is None else found.search(Key(name) <= high)
            elif value is not None:
                found = found.search(Key(name) == value)
        for word in re.findall(r"\w+", text or ""):
            found = found.search(FullText(word.lower()))
        table = self._table(read_metadata(found))
        return table if regime is None else table[table["regime"].eq(regime).fillna(False)]

    def embeddings(self, digest: str | None = None) -> pd.DataFrame:
        """Points of the latent space, by time of the run.

        Parameters
        ----------
        digest : str, optional
            Of the parameters (column ``digest`` of the table): only points of the same parameters can be
            compared. Default: those of the newest result.

        Returns
        -------
        pandas.DataFrame, shape (n, d)
            Index ``key``, float32.
        """
        return embedding_table(self._complete(), digest)

    def similar(self, key: str, n: int = 10) -> pd.DataFrame:
        """The `n` results nearest to one in the latent space, nearest first, with their ``distance``.

        Raises
        ------
        KeyError
            If there is no complete result of that key.
        """
        results = self._complete()
        if key not in results:
            raise KeyError(f"no complete result {key!r}: see store.table('complete')")
        points = embedding_table(results, results[key]["digest"])
        distance = np.sqrt(((points - points.loc[key]) ** 2).sum(axis=1)).drop(key).nsmallest(n)
        table = self._table({near: results[near] for near in distance.index})
        return table.loc[distance.index].assign(distance=distance)

    def array(self, key: str, name: str) -> NDArray[Any]:
        """One array of a result, such as ``c2`` or ``g2``.

        Raises
        ------
        KeyError
            If there is no such result, or no such array in it.
        """
        return np.asarray(self._child(key, name).read())

    def series(self, key: str, name: str) -> pd.DataFrame:
        """One series of a result, such as ``stress``: columns ``time``, in seconds from the run's start, and `name`.

        Raises
        ------
        KeyError
            If there is no such result, or no such series in it.
        """
        return self._child(key, name).read()

    def c2(self, key: str) -> NDArray[np.float32]:
        """C2 maps of a result, (n_roi, 256, 256)."""
        return self.array(key, "c2")

    def status(self, key: str) -> str | None:
        """Status of a result; None if there is none of that key."""
        try:
            return self._results[key].metadata["status"]
        except KeyError:
            return None

    def record(self, key: str) -> ResultRecord:
        """Everything but the arrays of a result.

        Raises
        ------
        KeyError
            If there is none of that key.
        """
        return ResultRecord.from_metadata(self._node(key).metadata)

    def keys_by_raw_uid(self) -> dict[str, list[str]]:
        """Keys of the finished (complete or failed) results of each run."""
        keys: dict[str, list[str]] = {}
        for key, metadata in read_metadata(self._finished()).items():
            keys.setdefault(metadata["raw_uid"], []).append(key)
        return keys

    # Suggestions

    def add_suggestion(self, record: SuggestionRecord) -> str:
        """Keep a suggestion, and return its id; one of the same id is left as it is."""
        create_node(self._suggestions, record.id, record.metadata(), "AinerdSuggestion")
        return record.id

    def set_fate(self, id: str, fate: str, reason: str | None = None, raw_uid: str | None = None) -> None:
        """Say what became of a suggestion; what is None stays as it was.

        Raises
        ------
        KeyError
            If there is no such suggestion.
        ValueError
            If there is no such fate.
        """
        try:
            node = self._suggestions[id]
        except KeyError:
            raise KeyError(f"no suggestion {id!r}: see store.suggestions()") from None
        changes = {"fate": fate, "fate_reason": reason, "raw_uid": raw_uid}
        known = {name: value for name, value in changes.items() if value is not None}
        node.replace_metadata(SuggestionRecord.from_metadata(node.metadata).changed(**known).metadata())

    def suggestions(self) -> pd.DataFrame:
        """All suggestions by time, index ``id``, the numbers behind the reason as ``terms.<name>``."""
        return suggestion_table(read_metadata(self._suggestions))

    # Atlases

    def add_atlas(self, record: AtlasRecord) -> AtlasRecord:
        """Keep a refit of the regimes, and return it with its version: one more than the newest."""
        newest = None if self._version else self.newest_atlas()
        version = self._version or (newest.version or 0 if newest else 0)
        is_new = False
        while not is_new:  # another writer may be faster
            version += 1
            record = record.changed(version=version)
            _, is_new = create_node(self._atlas, f"{version:06d}", record.metadata(), "AinerdAtlas")
        self._version = version
        return record

    def newest_atlas(self) -> AtlasRecord | None:
        """The regimes as the newest refit saw them; None before the first."""
        newest = self._atlas.sort(("id", -1)).values().head(1)  # numbers would sort as text
        return AtlasRecord.from_metadata(newest[0].metadata) if newest else None

    # Log

    def log(self, text: str, **ids: str | int | float | None) -> None:
        """Write a line; `ids` say what it is about, such as ``raw_uid=...``."""
        key = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
        create_node(self._log, key, LogRecord.model_validate({"text": text, "ids": ids}).metadata(), "AinerdLog")

    def logbook(self) -> pd.DataFrame:
        """All lines by time, with what they are about."""
        return log_table(read_metadata(self._log))

    def __repr__(self) -> str:
        failed = len(self._results.search(Key("status") == "failed"))
        novel = len(self._results.search(Key("novel") == True))  # noqa: E712 (a query, not a comparison)
        atlas = self.newest_atlas()
        regimes = "no regimes yet"
        if atlas:
            low, high = atlas.supported_range
            regimes = f"{atlas.n_regimes} regimes ({low} to {high} supported, atlas {atlas.version})"
        return f"<ResultStore: {len(self)} results, {failed} failed, {novel} novel, {regimes}>"

    def _node(self, key: str) -> Container:
        try:
            return self._results[key]
        except KeyError:
            raise KeyError(f"no result {key!r}: see store.table()") from None

    def _child(self, key: str, name: str) -> Any:
        node = self._node(key)
        if name not in (names := list(node)):
            raise KeyError(f"result {key!r} has no {name!r}: there are {', '.join(names) or 'none'}")
        return node[name]

    def _finished(self) -> Container:
        return self._results.search(In("status", ["complete", "failed"]))

    def _complete(self) -> dict[str, Mapping[str, Any]]:
        return read_metadata(self._results.search(Key("status") == "complete"))

    def _table(self, results: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
        atlas = self.newest_atlas() if results else None
        return result_table(results, atlas.labels if atlas else {})
