"""Writing of results, of their labels, and of the configurations that they share."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from pydantic import ValidationError
from tiled.client.container import Container

from ainerd.results._campaign_records import CampaignRecords
from ainerd.results._errors import Away, translated
from ainerd.results._explain import Result, sentences_on
from ainerd.results._files import Content
from ainerd.results._nodes import create_node, merge_metadata, result_node
from ainerd.results._places import Contents, Places, write_parts
from ainerd.results._records import FINAL, ConfigurationRecord, ResultRecord
from ainerd.results._table import NodeFilter, NodeTable
from ainerd.technique import Analysis

logger = logging.getLogger(__name__)

LABEL_S = 10.0  # longest wait for a server that is to take a label
_ADDED = {"positions", "summary", "units"}  # fields of a record that changes are added to


class ResultRecords(CampaignRecords):
    """The part of the store that writes results; the parameters are those of `ResultStore`.

    Attributes
    ----------
    seems_away : bool
        Whether the server did not take the last request to write a result, nor answer `ResultStore.answers` since.
    """

    def __init__(
        self,
        ainerd: Container,
        *,
        agent: str | None = None,
        digest: str | None = None,
        folder: Path | None = None,
        seen_as: Path | None = None,
    ) -> None:
        super().__init__(ainerd, agent=agent, digest=digest)
        valid = NodeFilter("result", ResultRecord.problem)
        self._rows = NodeTable(self._results, valid, [*ResultRecord.model_fields, "digest"], (*FINAL, "failed"))
        self._signature = {} if agent is None else {"agent": agent}  # another agent may have begun the same result
        self.seems_away = False
        self._places = Places(self._results, folder, seen_as)
        self._begun: dict[str, ResultRecord] = {}  # as they were last written
        self._digests = set[str]()  # of the results that this store began

    def begin(self, record: ResultRecord) -> str:
        """Write that a run is being analysed, and return the key of its result.

        A complete (partial, growing) result with the same key is left as it is; a failed or half-written one begins
        anew. If the same agent has a complete result of the same unit with other parameters or files of the run, the
        new one supersedes it.
        """
        self.take(record)
        return record.key

    def take(self, record: ResultRecord) -> str | None:
        """Like `begin`, but return the status of an existing result that is left as it is, or None. One request."""
        if record.supersedes is None:
            record = record.changed(supersedes=self._predecessor(record))
        self._digests.add(record.digest)
        record = record.changed(status="computing")
        former = self._write(record, unless=(*FINAL, "growing"))
        if former in (*FINAL, "growing"):
            return former
        self._begun[record.key] = record
        return None

    def complete(
        self,
        key: str,
        analysis: Analysis,
        *,
        status: str | None = None,
        series: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
        **changes: object,
    ) -> ResultRecord | None:
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
        ResultRecord or None
            None if the result was complete already and nothing was written.

        Raises
        ------
        KeyError
            If no such result was begun.
        ValueError
            If the analysis does not make a valid `ResultRecord`.
        """
        record = self._last_record(key)
        if record.status in FINAL:
            return None
        tables = {
            name: pd.DataFrame({"time": np.asarray(times, float), name: np.asarray(values, float)})
            for name, (times, values) in (series or {}).items()
        }
        record = _completed(_added(record, **self._signature | changes), analysis, tables, status or analysis.status)
        tables |= {name: pd.DataFrame(dict(columns)) for name, columns in analysis.tables.items()}
        parts = {name: Content(analysis.arrays[name], analysis.dims.get(name)) for name in record.arrays}
        former = self._write(record, parts | {name: Content(table) for name, table in tables.items()})
        if record.status == "growing":
            self._begun[key] = record
        return None if former in FINAL else record

    def fail(self, key: str, reason: str, *, status: str = "failed", **changes: object) -> ResultRecord | None:
        """Write why a run that was begun could not be analysed (with status "growing": cannot be analysed yet).

        Returns None if there is a complete result, which stays.
        """
        record = self._last_record(key)
        if record.status in FINAL:
            return None
        record = _described(_added(record, **self._signature | changes).changed(status=status, reason=reason))
        return None if self._write(record) in FINAL else record

    def label(self, key: str, **label: object) -> None:
        """Write the regime of a result, with ``atlas_version``, ``own_p`` and ``own_regimes``."""
        merge_metadata(self._places.node(key), {**label, "awaits_regime": None}, LABEL_S)
        self._rows.may_change(key)
        self.counters["results"] += 1
        if (growing := self._begun.get(key)) is not None:  # the next run of the series keeps its label until the next
            self._begun[key] = growing.changed(**label)

    @translated()
    def close(self, key: str) -> bool:
        """Write that the result of a series is finished; False if it is not growing."""
        node = result_node(self._results, key)
        if node.metadata["status"] != "growing":
            return False
        record = ResultRecord.from_metadata(node.metadata)
        status = "failed" if record.embedding is None else "complete"
        node.replace_metadata(_described(record.changed(status=status)).metadata(), drop_revision=True)
        self.counters["results"] += 1
        return True

    @translated()
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
            write_parts(node, {name: Content(np.asarray(x), (dims or {}).get(name)) for name, x in arrays.items()})
            shapes = {name: list(np.shape(array)) for name, array in arrays.items()}
            node.replace_metadata(record.changed(arrays=shapes).metadata(), drop_revision=True)
        return record.digest

    def _write(self, record: ResultRecord, parts: Contents | None = None, unless: Sequence[str] = FINAL) -> str | None:
        """Write a result with its arrays and tables, unless it has one of these statuses; return its former status."""
        try:
            former = self._places.write(record, parts, unless)
        except Away:
            self.seems_away = True
            raise
        self.seems_away = False
        self.counters["results"] += former not in unless
        if former == "failed":
            self._rows.may_change(record.key)
        return former

    def _last_record(self, key: str) -> ResultRecord:
        """Return the record of a result that was begun, as it was last written."""
        begun = self._begun.pop(key, None)
        return begun or ResultRecord.from_metadata(result_node(self._results, key).metadata)

    def _predecessor(self, record: ResultRecord) -> str | None:
        """Return the key of the newest other result of the same unit and agent.

        This takes a request only if there can be one.
        """
        known = self._rows.known
        is_alone = known is not None and {*known["digest"], *self._digests} <= {record.digest}
        if is_alone and not record.files_digest:
            return None
        known = self._rows.read()
        same = known["event"].isna() if record.event is None else known["event"].eq(record.event)
        same &= known["status"].isin(FINAL) & (known.index != record.key)
        for name in ("raw_uid", "agent"):
            same &= known[name].eq(getattr(record, name))
        return None if not same.any() else str(known.loc[same, "created"].astype(str).sort_values().index[-1])


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
        completed = _added(
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
        return _described(completed)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}".removeprefix(": ") for e in error.errors())
        raise ValueError("; ".join(problems)) from None


def _described(record: ResultRecord) -> ResultRecord:
    """Return the record with the sentences on its page: its verdict, and those of the technique."""
    sentences = [Result.of_record(record).sentence()]
    try:
        sentences += sentences_on(record)
    except Exception as error:  # the technique may come from anybody
        logger.warning("result %s has no sentences of its technique: %s: %s", record.key, type(error).__name__, error)
    return record.changed(sentences=sentences)


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
