"""Frames of a file in place of simulated ones."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 (the filter of the frames)

from sim_devices._frames import DATASET
from sim_devices._geometry import Geometry

BLOCK = 50  # frames
BITSHUFFLE = 32008  # HDF5's number of the filter


class Recording:
    """Frames of an HDF5 file: each exposure begins with the first one, and goes on with it after the last one.

    Parameters
    ----------
    path : Path
        ``entry/data/data`` holds uint16, each frame in a bitshuffle-LZ4 chunk, as `FrameFile` and areaDetector write.
    geometry : Geometry
        Of the detector that gives the frames.

    Raises
    ------
    OSError
        If the file is not HDF5.
    ValueError
        If it has no such frames of this detector.
    """

    def __init__(self, path: Path, geometry: Geometry) -> None:
        self._path, self._ring, shape = path, geometry.ring, geometry.frame_shape
        with h5py.File(path) as file:
            data = file.get(DATASET)
            if not isinstance(data, h5py.Dataset) or data.ndim != 3 or not len(data):
                raise ValueError(f"{path}: no frames in {DATASET}")
            filters = data.id.get_create_plist()
            is_bslz4 = filters.get_nfilters() == 1 and filters.get_filter(0)[0] == BITSHUFFLE
            if data.dtype != "<u2" or data.shape[1:] != shape or data.chunks != (1, *shape) or not is_bslz4:
                raise ValueError(f"{path}: frames must be uint16 of {shape}, each a bitshuffle-LZ4 chunk")
            self._n = len(data)

    def blocks(self, n_frames: int) -> Iterator[tuple[list[bytes], int, int]]:
        """Yield blocks of frames: their chunks, their photons in the ring, and 0, as none is lost."""
        with h5py.File(self._path) as file:
            data = file[DATASET]
            for first in range(0, n_frames, BLOCK):
                rows = [row % self._n for row in range(first, min(first + BLOCK, n_frames))]
                n_photons = sum(int(data[row].ravel()[self._ring].sum()) for row in rows)
                yield [data.id.read_direct_chunk((row, 0, 0))[1] for row in rows], n_photons, 0
