"""How long the agent delays the RunEngine, and how long after a run its result is in Tiled.

A heartbeat on the RunEngine's loop is due every 5 ms; its longest delay during a run is the longest gap of the loop.
Runs with nothing subscribed, with TiledWriter behind its buffer, and with the agent as well are taken in turn, so that
all meet the same load of the machine.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine
from bluesky.callbacks.buffer import BufferingWrapper
from bluesky_tiled_plugins import TiledWriter
from rich.progress import track

from agents.rheo_xpcs import TOML
from ainerd.server import embedded_server
from ainerd.steering import expose
from studies._session import Session
from studies._tools import Row, Study, report

BEAT_S, EXPOSURE_S = 0.005, 50.0
SUBSCRIBED = ("nothing", "TiledWriter, buffered", "agent and TiledWriter")
Documents = list[tuple[str, Any]]

study = Study(__doc__)


@study.part
def latency(frames: int = 5000, rounds: int = 5) -> None:
    """Measure gaps of the loop and latencies of results."""
    with tempfile.TemporaryDirectory() as folder, bench_in(Path(folder)) as bench:
        report("latency", gaps(bench, frames, rounds), frames=frames)
        report("latency_of_results", results(bench, (frames // 5, frames), rounds))


class Bench(Session):
    """A session at the full instrument's settings, with an open shutter.

    Attributes
    ----------
    done : list of float
        Time of each complete result.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.instrument.shutter.set("open").wait(1)
        self.done: list[float] = []
        complete = self.agent.results.complete

        def noted(*args: Any, **kwargs: Any) -> bool:
            written = complete(*args, **kwargs)
            self.done.append(time.monotonic())
            return written

        self.agent.results.complete = noted  # type: ignore[method-assign]

    def expose(self, frames: int, exposure_s: float = EXPOSURE_S) -> tuple[float, Documents]:
        """Take a run, and return the time of its last StreamDatum and its documents."""
        for file in self.settings.storage.frames[0].glob("*.h5"):
            file.unlink()  # of earlier runs, which are analysed
        self.frames(frames, exposure_s)
        times, documents, rheometer = [], Documents(), self.instrument.rheometer

        def note(name: str, doc: Any) -> None:
            documents.append((name, dict(doc)))
            if name == "stream_datum":
                times.append(time.monotonic())

        self.RE(expose(self.detector, beside=[*self.actuators, rheometer], monitored=[rheometer.stress]), note)
        return times[-1], documents


@contextmanager
def bench_in(folder: Path) -> Iterator[Bench]:
    """Yield a session with a server of its own."""
    with (
        embedded_server(folder / "tiled", readable_storage=[folder / "frames"]) as server,
        closing(Bench(folder, server.client(), toml=TOML, speed=1e6)) as bench,
    ):
        yield bench


def gaps(bench: Bench, frames: int, rounds: int) -> Iterator[Row]:
    """Yield the longest gap of the loop for each kind of subscription."""
    found: dict[str, list[float]] = {name: [] for name in SUBSCRIBED}
    for turn in track(range(-1, rounds), description="gaps (the first round warms up)"):
        for name, longest in found.items():
            with subscribed(bench, name), heartbeat(bench.RE) as beats:
                bench.expose(frames)
            if turn >= 0:
                longest.append(1e3 * float(np.diff(beats).max() - BEAT_S))
    for name, longest in found.items():
        middle, bare = np.median(longest), np.median(found["nothing"])
        yield {
            "subscribed": name, "longest gap, median (ms)": middle, "worst (ms)": max(longest),
            "added (ms)": middle - bare,
        }  # fmt: skip


def results(bench: Bench, frames: tuple[int, ...], rounds: int) -> Iterator[Row]:
    """Yield the time from the last frames' document to the complete result in Tiled for each length of run.

    The first run of each length calibrates the bank for its photons, unless a run before did; the others are `rounds`.
    """
    took: dict[int, list[float]] = {n: [] for n in frames}
    with subscribed(bench, "agent and TiledWriter"):
        for n in track([*frames] * (rounds + 1), description="results"):
            last, _ = bench.expose(n)
            bench.agent.drain()
            took[n].append(bench.done[-1] - last)
    shortest = np.median(took[frames[0]][1:])
    for n, (first, *times) in took.items():
        middle = np.median(times)
        yield {
            "frames": n, "first (s)": first, "median (s)": middle, "worst (s)": max(times), "ratio": middle / shortest,
        }  # fmt: skip


@contextmanager
def subscribed(bench: Bench, name: str) -> Iterator[None]:
    """Subscribe the agent, TiledWriter or nothing, and wait in the end until everything is written."""
    if name.startswith("agent"):
        bench.agent.attach(bench.RE)
        yield
        bench.agent.drain()
        bench.agent.detach()
    elif name.startswith("Tiled"):
        buffered = BufferingWrapper(TiledWriter(bench.client["raw"], batch_size=20))
        token = bench.RE.subscribe(buffered)
        yield
        bench.RE.unsubscribe(token)
        buffered.shutdown()
    else:
        yield


@contextmanager
def heartbeat(RE: RunEngine) -> Iterator[list[float]]:
    """Yield the growing list of times of the beats on the loop of `RE`."""
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(time.perf_counter())
            await asyncio.sleep(BEAT_S)

    future = asyncio.run_coroutine_threadsafe(beat(), RE.loop)
    try:
        yield beats
    finally:
        future.cancel()


if __name__ == "__main__":
    study()
