"""Frames of an HDF5 file, also while it is being written."""

import math
import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlparse

import hdf5plugin  # noqa: F401  (registers the filters)
import numpy as np
from numpy.typing import NDArray

from ainerd.documents._bslz4 import BitshuffleLZ4
from ainerd.documents._growing import AbsentError, opened
from ainerd.documents._storage import OutsideError, Roots, Storage, find
from ainerd.documents._whole import Whole
from ainerd.threads import n_cores

BLOCK = 50  # frames read at a time
MOST_BYTES = 2**30  # of a chunk: to read one frame, HDF5 unpacks all of it
DAMAGED = (OSError, RuntimeError, ValueError, KeyError, TypeError)  # what h5py raises of a file that is
AHEAD = 2  # blocks read or being read while another is in use


class FrameError(Exception):
    """Frames cannot be read; the message says which and why."""


class MissingFrames(FrameError):
    """Frames are not here; they may come late, or be elsewhere."""


def local_path(uri: str, roots: Iterable[Path]) -> Path:
    """The file a StreamResource's uri (file://localhost/…) points to, if it lies under one of the allowed roots.

    Links are followed before the check.

    Raises
    ------
    MissingFrames
        If the uri is no local file, or there is none.
    FrameError
        If there is one, but outside every root.
    """
    parts = urlparse(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise MissingFrames(f"frames at {uri!r} are not a local file")
    path = Path(unquote(parts.path)).resolve()
    if not path.is_file():
        raise MissingFrames(f"no file {path}")
    roots = [Path(root).resolve() for root in roots]
    if not any(path.is_relative_to(root) for root in roots):
        raise FrameError(f"{path} lies outside the allowed roots: {', '.join(map(str, roots)) or 'none is set'}")
    return path


class FrameReader:
    """The wanted pixels of the frames in one dataset.

    Quick where a chunk is one frame, uncompressed or bitshuffle-LZ4; anything else HDF5 reads as it can. Owns a
    thread or two, for `blocks`, until it is closed.

    Parameters
    ----------
    path : Path
    dataset : str
        Name in the file, of shape (frames, ny, nx).
    pixels : ndarray of int, shape (n,)
        Flat indices in a frame, in the order wanted.
    frame_shape : (int, int)
        (ny, nx) expected.
    swmr : bool
        Whether the file may still be growing.
    roots : sequence of Path, optional
        Folders that links, virtual datasets and raw storage may lead to; that of the file without it.

    Raises
    ------
    FrameError
        If the dataset cannot be opened, or has frames of another shape, or `pixels` do not lie in them.
    MissingFrames
        If a link or source leads to a file that is not there.
    """

    def __init__(
        self,
        path: Path,
        dataset: str,
        pixels: NDArray[np.int64],
        frame_shape: tuple[int, int],
        *,
        swmr: bool = True,
        roots: Iterable[Path] | None = None,
    ) -> None:
        ny, nx = frame_shape
        pixels = np.ascontiguousarray(pixels, np.int64)
        if not pixels.size or pixels.min() < 0 or pixels.max() >= ny * nx:
            raise FrameError(f"pixels must be some of 0 … {ny * nx - 1}, flat indices in frames of {ny} × {nx}")
        allowed = Roots([path.parent] if roots is None else [*roots])
        self._pixels, self._size = pixels, 0  # of the file, when it was last looked at
        try:
            self.path, dataset = find(path, dataset, allowed, growing=swmr)
            self._file = opened(self.path, growing=swmr)
        except DAMAGED as err:
            raise FrameError(f"cannot open {path}: {err}") from err
        except OutsideError as err:
            raise FrameError(str(err)) from err
        except AbsentError as err:
            raise MissingFrames(str(err)) from err
        try:
            self._look_at(dataset, frame_shape, allowed, swmr)
        except DAMAGED as err:
            self._file.close()
            raise FrameError(f"cannot open {dataset!r} of {self.path}: {err}") from err
        except OutsideError as err:
            self._file.close()
            raise FrameError(str(err)) from err
        except AbsentError as err:
            self._file.close()
            raise MissingFrames(str(err)) from err
        except FrameError:
            self._file.close()
            raise
        self._rows = np.s_[pixels.min() // nx : pixels.max() // nx + 1]
        spare = n_cores() - 1  # who takes the blocks needs a core as well
        self._pool = ThreadPoolExecutor(min(AHEAD, max(spare, 1)), "ainerd-frames")

    def _look_at(self, dataset: str, frame_shape: tuple[int, int], roots: Roots, swmr: bool) -> None:
        """See that a dataset can be read, and how."""
        (ny, nx), found = frame_shape, self._file.get(dataset)
        shape = getattr(found, "shape", None)
        if shape is None or len(shape) != 3 or shape[1:] != tuple(frame_shape):
            has = f"shape {shape}" if shape else "no such dataset"
            raise FrameError(f"{self.path}, {dataset!r}: {has}, wanted (frames, {ny}, {nx})")
        if found.chunks and (size := math.prod(found.chunks) * found.dtype.itemsize) > MOST_BYTES:
            raise FrameError(
                f"{self.path}, {dataset!r}: a chunk unpacks to {size / 1e9:.1f} GB, more than one frame can need"
            )
        self._dataset, self._frame_bytes = found, ny * nx * found.dtype.itemsize
        self._storage = Storage.of(self.path, found, roots, self._frame_bytes, growing=swmr)
        self._decoder = BitshuffleLZ4(found.dtype, ny * nx, self._pixels) if BitshuffleLZ4.fits(found) else None
        self._unfiltered = found.id.get_create_plist().get_nfilters() == 0
        self._by_chunk = found.chunks == (1, ny, nx) and (self._unfiltered or self._decoder is not None)
        self._is_here = self._unfiltered and not self._storage.is_elsewhere

    def read(self, start: int, stop: int) -> NDArray:
        """Frames start … stop - 1, (stop - start, n_pixels); FrameError if they are not in the file, or damaged."""
        return self._read(start, stop, ())[0]

    def _read(self, start: int, stop: int, wanted: Collection[int]) -> tuple[NDArray, dict[int, NDArray]]:
        """The same, and the `wanted` among them whole, by index."""
        try:
            self._dataset.refresh()  # not of its id: h5py keeps the shape of a file opened to read
        except RuntimeError as err:
            raise FrameError(f"{self.path} cannot be read: {err}") from err
        if stop > len(self._dataset):
            raise FrameError(f"{self.path} holds {len(self._dataset)} frames, {stop} were announced")
        try:
            self._storage.require(start, stop)
        except (*DAMAGED, OutsideError) as err:
            raise FrameError(f"{self.path}: {err}") from err
        except AbsentError as err:
            raise MissingFrames(str(err)) from err
        block = np.empty((stop - start, self._pixels.size), self._dataset.dtype)
        whole = {}
        try:
            # frame by frame: HDF5's lock is held for one frame at a time, not for a block's
            for out, index in zip(block, range(start, stop), strict=True):
                frame = self._whole(index) if index in wanted else None
                if frame is None:
                    self._gather(index, out)
                else:
                    frame.ravel().take(self._pixels, out=out, mode="clip")
                    whole[index] = frame
        except DAMAGED as err:
            raise FrameError(f"frame {index} of {self.path} cannot be read: {err}") from err
        return block, whole

    def blocks(self, start: int, stop: int, size: int = BLOCK, *, whole: Whole | None = None) -> Iterator[NDArray]:
        """Frames start … stop - 1 in blocks (at most `size`, n_pixels), the next ones being read meanwhile.

        Frames that are wanted whole are handed to `whole` after the block that holds them. FrameError as of `read`,
        where the block would have come.
        """
        pending: deque[Future[tuple[NDArray, dict[int, NDArray]]]] = deque()
        try:
            first = start
            while first < stop or pending:
                if first < stop and len(pending) <= AHEAD:
                    n = size if whole is None else whole.block(size, self._frame_bytes)
                    last = min(first + n, stop)
                    pending.append(
                        self._pool.submit(self._read, first, last, whole.indices(first, last) if whole else ())
                    )
                    first = last
                    continue
                block, frames = pending.popleft().result()
                yield block
                if whole is not None:
                    whole.give(frames)
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """Close the file, once what is being read has been."""
        self._pool.shutdown(cancel_futures=True)
        self._file.close()

    def _whole(self, index: int) -> NDArray | None:
        """A frame, (ny, nx), as HDF5 reads it: as quick as need be for one in fifty. None if it cannot."""
        if self._is_here:
            self._require(index)
        try:
            return self._dataset[index]
        except (OSError, RuntimeError):
            return None  # it may be damaged where nobody else looks

    def _gather(self, index: int, out: NDArray) -> None:
        if self._is_here:
            self._require(index)
        if self._by_chunk:
            try:
                skipped, chunk = self._dataset.id.read_direct_chunk((index, 0, 0))
            except RuntimeError:
                pass  # there is no chunk: HDF5 knows what stands for a frame that was not written
            else:
                if self._decoder is None or skipped & 1:
                    self._take(chunk, out)
                else:
                    self._decoder.decode(chunk, out)
                return
        rows = self._dataset[index, self._rows]
        rows.ravel().take(self._pixels - self._rows.start * rows.shape[1], out=out, mode="clip")

    def _require(self, index: int) -> None:
        """See that the file reaches as far as a frame: HDF5 reads zeros beyond its end."""
        chunks, frames = self._dataset.chunks, self._dataset.id
        if chunks is None:
            end = (frames.get_offset() or 0) + (index + 1) * self._frame_bytes
        else:
            corners = np.ndindex(*(-(-n // c) for n, c in zip(self._dataset.shape[1:], chunks[1:], strict=True)))
            infos = (
                frames.get_chunk_info_by_coord(((index // chunks[0]) * chunks[0], y * chunks[1], x * chunks[2]))
                for y, x in corners
            )
            end = max((info.byte_offset or 0) + info.size for info in infos)
        if end > self._size:
            self._size = os.stat(self.path).st_size
        if end > self._size:
            raise ValueError(f"the file ends at byte {self._size}, the frame at {end}")

    def _take(self, chunk: bytes, out: NDArray) -> None:
        if len(chunk) != self._frame_bytes:
            raise ValueError(f"its chunk has {len(chunk)} bytes, wanted {self._frame_bytes}")
        # mode: "raise" would fill a copy first
        np.frombuffer(chunk, out.dtype).take(self._pixels, out=out, mode="clip")
