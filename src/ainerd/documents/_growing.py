"""HDF5 files, opened while others may write them."""

import ctypes
import errno
from pathlib import Path

import h5py
from h5py._objects import phil  # the lock that h5py holds in every call; it has no public name (3.16)

# HDF5 reads metadata again while its checksum is wrong, and doubles its pause each time, from 1 ns: 28 times are a
# quarter of a second. A SWMR reader's default of 100 is for ever, with h5py's lock held.
ATTEMPTS = 28
# h5py has no name for it (3.16); the symbol is looked up in the HDF5 that h5py itself is linked to.
_set_attempts = ctypes.CDLL(h5py.h5p.__file__).H5Pset_metadata_read_attempts
_set_attempts.argtypes, _set_attempts.restype = (ctypes.c_int64, ctypes.c_uint), ctypes.c_int
_WRITTEN = ("unable to lock file", "already open for write")  # what HDF5 says of a file that its writer has not closed


class AbsentError(Exception):
    """A file or dataset is not there, or not yet whole, or not yet closed; the message says which."""


def opened(path: Path, *, growing: bool = True) -> h5py.File:
    """The file, to be read; by SWMR if it may be `growing`.

    Reading a file that was cut short raises OSError or RuntimeError in under a second.

    Raises
    ------
    AbsentError
        If whoever writes it keeps others out until it is closed.
    OSError
        If it cannot be opened.
    """
    try:
        return _growing(path) if growing else h5py.File(path, "r")
    except OSError as error:
        if error.errno == errno.EAGAIN or any(said in str(error) for said in _WRITTEN):
            raise AbsentError(f"{path} is being written, and nobody else may read it: {error}") from error
        raise


def _growing(path: Path) -> h5py.File:
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_LATEST, h5py.h5f.LIBVER_LATEST)
    with phil:  # HDF5 is not safe for threads: beside a call of another one this would write over its memory
        refused = _set_attempts(access.id, ATTEMPTS) < 0
    if refused:
        raise OSError("HDF5 takes no number of attempts to read metadata")
    return h5py.File(h5py.h5f.open(bytes(path), h5py.h5f.ACC_RDONLY | h5py.h5f.ACC_SWMR_READ, fapl=access))
