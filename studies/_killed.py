"""Processes that `studies.chaos` kills: one takes random runs, one watches the catalog, one steers an RE Manager."""

import contextlib
import faulthandler
import io
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
from bluesky_queueserver_api.zmq import REManagerAPI
from tiled.client.container import Container

from ainerd.agent import Observer
from ainerd.server import ServerError, connect
from ainerd_queueserver.queue import steer as add_to_queue
from studies._numbered import Beamline, Numbered, settings_of

PATIENCE_S = 240.0
END_S = 600.0


def session(
    folder: Path, storage: Path, address: tuple[str, str], n: int, seed: int, jumps: bool, is_last: bool
) -> None:
    """Take random runs until SIGTERM; the last session takes one, and waits until all is analysed and written."""
    _prepare(folder / f"session-{n:04d}.log", seed, jumps)
    rng, ends = np.random.default_rng(seed), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ends.set())
    line = Beamline(folder, storage, connected(address), first=n * 10_000)
    agent = line.start_agent(line.stack, lambda devices, md: bp.count(devices, md=md))
    line.RE.subscribe(Witness(folder / f"session-{n:04d}.witness"))
    line.RE(bps.mv(line.x, 5.0))
    if is_last:
        line.RE(bp.count([line.stack, line.x]))
        agent.drain(PATIENCE_S)
        agent.catch_up(100_000)
        if not agent.drain(END_S / 2):
            raise TimeoutError("not analysed")
    else:
        agent.catch_up()
    while not ends.is_set() and not is_last:
        plan = PLANS[int(rng.integers(len(PLANS)))]
        with contextlib.suppress(Exception):  # a plan that fails on purpose; the logs hold the others
            line.RE(plan(line, agent, rng))
    line.close()
    line.client.context.http_client.close()


def watch(folder: Path, storage: Path, address: tuple[str, str], n: int, seed: int, jumps: bool, _: bool) -> None:
    """Follow the runs in Tiled until SIGTERM, as ``ainerd watch`` does, as an agent of the same name."""
    _prepare(folder / f"watch-{n:04d}.log", seed, jumps)
    with _observing(folder, storage, address) as (observer, ends):
        observer.follow("tiled", ends)


def steer(folder: Path, storage: Path, address: tuple[str, str], n: int, seed: int, jumps: bool, _: bool) -> None:
    """Add suggestions to the queue of the RE Manager until SIGTERM, as ``ainerd steer`` does."""
    _prepare(folder / f"steer-{n:04d}.log", seed, jumps)
    with _observing(folder, storage, address) as (observer, ends):
        manager = REManagerAPI(zmq_control_addr=os.environ["QSERVER_ZMQ_CONTROL_ADDRESS"])
        is_over = False
        while not is_over:
            try:
                add_to_queue(observer, manager, detector="stack", stop=ends)
                is_over = True
            except ValueError as error:
                if not (is_over := "no position is left" in str(error)) and "no open environment" not in str(error):
                    raise
                is_over |= ends.wait(1.0)  # the worker was killed: somebody opens its environment again


@contextlib.contextmanager
def _observing(folder: Path, storage: Path, address: tuple[str, str]) -> Iterator[tuple[Observer, threading.Event]]:
    """Start an agent without devices, and yield it with an event that SIGTERM sets."""
    ends = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ends.set())
    client = connected(address)
    observer = Observer(Numbered(), client, settings_of(folder, storage, "stack"))
    observer.start()
    observer.quiet = True
    yield observer, ends
    observer.close()
    client.context.http_client.close()


def connected(address: tuple[str, str]) -> Container:
    """Connect, again and again while the server starts: it may be killed at this moment."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return connect(*address)
        except ServerError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _prepare(log: Path, seed: int, jumps: bool) -> None:
    """Write the log to a file; let the clock of this process jump at random moments, by up to an hour."""
    logging.basicConfig(filename=log, level=logging.INFO, format="%(asctime)s %(name)s %(message)s", force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    faulthandler.register(signal.SIGUSR1, open(log, "ab"))  # noqa: SIM115 (the study asks what a process is doing)
    for name in ("stdout", "stderr"):
        setattr(sys, name, io.TextIOWrapper(open(log, "ab"), line_buffering=True, write_through=True))  # noqa: SIM115
    if not jumps:
        return
    rng, real, real_ns, ahead = np.random.default_rng(seed), time.time, time.time_ns, [0.0]
    time.time = lambda: real() + ahead[0]
    time.time_ns = lambda: real_ns() + int(ahead[0] * 1e9)

    def jump() -> None:
        while True:
            time.sleep(float(rng.uniform(0, 2)))
            ahead[0] = float(rng.uniform(-3600, 3600))

    threading.Thread(target=jump, daemon=True).start()


class Witness:
    """Notes how many events of a run the agent has had: it is subscribed after the agent."""

    def __init__(self, path: Path) -> None:
        self._path, self._run, self._stream = path, "", ""

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Note an event with frames, or the frames of a flight, which are one event."""
        if name == "start":
            self._run, self._n = doc["uid"], 0
        elif name == "stream_datum" and (doc["indices"]["start"] == self._n or self._n == 0):
            self._n += doc["indices"]["stop"] - doc["indices"]["start"] if not self._flies else self._n == 0
            with open(self._path, "a") as file:
                file.write(f"{self._run} {self._n}\n")
        elif name == "descriptor":
            self._flies = doc["name"] == "stack"


def flight(line: Beamline, fail: bool = False) -> Any:
    """Fly the detector, beside a reading of the motor; `fail` raises an error after the frames."""

    @bpp.stage_decorator([line.stack])
    @bpp.run_decorator()
    def fly() -> Any:
        yield from bps.create("position")
        yield from bps.read(line.x)
        yield from bps.save()
        yield from bps.declare_stream(line.stack, name="stack", collect=True)
        yield from bps.kickoff(line.stack, wait=True)
        yield from bps.complete(line.stack, wait=True)
        yield from bps.collect(line.stack, name="stack")
        if fail:
            raise RuntimeError("the plan breaks off")

    yield from bps.mv(line.x, float(np.random.default_rng().uniform(0, 10)))
    yield from fly()


def aborted(line: Beamline, rng: np.random.Generator) -> Any:
    """Abort a scan after some of its points."""
    left = int(rng.integers(1, 4))

    def one(detectors: Any, motor: Any, step: float) -> Any:
        nonlocal left
        yield from bps.one_1d_step(detectors, motor, step)
        left -= 1
        if left == 0:
            raise RuntimeError("the plan breaks off")

    yield from bp.scan([line.stack], line.x, *rng.uniform(0, 10, 2), num=5, per_step=one)


Plan = Callable[[Beamline, Any, np.random.Generator], Any]
PLANS: tuple[Plan, ...] = (
    lambda line, agent, rng: bp.count([line.stack, line.x]),
    lambda line, agent, rng: bp.count([line.stack, line.x], num=3),
    lambda line, agent, rng: bp.scan([line.stack], line.x, *rng.uniform(0, 10, 2), num=4),
    lambda line, agent, rng: flight(line),
    lambda line, agent, rng: flight(line, fail=True),
    lambda line, agent, rng: aborted(line, rng),
    lambda line, agent, rng: agent.explore(2),
    lambda line, agent, rng: agent.explore(1),
)
