"""Tell result files apart by the names of their datasets. No reader is imported, so a mistake is answered at once."""

import errno
import re
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

OURS = "bins/bin"
CURVES = ("entry/data/g2", "xpcs/multitau/normalized_g2", "exchange/norm-0-g2", "taus", OURS)
NEXUS_MAPS, OUR_MAPS = "entry/twotime/two_time_corr_func", "c2"
BOOST_CORR_MAPS = ("xpcs/twotime/correlation_map", "xpcs/twotime/c2_half")
MAPS = (NEXUS_MAPS, *BOOST_CORR_MAPS, "exchange/C2T_all", "g12b", OUR_MAPS)
ENDINGS = (".h5", ".hdf", ".hdf5")  # of the files that the commands write
EVENTS = re.compile(r"\.bin(\.\d{3})?$")


def is_events(file: Path) -> bool:
    """Return whether a file has a name of events of a Rigaku detector: ``.bin``, or ``.bin.000`` to ``.bin.005``."""
    return EVENTS.search(file.name) is not None


def is_there(group: "h5py.Group", name: str) -> bool:
    """Return whether a dataset or group exists, behind links too."""
    try:
        return name in group and group.get(name) is not None
    except (KeyError, OSError, RuntimeError):
        return False


def found(file: "h5py.File", layouts: tuple[str, ...], what: str) -> str:
    """Return the first layout of a file; raise ValueError, which lists them, if it has none."""
    name = next((name for name in layouts if is_there(file, name)), None)
    if name is None:
        there = ", ".join(sorted(file)[:8]) or "nothing"
        hint = ". For a file of frames give the bins, --roi" if layouts is CURVES else ""
        raise ValueError(f"holds no {what} in a known layout ({', '.join(layouts)}), only {there}{hint}")
    return name


def has_maps(path: Path) -> bool:
    """Return whether a file holds two-time maps in a known layout."""
    return path.suffix == ".npy" or _has(path, MAPS)


def has_curves(path: Path) -> bool:
    """Return whether a file is HDF5 and holds g2 in a known layout."""
    import h5py

    return h5py.is_hdf5(path) and _has(path, CURVES)


def check_curves(path: Path) -> None:
    """Raise ValueError if a file has no g2 in a known layout, or cannot be opened."""
    _has(path, CURVES, required=True)


def _has(path: Path, layouts: tuple[str, ...], *, required: bool = False) -> bool:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if required:
                found(file, layouts, "g2")
            return any(is_there(file, name) for name in layouts)
    except OSError as error:
        raise ValueError(why_not_opened(path, error)) from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


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
