"""Frames of an HDF5 file, also while it is being written."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlparse

import h5py
import hdf5plugin  # noqa: F401  (registers the filters)
import numpy as np
from numpy.typing import NDArray


class FrameError(Exception):
    """Frames cannot be read; the message says which and why."""


def local_path(uri: str, roots: Iterable[Path]) -> Path:
    """The file a StreamResource's uri points to, if it lies under one of the allowed roots.

    Parameters
    ----------
    uri : str
        file://localhost/…
    roots : iterable of Path
        Folders frames may be read from; links are followed before the check.

    Raises
    ------
    FrameError
        If the uri is no local file, lies outside every root, or does not exist.
    """
    parts = urlparse(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise FrameError(f"frames at {uri!r} are not a local file")
    path = Path(unquote(parts.path)).resolve()
    roots = [Path(root).resolve() for root in roots]
    if not any(path.is_relative_to(root) for root in roots):
        raise FrameError(f"{path} lies outside the allowed roots: {', '.join(map(str, roots)) or 'none is set'}")
    if not path.is_file():
        raise FrameError(f"no file {path}")
    return path


class FrameReader:
    """The wanted pixels of the frames in one dataset.

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

    Raises
    ------
    FrameError
        If the file or the dataset cannot be opened, or has frames of another shape.
    """

    def __init__(
        self,
        path: Path,
        dataset: str,
        pixels: NDArray[np.int64],
        frame_shape: tuple[int, int],
        *,
        swmr: bool = True,
    ) -> None:
        self.path, self._pixels = path, pixels
        try:
            self._file = h5py.File(path, "r", libver="latest" if swmr else None, swmr=swmr)
        except OSError as err:
            raise FrameError(f"cannot open {path}: {err}") from err
        found = self._file.get(dataset)
        shape = getattr(found, "shape", None)
        if shape is None or len(shape) != 3 or shape[1:] != tuple(frame_shape):
            self._file.close()
            has = f"shape {shape}" if shape else "no such dataset"
            raise FrameError(f"{path}, {dataset!r}: {has}, wanted (frames, {frame_shape[0]}, {frame_shape[1]})")
        self._dataset = found
        self._frame = np.empty(frame_shape, found.dtype)

    def read(self, start: int, stop: int) -> NDArray:
        """Frames start … stop - 1, gathered to (stop - start, n_pixels).

        Raises
        ------
        FrameError
            If they are not in the file, or damaged.
        """
        self._dataset.id.refresh()
        if stop > len(self._dataset):
            raise FrameError(f"{self.path} holds {len(self._dataset)} frames, {stop} were announced")
        block = np.empty((stop - start, len(self._pixels)), self._dataset.dtype)
        flat = self._frame.ravel()
        try:
            for row, index in zip(block, range(start, stop), strict=True):
                # frame by frame: HDF5's lock is held for one frame's decompression at a time, not for a block's
                self._dataset.read_direct(self._frame, np.s_[index])
                flat.take(self._pixels, out=row)
        except OSError as err:
            raise FrameError(f"frame {index} of {self.path} cannot be read: {err}") from err
        return block

    def close(self) -> None:
        """Close the file."""
        self._file.close()
