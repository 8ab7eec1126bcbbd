"""Files with two-time maps of another program, ingested into a catalogue: each once across kills, and memory.

``ainerd ingest`` runs as a process, is killed after a share of the files, and started again with the same files. In
the end each file must have one run and one complete result; the exit code is 1 otherwise. The files have the layout
of boost_corr. ``--quick`` takes 60 files.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np

from ainerd.results import ResultStore
from ainerd.server import EmbeddedServer, embedded_server, open_catalog
from studies._tools import Study, memory_mb, report

T, N_BINS, PIXELS = 128, 3, 40
LIMIT_S = 3600.0

study = Study(__doc__)


@study.part
def kills(n_files: int = 1000, n_kills: int = 5, quick: bool = False) -> None:
    """Ingest files with kills, then more files in one process, and count runs, results and memory."""
    n_files, n_kills = (60, 3) if quick else (n_files, n_kills)
    with TemporaryDirectory() as name, embedded_server(Path(name) / "tiled") as server:
        files = [written(Path(name) / f"run_{k:04d}_Twotime.hdf", k) for k in range(n_files)]
        first = n_files // 4
        began = time.monotonic()
        ends = np.linspace(0, first, n_kills + 2)[1:-1].astype(int)
        for end in ends:
            Ingest(server, files[:first]).until(int(end), kill=True)
        used = Ingest(server, files).until(n_files, kill=False)
        minutes = (time.monotonic() - began) / 60
        raw, ainerd = open_catalog(server.client())
        table = ResultStore(ainerd, agent="files").table(columns="all")
        n_runs = len(raw)
        counted = table[table["status"] == "complete"].groupby("file").size()
        once = int((counted == 1).sum())
        row = {
            "files": n_files, "kills": len(ends), "with one result": once, "results": len(table), "runs": n_runs,
            "memory early (MB)": used[0][1], "half way (MB)": used[len(used) // 2][1], "late (MB)": used[-1][1],
            "minutes": minutes,
        }  # fmt: skip
    report("files", [row], n_files=n_files, n_kills=n_kills, memory=used)
    sys.exit(not (once == len(table) == n_runs == n_files))


class Ingest:
    """The command in a process of its own."""

    def __init__(self, server: EmbeddedServer, files: list[Path]) -> None:
        self._server = server
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ainerd", "ingest", *map(str, files), "--tiled", server.uri],
            env=os.environ | {"AINERD_STORAGE__API_KEY": server.api_key},
            stdout=subprocess.DEVNULL,
        )

    def until(self, n_runs: int, *, kill: bool) -> list[tuple[int, float]]:
        """Wait until the catalogue has so many runs, then kill the process or wait for its end.

        Return how many runs there are and its memory in MB, by and by, from the first new run on.
        """
        used, raw = list[tuple[int, float]](), open_catalog(self._server.client())[0]
        there, end = len(raw), time.monotonic() + LIMIT_S
        while self._process.poll() is None and time.monotonic() < end:
            seen = len(raw)
            if kill and seen >= n_runs:
                break
            if there < seen < n_runs:
                used.append((seen, memory_mb(process=self._process.pid)))
            time.sleep(0.2)
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        code = self._process.wait()
        if code != (-signal.SIGKILL if kill else 0):
            raise RuntimeError(f"ainerd ingest of {n_runs} runs ended with status {code}")
        return used


def written(path: Path, seed: int) -> Path:
    """Write the maps of a simulated relaxation as boost_corr does: above the diagonal, and with shot noise on it."""
    rng = np.random.default_rng(seed)
    keep = np.exp(-1 / rng.choice([8.0, 300.0]))
    field = np.empty((T, N_BINS, PIXELS), complex)
    kicks = rng.normal(size=(*field.shape, 2)) @ np.array([1, 1j])
    field[0] = kicks[0]
    for t in range(1, T):
        field[t] = keep * field[t - 1] + np.sqrt(1 - keep**2) * kicks[t]
    counts = rng.poisson(10 * np.abs(field) ** 2).astype(float)
    roi = np.repeat(np.arange(1, N_BINS + 1), PIXELS).reshape(-1, 10)
    with h5py.File(path, "w") as file:
        for k in range(N_BINS):
            d = counts[:, k] / np.maximum(counts[:, k].mean(1, keepdims=True), 1e-9)
            file[f"xpcs/twotime/correlation_map/c2_{k + 1:05d}"] = np.triu(d @ d.T / PIXELS).astype(np.float32)
        file["xpcs/twotime/processed_bins"] = np.arange(1, N_BINS + 1)
        file["xpcs/twotime/config/avg_frame"], file["xpcs/twotime/config/stride_frame"] = 1, 1
        file["entry/instrument/detector_1/frame_time"] = 0.02
        file["entry/start_time"] = "2026-03-01T08:00:00+00:00"
        file["xpcs/temporal_mean/scattering_2d"] = np.full((1, *roi.shape), counts.mean())
        bins = file.create_group("xpcs/qmap")
        bins["dynamic_roi_map"], bins["mask"] = roi, np.ones(roi.shape, "u1")
        bins["map_names"] = [b"q", b"phi"]
        bins["dynamic_v_list_dim0"], bins["dynamic_v_list_dim1"] = np.arange(2, 2 + N_BINS) / 1000, [0.0]
        bins["dynamic_index_mapping"] = np.arange(N_BINS)
    return path


if __name__ == "__main__":
    study()
