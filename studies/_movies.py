"""Files of frames: how fast they are read and reduced, by one process and by several."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray
from pyFAI.detectors import Detector
from rich.progress import track

from ainerd.documents import FrameReader, Whole
from ainerd.dynamics import Dynamics
from ainerd.techniques.rheo_xpcs import Field, Picture
from ainerd.xpcs import Partition, TwoTimeReducer, split
from sim_devices import DATASET, FrameFile, FrameMaker, Geometry, SpeckleMovie
from studies._tools import Row, forget_peak, memory_mb, seconds

BLOCK = 50
PERIOD_S = 0.01


def reduced(blocks: Iterator[NDArray], partition: Partition, n_frames: int) -> NDArray:
    """Return the maps of frames."""
    reducer = TwoTimeReducer(partition, n_frames)
    for block in blocks:
        reducer.push(block)
    return reducer.maps()


# one run by several processes


def parallel(n_frames: int, numbers: list[int]) -> Iterator[Row]:
    """Yield the time that one run takes on each number of workers, and the peak of memory of the largest worker.

    Frames have 128 × 192 pixels with .02 photons each, in four rings of 18 sectors. Each worker reads the whole file
    for its part of the pixels.
    """
    from distributed import Client, LocalCluster

    with TemporaryDirectory() as folder:
        path, partition = Path(folder) / "run.h5", rings()
        write_run(path, partition.shape, n_frames)
        first_bin, whole = split(partition, partition.n_roi)[0], None
        for n in numbers:
            with (
                LocalCluster(n, threads_per_worker=1, dashboard_address=None, silence_logs="ERROR") as cluster,
                Client(cluster, set_as_default=False) as client,
            ):
                client.run(maps_of, first_bin, path, 512)  # imports, compiles
                began = time.perf_counter()
                jobs = client.map(partial(maps_of, path=path, n_frames=n_frames), split(partition, n), pure=False)
                parts = client.gather(jobs)
                took = time.perf_counter() - began
            maps = np.concatenate([part for part, _ in parts])
            whole = maps if whole is None else whole
            yield {
                "workers": n,
                "T": n_frames,
                "bins": partition.n_roi,
                "pixels": len(partition.pixels),
                "wall (s)": took,
                "most memory of a worker (MB)": max(peak for _, peak in parts),
                "same bits": str(np.array_equal(maps, whole)),
            }


def maps_of(part: Partition, path: Path, n_frames: int) -> tuple[NDArray, float]:
    """Return the maps of a part's bins, and the memory that they took in MB."""
    forget_peak()
    before = memory_mb()
    reader = FrameReader(path, DATASET, part.pixels, part.shape, swmr=False)
    maps = reduced(reader.blocks(0, n_frames), part, n_frames)
    reader.close()
    return maps, memory_mb("VmHWM") - before


def rings() -> Partition:
    """Return four rings of 18 sectors on 128 × 192 pixels."""
    return Partition.annular(
        detector=Detector(pixel1=55e-6, pixel2=55e-6, max_shape=(128, 192)),
        beam_center_px=(64.0, 96.0),
        distance_m=6.0,
        energy_keV=11.0,
        q_range_inv_nm=(0.005, 0.031),
        n_q=4,
        n_phi=18,
    )


def write_run(path: Path, shape: tuple[int, int], n_frames: int, distinct: int = 2000) -> None:
    """Write a movie of `distinct` frames again and again, a chunk each, as a detector writes them."""
    distinct = min(distinct, n_frames)
    counts = np.random.default_rng(0).poisson(0.02, (distinct, *shape)).astype(np.uint16)
    with h5py.File(path, "w", libver="latest") as file:
        frames = file.create_dataset(
            DATASET, (n_frames, *shape), np.uint16, chunks=(1, *shape), **hdf5plugin.Bitshuffle(cname="lz4")
        )
        frames[:distinct] = counts
        chunks = [frames.id.read_direct_chunk((t, 0, 0))[1] for t in range(distinct)]
        for t in track(range(distinct, n_frames), description=f"{n_frames:,} frames"):
            frames.id.write_direct_chunk((t, 0, 0), chunks[t % distinct])


# reading


class Sees:
    """A picture without the rest of an exposure."""

    def __init__(self, picture: Picture) -> None:
        self.every, self.whole = picture.every, picture.see


def read(folder: Path, frames: int, level: float, rounds: int) -> Iterator[Row]:
    """Yield the rates of all ways to read one exposure, compressed by bitshuffle and LZ4, and uncompressed."""
    geometry = Geometry()
    partition = Partition.annular(
        detector=geometry.detector,
        beam_center_px=geometry.beam_center_px,
        distance_m=geometry.distance_m,
        energy_keV=geometry.energy_keV,
        q_range_inv_nm=geometry.q_range_inv_nm,
        n_q=1,
        n_phi=18,
        mask=geometry.bad_pixels,
    )
    field = Field.of(geometry.bad_pixels.shape, geometry.q_inv_nm, geometry.bad_pixels)

    def by_reader(path: Path, picture: bool = False) -> Iterator[NDArray]:
        whole = Whole(Sees(Picture(field, frames, partition.n_roi))) if picture else None
        reader = FrameReader(path, DATASET, partition.pixels, partition.roi_map.shape, swmr=False)
        yield from reader.blocks(0, frames, BLOCK, whole=whole)
        reader.close()

    def by_h5py(path: Path) -> Iterator[NDArray]:
        with h5py.File(path) as file:
            data = file[DATASET]
            for start in range(0, frames, BLOCK):
                yield np.stack(
                    [data[i].ravel().take(partition.pixels) for i in range(start, min(start + BLOCK, frames))]
                )

    ways = {
        "reader": lambda path: sum(map(len, by_reader(path))),
        "reader to maps": lambda path: reduced(by_reader(path), partition, frames),
        "reader, picture": lambda path: sum(map(len, by_reader(path, picture=True))),
        "reader to maps, picture": lambda path: reduced(by_reader(path, picture=True), partition, frames),
        "h5py to maps": lambda path: reduced(by_h5py(path), partition, frames),
    }
    ageing = Dynamics(family="ageing", tau_s=1.0, ageing=1.0)
    compressed = write_exposure(folder, geometry, ageing, frames, level, PERIOD_S)
    files = {"bitshuffle-LZ4": compressed, "uncompressed": write_uncompressed(folder, compressed)}
    for path in files.values():  # fills the page cache, compiles, and shows that both ways give the same
        if not np.array_equal(ways["reader to maps"](path), ways["h5py to maps"](path), equal_nan=True):
            raise RuntimeError(f"{path}: the reader and h5py differ")
    best = {(name, way): np.inf for name in files for way in ways}
    for _ in track(range(rounds), description="rounds"):
        for name, way in best:
            best[name, way] = min(best[name, way], seconds(partial(ways[way], files[name])))
    for name, path in files.items():
        yield {
            "file": name,
            "MB": path.stat().st_size / 1e6,
            **{f"{way} (frames/s)": frames / best[name, way] for way in ways},
            "time with picture / without": best[name, "reader to maps, picture"] / best[name, "reader to maps"],
            "to maps, reader / h5py": best[name, "h5py to maps"] / best[name, "reader to maps"],
        }


def write_exposure(
    folder: Path, geometry: Geometry, dynamics: Dynamics, frames: int, level: float, period_s: float, **options: Any
) -> Path:
    """Write a simulated exposure as the simulated detector does; `options` are of `SpeckleMovie`."""
    rng, maker = np.random.default_rng(0), FrameMaker(geometry)
    times, phi = np.arange(frames) * period_s, geometry.phi_deg.ravel()[maker.ring]
    movie = SpeckleMovie(dynamics, times + period_s / 2, phi, contrast=0.2, rng=rng, **options)
    file, written = FrameFile(folder, "compressed", geometry.pixel_mask), 0
    for intensity in movie.blocks():
        levels = np.full(len(intensity), level)
        counts = maker.count(intensity, levels, period_s, rng)
        file.append(maker.encode(counts, levels, period_s, rng), times[written : written + len(counts)])
        written += len(counts)
    file.close()
    return file.path


def write_uncompressed(folder: Path, compressed: Path) -> Path:
    """Write the same frames, chunk for chunk without a filter."""
    path = folder / "uncompressed.h5"
    with h5py.File(compressed) as source, h5py.File(path, "w", libver="latest") as file:
        frames = source[DATASET]
        target = file.create_dataset(DATASET, frames.shape, frames.dtype, chunks=frames.chunks)
        for i in range(len(frames)):
            target[i] = frames[i]
    return path
