"""Frames that are not in files of this machine: read from Tiled."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import hdf5plugin  # noqa: F401  (registers the filters)
import numpy as np

from ainerd.documents._frames import BLOCK, Ints, Whole, type_of_counts
from ainerd.documents._storage import AWAY, Array, FrameError, MissingFrames

if TYPE_CHECKING:
    from tiled.client.container import Container

MOST_BYTES = 32 * 2**20  # largest response of Tiled


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

    def blocks(self, start: int, stop: int, *, whole: Whole) -> Iterator[Array]:
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
        if self._offset + stop > self._n_frames:
            self._look_up()
        if self._offset + stop > self._n_frames:
            raise self._missing(
                f"Tiled holds {self._n_frames} frames of {self._name}, {self._offset + stop} were announced"
            )
        height, width = (s.stop - s.start for s in self._window)
        most = min(BLOCK, max(MOST_BYTES // (height * width * self._dtype.itemsize), 1))
        frame_bytes = math.prod(self._frame_shape) * self._dtype.itemsize
        while start < stop:
            n = whole.block(min(most, stop - start), frame_bytes)
            if self._per_index > 1:  # one request cannot span two indices
                n = min(n, self._per_index - (self._offset + start) % self._per_index)
            window = self._read(start, n, self._window)
            frames = {i: self._whole_frame(window, i - start, i) for i in whole.indices(start, start + n)}
            yield window[:, *self._wanted]
            whole.give(frames)
            start += n

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
        if len(node.shape) not in (3, 4) or node.shape[-2:] != self._frame_shape:
            raise FrameError(f"Tiled has {self._name} of shape {node.shape}, expected frames of {self._frame_shape}")
        self._link, self._dtype = node.item["links"]["full"], node.dtype
        self._type = type_of_counts(self._dtype, f"Tiled's {self._name}")
        self._has_exposures = len(node.shape) == 4
        self._per_index = node.shape[1] if self._has_exposures else 1
        self._n_frames = node.shape[0] * self._per_index

    def _whole_frame(self, window: Array, place: int, index: int) -> Array:
        """Return a frame, which is at a place of a window; read it again unless the window covers the whole frame."""
        if window.shape[1:] == self._frame_shape:
            return np.asarray(window[place])
        ny, nx = self._frame_shape
        return np.asarray(self._read(index, 1, np.s_[:ny, :nx])[0])

    def _read(self, index: int, n: int, window: tuple[slice, slice]) -> Array:
        """Return a window of `n` frames of the resource, (n, height, width)."""
        from tiled.ndslice import NDSlice

        row = self._offset + index
        place: tuple[object, ...] = slice(row, row + n), *(0,) * self._has_exposures
        if self._per_index > 1:
            exposure, first = divmod(row, self._per_index)
            place = exposure, slice(first, first + n)
        shape = n, *(len(range(*s.indices(size))) for s, size in zip(window, self._frame_shape, strict=True))
        # The array's client would repeat a request that the server cannot answer for most of a minute.
        response = self._raw.context.http_client.get(
            self._link,
            params={"slice": NDSlice(*place, *window).to_numpy_str(), "expected_shape": ",".join(map(str, shape))},
            headers={"Accept": "application/octet-stream"},
        )
        if response.status_code in AWAY:
            response.raise_for_status()
        if response.is_error:
            raise self._missing(f"Tiled cannot read {self._name}: {response.status_code} {response.reason_phrase}")
        return np.frombuffer(response.read(), self._dtype).astype(self._type, copy=False).reshape(shape)
