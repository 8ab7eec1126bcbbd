"""HDF5: after a refresh of one handle, another handle of the same chunked dataset reads the first chunk for all."""

import tempfile
from pathlib import Path

import h5py
import numpy as np

movie = np.arange(12 * 8 * 8, dtype=np.uint16).reshape(12, 8, 8)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "movie.h5")
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("d", data=movie, chunks=(1, 8, 8), maxshape=(None, 8, 8))
    with h5py.File(path, "r") as one, h5py.File(path, "r") as other:
        frames, handle = one["d"], other["d"]
        before = [bool(np.array_equal(frames[i], movie[i])) for i in range(12)]
        handle.refresh()
        after = [bool(np.array_equal(frames[i], movie[i])) for i in range(12)]
print(f"h5py {h5py.__version__}, HDF5 {h5py.version.hdf5_version}")
print(f"frames read right before the refresh: {sum(before)} of 12; after it: {sum(after)} of 12")
print("shown" if all(before) and not all(after) else "mended")
