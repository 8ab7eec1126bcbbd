"""Frames in an HDF5 file that others read while it grows."""

import uuid
from collections.abc import Sequence
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from sim_devices._counting import SATURATION

DATASET = "entry/data/data"


class FrameFile:
    """One HDF5 file of frames, open to readers (SWMR) from the start; its name cannot be guessed.

    Beside ``entry/data/data`` it holds, in ``entry/instrument/NDAttributes`` as areaDetector's file writer does,
    ``NDArrayTimeStamp`` (when the exposure of each frame began, in seconds) and ``NDArrayUniqueId`` (its number, from
    1); and in ``entry/instrument/detector``, as NXdetector does, ``pixel_mask`` and ``saturation_value``. A frame that
    can be read has its time.

    Parameters
    ----------
    directory : Path
        Made if it is not there.
    name : str
        How the file's name begins.
    pixel_mask : ndarray of uint32, shape (ny, nx)
    """

    def __init__(self, directory: Path, name: str, pixel_mask: NDArray[np.uint32]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory.resolve() / f"{name}_{uuid.uuid4().hex}.h5"
        self._file = h5py.File(self.path, "w", libver="latest")
        shape = pixel_mask.shape
        self._data = self._file.create_dataset(
            DATASET,
            shape=(0, *shape),
            maxshape=(None, *shape),
            chunks=(1, *shape),
            dtype="<u2",
            **hdf5plugin.Bitshuffle(cname="lz4"),
        )
        attributes = self._file.create_group("entry/instrument/NDAttributes")
        self._time, self._id = (
            attributes.create_dataset(name, shape=(0,), maxshape=(None,), chunks=(1024,), dtype=dtype)
            for name, dtype in (("NDArrayTimeStamp", "<f8"), ("NDArrayUniqueId", "<i4"))
        )
        detector = self._file.create_group("entry/instrument/detector")
        detector.create_dataset("pixel_mask", data=pixel_mask, compression="gzip")
        detector["saturation_value"] = SATURATION
        self._file.swmr_mode = True

    def append(self, chunks: Sequence[bytes], time_s: NDArray[np.float64]) -> None:
        """Write frames that are compressed already, and their times; readers have them when this returns."""
        start = len(self._data)
        stop = start + len(chunks)
        for dataset, values in ((self._time, time_s), (self._id, np.arange(start, stop) + 1)):
            dataset.resize(stop, axis=0)
            dataset[start:] = values
            dataset.flush()
        self._data.resize(stop, axis=0)
        for frame, chunk in enumerate(chunks, start):
            self._data.id.write_direct_chunk((frame, 0, 0), chunk)
        self._data.flush()

    def close(self) -> None:
        """Close the file; closing it again does nothing."""
        self._file.close()
