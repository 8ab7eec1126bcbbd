"""Frames a second from an HDF5 file to gathered pixels, and on to two-time maps.

One simulated exposure is written twice, compressed by bitshuffle and LZ4 as detectors do, and uncompressed. Each file
is read from the page cache by `FrameReader`, with and without the `TwoTimeReducer` behind it, and, to compare with, by
h5py and `numpy.take` with the same reducer. Once more some of the frames are looked at whole, for the picture of the
beam. The ways take turns, so that all see the same machine; the best counts.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (registers the filters)
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from ainerd.documents import FrameReader, Whole
from ainerd.dynamics import Dynamics
from ainerd.techniques.rheo_xpcs._field import Field
from ainerd.techniques.rheo_xpcs._picture import Picture
from ainerd.xpcs import Partition, TwoTimeReducer
from sim_devices._frame_file import DATASET, FrameFile
from sim_devices._frames import FrameMaker
from sim_devices._geometry import Geometry
from sim_devices._speckle import SpeckleMovie
from studies._report import report

BLOCK = 50
PERIOD_S = 0.01


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--level", type=float, default=0.05, help="photons per pixel and frame in the ring")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), arguments.frames, arguments.level, arguments.rounds)
    about = {"frames": arguments.frames, "level": arguments.level, "rounds": arguments.rounds}
    report("reading", rows, **about, cores=os.cpu_count(), load_before=load, load_after=os.getloadavg()[0])


def measure(folder: Path, frames: int, level: float, rounds: int) -> list[dict[str, float | str]]:
    """Frames a second, a row for each file."""
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

    def picture(n_frames: int) -> Whole:
        return Whole(Sees(Picture(field, n_frames, partition.n_roi)))

    compressed = write_compressed(folder, geometry, frames, level)
    files = {"bitshuffle-LZ4": compressed, "uncompressed": write_uncompressed(folder, compressed)}
    ways = {
        "reader": lambda path: sum(len(block) for block in by_reader(path, partition)),
        "reader to maps": lambda path: to_maps(by_reader(path, partition), partition, frames),
        "reader, picture": lambda path: sum(len(block) for block in by_reader(path, partition, picture(frames))),
        "reader to maps, picture": lambda path: to_maps(by_reader(path, partition, picture(frames)), partition, frames),
        "h5py to maps": lambda path: to_maps(by_h5py(path, partition), partition, frames),
    }
    for path in files.values():  # fills the page cache, compiles, and shows that both ways give the same
        if not np.array_equal(ways["reader to maps"](path), ways["h5py to maps"](path), equal_nan=True):
            raise RuntimeError(f"{path}: the reader and h5py differ")
    found = {(name, way): np.inf for name in files for way in ways}
    for _ in track(range(rounds), description="rounds"):
        for name, way in found:
            found[name, way] = min(found[name, way], seconds(ways[way], files[name]))
    return [
        {
            "file": name,
            "MB": path.stat().st_size / 1e6,
            **{f"{way} (frames/s)": frames / found[name, way] for way in ways},
            "time with picture / without": found[name, "reader to maps, picture"] / found[name, "reader to maps"],
            "to maps, reader / h5py": found[name, "h5py to maps"] / found[name, "reader to maps"],
        }
        for name, path in files.items()
    ]


def seconds(way: Callable[[Path], object], path: Path) -> float:
    """What `way` takes for the file at `path`."""
    began = time.perf_counter()
    way(path)
    return time.perf_counter() - began


def by_reader(path: Path, partition: Partition, whole: Whole | None = None) -> Iterator[NDArray]:
    reader = FrameReader(path, DATASET, partition.pixels, partition.roi_map.shape, swmr=False)
    with h5py.File(path) as file:
        n_frames = len(file[DATASET])
    yield from reader.blocks(0, n_frames, BLOCK, whole=whole)
    reader.close()


class Sees:
    """A picture without the rest of an exposure."""

    def __init__(self, picture: Picture) -> None:
        self.picture, self.whole = picture, picture.see

    @property
    def every(self) -> int:
        """Of how many frames one is wanted whole."""
        return self.picture.every


def by_h5py(path: Path, partition: Partition) -> Iterator[NDArray]:
    with h5py.File(path) as file:
        data = file[DATASET]
        for start in range(0, len(data), BLOCK):
            frames = [
                data[index].ravel().take(partition.pixels) for index in range(start, min(start + BLOCK, len(data)))
            ]
            yield np.stack(frames)


def to_maps(blocks: Iterator[NDArray], partition: Partition, frames: int) -> NDArray:
    reducer = TwoTimeReducer(partition, frames)
    for block in blocks:
        reducer.push(block)
    return reducer.maps()


def write_compressed(folder: Path, geometry: Geometry, frames: int, level: float) -> Path:
    rng, maker = np.random.default_rng(0), FrameMaker(geometry)
    times = np.arange(frames) * PERIOD_S
    movie = SpeckleMovie(
        Dynamics(family="ageing", tau_s=1.0, ageing=1.0),
        times + PERIOD_S / 2,
        geometry.phi_deg.ravel()[maker.ring],
        contrast=0.2,
        rng=rng,
    )
    file, written = FrameFile(folder, "compressed", geometry.pixel_mask), 0
    for intensity in movie.blocks():
        levels = np.full(len(intensity), level)
        counts = maker.count(intensity, levels, PERIOD_S, rng)
        file.append(maker.encode(counts, levels, PERIOD_S, rng), times[written : written + len(counts)])
        written += len(counts)
    file.close()
    return file.path


def write_uncompressed(folder: Path, compressed: Path) -> Path:
    """The same frames, chunk for chunk without a filter."""
    path = folder / "uncompressed.h5"
    with h5py.File(compressed) as source, h5py.File(path, "w", libver="latest") as file:
        frames = source[DATASET]
        target = file.create_dataset(DATASET, frames.shape, frames.dtype, chunks=frames.chunks)
        for index in range(len(frames)):
            target[index] = frames[index]
    return path


if __name__ == "__main__":
    main()
