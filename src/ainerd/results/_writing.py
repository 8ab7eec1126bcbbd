"""The part of the store that writes results."""

import logging
from collections.abc import Mapping
from typing import Any

import httpx
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from tiled.client.container import Container

from ainerd.results._analysis import added, completed
from ainerd.results._draft import Draft, series_table
from ainerd.results._file import Found, packed, put_file
from ainerd.results._keys import key_of
from ainerd.results._nodes import create_node, read_named, read_nodes, result_node
from ainerd.results._records import FINAL, ConfigurationRecord, ResultRecord
from ainerd.technique import Analysis, Layout

logger = logging.getLogger(__name__)


class ResultWriter:
    """Writes results and what those with the same parameters have in common."""

    def __init__(self, ainerd: Container, results: Container, agent: str | None) -> None:
        self._ainerd, self._results = ainerd, results
        self._signature = {} if agent is None else {"agent": agent}  # another agent may have begun the same result
        self.seems_away = False  # whether the server did not answer when it was asked last
        self._takes_files = True  # until the server says that it does not
        self._begun: dict[str, ResultRecord] = {}  # what was said last of results that are files
        self._drafts: dict[str, Draft] = {}  # of results that are nodes

    def begin(self, record: ResultRecord) -> str:
        """Say that a run is being analysed, and return the key of its result.

        A complete (partial, growing) result of the same key is left as it is; a failed or half-written one begins
        anew. If the same agent has a complete result of the same with other parameters, the new one says that it
        supersedes that.
        """
        self.take(record)
        return record.key

    def take(self, record: ResultRecord) -> str | None:
        """As `begin`; returns the status of a result that is there and stays, None if there is none. One request."""
        if record.supersedes is None:
            record = record.changed(supersedes=self._predecessor(record))
        record, stays = record.changed(status="computing"), (*FINAL, "growing")
        metadata = record.metadata()
        if (found := self._put(record.key, metadata, unless=stays)) is not None:
            if found.written:
                self._begun[record.key] = record
            return None if found.written else found.status
        node, is_new = create_node(self._results, record.key, metadata, "AinerdResult")
        if not is_new and node.metadata["status"] in stays:
            return str(node.metadata["status"])
        if not is_new:
            node.replace_metadata(metadata, drop_revision=True)
        self._drafts[record.key] = Draft(node)
        return None

    def expect(self, key: str, layouts: Mapping[str, Layout]) -> None:
        """Make room for the arrays of a result that was begun (else KeyError), so that `complete` is sooner done.

        A server that takes results as files needs none.
        """
        if key in self._begun:
            return
        if key not in self._drafts:
            self._drafts[key] = Draft(result_node(self._results, key))
        self._drafts[key].make_room(layouts)

    def complete(
        self,
        key: str,
        analysis: Analysis,
        *,
        status: str | None = None,
        series: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
        **changes: Any,
    ) -> bool:
        """Write the analysis of a run that was begun.

        Parameters
        ----------
        key : str
            What `begin` returned.
        analysis : Analysis
        status : {"complete", "partial", "growing"}, optional
            What the analysis says without it.
        series : mapping of str to (times, values), optional
            What was monitored during the run, times in seconds from its start. A series ``x`` becomes the table ``x``
            with the columns ``time`` and ``x``, and the numbers ``x_mean``, ``x_min``, ``x_max`` and ``x_last``.
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
        record = self._record(key)
        if record.status in FINAL:
            return False
        tables = {name: series_table(name, times, values) for name, (times, values) in (series or {}).items()}
        record = completed(added(record, **self._signature | changes), analysis, tables, status or analysis.status)
        metadata = record.metadata()
        arrays = {name: analysis.arrays[name] for name in record.arrays}
        tables |= {name: pd.DataFrame(dict(columns)) for name, columns in analysis.tables.items()}
        if self._takes_files:
            file = packed(arrays, analysis.dims, record.units, tables)
            if (found := self._put(key, metadata, file, unless=FINAL)) is not None:
                if record.status == "growing":
                    self._begun[key] = record
                return found.written
        node = result_node(self._results, key)
        draft = self._drafts.pop(key, None) or Draft(node)
        for name, array in arrays.items():
            draft.write(name, array, analysis.dims.get(name))
        for name, table in tables.items():
            draft.write_table(name, table)
        node.replace_metadata(metadata, drop_revision=True)
        return True

    def fail(self, key: str, reason: str, *, status: str = "failed", **changes: Any) -> bool:
        """Say why a run that was begun could not be analysed (status "growing": not yet).

        Returns False if there is a complete result: it stays.
        """
        self._drafts.pop(key, None)
        record = self._record(key)
        if record.status in FINAL:
            return False
        record = added(record, **self._signature | changes).changed(status=status, reason=reason)
        if (found := self._put(key, record.metadata(), unless=FINAL)) is not None:
            return found.written
        node = result_node(self._results, key)
        try:
            node.delete_contents(external_only=False)  # rooms that nothing came into, and half of an analysis
        except httpx.HTTPStatusError as error:  # a server that was killed does not find what it had begun to make
            logger.warning("what is left of result %s stays: %s", key, error)
        node.replace_metadata(record.metadata(), drop_revision=True)
        return True

    def close(self, key: str) -> bool:
        """Say that nothing more comes to the result of a series; False if it does not grow."""
        node = result_node(self._results, key)
        if node.metadata["status"] != "growing":
            return False
        record = ResultRecord.from_metadata(node.metadata)
        status = "failed" if record.embedding is None else "complete"
        node.replace_metadata(record.changed(status=status).metadata(), drop_revision=True)
        return True

    def add_configuration(
        self,
        record: ConfigurationRecord,
        arrays: Mapping[str, ArrayLike],
        dims: Mapping[str, tuple[str, ...]] | None = None,
    ) -> str:
        """Keep what the results with these parameters have in common, and return its key; what is there stays.

        `arrays` and the names of their dimensions are given by name.
        """
        parent, _ = create_node(self._ainerd, "configurations", {}, None)
        node, _ = create_node(parent, record.digest, record.metadata(), "AinerdConfiguration")
        if not node.metadata["arrays"]:
            draft = Draft(node)
            for name, array in arrays.items():
                draft.write(name, array, (dims or {}).get(name))
            shapes = {name: list(np.shape(array)) for name, array in arrays.items()}
            node.replace_metadata(record.changed(arrays=shapes).metadata(), drop_revision=True)
        return record.digest

    def _put(
        self, key: str, metadata: Mapping[str, Any], file: bytes = b"", *, unless: tuple[str, ...]
    ) -> Found | None:
        """Write a result as a file, unless there is one with such a status; None if the server takes none."""
        if not self._takes_files:
            return None
        try:
            found = put_file(self._results, key, metadata, file, unless=unless)
        except httpx.TransportError:
            self.seems_away = True
            raise
        self._takes_files, self.seems_away = found is not None, False
        return found

    def _record(self, key: str) -> ResultRecord:
        """What was said last of a result that was begun."""
        begun = self._begun.pop(key, None)
        return begun or ResultRecord.from_metadata(result_node(self._results, key).metadata)

    def _predecessor(self, record: ResultRecord) -> str | None:
        """The newest result of the same by the same agent with other parameters; asked for only if there can be one."""
        digests = self._other_digests(record)
        if digests is None:
            found = read_nodes(self._results, raw_uid=record.raw_uid, agent=record.agent)
        else:
            keys = [key_of(identity, digest) for identity in record.identities for digest in digests]
            found = read_named(self._results, keys)
        events = (record.event, None) if record.event == 1 else (record.event,)  # None: it was of the whole run
        done = {
            key: str(said.get("created"))
            for key, said in found
            if said.get("status") in FINAL
            and key != record.key
            and said.get("event") in events
            and said.get("agent") == record.agent
        }
        return max(done, key=done.__getitem__, default=None)

    def _other_digests(self, record: ResultRecord) -> list[str] | None:
        """Digests of other parameters that there are results of; None if nobody has looked."""
        return None
