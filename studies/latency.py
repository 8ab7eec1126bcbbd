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

study = Study(__doc__)


@study.part
def latency(frames: int = 5000, rounds: int = 5) -> None:
    """Measure gaps of the loop and latencies of results."""
    with (
        tempfile.TemporaryDirectory() as name,
        embedded_server(folder := Path(name) / "tiled", readable_storage=[folder.parent / "frames"]) as server,
        closing(Bench(folder.parent, server.client(), toml=TOML, speed=1e6)) as bench,
    ):
        report("latency", bench.gaps(frames, rounds), frames=frames)
        report("latency_of_results", bench.results((frames // 5, frames), rounds))


class Bench(Session):
    """A session with an open shutter."""

    def __init__(self, folder: Path, *args: Any, **options: Any) -> None:
        super().__init__(folder, *args, **options)
        self._folder = folder / "frames"
        self.instrument.shutter.set("open").wait(1)

    def expose(self, frames: int) -> float:
        """Take a run, and return the time of its last StreamDatum."""
        for file in self._folder.glob("*.h5"):
            file.unlink()  # of earlier runs, which are analysed
        self.frames(frames, EXPOSURE_S)
        last = 0.0

        def note(name: str, doc: Any) -> None:
            nonlocal last
            if name == "stream_datum":
                last = time.perf_counter()

        rheometer = self.instrument.rheometer
        self.RE(expose(self.detector, beside=[*self.actuators, rheometer], monitored=[rheometer.stress]), note)
        return last

    def gaps(self, frames: int, rounds: int) -> Iterator[Row]:
        """Yield the longest gap of the loop for each kind of subscription."""
        found: dict[str, list[float]] = {"nothing": [], "TiledWriter, buffered": [], "agent and TiledWriter": []}
        for turn in track(range(-1, rounds), description="gaps (the first round warms up)"):
            for name, gaps in found.items():
                with self.subscribed(name), heartbeat(self.RE) as beats:
                    self.expose(frames)
                if turn >= 0:
                    gaps.append(1e3 * float(np.diff(beats).max() - BEAT_S))
        bare = np.median(found["nothing"])
        for name, gaps in found.items():
            middle = float(np.median(gaps))
            yield {
                "subscribed": name, "longest gap, median (ms)": middle, "worst (ms)": max(gaps),
                "added (ms)": middle - bare,
            }  # fmt: skip

    def results(self, frames: tuple[int, ...], rounds: int) -> Iterator[Row]:
        """Yield the time from the last StreamDatum to the complete result in Tiled for each length of run."""
        took: dict[int, list[float]] = {n: [] for n in frames}
        complete, done = self.agent.results.complete, [0.0]

        def noted(*args: Any, **kwargs: Any) -> bool:
            written = complete(*args, **kwargs)
            done[0] = time.perf_counter()
            return written

        self.agent.results.complete = noted  # type: ignore[method-assign]
        with self.subscribed("agent"):
            for _ in track(range(rounds), description="results"):
                for n, times in took.items():
                    last = self.expose(n)
                    self.agent.drain()
                    times.append(done[0] - last)
        shortest = np.median(took[frames[0]])
        for n, times in took.items():
            middle = float(np.median(times))
            yield {"frames": n, "median (s)": middle, "worst (s)": max(times), "ratio": middle / shortest}

    @contextmanager
    def subscribed(self, name: str) -> Iterator[None]:
        """Subscribe the agent, TiledWriter or nothing, and wait in the end until everything is written."""
        if name.startswith("agent"):
            self.agent.attach(self.RE)
            yield
            self.agent.drain()
            self.agent.detach()
        elif name.startswith("Tiled"):
            buffered = BufferingWrapper(TiledWriter(self.client["raw"], batch_size=20))
            token = self.RE.subscribe(buffered)
            yield
            self.RE.unsubscribe(token)
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
