"""The checksum that HDF5 has of its metadata.

Source: B. Jenkins, lookup3.c, hashlittle(), 2006.
"""

import struct

_MASK = 0xFFFFFFFF
_MIXED = (4, 6, 8, 16, 19, 4)
_FINAL = (14, 11, 25, 16, 4, 14, 24)


def lookup3(data: bytes) -> int:
    """Jenkins' checksum of some bytes."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    if not data:
        return c
    last = (len(data) - 1) // 12 * 12
    for x, y, z in struct.iter_unpack("<3I", data[:last]):
        a, b, c = (a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK
        for n in _MIXED:  # the three change places with each step
            a, b, c = b, (c + b) & _MASK, (a - c) & _MASK ^ _turned(c, n)
    x, y, z = struct.unpack("<3I", data[last:].ljust(12, b"\0"))
    a, b, c = (a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK
    for n in _FINAL:
        a, b, c = b, ((c ^ b) - _turned(b, n)) & _MASK, a
    return b


def _turned(x: int, n: int) -> int:
    return (x << n | x >> (32 - n)) & _MASK
