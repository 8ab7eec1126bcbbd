"""The reason why an HDF5 file is not opened."""

import errno
import re
from os import PathLike
from pathlib import Path


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
