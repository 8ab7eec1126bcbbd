"""Everything of h5py and lz4 that their documentation does not promise.

`CHECKED` holds the versions that this file was checked against; `tests/test_internals.py` fails with any other. The
same of Tiled, FastAPI and zarr is in `ainerd.server.internals`: only a server needs them, and an analyst's install does
not have them.
"""

import ctypes
from typing import Any

import h5py
from h5py._objects import phil as hdf5_lock
from lz4.block import _block

__all__ = ["CHECKED", "hdf5_checksum", "hdf5_lock", "lz4_decompress", "set_metadata_attempts"]

CHECKED = {"h5py": "3.16.0", "lz4": "4.4.5"}


def set_metadata_attempts(access: h5py.h5p.PropFAID, attempts: int) -> bool:
    """Set how often HDF5 reads metadata with a wrong checksum; h5py does not wrap this function of its library."""
    # HDF5 is not thread-safe: a call of another thread at the same time would corrupt its memory.
    with hdf5_lock:
        return bool(_set_attempts(access.id, attempts) >= 0)


def _find_lz4() -> Any:
    """Return `LZ4_decompress_safe` from the library in or linked to lz4's extension; None if the symbol is hidden.

    Compiled code calls the function for all blocks of a frame. It does not hold Python's lock, so others can run.
    """
    try:
        function = ctypes.CDLL(_block.__file__).LZ4_decompress_safe
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
    function.restype = ctypes.c_int
    return function


lz4_decompress = _find_lz4()
_hdf5 = ctypes.CDLL(h5py.h5p.__file__)  # the symbols are in the HDF5 library to which h5py is linked
_set_attempts, hdf5_checksum = _hdf5.H5Pset_metadata_read_attempts, _hdf5.H5_checksum_lookup3
_set_attempts.argtypes, _set_attempts.restype = (ctypes.c_int64, ctypes.c_uint), ctypes.c_int
hdf5_checksum.argtypes, hdf5_checksum.restype = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint32), ctypes.c_uint32
