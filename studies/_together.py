"""Several sessions of one agent on one sample and one Tiled server: how fast they find its regimes together.

Each session is a process with a campaign of its own. An exposure takes its time; its embedding is that of the hidden
map. Sessions know of each other only by Tiled.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from scipy.stats import chi2
from tiled.client.container import Container

from ainerd.campaign import Campaign
from ainerd.config import Steering
from ainerd.jobs import Jobs
from ainerd.novelty import find_regimes
from ainerd.results import ResultRecord, ResultStore
from ainerd.server import connect, embedded_server, open_catalog
from ainerd.technique import Analysis, Outcome, Regimes, Technique
from ainerd.words import utc_now
from studies import _hidden_maps as square
from studies._tools import Case, Row, bootstrap

AGENT = "together"
SESSIONS, KILLED = 8, 2
EXPOSURE_S, JITTER = 0.5, 0.5  # of the wall clock, and the share by which it varies
BEAM_MM = 0.08
MOST = 120  # exposures of all sessions
SHARED_S = 30.0


class Recorded(Technique):
    """Embeddings of a hidden map."""

    name, unit, alpha, embedding_size = "recorded", "run", square.ALPHA, square.DIMENSIONS

    def __init__(self, hidden: square.HiddenMap) -> None:
        self.regime_width = float(np.sqrt(2 * chi2.ppf(0.99, square.DIMENSIONS)) * square.NOISE[hidden.noise])
        self.parameters: Mapping[str, Any] = {"width": self.regime_width}

    def regimes(self, embeddings: NDArray[np.float32], previous: NDArray[np.int64] | None = None) -> Regimes:
        """Group embeddings by average linkage."""
        return find_regimes(embeddings, previous, width=self.regime_width)


def session(address: str, key: str, case: tuple[int, int], number: int) -> None:
    """Measure until the process is ended; `case` is the hidden map and its seed."""
    client, hidden = connect(address, key), square.hidden_map(*case)
    store, technique, own, tiled = ResultStore(client["ainerd"], agent=AGENT), Recorded(hidden), Jobs(), Jobs()
    steering = Steering(
        bounds=dict.fromkeys(("sample_x", "sample_y"), (0.0, square.WIDTH_MM)),
        smallest_feature=square.SMALLEST * square.WIDTH_MM,
        beam_size=BEAM_MM,
        shared_s=SHARED_S,
    )
    campaign = Campaign(technique, store, steering, own, tiled)
    for jobs in (own, tiled):
        jobs.start()
    rng = np.random.default_rng([*case, number])
    for i in range(MOST):
        (suggestion,) = campaign.suggest(1)
        here = {name: suggestion[name] for name in steering.bounds}
        position = np.array([*here.values()])[None] / square.WIDTH_MM
        id = suggestion["_id"]
        record = ResultRecord(
            raw_uid=id, technique=technique.name, agent=AGENT, parameters=dict(technique.parameters),
            suggestion_id=id, positions=here, run_time=time.time(),
        )  # fmt: skip
        store.begin(record)
        time.sleep(EXPOSURE_S * (1 + JITTER * rng.random()))
        (point,) = hidden.expose(position, (i * SESSIONS + number) % square.EXPOSURES)
        p, z = float(point["novelty_p"]), point["embedding"]
        analysis = Analysis(embedding=z, novelty_p=p, arrays={}, calibration={"alpha": technique.alpha})
        outcome = Outcome(
            raw_uid=id, key=record.key, trial_id=id, status="complete", positions=here, embedding=z,
            novelty_p=p, novel=analysis.novel,
        )  # fmt: skip
        store.complete(record.key, analysis, positions=here, awaits_regime=utc_now())
        campaign.answer(outcome)


def on_sample(seed: int, case: Case) -> Row:
    """Return the exposures until all regimes of a map are found by one session, and by several with some killed."""
    return {
        "kind": square.hidden_map(case[1], seed).kind,
        "one": exposures_of(1, 0, seed, case[1]),
        "several": exposures_of(SESSIONS, KILLED, seed, case[1]),
    }


def exposures_of(sessions: int, killed: int, seed: int, i: int) -> Row:
    """Return the exposures of some sessions until all regimes were found; `killed` of them are killed on the way."""
    hidden, context = square.hidden_map(i, seed), multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["studies._together"])
    with TemporaryDirectory() as folder, embedded_server(Path(folder)) as server:
        client = server.client()
        _, catalog = open_catalog(client)
        address, key = str(client.uri), str(client.context.api_key)
        workers = [
            context.Process(target=session, args=(address, key, (i, seed), k), daemon=True) for k in range(sessions)
        ]
        for worker in workers:
            worker.start()
        try:
            return _watched(catalog, hidden, workers, killed)
        finally:
            for worker in workers:
                if worker.pid is not None and worker.is_alive():
                    os.kill(worker.pid, signal.SIGKILL)
                worker.join()


def _watched(catalog: Container, hidden: square.HiddenMap, workers: list[BaseProcess], killed: int) -> Row:
    """Return the exposures until all regimes are found, with the distance of the nearest two; kill some sessions."""
    store, area = ResultStore(catalog, agent=AGENT), np.bincount(hidden.regions.ravel()) / hidden.regions.size
    wanted = set(np.flatnonzero(area >= np.pi * square.SMALLEST**2).tolist())
    left, began = killed, time.monotonic()
    while True:
        time.sleep(0.1)
        table = store.table(status="complete")
        n = len(table)
        if left and n >= 4 * (killed - left + 1):  # in the middle of its work
            left -= 1
            pid = workers[left].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        way = table[["sample_x", "sample_y"]].to_numpy(float) / square.WIDTH_MM if n else np.empty((0, 2))
        seen = hidden.regime(way) if n else np.empty(0)
        if wanted <= {*seen.tolist()} and not left:
            break
        if n >= MOST or not any(worker.is_alive() for worker in workers) or time.monotonic() - began > 300:
            raise RuntimeError(f"{n} exposures, and only {sorted({*seen.tolist()})} of {sorted(wanted)} are found")
    needed = max(int(np.flatnonzero(seen == k)[0]) + 1 for k in wanted)
    begun = store.table()  # with those that were being measured, some by sessions that are killed
    places = begun[["sample_x", "sample_y"]].to_numpy(float)
    return {"exposures": needed, "measured": len(begun), "nearest (mm)": float(pdist(places).min(initial=np.inf))}


def together(rows: list[Row]) -> Iterator[Row]:
    """Yield exposures of a session until all regimes are found, of several over one, and positions taken twice."""
    one, several = (np.array([row[name]["exposures"] for row in rows], float) for name in ("one", "several"))
    each = np.ceil(several / SESSIONS)
    low, high = bootstrap(np.divide, each, one)
    yield {
        "samples": len(rows),
        "sessions": SESSIONS,
        "killed": KILLED,
        "exposures of one alone": one.mean(),
        "exposures of each": each.mean(),
        "each / one": f"{each.mean() / one.mean():.3f} [{low:.3f}, {high:.3f}]",
        "positions taken": sum(row["several"]["measured"] for row in rows),
        "twice": sum(row["several"]["nearest (mm)"] < BEAM_MM * (1 - 1e-6) for row in rows),
        "nearest (mm)": min(row["several"]["nearest (mm)"] for row in rows),
    }
