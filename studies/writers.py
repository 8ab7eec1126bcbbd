"""Whether the agent disturbs detectors that keep their file open, or open it again for each block of frames.

Scans are taken in turn with the agent attached and without it. Writers are of four kinds: with SWMR, the file stays
open; without, it is opened and closed for each block of frames; each in the agent's process and in another. The time of
a block is that to open the file, write, and flush or close it, measured where it is written. The frames are those of a
file, so that making them takes no time. The study fails if a point fails or has no complete result, or if the median or
the 95 % quantile of these times is more than 1.1 times that without the agent.
"""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import FailedStatus
from bluesky import plans as bp
from numpy.typing import NDArray
from ophyd.sim import SynAxis
from rich.progress import track
from tiled.client.container import Container

from ainerd.server import embedded_server
from sim_devices import Recording, WrittenElsewhere, WrittenFile
from studies._session import Session
from studies._tools import Row, Study, bootstrap, report

MOST, PATIENCE_S = 1.1, 600.0  # ratio of the times with the agent and without; longest wait for results
QUANTILES = {"median": 0.5, "95 %": 0.95}
KINDS = {
    f"{name}, {where}": (kind, how)
    for name, how in (("SWMR", "open with SWMR"), ("again", "opened again"))
    for where, kind in (("here", WrittenFile), ("elsewhere", WrittenElsewhere))
}

study = Study(__doc__)


@study.part
def writers(points: int = 20, frames: int = 100, pairs: int = 12, exposure_s: float = 0.25) -> None:
    """Take pairs of scans with each kind of writer, and compare the times of a block."""
    with tempfile.TemporaryDirectory() as name, scans_in(Path(name), frames, exposure_s) as scans:
        rows = [compared(scans, kind, points, pairs) for kind in KINDS]
    bar = {"missing": 0, "failed": 0} | dict.fromkeys(QUANTILES, MOST)
    report("writers", rows, most=bar, points=points, frames=frames, pairs=pairs, exposure_s=exposure_s)


class Scans(Session):
    """A session whose detector gives the frames of a file to writers of one kind."""

    def __init__(self, folder: Path, client: Container, frames: int, exposure_s: float) -> None:
        self._kind: str = next(iter(KINDS))
        self._file: Any = None
        super().__init__(folder, client, speed=1.0, open_file=self._open)
        self.x = SynAxis(name="sample_x")
        self.instrument.shutter.set("open").wait(10)
        self.frames(frames, exposure_s)
        self.RE(bp.count([self.detector]))
        self.detector.recording = Recording(self._file.path, self.detector.geometry)

    def scan(self, kind: str, points: int) -> tuple[str, list[float]]:
        """Take a scan; return its uid and the times of the blocks, in s."""
        self._kind = kind
        (uid,) = self.RE(bp.scan([self.detector], self.x, 1, 7, points))
        return uid, self._file.seconds

    def with_agent(self, kind: str, points: int) -> tuple[int, list[float]]:
        """Take a scan with the agent attached; return the number of complete results, and the times."""
        self.agent.attach(self.RE)
        uid, times = self.scan(kind, points)
        if not self.agent.drain(PATIENCE_S):
            raise TimeoutError("the analysis takes longer than ten minutes")
        self.agent.detach()
        table = self.agent.results.table("complete")
        return int((table["raw_uid"] == uid).sum()), times

    def _open(self) -> WrittenFile | WrittenElsewhere:
        kind, how = KINDS[self._kind]
        self._file = kind(self.settings.storage.frames[0], self.detector.geometry.frame_shape, how)
        return self._file


@contextmanager
def scans_in(folder: Path, frames: int, exposure_s: float) -> Iterator[Scans]:
    """Yield a session with a server of its own, after a first scan, which calibrates the bank."""
    with (
        embedded_server(folder / "tiled", readable_storage=[folder / "frames"]) as server,
        closing(Scans(folder, server.client(), frames, exposure_s)) as scans,
    ):
        scans.with_agent(next(iter(KINDS)), 3)
        yield scans


def compared(scans: Scans, kind: str, points: int, pairs: int) -> Row:
    """Take pairs of scans, and return scans that failed, missing results, and times alone with the ratios to them."""
    quantiles, n_complete, n_failed = list[NDArray[np.float64]](), 0, 0
    for pair in track(range(pairs), description=kind):
        times = {}
        for attached in (True, False) if pair % 2 else (False, True):
            try:
                if attached:
                    n, times[attached] = scans.with_agent(kind, points)
                    n_complete += n
                else:
                    _, times[attached] = scans.scan(kind, points)
            except FailedStatus:
                n_failed += 1
                scans.agent.detach()
        if len(times) == 2:
            quantiles.append(np.array([np.quantile(times[which], [*QUANTILES.values()]) for which in (False, True)]))
    row: Row = {"writer": kind, "failed": n_failed, "missing": points * pairs - n_complete}
    for (name, _), values in zip(
        QUANTILES.items(), np.moveaxis(quantiles or [np.full((2, 2), np.nan)], 2, 0), strict=True
    ):
        ratio = np.log(values[:, 1] / values[:, 0])
        low, high = bootstrap(np.exp, ratio)
        row |= {f"{name} (ms)": 1e3 * np.median(values[:, 0]), name: np.exp(ratio.mean())}
        row |= {f"interval of {name}": f"[{low:.2f}, {high:.2f}]"}
    return row


if __name__ == "__main__":
    study()
