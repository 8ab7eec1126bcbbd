"""Files of frames: how fast they are read and reduced."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from ainerd.documents import FrameReader
from ainerd_xpcs import Partition, TwoTimeReducer
from sim_devices import DATASET, Geometry
from studies._tools import Row, seconds

BLOCK = 50
DISTINCT = 50  # frames of a movie, which are repeated


def reduced(blocks: Iterator[NDArray], partition: Partition, n_frames: int, **options: Any) -> NDArray:
    """Return the maps of frames; `options` are those of the reducer."""
    reducer = TwoTimeReducer(partition, n_frames, **options)
    for block in blocks:
        reducer.push(block)
    return reducer.maps()


def write_movie(path: Path, mean: NDArray, n_frames: int, **compression: Any) -> None:
    """Write counts around a mean (ny, nx), `DISTINCT` frames again and again, a chunk each as a detector does."""
    counts = np.random.default_rng(0).poisson(mean, (min(DISTINCT, n_frames), *mean.shape)).astype(np.uint16)
    with h5py.File(path, "w", libver="latest") as file:
        shape = n_frames, *mean.shape
        frames = file.create_dataset(DATASET, shape, "uint16", chunks=(1, *mean.shape), **compression)
        frames[: len(counts)] = counts
        chunks = [frames.id.read_direct_chunk((t, 0, 0))[1] for t in range(len(counts))]
        for t in track(range(len(counts), n_frames), description=f"{n_frames:,} frames"):
            frames.id.write_direct_chunk((t, 0, 0), chunks[t % DISTINCT])


def by_reader(path: Path, partition: Partition, n_frames: int) -> Iterator[NDArray]:
    """Yield the gathered pixels of a file's frames in blocks."""
    reader = FrameReader(path, DATASET, partition.pixels, partition.shape)
    yield from reader.blocks(0, n_frames, BLOCK)


def by_whole_chunks(path: Path, partition: Partition, n_frames: int) -> Iterator[NDArray]:
    """Yield them by the reader with hdf5plugin's filter, which unpacks whole chunks."""
    with patch("ainerd.documents._bslz4.LZ4_DECOMPRESS", None):
        yield from by_reader(path, partition, n_frames)


def by_h5py(path: Path, partition: Partition, n_frames: int) -> Iterator[NDArray]:
    """Yield them as h5py reads them."""
    with h5py.File(path) as file:
        for start in range(0, n_frames, BLOCK):
            some = range(start, min(start + BLOCK, n_frames))
            yield np.stack([file[DATASET][i].ravel().take(partition.pixels) for i in some])


def read(folder: Path, frames: int, level: float, rounds: int) -> Iterator[Row]:
    """Yield the rates from a file to maps, compressed by bitshuffle and LZ4, and uncompressed."""
    geometry = Geometry()
    partition = Partition.annular(
        detector=geometry.detector,
        beam_center_px=geometry.beam_center_px,
        distance_m=geometry.distance_m,
        energy_keV=geometry.energy_keV,
        q_range_inv_nm=geometry.q_range_inv_nm,
        mask=geometry.bad_pixels,
    )
    packed = dict(hdf5plugin.Bitshuffle(cname="lz4"))
    for name, compression in {"bitshuffle-LZ4": packed, "uncompressed": {}}.items():
        path = folder / f"{name}.h5"
        write_movie(path, level * geometry.profile, frames, **compression)
        ways = [
            partial(lambda way, path: reduced(way(path, partition, frames), partition, frames), way, path)
            for way in (by_reader, by_h5py, by_whole_chunks)
        ]
        first, *others = (way() for way in ways)  # fills the page cache and compiles, too
        if not all(np.array_equal(first, other, equal_nan=True) for other in others):
            raise RuntimeError(f"{path}: the ways to read it differ")
        times = [[seconds(way) for way in ways] for _ in track(range(rounds), description=name)]
        ours, theirs, whole = np.min(times, axis=0)
        yield {
            "file": name,
            "MB": path.stat().st_size / 1e6,
            "reader to maps (frames/s)": frames / ours,
            "h5py to maps (frames/s)": frames / theirs,
            "reader / h5py": theirs / ours,
            "reader / whole chunks": whole / ours if compression else "",
        }
