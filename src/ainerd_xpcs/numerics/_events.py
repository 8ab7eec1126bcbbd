"""Sparse frames: only the pixels that counted in each frame, as detectors that record events write them."""

from dataclasses import dataclass, replace
from functools import cached_property

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.numerics._counts import check_counts, check_valid
from ainerd_xpcs.numerics._partition import Array, Partition

SHIFT = 13
TILE = 1 << SHIFT  # pixels


class EventFileError(ValueError):
    """A file of events cannot be read; the message names the file, the place and the reason.

    Examples
    --------
    >>> _ = (folder / "a.bin").write_bytes(b"123")
    >>> next(read_ufxc(folder / "a.bin", Partition.from_roi_map(np.ones((128, 256), int))))
    Traceback (most recent call last):
        ...
    ainerd_xpcs.numerics._events.EventFileError: ...a.bin ends within a word
    """


@dataclass(frozen=True, eq=False)
class Tiles:
    """Events sorted into tiles of neighbouring pixels, whose sums fit the first cache, and then by frame.

    C2, g2 and the screens add each event to arrays as long as the detector has pixels. Frame by frame, each event is in
    another place of memory; tile by tile it is not. Within a tile, events have the order of the frames, and so do all
    sums.

    Attributes
    ----------
    begins : ndarray of int64, shape (n_tile + 1,)
        First event of each tile, and the number of events.
    events : ndarray of uint32, shape (m, 3)
        Position of the frame in the list of frames, pixel, and count.
    """

    begins: NDArray[np.int64]
    events: NDArray[np.uint32]

    @classmethod
    def of(cls, offsets: Array, pixel: Array, count: Array, n_pixels: int) -> "Tiles":
        """Sort events of frames; the arguments are those of `Events`."""
        begins = np.zeros((n_pixels - 1 >> SHIFT) + 2, np.int64)
        events = np.empty((len(pixel), 3), np.uint32)
        _sort(offsets, pixel, count, begins, events)
        return cls(begins, events)


@dataclass(frozen=True, kw_only=True, eq=False)
class Events:
    """Some of the frames of a run, each as the pixels that counted.

    `TwoTimeReducer` and `MultiTau` take them in place of dense frames. Frames without a photon need not be listed:
    both leave them out, as they leave out missing ones. A run may have up to 10⁹ frames; gaps cost nothing.

    Parameters
    ----------
    ticks : ndarray of int64, shape (n,)
        Number of each listed frame in the run, from 0, increasing.
    offsets : ndarray of int64, shape (n + 1,)
        The events of frame ``ticks[i]`` are ``offsets[i]`` to ``offsets[i + 1] - 1``.
    pixel : ndarray of int32, shape (m,)
        Pixel of each event, at most once in a frame.
    count : ndarray of uint32, shape (m,)
        Photons.
    shape : tuple of int
        (ny, nx) if pixels are flat indices on the detector; (n_pixels,) if they are positions in ``partition.pixels``.
    valid : ndarray of bool, shape (n,)
        False for frames to leave out.
    stop : int
        Number of frames of the run that have passed: one more than the last tick, or more if empty frames follow it.

    Raises
    ------
    ValueError
        If the arrays do not fit each other, ticks do not increase, or a pixel does not exist.

    Examples
    --------
    >>> frames = np.zeros((3, 2, 2), int)
    >>> frames[1, 0, 1], frames[2, 1, 1] = 1, 4
    >>> events = Events.of(frames)
    >>> events.pixel, events.count, events.offsets
    (array([1, 3], dtype=int32), array([1, 4], dtype=uint32), array([0, 0, 1, 2]))
    """

    ticks: NDArray[np.int64]
    offsets: NDArray[np.int64]
    pixel: NDArray[np.int32]
    count: NDArray[np.uint32]
    shape: tuple[int, ...]
    valid: NDArray[np.bool_]
    stop: int

    def __post_init__(self) -> None:
        n, offsets = len(self.ticks), self.offsets
        if offsets.shape != (n + 1,) or self.valid.shape != (n,) or self.count.shape != self.pixel.shape:
            raise ValueError(
                f"{n} ticks, {len(offsets)} offsets (one more is needed), {len(self.valid)} valid, {len(self.pixel)} "
                f"pixels and {len(self.count)} counts do not fit each other"
            )
        if offsets[0] != 0 or offsets[-1] != len(self.pixel) or np.any(offsets[1:] < offsets[:-1]):
            raise ValueError(f"offsets must increase from 0 to the number of events, {len(self.pixel)}")
        if n and (self.ticks[0] < 0 or self.ticks[-1] >= self.stop or np.any(self.ticks[1:] <= self.ticks[:-1])):
            raise ValueError(f"ticks must increase, from 0 to less than stop, {self.stop}")
        if self.pixel.size and not 0 <= self.pixel.min() <= self.pixel.max() < np.prod(self.shape):
            raise ValueError(
                f"pixels {self.pixel.min()} to {self.pixel.max()} are not all on a detector of shape {self.shape}"
            )

    @classmethod
    def of(cls, frames: Array, first: int = 0, valid: ArrayLike | None = None) -> "Events":
        """Return dense frames, (b, ny, nx) or (b, n_pixels) of whole counts, as events; `first` is their first tick."""
        frames = check_counts(np.asarray(frames))
        if frames.ndim not in (2, 3) or frames.dtype.kind == "f" and np.any(frames % 1):
            raise ValueError(
                f"events are whole counts, (b, ny, nx) or (b, n_pixels): got {frames.shape}, {frames.dtype}"
            )
        flat = frames.reshape(len(frames), -1)
        frame, pixel = np.nonzero(flat)
        return cls(
            ticks=first + np.arange(len(flat)),
            offsets=np.searchsorted(frame, np.arange(len(flat) + 1)).astype(np.int64),
            pixel=pixel.astype(np.int32),
            count=flat[frame, pixel].astype(np.uint32),
            shape=frames.shape[1:],
            valid=check_valid(valid, len(flat)),
            stop=first + len(flat),
        )

    @cached_property
    def tiles(self) -> Tiles:
        """The events by pixel, sorted once for all who add them to arrays of pixels."""
        return Tiles.of(self.offsets, self.pixel, self.count, int(np.prod(self.shape)))

    def __len__(self) -> int:
        """Return the number of frames that have passed, `stop`, as of dense frames."""
        return self.stop

    def moved(self, by: int) -> "Events":
        """Return the same events with other numbers of their frames."""
        return replace(self, ticks=self.ticks + by, stop=self.stop + by) if by else self

    def with_valid(self, valid: NDArray[np.bool_]) -> "Events":
        """Return the same events with other frames to leave out."""
        out = replace(self, valid=valid)
        if "tiles" in vars(self):
            vars(out)["tiles"] = self.tiles
        return out

    def gathered(self, partition: Partition) -> "Events":
        """Return the events of the pixels in use; raise ValueError if the frames do not fit the partition."""
        if self.shape == (len(partition.pixels),):
            return self
        if self.shape != partition.shape:
            raise ValueError(
                f"events of a detector of shape {self.shape} do not fit this partition: expected {partition.shape}, or "
                f"({len(partition.pixels)},) of gathered pixels"
            )
        return self._renumbered(positions(partition), (len(partition.pixels),))

    def without(self, pixels: NDArray[np.int64]) -> "Events":
        """Return the events of all pixels but these."""
        number = np.arange(np.prod(self.shape), dtype=np.int32)
        number[pixels] = -1
        return self._renumbered(number, self.shape)

    def only(self, pixels: NDArray[np.int64]) -> "Events":
        """Return the events of some pixels, in ascending order, which are numbered anew."""
        number = np.full(np.prod(self.shape), -1, np.int32)
        number[pixels] = np.arange(len(pixels))
        return self._renumbered(number, (len(pixels),))

    def between(self, first: int, last: int) -> "Events":
        """Return frames first to last - 1 of these, as views."""
        a, b = np.searchsorted(self.ticks, [first, last])
        if b - a == len(self.ticks) and first <= self.stop <= last:
            return self
        begin, end = self.offsets[a], self.offsets[b]
        return Events(
            ticks=self.ticks[a:b],
            offsets=self.offsets[a : b + 1] - begin,
            pixel=self.pixel[begin:end],
            count=self.count[begin:end],
            shape=self.shape,
            valid=self.valid[a:b],
            stop=min(max(first, self.stop), last),
        )

    def _renumbered(self, number: NDArray[np.int32], shape: tuple[int, ...]) -> "Events":
        """Return the events with other numbers of the pixels, without those of negative number."""
        offsets, pixel, count = np.empty_like(self.offsets), np.empty_like(self.pixel), np.empty_like(self.count)
        n = _select(self.offsets, self.pixel, self.count, number, offsets, pixel, count)
        return Events(
            ticks=self.ticks, offsets=offsets, pixel=pixel[:n], count=count[:n], shape=shape, valid=self.valid,
            stop=self.stop,
        )  # fmt: skip


def positions(partition: Partition) -> NDArray[np.int32]:
    """Return the position in ``partition.pixels`` of each pixel of the detector, (ny * nx,); -1 if it is not in use."""
    position = np.full(partition.roi_map.size, -1, np.int32)
    position[partition.pixels] = np.arange(len(partition.pixels), dtype=np.int32)
    return position


def labels(n: int) -> Array:
    """Return the numbers from 0 to n - 1, in a small integer type, for the cache."""
    return np.arange(n, dtype=np.uint16 if n <= 1 << 16 else np.int32)


def joined(blocks: list[Events]) -> Events:
    """Return blocks of frames that follow each other as one."""
    stop = blocks[-1].stop
    blocks = [x for x in blocks if len(x.ticks)] or blocks[-1:]
    if len(blocks) == 1 and blocks[0].stop == stop:
        return blocks[0]
    return Events(
        ticks=np.concatenate([x.ticks for x in blocks]),
        offsets=np.append(0, np.cumsum(np.concatenate([np.diff(x.offsets) for x in blocks]))),
        pixel=np.concatenate([x.pixel for x in blocks]),
        count=np.concatenate([x.count for x in blocks]),
        shape=blocks[0].shape,
        valid=np.concatenate([x.valid for x in blocks]),
        stop=stop,
    )


@nb.njit(nogil=True, cache=True)
def _select(
    offsets: Array, pixel: Array, count: Array, number: Array, offsets_out: Array, pixel_out: Array, count_out: Array
) -> int:
    k = 0
    offsets_out[0] = 0
    for b in range(offsets.size - 1):
        for e in range(offsets[b], offsets[b + 1]):
            p = number[pixel[e]]
            if p >= 0:
                pixel_out[k] = p
                count_out[k] = count[e]
                k += 1
        offsets_out[b + 1] = k
    return k


@nb.njit(nogil=True, cache=True)
def _sort(offsets: Array, pixel: Array, count: Array, begins: Array, events: Array) -> None:
    for p in pixel:
        begins[(p >> SHIFT) + 1] += 1
    for tile in range(1, begins.size):
        begins[tile] += begins[tile - 1]
    place = begins.copy()
    for b in range(offsets.size - 1):
        for e in range(offsets[b], offsets[b + 1]):
            p = np.uintp(pixel[e])
            i = np.uintp(place[p >> np.uintp(SHIFT)])
            place[p >> np.uintp(SHIFT)] += 1
            events[i, 0], events[i, 1], events[i, 2] = b, p, count[e]
