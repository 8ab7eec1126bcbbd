"""Parts of h5py and lz4 that their documentation does not promise, and the reason why a file is not opened.

`CHECKED` holds the versions that this file was checked against; `tests/test_internals.py` fails with any other.
"""

import ctypes
import errno
import re
from os import PathLike
from pathlib import Path
from typing import Any

from h5py._objects import phil as hdf5_lock
from lz4.block import _block

__all__ = ["CHECKED", "hdf5_lock", "lz4_decompress", "why_not_opened"]

CHECKED = {"h5py": "3.16.0", "lz4": "4.4.5"}


def why_not_opened(path: str | PathLike[str], error: OSError) -> str:
    """Return a sentence that says why HDF5 could not open a file, and what to do.

    Examples
    --------
    >>> print(why_not_opened("a.h5", OSError("Unable to open (truncated file: eof = 96, base = 0, stored_eof = 800)")))
    a.h5 is cut short, it has 96 of 800 bytes: copy it again, or wait until it is written
    """
    if cut := re.search(r"truncated file: eof = (\d+).*stored_eof = (\d+)", str(error)):
        return f"{path} is cut short, it has {cut[1]} of {cut[2]} bytes: copy it again, or wait until it is written"
    if isinstance(error, PermissionError) or error.errno in (errno.EACCES, errno.EPERM):
        return f"{path} cannot be read: you have no permission"
    if "signature not found" in str(error):
        return f"{path} is not an HDF5 file{': it is empty' * (Path(path).stat().st_size == 0)}"
    return f"{path} cannot be opened: {error}"


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
