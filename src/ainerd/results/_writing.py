"""The part of the store that writes results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import httpx
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError
from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd.results._files import Written, bundle, put_bundle
from ainerd.results._nodes import create_node, is_conflict, read_named, read_nodes, result_node
from ainerd.results._reading import ResultReader
from ainerd.results._records import FINAL, ConfigurationRecord, ResultRecord, key_of
from ainerd.technique import Analysis

logger = logging.getLogger(__name__)

# Arrays with the names of their dimensions, and tables, by name.
Contents = tuple[Mapping[str, NDArray[Any]], Mapping[str, tuple[str, ...]], Mapping[str, pd.DataFrame]]

ATTEMPTS = 5
_ADDED = {"positions", "summary", "units"}  # fields of a record that changes are added to


class ResultWriter(ResultReader):
    """Writes results and their configurations, and reads them."""

    def __init__(self, ainerd: Container, *, agent: str | None = None, digest: str | None = None) -> None:
        super().__init__(ainerd, agent=agent, digest=digest)
        self._signature = {} if agent is None else {"agent": agent}  # another agent may have begun the same result
        self.seems_away = False  # whether the server did not answer the last request
        self._takes_bundles = True  # until the server answers otherwise
        self._begun: dict[str, ResultRecord] = {}  # as they were last written

    def begin(self, record: ResultRecord) -> str:
        """Write that a run is being analysed, and return the key of its result.

        A complete (partial, growing) result with the same key is left as it is; a failed or half-written one begins
        anew. If the same agent has a complete result of the same unit with other parameters, the new one supersedes it.
        """
        self.take(record)
        return record.key

    def take(self, record: ResultRecord) -> str | None:
        """Like `begin`, but return the status of an existing result that is left as it is, or None. One request."""
        if record.supersedes is None:
            record = record.changed(supersedes=self._predecessor(record))
        record = record.changed(status="computing")
        answer = self._write(record.key, record, unless=(*FINAL, "growing"))
        if not answer.written:
            return answer.former
        self._begun[record.key] = record
        return None

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
            From `begin`.
        analysis : Analysis
        status : {"complete", "partial", "growing"}, optional
            Default: the status of the analysis.
        series : mapping of str to (times, values), optional
            Values monitored during the run, times in seconds from its start. A series ``x`` becomes the table ``x``
            with the columns ``time`` and ``x``, and the numbers ``x_mean``, ``x_min``, ``x_max`` and ``x_last``.
        **changes
            Fields of `ResultRecord` that became known since `begin`; positions, summary and units are added to the
            existing ones.

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
        record = self._last_record(key)
        if record.status in FINAL:
            return False
        tables = {
            name: pd.DataFrame({"time": np.asarray(times, float), name: np.asarray(values, float)})
            for name, (times, values) in (series or {}).items()
        }
        record = _completed(_added(record, **self._signature | changes), analysis, tables, status or analysis.status)
        arrays = {name: analysis.arrays[name] for name in record.arrays}
        tables |= {name: pd.DataFrame(dict(columns)) for name, columns in analysis.tables.items()}
        answer = self._write(key, record, (arrays, analysis.dims, tables))
        if record.status == "growing":
            self._begun[key] = record
        return answer.written

    def fail(self, key: str, reason: str, *, status: str = "failed", **changes: Any) -> bool:
        """Write why a run that was begun could not be analysed (with status "growing": cannot be analysed yet).

        Returns False if there is a complete result, which stays.
        """
        record = self._last_record(key)
        if record.status in FINAL:
            return False
        record = _added(record, **self._signature | changes).changed(status=status, reason=reason)
        return self._write(key, record).written

    def close(self, key: str) -> bool:
        """Write that the result of a series is finished; False if it is not growing."""
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
        """Write the configuration of all results with these parameters, unless it exists, and return its key.

        `arrays` and the names of their dimensions are given by name.
        """
        parent, _ = create_node(self.container, "configurations", {}, None)
        node, _ = create_node(parent, record.digest, record.metadata(), "AinerdConfiguration")
        if not node.metadata["arrays"]:
            _write_nodes(node, arrays, dims or {}, {})
            shapes = {name: list(np.shape(array)) for name, array in arrays.items()}
            node.replace_metadata(record.changed(arrays=shapes).metadata(), drop_revision=True)
        return record.digest

    def _write(
        self, key: str, record: ResultRecord, contents: Contents | None = None, *, unless: tuple[str, ...] = FINAL
    ) -> Written:
        """Write a result with its contents, unless it has one of these statuses."""
        metadata = record.metadata()
        if self._takes_bundles:
            file = b"" if contents is None else bundle(*contents, record.units)
            try:
                answer = put_bundle(self._results, key, metadata, file, unless=unless)
            except httpx.TransportError:
                self.seems_away = True
                raise
            self._takes_bundles, self.seems_away = answer is not None, False
            if answer is not None:
                return answer
        node, is_new = create_node(self._results, key, metadata | {"status": "computing"}, "AinerdResult")
        former = None if is_new else str(node.metadata["status"])
        if former in unless:
            return Written(former, False)
        if contents is not None:
            _write_nodes(node, *contents)
        elif record.status != "computing":
            try:
                node.delete_contents(external_only=False)  # half of an analysis
            except httpx.HTTPStatusError as error:  # a server that was killed may miss the files of these arrays
                logger.warning("the arrays in result %s cannot be removed: %s", key, error)
        if not is_new or record.status != "computing":
            node.replace_metadata(metadata, drop_revision=True)
        return Written(former, True)

    def _last_record(self, key: str) -> ResultRecord:
        """Return the record of a result that was begun, as it was last written."""
        begun = self._begun.pop(key, None)
        return begun or ResultRecord.from_metadata(result_node(self._results, key).metadata)

    def _predecessor(self, record: ResultRecord) -> str | None:
        """Return the key of the newest result of the same unit and agent with other parameters.

        This takes a request only if there can be one.
        """
        if (known := self._rows.known) is None:
            nodes = read_nodes(self._results, raw_uid=record.raw_uid, agent=record.agent)
        else:
            digests = {x for x in pd.unique(known.column("digest")) if isinstance(x, str)} - {record.digest}
            nodes = read_named(self._results, [key_of(record.identity, digest) for digest in sorted(digests)])
        created = {
            key: str(metadata.get("created"))
            for key, metadata in nodes
            if metadata.get("status") in FINAL
            and key != record.key
            and metadata.get("event") == record.event
            and metadata.get("agent") == record.agent
        }
        return max(created, key=created.__getitem__, default=None)


def _completed(
    record: ResultRecord, analysis: Analysis, tables: Mapping[str, pd.DataFrame], status: str
) -> ResultRecord:
    """Return the record with an analysis; `tables` are the series by name, with the columns ``time`` and that name."""
    summary, units = dict(analysis.summary), dict(analysis.units)
    for name, table in tables.items():
        numbers = {f"{name}_{statistic}": x for statistic, x in _statistics(table[name]).items()}
        unit = record.units.get(name)
        units |= {"time": "s"} | (dict.fromkeys(numbers, unit) if unit else {})
        summary |= numbers
    try:
        return _added(
            record,
            status=status,
            reason=None,
            retake=None,
            embedding=analysis.embedding,
            novelty_p=analysis.novelty_p,
            novel=analysis.novel,
            model=analysis.model,
            calibration=analysis.calibration,
            summary=summary,
            start={name: x for name, x in record.start.items() if name not in summary | record.summary},
            units=units,
            arrays={name: list(np.shape(array)) for name, array in analysis.arrays.items() if np.size(array)},
            series={name: len(table) for name, table in tables.items()},
            tables={name: len(next(iter(columns.values()))) for name, columns in analysis.tables.items()},
        )
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}".removeprefix(": ") for e in error.errors())
        raise ValueError("; ".join(problems)) from None


def _added(record: ResultRecord, **changes: Any) -> ResultRecord:
    """Return a copy with some fields changed; positions, summary and units are added to the existing ones."""
    for name in _ADDED & set(changes):
        changes[name] = getattr(record, name) | dict(changes[name])
    return record.changed(**changes)


def _statistics(values: pd.Series) -> dict[str, float]:
    known = values[np.isfinite(values)]
    if known.empty:
        return {}
    return {"mean": known.mean(), "min": known.min(), "max": known.max(), "last": known.iloc[-1]}


def _write_nodes(
    node: Container,
    arrays: Mapping[str, ArrayLike],
    dims: Mapping[str, tuple[str, ...]],
    tables: Mapping[str, pd.DataFrame],
) -> None:
    """Write each array and table as a node, in place of the remains of an earlier attempt."""
    writes: dict[str, Callable[[str], Any]] = {
        name: lambda name: node.write_array(np.ascontiguousarray(arrays[name]), key=name, dims=dims.get(name))
        for name in arrays
    }
    writes |= {name: lambda name: node.write_table(tables[name], key=name) for name in tables}
    for name, write in writes.items():
        for attempt in range(ATTEMPTS):  # another process may write the same at the same time
            try:
                write(name)
                break
            except ClientError as error:
                if not is_conflict(error) or attempt + 1 == ATTEMPTS:
                    raise
            with suppress(KeyError):
                node.delete_contents(name, external_only=False)
