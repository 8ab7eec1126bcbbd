"""Runs as they are taken: how many results each has, and what becomes of one that is aborted.

The simulated detector, a RunEngine and a Tiled server, in a session as a person has it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pandas as pd
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted

from agents.demo.simulated import hardware_beside, simulated_instrument
from agents.rheo_xpcs import TOML, build_agent
from ainerd.agent import Agent, open_tiled
from ainerd.config import Settings
from ainerd.steering import expose

TAKEN, ANNOUNCED = 350, 500  # frames of the aborted run
EXPOSURE_S = 50.0


def rows(quick: bool) -> list[dict[str, Any]]:
    """The figures: what was counted, how many, how many were wanted."""
    with TemporaryDirectory() as folder, _session(Path(folder)) as session:
        session.frames(64 if quick else 500)
        devices = [session.detector, session.stage]
        (count,) = session.RE(bp.count(devices, num=3))
        (grid,) = session.RE(bp.grid_scan(devices, session.stage.x, 2, 8, 3, session.stage.y, 2, 8, 3))
        session.frames(ANNOUNCED)
        aborted = session.abort(TAKEN)
        out = [session.row(name, uid, n) for name, uid, n in (("count", count, 3), ("grid scan", grid, 9))]
        first = session.table()
        session.restart()
        missing = session.agent.catch_up()
        session.agent.analyse(count, grid)
        out.append(_row("runs that a restart takes again", missing, 0))
        out += [session.row(f"{name}, replayed", uid, n) for name, uid, n in (("count", count, 3), ("grid", grid, 9))]
        keys = first.index[first["raw_uid"].eq(grid)][4:]
        for key in keys:
            session.client["ainerd/results"].delete_contents(key, recursive=True, external_only=False)
        session.restart()
        session.agent.catch_up()
        out.append(session.row(f"grid scan, {len(keys)} of 9 taken by the next agent", grid, 9))
        (one,) = first[first["raw_uid"].eq(aborted)].to_dict("records")
        said = f"{one['status']}, {one['n_frames']} frames, tau {one['tau_s']:.3g} s"
        holds = one["status"] == "partial" and one["n_frames"] == TAKEN and one["tau_s"] > 0
        out.append({"what": "aborted run", "found": said, "wanted": f"partial, {TAKEN} frames, tau", "holds": holds})
    return out


def _row(what: str, found: int, wanted: int) -> dict[str, Any]:
    return {"what": what, "found": found, "wanted": wanted, "holds": found == wanted}


class _Session:
    """Devices, a RunEngine, a client and an agent."""

    agent: Agent

    def __init__(self, folder: Path) -> None:
        small = TOML.with_name("small.toml")
        self._settings = Settings.load(small)
        self._settings.storage.directory, self._settings.storage.frames = folder / "tiled", [folder / "frames"]
        self.client, self.close_tiled = open_tiled(self._settings.storage)
        instrument = simulated_instrument(folder / "frames", hardware_beside(small), speed=1000)
        self.detector, self.stage, self.shutter = instrument.detector, instrument.stage, instrument.shutter
        self.RE = RunEngine({})
        self.restart()
        self.RE(bps.mv(self.shutter, "open"))

    def restart(self) -> None:
        """End the agent if there is one, and start the next."""
        if hasattr(self, "agent"):
            self.agent.close()
        actuators = [self.stage.x, self.stage.y]
        self.agent = build_agent(self.client, detector=self.detector, actuators=actuators, settings=self._settings)
        self.agent.quiet = True
        self.agent.attach(self.RE)

    def frames(self, n: int) -> None:
        """Let an exposure have so many frames."""
        self.detector.cam.num_images.put(n)
        self.detector.cam.acquire_period.put(EXPOSURE_S / n)
        self.detector.cam.acquire_time.put(EXPOSURE_S / n)

    def abort(self, n: int) -> str:
        """Abort an exposure once `n` of its frames were announced; its uid."""
        enough = threading.Event()

        def beam() -> float:
            if self.detector.get_index() >= n:
                enough.wait(60)
            return 1.0

        def pause(name: str, doc: dict[str, Any]) -> None:
            if name == "stream_datum" and doc["indices"]["stop"] >= n:
                threading.Thread(target=self.RE.request_pause).start()

        with patch.object(self.detector, "_transmission", beam):
            with suppress(RunEngineInterrupted):
                self.RE(expose(self.detector, beside=[self.stage.x, self.stage.y]), pause)
            threading.Timer(0.5, enough.set).start()  # the detector is stopped meanwhile
            (uid,) = self.RE.abort()
        return uid

    def table(self) -> pd.DataFrame:
        """The results, once all are written."""
        if not self.agent.drain(600):
            raise TimeoutError("the analysis takes longer than ten minutes")
        return self.agent.results.table()

    def row(self, name: str, uid: str, wanted: int) -> dict[str, Any]:
        """Complete results of a run, an event each."""
        mine = self.table().query("raw_uid == @uid")
        complete = mine[mine["status"].eq("complete")]["event"].nunique()
        return _row(f"{name}: complete results", complete if complete == len(mine) else -len(mine), wanted)


@contextmanager
def _session(folder: Path) -> Iterator[_Session]:
    session = _Session(folder)
    try:
        yield session
    finally:
        session.agent.close()
        session.close_tiled()
