"""A look at the global heaps of an HDF5 file, before HDF5 reads them.

The sources of a virtual dataset and texts of any length are in such heaps. HDF5 2.0.0 goes from one object of a heap to
the next by the size that stands there, and for ever on the spot where that is damaged and says nothing; with Python's
interpreter lock held, so that the RunEngine would stand still as well.
"""

import mmap
from pathlib import Path

LOOK = 16 * 2**20  # bytes at either end of a file: a heap is written with what it describes
_BEGINS = b"GCOL\x01\0\0\0"


def check_heaps(path: Path) -> None:
    """OSError if a heap in a file has an object that ends where it begins, or is not all there; see `LOOK`."""
    size = path.stat().st_size
    if not size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        size = len(mapped)
        check_bytes(mapped[:LOOK], size)
        if size > LOOK:
            begin = max(size - LOOK, LOOK - len(_BEGINS))
            check_bytes(mapped[begin:], size - begin)


def check_bytes(part: bytes, n_left: int | None = None) -> None:
    """The same of a part of a file that has `n_left` bytes from its begin on; without it the part is all."""
    n_left, at = len(part) if n_left is None else n_left, part.find(_BEGINS)
    while at >= 0:
        # a length has 8 bytes or 4, which only the file's head says: a heap that is whole fits one
        if not any(_is_whole(part, at, n_length, n_left) for n_length in (8, 4)):
            raise OSError(f"a global heap of it is damaged, or cut short, {n_left - at} bytes before its end")
        at = part.find(_BEGINS, at + 1)


def _is_whole(part: bytes, begin: int, n_length: int, n_left: int) -> bool:
    """Whether all objects of a heap, one behind the other, take some of its room, and no more."""
    head = 8 + n_length  # of the heap, and of an object
    end = begin + int.from_bytes(part[begin + 8 : begin + head], "little")
    at = begin + head + -head % 8
    if not at <= end <= n_left:
        return False
    while at + head <= min(end, len(part)):
        number = int.from_bytes(part[at : at + 2], "little")
        size = int.from_bytes(part[at + 8 : at + head], "little")
        room = head + -head % 8 + size + -size % 8 if number else size
        if room <= 0 or at + room > end:
            return False
        at += room
    return True
