"""A look at the global heaps of an HDF5 file, before HDF5 reads them.

The sources of a virtual dataset and texts of any length are in such heaps. HDF5 2.0.0 goes from one object of a heap to
the next by the size that stands there, and for ever on the spot where that is damaged and says nothing; with Python's
interpreter lock held, so that the RunEngine would stand still as well. It decodes a list of sources before it looks at
the checksum of it, and a list that does not decode ends the process; so the checksum is looked at here.

Source: HDF5 File Format Specification 3.0, III.E and III.F (global heap, its block of a virtual dataset), IV.A.2.i
(layout message).
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from ainerd.hdf5._checksum import lookup3

LOOK = 16 * 2**20  # bytes at either end of a file: a heap is written with what it describes
_BEGINS = b"GCOL\x01\0\0\0"
_VIRTUAL = (b"\x04\x03", b"\x05\x03")  # version and class of the layout message of a virtual dataset


def check_heaps(path: Path) -> None:
    """OSError if a heap in a file is not all there, or a list of sources in it is not as its checksum says.

    See `LOOK`; in a heap that is all there no object ends where it begins.
    """
    size = path.stat().st_size
    if not size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        size = len(mapped)
        first, begin = mapped[:LOOK], max(size - LOOK, LOOK - len(_BEGINS))
        last = mapped[begin:] if size > LOOK else b""
        check_bytes(first, size, named=last)
        if last:
            check_bytes(last, size - begin, begin, named=first)


def check_bytes(part: bytes, n_left: int | None = None, begin: int = 0, *, named: bytes = b"") -> None:
    """The same of a part of a file, from byte `begin` on, that has `n_left` bytes; without it the part is all.

    Another part, `named`, may say which objects are lists of sources, too.
    """
    n_left, at = len(part) if n_left is None else n_left, part.find(_BEGINS)
    while at >= 0:
        # a length has 8 bytes or 4, which only the file's head says: a heap that is whole fits one
        lengths = [n_length for n_length in (8, 4) if _is_whole(part, at, n_length, n_left)]
        if not lengths:
            raise OSError(f"a global heap of it is damaged, or cut short, {n_left - at} bytes before its end")
        lists = {*_numbers_of_lists(part, begin + at), *_numbers_of_lists(named, begin + at)}
        for number, block in _objects(part, at, lengths[0]) if lists else ():
            if number in lists and not _is_sound(block):
                raise OSError(f"the list of sources of a virtual dataset in it is damaged (heap at {begin + at})")
        at = part.find(_BEGINS, at + 1)


def _numbers_of_lists(part: bytes, heap: int) -> Iterator[int]:
    """Numbers of the objects in a heap that layout messages name as lists of sources."""
    for kind in _VIRTUAL:
        named = kind + heap.to_bytes(8, "little")
        at = part.find(named)
        while at >= 0:
            yield int.from_bytes(part[at + len(named) : at + len(named) + 4], "little")
            at = part.find(named, at + 1)


def _is_sound(block: bytes) -> bool:
    """Whether a list of sources ends with its checksum."""
    return len(block) > 4 and lookup3(block[:-4]) == int.from_bytes(block[-4:], "little")


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


def _objects(part: bytes, begin: int, n_length: int) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each object of a heap that is whole, as far as they are in the part."""
    head = 8 + n_length
    end = min(begin + int.from_bytes(part[begin + 8 : begin + head], "little"), len(part))
    at = begin + head + -head % 8
    while at + head <= end:
        number = int.from_bytes(part[at : at + 2], "little")
        size = int.from_bytes(part[at + 8 : at + head], "little")
        first = at + head + -head % 8
        if number and first + size <= end:
            yield number, part[first : first + size]
        at = first + size + -size % 8 if number else at + size
