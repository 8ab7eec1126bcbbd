"""Files of a Rigaku detector, of one module or six, as blocks of `Events`; they may grow while they are read.

Layout as boost_corr and xpcs-eigen read it. A word is a pixel that counted in a frame, little-endian: bits 63 to 40 are
the frame, which wraps after 2²⁴, 36 to 16 the pixel, 11 to 0 the count; the others have no known meaning and are
ignored. Neither the frame time nor the number of frames is in the file.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from io import FileIO
from os import PathLike
from typing import Any, Literal, NoReturn, Protocol, get_args

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics import Events, Partition, positions

Path = str | PathLike[str]
Array = NDArray[Any]
Order = Literal["rows", "columns"]
MODULE = (512, 1024)
# 3M: modules by file number, in places row by row, three rows of two
PLACES, LAYOUT, GAP = (5, 0, 4, 1, 3, 2), (3, 2), (70, 52)
CANVAS = tuple(n * size + (n - 1) * gap for n, size, gap in zip(LAYOUT, MODULE, GAP, strict=True))
FRAMES = 1 << 11  # of a block
WORDS = 1 << 15  # read at a time: they fit the second cache
PIXELS = 1 << 21


class EventFileError(ValueError):
    """A file of events cannot be read; the message names the file, the place and the reason.

    Examples
    --------
    >>> from ainerd_xpcs import Partition
    >>> _ = (folder / "a.bin").write_bytes(b"123")
    >>> next(read_rigaku(folder / "a.bin", Partition.from_roi_map(np.ones((512, 1024), int)), order="rows"))
    Traceback (most recent call last):
        ...
    ainerd_files._rigaku.EventFileError: ...a.bin ends within a word, 3 bytes after word 0
    """


class Viewer(Protocol):
    """Takes whole frames now and then, as the analysis of a run does."""

    @property
    def every(self) -> int | None:
        """Interval of the frames that `whole` gets; None for none."""

    def whole(self, frame: Array, number: int) -> None:
        """Take a whole frame, (ny, nx); `number` counts from 0."""


def read_rigaku(
    path: Path,
    partition: Partition,
    *,
    order: Order,
    n_frames: int | None = None,
    block: int = FRAMES,
    viewer: Viewer | None = None,
) -> Iterator[Events]:
    """Yield the frames of a Rigaku detector in zero-deadtime mode, of 500k pixels or, from six files, of 3M.

    Parameters
    ----------
    path : path
        The file, ``NAME.bin``; or the first of six, ``NAME.bin.000``, beside which the others lie.
    partition : Partition
        Pixels in use. Its shape tells both detectors apart: (512, 1024), and (1676, 2100) with the gaps.
    order : {"rows", "columns"}
        Whether the pixels of a module are numbered row by row (boost_corr) or column by column (xpcs-eigen). The file
        does not tell; with the wrong order all pixels are in wrong places.
    n_frames : int, optional
        Frames of the run, as set at the detector. Without it, empty frames at the end are not known.
    block : int
        Frames of a block. Their events are all that is in memory.
    viewer : Viewer, optional
        Gets whole frames: those of a block after the block. Gaps between modules are zero.

    Yields
    ------
    Events
        Gathered pixels of the next frames. Frames without an event are not listed.

    Raises
    ------
    EventFileError
        If a file is missing or ends within a word, frames go back, or a pixel or frame does not exist.
    ValueError
        If the partition has the shape of neither detector.

    Examples
    --------
    >>> from ainerd_xpcs import Partition
    >>> frame, pixel, count = np.array([0, 0, 2]), np.array([5, 1029, 5]), np.array([1, 2, 1])
    >>> (frame << 40 | pixel << 16 | count).astype("<u8").tofile(folder / "a.bin")
    >>> partition = Partition.from_roi_map(np.ones((512, 1024), int))
    >>> (events,) = read_rigaku(folder / "a.bin", partition, order="rows", n_frames=4)
    >>> events.ticks, events.pixel, events.stop  # frames 1 and 3 are empty
    (array([0, 2]), array([   5, 1029,    5], dtype=int32), 4)
    """
    with closing(RigakuReader(path, partition, order=order, block=block)) as reader:
        yield from reader.until(n_frames, viewer)
        reader.check_ends(n_frames)


def rigaku_gaps(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask, (ny, nx), of the pixels between the modules of a Rigaku detector, which never count.

    Examples
    --------
    >>> gaps = rigaku_gaps((1676, 2100))
    >>> gaps.sum() == 1676 * 2100 - 6 * 512 * 1024  # all but six modules
    np.True_
    """
    gaps = np.ones(shape, bool)
    for y, x in module_files("", shape)[1]:
        gaps[y : y + MODULE[0], x : x + MODULE[1]] = False
    return gaps


def module_files(path: Path, shape: tuple[int, int]) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the files of a detector of this shape, and the corner (row, column) of the module in each file."""
    if shape == MODULE:
        return [os.fspath(path)], [(0, 0)]
    if shape == CANVAS:
        stem, _, number = os.fspath(path).rpartition(".")
        stem = stem if number.isdigit() else os.fspath(path)
        corners = [(i * (MODULE[0] + GAP[0]), j * (MODULE[1] + GAP[1])) for i in range(3) for j in range(2)]
        return [f"{stem}.{n:03d}" for n in PLACES], corners
    turned = " (with rows and columns exchanged)" if shape[::-1] in (MODULE, CANVAS) else ""
    raise ValueError(f"a q map of shape {shape}{turned} fits neither Rigaku 500k, {MODULE}, nor 3M, {CANVAS}")


class RigakuReader:
    """Reads the files of one exposure, in order, as far as they are written.

    Parameters
    ----------
    path, partition, order, block
        As for `read_rigaku`.

    Raises
    ------
    EventFileError
        If a file is missing.
    ValueError
        If the partition has the shape of neither detector.
    """

    def __init__(self, path: Path, partition: Partition, *, order: Order, block: int = FRAMES) -> None:
        if order not in get_args(Order):
            raise ValueError(f"no order {order!r}: there are {', '.join(map(repr, get_args(Order)))}")
        paths, corners = module_files(path, partition.shape)
        if missing := [name for name in paths if not os.path.exists(name)]:
            raise EventFileError(f"missing: {', '.join(missing)}")
        self._partition, self._block, self._at = partition, block, 0  # number of the next frame
        position = positions(partition).reshape(partition.shape)
        flat = np.arange(position.size, dtype=np.int32).reshape(partition.shape)
        self._modules: list[Module] = []
        for name, (y, x) in zip(paths, corners, strict=True):
            here = np.s_[y : y + MODULE[0], x : x + MODULE[1]]
            used, place = ((each[here] if order == "rows" else each[here].T).ravel() for each in (position, flat))
            self._modules.append(Module(name, used, place, block))

    def close(self) -> None:
        """Close the files."""
        for module in self._modules:
            module.close()

    def reaches(self, stop: int) -> bool:
        """Return whether each file holds an event of frame `stop` - 1 or of a later one."""
        return all(module.last_frame >= stop - 1 for module in self._modules)

    def blocks(self, start: int, stop: int, viewer: Viewer | None = None, first: int = 0) -> Iterator[Events]:
        """Yield frames `start` to `stop` - 1, after those of the call before; each block counts from its own first.

        `viewer` gets whole frames, and counts from frame `first`.
        """
        for _ in self.until(start):
            pass
        at = self._at
        if at != start:
            raise ValueError(f"frames are read in order: frame {start} came after frame {at - 1}")
        for events in self.until(stop, viewer, first):
            yield events.moved(-at)
            at = events.stop

    def until(self, stop: int | None, viewer: Viewer | None = None, first: int = 0) -> Iterator[Events]:
        """Yield the next frames, to frame `stop` - 1 or to the end of the files; they count from that of the files."""
        modules = self._modules
        while stop is None or self._at < stop:
            starts = [module.next_frame for module in modules]
            waiting = [x for x in starts if x is not None and (stop is None or x < stop)]
            if not waiting and stop is None:
                return
            begin = max(min(waiting, default=stop or 0) // self._block * self._block, self._at)
            end = begin // self._block * self._block + self._block
            end = end if stop is None else min(end, stop) if waiting else stop
            every = 0 if viewer is None else viewer.every or 0
            parts = [module.read(begin, end, every, first) for module in modules]
            if stop is None and all(module.next_frame is None for module in modules):
                end = max(module.frame for module in modules) + 1
            at, self._at = self._at, end
            yield self._joined(parts, begin, end)
            if viewer is not None and every:
                number = (at - first) // every * every + every - 1
                while number < end - first:
                    frame = np.zeros(self._partition.shape, np.uint16)
                    for module in modules:
                        module.whole(frame, number + first)
                    viewer.whole(frame, number)
                    every = viewer.every or every  # it grows with the length of an open-ended run
                    number = (number + 1) // every * every + every - 1

    def _joined(self, parts: list[tuple[Array, Array, Array]], begin: int, end: int) -> Events:
        """Return the events of all modules as frames `begin` to `end` - 1."""
        total = np.sum([counts for counts, _, _ in parts], axis=0)
        offsets = np.append(0, np.cumsum(total))
        if len(parts) == 1:
            pixel, count = (x.copy() for x in parts[0][1:])
        else:
            pixel, count, place = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.uint32), offsets[:-1].copy()
            for part in parts:
                _interleave(*part, place, pixel, count)
        here = np.flatnonzero(total)
        return Events(
            ticks=begin + here,
            offsets=offsets[np.append(here, len(total))],
            pixel=pixel,
            count=count,
            shape=(len(self._partition.pixels),),
            valid=np.ones(len(here), bool),
            stop=end,
        )

    def check_ends(self, n_frames: int | None) -> None:
        """Raise EventFileError if complete files hold no event, a part of a word, or frames beyond `n_frames`."""
        for module in self._modules:
            module.check_end()
            if (frame := module.next_frame) is not None:
                raise EventFileError(f"{module.path}: frame {frame} in a run of {n_frames} frames")
        if not any(module.n_read for module in self._modules):
            raise EventFileError(f"{self._modules[0].path} holds no event")


class Module:
    """Words of one file, decoded as they are read."""

    def __init__(self, path: str, position: NDArray[np.int32], flat: NDArray[np.int32], block: int) -> None:
        self.path, self.frame = path, 0  # frame of the last word
        self._flat, self._position, self._used = flat, position, np.packbits(position >= 0, bitorder="little")
        self._file = FileIO(path)
        self._words, self._begin, self._end, self.n_read = np.empty(WORDS, np.uint64), 0, 0, 0
        self._offset = -1  # number of the module's first pixel, 0 or 2²⁰
        self._counts = np.zeros(block, np.int64)
        self._pixel, self._count = np.empty(WORDS, np.int32), np.empty(WORDS, np.uint32)
        self._whole, self._n_whole = np.empty((WORDS, 3), np.int64), 0  # frame, pixel and count, of whole frames

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def next_frame(self) -> int | None:
        """Frame of the next word; None if no further word is written."""
        if self._begin == self._end:
            self._fill()
        if self._begin == self._end:
            return None
        step = ((int(self._words[self._begin]) >> 40) - self.frame) % (1 << 24)
        if step >= 1 << 23:
            self._refuse()
        return self.frame + step

    @property
    def last_frame(self) -> int:
        """Frame of the last word in the file, if it is less than 2²⁴ frames away; -1 without a word."""
        n = os.fstat(self._file.fileno()).st_size // 8
        if not n:
            return -1
        word = int.from_bytes(os.pread(self._file.fileno(), 8, 8 * (n - 1)), "little")
        return self.frame + ((word >> 40) - self.frame) % (1 << 24)

    def whole(self, frame: Array, number: int) -> None:
        """Write the events of a frame that the last `read` kept into the whole frame, (ny, nx)."""
        of_frame, pixel, count = self._whole[: self._n_whole].T
        here = of_frame == number
        frame.reshape(-1)[self._flat[pixel[here]]] = count[here]

    def read(self, first: int, end: int, every: int, origin: int) -> tuple[Array, Array, Array]:
        """Return the events of frames `first` to `end` - 1: their number by frame, pixels and counts.

        If `every` is not 0, all events of frames `origin` + `every` - 1, `origin` + 2 `every` - 1, … are kept for
        `whole`.
        """
        counts, n = self._counts[: end - first], 0
        counts[:], self._n_whole = 0, 0
        while self.next_frame is not None:
            if n + self._end - self._begin > len(self._pixel):
                self._pixel = np.concatenate([self._pixel, np.empty_like(self._pixel)])
                self._count = np.concatenate([self._count, np.empty_like(self._count)])
            if every and self._n_whole + self._end - self._begin > len(self._whole):
                self._whole = np.concatenate([self._whole, np.empty_like(self._whole)])
            self._begin, self.frame, n, self._n_whole = _decode(
                self._words, self._begin, self._end, self.frame, first, end, self._position, self._used,
                self._offset, counts, self._pixel, self._count, n, every, origin, self._whole, self._n_whole,
            )  # fmt: skip
            if n < 0:
                self._refuse()
            if self._begin < self._end:
                break
        return counts, self._pixel[:n], self._count[:n]

    def check_end(self) -> None:
        """Raise EventFileError if the file ends within a word."""
        if rest := os.fstat(self._file.fileno()).st_size % 8:
            n = os.fstat(self._file.fileno()).st_size // 8
            raise EventFileError(f"{self.path} ends within a word, {rest} bytes after word {n}")

    def _fill(self) -> None:
        """Read the next words."""
        view, got = self._words.data.cast("B"), 0
        while got < len(view) and (more := self._file.readinto(view[got:])):
            got += more
        self._file.seek(-(got % 8), os.SEEK_CUR)  # the last word is not complete yet
        self._begin, self._end = 0, got // 8
        self.n_read += self._end
        if self._offset < 0 and self._end:
            self._offset = int(self._words[0]) >> 16 & 1 << 20  # some modules number their pixels from 2²⁰

    def _refuse(self) -> NoReturn:
        word, number = int(self._words[self._begin]), self.n_read - self._end + self._begin
        frame, pixel = word >> 40, word >> 16 & PIXELS - 1
        where = f"{self.path}, word {number}:"
        if not 0 <= pixel - self._offset < self._position.size:
            raise EventFileError(f"{where} pixel {pixel}, of {self._position.size} from {self._offset}")
        raise EventFileError(f"{where} frame {frame} after frame {self.frame % (1 << 24)}")


@nb.njit(nogil=True, cache=True)
def _decode(
    words: Array, begin: int, stop: int, frame: int, first: int, end: int, position: Array, used: Array, offset: int,
    counts: Array, pixel: Array, count: Array, n: int, every: int, origin: int, whole: Array, n_whole: int,
) -> tuple[int, int, int, int]:  # fmt: skip
    """Write the events of frames below `end`; return the next word, the frame of the last, and the numbers of events.

    `used` has a bit for each pixel, because it fits the cache where `position` does not. The number is -1 at a word
    that is refused.
    """
    n_detector = np.uint64(position.size)
    is_whole = every > 0 and (frame - origin + 1) % every == 0
    before = n  # events of earlier frames
    for i in range(begin, stop):
        word = words[i]
        step = int((np.int64(word >> np.uint64(40)) - frame) & 0xFFFFFF)
        if step:
            if step >= 1 << 23:
                return i, frame, -1, n_whole
            if n > before:
                counts[frame - first] += n - before
                before = n
            if frame + step >= end:
                return i, frame, n, n_whole
            frame += step
            is_whole = every > 0 and (frame - origin + 1) % every == 0
        p = np.uint64((np.int64(word >> np.uint64(16)) & 0x1FFFFF) - offset)
        if p >= n_detector:
            return i, frame, -1, n_whole
        if is_whole:
            whole[n_whole, 0], whole[n_whole, 1], whole[n_whole, 2] = frame, p, np.int64(word) & 0xFFF
            n_whole += 1
        if used[p >> np.uint64(3)] >> (p & np.uint64(7)) & 1:
            pixel[n] = position[p]
            count[n] = np.int64(word) & 0xFFF
            n += 1
    if n > before:
        counts[frame - first] += n - before
    return stop, frame, n, n_whole


@nb.njit(nogil=True, cache=True)
def _interleave(counts: Array, pixel: Array, count: Array, place: Array, pixel_out: Array, count_out: Array) -> None:
    """Write the events of each frame from `place` on, and move it."""
    e = 0
    for b in range(counts.size):
        for i in range(place[b], place[b] + counts[b]):
            pixel_out[i], count_out[i] = pixel[e], count[e]
            e += 1
        place[b] += counts[b]
