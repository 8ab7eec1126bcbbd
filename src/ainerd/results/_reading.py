"""The part of the store that reads results."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tiled.client.container import Container

from ainerd.results._ahead import Ahead
from ainerd.results._campaign_records import CampaignRecords
from ainerd.results._columns import Columns
from ainerd.results._configuration import Configuration
from ainerd.results._explain import explain
from ainerd.results._file import read_table
from ainerd.results._mirror import Mirror
from ainerd.results._nodes import result_node
from ainerd.results._notes import Notes, noted_on
from ainerd.results._records import FINAL, USABLE, ResultRecord
from ainerd.results._search import matches
from ainerd.results._shown import ResultTable
from ainerd.results._snapshot import Snapshot
from ainerd.results._sound import Sound, alike, result_problem
from ainerd.results._tables import comparable, embedding_table, have_point, result_table
from ainerd.results._which import LONG, found_key

if TYPE_CHECKING:
    from ainerd.results._client import AinerdResult


class _Made(NamedTuple):
    """A table, and what it was made of."""

    results: Columns
    labels: Mapping[str, int]
    notes: Notes
    table: pd.DataFrame
    order: NDArray[np.intp]  # which of the results each row is


class ResultReader:
    """Reads results: the metadata of all at once, the arrays of one."""

    def __init__(
        self,
        ainerd: Container,
        results: Container,
        campaign: CampaignRecords,
        scope: Mapping[str, str],
    ) -> None:
        self._ainerd, self._results, self._scope, self._campaign = ainerd, results, scope, campaign
        self._ahead = Ahead(ainerd)
        self._mirror = Mirror(results, FINAL, Snapshot(ainerd), result_problem)
        self._sound = Sound("result", result_problem)
        self._shown: tuple[Columns, Columns, Columns] | None = None  # as read last: all, sound, of the scope
        self._made: _Made | None = None  # the last table
        self._labels: tuple[Mapping[str, int], pd.Series[float]] | None = None

    def __len__(self) -> int:
        """How many results there are, complete or failed."""
        return int(np.isin(self._read().column("status").astype(object), (*USABLE, "failed")).sum())

    def table(self, status: str | None = None, *, columns: str | Sequence[str] | None = None) -> pd.DataFrame:
        """All results, a row each, by time of the run.

        Parameters
        ----------
        status : {"computing", "complete", "partial", "growing", "failed"}, optional
        columns : "all" or sequence of str, optional
            What it shows of itself; it holds everything in any case, but for names that are given one by one. Without
            it, what people ask for: scan, time, sample, position, regime, p, the technique's numbers, status, key.

        Returns
        -------
        pandas.DataFrame
            Index ``key``. ``regime`` is the label of the newest atlas, ``regime_then`` the one the result
            got; -1 is unassigned, <NA> is none. Times are UTC timestamps. ``superseded_by`` is the result of the
            same run with newer parameters, ``note`` what people noted on it. Units of the columns are in
            ``table.attrs["units"]``.

        Raises
        ------
        KeyError
            If there is no column of a name that is given.
        """
        table = self.search(status=status)
        if columns is None:
            return table
        plain = pd.DataFrame(table)
        plain.attrs = table.attrs
        return plain if isinstance(columns, str) and columns == "all" else plain[list(columns)]

    def __iter__(self) -> Iterator[str]:
        """Keys of the results, by time of the run."""
        return iter(map(str, self.table().index))

    def __getitem__(self, run: str | int | float) -> "AinerdResult":
        """One result, by the number of its scan or the first characters of its key: ``results[12]``, its arrays inside.

        ``results["12.2"]`` is that of the second event of scan 12. KeyError if there is none.
        """
        return self._results[self.key(run)]

    def key(self, run: str | int | float) -> str:
        """Key of the result that is meant by the number of its scan, or by the first characters of its key.

        KeyError, which says what there is, if that is none.
        """
        if isinstance(run, str) and len(run) == LONG:
            return run
        return found_key(self._read(), run)

    def search(
        self,
        *,
        novel: bool | None = None,
        regime: int | None = None,
        status: str | None = None,
        text: str | None = None,
        **where: Any,
    ) -> ResultTable:
        """Results that fulfil all of this, as in `table`.

        Parameters
        ----------
        novel : bool, optional
        regime : int, optional
            The label of the newest atlas.
        status : str, optional
        text : str, optional
            Words that all occur in the texts of the metadata and in notes, in any case.
        **where
            Any other metadata: ``sample_x=(2, 3)`` is a range (None: open), ``scan_id=7`` one value. Limits of
            ``run_time`` may be a datetime with its time zone. For nested metadata give
            ``**{"model.name": "pca"}``.

        Raises
        ------
        ValueError
            If a range is not (low, high).
        """
        asked = {"novel": novel, "status": status, **where}
        wanted = {name: value for name, value in asked.items() if value is not None}
        for name, value in wanted.items():
            if isinstance(value, tuple) and len(value) != 2:
                raise ValueError(f"{name}={value!r} is no range: give (low, high), None where it is open")
        made = self._as_table()
        results = made.results
        table = made.table
        if wanted or text:
            noted = noted_on(results, made.notes) if text else {}
            table = table[matches(results, wanted, text, noted)[made.order]]
        if regime is not None:
            table = table[table["regime"].eq(regime).fillna(False)]
        shown = ResultTable(table.copy() if table is made.table else table)
        shown.attrs = dict(made.table.attrs)
        return shown

    def embeddings(self, digest: str | None = None) -> pd.DataFrame:
        """Points of the latent space, by time of the run.

        Parameters
        ----------
        digest : str, optional
            Of the parameters (column ``digest`` of the table): only points of the same parameters can be
            compared. Default: agent and parameters of the newest result.

        Returns
        -------
        pandas.DataFrame, shape (n, d)
            Index ``key``, float32.
        """
        results = self._read()
        results = results.at(alike(results))
        return embedding_table(results, comparable(results) if digest is None else {"digest": digest})

    def similar(self, like: str | ArrayLike, n: int = 10) -> pd.DataFrame:
        """The `n` results nearest in the latent space, nearest first, with their Euclidean ``distance``.

        Parameters
        ----------
        like : str or array_like, shape (d,)
            Key of a result, which is compared with those of the same agent and parameters; or a point, which is
            compared as if it were the newest result's.
        n : int

        Raises
        ------
        KeyError
            If there is no complete result of that key.
        ValueError
            If the point has another number of components than the results.
        """
        made = self._as_table()
        results, fits = made.results, alike(made.results)
        if isinstance(like, str):
            like = like if len(like) == LONG else found_key(results, like)
            is_it = results.frame.index == like
            if not (is_it & fits & (results.sizes > 0)).any():
                raise KeyError(f"no complete result {like!r}: see store.table('complete')")
            point = results.points[np.repeat(is_it, results.sizes)]
            own = {name: results.column(name)[is_it][0] for name in ("agent", "digest")}
            fits &= ~is_it & have_point(results, own)
        else:
            point = np.asarray(like, np.float32)
            fits &= have_point(results, comparable(results.at(fits)))
        n_points, chosen = int(fits.sum()), results.points[np.repeat(fits, results.sizes)]
        points = chosen.reshape(n_points, -1) if n_points else chosen[:, None]
        if len(points) and point.shape != points.shape[1:]:
            raise ValueError(f"a point has shape {points.shape[1:]} here, got {point.shape}")
        away = points - point if len(points) else points
        distance = pd.Series(np.sqrt(np.einsum("ij,ij->i", away, away)), results.frame.index[fits]).nsmallest(n)
        return made.table.loc[distance.index].assign(distance=distance)

    def array(self, key: str, name: str) -> NDArray[Any]:
        """One array of a result, by name; KeyError, which says what there is, if it has none of that name."""
        values = np.asarray(self._child(key, name).read())
        return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values

    def series(self, key: str, name: str) -> pd.DataFrame:
        """One series of a result: columns ``time``, in seconds from the run's start, and `name`; KeyError if none."""
        return self.rows(key, name)

    def rows(self, key: str, name: str) -> pd.DataFrame:
        """One table of a result, as its technique wrote it; KeyError, which says what there is, if there is none."""
        return read_table(self._child(key, name))

    def status(self, key: str) -> str | None:
        """Status of a result; None if there is none of that key."""
        try:
            return self._results[key].metadata["status"]
        except KeyError:
            return None

    def record(self, key: str) -> ResultRecord:
        """Everything but the arrays of a result; KeyError if there is none of that key."""
        return ResultRecord.from_metadata(result_node(self._results, self.key(key)).metadata)

    def explain(self, key: str) -> str:
        """Why a run was called novel, or was not: the verdict and what it rests on, in one sentence."""
        return explain(self.record(key))

    def configuration(self, digest: str) -> Configuration | None:
        """What the results with that digest of their parameters have in common; None if nobody kept it."""
        try:
            return Configuration.read(self._ainerd["configurations", digest])
        except KeyError:
            return None

    def analysed(self, digest: str, *, again: bool = False) -> dict[str, int]:
        """How many finished results with that digest of their parameters each run has, by uid.

        Those that failed through no fault of the data are not counted: they are to be taken again.

        Parameters
        ----------
        digest : str
        again : bool
            Whether failed ones do not count.
        """
        finished = USABLE if again else (*USABLE, "failed")
        counted: dict[str, int] = {}
        results = self._sound.at(self._mirror.read())
        is_done = np.isin(results.column("status").astype(object), finished) & (results.column("retake") != True)  # noqa: E712
        done = results.at(is_done & (results.column("digest") == digest))
        for uid, uids in zip(done.column("raw_uid"), done.values("raw_uids"), strict=True):
            for one in uids or [uid]:
                counted[one] = counted.get(one, 0) + 1
        return counted

    def _digests(self) -> set[str] | None:
        """Of the parameters of all results that were there at the last reading; None before the first."""
        known = self._mirror.known
        return None if known is None else {x for x in pd.unique(known.column("digest")) if isinstance(x, str)}

    def refresh(self) -> None:
        """Read every result anew: needed only after somebody changed a complete result by hand."""
        self._mirror.forget()

    def _read(self) -> Columns:
        """The results of the scope; the same object as long as nothing changes."""
        return self._read_all()[2]

    def _read_all(self) -> tuple[Columns, Columns, Columns]:
        with self._ahead.of(self._mirror.searches()):
            read = self._mirror.read()
        if self._shown is None or self._shown[0] is not read:
            sound = self._sound.at(read)
            is_ours = [sound.column(name) == value for name, value in self._scope.items()]
            ours = sound.at(np.logical_and.reduce(is_ours)) if is_ours else sound
            self._shown = read, sound, ours
        return self._shown

    def _as_table(self) -> _Made:
        with self._ahead.of([*self._mirror.searches(), *self._campaign.searches()]):
            results, made = self._read(), self._made
            labels, notes = self._campaign.current_labels(), self._campaign.notes()
        if self._labels is None or self._labels[0] is not labels:
            self._labels = labels, pd.Series(labels, dtype=np.float64)
        if made is None or made.results is not results or made.labels is not labels or made.notes != notes:
            beside = self._shown[1] if self._shown else results
            table, order = result_table(results, self._labels[1], beside, notes)
            made = self._made = _Made(results, labels, notes, table, order)
        return made

    def _child(self, key: str, name: str) -> Any:
        try:
            return self._results[self.key(key), name]
        except KeyError:
            node = result_node(self._results, self.key(key))
            raise KeyError(f"result {key!r} has no {name!r}: there are {', '.join(node) or 'none'}") from None
