"""Read frames from an HDF5 file, also while it is being written, from Tiled, or from the documents themselves.

Of a frame in a bitshuffle-LZ4 chunk (HDF5 filter 32008) only the blocks with selected pixels are unpacked. A chunk
starts with a header: bytes of the frame (big-endian u64) and bytes of a block (u32). For each block the length of its
LZ4 stream (u32) and the stream follow. The pixels that do not fill a group of eight are at the end, uncompressed. A
block of n pixels holds bit 0 of all pixels in n / 8 bytes, then bit 1, and so on (Masui et al., Astron. Comput. 12,
181, 2015).
"""

import math
import os
import struct
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import h5py
import hdf5plugin  # noqa: F401  (registers the filters)
import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd.documents._shared import SharedDataset
from ainerd.documents._storage import AWAY, DAMAGED, FrameError, MissingFrames, Roots, Storage
from ainerd.internals import lz4_decompress
from ainerd.technique import RunAnalysis
from ainerd.threads import n_cores

if TYPE_CHECKING:
    from tiled.client.container import Container

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
BLOCK = 50  # frames read at a time
WHOLE_BYTES = 32 * 2**20  # most bytes of whole frames in a block
CHUNK_BYTES = 2**30  # largest chunk: HDF5 unpacks a whole chunk to read one frame
AHEAD = 2  # blocks to read while another is in use
MOST_BYTES = 32 * 2**20  # largest response of Tiled

BITSHUFFLE = 32008  # HDF5's number of the filter
_HEADER = struct.Struct(">QI")
_LONGEST = 2**31 - 1  # LZ4 counts bytes in a C int
_LZ4 = 2  # value of the filter's option for the compression of blocks


@dataclass(frozen=True)
class Whole:
    """The choice of frames that an analysis gets whole, in addition to the selected pixels of every frame.

    Attributes
    ----------
    viewer : RunAnalysis or None
        Analysis with `every` and `whole`; None selects no frames.
    first : int
        Index of the frame that the viewer counts as number 0.
    """

    viewer: RunAnalysis | None = None
    first: int = 0

    def moved(self, by: int) -> Self:
        """Return the same choice with all indices shifted by `by`."""
        return replace(self, first=self.first + by)

    @property
    def _every(self) -> int | None:
        return None if self.viewer is None else self.viewer.every

    def indices(self, start: int, stop: int) -> list[int]:
        """Return the chosen indices among start … stop - 1, by the current value of `every`."""
        every = self._every
        return [] if every is None else list(range(start + (self.first - 1 - start) % every, stop, every))

    def block(self, size: int, frame_bytes: int) -> int:
        """Return the number of frames to read at a time, at most `size`. It limits the whole frames in memory."""
        return min(size, (self._every or size) * max(WHOLE_BYTES // frame_bytes, 1))

    def give(self, frames: dict[int, NDArray[Any]]) -> None:
        """Pass frames, by index, to the viewer. Leave out those that `every` no longer selects."""
        for index, frame in frames.items():
            if self.viewer is not None and self.indices(index, index + 1):
                frame.flags.writeable = False
                self.viewer.whole(frame, index - self.first)


NOTHING = Whole()


class FrameReader:
    """Reads selected pixels of the frames in a dataset.

    Reading is fast if a chunk is one frame, uncompressed or bitshuffle-LZ4. HDF5 reads all other layouts. The reader
    keeps one or two threads for `blocks` until it is closed.

    Parameters
    ----------
    path : Path
    dataset : str
        Name of the dataset in the file, of shape (frames, ny, nx).
    pixels : ndarray of int, shape (n_pixels,)
        Flat indices in a frame; the result has the same order.
    frame_shape : (int, int)
        Expected shape, (ny, nx).
    swmr : bool
        Whether the file may still be growing.
    roots : sequence of Path, optional
        Folders to which links, virtual datasets and raw storage may lead; by default the folder of the file.

    Raises
    ------
    FrameError
        If the dataset cannot be opened, its frames have another shape, or `pixels` lie outside the frames.
    MissingFrames
        If a link or source leads to a file that does not exist.
    """

    def __init__(
        self,
        path: Path,
        dataset: str,
        pixels: Ints,
        frame_shape: tuple[int, int],
        *,
        swmr: bool = True,
        roots: Iterable[Path] | None = None,
    ) -> None:
        ny, nx = frame_shape
        pixels = np.ascontiguousarray(pixels, np.int64)
        if not pixels.size or pixels.min() < 0 or pixels.max() >= ny * nx:
            raise FrameError(f"pixels must be some of 0 … {ny * nx - 1}, flat indices in frames of {ny} × {nx}")
        allowed = [Path(folder).resolve() for folder in ([path.parent] if roots is None else roots)]
        self._pixels, self._size = pixels, 0  # size of the file at the last check
        self._shared = SharedDataset(path, dataset, allowed, growing=swmr)
        self.path, self._dataset = self._shared.path, self._shared.dataset
        try:
            self._inspect(frame_shape, allowed, swmr)
        except FrameError:
            self._shared.close()
            raise
        except DAMAGED as error:
            self._shared.close()
            raise FrameError(f"cannot open {dataset!r} of {self.path}: {error}") from error
        self._rows = np.s_[pixels.min() // nx : pixels.max() // nx + 1]
        spare = n_cores() - 1  # one core is for the consumer of the blocks
        self._pool = ThreadPoolExecutor(min(AHEAD, max(spare, 1)), "ainerd-frames")

    def _inspect(self, frame_shape: tuple[int, int], roots: Roots, swmr: bool) -> None:
        """Check the dataset and choose how to read it."""
        (ny, nx), dataset, shape = frame_shape, self._dataset, self._shared.shape
        if shape is None or len(shape) != 3 or shape[1:] != tuple(frame_shape):
            raise FrameError(f"{self.path}, {dataset.name!r}: shape {shape}, wanted (frames, {ny}, {nx})")
        if dataset.chunks and (size := math.prod(dataset.chunks) * dataset.dtype.itemsize) > CHUNK_BYTES:
            raise FrameError(
                f"{self.path}, {dataset.name!r}: a chunk unpacks to {size / 1e9:.1f} GB, more than one frame can need"
            )
        self._frame_shape, self._frame_bytes = frame_shape, ny * nx * dataset.dtype.itemsize
        self._storage = Storage(self.path, dataset, roots, self._frame_bytes, growing=swmr)
        self._decoder = BitshuffleLZ4(dataset.dtype, ny * nx, self._pixels) if BitshuffleLZ4.fits(dataset) else None
        is_raw = dataset.id.get_create_plist().get_nfilters() == 0
        self._by_chunk = dataset.chunks == (1, ny, nx) and (is_raw or self._decoder is not None)
        self._checks_size = is_raw and not self._storage.is_elsewhere

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return frames start … stop - 1, (stop - start, n_pixels); raise FrameError if they are damaged or absent."""
        return self._read(start, stop, ())[0]

    def _read(self, start: int, stop: int, wanted: Collection[int]) -> tuple[NDArray[Any], dict[int, NDArray[Any]]]:
        """Return selected pixels as `read` does, and the `wanted` frames whole, by index."""
        try:
            n_frames = self._shared.refresh()
        except RuntimeError as error:
            raise FrameError(f"{self.path} cannot be read: {error}") from error
        if stop > n_frames:
            raise FrameError(f"{self.path} holds {n_frames} frames, {stop} were announced")
        try:
            self._storage.require(start, stop)
        except DAMAGED as error:
            raise FrameError(f"{self.path}: {error}") from error
        block = np.empty((stop - start, self._pixels.size), self._dataset.dtype)
        whole = {}
        try:
            # frame by frame, so that HDF5's lock is held for one frame only, not for a block
            for out, index in zip(block, range(start, stop), strict=True):
                if self._checks_size:
                    self._check_size(index)
                frame = self._whole_frame(index) if index in wanted else None
                if frame is None:
                    self._gather(index, out)
                else:
                    frame.ravel().take(self._pixels, out=out, mode="clip")
                    whole[index] = frame
        except DAMAGED as error:
            raise FrameError(f"frame {index} of {self.path} cannot be read: {error}") from error
        return block, whole

    def blocks(self, start: int, stop: int, size: int = BLOCK, *, whole: Whole = NOTHING) -> Iterator[NDArray[Any]]:
        """Yield frames start … stop - 1 in blocks, (at most `size`, n_pixels), and read the next blocks meanwhile.

        `whole` gets its frames after the block that holds them. FrameError is raised at a block that cannot be read.
        """
        pending: deque[Future[tuple[NDArray[Any], dict[int, NDArray[Any]]]]] = deque()
        try:
            first = start
            while first < stop or pending:
                if first < stop and len(pending) <= AHEAD:
                    last = min(first + whole.block(size, self._frame_bytes), stop)
                    pending.append(self._pool.submit(self._read, first, last, whole.indices(first, last)))
                    first = last
                    continue
                block, frames = pending.popleft().result()
                yield block
                whole.give(frames)
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """Close the file, after the current read, unless others read it."""
        self._pool.shutdown(cancel_futures=True)
        self._shared.close()

    def _whole_frame(self, index: int) -> NDArray[Any] | None:
        """Return a frame, (ny, nx), or None if HDF5 cannot read it. This is fast enough for one frame in fifty."""
        try:
            return np.asarray(self._dataset[index])
        except (OSError, RuntimeError):
            return None  # the damage may lie outside the selected pixels

    def _gather(self, index: int, out: NDArray[Any]) -> None:
        if self._by_chunk:
            try:
                skipped, chunk = self._dataset.id.read_direct_chunk((index, 0, 0))
            except RuntimeError:
                pass  # the frame was not written and has no chunk: HDF5 returns the fill value
            else:
                if self._decoder is None or skipped & 1:
                    self._take(chunk, out)
                else:
                    self._decoder.decode(chunk, out)
                return
        rows = self._dataset[index, self._rows]
        rows.ravel().take(self._pixels - self._rows.start * rows.shape[1], out=out, mode="clip")

    def _check_size(self, index: int) -> None:
        """Raise ValueError if the file ends before the end of a frame: HDF5 reads zeros beyond the end of the file."""
        chunks, frames = self._dataset.chunks, self._dataset.id
        if chunks is None:
            end = (frames.get_offset() or 0) + (index + 1) * self._frame_bytes
        else:
            corners = np.ndindex(*(-(-n // c) for n, c in zip(self._frame_shape, chunks[1:], strict=True)))
            infos = (
                frames.get_chunk_info_by_coord(((index // chunks[0]) * chunks[0], y * chunks[1], x * chunks[2]))
                for y, x in corners
            )
            end = max((info.byte_offset or 0) + info.size for info in infos)
        if end > self._size:
            self._size = os.stat(self.path).st_size
        if end > self._size:
            raise ValueError(f"the file ends at byte {self._size}, the frame at {end}")

    def _take(self, chunk: bytes, out: NDArray[Any]) -> None:
        if len(chunk) != self._frame_bytes:
            raise ValueError(f"its chunk has {len(chunk)} bytes, wanted {self._frame_bytes}")
        # mode "raise" would write to a copy first
        np.frombuffer(chunk, out.dtype).take(self._pixels, out=out, mode="clip")


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
        if lz4_decompress is None or filters.get_nfilters() != 1:
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
        if not _decode(lz4_decompress, packed, whole, n_bytes - whole, used, slot, place, planes, out):
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
    found = np.uint8(0)
    for byte in plane:
        found |= byte
    return bool(found)


class HeldFrames:
    """Reads selected pixels of frames in memory, (ny, nx) or (n, ny, nx); raises FrameError for another shape."""

    def __init__(self, frames: NDArray[Any], pixels: Ints, shape: tuple[int, ...]) -> None:
        if frames.shape != shape or frames.dtype.kind not in "iuf":
            raise FrameError(f"an event holds frames of shape {frames.shape} and type {frames.dtype}, wanted {shape}")
        self._frames = frames.reshape(-1, shape[-2], shape[-1])
        self._pixels = pixels

    def blocks(self, start: int, stop: int, *, whole: Whole) -> Iterator[NDArray[Any]]:
        """Yield frames start … stop - 1 in blocks, (b, n_pixels). After each block `whole` gets its frames."""
        for first in range(start, stop, BLOCK):
            last = min(first + BLOCK, stop)
            yield self._frames[first:last].reshape(last - first, -1)[:, self._pixels]
            whole.give({index: self._frames[index] for index in whole.indices(first, last)})


class TiledFrames:
    """Reads selected pixels of frames from a Tiled server: from a file that TiledWriter registered, or from any array.

    Parameters
    ----------
    raw : tiled.client.container.Container
        The raw runs.
    path : tuple of str
        Uid of the run, name of the stream, data key.
    pixels : ndarray of int64, shape (n_pixels,)
        Flat indices in a frame.
    frame_shape : tuple of int
        (ny, nx).
    offset : int
        Number of frames in the stream before this resource; Tiled joins all resources of a stream.
    why : str
        Reason why the frames are not read from a file, for error messages.
    """

    def __init__(
        self,
        raw: "Container",
        path: tuple[str, str, str],
        pixels: Ints,
        frame_shape: tuple[int, int],
        *,
        offset: int,
        why: str,
    ) -> None:
        self._raw, self._path, self._frame_shape, self._offset, self._why = raw, path, frame_shape, offset, why
        self._n_frames = -1  # unknown
        rows, columns = np.divmod(pixels, frame_shape[1])
        self._window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        self._wanted = rows - rows.min(), columns - columns.min()

    def blocks(self, start: int, stop: int, *, whole: Whole) -> Iterator[NDArray[Any]]:
        """Yield frames start … stop - 1 of the resource in blocks, (b, n_pixels); then `whole` gets its frames.

        Raises
        ------
        MissingFrames
            If Tiled does not have the frames (yet), or cannot read them.
        FrameError
            If the frames have another shape.
        httpx.HTTPError
            If Tiled cannot be reached.
        """
        row, end = self._offset + start, self._offset + stop
        if end > self._n_frames:
            self._look_up()
        if end > self._n_frames:
            raise self._missing(f"Tiled holds {self._n_frames} frames of {self._name}, {end} were announced")
        height, width = (s.stop - s.start for s in self._window)
        most = max(MOST_BYTES // (height * width * self._dtype.itemsize), 1)
        frame_bytes = math.prod(self._frame_shape) * self._dtype.itemsize
        while row < end:
            n = whole.block(min(BLOCK, most, end - row), frame_bytes)
            if self._per_index > 1:  # one request cannot span two indices
                n = min(n, self._per_index - row % self._per_index)
            window = self._read(self._slices(row, n, self._window), (n, height, width))
            index = row - self._offset
            frames = {i: self._whole_frame(window, i - index, row) for i in whole.indices(index, index + n)}
            yield window[:, *self._wanted]
            whole.give(frames)
            row += n

    @property
    def _name(self) -> str:
        return "/".join(self._path)

    def _missing(self, what: str) -> MissingFrames:
        return MissingFrames(f"{self._why}, and {what}")

    def _look_up(self) -> None:
        """Get the link, dtype and number of frames of the array from Tiled."""
        uid, stream, key = self._path
        try:
            node = self._raw[uid][stream].base[key]
        except KeyError:
            raise self._missing(f"Tiled has no {self._name}") from None
        shape = node.shape
        if len(shape) not in (3, 4) or shape[-2:] != self._frame_shape:
            raise FrameError(f"Tiled has {self._name} of shape {shape}, wanted frames of {self._frame_shape}")
        self._link, self._dtype = node.item["links"]["full"], node.dtype
        self._has_exposures = len(shape) == 4
        self._per_index = shape[1] if self._has_exposures else 1
        self._n_frames = shape[0] * self._per_index

    def _whole_frame(self, window: NDArray[Any], place: int, row: int) -> NDArray[Any]:
        """Return frame `place` of a window that starts at frame `row`.

        The frame is read again unless the window covers the whole frame.
        """
        if window.shape[1:] == self._frame_shape:
            return np.asarray(window[place])
        everything = np.s_[: self._frame_shape[0], : self._frame_shape[1]]
        return np.asarray(self._read(self._slices(row + place, 1, everything), (1, *self._frame_shape))[0])

    def _slices(self, row: int, n: int, window: tuple[slice, slice]) -> tuple[slice | int, ...]:
        """Return the slices of Tiled's array that select `n` frames from `row` on, and the window in each frame."""
        if self._per_index > 1:
            index, within = divmod(row, self._per_index)
            return index, slice(within, within + n), *window
        return slice(row, row + n), *(0,) * self._has_exposures, *window

    def _read(self, wanted: tuple[slice | int, ...], shape: tuple[int, ...]) -> NDArray[Any]:
        from tiled.ndslice import NDSlice

        # The array's client would repeat a request that the server cannot answer for most of a minute.
        response = self._raw.context.http_client.get(
            self._link,
            params={"slice": NDSlice(*wanted).to_numpy_str(), "expected_shape": ",".join(map(str, shape))},
            headers={"Accept": "application/octet-stream"},
        )
        if response.status_code in AWAY:
            response.raise_for_status()
        if response.is_error:
            raise self._missing(f"Tiled cannot read {self._name}: {response.status_code} {response.reason_phrase}")
        return np.frombuffer(response.read(), self._dtype).reshape(shape)
