"""Words of one module of a Rigaku detector, decoded as they are read from its file, which may grow between two calls.

Layout as boost_corr and xpcs-eigen read it. A word is a pixel that counted in a frame, little-endian: bits 63 to 40 are
the frame, which wraps after 2²⁴, 36 to 16 the pixel, 11 to 0 the count; the others have no known meaning and are
ignored. Neither the frame time nor the number of frames is in the file.
"""

import os
from io import FileIO
from typing import NoReturn

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._events import EventFileError
from ainerd_xpcs.numerics._partition import Array

WORDS = 1 << 15  # read at a time: they fit the second cache
PIXELS = 1 << 21


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
