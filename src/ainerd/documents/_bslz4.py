"""Frames in chunks of bitshuffle-LZ4 (HDF5 filter 32008): only the blocks with selected pixels are unpacked.

A chunk starts with a header: bytes of the frame (big-endian u64) and bytes of a block (u32). For each block the length
of its LZ4 stream (u32) and the stream follow. The pixels that do not fill a group of eight are at the end, not
compressed. A block of n pixels holds bit 0 of all pixels in n / 8 bytes, then bit 1, and so on (Masui et al., Astron.
Comput. 12, 181, 2015).
"""

import ctypes
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # registers the filters
import numba as nb
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

BITSHUFFLE = 32008  # HDF5's number of the filter
_HEADER = struct.Struct(">QI")
_LONGEST = 2**31 - 1  # LZ4 counts bytes in a C int
_LZ4 = 2  # value of the filter's option for the compression of blocks


def _find_lz4() -> object:
    """Return `LZ4_decompress_safe` from the bitshuffle filter of hdf5plugin; None if that does not export it.

    Compiled code calls the function for all blocks of a frame. It does not hold Python's lock, so others can run.
    """
    try:
        function = ctypes.CDLL(str(next(Path(hdf5plugin.PLUGIN_PATH).glob("libh5bshuf.*")))).LZ4_decompress_safe
    except (OSError, AttributeError, StopIteration):
        return None
    function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
    function.restype = ctypes.c_int
    return function


LZ4_DECOMPRESS = _find_lz4()


class BitshuffleLZ4:
    """Decodes the frames of a dataset whose bitshuffle-LZ4 chunks hold one frame each.

    `pixels` are flat indices from 0 to `n_pixels` - 1; the result has the same order.
    """

    def __init__(self, dtype: np.dtype[Any], n_pixels: int, pixels: Ints) -> None:
        self._dtype, self._n_pixels, self._pixels = dtype, n_pixels, pixels
        self._plan = lru_cache(maxsize=4)(self._make_plan)  # a file usually has one block size

    @staticmethod
    def fits(dataset: h5py.Dataset) -> bool:
        """Return whether this class decodes the filter and type of `dataset`."""
        dtype, filters = dataset.dtype, dataset.id.get_create_plist()
        if LZ4_DECOMPRESS is None or filters.get_nfilters() != 1:
            return False
        code, _, options, _ = filters.get_filter(0)
        return (
            code == BITSHUFFLE
            and dtype.kind == "u"
            and dtype.itemsize in (1, 2, 4)
            and dtype == dtype.newbyteorder("<")
            and options[2:3] == (dtype.itemsize,)
            and options[4:5] == (_LZ4,)
        )

    def decode(self, chunk: bytes, out: NDArray[Any]) -> None:
        """Write the selected pixels of one chunk to `out`, (n,); raise ValueError if the chunk is damaged."""
        if len(chunk) < _HEADER.size:
            raise ValueError(f"its chunk of {len(chunk)} bytes is too short")
        n_bytes, block_bytes = _HEADER.unpack_from(chunk)
        width = self._dtype.itemsize
        if n_bytes != self._n_pixels * width or block_bytes == 0 or block_bytes % (8 * width):
            raise ValueError(f"its chunk's header says {n_bytes} bytes in blocks of {block_bytes}")
        whole = self._n_pixels // 8 * 8 * width
        block_bytes = min(block_bytes, max(whole, 8 * width))
        used, slot, place = self._plan(block_bytes)
        planes, packed = np.empty((used.size, block_bytes), np.uint8), np.frombuffer(chunk, np.uint8)
        if not _decode(LZ4_DECOMPRESS, packed, whole, n_bytes - whole, used, slot, place, planes, out):
            raise ValueError("its chunk's blocks are damaged")

    def _make_plan(self, block_bytes: int) -> tuple[Ints, Ints, Ints]:
        """Return the blocks that hold selected pixels, and for each pixel its block among them, and its place in it.

        In the uncompressed tail the block is -1, and the place is that in the tail.
        """
        per_block = block_bytes // self._dtype.itemsize
        whole = self._n_pixels // 8 * 8
        number, place = np.divmod(self._pixels, per_block)
        in_tail = self._pixels >= whole
        used = np.unique(number[~in_tail])
        slot = np.where(in_tail, -1, np.searchsorted(used, number))
        return used, slot, np.where(in_tail, self._pixels - whole, place)


@nb.njit(nogil=True, cache=True)
def _decode(  # pragma: no cover - compiled
    lz4: Any, chunk: Bytes, whole: int, tail: int, used: Ints, slot: Ints, place: Ints, planes: Bytes, out: NDArray[Any]
) -> bool:
    """Write the pixels from the bit planes of the `used` blocks and from the raw tail to `out`.

    Return False if the chunk is damaged.
    """
    block_bytes, width = planes.shape[1], out.itemsize
    stride = np.empty(used.size, np.int64)  # bytes of a bit plane
    n_bits = np.empty(used.size, np.int64)  # bits up to the highest bit set in a block; small counts have few
    at, k = np.int64(12), 0  # after the header
    for number in range(-(-whole // block_bytes)):
        if chunk.size - at < 4:
            return False
        length = np.int64(0)
        for _ in range(4):
            length = (length << 8) | np.int64(chunk[at])
            at += 1
        if length > chunk.size - at or length > _LONGEST:
            return False
        if k < used.size and used[k] == number:
            size = min(block_bytes, whole - number * block_bytes)
            if lz4(chunk.ctypes.data + at, planes.ctypes.data + k * block_bytes, length, size) != size:
                return False
            stride[k], n_bits[k] = size // (8 * width), 8 * width
            while n_bits[k] > 0 and not _any(planes[k, (n_bits[k] - 1) * stride[k] : n_bits[k] * stride[k]]):
                n_bits[k] -= 1
            k += 1
        at += length
    if chunk.size - at < tail:
        return False
    for j in range(out.size):
        value = np.int64(0)
        block = slot[j]
        if block < 0:
            for byte in range(width):
                value |= np.int64(chunk[at + place[j] * width + byte]) << (8 * byte)
        else:
            group, shift = place[j] >> 3, place[j] & 7
            for bit in range(n_bits[block]):
                value |= ((np.int64(planes[block, bit * stride[block] + group]) >> shift) & 1) << bit
        out[j] = value
    return True


@nb.njit(nogil=True, cache=True)
def _any(plane: Bytes) -> bool:  # pragma: no cover - compiled
    bits = np.uint8(0)
    for byte in plane:
        bits |= byte
    return bool(bits)
