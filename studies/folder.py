"""A folder into which a pipeline writes results: files of boost_corr, read by an agent that is killed meanwhile.

Each file must have one run and one complete result. CPU and memory are measured after the last kill.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from agents.demo.aps_8id import SMALL, write_qmap
from ainerd.results import ResultStore
from ainerd.server import EmbeddedServer, embedded_server
from studies import _exposures, _other_programs
from studies._tools import Row, Study, report

PROFILE = SMALL.parents[1] / "aps_8id" / "agent.toml"
WATCH = [sys.executable, "-m", "ainerd", "watch", "--config", str(PROFILE)]
SLOW_S = 900.0
DIFFERENT = 10  # result files of different maps; the others differ from them in the position alone

study = Study(__doc__)


@study.part
def results(files: int = 1000, kills: int = 20, seed: int = 0) -> None:
    """Kill the agent while result files of boost_corr are read, until two in five are, and judge all results.

    CPU and memory are those of the second half.
    """
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name, beamline(Path(name)) as place:
        place.source = f"results:{place.folder / 'data'}"
        place.watch()
        write_results(place.folder / "data", files, rng)
        raw = lambda: len(place.client()["raw"]) if "raw" in place.client() else 0  # noqa: E731
        for k in range(kills):
            wait_until(lambda k=k: raw() > 2 * k * files // (5 * kills))
            time.sleep(rng.uniform(0, 1))
            place.kill()
            place.watch()
        wait_until(lambda: raw() >= files // 2)
        first, begun, used = raw(), place.memory_mb(), place.cpu_s()
        wait_until(lambda: place.is_done(files) and raw() >= files)
        row: Row = {"files": files, "kills": place.killed["agent"]}
        row |= {"CPU s a file": (place.cpu_s() - used) / (files - first)}
        row |= {"MB at half": begun, "MB at the end": place.memory_mb(), "most": 1.05 * begun}
        table = ResultStore(place.client()["ainerd"]).table(columns="all")
        runs = Counter(run.metadata["start"]["result_file"]["path"] for run in place.client()["raw"].values())
    wrong = [f"{n} runs of {path}" for path, n in runs.items() if n != 1]
    wrong += [f"{len(runs)} files have a run, {len(table)} results"] * ({len(runs), len(table)} != {files})
    wrong += [f"{path}: {n} results" for path, n in Counter(table["file"]).items() if n != 1]
    wrong += [f"{key}: {status}" for key, status in table["status"].items() if status != "complete"]
    report("folder_results", [row], most={"CPU s a file": 0.3, "MB at the end": "most"}, wrong=wrong, seed=seed)


def write_results(folder: Path, files: int, rng: np.random.Generator) -> None:
    """Write result files of boost_corr, each at a position of its own."""
    bins = _exposures.bins((300,) * 4, (45.0, 135.0, 225.0, 315.0))
    for k in range(files):
        path = folder / f"result_{k:04d}.part"
        if k < DIFFERENT:
            counts = _exposures.frames(_exposures.ordinary(rng), 256, bins.shape, rng, photons=500.0, modes=5)
            with h5py.File(path, "w") as file:
                _other_programs.boost_corr(file, counts, bins)
                file["entry/sample/position_x"], file["entry/sample/position_y"] = 0.0, 0.0
        else:
            shutil.copy(folder / f"result_{k % DIFFERENT:04d}.hdf", path)
        with h5py.File(path, "r+") as file:
            for name, x in zip("xy", rng.uniform(0, 10, 2), strict=True):
                file[f"entry/sample/position_{name}"][()] = x
                file[f"entry/sample/position_{name}"].attrs["units"] = "mm"
        path.rename(path.with_suffix(".hdf"))


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait, also while the server is busy."""
    end = time.monotonic() + 4 * SLOW_S
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("results do not come any more")
        time.sleep(0.5)


class Beamline:
    """A folder of acquisitions, a server, and the processes of the agent and of the script."""

    def __init__(self, folder: Path, server: EmbeddedServer) -> None:
        self.folder, self._server, self.killed = folder, server, Counter[str]()
        self.source = f"folder:{folder / 'data'}"
        self._log = open(folder / "watch.log", "a")  # noqa: SIM115  (closed with the processes)
        self._agent: subprocess.Popen[bytes] | None = None
        key = str(server.client().context.api_key)
        self._environment = os.environ | {
            "AINERD_STORAGE__URI": server.uri,
            "AINERD_STORAGE__API_KEY": key,
            "AINERD_STORAGE__DIRECTORY": str(folder / "agent"),
            "AINERD_STORAGE__FRAMES": json.dumps([str(folder / "data")]),
            "AINERD_RHEO_XPCS__PARTITION__FILE": str(folder / "qmap.hdf"),
        }

    def watch(self) -> None:
        """Start the agent, unless it runs."""
        if self._agent is None or self._agent.poll() is not None:
            command = [*WATCH, "--source", self.source]
            self._agent = subprocess.Popen(command, env=self._environment, stdout=self._log, stderr=self._log)

    def kill(self) -> None:
        """Kill the agent."""
        assert self._agent is not None
        self._agent.kill()
        self._agent.wait()
        self.killed["agent"] += 1

    def client(self) -> Any:
        """Return the catalog."""
        return self._server.client()

    def is_done(self, n: int) -> bool:
        """Return whether `n` results are finished."""
        statuses = ResultStore(self.client()["ainerd"]).table()["status"]
        return int(statuses.isin(["complete", "partial", "failed"]).sum()) >= n

    def cpu_s(self) -> float:
        """Return the CPU time of the agent so far."""
        assert self._agent is not None
        fields = Path(f"/proc/{self._agent.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Return the resident memory of the agent."""
        assert self._agent is not None
        lines = Path(f"/proc/{self._agent.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000

    def close(self) -> None:
        """End the agent."""
        if self._agent is not None:
            self._agent.kill()
            self._agent.wait()
        self._log.close()


@contextmanager
def beamline(folder: Path) -> Iterator[Beamline]:
    """Open a beamline in a folder."""
    (folder / "data").mkdir()
    write_qmap(folder / "qmap.hdf")
    with embedded_server(folder / "tiled", readable_storage=[folder / "data"]) as server:
        place = Beamline(folder, server)
        try:
            yield place
        finally:
            place.close()


if __name__ == "__main__":
    study()
