"""Sparse frames: only the pixels that counted in each frame, as detectors that record events write them.

Sums of such frames are kept in integers as small as possible, and only of frames that hold a photon.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.numerics._counts import check_counts, check_valid
from ainerd_xpcs.numerics._partition import Array, Floats, Partition

SHIFT = 13
TILE = 1 << SHIFT  # pixels
CHUNK = 1 << 12  # frames whose sums are kept together
MOST = 1 << 17  # sums of frames that are kept
Record = tuple[Array, Array, Array]  # of some frames: ticks, whether to keep them, and counts, (n, n_sub)


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
        tiles = Tiles(
            np.zeros((int(np.prod(self.shape)) - 1 >> SHIFT) + 2, np.int64), np.empty((len(self.pixel), 3), np.uint32)
        )
        _sort(self.offsets, self.pixel, self.count, tiles.begins, tiles.events)
        return tiles

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


@dataclass
class FrameSums:
    """Sums of the frames that hold a photon: their ticks, whether to keep them, and their counts by sub-bin.

    Counts are kept in the smallest integers that hold them. Of more than `MOST` frames the sums of 2, 4, 8 … neighbours
    are kept, as if all their photons were in the middle one.
    """

    partition: Partition
    _chunks: list[Record] = field(default_factory=list)
    _open: list[Record] = field(default_factory=list)
    _shift: int = 0  # a tick of the chunks is 2^shift frames
    _end: int = 0

    def push(self, events: Events) -> None:
        """Add the sums of the next frames, which must not hold an earlier one."""
        n, n_sub = len(events.ticks), len(self.partition.static_roi)
        counts = np.zeros((n, n_sub), np.uint32)
        sub = np.repeat(labels(n_sub), np.diff(self.partition.static_edges))
        _sum_events(events.offsets, events.pixel, events.count, sub, counts)
        some = counts.any(1)
        self._open.append((events.ticks[some], events.valid[some], counts[some]))
        self._end = max(events.stop, self._end)
        if sum(len(x[0]) for x in self._open) >= CHUNK:
            self._close()

    def _close(self) -> None:
        """Put the open frames into the last chunk, or into one of their own."""
        chunk, self._open = _summed(self._open, self._shift), []
        if self._shift and len(self._chunks[-1][0]) < CHUNK:
            chunk = _summed([self._chunks.pop(), chunk], 0)
        self._chunks.append(chunk)
        if sum(len(x[0]) for x in self._chunks) > MOST:
            self._shift += 1
            self._chunks = [_summed([_summed([x], 1) for x in self._chunks], 0)]

    def _records(self) -> Iterator[Record]:
        """Yield the arrays of each chunk, with the middle frame in place of the tick."""
        for ticks, keep, counts in self._chunks:
            middle = (ticks << self._shift) + (1 << self._shift >> 1)
            yield np.minimum(middle, self._end - 1), keep, counts
        yield from self._open

    def between(self, first: int, last: int, dtype: np.dtype[Any]) -> Record:
        """Return ticks, valid and counts, (n, n_sub), of the frames from `first` to `last` - 1."""
        parts = []
        for chunk in self._records():
            a, b = np.searchsorted(chunk[0], [first, last])
            parts.append([x[a:b] for x in chunk])
        ticks, valid, counts = (np.concatenate(x) for x in zip(*parts, strict=True))
        return ticks, valid, counts.astype(dtype)

    def photons(self) -> Floats:
        """Return the counts of each sub-bin in the frames to keep, (n_sub,)."""
        total = np.zeros(len(self.partition.static_roi))
        for _, keep, counts in self._records():
            total += counts[keep].sum(0, dtype=float)
        return total

    def between_edges(self, edges: NDArray[np.int64]) -> Floats:
        """Return the counts of each sub-bin, (n, n_sub), in all frames from ``edges[i]`` to ``edges[i + 1] - 1``."""
        total = np.zeros((len(edges) - 1, len(self.partition.static_roi)))
        for ticks, _, counts in self._records():
            into = np.searchsorted(edges, ticks, "right") - 1
            begins = np.flatnonzero(np.diff(into, prepend=-1))
            if len(begins):
                total[into[begins]] += np.add.reduceat(counts, begins, axis=0, dtype=float)
        return total

    def take_out(
        self, sub: Array, in_bin: NDArray[np.bool_], share_at: Callable[[NDArray[np.int64]], Floats],
        dtype: np.dtype[Any],
    ) -> None:  # fmt: skip
        """Subtract the counts of some pixels from their sub-bins `sub`, (m,).

        ``share_at(ticks)`` returns the shares of the pixels in the photons of frames, (n, m). `in_bin`, (n_sub,), marks
        the sub-bins of their bin. The sums become floating-point numbers.
        """
        if self._open:
            self._close()
        for i, (ticks, keep, counts) in enumerate(self._records()):
            photons, left = counts[:, in_bin].sum(1, dtype=float) * keep, counts.astype(dtype)
            for j, now in zip(sub, share_at(ticks).T * photons, strict=True):
                left[:, j] -= now
            self._chunks[i] = self._chunks[i][0], keep, left

    def parts(self, most: int) -> Iterator[tuple[int, int]]:
        """Yield first and last ticks, (first, end), of at most about `most` frames each."""
        ticks = np.concatenate([[0], *(x[0] for x in self._records())])
        edges = [*ticks[::most].tolist(), int(ticks[-1]) + 1]
        yield from zip(edges[:-1], edges[1:], strict=True)

    @property
    def n_sums(self) -> int:
        """Number of sums that are kept: frames that hold a photon, or groups of them."""
        return sum(len(x[0]) for x in [*self._chunks, *self._open])


def _summed(chunks: list[Record], shift: int) -> Record:
    """Return chunks as one, with the sums over those of 2^shift ticks which are all valid, or all not."""
    ticks, keep, counts = (np.concatenate(x) for x in zip(*chunks, strict=True))
    if shift:
        ticks >>= shift
        order = np.argsort(2 * ticks + keep, kind="stable")
        ticks, keep = ticks[order], keep[order]
        begins = np.flatnonzero((np.diff(ticks, prepend=-1) != 0) | np.diff(keep, prepend=keep[:1]))
        ticks, keep = ticks[begins], keep[begins]
        kind = counts.dtype if counts.dtype.kind == "f" else np.dtype(np.uint32)
        counts = np.add.reduceat(counts[order], begins, axis=0, dtype=kind)
    if counts.dtype.kind == "u" and counts.size:
        counts = counts.astype(np.min_scalar_type(counts.max()))
    return ticks, keep, counts


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


@nb.njit(nogil=True, cache=True)
def _sum_events(offsets: Array, pixel: Array, count: Array, sub: Array, counts: Array) -> None:
    """Write the sums of each frame by sub-bin."""
    for b in range(offsets.size - 1):
        into = counts[b]
        for e in range(offsets[b], offsets[b + 1]):
            into[sub[pixel[e]]] += count[e]
