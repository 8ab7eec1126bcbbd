"""Bitshuffle-LZ4 chunks (HDF5 filter 32008) made outside HDF5, whose lock would hold up every other thread.

A chunk is a header (bytes of the frame, big-endian u64; bytes of a block, u32), then per block of 4096 pixels the
length of its LZ4 stream (u32) and the stream, and last, raw, the pixels that do not fill a group of eight. Frames of
few photons are zeros for the most part: runs of zeros, a few bytes at a time, are all that is looked for, which is
faster than LZ4's own search and takes a fifth more room.
"""

import struct

import numba as nb
import numpy as np

BLOCK = 4096  # pixels of two bytes
STEP = 2  # bytes that are looked at together
FEWEST_ZEROS = 8  # bytes of a run that is worth the three it takes
ROOM = 2 * BLOCK + 2 * BLOCK // 255 + 32  # bytes that a block takes at most, its length included
_LANES = tuple((np.uint64(shift), np.uint64(mask)) for shift, mask in (
    (7, 0x00AA00AA00AA00AA),
    (14, 0x0000CCCC0000CCCC),
    (28, 0x00000000F0F0F0F0),
))  # fmt: skip
_LOW = np.uint64(0x00FF00FF00FF00FF)
_PAIRS, _HALF = np.uint64(0x0000FFFF0000FFFF), np.uint64(0xFFFFFFFF)


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
def _low_bytes(words, out):  # pragma: no cover - compiled
    """The low bytes of every eight pixels in a word, (n,), transposed; from four pixels a word, (2 n,)."""
    for group in range(out.size):
        first, second = words[2 * group] & _LOW, words[2 * group + 1] & _LOW
        first, second = (first | (first >> np.uint64(8))) & _PAIRS, (second | (second >> np.uint64(8))) & _PAIRS
        first, second = (first | (first >> np.uint64(16))) & _HALF, (second | (second >> np.uint64(16))) & _HALF
        out[group] = _transpose(first | (second << np.uint64(32)))


@nb.njit(nogil=True, cache=True)
def shuffle(words, out, scratch):  # pragma: no cover - compiled
    """Sort the bits of pixels, four uint16 in each of `words` (2 n,) uint64, into 16 planes of n bytes.

    Only the lowest planes, as many as hold a bit, are written to `out`; their bytes are returned. `scratch` (n,) uint64
    is written over, and so are `words` where a pixel is above 255.
    """
    plane = words.size // 2
    every = np.uint64(0)
    for word in words:
        every |= word
    every |= every >> np.uint64(32)
    every = (every | (every >> np.uint64(16))) & np.uint64(0xFFFF)
    planes = 0
    while every >> np.uint64(planes):
        planes += 1
    for first in range(0, planes, 8):
        _low_bytes(words, scratch)
        for k in range(min(planes - first, 8)):
            into, shift = out[(first + k) * plane : (first + k + 1) * plane], np.uint64(8 * k)
            for group in range(plane):
                into[group] = np.uint8((scratch[group] >> shift) & np.uint64(255))
        if planes > 8:
            for k in range(words.size):
                words[k] >>= np.uint64(8)
    return planes * plane


@nb.njit(nogil=True, cache=True)
def _length(rest, out, at):  # pragma: no cover - compiled
    """What of a length does not fit into its token."""
    if rest < 0:
        return at
    while rest >= 255:
        out[at] = 255
        at += 1
        rest -= 255
    out[at] = rest
    return at + 1


@nb.njit(nogil=True, cache=True)
def _sequence(literals, zeros, out, at):  # pragma: no cover - compiled
    """Some bytes as they are, and then so many zeros as a match with the last of them; the last sequence has none."""
    n = literals.size
    out[at] = min(n, 15) << 4 | (min(zeros - 4, 15) if zeros else 0)
    at = _length(n - 15, out, at + 1)
    for k in range(n):
        out[at + k] = literals[k]
    at += n
    if zeros:
        out[at], out[at + 1] = 1, 0
        at = _length(zeros - 4 - 15, out, at + 2)
    return at


@nb.njit(nogil=True, cache=True)
def compress(shuffled, used, out, at):  # pragma: no cover - compiled
    """Put a block, its length in front, into `out` at `at`; say where it ends.

    Of `shuffled` (n,) uint8, n a multiple of 16, only the first `used` bytes are looked at and the others are set to 0.
    LZ4 wants the last five bytes of a block not to be a match, and the last match to begin twelve before the end.
    """
    start, done, i = at, 0, 0
    shuffled[used:] = 0
    words, last = shuffled.view(np.uint16), -(-used // STEP)
    end = words.size - 3
    at += 4
    while i * STEP < shuffled.size - 12:
        if i < last and words[i] != 0:
            i += 1
            continue
        stop = i + 1
        while stop < last and words[stop] == 0:
            stop += 1
        stop = end if stop >= last else min(stop, end)
        if (stop - i) * STEP >= FEWEST_ZEROS:
            at = _sequence(shuffled[done * STEP : i * STEP + 1], (stop - i) * STEP - 1, out, at)
            done = stop
        i = stop
    at = _sequence(shuffled[done * STEP :], 0, out, at)
    for k in range(4):
        out[start + k] = (at - start - 4) >> (24 - 8 * k) & 255
    return at
