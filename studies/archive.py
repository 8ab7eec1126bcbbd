"""An archive that workers of Dask analyse: efficiency, a killed worker, and the memory of the plan.

speed    The same runs on one worker and on two, each started and warm: the efficiency is the gain over the number.
killed   Four workers, one of which is killed in the middle: each run has one complete result.
planned  Tasks that do nothing: the memory of the client and the scheduler, which are one process here.
waiting  Tasks that only wait, as for a store with latency, on 16 workers: the efficiency of the division of work.
"""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import LocalCluster
from rich.progress import track
from tiled.client.container import Container

from ainerd.cli._dask import completed
from ainerd.cli.reanalysis import reanalyse
from ainerd.documents import documents_of
from ainerd.results import ResultStore
from ainerd.runs import write_run
from studies._session import SMALL, attached_session
from studies._tools import Row, Study, memory_mb, report
from studies.sustained import copied

LEAST, MOST_MB, WAIT_S = 0.85, 1000.0, 0.5

study = Study(__doc__)


@study.part
def speed(runs: int = 100, frames: int = 2000) -> None:
    """Analyse an archive of `runs` on one worker and on two."""
    rows: list[Row] = []
    with archive(runs, frames) as client:
        for n in (1, 2):
            took = timed(client, n)
            rows.append({"workers": n, "clock (s)": took, "runs/s": runs / took})
            rows[-1]["efficiency"] = rows[-1]["runs/s"] / rows[0]["runs/s"] / n
    wrong = [] if rows[-1]["efficiency"] >= LEAST else [f"the efficiency of two workers is below {LEAST}"]
    report("archive_speed", rows, wrong=wrong, runs=runs, frames=frames)


@study.part
def killed(runs: int = 60, frames: int = 500) -> None:
    """Kill one of four workers while they analyse an archive."""
    with archive(runs, frames) as client, workers(4) as cluster:
        store = ResultStore(client["ainerd"])
        kill = threading.Thread(target=kill_one, args=(store, cluster, runs // 2), daemon=True)
        kill.start()
        outcomes = reanalyse(None, SMALL, (), again=False, dask=cluster.scheduler_address, quiet=False)
        kill.join(10.0)
        table = ResultStore(client["ainerd"]).table(all=True)
        once = table["raw_uid"].value_counts().eq(1).all() and len(table) == runs
        is_whole = once and table["status"].eq("complete").all() and len(outcomes) == runs
        rows = [{"runs": runs, "results": len(table), "complete": int(table["status"].eq("complete").sum())}]
    report("archive_killed", rows, wrong=[] if is_whole else ["not each run has one complete result"], runs=runs)


@study.part
def planned(runs: int = 100_000) -> None:
    """Give so many tasks to two workers."""
    with workers(2) as cluster:
        names = map(str, range(runs))
        for _ in track(completed(cluster.scheduler_address, len, names), "tasks", total=runs):
            pass
    rows = [{"tasks": runs, "memory (MB)": memory_mb("VmHWM")}]
    report("archive_planned", rows, wrong=[] if rows[0]["memory (MB)"] <= MOST_MB else ["more than 1 GB"], runs=runs)


@study.part
def waiting(tasks: int = 1000) -> None:
    """Give tasks of half a second to 16 workers."""
    with workers(2, threads=8) as cluster:
        for n in (16, tasks):  # the first ones start the workers
            began = time.perf_counter()
            for _ in track(completed(cluster.scheduler_address, wait, map(str, range(n))), "tasks", total=n):
                pass
            took = time.perf_counter() - began
    rows = [{"workers": 16, "tasks": tasks, "clock (s)": took, "efficiency": tasks * WAIT_S / 16 / took}]
    report("archive_waiting", rows, least={"efficiency": LEAST})


def wait(name: str) -> None:
    """Wait, as for a store."""
    time.sleep(WAIT_S)


@contextmanager
def archive(runs: int, frames: int) -> Iterator[Container]:
    """Yield the catalog of an archive: copies of one run of the simulated instrument, without results.

    The settings of the command in the environment are those of the archive.
    """
    with tempfile.TemporaryDirectory(prefix="ainerd-archive-") as name:
        folder = Path(name)
        os.environ["AINERD_STORAGE__DIRECTORY"] = str(folder / "tiled")
        os.environ["AINERD_STORAGE__FRAMES"] = f'["{folder / "frames"}"]'
        with attached_session(folder) as session:
            session.frames(frames, 60.0)
            session.explore(1)
            raw, store = session.client["raw"], session.agent.results
            documents = [*documents_of(raw[store.table(all=True)["raw_uid"].iloc[0]])]
            for i in track(range(runs - 1), "copies of the run"):
                write_run(raw, copied(documents, f"{i:05d}"))
            session.close()  # or its agent would follow the results of the workers
            forget(store)
            yield session.client


@contextmanager
def workers(n: int, threads: int = 1) -> Iterator[LocalCluster]:
    """Start processes with the environment of this one, of one worker or several."""
    with LocalCluster(n_workers=n, threads_per_worker=threads, dashboard_address="127.0.0.1:0") as cluster:
        yield cluster


def timed(client: Container, n: int) -> float:
    """Return the seconds in which `n` workers analyse all runs, after two for each to warm up."""
    store = ResultStore(client["ainerd"])
    with workers(n) as cluster:
        warm = [*client["raw"]][: 2 * n]
        for uids in (warm, ()):
            forget(store)
            began = time.perf_counter()
            reanalyse(None, SMALL, uids, again=False, dask=cluster.scheduler_address, quiet=False)
        took = time.perf_counter() - began
    forget(store)
    return took


def forget(store: ResultStore) -> None:
    """Remove all results."""
    results = store.container["results"]
    for key in list(results):
        results.delete_contents(key, recursive=True, external_only=False)


def kill_one(store: ResultStore, cluster: LocalCluster, results: int) -> None:
    """Kill a worker once there are so many results."""
    while len(store.container["results"]) < results:
        time.sleep(0.1)
    os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)


if __name__ == "__main__":
    study()
