"""The session that `studies.chaos` kills: it measures what its agent suggests, and takes counts and scans between."""

import faulthandler
import io
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
from tiled.client.container import Container

from ainerd.agent import Agent
from ainerd.server import ServerError, connect
from studies._numbered import Beamline

PATIENCE_S = 300.0  # on a busy machine
Plan = Callable[[Beamline, Any, np.random.Generator], Any]
PLANS: tuple[Plan, ...] = (
    lambda line, agent, rng: bp.count([line.stack, line.x], num=int(rng.integers(1, 4))),
    lambda line, agent, rng: bp.scan([line.stack], line.x, *rng.uniform(0, 10, 2), num=4),
    lambda line, agent, rng: agent.explore(1),
    lambda line, agent, rng: agent.explore(2),
)


def session(folder: Path, storage: Path, address: tuple[str, str], n: int, seed: int, is_last: bool) -> None:
    """Take random runs until SIGTERM; the last session measures one position, and waits until all is analysed."""
    _write_log(folder / f"session-{n:04d}.log")
    rng, ends = np.random.default_rng(seed), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ends.set())
    line, agent = _started(folder, storage, address, n * 10_000)
    line.RE.subscribe(lambda *_: (folder / f"session-{n:04d}.began").touch(), "stop")
    line.RE(bps.mv(line.x, 5.0))
    agent.catch_up(100_000 if is_last else 100)
    if is_last:
        line.RE(agent.explore(1))
        if not agent.drain(PATIENCE_S):
            raise TimeoutError("not analysed")
    while not ends.is_set() and not is_last:
        plan = PLANS[int(rng.integers(len(PLANS)))]
        with suppress(Exception):  # the server was killed: the log has the error
            line.RE(plan(line, agent, rng))
    line.close()
    line.client.context.http_client.close()


def _started(folder: Path, storage: Path, address: tuple[str, str], first: int) -> tuple[Beamline, Agent]:
    """Start a beamline and its agent, again and again while the server is killed meanwhile."""
    end = time.monotonic() + PATIENCE_S
    while True:
        line: Beamline | None = None
        try:
            line = Beamline(folder, storage, connected(address), first=first)
            return line, line.start_agent()
        except Exception:
            logging.exception("the start failed")
            if line is not None:
                line.close()
            if time.monotonic() > end:
                raise


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


def _write_log(path: Path) -> None:
    """Write log and output of this process to a file, and its stack at SIGUSR1."""
    logging.basicConfig(filename=path, level=logging.INFO, format="%(asctime)s %(name)s %(message)s", force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    faulthandler.register(signal.SIGUSR1, open(path, "ab"))  # noqa: SIM115 (it stays open)
    for name in ("stdout", "stderr"):
        setattr(sys, name, io.TextIOWrapper(open(path, "ab"), line_buffering=True, write_through=True))  # noqa: SIM115
