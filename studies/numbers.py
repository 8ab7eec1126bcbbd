"""Whether the numbers of a result are right, and their errors.

Frames are made by code that shares nothing with `ainerd.dynamics`: Gaussian speckle of any relaxation, scatterers
summed as fields, a beam that moves over its own scattering.

fits     fits and their errors
spoilt   runs with faults beside the same runs without
flow     fits across azimuth and age, of samples whose motion is known
runs     runs with a RunEngine, the simulated instrument and Tiled: how many results each has, also when it is aborted
time     time per frame of screen, maps and g2 together, of one ring and of eight with as many pixels

``--quick`` takes fewer runs of each kind.
"""

import tempfile
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pandas as pd
from bluesky.utils import RunEngineInterrupted
from numpy.typing import NDArray
from rich.progress import track

from ainerd.server import embedded_server
from ainerd.steering import expose
from ainerd.xpcs import MultiTau, Partition, TwoTimeReducer
from studies import _numbers_fits, _numbers_flow, _numbers_spoilt
from studies._session import Session
from studies._tools import Row, Study, report

TAKEN, ANNOUNCED = 350, 500  # frames of the aborted run
EXPOSURE_S = 50.0
BLOCK, PIXELS = 50, 18 * 8 * 80  # frames of a block; pixels in the bins

study = Study(__doc__)


@study.part
def fits(quick: bool = False) -> None:
    """Measure fits and their errors."""
    report("numbers_fits", _numbers_fits.rows(quick), quick=quick)


@study.part
def spoilt(quick: bool = False) -> None:
    """Compare spoilt runs with clean ones."""
    report("numbers_spoilt", _numbers_spoilt.rows(quick), quick=quick)


@study.part
def flow(quick: bool = False) -> None:
    """Measure fits of flow and ageing."""
    report("numbers_flow", _numbers_flow.rows(quick), quick=quick)


@study.part
def runs(quick: bool = False) -> None:
    """Count the results of runs."""
    with (
        tempfile.TemporaryDirectory() as name,
        embedded_server(folder := Path(name) / "tiled", readable_storage=[folder.parent / "frames"]) as server,
        closing(Taken(folder.parent, server.client())) as session,
    ):
        session.frames(64 if quick else 500, EXPOSURE_S)
        devices, (x, y) = [session.detector, session.stage], session.actuators
        (count,) = session.RE(bp.count(devices, num=3))
        (grid,) = session.RE(bp.grid_scan(devices, x, 2, 8, 3, y, 2, 8, 3))
        session.frames(ANNOUNCED, EXPOSURE_S)
        aborted = session.abort(TAKEN)
        rows = [session.row("count", count, 3), session.row("grid scan", grid, 9)]
        first = session.table()
        session.restart()
        rows.append(counted("runs that a restart takes again", session.agent.catch_up(), 0))
        session.agent.analyse(count, grid)
        rows += [session.row("count, replayed", count, 3), session.row("grid, replayed", grid, 9)]
        keys = first.index[first["raw_uid"].eq(grid)][4:]
        for key in keys:
            session.client["ainerd/results"].delete_contents(key, recursive=True, external_only=False)
        session.restart()
        session.agent.catch_up()
        rows.append(session.row(f"grid scan, {len(keys)} of 9 taken by the next agent", grid, 9))
        (one,) = first[first["raw_uid"].eq(aborted)].to_dict("records")
        found = f"{one['status']}, {one['n_frames']} frames, tau {one['tau_s']:.3g} s"
        holds = one["status"] == "partial" and one["n_frames"] == TAKEN and one["tau_s"] > 0
        rows.append({"what": "aborted run", "found": found, "wanted": f"partial, {TAKEN} frames, tau", "holds": holds})
    report("numbers_runs", rows, quick=quick)


@study.part
def time_(quick: bool = False) -> None:
    """Measure the time per frame; the steps take turns, and the best time counts."""
    frames = np.random.default_rng(0).poisson(0.5, (500 if quick else 2000, PIXELS)).astype(np.uint16)
    partitions, steps = {n: rings(n) for n in (1, 8)}, {"maps": maps, "maps and g2": maps_and_g2, "screened": screened}
    best = {(n, step): np.inf for n in partitions for step in steps}
    for step in steps.values():
        step(frames[:200], partitions[1])  # compiles
    for _ in track(range(2 if quick else 5), description="rounds", transient=True):
        for n, step in best:
            began = time.process_time()
            steps[step](frames, partitions[n])
            best[n, step] = min(best[n, step], (time.process_time() - began) / len(frames) * 1e6)
    rows = [
        {
            "rings × sectors": f"{n} × 18",
            **{f"{step} (µs a frame)": best[n, step] for step in steps},
            "to one ring": best[n, "screened"] / best[1, "screened"],
        }
        for n in partitions
    ]
    report("numbers_time", rows, quick=quick)


def counted(what: str, found: int, wanted: int) -> Row:
    """Return a row of a count."""
    return {"what": what, "found": found, "wanted": wanted, "holds": found == wanted}


class Taken(Session):
    """A session with an open shutter."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.agent.attach(self.RE)
        self.RE(bps.mv(self.instrument.shutter, "open"))

    def restart(self) -> None:
        """Close the agent, and start the next."""
        self.agent.close()
        self.start_agent()
        self.agent.attach(self.RE)

    def abort(self, n: int) -> str:
        """Abort an exposure when `n` of its frames are announced, and return its uid."""
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
                self.RE(expose(self.detector, beside=self.actuators), pause)
            threading.Timer(0.5, enough.set).start()  # the detector is stopped meanwhile
            (uid,) = self.RE.abort()
        return uid

    def table(self) -> pd.DataFrame:
        """Wait for all results, and return their table."""
        if not self.agent.drain(600):
            raise TimeoutError("the analysis takes longer than ten minutes")
        return self.agent.results.table()

    def row(self, name: str, uid: str, wanted: int) -> Row:
        """Return the number of events of a run that have a complete result; negative if there are other results."""
        mine = self.table().query("raw_uid == @uid")
        complete = mine[mine["status"].eq("complete")]["event"].nunique()
        return counted(f"{name}: complete results", complete if complete == len(mine) else -len(mine), wanted)


def rings(n: int) -> Partition:
    """Return `n` rings of 18 bins, in four static rings each."""
    size = PIXELS // (18 * n)
    roi_map = np.repeat(np.arange(1, 18 * n + 1), size).reshape(18 * n, size)
    return Partition.from_roi_map(roi_map, static_map=np.tile(np.arange(size) * 4 // size + 1, (18 * n, 1)))


def maps(frames: NDArray[np.uint16], partition: Partition) -> None:
    """Reduce frames to maps."""
    reducer = TwoTimeReducer(partition, len(frames))
    for begin in range(0, len(frames), BLOCK):
        reducer.push(frames[begin : begin + BLOCK])


def maps_and_g2(frames: NDArray[np.uint16], partition: Partition) -> None:
    """Reduce frames to maps and g2."""
    reducer, correlator = TwoTimeReducer(partition, len(frames)), MultiTau(partition, len(frames))
    for begin in range(0, len(frames), BLOCK):
        reducer.push(frames[begin : begin + BLOCK])
        correlator.push(frames[begin : begin + BLOCK])


def screened(frames: NDArray[np.uint16], partition: Partition) -> None:
    """Screen frames, and reduce them to maps and g2."""
    _numbers_spoilt.analysed(frames, partition)


if __name__ == "__main__":
    study()
