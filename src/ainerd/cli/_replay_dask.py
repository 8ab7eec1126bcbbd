"""Runs that are in Tiled, analysed again by the workers of a Dask cluster.

A worker does with a run what the command does without a cluster, and writes the result itself: the key of a result
comes from the run and the parameters, so a run that is given out twice, because its worker died or seemed to, still
has one result. What travels is the run's uid, the settings without the API key, and the outcome.
"""

import json
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from distributed import Client, Future, KilledWorker, LocalCluster, as_completed
from rich.progress import Progress
from tiled.client.container import Container

from ainerd.agent import build_technique
from ainerd.cli._reanalysis import Reanalysis
from ainerd.config import Settings
from ainerd.results import ResultStore, digest
from ainerd.runs import Outcome
from ainerd.server import ServerError, connect
from ainerd.technique import Technique

LOCAL = "local"
CONNECT_S = 10
AHEAD = 1000  # runs that the scheduler knows of; an archive may have a million
RETRIES = 2  # of a run at which something around it failed, such as the network


@contextmanager
def cluster(address: str) -> Iterator[Client]:
    """A client of the scheduler at an address; "local" starts one worker for each core of this machine."""
    if address == LOCAL:
        with (
            LocalCluster(threads_per_worker=1, dashboard_address=None) as local,
            Client(local, set_as_default=False) as client,
        ):
            yield client
        return
    if not re.fullmatch(r"\w+://.+:\d+", address):  # Dask's own complaint comes with a traceback when it is cleaned up
        raise ValueError(f"no Dask scheduler answers at {address!r}, give tcp://host:port")
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"no Dask scheduler answers at {address!r}, give tcp://host:port: {error}") from None
    with client:
        yield client


@dataclass(frozen=True)
class Workplace:
    """What a worker needs to know, the same for all runs."""

    settings: str  # JSON of their tables, without the API key
    folder: str  # that relative paths count from
    address: str  # root of the catalogue
    embedded: bool  # whether that is the server of `settings.storage.directory`
    parameters: str  # JSON of those that the results are to have

    @classmethod
    def of(cls, settings: Settings, root: Container, technique: Technique, *, embedded: bool) -> Self:
        """That of a command which has all this."""
        told = json.dumps(settings.tables(), default=str)
        return cls(told, str(settings.folder), root.uri, embedded, _told(technique))


def analysed(
    workers: Client, uids: Sequence[str], workplace: Workplace, store: ResultStore, progress: Progress
) -> list[Outcome]:
    """What became of the runs; ValueError if a worker cannot do its work for a reason that is not the run's."""
    if uids and not workers.nthreads():
        progress.console.print("the cluster has no workers yet: waiting for some")
    waiting = iter(uids)
    given: dict[Future, str] = {}
    outcomes: list[Outcome] = []

    def give(most: int) -> list[Future]:
        new = {workers.submit(analyse, x, workplace, pure=False, retries=RETRIES): x for x in islice(waiting, most)}
        given.update(new)
        return list(new)

    bar = progress.add_task("runs", total=len(uids))
    finished = as_completed(give(AHEAD), loop=workers.loop)
    for future in finished:
        outcomes += _outcomes(future, given.pop(future), workplace, store)
        finished.update(give(1))
        progress.update(bar, advance=1, description=f"runs, {len(workers.nthreads())} workers")
    return outcomes


def analyse(uid: str, workplace: Workplace) -> list[Outcome]:
    """Analyse a run on a worker and write its results; none if it has no frames for us.

    Whatever is wrong with the run is in the outcomes; what is raised is not its fault.
    """
    settings, raw, store, technique = _furnished(workplace)
    with (
        TemporaryDirectory() as folder,  # what Tiled does not take is in Tiled anyway, as a run
        closing(Reanalysis(technique, store, settings, raw, Path(folder))) as reanalysis,
    ):
        outcomes = reanalysis(uid)
        if outcomes and reanalysis.kept:
            raise ServerError(f"its results are not written: {outcomes[-1].reason}")
        return outcomes


@lru_cache(maxsize=1)  # one command at a time, as a rule
def _furnished(workplace: Workplace) -> tuple[Settings, Container, ResultStore, Technique]:
    """What a worker needs for every run. The environment it was started in overrides the settings that came."""
    settings = Settings.of(json.loads(workplace.settings), Path(workplace.folder))
    client = connect(workplace.address, _api_key(settings, workplace.embedded))
    store = ResultStore(client["ainerd"])
    technique = build_technique(settings, store)
    _compare(json.loads(_told(technique)), json.loads(workplace.parameters))
    return settings, client["raw"], store, technique


def _told(technique: Technique) -> str:
    return json.dumps(dict(technique.parameters))


def _compare(here: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse to give results that would not be those of the command."""
    if others := [name for name in wanted | here if here.get(name) != wanted.get(name)]:
        raise ValueError(
            f"on {socket.gethostname()} {', '.join(others)} would differ from this command's: a worker needs the same "
            "ainerd, the same files, and no AINERD_… of its own that changes the numbers"
        )


def _api_key(settings: Settings, embedded: bool) -> str | None:
    """What this machine knows: a key does not travel."""
    if not embedded:
        return settings.storage.api_key.get_secret_value() or None
    try:
        return (settings.storage.directory / "api_key").read_text().strip()
    except OSError:
        raise ServerError(
            f"the embedded server of {settings.storage.directory} serves its own machine alone: workers on "
            f"{socket.gethostname()} need a Tiled server with an address"
        ) from None


def _outcomes(future: Future, uid: str, workplace: Workplace, store: ResultStore) -> list[Outcome]:
    try:
        return future.result()
    except KilledWorker as error:
        reason = f"{error.allowed_failures + 1} worker(s) died over it: too little memory?"
        begun = store.search(status="computing", raw_uid=uid, digest=digest(json.loads(workplace.parameters))).index
        keys = [str(key) for key in begun]
        for key in keys:
            store.fail(key, reason)
        return [
            Outcome(raw_uid=uid, key=key, trial_id=key, status="failed", positions={}, reason=reason)
            for key in keys or [uid]
        ]
    except Exception as error:  # of whatever kind: it comes from another process
        raise ValueError(f"run {uid} could not be analysed on a worker: {error}") from None
