"""Runs that are analysed again: the requests and the server's time for each result, on one and on several processes."""

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
from bluesky import RunEngine
from bluesky_tiled_plugins import TiledWriter
from distributed import Client, LocalCluster
from tiled.client.container import Container

from agents.demo.simulated import hardware_beside, simulated_instrument
from ainerd.agent import build_technique
from ainerd.cli.reanalysis import Workplace, analyse, reanalyse
from ainerd.config import Settings
from ainerd.results import ResultStore
from ainerd.server import connect, embedded_server, open_catalog
from ainerd.steering import expose
from studies._postgres import KEY, postgres, tiled_on
from studies._session import SMALL, settings_in
from studies._tools import Row, seconds

WARM = 4  # runs before the others: imports, compiled loops, and the calibration, which the user's cache keeps
PROCESSES = 2
_NAMES = re.compile(r"/[0-9a-f]{8}-[0-9a-f-]{27}|(?<=configurations)/[0-9a-f]{16}|/(primary|lambda750k|rheometer_\w+)")


class Requests:
    """The requests of a client: how many, and how long the server worked on them, in ms, by method and route."""

    def __init__(self, client: Container) -> None:
        self._hooks = client.context.http_client.event_hooks["response"]
        self.by_route: dict[str, list[float]] = defaultdict(list)

    def __enter__(self) -> "Requests":
        self._hooks.append(self._count)
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.remove(self._count)

    def _count(self, response: httpx.Response) -> None:
        timing = re.search(r"\bapp;dur=([\d.]+)", response.headers.get("server-timing", ""))
        route = f"{response.request.method} {_NAMES.sub('/…', response.request.url.path)}"
        self.by_route[route].append(float(timing[1]) if timing else 0.0)


def take(folder: Path, client: Container, n: int) -> list[str]:
    """Take `n` runs of 64 frames without an agent, and return their uids."""
    raw, _ = open_catalog(client)
    devices = simulated_instrument(folder / "frames", hardware_beside(SMALL), speed=1000.0)
    cam = devices.detector.cam
    cam.num_images.put(64), cam.acquire_period.put(0.01), cam.acquire_time.put(0.01)
    engine, uids = RunEngine({}), list[str]()
    engine.subscribe(TiledWriter(raw))
    for i in range(n):
        devices.stage.x.set(10 * i / n).wait(10)
        plan = expose(devices.detector, beside=[devices.stage.x, devices.stage.y], shutter=devices.shutter)
        uids += engine(plan)
    return uids


def routes(folder: Path, runs: int) -> Iterator[Row]:
    """Yield the requests of a replay for each result, by route, and their sum."""
    with embedded_server(folder / "tiled", readable_storage=[folder / "frames"]) as server:
        client, settings = server.client(), settings_in(folder)
        uids = take(folder, client, runs + WARM)
        replay(settings, client, uids[:WARM], embedded=True)
        cpu = cpu_of(server.directory)
        with Requests(client) as requests:
            took = seconds(lambda: replay(settings, client, (), embedded=True))
        cpu = cpu_of(server.directory) - cpu
        for route, ms in sorted(requests.by_route.items(), key=lambda item: -sum(item[1])):
            yield {"route": route, "requests for a result": len(ms) / runs, "server for a result (ms)": sum(ms) / runs}
        every = [each for ms in requests.by_route.values() for each in ms]
        yield {
            "route": "all",
            "requests for a result": len(every) / runs,
            "server for a result (ms)": sum(every) / runs,
        }
        yield {"route": "CPU of the server", "requests for a result": 0.0, "server for a result (ms)": 1e3 * cpu / runs}
        yield {"route": "clock", "requests for a result": 0.0, "server for a result (ms)": 1e3 * took / runs}
        assert len(ResultStore(client["ainerd"])) == runs + WARM


def replay(
    settings: Settings, client: Container, uids: Sequence[str], *, on: str | None = None, embedded: bool
) -> None:
    """Analyse these runs."""
    outcomes = reanalyse(settings, client, uids, again=False, on=on, embedded=embedded, quiet=True)
    assert {outcome.status for outcome in outcomes} == {"complete"}, outcomes


def cpu_of(directory: Path) -> float:
    """Return the CPU time of the embedded server of a directory, in s."""
    pid = json.loads((directory / "server.json").read_text())["pid"]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def processes(folder: Path, runs: int) -> Iterator[Row]:
    """Yield results per second: in one process, on Dask with two workers, and by two processes on two Tiled servers."""
    os.environ["AINERD_STORAGE__API_KEY"] = KEY
    with ExitStack() as stack:
        stack.enter_context(postgres(folder / "postgres"))
        one, two = (stack.enter_context(tiled_on(folder)) for _ in range(2))
        client, other = connect(one, KEY), connect(two, KEY)
        settings = settings_in(folder)
        settings.storage.uri, settings.storage.api_key = one, type(settings.storage.api_key)(KEY)
        uids = take(folder, client, runs + WARM)
        warm = uids[:WARM]
        cluster = stack.enter_context(
            LocalCluster(n_workers=PROCESSES, threads_per_worker=1, dashboard_address="127.0.0.1:0")
        )
        stack.enter_context(Client(cluster, set_as_default=False))
        pool = stack.enter_context(ProcessPoolExecutor(PROCESSES, get_context("spawn")))

        def on(*clients: Container) -> Callable[[Sequence[str]], object]:
            technique = build_technique(settings, ResultStore(client["ainerd"]))
            places = [Workplace.of(settings, each, technique, embedded=False) for each in clients]
            return lambda some: [
                future.result()
                for future in [
                    pool.submit(analyse, some[k::PROCESSES], places[k % len(places)]) for k in range(PROCESSES)
                ]
            ]

        def found(some: Sequence[str], on: str | None = None) -> None:
            """Analyse the first runs, or those that have no result, which the command looks for."""
            replay(settings, client, some if some == warm else (), on=on, embedded=False)

        ways: dict[str, Callable[[], Callable[[Sequence[str]], Any]]] = {
            "one process": lambda: found,
            "Dask, two workers": lambda: lambda some: found(some, f"dask:{cluster.scheduler_address}"),
            "two processes, one Tiled server": lambda: on(client),
            "two processes, two Tiled servers": lambda: on(client, other),
        }
        for number, (way, made) in enumerate(ways.items()):
            settings.section["contrast"] = round(0.15 + 0.005 * number, 3)  # other parameters: every run once more
            do = made()
            do(warm)
            took = seconds(lambda do=do: do(uids[WARM:]))
            n = len(ResultStore(client["ainerd"]).table("complete"))
            yield {
                "how": way,
                "results/s": runs / took,
                "results in Tiled": float(n),
                "expected": float((runs + WARM) * (number + 1)),
            }
