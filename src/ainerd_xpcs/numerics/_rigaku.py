"""Files of a Rigaku detector, of one module or six, as blocks of `Events`; `_rigaku_words` has their layout."""

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Literal, Protocol

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._events import EventFileError, Events, positions
from ainerd_xpcs.numerics._partition import Array, Partition, Path, check_choice
from ainerd_xpcs.numerics._rigaku_words import Module

Order = Literal["rows", "columns"]
MODULE = (512, 1024)
# 3M: modules by file number, in places row by row, three rows of two
PLACES, LAYOUT, GAP = (5, 0, 4, 1, 3, 2), (3, 2), (70, 52)
CANVAS = tuple(n * size + (n - 1) * gap for n, size, gap in zip(LAYOUT, MODULE, GAP, strict=True))
FRAMES = 1 << 11  # of a block


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
        check_choice("order", order, Order)
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


@nb.njit(nogil=True, cache=True)
def _interleave(counts: Array, pixel: Array, count: Array, place: Array, pixel_out: Array, count_out: Array) -> None:
    """Write the events of each frame from `place` on, and move it."""
    e = 0
    for b in range(counts.size):
        for i in range(place[b], place[b] + counts[b]):
            pixel_out[i], count_out[i] = pixel[e], count[e]
            e += 1
        place[b] += counts[b]
