"""Bitshuffle-LZ4 chunks (HDF5 filter 32008) made outside HDF5, whose lock would hold up every other thread.

A chunk is a header (bytes of the frame, big-endian u64; bytes of a block, u32), then per block of 4096 pixels the
length of its LZ4 stream (u32) and the stream, and last, raw, the pixels that do not fill a group of eight.
"""

import struct

import lz4.block
import numba as nb
import numpy as np
from numpy.typing import NDArray

BLOCK = 4096  # pixels of two bytes
_LANES = tuple((np.uint64(shift), np.uint64(mask)) for shift, mask in (
    (7, 0x00AA00AA00AA00AA),
    (14, 0x0000CCCC0000CCCC),
    (28, 0x00000000F0F0F0F0),
))  # fmt: skip


def header(n_pixels: int) -> bytes:
    """What a chunk of `n_pixels` uint16 begins with."""
    return struct.pack(">QI", 2 * n_pixels, 2 * BLOCK)


@nb.njit(nogil=True, cache=True)
def _transpose(bits):  # pragma: no cover - compiled
    """Transpose the 8 × 8 bits of a 64-bit word (Warren, Hacker's Delight, 7-3)."""
    for shift, mask in _LANES:
        swap = (bits ^ (bits >> shift)) & mask
        bits = bits ^ swap ^ (swap << shift)
    return bits


@nb.njit(nogil=True, cache=True)
def shuffle(pixels, out):  # pragma: no cover - compiled
    """Sort the bits of `pixels` (n,) uint16, n a multiple of 8, into 16 planes of n / 8 bytes: `out` (2 n,) uint8."""
    plane = pixels.size // 8
    eight, low_byte = np.uint64(8), np.uint64(255)
    for group in range(plane):
        low, high = np.uint64(0), np.uint64(0)
        for k in range(8):
            value = np.uint64(pixels[8 * group + k])
            low |= (value & low_byte) << np.uint64(8 * k)
            high |= (value >> eight) << np.uint64(8 * k)
        low, high = _transpose(low), _transpose(high)
        for k in range(8):
            out[k * plane + group] = (low >> np.uint64(8 * k)) & low_byte
            out[(k + 8) * plane + group] = (high >> np.uint64(8 * k)) & low_byte


def compress(shuffled: NDArray[np.uint8]) -> bytes:
    """One block with its length in front. The GIL is free meanwhile."""
    stream = lz4.block.compress(shuffled, store_size=False)
    return struct.pack(">I", len(stream)) + stream
