"""The store of everything that agents keep in Tiled."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tiled.client.container import Container
from tiled.queries import Key

from ainerd.jobs import waiting
from ainerd.results._conditions import checked, known_names, matches, refuse
from ainerd.results._drawing import compare
from ainerd.results._errors import FORBIDDEN, TiledError, translated
from ainerd.results._explain import explain
from ainerd.results._export import dataset_of_all, export_all
from ainerd.results._files import LoadedResult, load, read_configuration
from ainerd.results._nodes import newest_key, result_node
from ainerd.results._records import FINAL, STATUSES, USABLE, AtlasRecord, Metadata, ResultRecord
from ainerd.results._similar import embedding_table, similar
from ainerd.results._table import Notes
from ainerd.results._tables import KEY_LENGTH, ResultTable, find_key, notes_by_key, result_table
from ainerd.results._why import why
from ainerd.results._writing import ResultRecords
from ainerd.words import number_of, plain_address, run_text

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

QUICK_S, LONGEST_S = 2.0, 10.0  # time limits of the first and the longest look whether the server answers
PAUSE_S = 30.0  # longest pause between two looks


class _Read(NamedTuple):
    """Results of the scope by time of the run, and what they were made from."""

    everybody: pd.DataFrame
    results: pd.DataFrame


class _Current(NamedTuple):
    """The table of results, in their order, and what it was made from."""

    results: pd.DataFrame
    atlas: AtlasRecord | None
    notes: Notes
    table: ResultTable


class ResultStore(ResultRecords):
    """Everything that agents wrote, in the container ``ainerd`` of a Tiled server.

    With `agent` and `digest` it is the store of one agent, as `agent.results`: it shows only results with this agent
    and digest, and the suggestions and the log of the agent. Without them it shows the data of all agents.

    A result is written in two calls, from any thread: `begin` when the run starts, `complete` or `fail` when it is
    analysed. Its key is made from the run and the parameters. If the run is analysed again, a complete result stays,
    and any other is written again. Tiled has no transactions: if one writer fails while another completes the same
    result, it may stay failed until the next replay.

    Tables read all results once, and afterwards only changes, of any writer.

    Parameters
    ----------
    ainerd : tiled.client.container.Container
        ``client["ainerd"]``, as `ainerd.server.open_catalog` makes it.
    agent : str, optional
        Name of the agent.
    digest : str, optional
        Digest of the parameters of its technique, see `ainerd.results.digest`.
    folder : path, optional
        Folder for the files of results, which the server must read: a result is one HDF5 file that is
        registered with Tiled. Without it, and where the server does not take such files, each array is a node.
    seen_as : path, optional
        The path of this folder for the server, if that is another one.

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

    _last_read: _Read | None = None
    _last_table: _Current | None = None
    _pause_s, _asked_again_at = 0.0, 0.0  # before the next look whether the server answers, if it is away
    _is_refused = False  # the key, at the last look
    own_level: float | None = None  # the p column is ``own_p``, and novel up to this level; None: it is ``novelty_p``

    def __len__(self) -> int:
        """Return the number of results that are complete or failed."""
        return int(self._read()["status"].isin((*USABLE, "failed")).sum())

    def table(
        self, status: str | None = None, *, all: bool = False, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Return all results, one in a row, by time of the run.

        Parameters
        ----------
        status : {"computing", "complete", "partial", "growing", "failed"}, optional
        all : bool
            Whether to return a plain DataFrame of all columns, with the statistics of fits and tests. Default: at most
            30 columns, in a table that shows the most important ones: scan, time, sample, position, regime, p, the
            technique's numbers, status, key.
        columns : sequence of str, optional
            Names of columns, in place of `all`.

        Returns
        -------
        pandas.DataFrame
            Index ``key``. ``regime`` is the label of the newest atlas, ``regime_name`` the name that people gave this
            regime, ``regime_then`` the label that the result got at first; -1 is unassigned, <NA> is no label.
            ``left_out`` says who left the result out, and why. Times are UTC timestamps. ``superseded_by`` is the
            result of the same run with newer parameters, ``note`` the notes of people. Units of the columns are in
            ``table.attrs["units"]``.

        Raises
        ------
        KeyError
            If a column does not exist.
        """
        table = self._found(status=status)
        if not all and columns is None:
            return table.narrow()
        plain = pd.DataFrame(table)
        plain.attrs = table.attrs
        return plain if columns is None else plain[[*columns]]

    def __iter__(self) -> Iterator[str]:
        """Yield the keys of the results, by time of the run."""
        return iter(map(str, self._found().index))

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

    def search(self, *, all: bool = False, **conditions: Any) -> ResultTable:
        """Return the results that fulfil all conditions, as in `table`.

        Parameters
        ----------
        all : bool
            Whether to return all columns, as in `table`.
        novel : bool, optional
        regime : int, optional
            The label of the newest atlas.
        status : str, optional
        text : str, optional
            Words that all occur in the texts of the metadata and in notes, in upper or lower case.
        **where
            Any other metadata: ``sample_x=(2, 3)`` is a range (None: open), ``scan_id=7`` one value. Limits of
            ``run_time`` are texts such as ``"2026-11-19 18:00Z"``, or datetimes with a time zone. For nested metadata
            give ``**{"model.name": "pca"}``.

        Raises
        ------
        ValueError
            If there is no such status, a range is not (low, high), a text is given for a number or a number for a text,
            or no result can have metadata of a name.
        """
        table = self._found(**conditions)
        return table if all else table.narrow()

    def _found(
        self,
        *,
        novel: bool | None = None,
        regime: int | None = None,
        status: str | None = None,
        text: str | None = None,
        **where: Any,
    ) -> ResultTable:
        """Return all columns of the results that fulfil the conditions of `search`."""
        if status is not None and status not in STATUSES:
            raise ValueError(f"there is no status {status!r}, only {', '.join(STATUSES)}")
        if isinstance(regime, str):
            raise ValueError(f"regime is a number, got {regime!r}")
        current = self._current_table()
        results, table = current.results, current.table
        conditions = {"novel": novel, "status": status, **where}
        wanted = checked(results, {name: value for name, value in conditions.items() if value is not None})
        for name in where:
            if name.partition(".")[0] not in known_names(results):
                refuse(name, results, is_text=isinstance(where[name], str))
        if wanted or text:
            notes = notes_by_key(results, current.notes) if text else {}
            table = table[matches(results, wanted, text, notes)]
        if regime is not None:
            table = table[table["regime"].eq(regime).fillna(False)]
        return table.copy()

    def n_novel(self) -> tuple[int, int]:
        """Return the numbers of novel results and of those with a p-value, without those that people left out.

        If this session is compared with itself, they are by ``own_p``, as in the table.
        """
        table = self._current_table().table
        used, level = table["left_out"].isna(), self.own_level
        novel = table["novel"].fillna(False) if level is None else table["own_p"].le(level)
        p = table["novelty_p" if level is None else "own_p"]
        return int(novel[used].sum()), int(p[used].notna().sum())

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
        return embedding_table(self._read(), None if digest is None else {"digest": digest})

    def similar(self, run: str | int | float, n: int = 10) -> ResultTable:
        """Return the `n` results nearest in the latent space, nearest first, with their Euclidean ``distance``.

        Parameters
        ----------
        run : str, int or float
            Key of a result or number of its scan, which is compared with those of the same agent and parameters.
        n : int

        Raises
        ------
        KeyError
            If the key has no complete result.
        """
        current = self._current_table()
        distance = similar(current.results, self.key(run), n)
        return current.table.narrow().loc[distance.index].assign(distance=distance)

    def load(self, keys: Sequence[str], names: Collection[str] | None = None) -> Iterator[LoadedResult]:
        """Yield results in memory, with all their arrays and tables or those with these names; see `LoadedResult`.

        Raises KeyError if a result does not exist.
        """
        return load(self.container, keys, names)

    def array(self, key: str, name: str) -> NDArray[Any]:
        """Read one array of a result; raise KeyError, with all names, if the result has no such array."""
        return np.asarray(self._loaded(key, name)[name].values)

    def rows(self, key: str, name: str) -> pd.DataFrame:
        """Read one table of a result; raise KeyError, with all names, if the result has no such table.

        A series is a table with the columns ``time``, in seconds since the start of the run, and its own name. Units of
        the columns are in ``attrs["units"]``.
        """
        result = self._loaded(key, name)
        if not isinstance(result[name].values, pd.DataFrame):
            raise KeyError(f"{name!r} is an array: read it with array({key!r}, {name!r})")
        return _with_units(result[name].values, [result])

    def tables(self, name: str, **where: Any) -> pd.DataFrame:
        """Read one table of many results at once: ``results.tables("bins", regime=1)``; conditions are as for `search`.

        Returns
        -------
        pandas.DataFrame
            The rows of all tables with this name, with the columns ``key`` and ``scan`` before them. Units of the
            columns are in ``attrs["units"]``.

        Raises
        ------
        KeyError
            If no result has such a table.
        """
        table = self.search(**where)
        keys = [*map(str, table.index[table["status"].isin(USABLE)])]
        scans = table["scan_id"]
        with waiting(f"reading {name}"):
            loaded = [*self.load(keys, [name])]
        having = [each for each in loaded if isinstance(getattr(each.get(name), "values", None), pd.DataFrame)]
        if not having:
            raise KeyError(f"no table {name!r} in {len(keys)} results")
        parts = [pd.DataFrame({"key": each.key, "scan": scans[each.key]} | dict(each[name].values)) for each in having]
        return _with_units(pd.concat(parts, ignore_index=True), having)

    def status(self, key: str) -> str | None:
        """Read the status of a result, or None for an unknown key."""
        try:
            return str(result_node(self._results, key).metadata["status"])
        except KeyError:
            return None

    @translated()
    def newest(self) -> tuple[dict[str, int], Metadata]:
        """Return the number of results by status, and the metadata of the one that began last; empty without any."""
        some = self._results if self.agent is None else self._results.search(Key("agent") == self.agent)
        counts = some.distinct("status", counts=True)["metadata"]["status"] or ()
        key = newest_key(self._results, agent=self.agent)
        last = {} if key is None else result_node(self._results, key).metadata
        return {str(each["value"]): int(each["count"]) for each in counts}, last

    def record(self, key: str | int | float) -> ResultRecord:
        """Read everything except the arrays of a result; raise KeyError for an unknown key."""
        return ResultRecord.from_metadata(result_node(self._results, self.key(key)).metadata)

    def explain(self, key: str | int | float, *, details: bool = False) -> str:
        """Explain why a run is novel or not; with `details`, with the statistics."""
        record, atlas = self.record(key), self._newest({})
        names = {} if atlas is None else atlas.names.get(record.agent, {})
        return explain(record, names={int(regime): name for regime, name in names.items()}, details=details)

    def why(self, run: str | int | float) -> str:
        """Return why the position of a result was chosen, and what the agent knew then, such as bounds and a hold.

        Raises
        ------
        KeyError
            If there is no such result.
        ValueError
            If it was taken by hand, or its suggestion is in another catalog.
        """
        record = self.record(run)
        if record.suggestion_id is None:
            raise ValueError(f"{run_text(record.metadata())} has no suggestion: it was taken by hand")
        try:
            return why(record, self.suggestion(record.suggestion_id))
        except KeyError:
            raise ValueError(f"the suggestion of {run_text(record.metadata())} is not in this catalog") from None

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
        results = self._rows.read()
        is_done = results["status"].isin(finished) & results["retake"].ne(True) & results["digest"].eq(digest)
        counts: dict[str, int] = {}
        for uid, uids, of in results.loc[is_done, ["raw_uid", "raw_uids", "files_digest"]].itertuples(index=False):
            files = None if pd.isna(of) else of
            for one in uids if isinstance(uids, list) else [ResultRecord.identity_of(uid, files_digest=files)]:
                counts[one] = counts.get(one, 0) + 1
        return counts

    def of_everybody(self) -> pd.DataFrame:
        """Return the metadata of the results of all agents; the same object as long as nothing changes. One request."""
        return self._rows.read()

    def _read(self) -> pd.DataFrame:
        """Return the metadata of the results of the scope, by time of the run and number of the event.

        It is the same object as long as nothing changes.
        """
        everybody, last = self._rows.read(), self._last_read
        if last is None or last.everybody is not everybody:
            new = everybody.loc[everybody["status"].isin(FINAL), "supersedes"].dropna()
            old = dict(zip(new, new.index, strict=True))
            results = everybody.assign(superseded_by=everybody.index.map(old))
            for name, value in self._scope.items():
                results = results[results[name] == value]
            last = self._last_read = _Read(everybody, results.sort_values(["run_time", "event"], kind="stable"))
        return last.results

    def _current_table(self) -> _Current:
        results, last = self._read(), self._last_table
        atlas, notes = self._newest({}), self.notes()
        if last is None or last.results is not results or last.atlas is not atlas or last.notes != notes:
            last = self._last_table = _Current(results, atlas, notes, result_table(results, atlas, notes))
        last.table.attrs["own_level"] = self.own_level
        return last

    def _loaded(self, key: str, name: str) -> LoadedResult:
        """Read one array or table of a result; raise KeyError, with all names, if it has none of that name."""
        (result,) = self.load([self.key(key)], [name])
        if name not in result:
            names = [name for kind in ("arrays", "tables", "series") for name in result.metadata.get(kind, ())]
            raise KeyError(f"result {key!r} has no {name!r}: there are {', '.join(names) or 'none'}")
        return result

    def __getitem__(self, run: str | int | float) -> Container:
        """Return one `AinerdResult`, by the number of its scan or the first characters of its key: ``results[12]``.

        ``results["12.2"]`` is the result of the second event of scan 12.

        Raises
        ------
        KeyError
            If there is none.
        """
        return self._results[self.key(run)]

    def plot(self, runs: Sequence[str | int | float]) -> "Figure":
        """Draw results beside each other: ``results.plot([9, 12, 15])``, by the numbers of their scans.

        Raises ValueError if their technique does not draw them together, or if they are of several techniques.
        """
        return compare([*self.load([self.key(run) for run in runs])])

    def export(self, path: str | Path) -> Path:
        """Write all results to a file: the table as ``.csv``, ``.parquet`` or ``.xlsx``, all as ``.h5`` (netCDF).

        One result is written as its technique does by ``results[12].export("scan_12.nxs")``.

        Raises
        ------
        ValueError
            If the path ends otherwise, or the netCDF file exists.
        """
        return export_all(self._found(), self.load, path)

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
        table = self._found(**where)
        table = table[table["status"].isin(USABLE)]
        return dataset_of_all(table, self.load([*map(str, table.index)], arrays), arrays)

    def answers(self, within_s: float | None = None) -> bool:
        """Return whether the server answers within this time and accepts the key.

        Without a time, a server that does not answer is asked again only after 1, 2, 4 … 30 s, and then it gets as much
        time, up to `LONGEST_S`. Until then it counts as away.
        """
        if is_patient := within_s is None:
            if time.monotonic() < self._asked_again_at:
                return False
            within_s = min(max(QUICK_S, self._pause_s), LONGEST_S)
        answers = self._answers(within_s)
        if answers:  # otherwise commands would not be read until the next result
            self.seems_away, self._pause_s, self._asked_again_at = False, 0.0, 0.0
        elif is_patient:
            self._pause_s = min(2 * self._pause_s or 1.0, PAUSE_S)
            self._asked_again_at = time.monotonic() + self._pause_s
        return answers

    def _answers(self, within_s: float) -> bool:
        http = self.container.context.http_client
        try:
            with translated():
                response = http.get(self.container.uri, timeout=within_s)
        except TiledError:
            response = None
        self._is_refused = response is not None and response.status_code in FORBIDDEN
        return response is not None and bool(response.is_success)

    def __repr__(self) -> str:
        return self._shown_by(repr)

    def _repr_html_(self) -> str:
        return self._shown_by(ResultTable._repr_html_)

    def _shown_by(self, show: Callable[[ResultTable], str]) -> str:
        """Return a summary line and the table, or that Tiled is away: the reader is a person, not a program."""
        of = f" of {self.agent}" if self.agent else ""
        if not self.answers(QUICK_S):
            does = "refuses the key" if self._is_refused else "does not answer"
            return f"<ResultStore{of}: Tiled {does} at {plain_address(self.container.uri)}>"
        results = self._found()
        failed, (novel, _) = int(results["status"].eq("failed").sum()), self.n_novel()
        atlas = self.newest_atlas()
        regimes = "no regimes yet"
        if atlas:
            low, high = atlas.supported_range
            regimes = number_of(atlas.n_regimes, "regime") + (f" (it may be {low} to {high})" if low < high else "")
        line = f"{number_of(len(self), 'result')}{of}, {failed} failed, {novel} novel, {regimes}"
        return f"{line}\n{show(results)}" if len(results) else line


def _with_units(table: pd.DataFrame, results: Sequence[LoadedResult]) -> pd.DataFrame:
    """Return a table with the units of its columns in its attributes."""
    units = {name: unit for each in results for name, unit in each.metadata["units"].items()}
    table.attrs["units"] = {name: units[name] for name in table if name in units}
    return table
