"""The part of the store that reads results."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from platformdirs import user_cache_path
from tiled.client.container import Container

from ainerd.results._campaign_records import CampaignRecords
from ainerd.results._columns import Columns
from ainerd.results._files import read_table
from ainerd.results._nodes import result_node
from ainerd.results._records import FINAL, USABLE, Configuration, ResultRecord
from ainerd.results._records import digest as hashed
from ainerd.results._search import KEY_LENGTH, Notes, find_key, matches, notes_by_key
from ainerd.results._table import Table
from ainerd.results._tables import (
    ResultTable,
    embedding_table,
    has_common_size,
    has_embedding,
    nearest,
    newest_scope,
    result_table,
)
from ainerd.results._validation import ProblemFilter, result_problem
from ainerd.technique import panels


class _Table(NamedTuple):
    """A table and its sources."""

    results: Columns
    labels: Mapping[str, int]
    notes: Notes
    table: pd.DataFrame
    order: NDArray[np.intp]  # index in `results` of each row


class ResultReader(CampaignRecords):
    """Reads the metadata of all results at once, and the arrays of one."""

    def __init__(self, ainerd: Container, *, agent: str | None = None, digest: str | None = None) -> None:
        super().__init__(ainerd, agent=agent, digest=digest)
        route = ainerd.item["links"]["self"].replace("/api/v1/metadata", "/custom/ainerd/changes", 1)
        file = user_cache_path("ainerd") / f"results-{hashed({'uri': self._results.uri})}.arrow"
        self._rows = Table(self._results, FINAL, result_problem, route, file)
        self._filter = ProblemFilter("result")
        self._read_last: tuple[Columns, Columns, Columns] | None = None  # all, without problems, in the scope
        self._table: _Table | None = None  # the last one

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
            If a range is not (low, high).
        """
        conditions = {"novel": novel, "status": status, **where}
        wanted = {name: value for name, value in conditions.items() if value is not None}
        for name, value in wanted.items():
            if isinstance(value, tuple) and len(value) != 2:
                raise ValueError(f"{name}={value!r} is no range: give (low, high), None where it is open")
        current = self._current_table()
        table = current.table
        if wanted or text:
            notes = notes_by_key(current.results, current.notes) if text else {}
            table = table[matches(current.results, wanted, text, notes)[current.order]]
        if regime is not None:
            table = table[table["regime"].eq(regime).fillna(False)]
        selected = ResultTable(table.copy() if table is current.table else table)
        selected.attrs = dict(current.table.attrs)
        return selected

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

    def similar(self, like: str | ArrayLike, n: int = 10) -> pd.DataFrame:
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
        results, keys = current.results, current.results.frame.index
        fits = has_common_size(results)
        if isinstance(like, str):
            like = like if len(like) == KEY_LENGTH else find_key(results, like)
            is_it = keys == like
            if not (is_it & fits & (results.sizes > 0)).any():
                raise KeyError(f"no complete result {like!r}: see store.table('complete')")
            point = results.points[np.repeat(is_it, results.sizes)]
            scope = {name: results.column(name)[is_it][0] for name in ("agent", "digest")}
            fits &= ~is_it & has_embedding(results, scope)
        else:
            point = np.asarray(like, np.float32)
            fits &= has_embedding(results, newest_scope(results.at(fits)))
        if not fits.any():
            return current.table.iloc[:0].assign(distance=0.0)
        points = results.points[np.repeat(fits, results.sizes)].reshape(int(fits.sum()), -1)
        if point.shape != points.shape[1:]:
            raise ValueError(f"a point has shape {points.shape[1:]} here, got {point.shape}")
        order, distance = nearest(points, point, n)
        return current.table.loc[keys[fits][order]].assign(distance=distance)

    def array(self, key: str, name: str) -> NDArray[Any]:
        """Read one array of a result; raise KeyError, with all names, if the result has no such array."""
        values = np.asarray(self._child(key, name).read())
        return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values

    def series(self, key: str, name: str) -> pd.DataFrame:
        """Read one series of a result: columns ``time`` (seconds from the run's start) and `name`; KeyError if none."""
        return self.rows(key, name)

    def rows(self, key: str, name: str) -> pd.DataFrame:
        """Read one table of a result; raise KeyError, with all names, if the result has no such table."""
        return read_table(self._child(key, name))

    def status(self, key: str) -> str | None:
        """Read the status of a result, or None for an unknown key."""
        try:
            return self._results[key].metadata["status"]
        except KeyError:
            return None

    def record(self, key: str) -> ResultRecord:
        """Read everything except the arrays of a result; raise KeyError for an unknown key."""
        return ResultRecord.from_metadata(result_node(self._results, self.key(key)).metadata)

    def explain(self, key: str) -> str:
        """Explain why a run is novel or not."""
        return explain(self.record(key))

    def configuration(self, digest: str) -> Configuration | None:
        """Read the configuration of the results with this digest of their parameters, or None."""
        try:
            return Configuration.read(self.container["configurations", digest])
        except KeyError:
            return None

    def analysed(self, digest: str, *, again: bool = False) -> dict[str, int]:
        """Return the number of finished results of each run, by uid, with this digest of their parameters.

        Results that failed through no fault of the data are not counted, as they are to be analysed again.

        Parameters
        ----------
        digest : str
        again : bool
            Whether failed results are not counted either.
        """
        finished = USABLE if again else (*USABLE, "failed")
        counts: dict[str, int] = {}
        results = self._filter(self._rows.read())
        is_done = np.isin(results.column("status").astype(object), finished) & (results.column("retake") != True)  # noqa: E712
        done = results.at(is_done & (results.column("digest") == digest))
        for uid, uids in zip(done.column("raw_uid"), done.values("raw_uids"), strict=True):
            for one in uids or [uid]:
                counts[one] = counts.get(one, 0) + 1
        return counts

    def refresh(self) -> None:
        """Read all results again. This is needed only after a complete result was changed by hand."""
        self._rows.forget()

    def _read(self) -> Columns:
        """Return the results of the scope; the same object as long as nothing changes."""
        return self._read_all()[1]

    def _read_all(self, **parameters: Any) -> tuple[Columns, Columns]:
        """Return all results, and the results of the scope."""
        read = self._rows.read(**parameters)
        if self._read_last is None or self._read_last[0] is not read:
            everybody = self._filter(read)
            is_ours = [everybody.column(name) == value for name, value in self._scope.items()]
            ours = everybody.at(np.logical_and.reduce(is_ours)) if is_ours else everybody
            self._read_last = read, everybody, ours
        return self._read_last[1:]

    def _current_table(self) -> _Table:
        (everybody, results), last = self._read_all(campaign=True, **self._scope), self._table
        answer = self._rows.answer  # on a server without our route each part takes a request
        labels = self.current_labels(answer.get("atlas"))
        notes = answer["notes"] if "notes" in answer else self.notes()
        if last is None or last.results is not results or last.labels is not labels or last.notes != notes:
            table, order = result_table(results, pd.Series(labels, dtype=np.float64), everybody, notes)
            last = self._table = _Table(results, labels, notes, table, order)
        return last

    def _child(self, key: str, name: str) -> Any:
        try:
            return self._results[self.key(key), name]
        except KeyError:
            node = result_node(self._results, self.key(key))
            raise KeyError(f"result {key!r} has no {name!r}: there are {', '.join(node) or 'none'}") from None


def explain(record: ResultRecord) -> str:
    """Explain the verdict on a run and the reasons for it, with the technique's sentences on its numbers."""
    describe = getattr(panels(record.technique), "sentences", None)
    sentences = describe(record.summary) if describe and record.embedding is not None else ()
    return ". ".join([_verdict(record), *sentences])


def _verdict(record: ResultRecord) -> str:
    summary, bank = record.summary, record.calibration
    if record.embedding is None:
        return f"there is no verdict: the analysis is {record.status}" + (f", {record.reason}" if record.reason else "")
    if record.novelty_p is None:
        return f"there is no claim of novelty: {summary.get('no_claim') or 'the calibration made none'}"
    verdict = "novel" if record.novel else "not novel"
    text = (
        f"{verdict} at alpha = {bank['alpha']:g}: p = {record.novelty_p:.2g} against bank {bank['id']} of {bank['n']}"
    )
    if "nearest_known" in summary:
        text += f"; most like {summary['nearest_known']}"
    strangeness = {
        name.removeprefix("strangeness_"): x
        for name, x in summary.items()
        if name.startswith("strangeness_") and isinstance(x, int | float)
    }
    if strangeness:
        terms = ", ".join(f"{x:.1f} in {name}" for name, x in sorted(strangeness.items(), key=lambda item: -item[1]))
        text += f", less likely than the median of that kind by {terms} (1 is its 90th percentile)"
    return text
