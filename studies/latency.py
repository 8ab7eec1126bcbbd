"""What the agent costs the RunEngine, and how long after a run its result is there.

A heartbeat on the RunEngine's loop is due every 5 ms; its longest delay while a run is taken is the loop's longest
gap. Runs without anything subscribed, with TiledWriter behind its buffer, and with the agent beside it take turns, so
that all see the same machine.
"""

import argparse
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

from agents.demo.simulated import simulated_instrument
from agents.rheo_xpcs import TOML, build_agent
from ainerd.agent import open_tiled
from ainerd.config import Settings
from ainerd.steering import expose
from studies._report import report

BEAT_S = 0.005


@contextmanager
def heartbeat(RE: RunEngine) -> Iterator[list[float]]:
    """Times of the beats on the loop of `RE`."""
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


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, closing(Bench(Path(folder))) as bench:
        report("latency", bench.gaps(arguments.frames, arguments.rounds), frames=arguments.frames)
        report("latency_of_results", bench.results((arguments.frames // 5, arguments.frames), arguments.rounds))


class Bench:
    """The simulated instrument, an embedded server, and the agent."""

    def __init__(self, folder: Path) -> None:
        settings = Settings.load(TOML)
        settings.storage.directory, settings.storage.frames = folder / "tiled", [folder / "frames"]
        self.frames = folder / "frames"
        self.client, self.close_tiled = open_tiled(settings.storage)
        instrument = simulated_instrument(self.frames, speed=1e6)
        self.detector, self.rheometer = instrument.detector, instrument.rheometer
        self.actuators = [instrument.stage.x, instrument.stage.y]
        instrument.shutter.set("open").wait(1)
        self.agent = build_agent(
            self.client, detector=self.detector, actuators=self.actuators, rheometer=self.rheometer, settings=settings
        )
        self.agent.quiet = True
        self.RE = RunEngine({})

    def close(self) -> None:
        """End the agent and the server."""
        self.agent.close()
        self.close_tiled()

    def expose(self, frames: int) -> float:
        """Take a run; when its last StreamDatum came."""
        for file in self.frames.glob("*.h5"):
            file.unlink()  # of runs before, which are analysed
        self.detector.cam.num_images.put(frames)
        self.detector.cam.acquire_period.put(50 / frames)
        self.detector.cam.acquire_time.put(50 / frames)
        last = 0.0

        def note(name: str, doc: Any) -> None:
            nonlocal last
            if name == "stream_datum":
                last = time.perf_counter()

        plan = expose(self.detector, beside=[*self.actuators, self.rheometer], monitored=[self.rheometer.stress])
        self.RE(plan, note)
        return last

    def gaps(self, frames: int, rounds: int) -> list[dict[str, Any]]:
        """Longest gap of the loop, a row for each kind of subscription."""
        found: dict[str, list[float]] = {"nothing": [], "TiledWriter, buffered": [], "agent and TiledWriter": []}
        for turn in track(range(-1, rounds), description="gaps (the first round warms up)"):
            for name, gaps in found.items():
                with self.subscribed(name), heartbeat(self.RE) as beats:
                    self.expose(frames)
                if turn >= 0:
                    gaps.append(1e3 * float(np.diff(beats).max() - BEAT_S))
        bare, rows = float(np.median(found["nothing"])), []
        for name, gaps in found.items():
            middle = float(np.median(gaps))
            rows.append(
                {
                    "subscribed": name,
                    "longest gap, median (ms)": middle,
                    "worst (ms)": max(gaps),
                    "added (ms)": middle - bare,
                }
            )
        return rows

    def results(self, frames: tuple[int, ...], rounds: int) -> list[dict[str, Any]]:
        """From the last StreamDatum to the complete result in Tiled, a row for each length of run."""
        took: dict[int, list[float]] = {n: [] for n in frames}
        complete, done = self.agent.results.complete, [0.0]

        def noted(*args: Any, **kwargs: Any) -> bool:
            written = complete(*args, **kwargs)
            done[0] = time.perf_counter()
            return written

        self.agent.results.complete = noted  # type: ignore[method-assign]
        with self.subscribed("agent"):
            for _ in track(range(rounds), description="results"):
                for n, seconds in took.items():
                    last = self.expose(n)
                    self.agent.drain()
                    seconds.append(done[0] - last)
        shortest = float(np.median(took[frames[0]]))
        return [
            {
                "frames": n,
                "median (s)": float(np.median(s)),
                "worst (s)": max(s),
                "ratio": float(np.median(s)) / shortest,
            }
            for n, s in took.items()
        ]

    @contextmanager
    def subscribed(self, name: str) -> Iterator[None]:
        """Subscribe what `name` says, and wait until it has written everything."""
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


if __name__ == "__main__":
    main()
