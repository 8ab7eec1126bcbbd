"""Analysis of runs that are in Tiled, in this process or on the workers of Dask.

A worker analyses a run as this process would, and writes the result itself. The key of a result is made of the run and
the parameters. So a run has one result even if two workers get it, because the first one died or seemed dead. Only the
uid of the run, the settings without the API key, and the outcomes travel between the machines.
"""

import json
import re
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from rich.progress import Progress
from tiled.client.container import Container
from tiled.queries import Key

from ainerd.agent import build_technique, writer_of
from ainerd.cli._dask import workers
from ainerd.cli._shared import bars
from ainerd.config import Settings
from ainerd.documents import RunReader, documents_of
from ainerd.jobs import Jobs
from ainerd.results import AtlasRecord, Result, ResultStore, digest
from ainerd.runs import Worker, parameters_of
from ainerd.server import ServerError, connect, open_catalog
from ainerd.technique import Series, Technique
from ainerd.words import plain_address

WORKERS_DIED = "four workers died over it: too little memory?"


@contextmanager
def _worker(technique: Technique, store: ResultStore, settings: Settings, raw: Container) -> Iterator[Worker]:
    """Start a worker that writes the results of runs, without a campaign or suggestions; at the end close it."""
    jobs = Jobs()
    with closing(Worker(jobs, writer_of(technique, store, settings, raw))) as worker:
        jobs.start()
        yield worker


def _analyse(worker: Worker, raw: Container, uid: str, image: str) -> list[Result]:
    """Analyse a finished run and return its outcomes; none if it has no data key `image`."""
    documents = [*documents_of(raw[uid])]
    if not any(name == "descriptor" and image in doc["data_keys"] for name, doc in documents):
        return []
    for name, doc in documents:
        worker(name, doc)
    return worker.outcomes(uid).result()


@dataclass(frozen=True)
class Workplace:
    """Everything that a worker needs in addition to the uids of runs."""

    settings: str  # tables of the settings as JSON, without the API key
    folder: str  # relative paths start here
    address: str  # root of the catalog
    embedded: bool  # whether the catalog is on the embedded server of `settings.storage.directory`
    parameters: str  # required parameters of the results, as JSON

    @classmethod
    def of(cls, settings: Settings, root: Container, technique: Technique, *, embedded: bool) -> Self:
        """Return the workplace of this process."""
        tables = json.dumps(settings.tables(), default=str)
        parameters = json.dumps(parameters_of(technique, settings.detector))
        return cls(tables, str(settings.folder), root.uri, embedded, parameters)


def _analyse_on(address: str, uids: Sequence[str], workplace: Workplace, progress: Progress) -> list[Result]:
    """Analyse runs on Dask; raise ValueError if one cannot be analysed for another reason than the run."""
    bar, outcomes = progress.add_task("runs", total=len(uids)), list[Result]()
    with workers(address) as pool:
        futures = {pool.submit(analyse, uid, workplace): uid for uid in uids}
        try:
            for future in as_completed(futures):
                outcomes += _result(future, futures[future])
                progress.advance(bar)
        finally:
            for future in futures:
                future.cancel()
    return outcomes


def analyse(uid: str, workplace: Workplace) -> list[Result]:
    """Analyse a run on a worker and write its results.

    The outcomes report all problems of the run itself. An exception has another cause.
    """
    settings, raw, store, technique = _prepare(workplace)
    with _worker(technique, store, settings, raw) as worker:
        outcomes = _analyse(worker, raw, uid, settings.detector.image)
        if worker.n_left:
            raise ServerError(f"its results are not written: {outcomes[-1].reason}")
    return outcomes


@lru_cache(maxsize=1)  # a worker usually serves one command at a time
def _prepare(workplace: Workplace) -> tuple[Settings, Container, ResultStore, Technique]:
    """Open the catalog and build the technique on a worker. Its own environment overrides the settings it received.

    The API key is that of this machine: keys never travel. Raises ValueError if the results would have other
    parameters than those of the command.
    """
    settings = Settings.of(json.loads(workplace.settings), Path(workplace.folder))
    key = settings.storage.api_key.get_secret_value() or None
    if workplace.embedded:
        key = (settings.storage.directory / "api_key").read_text().strip()  # on its own machine alone
    client = connect(workplace.address, key)
    store = ResultStore(client["ainerd"], folder=settings.storage.result_files)
    technique = build_technique(settings, store)
    parameters = parameters_of(technique, settings.detector)
    here, wanted = json.loads(json.dumps(parameters)), json.loads(workplace.parameters)
    if others := [name for name in wanted | here if here.get(name) != wanted.get(name)]:
        raise ValueError(
            f"on {socket.gethostname()} {', '.join(others)} would differ from this command's: a worker needs the same "
            "ainerd, the same files, and no AINERD_… of its own that changes the numbers"
        )
    return settings, client["raw"], store, technique


def _result(future: Future[list[Result]], uid: str) -> list[Result]:
    """Return the outcomes of a run from its worker; a run over which four workers died has failed."""
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker:
        return [Result(raw_uid=uid, key=uid, trial_id=uid, status="failed", positions={}, reason=WORKERS_DIED)]
    except Exception as error:  # of any kind: it comes from another process
        raise ValueError(f"run {uid} could not be analysed on a worker: {error}") from None


def reanalyse(
    settings: Settings,
    client: Container,
    uids: Sequence[str],
    *,
    again: bool,
    dask: str | None,
    embedded: bool,
    quiet: bool,
) -> list[Result]:
    """Analyse runs that lack a result, and group all results of these parameters into regimes.

    Parameters
    ----------
    settings : Settings
    client : Container
        Root of the catalog.
    uids : sequence of str
        Numbers of scans, or first characters of uids; empty for all runs.
    again : bool
        Whether to repeat failed analyses.
    dask : str or None
        ``local`` or the address of a Dask scheduler; None for this process.
    embedded : bool
        Whether the catalog is on the embedded server of `settings.storage.directory`.
    quiet : bool
        Whether to show no progress.
    """
    raw, ainerd = open_catalog(client)
    store = ResultStore(ainerd, folder=settings.storage.result_files)
    technique = build_technique(settings, store)
    if dask is not None and isinstance(technique.unit, Series):
        raise ValueError(f"a result of technique {technique.name!r} is of several runs: leave --dask out")
    waiting = _runs_to_analyse(raw, store, technique, settings, uids, again=again)
    with bars(disable=quiet or not waiting) as progress:
        if dask is not None:
            workplace = Workplace.of(settings, client, technique, embedded=embedded)
            outcomes = _analyse_on(dask, waiting, workplace, progress)
        else:
            outcomes = []
            with _worker(technique, store, settings, raw) as worker:
                for uid in progress.track(waiting, description="runs"):
                    outcomes += _analyse(worker, raw, uid, settings.detector.image)
    parameters = parameters_of(technique, settings.detector)
    _label(ResultStore(ainerd, agent=settings.name, digest=digest(parameters)), technique)
    return outcomes


def _runs_to_analyse(
    raw: Container, store: ResultStore, technique: Technique, settings: Settings, uids: Sequence[str], *, again: bool
) -> list[str]:
    """Return the uids of the finished runs that have no result with these parameters, oldest first."""
    runs: Any = RunReader.runs_by_time(raw).values().page_size(300)
    if uids:
        runs = [_finished_run(raw, uid) for uid in uids]
    writer = writer_of(technique, store, settings, raw)
    done = store.analysed(digest(writer.parameters), again=again or bool(uids))
    finished = (run for run in runs if run.metadata.get("stop"))
    return [run.metadata["start"]["uid"] for run in finished if not writer.has_all(run, done)]


def _finished_run(raw: Container, uid: str) -> Container:
    """Return the run with this number of its scan, or whose uid begins so; ValueError if it is not finished."""
    if re.fullmatch(r"\d{1,7}", uid):
        runs = [*raw.search(Key("start.scan_id") == int(uid)).values()]
        if len(runs) > 1:
            which = ", ".join(str(run.metadata["start"]["uid"])[:8] for run in runs)
            raise ValueError(f"scan {uid} was taken {len(runs)} times: give one by its uid, {which}")
    else:
        try:
            runs = [raw[uid]]
        except KeyError:
            runs = []
    if not runs:
        raise ValueError(f"there is no run {uid} in {plain_address(raw.uri)}")
    (run,) = runs
    if not run.metadata.get("stop"):
        raise ValueError(f"run {uid} is not finished")
    return run


def _label(store: ResultStore, technique: Technique) -> None:
    """Write an atlas if any result of the store's agent and parameters has no regime.

    Results of other agents or parameters keep their regimes.
    """
    points = store.embeddings()
    known = store.table()["regime"].reindex(points.index)
    if known.isna().any():
        regimes = technique.regimes(points.to_numpy(), known.fillna(-1).to_numpy(int))
        labels = dict(zip(points.index, regimes.labels.tolist(), strict=True))
        supported = regimes.supported_range
        store.add_atlas(AtlasRecord(n_regimes=regimes.n_regimes, supported_range=supported, labels=labels))
