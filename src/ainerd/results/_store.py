"""The store of everything that agents keep in Tiled."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from platformdirs import user_cache_path
from pydantic import ValidationError
from tiled.client.container import Container
from tiled.queries import Key

from ainerd.jobs import counted
from ainerd.results._campaign_records import CampaignRecords
from ainerd.results._export import dataset_of_all, export_all
from ainerd.results._files import LoadedResult, Part, average, load, plot_together, read_configuration
from ainerd.results._nodes import create_node, merge_metadata, newest_key, result_node
from ainerd.results._records import FINAL, STATUSES, USABLE, ConfigurationRecord, ResultRecord
from ainerd.results._records import digest as hashed
from ainerd.results._table import Columns, NodeFilter, NodeTable, Notes
from ainerd.results._tables import (
    KEY_LENGTH,
    ResultTable,
    embedding_table,
    find_key,
    has_common_size,
    matches,
    newest_scope,
    notes_by_key,
    result_table,
    similar,
)
from ainerd.results._writing import ResultWriter, write_nodes
from ainerd.technique import Analysis, Average, panels
from ainerd.words import number_of

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from ainerd.results._result import AinerdResult

QUICK_S = 2.0
LABEL_S = 10.0  # longest wait for a server that is to take a label
_ADDED = {"positions", "summary", "units"}  # fields of a record that changes are added to


class _CurrentTable(NamedTuple):
    """A table and its sources."""

    results: Columns
    labels: Mapping[str, int]
    notes: Notes
    table: pd.DataFrame
    order: NDArray[np.intp]  # index in `results` of each row


class ResultStore(CampaignRecords):
    """Everything that agents wrote, in the container ``ainerd`` of a Tiled server.

    With `agent` and `digest` it is the store of one agent, as `agent.results`: it shows only results with this agent
    and digest, and the suggestions and the log of the agent. Without them it shows the data of all agents.

    A result is written in two calls, from any thread: `begin` when the run starts, `complete` or `fail` when it is
    analysed. Its key is made from the run and the parameters. If the run is analysed again, a complete result stays,
    and any other is written again. Tiled has no transactions: if one writer fails while another completes the same
    result, it may stay failed until the next replay.

    Tables read all results once, and afterwards only changes, whoever writes.

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

    Examples
    --------
    >>> store.table()[["scan_id", "tau_s", "regime", "status"]].tail(3).reset_index(drop=True)
       scan_id  tau_s  regime    status
    0        4   4.20       1  complete
    1        5   0.55       0  complete
    2        6    NaN    <NA>    failed
    >>> [store.record(key).scan_id for key in store.search(novel=True).index]
    [3]
    >>> store.similar(store.key(3), n=1)["scan_id"].tolist()
    [4]
    >>> store.array(store.key(3), "g2").shape
    (1, 31)
    """

    def __init__(self, ainerd: Container, *, agent: str | None = None, digest: str | None = None) -> None:
        super().__init__(ainerd, agent=agent, digest=digest)
        file = user_cache_path("ainerd") / f"results-{hashed({'uri': self._results.uri})}.arrow"
        self._rows = NodeTable(self._results, NodeFilter("result", ResultRecord.problem), FINAL, ainerd, file)
        self._read_last: tuple[Columns, Columns] | None = None  # all, and those in the scope
        self._table: _CurrentTable | None = None  # the last one
        self._signature = {} if agent is None else {"agent": agent}  # another agent may have begun the same result
        self._writer = ResultWriter(self._results)
        self._begun: dict[str, ResultRecord] = {}  # as they were last written
        self._digests = set[str]()  # of the results that this store began

    @property
    def seems_away(self) -> bool:
        """Whether the server did not answer the last request to write."""
        return self._writer.seems_away

    def __len__(self) -> int:
        """Return the number of results that are complete or failed."""
        return int(np.isin(self._read().column("status").astype(object), (*USABLE, "failed")).sum())

    def table(self, status: str | None = None, *, columns: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Return all results, one in a row, by time of the run.

        Parameters
        ----------
        status : {"computing", "complete", "partial", "growing", "failed"}, optional
        columns : "all" or sequence of str, optional
            Names of columns, or "all" for a plain DataFrame that shows all of them. Default: a table with all columns
            that shows the most important ones: scan, time, sample, position, regime, p, the technique's numbers,
            status, key.

        Returns
        -------
        pandas.DataFrame
            Index ``key``. ``regime`` is the label of the newest atlas, ``regime_then`` the label that the result got at
            first; -1 is unassigned, <NA> is no label. Times are UTC timestamps. ``superseded_by`` is the result of the
            same run with newer parameters, ``note`` the notes of people. Units of the columns are in
            ``table.attrs["units"]``.

        Raises
        ------
        KeyError
            If a column does not exist.
        """
        table = self.search(status=status)
        if columns is None:
            return table
        plain = pd.DataFrame(table)
        plain.attrs = table.attrs
        return plain if isinstance(columns, str) and columns == "all" else plain[list(columns)]

    def __iter__(self) -> Iterator[str]:
        """Yield the keys of the results, by time of the run."""
        return iter(map(str, self.table().index))

    def key(self, run: str | int | float) -> str:
        """Return the key of a result, given the number of its scan or the first characters of its key.

        Raises
        ------
        KeyError
            If no result matches; the message lists the known results.
        """
        if isinstance(run, str) and len(run) == KEY_LENGTH:
            return run
        return find_key(self._read(), run)

    def search(
        self,
        *,
        novel: bool | None = None,
        regime: int | None = None,
        status: str | None = None,
        text: str | None = None,
        **where: Any,
    ) -> ResultTable:
        """Return the results that fulfil all conditions, as in `table`.

        Parameters
        ----------
        novel : bool, optional
        regime : int, optional
            The label of the newest atlas.
        status : str, optional
        text : str, optional
            Words that all occur in the texts of the metadata and in notes, in upper or lower case.
        **where
            Any other metadata: ``sample_x=(2, 3)`` is a range (None: open), ``scan_id=7`` one value. Limits of
            ``run_time`` may be a datetime with its time zone. For nested metadata give
            ``**{"model.name": "pca"}``.

        Raises
        ------
        ValueError
            If there is no such status, a range is not (low, high), or no result can have metadata of a name.
        """
        if status is not None and status not in STATUSES:
            raise ValueError(f"there is no status {status!r}, only {', '.join(STATUSES)}")
        conditions = {"novel": novel, "status": status, **where}
        wanted = {name: value for name, value in conditions.items() if value is not None}
        for name, value in wanted.items():
            if isinstance(value, tuple) and len(value) != 2:
                raise ValueError(f"{name}={value!r} is not a range: give (low, high), None for an open end")
        current = self._current_table()
        table = current.table
        if unknown := [name for name in where if not current.results.has(name)]:
            self._refuse(unknown[0], table, is_text=isinstance(where[unknown[0]], str))
        if wanted or text:
            notes = notes_by_key(current.results, current.notes) if text else {}
            table = table[matches(current.results, wanted, text, notes)[current.order]]
        if regime is not None:
            table = table[table["regime"].eq(regime).fillna(False)]
        selected = ResultTable(table.copy() if table is current.table else table)
        selected.attrs = dict(current.table.attrs)
        return selected

    def _refuse(self, name: str, table: pd.DataFrame, *, is_text: bool) -> None:
        """Raise ValueError if no result can have metadata of this name, with the table that has it or similar names.

        A text may be one that other results have.
        """
        usable = table.index[table["status"].isin(USABLE)]
        known = [*dict.fromkeys([*map(str, table), *ResultRecord.model_fields])]
        if usable.empty or name in known:
            return
        record = self.record(usable[-1])
        if name in record.units and name not in record.arrays:  # another result may have it
            known.append(name)
        (newest,) = self.load([record.key], record.tables)
        for part, rows in newest.tables.items():
            if name in rows and part in record.tables:
                raise ValueError(
                    f"{name} is in the table {part!r} of each result: results.tables({part!r}) reads all rows"
                )
        close = get_close_matches(name, known)
        if name not in known and not (is_text and not close):
            hint = f"did you mean {', '.join(close)}?" if close else "results.table().columns has all names"
            raise ValueError(f"no result has {name!r}: {hint}")

    def embeddings(self, digest: str | None = None) -> pd.DataFrame:
        """Return points of the latent space, by time of the run.

        Parameters
        ----------
        digest : str, optional
            Digest of the parameters (column ``digest`` of the table): only points of the same parameters can be
            compared. Default: agent and parameters of the newest result.

        Returns
        -------
        pandas.DataFrame, shape (n, d)
            Index ``key``, float32.
        """
        results = self._read()
        results = results.at(has_common_size(results))
        return embedding_table(results, newest_scope(results) if digest is None else {"digest": digest})

    def similar(self, like: str | ArrayLike, n: int = 10) -> ResultTable:
        """Return the `n` results nearest in the latent space, nearest first, with their Euclidean ``distance``.

        Parameters
        ----------
        like : str or array_like, shape (d,)
            Key of a result, which is compared with those of the same agent and parameters; or a point, which is
            compared as if it were the newest result's.
        n : int

        Raises
        ------
        KeyError
            If the key has no complete result.
        ValueError
            If the point has another number of components than the results.
        """
        current = self._current_table()
        distance = similar(current.results, like, n)
        near = ResultTable(current.table.loc[distance.index].assign(distance=distance))
        near.attrs = dict(current.table.attrs)
        return near

    def load(self, keys: Sequence[str], names: Collection[str] | None = None) -> Iterator[LoadedResult]:
        """Yield results in memory, with all their arrays and tables or those with these names; see `LoadedResult`.

        Our server sends many at once. Raises KeyError if a result does not exist.
        """
        return load(self.container, keys, names)

    def array(self, key: str, name: str) -> NDArray[Any]:
        """Read one array of a result; raise KeyError, with all names, if the result has no such array."""
        return np.asarray(self._part(key, name))

    def series(self, key: str, name: str) -> pd.DataFrame:
        """Read one series of a result: columns ``time`` (seconds from the run's start) and `name`; KeyError if none."""
        return self.rows(key, name)

    def rows(self, key: str, name: str) -> pd.DataFrame:
        """Read one table of a result; raise KeyError, with all names, if the result has no such table."""
        return pd.DataFrame(self._part(key, name))

    def tables(self, name: str, **where: Any) -> pd.DataFrame:
        """Read one table of many results at once: ``results.tables("bins", regime=1)``; conditions are as for `search`.

        Returns
        -------
        pandas.DataFrame
            The rows of all tables with this name, with the columns ``key`` and ``scan`` before them.

        Raises
        ------
        KeyError
            If no result has such a table.
        """
        table = self.search(**where)
        keys = [*map(str, table.index[table["status"].isin(USABLE)])]
        scans = table["scan_id"]
        loaded = counted(self.load(keys, [name]), f"reading {name}", len(keys))
        parts = [
            pd.DataFrame({"key": each.key, "scan": scans[each.key]} | dict(each[name].values))
            for each in loaded
            if name in each
        ]
        if not parts:
            raise KeyError(f"no table {name!r} in {len(keys)} results")
        return pd.concat(parts, ignore_index=True)

    def status(self, key: str) -> str | None:
        """Read the status of a result, or None for an unknown key."""
        try:
            return str(self._results[key].metadata["status"])
        except KeyError:
            return None

    def versions(self) -> dict[str, int]:
        """Return how many results each version of ainerd made. One request."""
        some = self._results
        for name, value in self._scope.items():
            some = some.search(Key(name) == value)
        counts = some.distinct("software.version", counts=True)["metadata"]["software.version"]
        return {each["value"]: each["count"] for each in counts}

    def record(self, key: str) -> ResultRecord:
        """Read everything except the arrays of a result; raise KeyError for an unknown key."""
        return ResultRecord.from_metadata(result_node(self._results, self.key(key)).metadata)

    def explain(self, key: str, *, details: bool = False) -> str:
        """Explain why a run is novel or not; with `details`, with the statistics."""
        return explain(self.record(key), details=details)

    def configuration(self, digest: str) -> LoadedResult | None:
        """Read the arrays and metadata that all results with this digest of their parameters share, or None."""
        return read_configuration(self.container, digest)

    def analysed(self, digest: str, *, again: bool = False) -> dict[str, int]:
        """Return the number of finished results of each run with this digest of their parameters.

        They are counted by uid, with the digest of the run's own files: by `ResultRecord.identity_of`.

        Results that failed because of an error in the code or of the machine are not counted: they are analysed again.

        Parameters
        ----------
        digest : str
        again : bool
            Whether failed results are not counted either.
        """
        finished = USABLE if again else (*USABLE, "failed")
        counts: dict[str, int] = {}
        results = self._rows.read()
        is_done = np.isin(results.column("status").astype(object), finished) & (results.column("retake") != True)  # noqa: E712
        done = results.at(is_done & (results.column("digest") == digest))
        files = [None if pd.isna(one) else one for one in done.column("files_digest")]
        for uid, uids, of in zip(done.column("raw_uid"), done.values("raw_uids"), files, strict=True):
            for one in uids or [ResultRecord.identity_of(uid, files_digest=of)]:
                counts[one] = counts.get(one, 0) + 1
        return counts

    def refresh(self) -> None:
        """Read all results again. This is needed only after a complete result was changed by hand."""
        self._rows.forget()

    def of_everybody(self) -> Columns:
        """Return the results of all agents; the same object as long as nothing changes. One request."""
        return self._read_all()[0]

    def _read(self) -> Columns:
        """Return the results of the scope; the same object as long as nothing changes."""
        return self._read_all()[1]

    def _read_all(self, **parameters: Any) -> tuple[Columns, Columns]:
        """Return all results, and the results of the scope."""
        everybody = self._rows.read(**parameters)
        if self._read_last is None or self._read_last[0] is not everybody:
            is_ours = [everybody.column(name) == value for name, value in self._scope.items()]
            self._read_last = everybody, everybody.at(np.logical_and.reduce(is_ours)) if is_ours else everybody
        return self._read_last

    def _current_table(self) -> _CurrentTable:
        (everybody, results), last = self._read_all(campaign=True, **self._scope), self._table
        answer = self._rows.answer  # on a server without our route each part takes a request
        labels = self.current_labels(answer.get("atlas"))
        notes = answer["notes"] if "notes" in answer else self.notes()
        if last is None or last.results is not results or last.labels is not labels or last.notes != notes:
            table, order = result_table(results, pd.Series(labels, dtype=np.float64), everybody, notes)
            last = self._table = _CurrentTable(results, labels, notes, table, order)
        return last

    def _part(self, key: str, name: str) -> Any:
        (result,) = self.load([self.key(key)], [name])
        if name not in result:
            names = [name for kind in ("arrays", "tables", "series") for name in result.metadata.get(kind, ())]
            raise KeyError(f"result {key!r} has no {name!r}: there are {', '.join(names) or 'none'}")
        return result[name].values

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
        answer = self._writer.write(record, unless=(*FINAL, "growing"))
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
        tables |= {name: pd.DataFrame(dict(columns)) for name, columns in analysis.tables.items()}
        parts = {name: Part(analysis.arrays[name], analysis.dims.get(name)) for name in record.arrays}
        answer = self._writer.write(record, parts | {name: Part(table) for name, table in tables.items()})
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
        return self._writer.write(record).written

    def label(self, key: str, **label: Any) -> None:
        """Write the regime of a result, with ``atlas_version``, ``own_p`` and ``own_regimes``. One request.

        KeyError if the result does not exist.
        """
        merge_metadata(self._results, key, {**label, "awaits_regime": None}, LABEL_S)
        if (growing := self._begun.get(key)) is not None:  # the next run of the series keeps its label until the next
            self._begun[key] = growing.changed(**label)

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
            write_nodes(node, {name: Part(np.asarray(x), (dims or {}).get(name)) for name, x in arrays.items()})
            shapes = {name: list(np.shape(array)) for name, array in arrays.items()}
            node.replace_metadata(record.changed(arrays=shapes).metadata(), drop_revision=True)
        return record.digest

    def _last_record(self, key: str) -> ResultRecord:
        """Return the record of a result that was begun, as it was last written."""
        begun = self._begun.pop(key, None)
        return begun or ResultRecord.from_metadata(result_node(self._results, key).metadata)

    def _predecessor(self, record: ResultRecord) -> str | None:
        """Return the key of the newest other result of the same unit and agent.

        This takes a request only if there can be one.
        """
        known = self._rows.known
        is_alone = known is not None and {*known.column("digest"), *self._digests} <= {record.digest}
        if is_alone and not record.files_digest:
            return None
        known = self._rows.read()
        events = known.column("event")
        same = pd.isna(events) if record.event is None else events == record.event
        same &= np.isin(known.column("status").astype(object), FINAL) & (known.frame.index != record.key)
        for name in ("raw_uid", "agent"):
            same &= known.column(name) == getattr(record, name)
        others = known.at(same)
        return max(zip(map(str, others.column("created")), others.frame.index, strict=True), default=("", None))[1]

    def __getitem__(self, run: str | int | float) -> "AinerdResult":
        """Return one result, by the number of its scan or the first characters of its key: ``results[12]``.

        ``results["12.2"]`` is the result of the second event of scan 12.

        Raises
        ------
        KeyError
            If there is none.
        """
        result: AinerdResult = self._results[self.key(run)]
        return result

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
        return dataset_of_all(table, self.load([*map(str, table.index)], arrays), arrays)

    def average(self, runs: Sequence[str | int | float], *, dose: str | Sequence[float] | None = None) -> Average:
        """Average results of repeats, as their technique does: ``results.average([12, 13, 14])``.

        Parameters
        ----------
        runs : sequence
            Numbers of scans, or first characters of keys; see `key`.
        dose : str or sequence of float, optional
            Dose over which damage is tested: a column of the table, or a number for each result; default: their order.

        Returns
        -------
        Average
            Of rheo-XPCS: `ainerd_xpcs.technique.Average`. It needs the install of an agent, with SciPy.

        Raises
        ------
        KeyError
            If there is no such result or column.
        ValueError
            If the results are of several techniques, or cannot be averaged.
        """
        return average(*self._many(runs, dose, "averaged"))

    def plot(self, runs: Sequence[str | int | float], *, by: str | Sequence[float] | None = None) -> "Figure":
        """Draw results together, as their technique does: ``results.plot([12, 13, 14], by="temperature")``.

        Parameters
        ----------
        runs : sequence
            Numbers of scans, or first characters of keys; see `key`.
        by : str or sequence of float, optional
            Values for the colours: a column of the table, or a number for each result; default: their order.

        Raises
        ------
        KeyError
            If there is no such result or column.
        ValueError
            If the results are of several techniques, or the technique cannot draw results together.
        """
        return plot_together(*self._many(runs, by, "together"))

    def _many(
        self, runs: Sequence[str | int | float], by: str | Sequence[float] | None, parts: str
    ) -> tuple[list[LoadedResult], Sequence[float] | None, str]:
        """Read what panels name as `parts` of some results, and a number of each with its name."""
        keys = [self.key(run) for run in runs]
        if len(set(keys)) < len(keys):
            raise ValueError("a result is given twice")
        table = self.table(columns="all").loc[keys]
        names = {part for name in set(table["technique"]) for part in getattr(panels(str(name)), parts, ())}
        if not isinstance(by, str):
            return [*self.load(keys, sorted(names))], by, "" if by is None else "number of the result"
        return [*self.load(keys, sorted(names))], [*table[by].astype(float)], by

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
            regimes = number_of(atlas.n_regimes, "regime") + (f" (it may be {low} to {high})" if low < high else "")
        line = f"{number_of(len(self), 'result')}{of}, {failed} failed, {novel} novel, {regimes}"
        return f"{line}\n{show(results)}" if len(results) else line


def explain(record: ResultRecord, *, details: bool = False) -> str:
    """Explain the verdict on a run and the reasons for it, with the technique's sentences on its numbers.

    With `details`, add the statistics behind the verdict and the numbers.
    """
    technique, known = panels(record.technique), record.embedding is not None
    wanted = ["sentences", "details"] if details else ["sentences"]
    tell = [function for name in wanted if known and (function := getattr(technique, name, None)) is not None]
    parts = [
        _verdict(record),
        *(_statistics_of(record) if details else []),
        *(x for f in tell for x in f(record.summary)),
    ]
    return ". ".join([parts[0], *(part[:1].upper() + part[1:] for part in parts[1:])]).removesuffix(".") + "."


def _verdict(record: ResultRecord) -> str:
    if record.embedding is None:
        why = f": {record.reason}" if record.reason else ""
        return (
            f"there is no verdict, the analysis failed{why}" if record.status == "failed" else "there is no verdict yet"
        )
    if record.novelty_p is None:
        return f"there is no p-value: {record.summary.get('no_claim') or 'nothing to compare it with'}"
    verdict = "novel" if record.novel else "not novel"
    text = f"{verdict}: {_odds(record.novelty_p)} of known behaviour would look as strange"
    if "nearest_known" in record.summary:
        text += f"; {'the nearest known kind is' if record.novel else 'most like'} {record.summary['nearest_known']}"
    if record.own_p is not None and record.own_regimes:
        numbers = f"regime{'s' * (len(record.own_regimes) > 1)} {' and '.join(map(str, record.own_regimes))}"
        far = f"{_odds(record.own_p)} of that kind would lie as far from them"
        text += f". Compared with earlier exposures of this session, of {numbers}: {far}"
    return text


def _odds(p: float) -> str:
    return f"{100 * p:.0f} in 100 exposures" if p >= 0.1 else f"1 in {1 / max(p, 1e-9):.0f} exposures"


def _statistics_of(record: ResultRecord) -> Iterator[str]:
    """Yield the statistics behind a verdict."""
    if record.novelty_p is None:
        return
    bank, own = record.calibration, f", {record.own_p:.2g} against the session" if record.own_p is not None else ""
    against = f"{record.novelty_p:.2g} against bank {bank['id']} of {bank['n']}{own}"
    yield f"its p-value is {against}; it is novel up to alpha = {bank['alpha']:g}"
    terms = {
        name.removeprefix("strangeness_"): x
        for name, x in record.summary.items()
        if name.startswith("strangeness_") and isinstance(x, int | float)
    }
    if terms:
        each = ", ".join(f"{x:.1f} in {name}" for name, x in sorted(terms.items(), key=lambda item: -item[1]))
        yield f"stranger than the median of the nearest kind by {each} (1 is its 90th percentile)"


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
