"""How fast frames are taken: the limit of the C2 step, the rate that one session follows, and a large detector.

bound     C2 beside the least work of any exact reduction: each count is read once, and added to a row.
live      Frames per second that the whole analysis of an exposure takes, by pixels and photons; one core.
detector  Maps and g2 of a detector of 4 million pixels on two workers, each of some bins: memory, and whether the bits
          are those of one process with other groups of bins.
"""

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import hdf5plugin
import numba as nb
import numpy as np
from distributed import Client, LocalCluster
from numpy.typing import NDArray
from rich.progress import track

from ainerd.documents import FrameReader
from ainerd.technique import RunInfo
from ainerd.threads import one_thread
from ainerd_xpcs import MultiTau, Partition, TwoTimeReducer
from ainerd_xpcs.technique import RheoXPCS
from sim_devices import DATASET
from studies._movies import write_movie
from studies._tools import Row, Study, memory_mb, report, seconds

SIDE, N_BINS = 2048, 128  # of the large detector, in pixels, and its bins
BLOCK = 32  # frames

study = Study(__doc__)


@study.part
def bound(frames: int = 1024) -> None:
    """Measure the C2 step and the least work for frames of several sizes."""
    with one_thread:
        report("rates_bound", list(against_least(frames)), frames=frames)


@study.part
def live(megapixels: int = 40) -> None:
    """Measure the analysis of exposures; each row takes so many pixels of all frames."""
    with one_thread:
        report("rates_live", list(rates(megapixels * 1_000_000)), megapixels=megapixels)


@study.part
def detector(frames: int = 2000, groups: int = 32) -> None:
    """Correlate a large detector on two workers."""
    bins = np.array_split(np.arange(1, N_BINS + 1), groups)
    with tempfile.TemporaryDirectory(prefix="ainerd-rates-") as name:
        path = Path(name) / "movie.h5"
        write_movie(path, np.full((SIDE, SIDE), 0.1), frames, **hdf5plugin.Bitshuffle(cname="lz4"))
        run = partial(correlated, path=path, n_frames=frames)
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            client = Client(cluster)
            began = time.perf_counter()
            on_workers = client.gather(client.map(run, bins))
            took, peaks = time.perf_counter() - began, client.run(memory_mb, "VmHWM")
        here = run(np.concatenate(bins[:2]))
    pairs = zip(zip(*on_workers[:2], strict=True), here, strict=True)
    same = all(np.array_equal(np.concatenate(parts), whole) for parts, whole in pairs)
    row: Row = {"pixels": SIDE**2, "frames": frames, "clock (s)": took, "memory of a worker (MB)": max(peaks.values())}
    row["the same bits"] = "yes" if same else "no"
    most, least = {"memory of a worker (MB)": 2000.0}, {"the same bits": 1.0}
    report("rates_detector", [row], most=most, least=least, groups=groups)


def against_least(n_frames: int) -> Iterator[Row]:
    """Yield a row for each size of the frame: rates in 10⁶ pixels/s."""
    rng = np.random.default_rng(0)
    for n_pixels in (10_000, 100_000, 1_000_000, 4_000_000):
        line = np.arange(n_pixels // 1000)[:, None] + np.zeros((1, 1000), int)
        partition = Partition.from_roi_map(line // 10 + 1, static_map=line + 1)
        block = rng.poisson(0.5, (BLOCK, n_pixels)).astype(np.uint16)
        rows, n_blocks = np.zeros((256, n_pixels), np.float32), max(2, n_frames * 10_000 // n_pixels // BLOCK)
        reducer = TwoTimeReducer(partition, 256 * BLOCK * n_blocks)  # rows of many frames, as those of a long run
        ways = {"C2": reducer.push, "least work": partial(least_work, rows=rows)}
        rates = {}
        for name, way in ways.items():
            way(block)  # compiles
            rates[name] = BLOCK * n_pixels / seconds(partial(way, block), 2 * n_blocks) / 1e6
        yield {
            "pixels": n_pixels,
            **{f"{name} (Mpx/s)": rate for name, rate in rates.items()},
            "least work / C2": rates["least work"] / rates["C2"],
            "least work (GB/s)": rates["least work"] * 10 / 1000,  # 2 bytes of a count, 4 of a row read and written
        }


@nb.njit(fastmath=True)
def least_work(block: NDArray, rows: NDArray) -> None:
    """Add each frame to one row."""
    for b in range(block.shape[0]):
        frame, row = block[b], rows[b % rows.shape[0]]
        for p in range(frame.size):
            row[p] += frame[p]


def rates(n: int) -> Iterator[Row]:
    """Yield the frames per second that are screened, reduced to maps and correlated, without reading them."""
    for n_pixels in (10_000, 100_000, 500_000):
        n_bins, n_frames = 20, max(n // n_pixels, 200)
        partition = Partition.from_roi_map(np.repeat(np.arange(1, n_bins + 1), n_pixels // n_bins).reshape(n_bins, -1))
        row: Row = {"pixels": n_pixels}
        for photons in (0.01, 0.1, 1.0):
            exposure = RheoXPCS(partition).begin(
                RunInfo(raw_uid="run", n_frames=20 * n_frames, frame_shape=partition.shape, frame_time_s=0.001)
            )  # it calibrates after a tenth of the frames, which do not come
            took = 0.0
            for first, block in track(movie(n_pixels, n_frames, photons), f"{n_pixels} pixels", n_frames // BLOCK):
                began = time.perf_counter()
                exposure.push(block, first)
                took += (time.perf_counter() - began) * (first >= n_frames // 2)
            row[f"{photons:g} photons (frames/s)"] = (n_frames - n_frames // 2) / took
        yield row


def movie(n_pixels: int, n_frames: int, photons: float) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    """Yield blocks of counts of speckle that relaxes in 20 blocks, with the number of the first frame."""
    rng = np.random.default_rng(0)
    field = rng.normal(size=(2, n_pixels))
    for first in range(0, n_frames - BLOCK + 1, BLOCK):
        field = 0.95 * field + np.sqrt(1 - 0.95**2) * rng.normal(size=field.shape)
        yield first, rng.poisson(0.5 * photons * (field**2).sum(0), (BLOCK, n_pixels)).astype(np.uint16)


def correlated(bins: NDArray[np.int64], path: Path, n_frames: int) -> tuple[NDArray, NDArray, NDArray]:
    """Return the maps of some bins of the large detector, and g2 with its errors."""
    whole = np.repeat(np.arange(1, N_BINS + 1), SIDE**2 // N_BINS).reshape(SIDE, SIDE)
    part = Partition.from_roi_map(whole).only(bins)
    reader = FrameReader(path, DATASET, part.pixels, part.shape)
    reducer, correlator = TwoTimeReducer(part, n_frames), MultiTau(part)
    for block in reader.blocks(0, n_frames, BLOCK):
        reducer.push(block)
        correlator.push(block)
    g2 = correlator.result()
    return reducer.maps(), g2.value, g2.error


if __name__ == "__main__":
    study()
