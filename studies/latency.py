"""The delay of the RunEngine by the agent, and the time from the end of a run to its result in Tiled.

A heartbeat on the RunEngine's loop is due every 5 ms; its longest delay during a run is the longest gap of the loop.
Runs with nothing subscribed, with TiledWriter behind its buffer, and with the agent as well are taken in turn, so that
all meet the same load of the machine. CPU times depend less on it: that of the loop's thread during a run, and that of
this process from the last frames to the result. Another part measures what TiledWriter costs in the RunEngine's thread,
subscribed directly and behind its buffer. The last part sends commands, as a page or a script does: one is obeyed at
the time of its event.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bluesky import RunEngine
from bluesky.callbacks.buffer import BufferingWrapper
from bluesky_tiled_plugins import TiledWriter
from rich.progress import track

from agents.rheo_xpcs import TOML
from ainerd.agent import Agent
from ainerd.plans import expose
from ainerd.results import AgentNode
from ainerd.results.commands import Exclude, Hold, Release
from ainerd.server import embedded_server
from studies._session import Session
from studies._tools import Row, Study, report

BOX = {"sample_x": (9.0, 9.1)}
BEAT_S, EXPOSURE_S, PATIENCE_S, BATCH = 0.005, 50.0, 600.0, 20
SUBSCRIBED = ("nothing", "TiledWriter, buffered", "agent and TiledWriter")
Documents = list[tuple[str, Any]]

study = Study(__doc__)


@study.part
def latency(frames: int = 5000, rounds: int = 5) -> None:
    """Measure gaps of the loop and latencies of results."""
    with tempfile.TemporaryDirectory() as folder, bench_in(Path(folder)) as bench:
        report("latency", gaps(bench, frames, rounds), most={"added (ms)": 250.0}, frames=frames)
        report("latency_of_results", results(bench, (frames // 5, frames), rounds), most={"median (s)": 3.0})


@study.part
def raw_runs(frames: int = 500, rounds: int = 5) -> None:
    """Measure the time that TiledWriter takes in the RunEngine's thread."""
    with tempfile.TemporaryDirectory() as folder, bench_in(Path(folder)) as bench:
        report("latency_raw_runs", writing(bench, frames, rounds), frames=frames)


@study.part
def commands(n: int = 40) -> None:
    """Measure how long commands take to be obeyed and answered."""
    with tempfile.TemporaryDirectory() as folder, bench_in(Path(folder)) as bench:
        report("latency_of_commands", obeyed(bench, n), most={"obeyed, worst (s)": 0.25, "answered, worst (s)": 1.0})


class Moment(NamedTuple):
    """A time on the clock, and the CPU time of this process until then."""

    clock_s: float
    cpu_s: float

    @classmethod
    def now(cls) -> "Moment":
        """Return the present one."""
        return cls(time.monotonic(), time.process_time())


def completions_of(agent: Agent) -> list[Moment]:
    """Return the growing list of the moments at which results of an agent are complete."""
    complete, done = agent.results.complete, list[Moment]()

    def noted(*args: Any, **kwargs: Any) -> bool:
        written = complete(*args, **kwargs)
        done.append(Moment.now())
        return written

    agent.results.complete = noted  # type: ignore[method-assign]
    return done


class Bench(Session):
    """A session at the full instrument's settings, with an open shutter.

    Attributes
    ----------
    done : list of Moment
        When each result was complete.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.instrument.shutter.set("open").wait(1)
        self.done = completions_of(self.agent)

    def expose(self, frames: int, exposure_s: float = EXPOSURE_S) -> tuple[Moment, Documents]:
        """Take a run, and return when its last StreamDatum came and its documents."""
        for file in self.settings.storage.frames[0].glob("*.h5"):
            file.unlink()  # of earlier runs, which are analysed
        self.frames(frames, exposure_s)
        times, documents, rheometer = [], Documents(), self.instrument.rheometer

        def note(name: str, doc: Any) -> None:
            documents.append((name, dict(doc)))
            if name == "stream_datum":
                times.append(Moment.now())

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
    """Yield the longest gap of the loop, and the CPU time of its thread, for each kind of subscription."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in SUBSCRIBED}
    for turn in track(range(-1, rounds), description="gaps (the first round warms up)"):
        for name, rounds_of_it in times.items():
            with subscribed(bench, name), heartbeat(bench.RE) as beats:
                bench.expose(frames)
            clock_s, cpu_s = np.transpose(beats)
            if turn >= 0:
                rounds_of_it.append((1e3 * (np.diff(clock_s).max() - BEAT_S), 1e3 * (cpu_s[-1] - cpu_s[0])))
    for name, rounds_of_it in times.items():
        (gap_ms, cpu_ms), (bare, bare_cpu) = np.median(rounds_of_it, axis=0), np.median(times["nothing"], axis=0)
        yield {
            "subscribed": name, "longest gap, median (ms)": gap_ms, "worst (ms)": max(gap for gap, _ in rounds_of_it),
            "added (ms)": gap_ms - bare, "CPU of the loop's thread (ms)": cpu_ms, "CPU added (ms)": cpu_ms - bare_cpu,
        }  # fmt: skip


def writing(bench: Bench, frames: int, rounds: int) -> Iterator[Row]:
    """Yield the time of TiledWriter in the RunEngine's thread, by document and by run, direct and buffered."""
    writer = TiledWriter(bench.client["raw"], batch_size=BATCH, max_array_size=0)
    buffered = BufferingWrapper(TiledWriter(bench.client["raw"], batch_size=BATCH, max_array_size=0))
    for name, target in (("nothing", lambda kind, doc: None), ("direct", writer), ("buffered", buffered)):
        taken = list[list[float]]()
        longest = list[float]()

        def timed(kind: str, doc: Any, target: Any = target, taken: list[list[float]] = taken) -> None:
            began = time.perf_counter()
            target(kind, doc)
            taken[-1].append(1e3 * (time.perf_counter() - began))

        token = bench.RE.subscribe(timed)
        for _ in track(range(rounds + 1), description=f"{name} (the first run warms up)"):
            taken.append([])
            with heartbeat(bench.RE) as beats:
                bench.expose(frames)
            longest.append(1e3 * (np.diff(np.transpose(beats)[0]).max() - BEAT_S))
        bench.RE.unsubscribe(token)
        runs = [sum(each) for each in taken[1:]]
        yield {
            "TiledWriter": name, "documents": len(taken[-1]), "a document, median (ms)": np.median(sum(taken[1:], [])),
            "a run, median (ms)": np.median(runs), "worst (ms)": max(runs),
            "longest gap of the loop (ms)": max(longest[1:]),
        }  # fmt: skip
    buffered.shutdown()


def results(bench: Bench, frames: tuple[int, ...], rounds: int) -> Iterator[Row]:
    """Yield the time from the last frames' document to the complete result in Tiled for each length of run.

    The first run of each length calibrates the bank for its photons, unless a run before did; the others are `rounds`.
    """
    took: dict[int, list[Moment]] = {n: [] for n in frames}
    with subscribed(bench, "agent and TiledWriter"):
        for n in track([*frames] * (rounds + 1), description="results"):
            last, _ = bench.expose(n)
            wait_for(bench)
            took[n].append(Moment(*np.subtract(bench.done[-1], last)))
    shortest = np.median([each.clock_s for each in took[frames[0]][1:]])
    for n, (first, *others) in took.items():
        clock_s, cpu_s = np.transpose(others)
        yield {
            "frames": n, "first (s)": first.clock_s, "median (s)": np.median(clock_s), "worst (s)": clock_s.max(),
            "ratio": np.median(clock_s) / shortest, "CPU, median (s)": np.median(cpu_s),
        }  # fmt: skip


def obeyed(bench: Bench, n: int) -> Iterator[Row]:
    """Yield the times from a command until it is obeyed, and until its sender can read the answer."""
    node, took = AgentNode(bench.client["ainerd"], bench.settings.name), dict[str, list[tuple[str, float, float]]]()
    for k in range(n + 2):  # the first two may come before the stream
        for command in (Hold(by="study") if k % 2 else Release(by="study"), Exclude(by="study", region=BOX)):
            sent = time.time()
            node.send(command)
            while any(key == command.id for (_, key), _ in node.commands()):
                time.sleep(0.01)
            took.setdefault(command.do, []).append((command.id, sent, time.time() - sent))
    told = {event["command"]["id"]: event["t"] for _, event in node.changes(0) if "command" in event}
    for do, times in took.items():
        waited = np.array([(told[id] - sent, answered) for id, sent, answered in times[2:]])
        yield {"command": do} | {
            f"{what}, {name} (s)": float(of(waited[:, k]))
            for k, what in enumerate(("obeyed", "answered"))
            for name, of in (("median", np.median), ("worst", np.max))
        }


def wait_for(bench: Bench) -> None:
    """Wait until every result is written."""
    if not bench.agent.drain(PATIENCE_S):
        raise RuntimeError(f"the agent did not write its results within {PATIENCE_S:g} s")


@contextmanager
def subscribed(bench: Bench, name: str) -> Iterator[None]:
    """Subscribe the agent, TiledWriter or nothing, and wait in the end until everything is written."""
    if name == "nothing":
        yield
        return
    buffered = BufferingWrapper(TiledWriter(bench.client["raw"], batch_size=BATCH, max_array_size=0))
    token = bench.RE.subscribe(buffered)
    if name.startswith("agent"):
        bench.agent.attach(bench.RE)
    yield
    if name.startswith("agent"):
        wait_for(bench)
        bench.agent.detach()
    bench.RE.unsubscribe(token)
    buffered.shutdown()


@contextmanager
def heartbeat(RE: RunEngine) -> Iterator[list[tuple[float, float]]]:
    """Yield the growing list of the beats on the loop of `RE`: time, and CPU time of its thread."""
    beats: list[tuple[float, float]] = []

    async def beat() -> None:
        while True:
            beats.append((time.perf_counter(), time.thread_time()))
            await asyncio.sleep(BEAT_S)

    future = asyncio.run_coroutine_threadsafe(beat(), RE.loop)
    try:
        yield beats
    finally:
        future.cancel()


if __name__ == "__main__":
    study()
