"""Read frames from an HDF5 file, also while it is being written, or from the documents themselves."""

import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import h5py
import hdf5plugin  # noqa: F401  (registers the filters)
import numpy as np
from numpy.typing import NDArray

from ainerd.documents._bslz4 import BitshuffleLZ4
from ainerd.documents._storage import (
    DAMAGED,
    Array,
    FrameError,
    MissingFrames,
    find_item,
    is_growing,
    is_recent,
    opened,
)  # fmt: skip
from ainerd.documents._virtual import Sources
from ainerd.jobs import in_background
from ainerd.technique import RunAnalysis

Ints = NDArray[np.int64]
BLOCK = 50  # frames read at a time
WHOLE_BYTES = 32 * 2**20  # most bytes of whole frames in a block
AHEAD = 2  # blocks that are read while another one is in use, each in a thread


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
    uncompressed or bitshuffle-LZ4. HDF5 reads all other layouts.

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

    def _inspect(self, dataset: h5py.Dataset | h5py.Group | None) -> None:
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
        self._is_packed = is_plain and BitshuffleLZ4.fits(dataset)
        is_raw = is_plain and dataset.id.get_create_plist().get_nfilters() == 0
        self._by_chunk = dataset.chunks == (1, ny, nx) and (is_raw or self._is_packed)

    def read(self, start: int, stop: int) -> Array:
        """Return frames start … stop - 1, (stop - start, n_pixels); raise FrameError if they are damaged or absent."""
        return self._read(start, stop, ())[0]

    def _read(self, start: int, stop: int, wanted: Collection[int]) -> tuple[Array, dict[int, Array]]:
        """Return selected pixels as `read` does, and the `wanted` frames whole, by index."""
        block, whole = np.empty((stop - start, self._pixels.size), self._type), dict[int, Array]()
        packed, what = dict[int, bytes](), str(self.path)
        try:
            self._sources.require(start, stop)
            with opened(self.path, self._name, self._roots, is_checked=True) as dataset:
                self._require(dataset, stop)
                for index in range(start, stop):
                    what = f"frame {index} of {self.path}"
                    frame = self._stored(dataset, index, is_whole=index in wanted)
                    if isinstance(frame, bytes):
                        packed[index] = frame
                        continue
                    self._select(frame, block[index - start])
                    if index in wanted:
                        whole[index] = frame.astype(self._type)
            for index, chunk in packed.items():
                what = f"frame {index} of {self.path}"
                self._decoder.decode(chunk, block[index - start])
                if index in wanted:
                    whole[index] = np.empty(self._shape, self._type)
                    self._whole_decoder.decode(chunk, whole[index].ravel())
        except DAMAGED as error:
            raise FrameError(f"{what} cannot be read: {error}") from error
        if self._fill != 0:  # frames that nobody wrote are dark, whatever HDF5 returns for them
            block[(block == self._fill).all(1) | (np.isnan(self._fill) & np.isnan(block).all(1))] = 0
        return block, whole

    def _require(self, dataset: h5py.Dataset | None, stop: int) -> None:
        """Check that the open dataset is as it was, and has `stop` frames."""
        if dataset is None or (dataset.shape[1:], dataset.dtype, dataset.chunks) != self._layout:
            raise FrameError(f"{self.path}, {self._name!r}: shape, type or chunks have changed")
        if stop > len(dataset):
            error = MissingFrames if is_growing(dataset.file) or is_recent(self.path) else FrameError
            raise error(f"{self.path} holds {len(dataset)} frames, {stop} were announced")

    def _stored(self, dataset: h5py.Dataset, index: int, *, is_whole: bool) -> Array | bytes:
        """Read a frame: its packed chunk, or all of it, or the rows with the selected pixels."""
        if self._by_chunk:
            try:
                filters_left_out, chunk = dataset.id.read_direct_chunk((index, 0, 0))
            except RuntimeError:  # the frame was not written and has no chunk: HDF5 returns the fill value
                pass
            else:
                is_packed = self._is_packed and not filters_left_out & 1
                return bytes(chunk) if is_packed else np.frombuffer(chunk, self._dtype).reshape(self._shape)
        if dataset.chunks and (is_growing(dataset.file) or is_recent(self.path)):
            place = (index // dataset.chunks[0] * dataset.chunks[0], 0, 0)
            if dataset.id.get_chunk_info_by_coord(place).byte_offset is None:
                raise MissingFrames(f"{self.path} does not hold frame {index} yet, which was announced")
        return np.asarray(dataset[index] if is_whole else dataset[index, self._rows])

    @cached_property
    def _decoder(self) -> BitshuffleLZ4:
        return BitshuffleLZ4(self._dtype, math.prod(self._shape), self._pixels)

    @cached_property
    def _whole_decoder(self) -> BitshuffleLZ4:  # the filter of hdf5plugin crashes the process at some damaged chunks
        n_pixels = math.prod(self._shape)
        return BitshuffleLZ4(self._dtype, n_pixels, np.arange(n_pixels))

    def _select(self, frame: Array, out: Array) -> None:
        """Write the selected pixels of a frame, or of its rows that hold them, to `out`, (n_pixels,)."""
        pixels = self._pixels if frame.shape == self._shape else self._in_rows
        if frame.dtype == out.dtype:
            frame.ravel().take(pixels, out=out, mode="clip")  # mode "raise" would write to a copy first
        else:
            out[:] = frame.ravel()[pixels]

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
                    job = partial(self._read, first, last, whole.indices(first, last))
                    pending.append(in_background("ainerd-frames", job))
                    first = last
                block, frames = pending.popleft().result()
                yield block
                whole.give(frames)
        finally:
            wait(pending)


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
