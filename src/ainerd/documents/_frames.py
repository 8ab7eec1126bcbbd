"""Read frames from an HDF5 file, also while it is being written, or from the documents themselves."""

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self, TypeVar

import h5py
import hdf5plugin  # noqa: F401  (registers the filters)
import numpy as np
from numpy.typing import NDArray

from ainerd.documents._bslz4 import BitshuffleLZ4
from ainerd.documents._storage import (
    DAMAGED,
    Array,
    FrameError,
    Item,
    MissingFrames,
    find_item,
    is_growing,
    is_recent,
    opened,
)  # fmt: skip
from ainerd.documents._virtual import Sources
from ainerd.jobs import in_background
from ainerd.technique import RunAnalysis
from ainerd.threads import n_cores

T = TypeVar("T")
Ints = NDArray[np.int64]
Chunk = tuple[int, bytes]  # filters that were not used, one bit each, and the bytes in the file
BLOCK = 50  # frames read at a time
WHOLE_BYTES = 32 * 2**20  # most bytes of whole frames in a block
AHEAD = 2  # blocks to read while another is in use
HOLD_S = 0.002  # longest time that a file is open and others in this process wait for HDF5, if opening is fast


@dataclass(frozen=True)
class Whole:
    """The choice of frames that an analysis gets whole, in addition to the selected pixels of every frame.

    Attributes
    ----------
    viewer : RunAnalysis or None
        Analysis with `every` and `whole`; None selects no frames.
    first : int
        Index of the frame that the viewer counts as number 0.

    Examples
    --------
    >>> import h5py
    >>> with h5py.File(folder / "frames.h5", "w") as file:
    ...     file["data"] = np.arange(20 * 12).reshape(20, 3, 4)
    >>> class Viewer:
    ...     every = 10
    ...     def whole(self, frame, number):
    ...         print(number, frame.shape)
    >>> reader = FrameReader(folder / "frames.h5", "data", np.array([0]), (3, 4))
    >>> sum(len(block) for block in reader.blocks(0, 20, whole=Whole(Viewer())))
    9 (3, 4)
    19 (3, 4)
    20
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

    def give(self, frames: dict[int, Array]) -> None:
        """Pass frames, by index, to the viewer. Leave out those that `every` no longer selects."""
        for index, frame in frames.items():
            if self.viewer is not None and self.indices(index, index + 1):
                frame.flags.writeable = False
                self.viewer.whole(frame, index - self.first)


NOTHING = Whole()


class FrameReader:
    """Reads selected pixels of the frames in a dataset.

    The file may be growing. It is opened for each reading, see `open_hdf5`. Reading is fast if a chunk is one frame,
    uncompressed or bitshuffle-LZ4. HDF5 reads all other layouts. The reader has one or two threads for `blocks`.

    Parameters
    ----------
    path : Path
    dataset : str
        Name of the dataset in the file, of shape (frames, ny, nx).
    pixels : ndarray of int, shape (n_pixels,)
        Flat indices in a frame; the result has the same order.
    frame_shape : (int, int)
        Expected shape, (ny, nx).
    roots : sequence of Path, optional
        Folders to which links and virtual datasets may lead; by default the folder of the file.

    Raises
    ------
    FrameError
        If the dataset cannot be opened, its frames have another shape, or `pixels` lie outside the frames.
    MissingFrames
        If a link or source leads to a file that does not exist, or the file is being written without SWMR.

    Examples
    --------
    >>> import h5py
    >>> with h5py.File(folder / "frames.h5", "w") as file:
    ...     file["entry/data/data"] = np.arange(20 * 12).reshape(20, 3, 4)
    >>> reader = FrameReader(folder / "frames.h5", "entry/data/data", np.array([0, 11]), (3, 4))
    >>> reader.read(18, 20)  # the first and the last pixel of two frames
    array([[216, 227],
           [228, 239]])
    """

    def __init__(
        self,
        path: Path,
        dataset: str,
        pixels: Ints,
        frame_shape: tuple[int, int],
        *,
        roots: Iterable[Path] | None = None,
    ) -> None:
        ny, nx = frame_shape
        pixels = np.ascontiguousarray(pixels, np.int64)
        if not pixels.size or pixels.min() < 0 or pixels.max() >= ny * nx:
            raise FrameError(f"pixels must be some of 0 … {ny * nx - 1}, flat indices in frames of {ny} × {nx}")
        self._roots = [Path(root).resolve() for root in ([path.parent] if roots is None else roots)]
        self._pixels, self._shape = pixels, (ny, nx)
        try:
            self.path, self._name = find_item(path, dataset, self._roots)
            with opened(self.path, self._name, self._roots) as frames:
                self._inspect(frames)
        except DAMAGED as error:
            raise FrameError(f"cannot open {dataset!r} of {path}: {error}") from error
        self._rows = np.s_[pixels.min() // nx : pixels.max() // nx + 1]
        self._in_rows = pixels - self._rows.start * nx
        spare = n_cores() - 1  # one core is for the consumer of the blocks
        self._pool = ThreadPoolExecutor(min(AHEAD, max(spare, 1)), "ainerd-frames")

    def _inspect(self, dataset: Item) -> None:
        """Check the dataset and choose how to read it."""
        what, (ny, nx) = f"{self.path}, {self._name!r}", self._shape
        if not isinstance(dataset, h5py.Dataset):
            error = MissingFrames if dataset is None and is_recent(self.path) else FrameError
            raise error(f"{what}: no such dataset")
        if dataset.shape is None or len(dataset.shape) != 3 or dataset.shape[1:] != (ny, nx):
            raise FrameError(f"{what}: shape {dataset.shape}, expected (frames, {ny}, {nx})")
        self._type = type_of_counts(dataset.dtype, what)
        self._sources = Sources(self.path, dataset, self._roots)
        self._layout, self._dtype = (dataset.shape[1:], dataset.dtype, dataset.chunks), dataset.dtype
        self._fill, self._frame_bytes = self._type.type(dataset.fillvalue), ny * nx * dataset.dtype.itemsize
        # chunks hold the numbers of numpy, unless the file has a type of its own, such as 12 of 16 bits
        is_plain = dataset.id.get_type().equal(h5py.h5t.py_create(dataset.dtype, logical=True))
        fits = is_plain and BitshuffleLZ4.fits(dataset)
        self._decoder = BitshuffleLZ4(dataset.dtype, ny * nx, self._pixels) if fits else None
        is_raw = dataset.id.get_create_plist().get_nfilters() == 0
        self._by_chunk = is_plain and dataset.chunks == (1, ny, nx) and (is_raw or fits)

    def read(self, start: int, stop: int) -> Array:
        """Return frames start … stop - 1, (stop - start, n_pixels); raise FrameError if they are damaged or absent."""
        return self._read(start, stop, ())[0]

    def _read(self, start: int, stop: int, wanted: Collection[int]) -> tuple[Array, dict[int, Array]]:
        """Return selected pixels as `read` does, and the `wanted` frames whole, by index."""
        try:
            self._sources.require(start, stop)
        except DAMAGED as error:
            raise FrameError(f"{self.path}: {error}") from error
        block, whole, index = np.empty((stop - start, self._pixels.size), self._type), {}, start
        while index < stop:
            for frame in self._fetch(index, stop, wanted):
                try:
                    self._select(frame, block[index - start])
                except ValueError as error:
                    raise FrameError(f"frame {index} of {self.path} cannot be read: {error}") from error
                if isinstance(frame, np.ndarray) and index in wanted:
                    whole[index] = frame.astype(self._type, copy=False)
                index += 1
        if self._fill != 0:  # frames that nobody wrote are dark, whatever HDF5 returns for them
            block[(block == self._fill).all(1) | (np.isnan(self._fill) & np.isnan(block).all(1))] = 0
        return block, whole

    def _fetch(self, start: int, stop: int, wanted: Collection[int]) -> list[Array | Chunk]:
        """Read the first of these frames as they are stored, as many as there is time for while the file is open."""
        began, stored, what = time.monotonic(), list[Array | Chunk](), f"{self.path}"
        try:
            with opened(self.path, self._name, self._roots, is_checked=True) as dataset:
                until = time.monotonic() + max(HOLD_S, 4 * (time.monotonic() - began))
                if dataset is None or (dataset.shape[1:], dataset.dtype, dataset.chunks) != self._layout:
                    raise FrameError(f"{self.path}, {self._name!r}: shape, type or chunks have changed")
                if stop > len(dataset):
                    error = MissingFrames if is_growing(dataset.file) or is_recent(self.path) else FrameError
                    raise error(f"{self.path} holds {len(dataset)} frames, {stop} were announced")
                for index in range(start, stop):
                    what = f"frame {index} of {self.path}"
                    stored.append(self._stored(dataset, index, is_whole=index in wanted))
                    if time.monotonic() > until:
                        break
        except DAMAGED as error:
            raise FrameError(f"{what} cannot be read: {error}") from error
        return stored

    def _stored(self, dataset: h5py.Dataset, index: int, *, is_whole: bool) -> Array | Chunk:
        """Read a frame as it is stored: whole, the rows with the selected pixels, or its chunk."""
        if self._by_chunk:
            try:
                chunk = tuple(dataset.id.read_direct_chunk((index, 0, 0)))
            except RuntimeError:  # the frame was not written and has no chunk: HDF5 returns the fill value
                pass
            else:
                return self._unpacked(*chunk) if is_whole else chunk
        if dataset.chunks and (is_growing(dataset.file) or is_recent(self.path)):
            place = (index // dataset.chunks[0] * dataset.chunks[0], 0, 0)
            if dataset.id.get_chunk_info_by_coord(place).byte_offset is None:
                raise MissingFrames(f"{self.path} does not hold frame {index} yet, which was announced")
        return np.asarray(dataset[index] if is_whole else dataset[index, self._rows])

    def _unpacked(self, skipped: int, chunk: bytes) -> Array:
        """Unpack a whole frame here: the filter of hdf5plugin crashes the process at some damaged chunks."""
        if self._decoder is None or skipped & 1:
            return np.frombuffer(chunk, self._dtype).reshape(self._shape)
        frame = np.empty(self._shape, self._type)
        self._whole_decoder.decode(chunk, frame.ravel())
        return frame

    @cached_property
    def _whole_decoder(self) -> BitshuffleLZ4:
        n_pixels = math.prod(self._shape)
        return BitshuffleLZ4(self._dtype, n_pixels, np.arange(n_pixels))

    def _select(self, frame: Array | Chunk, out: Array) -> None:
        """Write the selected pixels of a frame to `out`, (n_pixels,)."""
        pixels = self._pixels
        if isinstance(frame, np.ndarray):
            pixels = pixels if frame.shape == self._shape else self._in_rows
            values = frame.ravel()
        else:
            skipped, chunk = frame
            if self._decoder is not None and not skipped & 1:
                self._decoder.decode(chunk, out)
                return
            if len(chunk) != self._frame_bytes:
                raise ValueError(f"its chunk has {len(chunk)} bytes, expected {self._frame_bytes}")
            values = np.frombuffer(chunk, self._dtype)
        if values.dtype == out.dtype:
            values.take(pixels, out=out, mode="clip")  # mode "raise" would write to a copy first
        else:
            out[:] = values[pixels]

    def blocks(self, start: int, stop: int, size: int = BLOCK, *, whole: Whole = NOTHING) -> Iterator[Array]:
        """Yield frames start … stop - 1 in blocks, (at most `size`, n_pixels), and read the next blocks meanwhile.

        `whole` gets its frames after the block that holds them. FrameError is raised at a block that cannot be read.
        """
        pending: deque[Future[tuple[Array, dict[int, Array]]]] = deque()
        first = start
        try:
            while first < stop or pending:
                while first < stop and len(pending) <= AHEAD:
                    last = min(first + whole.block(size, self._frame_bytes), stop)
                    pending.append(self._later(partial(self._read, first, last, whole.indices(first, last))))
                    first = last
                block, frames = pending.popleft().result()
                yield block
                whole.give(frames)
        finally:
            for future in pending:
                future.cancel()

    def _later(self, job: Callable[[], T]) -> "Future[T]":
        try:
            return self._pool.submit(job)
        except RuntimeError:  # the interpreter ends, and takes no more jobs for pools
            return in_background("ainerd-frames", job)


def type_of_counts(dtype: np.dtype[Any], what: str) -> np.dtype[Any]:
    """Return the type of this machine for frames of a type; FrameError, which names `what`, if it holds no counts.

    Examples
    --------
    >>> type_of_counts(np.dtype(">u2"), "frames"), type_of_counts(np.dtype("float16"), "frames")
    (dtype('uint16'), dtype('float32'))
    """
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind == "f":
        return np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)
    if dtype.kind not in "iu":
        raise FrameError(f"{what} holds values of type {dtype}, which are no counts: integers or floats are read")
    return np.dtype(f"{dtype.kind}{dtype.itemsize}")


class HeldFrames:
    """Reads selected pixels of frames in memory, (ny, nx) or (n, ny, nx); raises FrameError for another shape."""

    def __init__(self, frames: Array, pixels: Ints, shape: tuple[int, ...]) -> None:
        if frames.shape != shape:
            raise FrameError(f"an event holds frames of shape {frames.shape} and type {frames.dtype}, expected {shape}")
        frames = frames.astype(type_of_counts(frames.dtype, "an event"), copy=False)
        self._frames = frames.reshape(-1, shape[-2], shape[-1])
        self._pixels = pixels

    def blocks(self, start: int, stop: int, *, whole: Whole) -> Iterator[Array]:
        """Yield frames start … stop - 1 in blocks, (b, n_pixels). After each block `whole` gets its frames."""
        for first in range(start, stop, BLOCK):
            last = min(first + BLOCK, stop)
            yield self._frames[first:last].reshape(last - first, -1)[:, self._pixels]
            whole.give({index: self._frames[index] for index in whole.indices(first, last)})
