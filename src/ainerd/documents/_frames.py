"""Read frames from an HDF5 file, also while it is being written, or from the documents themselves."""

import math
import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import hdf5plugin  # noqa: F401  (registers the filters)
import numpy as np
from numpy.typing import NDArray

from ainerd.documents._bslz4 import BitshuffleLZ4
from ainerd.documents._shared import SharedDataset
from ainerd.documents._storage import DAMAGED, FrameError, Roots, Storage
from ainerd.technique import RunAnalysis
from ainerd.threads import n_cores

Ints = NDArray[np.int64]
BLOCK = 50  # frames read at a time
WHOLE_BYTES = 32 * 2**20  # most bytes of whole frames in a block
CHUNK_BYTES = 2**30  # largest chunk: HDF5 unpacks a whole chunk to read one frame
AHEAD = 2  # blocks to read while another is in use


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
    >>> reader.close()
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

    Examples
    --------
    >>> import h5py
    >>> with h5py.File(folder / "frames.h5", "w") as file:
    ...     file["entry/data/data"] = np.arange(20 * 12).reshape(20, 3, 4)
    >>> reader = FrameReader(folder / "frames.h5", "entry/data/data", np.array([0, 11]), (3, 4))
    >>> reader.read(18, 20)  # the first and the last pixel of two frames
    array([[216, 227],
           [228, 239]])
    >>> reader.close()
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
        allowed = [
            Path(folder).resolve() for folder in ([path.parent, path.resolve().parent] if roots is None else roots)
        ]
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
            raise FrameError(f"{self.path}, {dataset.name!r}: shape {shape}, expected (frames, {ny}, {nx})")
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
        self._storage.confirm(start, stop)
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
            raise ValueError(f"its chunk has {len(chunk)} bytes, expected {self._frame_bytes}")
        # mode "raise" would write to a copy first
        np.frombuffer(chunk, out.dtype).take(self._pixels, out=out, mode="clip")


class HeldFrames:
    """Reads selected pixels of frames in memory, (ny, nx) or (n, ny, nx); raises FrameError for another shape."""

    def __init__(self, frames: NDArray[Any], pixels: Ints, shape: tuple[int, ...]) -> None:
        if frames.shape != shape or frames.dtype.kind not in "iuf":
            raise FrameError(f"an event holds frames of shape {frames.shape} and type {frames.dtype}, expected {shape}")
        self._frames = frames.reshape(-1, shape[-2], shape[-1])
        self._pixels = pixels

    def blocks(self, start: int, stop: int, *, whole: Whole) -> Iterator[NDArray[Any]]:
        """Yield frames start … stop - 1 in blocks, (b, n_pixels). After each block `whole` gets its frames."""
        for first in range(start, stop, BLOCK):
            last = min(first + BLOCK, stop)
            yield self._frames[first:last].reshape(last - first, -1)[:, self._pixels]
            whole.give({index: self._frames[index] for index in whole.indices(first, last)})
