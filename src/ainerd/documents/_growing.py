"""Open an HDF5 file that may be growing, and never wait for ever for what it does not hold."""

import ctypes
from pathlib import Path

import h5py

# HDF5 reads metadata again while its checksum is wrong, and doubles its pause each time, from 1 ns: 28 times are a
# quarter of a second. A SWMR reader's default of 100 is for ever, with h5py's lock held.
ATTEMPTS = 28

# h5py has no name for it (3.16); the symbol is looked up in the HDF5 that h5py itself is linked to.
_set_attempts = ctypes.CDLL(h5py.h5p.__file__).H5Pset_metadata_read_attempts
_set_attempts.argtypes, _set_attempts.restype = (ctypes.c_int64, ctypes.c_uint), ctypes.c_int


def open_growing(path: Path) -> h5py.File:
    """The file, read by SWMR; OSError if it cannot be opened.

    Reading a file that was cut short raises OSError or RuntimeError in under a second.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_LATEST, h5py.h5f.LIBVER_LATEST)
    if _set_attempts(access.id, ATTEMPTS) < 0:
        raise OSError("HDF5 takes no number of attempts to read metadata")
    return h5py.File(h5py.h5f.open(bytes(path), h5py.h5f.ACC_RDONLY | h5py.h5f.ACC_SWMR_READ, fapl=access))
