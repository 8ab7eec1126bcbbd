"""The number of each frame in its run, from the documents that announce the frames."""

import logging
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ainerd.documents._storage import Array, FrameError

logger = logging.getLogger(__name__)

MOST_FRAMES = 5_000_000  # in a run: 40 minutes at 2 kHz
MOST_NUMBER = 10**9  # of a frame: 5 hours at 50 kHz
Pieces = list[tuple[str, int, int]]  # of frames that follow each other: resource, index of the first one, and number


class Block(NamedTuple):
    """Consecutive frames of a run.

    Attributes
    ----------
    first : int
        Number of the first of them, from 0. Numbers that no block has are those of missing frames.
    frames : ndarray, shape (b, n_pixels)
        Selected pixels.

    Examples
    --------
    >>> from ainerd.config import Detector
    >>> run = Run(Detector(image="camera_image"), roots=[])
    >>> for name, document in documents:
    ...     _ = run(name, document)
    >>> [(block.first, block.frames.shape) for block in run.blocks(np.arange(10), until=3)]  # the first ten pixels
    [(0, (1, 10)), (1, (1, 10)), (2, (1, 10))]
    """

    first: int
    frames: Array


@dataclass
class AnnouncedFrames:
    """Consecutive frames that a document has announced and that have not been read yet.

    Attributes
    ----------
    resource : str
        Uid of the resource, or of the event that holds the frames.
    start, stop : int
        Frames of the resource; none for missing frames at the end of an exposure or run.
    first : int
        Number of frame `start` in the run.
    problem : str
        Why these frames cannot be used; empty if they can.
    """

    resource: str
    start: int
    stop: int
    first: int
    problem: str = ""

    def advance(self, n: int) -> None:
        """Drop the first `n` frames."""
        self.start, self.first = self.start + n, self.first + n


@dataclass
class _NumberedExposure:
    """An exposure whose frames have numbers of the detector, or ticks.

    Attributes
    ----------
    first : int
        Number of its first frame in the run.
    origin : int or float
        Number of its first frame by the detector, or tick, or time in s.
    n : int
        Frames so far.
    end : int or float
        Place in the exposure after the last one that came.
    """

    first: int
    origin: float
    n: int = 0
    end: float = -math.inf


class Numbering:
    """Gives announced frames their numbers in the run.

    A number follows from the sequence number of an event. Numbers that are left out are those of missing frames. After
    a pause the RunEngine may take its last events again, with the same sequence numbers; the frames of the first time
    count. If a detector that flies begins an exposure again that was not whole, those of the second time count.

    If the detector stores a number or a tick for each frame, these count instead. Each exposure with ticks begins at a
    multiple of `MOST_NUMBER`, because the number of its ticks is not known before its last frame.

    Frames that cannot be used are kept as a part with a problem: it is the next one to be read, and ends the exposure
    that it comes in. FrameError is raised if no more frames of the run can be used.

    Attributes
    ----------
    parts : deque of AnnouncedFrames
        Announced frames that have not been read, in order.
    n_announced : int
        Number of announced frames.
    next : int
        Number after the last announced frame.
    offsets : dict of str to int
        Row of a frame in the array of the whole stream in Tiled, minus its index in the resource, by resource.
    """

    def __init__(self) -> None:
        self.parts: deque[AnnouncedFrames] = deque()
        self.n_announced = self.next = 0
        self.offsets: dict[str, int] = {}
        self._is_again = False  # whether the last frames were left out
        self._exposure: _NumberedExposure | None = None
        self._last_event = 0
        self._rows: list[tuple[int, int]] = []  # number and row of the first frame of each part, by the detector

    def add(self, pieces: Pieces, first: int | None, n_flight: int | None = 1) -> int:
        """Add frames of one document; return the number of the first one that is new.

        `first` is the number of the first one by the sequence numbers; if it is None they follow those before. A
        detector that flies has `n_flight` frames in an exposure.
        """
        n, first = sum(n for *_, n in pieces), self.next if first is None else first
        if n_flight is not None and first % n_flight == 0 and first < self.next < first + n_flight:
            logger.warning("the exposure that was interrupted after %d frames is taken again", self.next - first)
            self._forget(first)
        begin, problem = max(first, self.next), ""
        if n and begin > first:
            logger.warning("%s came again after a pause: left out", named(first, min(begin, first + n)))
            self._is_again = True
        if begin < first + n:
            is_in_flight = begin > 0 if n_flight is None else begin % n_flight > 0
            if self._is_again and is_in_flight:
                problem = f"the detector began again before {named(begin, begin + 1)}"
            self._is_again = False
        for resource, start, n_piece in pieces:
            n_again = min(max(begin - first, 0), n_piece)
            self._append(resource, start, n_piece, first, problem, n_again)
            first += n_piece
        return begin

    def _forget(self, first: int) -> None:
        """Drop the frames from number `first` on."""
        self.next = first
        for part in self.parts:
            part.stop = min(part.stop, part.start + max(first - part.first, 0))
        self.parts = deque(part for part in self.parts if part.start < part.stop)

    def end(self, n: int) -> None:
        """Let those frames before number `n` that are not announced be missing."""
        if n > self.next:
            self.parts.append(AnnouncedFrames("", 0, 0, n))
            self.next = n

    def add_numbered(
        self, pieces: Pieces, numbers: NDArray[np.int64], n_exposure: int | None, event: int | None
    ) -> None:
        """Add frames by the detector's numbers, (n,), which count from the first of the run.

        If the first number comes again, the next exposure of `n_exposure` frames begins. `event` is the number of the
        event that holds the frames. If it is a whole exposure whose numbers go on from the event before, it begins with
        its first frame. Frames whose numbers are beyond the exposure are left out.
        """
        if self._is_repeated(event, len(numbers)):
            self._exposure = None  # numbers may have gone on
            return
        origin = int(numbers[0] if self._exposure is None else self._exposure.origin)
        if event is not None and len(numbers) == n_exposure and n_exposure > 1:
            begin = origin if 0 <= numbers[0] - origin < n_exposure else int(numbers[0])
            self._exposure = _NumberedExposure((event - 1) * n_exposure, begin)
            n_inside = int(np.count_nonzero(numbers - begin < n_exposure))
            self._add_places(pieces, 0, numbers[:n_inside] - begin)
            self.n_announced += len(numbers) - n_inside
            return
        for a, b in _between(np.flatnonzero(numbers == origin), len(numbers)):
            if numbers[a] == origin:
                first = self.next if n_exposure is None else -(-self.next // n_exposure) * n_exposure
                self._exposure = _NumberedExposure(first, origin)
            self._add_places(pieces, a, numbers[a:b] - origin, before=origin)

    def add_ticks(
        self, pieces: Pieces, ticks: Array, n_exposure: int | None, tick_s: float | None, event: int | None
    ) -> None:
        """Add frames by their ticks, (n,), or by times in s, which are rounded to ticks of `tick_s`.

        They count from the first frame of each exposure, of `n_exposure` frames; `event` is as in `add_numbered`.
        """
        if self._is_repeated(event, len(ticks)):
            return
        if ticks.dtype.kind == "f" and tick_s is None:
            raise FrameError("frames have times in seconds, which need detector.frame_time_s to become ticks")
        a = 0
        while a < len(ticks):
            if self._exposure is None:
                self._exposure = _NumberedExposure(-(-self.next // MOST_NUMBER) * MOST_NUMBER, ticks[a])
            exposure = self._exposure
            b = len(ticks) if n_exposure is None else min(len(ticks), a + n_exposure - exposure.n)
            since = ticks[a:b] - exposure.origin
            if ticks.dtype.kind == "f" and tick_s is not None:
                since = np.rint(since / tick_s)
            if not np.abs(since).max() < MOST_NUMBER:
                raise FrameError(f"frames are {np.abs(since).max():.3g} ticks apart, more than {MOST_NUMBER}")
            self._add_places(pieces, a, since.astype(np.int64), noun="tick")
            exposure.n += b - a
            if exposure.n == n_exposure:
                self._exposure = None
                self.end(exposure.first + MOST_NUMBER)
            a = b

    def _is_repeated(self, event: int | None, n: int) -> bool:
        """Return whether an event with `n` frames does not count; its frames are in Tiled, but are not read."""
        if event is not None and event <= self._last_event:
            logger.warning("the frames of event %d are left out: it came twice, or after a later one", event)
            self.n_announced += n
            return True
        self._last_event = event or 0
        return False

    def _add_places(
        self, pieces: Pieces, at: int, places: NDArray[np.int64], *, noun: str = "frame", before: int = 0
    ) -> None:
        """Add frames of the exposure in progress, from frame `at` of the pieces, by their places in it.

        A problem names the frames by their places and `before`.
        """
        exposure = self._exposure
        assert exposure is not None
        for a, b in _between(np.flatnonzero(np.diff(places) != 1) + 1, len(places)):
            i, j, problem = int(places[a]), int(places[b - 1]) + 1, ""
            if i < exposure.end:
                last = f"{noun} {exposure.end - 1 + before:.0f} was announced before"
                problem = f"{named(i + before, j + before, noun)} came again, or too late: {last}"
            first, exposure.end = (self.next, exposure.end) if problem else (exposure.first + i, j)
            for resource, start, n in _cut(pieces, at + a, at + b):
                self._rows.append((first, self.n_announced))
                self._append(resource, start, n, first, problem)
                first += n

    def rows_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows, in the stream, of frames by their numbers in the run."""
        if not self._rows:
            return numbers
        first, row = np.array(self._rows).T
        at = np.searchsorted(first, numbers, "right") - 1
        return np.asarray(row[at] + numbers - first[at])

    def _append(self, resource: str, start: int, n: int, first: int, problem: str, n_left_out: int = 0) -> None:
        """Add `n` frames of a resource, the first `n_left_out` of which are not read."""
        self.offsets.setdefault(resource, self.n_announced)  # its file is in Tiled from index 0 on
        self.n_announced += n
        end, first_of_all = first + n, 0 if self._exposure is None else self._exposure.first
        if self.n_announced > MOST_FRAMES:
            raise FrameError(
                f"{self.n_announced} frames are announced, more than the {MOST_FRAMES} that a run may have"
            )
        if end - first_of_all > MOST_NUMBER:
            raise FrameError(f"frame {end - 1} is announced: a run may have {MOST_NUMBER} frames with missing ones")
        if n > n_left_out:
            self.parts.append(AnnouncedFrames(resource, start + n_left_out, start + n, first + n_left_out, problem))
            self.next = max(end, self.next)


def _cut(pieces: Pieces, a: int, b: int) -> Iterator[tuple[str, int, int]]:
    """Yield the pieces of frames a … b - 1."""
    for resource, start, n in pieces:
        first, last = max(a, 0), min(b, n)
        if first < last:
            yield resource, start + first, last - first
        a, b = a - n, b - n


def _between(begins: NDArray[np.int64], n: int) -> list[tuple[int, int]]:
    """Return first and end of the parts of n values that are cut before the values `begins`."""
    cuts = [0, *(int(x) for x in begins if x), n]
    return [(a, b) for a, b in zip(cuts, cuts[1:], strict=False) if a < b]


def named(start: int, stop: int, noun: str = "frame") -> str:
    """Return the name of frames start … stop - 1."""
    return f"{noun} {start}" if stop == start + 1 else f"{noun}s {start}-{stop - 1}"
