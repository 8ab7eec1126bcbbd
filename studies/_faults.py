"""The simulated instrument, a Tiled server, an agent, and what happens to them."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
from bluesky import RunEngine

from agents.demo.simulated import hardware_beside, simulated_instrument
from agents.rheo_xpcs import TOML, build_agent
from ainerd.agent import Agent
from ainerd.config import Settings
from ainerd.server import connect
from ainerd.steering import expose
from studies._server import KEY, start_server

FRAMES = 64
AWAY_S = 2.0
TOGETHER = 5  # runs taken while the agent is at those before
GARBAGE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("start", {}),
    ("stop", {"run_start": "nobody", "uid": "1", "exit_status": "success", "time": 0.0}),
    ("descriptor", {"uid": "2", "run_start": "nobody", "data_keys": {}, "time": 0.0}),
    ("stream_datum", {"uid": "3/0", "descriptor": "2", "stream_resource": "4", "indices": {"start": 0, "stop": 9}}),
    ("telegram", {"text": "\x1b[2J<script>alert(1)</script>" * 1000}),
)
FAULTS = {
    "none": 0.63,
    "shutter closed": 0.05,
    "one frame": 0.05,
    "frame file cut short": 0.05,
    "frame file removed": 0.04,
    "run breaks off": 0.05,
    "documents come twice": 0.05,
    "documents that make no sense": 0.05,
    "agent closed, another one started": 0.02,
    "Tiled killed for some seconds": 0.01,
}


class BreaksOff(Exception):
    """A fault of ours, not of the agent."""


class Soak:
    """The instrument, a Tiled server, an agent, and what happens to them.

    Parameters
    ----------
    folder : Path
    seed : int
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._rng, self._folder = np.random.default_rng(seed), folder
        small = TOML.with_name("small.toml")
        self.settings = Settings.load(small)
        self.settings.storage.directory, self.settings.storage.frames = folder / "tiled", [folder / "frames"]
        self.settings.section["denoiser"] = "none"  # a third of the arrays less: Tiled is what sets the pace
        self._port = 0
        self._start_tiled()
        self.client = connect(f"http://127.0.0.1:{self._port}", KEY)
        # At 1e6 it soon is years old.
        self.instrument = simulated_instrument(folder / "frames", hardware_beside(small), speed=1000)
        self.RE = RunEngine({})
        self.agent = self._start_agent()
        self.fault_of: dict[str, str] = {}
        self.unexpected: list[str] = []
        self._documents: list[tuple[str, dict[str, Any]]] = []
        self.RE.subscribe(lambda name, doc: self._documents.append((name, doc)))

    def run(self, n: int) -> Iterator[tuple[int, float]]:
        """Take `n` runs; gives the number of each and the memory (MB) after it."""
        for i in range(n):
            fault = str(self._rng.choice(list(FAULTS), p=list(FAULTS.values())))
            self._documents.clear()
            try:
                _ACTIONS.get(fault, Soak.usual)(self)
            except Exception as err:
                self.unexpected.append(f"run {i}, {fault}: {type(err).__name__}: {err}")
            for uid in {doc["uid"] for name, doc in self._documents if name == "start"}:
                self.fault_of[uid] = fault
            if (i + 1) % TOGETHER == 0 or i + 1 == n:
                self._catch_up(f"run {i}, {fault}")
            yield i, _memory()

    def _catch_up(self, where: str) -> None:
        """Wait until what came is analysed, and make room."""
        if not self.agent.drain(120):
            self.unexpected.append(f"{where}: not analysed in 120 s")
        elif not self.agent.health()["kept"]:
            for path in (self._folder / "frames").glob("*.h5"):
                path.unlink()

    def results(self) -> Mapping[str, list[str]]:
        """Status of each result, by run."""
        found: dict[str, list[str]] = {}
        for _, row in self.agent.results.table().iterrows():
            found.setdefault(row["raw_uid"], []).append(row["status"])
        return found

    def close(self) -> None:
        """End everything."""
        self.agent.close()
        self.client.context.http_client.close()
        self._server.kill()
        self._server.wait()

    # faults

    def usual(self, frames: int = FRAMES, shutter: bool = True) -> None:
        cam, stage = self.instrument.detector.cam, self.instrument.stage
        cam.num_images.put(frames), cam.acquire_period.put(0.01), cam.acquire_time.put(0.01)
        beside = [stage.x, stage.y, self.instrument.rheometer]
        self.RE(expose(self.instrument.detector, beside=beside, shutter=self.instrument.shutter if shutter else None))

    def closed(self) -> None:
        self.usual(shutter=False)

    def one_frame(self) -> None:
        self.usual(frames=1)

    def _spoiled(self, spoil: Callable[[Path], None]) -> None:
        self.RE.unsubscribe(self._token)
        self.usual()
        self._token = self.RE.subscribe(self.agent)
        (resource,) = (doc for name, doc in self._documents if name == "stream_resource")
        spoil(Path(urlparse(resource["uri"]).path))
        for name, doc in self._documents:
            self.agent(name, doc)

    def cut(self) -> None:
        self._spoiled(lambda path: os.truncate(path, int(self._rng.uniform() * path.stat().st_size)))

    def removed(self) -> None:
        self._spoiled(Path.unlink)

    def twice(self) -> None:
        self.usual()
        for name, doc in list(self._documents):
            self.agent(name, doc)

    def garbage(self) -> None:
        for name, doc in GARBAGE:
            self.agent(name, doc)
        self.usual()

    def broken(self) -> None:
        detector = self.instrument.detector
        detector.cam.num_images.put(5000)

        @bpp.stage_decorator([detector])
        @bpp.run_decorator()
        def broken() -> Any:
            yield from bps.declare_stream(detector, name=detector.name, collect=True)
            yield from bps.kickoff(detector, wait=True)
            yield from bps.collect(detector, name=detector.name)
            raise BreaksOff

        try:
            self.RE(broken())
        except BreaksOff:
            pass

    def restart(self) -> None:
        self.RE.unsubscribe(self._token)
        self.agent.close()
        self.agent = self._start_agent()
        self.usual()

    def away(self) -> None:
        self._server.kill()
        self._server.wait()
        self.usual()
        self.usual()
        time.sleep(AWAY_S)
        self._start_tiled()
        self.usual()

    def _start_agent(self) -> Agent:
        stage = self.instrument.stage
        agent = build_agent(
            self.client,
            detector=self.instrument.detector,
            actuators=[stage.x, stage.y],
            rheometer=self.instrument.rheometer,
            shutter=self.instrument.shutter,
            settings=self.settings,
        )
        agent.quiet = True
        self._token = self.RE.subscribe(agent)
        return agent

    def _start_tiled(self) -> None:
        self._server, self._port = start_server(self._folder, self._port)


_ACTIONS: dict[str, Callable[[Soak], None]] = {
    "shutter closed": Soak.closed,
    "one frame": Soak.one_frame,
    "frame file cut short": Soak.cut,
    "frame file removed": Soak.removed,
    "run breaks off": Soak.broken,
    "documents come twice": Soak.twice,
    "documents that make no sense": Soak.garbage,
    "agent closed, another one started": Soak.restart,
    "Tiled killed for some seconds": Soak.away,
}


def _memory() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
