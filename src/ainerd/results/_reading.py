"""The part of the store that reads results."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tiled.client.container import Container

from ainerd.results._configuration import Configuration
from ainerd.results._explain import explain
from ainerd.results._file import read_table
from ainerd.results._mirror import Mirror
from ainerd.results._nodes import result_node
from ainerd.results._notes import Notes, notes_on
from ainerd.results._records import FINAL, USABLE, ResultRecord
from ainerd.results._search import matches
from ainerd.results._shown import ResultTable
from ainerd.results._snapshot import Snapshot
from ainerd.results._sound import Nodes, Sound, alike, wrong_result
from ainerd.results._tables import comparable, embedding_table, result_table
from ainerd.results._which import LONG, found_key

if TYPE_CHECKING:
    from ainerd.results._client import AinerdResult


class ResultReader:
    """Reads results: the metadata of all at once, the arrays of one."""

    def __init__(
        self,
        ainerd: Container,
        results: Container,
        labels: Callable[[], Mapping[str, int]],
        notes: Callable[[], Notes],
        scope: Mapping[str, str],
    ) -> None:
        self._ainerd, self._results, self._scope = ainerd, results, scope
        self._current_labels, self._current_notes = labels, notes
        self._mirror = Mirror(results, lambda said: said.get("status") in FINAL, Snapshot(ainerd))
        self._seen_digests: tuple[int, set[str]] = 0, set()  # after how many results they are of
        self._sound = Sound("result", wrong_result)
        self._shown: tuple[Nodes, Nodes] = {}, {}  # all results as they were last, and those of the scope
        self._made: tuple[Nodes, Mapping[str, int], Notes, pd.DataFrame] | None = None  # the last table

    def __len__(self) -> int:
        """How many results there are, complete or failed."""
        return sum(_is_finished(said) for said in self._read().values())

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
        results = self._read()
        made = self._as_table(results)
        table = made
        if wanted or text:
            notes = self._current_notes() if text else ()
            found = [key for key, said in results.items() if matches(said, wanted, text, notes_on(key, said, notes))]
            table = table[table.index.isin(found)]
        if regime is not None:
            table = table[table["regime"].eq(regime).fillna(False)]
        shown = ResultTable(table.copy())
        shown.attrs = dict(made.attrs)
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
        results = alike(self._read())
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
        results = alike(self._read())
        if isinstance(like, str):
            like = self.key(like)
            said = results.get(like, {})
            if said.get("embedding") is None:
                raise KeyError(f"no complete result {like!r}: see store.table('complete')")
            points = embedding_table(results, {name: said[name] for name in ("agent", "digest")})
            point, points = points.loc[like].to_numpy(), points.drop(like)
        else:
            points, point = embedding_table(results, comparable(results)), np.asarray(like, np.float32)
            if not points.empty and point.shape != points.shape[1:]:
                raise ValueError(f"a point has shape {points.shape[1:]} here, got {point.shape}")
        distance = np.sqrt(((points - point) ** 2).sum(axis=1)).nsmallest(n)
        return self._as_table(self._read()).loc[distance.index].assign(distance=distance)

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
        for said in self._sound.of(self._mirror.read()).values():
            if said.get("digest") == digest and said.get("status") in finished and not said.get("retake"):
                for uid in said.get("raw_uids") or [said["raw_uid"]]:
                    counted[uid] = counted.get(uid, 0) + 1
        return counted

    def _digests(self) -> set[str] | None:
        """Of the parameters of all results that were there at the last reading; None before the first."""
        known = self._mirror.known
        if known is None:
            return None
        n, digests = self._seen_digests
        if len(known) < n:
            n, digests = 0, set()
        digests |= {digest for said in islice(known.values(), n, None) if isinstance(digest := said.get("digest"), str)}
        self._seen_digests = len(known), digests
        return digests

    def refresh(self) -> None:
        """Read every result anew: needed only after somebody changed a complete result by hand."""
        self._mirror.forget()

    def _read(self) -> Nodes:
        """Metadata of the results of the scope; the same object as long as nothing changes."""
        results = self._sound.of(self._mirror.read())
        if not self._scope:
            return results
        if self._shown[0] is not results:
            scope = self._scope.items()
            self._shown = results, {key: x for key, x in results.items() if all(x.get(n) == v for n, v in scope)}
        return self._shown[1]

    def _as_table(self, results: Nodes) -> pd.DataFrame:
        labels = self._current_labels()
        notes, made = self._current_notes(), self._made
        if made is None or made[0] is not results or made[1] is not labels or made[2] != notes:
            beside = self._shown[0] if self._scope else results
            made = self._made = results, labels, notes, result_table(results, labels, beside, notes)
        return made[3]

    def _child(self, key: str, name: str) -> Any:
        node = result_node(self._results, self.key(key))
        try:
            return node[name]
        except KeyError:
            raise KeyError(f"result {key!r} has no {name!r}: there are {', '.join(node) or 'none'}") from None


def _is_finished(said: Mapping[str, Any]) -> bool:
    return said.get("status") in (*USABLE, "failed")
