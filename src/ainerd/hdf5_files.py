"""HDF5 files that others wrote: damage that HDF5 does not survive, and values that lie elsewhere.

The global heaps of a file are checked before HDF5 reads them, because some damage to a heap hangs or kills HDF5 2.0.0.
HDF5 steps from object to object by the stored size. If a size is zero, it loops forever and holds Python's interpreter
lock. It also decodes the source list of a virtual dataset before it verifies the checksum. A list that cannot be
decoded ends the process.

Everything of h5py and lz4 that their documentation does not promise is here too. `CHECKED` holds the versions that this
file was checked against; `tests/test_internals.py` fails with any other. The same of Tiled, FastAPI and zarr is in
`ainerd.server.internals` and `corrections`: only a server needs them, and an analyst's install does not have them.

Source: HDF5 File Format Specification 3.0, III.E and III.F (global heap, its block of a virtual dataset), IV.A.2.i
(layout message).
"""

import ctypes
import errno
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
from h5py._objects import phil as hdf5_lock
from lz4.block import _block

__all__ = [
    "CHECKED", "check_heaps", "check_place", "hdf5_lock", "lz4_decompress", "set_metadata_attempts", "why_not_opened",
]  # fmt: skip

CHECKED = {"h5py": "3.16.0", "lz4": "4.4.5"}
LOOK = 16 * 2**20  # bytes to check at either end of a file: a heap is written with the objects that use it
_HEAP = b"GCOL\x01\0\0\0"
_VIRTUAL = (b"\x04\x03", b"\x05\x03")  # version and class of the layout message of a virtual dataset


def check_place(item: h5py.Dataset | h5py.Group, path: str | PathLike[str], name: str) -> None:
    """Raise ValueError unless the values under a name in the file at a path lie in the folder of that file."""
    of = Path(item.file.filename).resolve()
    if not of.is_relative_to(Path(path).resolve().parent):
        raise ValueError(f"{path}: {name} leads to {of}, outside the folder of the file")
    if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
        raise ValueError(f"{path}: {name} lies in other files: copy the file with h5repack first")


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


def check_heaps(path: str | PathLike[str]) -> None:
    """Raise OSError if a heap of a file is incomplete, or if a source list in it does not match its checksum.

    Only the first and last `LOOK` bytes are searched. In a complete heap every object has a positive size. A file that
    has not changed since it passed is not searched again.
    """
    if (state := Path(path).stat()).st_size:
        _check_heaps(Path(path), state.st_ino, state.st_size, state.st_ctime_ns)


@lru_cache(maxsize=1024)
def _check_heaps(path: Path, *_: int) -> None:
    with path.open("rb") as file:  # not mapped: a file that its writer cuts short would then kill the process
        size = os.fstat(file.fileno()).st_size
        first, begin = file.read(LOOK), max(size - LOOK, LOOK - len(_HEAP))
        last = b""
        if size > LOOK:
            file.seek(begin)
            last = file.read(size - begin)
        _check_bytes(first, size, 0, last)
        if last:
            _check_bytes(last, size - begin, begin, first)


def _check_bytes(part: bytes, n_left: int, begin: int, named: bytes) -> None:
    """Check a part of a file as `check_heaps` does. The part begins at byte `begin` of the file.

    The file has `n_left` bytes from `begin` on. `named` is another part, which may also name source lists.
    """
    for at in _places(_HEAP, part):
        # A length has 8 or 4 bytes, but only the head of the file has this number. A complete heap fits one of them.
        objects = _objects(part, at, 8, n_left)
        objects = _objects(part, at, 4, n_left) if objects is None else objects
        if objects is None:
            raise OSError(f"a global heap of it is damaged, or cut short, {n_left - at} bytes before its end")
        lists = {*_source_lists(part, begin + at), *_source_lists(named, begin + at)}
        for number, first, size in objects:
            block = part[first : first + size]
            if number in lists and (size <= 4 or _checksum(block, size - 4, 0) != _integer(block[-4:])):
                raise OSError(f"the list of sources of a virtual dataset in it is damaged (heap at {begin + at})")


def _places(wanted: bytes, part: bytes) -> Iterator[int]:
    """Yield where these bytes stand. Python's search is several times slower for bytes that end with zeros."""
    short, at = wanted.rstrip(b"\0"), -1
    while (at := part.find(short, at + 1)) >= 0:
        if part.startswith(wanted, at):
            yield at


def _integer(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _source_lists(part: bytes, heap: int) -> Iterator[int]:
    """Yield the numbers of the heap objects that layout messages name as source lists."""
    for kind in _VIRTUAL:
        message = kind + heap.to_bytes(8, "little")
        for at in _places(message, part):
            yield _integer(part[at + len(message) : at + len(message) + 4])


def _objects(part: bytes, begin: int, n_length: int, n_left: int) -> list[tuple[int, int, int]] | None:
    """Return number, first byte and size of each object of a heap that lies in the part.

    Return None if the heap is not complete: each object must have a positive size, and all objects must fit into it.
    """
    head = 8 + n_length  # size of the head of the heap, and of the head of an object
    end = begin + _integer(part[begin + 8 : begin + head])
    at, objects = begin + head + -head % 8, []
    if not at <= end <= n_left:
        return None
    while at + head <= min(end, len(part)):
        number, size = _integer(part[at : at + 2]), _integer(part[at + 8 : at + head])
        first = at + head + -head % 8
        after = first + size + -size % 8 if number else at + size
        if not at < after <= end:
            return None
        if number and first + size <= len(part):
            objects.append((number, first, size))
        at = after
    return objects


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
_set_attempts, _checksum = _hdf5.H5Pset_metadata_read_attempts, _hdf5.H5_checksum_lookup3
_set_attempts.argtypes, _set_attempts.restype = (ctypes.c_int64, ctypes.c_uint), ctypes.c_int
_checksum.argtypes, _checksum.restype = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint32), ctypes.c_uint32
