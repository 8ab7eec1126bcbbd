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
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from bluesky import RunEngine
from bluesky.callbacks.buffer import BufferingWrapper
from bluesky_tiled_plugins import TiledWriter
from rich.progress import track

from agents.rheo_xpcs import TOML, build_agent
from agents.simulated import simulated_instrument
from ainerd.config import Settings
from ainerd.instrument import open_tiled
from ainerd.steering import expose
from benchmarks._report import report

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
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), arguments.frames, arguments.rounds)
    report("latency", rows, frames=arguments.frames, rounds=arguments.rounds)


def measure(folder: Path, frames: int, rounds: int) -> list[dict[str, float | str]]:
    """Longest gaps and latencies, a row for each kind of subscription."""
    settings = Settings.load(TOML)
    settings.storage.directory, settings.storage.frames = folder / "tiled", [folder / "frames"]
    client, close = open_tiled(settings.storage)
    instrument = simulated_instrument(settings, speed=1e6)
    detector, stage, rheometer = instrument.detector, instrument.stage, instrument.rheometer
    agent = build_agent(client, detector=detector, actuators=[stage.x, stage.y], rheometer=rheometer, settings=settings)
    agent.quiet = True
    RE = RunEngine({})
    detector.cam.num_images.put(frames)
    detector.cam.acquire_period.put(50 / frames)
    gaps: dict[str, list[float]] = {"nothing": [], "TiledWriter, buffered": [], "agent and TiledWriter": []}
    after: list[float] = []
    beside = {"beside": [stage.x, stage.y, rheometer], "monitored": [rheometer.stress]}
    try:
        for turn in track(range(-1, rounds), description="rounds (the first one warms up)"):
            for name, found in gaps.items():
                token = buffered = None
                if name.startswith("Tiled"):
                    buffered = BufferingWrapper(TiledWriter(client["raw"], batch_size=20))
                    token = RE.subscribe(buffered)
                elif name.startswith("agent"):
                    agent.attach(RE)
                with heartbeat(RE) as beats:
                    RE(expose(detector, **beside))
                    ended = time.perf_counter()
                if name.startswith("agent"):
                    agent.drain()
                    if turn >= 0:
                        after.append(time.perf_counter() - ended)
                    agent.detach()
                elif token is not None and buffered is not None:
                    RE.unsubscribe(token)
                    buffered.shutdown()
                if turn >= 0:
                    found.append(float(np.diff(beats).max() - BEAT_S))
                for file in settings.storage.frames[0].glob("*.h5"):
                    file.unlink()
    finally:
        agent.close()
        close()
    bare = float(np.median(gaps["nothing"]))
    return [
        {
            "subscribed": name,
            "longest gap, median (ms)": 1e3 * float(np.median(found)),
            "longest gap, worst (ms)": 1e3 * max(found),
            "added, median (ms)": 1e3 * (float(np.median(found)) - bare),
            "result after the run, median (s)": float(np.median(after)) if name.startswith("agent") else "",
        }
        for name, found in gaps.items()
    ]


if __name__ == "__main__":
    main()
