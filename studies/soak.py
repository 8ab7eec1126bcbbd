"""Many runs with faults in between: count the results of each run, the losses, and the memory used.

A RunEngine takes runs with the simulated instrument while faults, chosen by a seed, happen to files, to documents, to
the Tiled server (killed; it restarts itself) and to the agent (closed and started again). In the end every run must
have exactly one result, and the RunEngine must not have failed because of the agent. The exit code is 1 otherwise.
"""

import json
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
from rich.progress import track

from ainerd.plans import expose
from ainerd.server import EmbeddedServer, embedded_server
from studies._session import Session
from studies._tools import Row, Study, memory_mb, report

FRAMES = 64
TOGETHER = 5  # runs taken while the agent still analyses earlier ones
GARBAGE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("start", {}),
    ("stop", {"run_start": "nobody", "uid": "1", "exit_status": "success", "time": 0.0}),
    ("descriptor", {"uid": "2", "run_start": "nobody", "data_keys": {}, "time": 0.0}),
    ("stream_datum", {"uid": "3/0", "descriptor": "2", "stream_resource": "4", "indices": {"start": 0, "stop": 9}}),
    ("telegram", {"text": "\x1b[2J<script>alert(1)</script>" * 1000}),
)

study = Study(__doc__)


@study.part
def soak(runs: int = 500, seed: int = 0) -> None:
    """Take the runs, and judge their results."""
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as name,
        embedded_server(folder := Path(name) / "tiled", readable_storage=[folder.parent / "frames"]) as server,
        closing(Soak(folder.parent, server, seed)) as soaked,
    ):
        memory = list(track(soaked.run(runs), "runs", total=runs))
        soaked.agent.drain(300)
        rows, wrong = soaked.judged()
    quarters = [np.mean(part) for part in np.array_split(memory, 4)]
    growth, minutes = float(quarters[3] / quarters[1]), (time.monotonic() - began) / 60
    report("soak", rows, runs=runs, seed=seed, memory_ratio=growth, wrong=wrong, minutes=minutes)
    print(f"memory, last quarter over second: {growth:.3f}; {minutes:.1f} min")


class BreaksOff(Exception):
    """An error of the plan, not of the agent."""


class Soak(Session):
    """A session with faults.

    Parameters
    ----------
    folder : Path
    server : EmbeddedServer
        It may be killed: it restarts itself.
    seed : int
        Of the choice of faults.
    """

    def __init__(self, folder: Path, server: EmbeddedServer, seed: int) -> None:
        # Without denoised maps there is a third less to write: Tiled sets the pace.
        super().__init__(folder, server.client(), section={"contrast": 0.2})
        self._rng, self._server = np.random.default_rng(seed), server
        self.fault_of: dict[str, str] = {}
        self.unexpected: list[str] = []
        self.documents: list[tuple[str, dict[str, Any]]] = []
        self.RE.subscribe(lambda name, doc: self.documents.append((name, doc)))

    def start_agent(self) -> None:
        """Start an agent as a plain callback."""
        super().start_agent()
        self._token = self.RE.subscribe(self.agent)

    def run(self, n: int) -> Iterator[float]:
        """Take `n` runs, and yield the memory in MB after each."""
        for i in range(n):
            fault = str(self._rng.choice(list(FAULTS), p=[share for share, _ in FAULTS.values()]))
            self.documents.clear()
            try:
                FAULTS[fault][1](self)
            except Exception as err:
                self.unexpected.append(f"run {i}, {fault}: {type(err).__name__}: {err}")
            self.fault_of |= {doc["uid"]: fault for name, doc in self.documents if name == "start"}
            if (i + 1) % TOGETHER == 0 or i + 1 == n:
                self._catch_up(f"run {i}, {fault}")
            yield memory_mb()

    def judged(self) -> tuple[list[Row], list[str]]:
        """Return a row for each fault, and everything that went wrong."""
        wrong, tried = list(self.unexpected), {fault: Counter[str]() for fault in FAULTS}
        by_run = self.agent.results.table().groupby("raw_uid")["status"].agg(list)
        for uid, fault in self.fault_of.items():
            statuses = by_run.get(uid, [])
            if statuses not in (["complete"], ["partial"], ["failed"]):
                wrong.append(f"run {uid} ({fault}) has results {statuses}")
            tried[fault].update(["runs", *statuses])
        rows = []
        for fault, counts in tried.items():
            statuses = {name: counts[name] for name in ("complete", "partial", "failed")}
            lost = counts["runs"] - sum(statuses.values())
            rows += [{"fault": fault, "runs": counts["runs"], **statuses, "lost": lost}] * bool(counts)
        return rows, wrong

    def _catch_up(self, where: str) -> None:
        """Wait until all runs are analysed, and delete their frames."""
        if not self.agent.drain(600):
            self.unexpected.append(f"{where}: not analysed in 600 s")
        else:
            for path in self.settings.storage.frames[0].glob("*.h5"):
                path.unlink()

    def usual(self, frames: int = FRAMES, shutter: bool = True) -> None:
        self.frames(frames, 0.01 * frames)
        beside = [*self.actuators, self.instrument.rheometer]
        self.RE(expose(self.detector, beside=beside, shutter=self.instrument.shutter if shutter else None))

    def spoiled(self, spoil: Callable[[Path], None]) -> None:
        """Spoil the file of frames before the agent sees the documents."""
        self.RE.unsubscribe(self._token)
        self.usual()
        self._token = self.RE.subscribe(self.agent)
        (resource,) = (doc for name, doc in self.documents if name == "stream_resource")
        spoil(Path(urlparse(resource["uri"]).path))
        self.send(self.documents)

    def cut_short(self) -> None:
        self.spoiled(lambda path: os.truncate(path, int(self._rng.uniform() * path.stat().st_size)))

    def send(self, documents: Iterable[tuple[str, dict[str, Any]]]) -> None:
        for name, doc in tuple(documents):
            self.agent(name, doc)

    def broken(self) -> None:
        self.detector.cam.num_images.put(5000)

        @bpp.stage_decorator([self.detector])
        @bpp.run_decorator()
        def broken() -> Any:
            yield from bps.declare_stream(self.detector, name=self.detector.name, collect=True)
            yield from bps.kickoff(self.detector, wait=True)
            yield from bps.collect(self.detector, name=self.detector.name)
            raise BreaksOff

        with suppress(BreaksOff):
            self.RE(broken())

    def restart(self) -> None:
        self.RE.unsubscribe(self._token)
        self.agent.close()
        self.start_agent()
        self.usual()

    def away(self) -> None:
        note = self._server.directory / "server.json"
        pid = json.loads(note.read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
        self.usual()
        self.usual()
        deadline = time.monotonic() + 60
        while json.loads(note.read_text() if note.exists() else "{}").get("pid", pid) == pid:
            if time.monotonic() > deadline:
                raise TimeoutError("the server did not restart itself in 60 s")
            time.sleep(0.1)
        self.usual()


FAULTS: dict[str, tuple[float, Callable[[Soak], Any]]] = {
    "none": (0.63, Soak.usual),
    "shutter closed": (0.05, lambda soak: soak.usual(shutter=False)),
    "one frame": (0.05, lambda soak: soak.usual(frames=1)),
    "frame file cut short": (0.05, Soak.cut_short),
    "frame file removed": (0.04, lambda soak: soak.spoiled(Path.unlink)),
    "run breaks off": (0.05, Soak.broken),
    "documents come twice": (0.05, lambda soak: (soak.usual(), soak.send(soak.documents))),
    "documents that make no sense": (0.05, lambda soak: (soak.send(GARBAGE), soak.usual())),
    "agent closed, another one started": (0.02, Soak.restart),
    "Tiled killed for some seconds": (0.01, Soak.away),
}


if __name__ == "__main__":
    study()
