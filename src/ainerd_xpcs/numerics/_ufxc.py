"""Files of a UFXC32k detector as blocks of `Events`; layout as xpcs-eigen reads it (``ufxc.cpp``)."""

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._events import EventFileError, Events, positions
from ainerd_xpcs.numerics._partition import Partition, Path

UFXC_SHAPES = ((128, 256), (256, 128))
WORDS = 1 << 20  # that are read at once
TURN = 1 << 11  # frames after which the number in a word begins anew
STEP = 2000  # a longer step from word to word means that it did


def read_ufxc(path: Path, partition: Partition, *, words: int = WORDS) -> Iterator[Events]:
    """Yield the frames of a UFXC32k detector: 32-bit words with 11 bits of the frame, 2 of the count, 15 of the pixel.

    Pixels are numbered column by column. The frame number begins anew after 2048 frames; words may be late by that
    many. A step of 48 frames or more across that point is read as one back: then later frames have wrong numbers.

    Parameters
    ----------
    path : path
    partition : Partition
        Pixels in use, of a detector of 128 × 256 or 256 × 128 pixels.
    words : int
        Words that are in memory, and those of 2048 frames.

    Yields
    ------
    Events
        Gathered pixels of the next frames. Frames without an event are not listed.

    Raises
    ------
    EventFileError
        If the file is empty or ends within a word, or a word comes more than 2048 frames late.
    ValueError
        If the partition has another shape.

    Examples
    --------
    >>> frame, pixel, count = np.array([0, 0, 2]), np.array([0, 129, 0]), np.array([1, 2, 1])
    >>> (frame << 21 | count << 15 | pixel).astype("<u4").tofile(folder / "a.bin")
    >>> (events,) = read_ufxc(folder / "a.bin", Partition.from_roi_map(np.ones((128, 256), int)))
    >>> events.ticks, events.pixel  # column by column: 129 is row 1, column 1
    (array([0, 2]), array([  0, 257,   0], dtype=int32))
    """
    if partition.shape not in UFXC_SHAPES:
        raise ValueError(
            f"a UFXC32k detector has {UFXC_SHAPES[0]} or {UFXC_SHAPES[1]} pixels, the q map has {partition.shape}"
        )
    name, size = os.fspath(path), os.path.getsize(path)
    if not size or size % 4:
        raise EventFileError(f"{name} {'ends within a word' if size else 'holds no frame'}")
    rows, columns = partition.shape
    position = positions(partition).reshape(rows, columns).T.ravel()  # by number of the pixel
    kept = np.empty((3, 0), np.int64)  # ticks, pixels and counts that may be followed by earlier ones
    latest = np.zeros(1, np.int64)  # frame so far, at each word
    last, done, n_read = 0, -1, 0
    with open(path, "rb") as file:
        while len(word := np.frombuffer(file.read(4 * words), "<u4").astype(np.int64)):
            number = word >> 21
            step = np.diff(number, prepend=last % TURN if n_read else number[0])
            step += TURN * ((step < -STEP).astype(np.int64) - (step > STEP))
            tick = (last if n_read else number[0]) + np.cumsum(step)
            latest = np.maximum.accumulate(np.maximum(tick, latest[-1]))
            if (late := tick < np.maximum(latest - TURN, 0)).any():
                at = int(np.argmax(late))
                raise EventFileError(f"{name}, word {n_read + at}: frame {tick[at]} after frame {latest[at]}")
            last, n_read = int(tick[-1]), n_read + len(word)
            pixel, count = position[word & 0x7FFF].astype(np.int64), (word >> 15) & 3
            used = (pixel >= 0) & (count > 0)
            kept = np.hstack([kept, np.stack([tick, pixel, count])[:, used]])
            sure = int(latest[-1]) - TURN
            if sure > done + 1:
                now = kept[0] < sure
                yield _events(kept[:, now], partition, sure)
                kept, done = kept[:, ~now], sure - 1
    yield _events(kept, partition, int(latest[-1]) + 1)


def _events(records: NDArray[np.int64], partition: Partition, stop: int) -> Events:
    """Return events from ticks, pixels and counts, (3, n), in any order."""
    n_pixels = len(partition.pixels)
    place, which = np.unique(records[0] * n_pixels + records[1], return_inverse=True)
    ticks, offsets = np.unique(place // n_pixels, return_index=True)
    return Events(
        ticks=ticks,
        offsets=np.append(offsets, len(place)),
        pixel=(place % n_pixels).astype(np.int32),
        count=np.bincount(which, records[2], len(place)).astype(np.uint32),
        shape=(n_pixels,),
        valid=np.ones(len(ticks), bool),
        stop=stop,
    )
