"""A beamline without Bluesky: a script leaves acquisitions in a folder, and fetches the next position from the agent.

`next` measures how soon after the last file of an acquisition the next position has arrived. `kills` kills the agent
and the Tiled server meanwhile, and counts the results; its exit code is 1 if one is missing, double, or elsewhere.
`results` does the same with files of boost_corr and kills of the agent, and measures CPU and memory after the last one.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
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
from studies._tools import Row, Study, report, spread

PROFILE = SMALL.parents[1] / "aps_8id" / "agent.toml"
WATCH = [sys.executable, "-m", "ainerd", "watch", "--config", str(PROFILE)]
SLOW_S = 900.0
FIRST = 3  # acquisitions in which code is compiled and the bank is calibrated
DIFFERENT = 10  # result files of different maps; the others differ from them in the position alone

study = Study(__doc__)


@study.part
def _next(acquisitions: int = 20, speed: float = 1000.0) -> None:
    """Measure the time from the last file of an acquisition to the next position; an exposure lasts 50 s / speed."""
    with tempfile.TemporaryDirectory() as name, beamline(Path(name)) as place:
        place.watch()
        lines = place.script(acquisitions, speed)
        wrong = place.judged(lines)
    seconds = [line["s"] for line in lines if line["s"] is not None]
    what = "s from the last file of an acquisition to the next position"
    rows = [{"": f"{what}, first {FIRST}"} | spread(seconds[:FIRST]), {"": what} | spread(seconds[FIRST:])]
    report("folder_next", rows, seconds=seconds, speed=speed, wrong=wrong)


@study.part
def kills(acquisitions: int = 20, kills: int = 6, seed: int = 0) -> None:
    """Kill the agent and the server while acquisitions come, and judge the results."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name, beamline(Path(name)) as place:
        place.watch()
        over = threading.Event()
        disturber = threading.Thread(target=place.disturb, args=(kills, rng, over, acquisitions))
        disturber.start()
        try:
            lines = place.script(acquisitions)
        finally:
            over.set()
            disturber.join()
        place.watch()
        wrong = place.judged(lines)
    row = {"acquisitions": len(lines), "agent killed": place.killed["agent"], "server killed": place.killed["server"]}
    row |= {"wrong": len(wrong)}
    report("folder", [row], seed=seed, wrong=wrong)


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

    def script(self, n: int, speed: float = 1000.0) -> list[Row]:
        """Run the script once the agent is there, and return its lines."""
        end, ainerd = time.monotonic() + 120, self._server.client()
        while not ("ainerd" in ainerd and "agents" in ainerd["ainerd"]) and time.monotonic() < end:
            time.sleep(0.5)
        command = [sys.executable, "-m", "agents.demo.aps_8id", str(self.folder / "data"), str(n), f"--speed={speed}"]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=SLOW_S)
        if done.returncode:
            raise RuntimeError(f"the script failed: {done.stderr[-2000:]}\n{self.logged()}")
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def disturb(self, n: int, rng: Any, over: threading.Event, acquisitions: int) -> None:
        """Kill agent and server in turn, `n` times in all, spread over the acquisitions."""
        for k in range(n):
            wanted = 1 + (k * (acquisitions - 1)) // n
            while not over.is_set() and len(list((self.folder / "data").glob("A*"))) < wanted:
                time.sleep(0.05)
            if over.wait(rng.uniform(0, 1.5)):
                return
            if k % 2:
                pid = json.loads((self._server.directory / "server.json").read_text())["pid"]
                os.kill(pid, 9)
                self.killed["server"] += 1
            elif self._agent is not None:
                self.kill()
                over.wait(rng.uniform(0, 2))
            self.watch()

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

    def judged(self, lines: list[Row]) -> list[str]:
        """Wait for the results, and return their faults."""
        end = time.monotonic() + 180
        while True:
            try:
                client = self._server.client()
                table = ResultStore(client["ainerd"]).table(columns="all")
                if (table["status"].isin(["complete", "partial", "failed"])).sum() >= len(lines):
                    break
            except Exception as error:  # noqa: BLE001  (the server may be coming back)
                table = None
                print(f"waiting: {type(error).__name__}", file=sys.stderr)
            if time.monotonic() > end:
                return [f"no result of some acquisitions in 180 s:\n{self.logged()}"]
            time.sleep(0.5)
        time.sleep(2)  # for a double
        store, raw = ResultStore(client["ainerd"]), client["raw"]
        table = store.table(columns="all")
        runs = {run.metadata["start"]["acquisition"]: run for run in raw.values()}
        by_run = table.set_index("raw_uid")
        wrong = [f"{len(table)} results and {len(raw)} runs of {len(lines)}"] * (len(table) != len(lines))
        wrong += [f"{len(runs)} acquisitions in raw"] * (len(runs) != len(lines) or len(raw) != len(lines))
        for line in lines:
            run = runs.get(line["name"])
            if run is None or not run.metadata.get("stop"):
                wrong.append(f"{line['name']} has no whole run")
                continue
            row = by_run.loc[run.metadata["start"]["uid"]]
            if row.ndim != 1 or row["status"] != "complete":
                wrong.append(f"{line['name']}: {row['status']}")
            elif np.abs(np.subtract(line["position"], [row["sample_x"], row["sample_y"]])).max() > 0.005:
                wrong.append(f"{line['name']} at {line['position']}: {row['sample_x']}, {row['sample_y']}")
        statuses = store.suggestions()["status"]
        fetched = [line["next"]["suggestion"] for line in lines if line["next"]]
        wrong += [f"{len(fetched)} of {len(lines) - 1} positions were fetched"] * (len(fetched) != len(lines) - 1)
        wrong += [f"suggestion {id} is {statuses[id]}" for id in fetched if statuses[id] != "measured"]
        return wrong

    def logged(self) -> str:
        """Return the end of the agent's log."""
        return (self.folder / "watch.log").read_text()[-3000:]

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
