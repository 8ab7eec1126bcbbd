"""Analysis of runs that are in Tiled.

The key of a result is made of the run and the parameters. So a run has one result even if two processes analyse it.
"""

import re
import zlib
from collections.abc import Sequence
from contextlib import closing

from tiled.client.container import Container
from tiled.queries import Key

from ainerd.agent import build_technique, catch_up, missing, writer_of
from ainerd.cli._shared import bars
from ainerd.config import Settings
from ainerd.documents import RunReader
from ainerd.jobs import Jobs
from ainerd.results import AtlasRecord, Result, ResultStore, digest
from ainerd.runs import Worker
from ainerd.server import open_catalog
from ainerd.technique import Series, Technique
from ainerd.words import plain_address


def reanalyse(
    settings: Settings, client: Container, uids: Sequence[str], *, again: bool, share: tuple[int, int], quiet: bool
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
    share : (int, int)
        Which of how many shares of the runs; their uids decide.
    quiet : bool
        Whether to show no progress.
    """
    raw, ainerd = open_catalog(client)
    store = ResultStore(ainerd, folder=settings.storage.result_files, seen_as=settings.storage.results_seen_as)
    technique = build_technique(settings, store)
    number, n = share
    if n > 1 and isinstance(technique.unit, Series):
        raise ValueError(f"a result of technique {technique.name!r} is of several runs: leave --share out")
    writer, given = writer_of(technique, store, settings, raw), [_finished_run(raw, uid) for uid in uids]
    runs = given or RunReader.runs_by_time(raw).values().page_size(300)
    every = missing(writer, store, runs, again=again or bool(given))
    waiting = [uid for uid in every if zlib.crc32(uid.encode()) % n == number - 1]
    jobs, outcomes = Jobs(), list[Result]()
    with closing(Worker(jobs, writer)) as worker:
        jobs.start()
        with bars(disable=quiet or not waiting) as progress:
            for uid in progress.track(waiting, description="runs"):
                catch_up(raw, [uid], worker)
                outcomes += worker.outcomes(uid).result()
    _label(ResultStore(ainerd, agent=settings.name, digest=digest(writer.parameters)), technique)
    return outcomes


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
