"""Analysis of runs that are in Tiled.

The key of a result is made of the run and the parameters. So a run has one result even if two processes analyse it.
"""

import atexit
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from functools import lru_cache, partial
from pathlib import Path

from tiled.client.container import Container
from tiled.queries import Key

from ainerd.agent import build_technique, catch_up, missing, writer_of
from ainerd.cli._dask import completed
from ainerd.cli._shared import bars, opened, settings_at
from ainerd.config import Settings
from ainerd.documents import RunReader
from ainerd.jobs import Jobs
from ainerd.results import AtlasRecord, Result, ResultStore, digest
from ainerd.runs import Worker
from ainerd.server import open_catalog
from ainerd.technique import Series, Technique
from ainerd.words import plain_address


class Analyst:
    """Analyses runs in Tiled, one after the other, with the settings of an instrument.

    Parameters
    ----------
    settings : Settings
    client : Container
        Root of the catalog.
    """

    def __init__(self, settings: Settings, client: Container) -> None:
        self.raw, ainerd = open_catalog(client)
        self.store = ResultStore(ainerd, folder=settings.storage.result_files, seen_as=settings.storage.results_seen_as)
        self.technique = build_technique(settings, self.store)
        self.writer, jobs = writer_of(self.technique, self.store, settings, self.raw), Jobs()
        self._worker = Worker(jobs, self.writer)
        jobs.start()

    def analyse(self, uid: str) -> list[Result]:
        """Write the results of a run, and return them."""
        catch_up(self.raw, [uid], self._worker)
        return self._worker.outcomes(uid).result()

    def give_up(self, uid: str) -> Result:
        """Write the failed result of a run over which workers died, unless it has a result."""
        run = self.writer.new_run()
        run("start", self.raw[uid].metadata["start"])
        unit = self.writer.begin(self.writer.unit(run, 1 if self.technique.unit == "event" else None))
        unit.problem = "the workers that analysed it died: it may need more memory than they have"
        return unit.known or self.writer.write(unit, None, closes=True)

    def label(self, agent: str) -> None:
        """Write an atlas if any result of the agent and of these parameters has no regime."""
        of_agent = ResultStore(self.store.container, agent=agent, digest=digest(self.writer.parameters))
        _label(of_agent, self.technique)

    def close(self) -> None:
        """End the thread that analyses."""
        self._worker.close()


def reanalyse(
    tiled: str | None, config: Path, uids: Sequence[str], *, again: bool, dask: str | None, quiet: bool
) -> list[Result]:
    """Analyse runs that lack a result, and group all results of these parameters into regimes.

    Parameters
    ----------
    tiled : str, optional
        Address of a Tiled server in place of that in the settings.
    config : Path
        Settings of an instrument. Workers of Dask read the same file.
    uids : sequence of str
        Numbers of scans, or first characters of uids; empty for all runs.
    again : bool
        Whether to repeat failed analyses.
    dask : str, optional
        Where Dask's workers are; see `mapping`. Each takes the key of Tiled from its own environment.
    quiet : bool
        Whether to show no progress.
    """
    settings, outcomes = settings_at(tiled, config), list[Result]()
    with opened(None, None, storage=settings.storage) as client, closing(Analyst(settings, client)) as analyst:
        if dask and isinstance(analyst.technique.unit, Series):
            raise ValueError(f"a result of technique {settings.technique!r} is of several runs: leave --dask out")
        given = [_finished_run(analyst.raw, uid) for uid in uids]
        runs = given or RunReader.runs_by_time(analyst.raw).values().page_size(300)
        waiting = missing(analyst.writer, analyst.store, runs, again=again or bool(given))
        with bars(disable=quiet or not waiting) as progress:
            for some in progress.track(
                _analysed(analyst, waiting, dask, tiled, config), len(waiting), description="runs"
            ):
                outcomes += some
        analyst.label(settings.name)
    return outcomes


def _analysed(
    analyst: Analyst, uids: Sequence[str], dask: str | None, tiled: str | None, config: Path
) -> Iterator[list[Result]]:
    """Yield the results of each run."""
    if dask is None or not uids:
        yield from map(analyst.analyse, uids)
        return
    task = partial(_on_worker, tiled, config.resolve(), digest(analyst.writer.parameters))
    for uid, future in completed(dask, task, uids):
        yield [analyst.give_up(uid)] if future is None else future.result()


def _on_worker(tiled: str | None, config: Path, expected: str, uid: str) -> list[Result]:
    """Analyse a run; raise ValueError if the digest of the parameters is not the expected one."""
    analyst = _analyst(tiled, config, Settings.load(config).model_dump_json())
    if digest(analyst.writer.parameters) != expected:
        raise ValueError(f"{config}: a worker has other settings: do the file and the environment there differ?")
    return analyst.analyse(uid)


@lru_cache(maxsize=1)
def _analyst(tiled: str | None, config: Path, settings: str) -> Analyst:
    """Return the analyst of a worker, which is used again as long as the settings are the same."""
    ends, there = ExitStack(), settings_at(tiled, config)
    atexit.register(ends.close)
    client = ends.enter_context(opened(None, None, storage=there.storage))
    return ends.enter_context(closing(Analyst(there, client)))


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

    Results of other agents or parameters, and results that people left out, keep their regime.
    """
    points, table = store.embeddings(), store.table()
    points = points[table["left_out"].reindex(points.index).isna()]
    known = table["regime"].reindex(points.index)
    if known.isna().any():
        regimes = technique.regimes(points.to_numpy(), known.fillna(-1).to_numpy(int))
        labels = dict(zip(points.index, regimes.labels.tolist(), strict=True))
        supported = regimes.supported_range
        store.add_atlas(AtlasRecord(n_regimes=regimes.n_regimes, supported_range=supported, labels=labels))
