"""Files of frames: how fast they are read and reduced."""

from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray
from pyFAI.detectors import Detector
from rich.progress import track

from ainerd.documents import FrameReader
from ainerd_xpcs import Partition, TwoTimeReducer
from sim_devices import DATASET, Geometry
from studies._tools import Row, seconds

BLOCK = 50
DISTINCT = 50  # frames of a movie, which are repeated
LARGE = {"Eiger 4M": ((2167, 2070), 75e-6), "Lambda 2M": ((1813, 1558), 55e-6)}  # shape, size of a pixel
PACKED = dict(hdf5plugin.Bitshuffle(cname="lz4"))


def reduced(blocks: Iterator[NDArray], partition: Partition, n_frames: int, **options: Any) -> NDArray:
    """Return the maps of frames; `options` are those of the reducer."""
    reducer = TwoTimeReducer(partition, n_frames, **options)
    for block in blocks:
        reducer.push(block)
    return reducer.maps()


def ring_of(geometry: Geometry, **options: Any) -> Partition:
    """Return the ring of a geometry in 18 sectors; `options` are of `Partition.annular`."""
    return Partition.annular(
        beam_center_px=geometry.beam_center_px,
        distance_m=geometry.distance_m,
        energy_keV=geometry.energy_keV,
        q_range_inv_nm=geometry.q_range_inv_nm,
        **{"detector": geometry.detector, "mask": geometry.bad_pixels, **options},
    )


def write_movie(path: Path, mean: NDArray, n_frames: int, dtype: str = "uint16", **compression: Any) -> None:
    """Write counts around a mean (ny, nx), `DISTINCT` frames again and again, a chunk each as a detector does."""
    counts = np.random.default_rng(0).poisson(mean, (min(DISTINCT, n_frames), *mean.shape)).astype(dtype)
    with h5py.File(path, "w", libver="latest") as file:
        shape = n_frames, *mean.shape
        frames = file.create_dataset(DATASET, shape, dtype, chunks=(1, *mean.shape), **compression)
        frames[: len(counts)] = counts
        chunks = [frames.id.read_direct_chunk((t, 0, 0))[1] for t in range(len(counts))]
        for t in track(range(len(counts), n_frames), description=f"{n_frames:,} frames"):
            frames.id.write_direct_chunk((t, 0, 0), chunks[t % DISTINCT])


def by_reader(path: Path, partition: Partition, n_frames: int) -> Iterator[NDArray]:
    """Yield the gathered pixels of a file's frames in blocks."""
    reader = FrameReader(path, DATASET, partition.pixels, partition.shape)
    yield from reader.blocks(0, n_frames, BLOCK)
    reader.close()


def by_h5py(path: Path, partition: Partition, n_frames: int) -> Iterator[NDArray]:
    """Yield them as h5py reads them."""
    with h5py.File(path) as file:
        for start in range(0, n_frames, BLOCK):
            some = range(start, min(start + BLOCK, n_frames))
            yield np.stack([file[DATASET][i].ravel().take(partition.pixels) for i in some])


def read(folder: Path, frames: int, level: float, rounds: int) -> Iterator[Row]:
    """Yield the rates from a file to maps, compressed by bitshuffle and LZ4, and uncompressed."""
    geometry = Geometry()
    partition = ring_of(geometry)
    for name, compression in {"bitshuffle-LZ4": PACKED, "uncompressed": {}}.items():
        path = folder / f"{name}.h5"
        write_movie(path, level * geometry.profile, frames, **compression)
        ways = [
            partial(lambda way, path: reduced(way(path, partition, frames), partition, frames), way, path)
            for way in (by_reader, by_h5py)
        ]
        if not np.array_equal(ways[0](), ways[1](), equal_nan=True):  # fills the page cache and compiles, too
            raise RuntimeError(f"{path}: the reader and h5py differ")
        times = [[seconds(way) for way in ways] for _ in track(range(rounds), description=name)]
        ours, theirs = np.min(times, axis=0)
        yield {
            "file": name,
            "MB": path.stat().st_size / 1e6,
            "reader to maps (frames/s)": frames / ours,
            "h5py to maps (frames/s)": frames / theirs,
            "reader / h5py": theirs / ours,
        }


def read_large(folder: Path, frames: int, level: float) -> Iterator[Row]:
    """Yield the rates from a file of a large detector to the maps of 18 bins."""
    for (name, (shape, pixel_m)), dtype in product(LARGE.items(), ("uint16", "uint32")):
        middle = (shape[0] / 2, shape[1] / 2)
        geometry = Geometry(shape=shape, beam_center_px=middle, distance_m=6, q_range_inv_nm=(0.01, 0.06))
        partition = ring_of(geometry, detector=Detector(pixel_m, pixel_m, max_shape=shape), mask=None)
        path = folder / "large.h5"
        write_movie(path, np.full(shape, level), frames, dtype, **PACKED)
        one = partial(
            lambda path, partition: reduced(by_reader(path, partition, frames), partition, frames), path, partition
        )
        one()  # fills the page cache and compiles
        took = min(seconds(one) for _ in range(2))
        yield {
            "detector": name,
            "dtype": dtype,
            "pixels of the bins": len(partition.pixels),
            "file (kB/frame)": path.stat().st_size / frames / 1e3,
            "reader to maps (frames/s)": frames / took,
        }
