"""The number of each frame in its run, from the documents that announce the frames."""

import logging
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ainerd.documents._storage import Array

logger = logging.getLogger(__name__)

MOST_FRAMES = 5_000_000  # in a run: 40 minutes at 2 kHz
MOST_NUMBER = 10**9  # of a frame: 5 hours at 50 kHz


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
        Frames of the resource.
    first : int
        Number of frame `start` in the run.
    problem : str
        Why these frames cannot be used; empty if they can.
    after : int
        Number to go on with, if these frames are the last of an exposure.
    """

    resource: str
    start: int
    stop: int
    first: int
    problem: str = ""
    after: int = 0

    @property
    def end(self) -> int:
        """Number after the last frame."""
        return self.first + self.stop - self.start

    def advance(self, n: int) -> None:
        """Drop the first `n` frames."""
        self.start, self.first = self.start + n, self.first + n


@dataclass
class _Resource:
    """The places of the frames of a resource in the run.

    Attributes
    ----------
    moved : int
        Number of a frame minus its index in the resource.
    end : int
        Index after the last announced one.
    """

    moved: int
    end: int


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
        Number after the last one that came.
    """

    first: int
    origin: float
    n: int = 0
    end: float = -math.inf


class Numbering:
    """Gives announced frames their numbers in the run, and finds gaps, repeats and disorder.

    The first announced index of a resource follows the last frame before it: a detector may write several runs into one
    file, and go on with another file within a run. From then on indices count: those that are left out are missing
    frames. Indices that are announced again, or that come after later ones, are kept as a part with a problem: it is
    the next one to be read, and ends the exposure that it comes in.

    After a pause the RunEngine may take its last events again, with the same sequence numbers; the frames of the first
    time count. If a detector that flies begins an exposure again that was not whole, those of the second time count.

    If the detector stores a number or a tick for each frame, these count instead of the indices. Each exposure with
    ticks begins at a multiple of `MOST_NUMBER`, because the number of its ticks is not known before its last frame.

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
    refused : str
        Why no more frames are taken; empty if they are.
    """

    def __init__(self) -> None:
        self.parts: deque[AnnouncedFrames] = deque()
        self.n_announced = self.next = 0
        self.refused = ""
        self.offsets: dict[str, int] = {}
        self._resources: dict[str, _Resource] = {}
        self._exposure: _NumberedExposure | None = None
        self._last_event = 0
        self._next_row, self._is_again = 0, False  # by the sequence numbers; whether the last frames were left out
        self._rows: list[tuple[int, int]] = []  # number and row of the first frame of each part, by the detector

    def add(self, resource: str, start: int, stop: int, row: int | None = None, n_flight: int | None = 1) -> None:
        """Add frames start … stop - 1 of a resource.

        `row` is the number of the first one by the sequence numbers, if they are known. A detector that flies has
        `n_flight` frames in an exposure. If it begins again in the middle of one, the exposure has a problem.
        """
        if not 0 <= start <= stop:
            self.refuse(f"the announced frames {start} to {stop} are not a valid range")
        elif start < stop:
            self.offsets.setdefault(resource, self.n_announced)  # its file is in Tiled from index 0 on
            known = self._resources.setdefault(resource, _Resource(self.next - start, start))
            problem, known.end = _misplaced(known.end, start, stop), max(known.end, stop)
            if row is not None and not problem:
                start, problem = self._leave_out_again(known, start, stop, row, n_flight)
            if not problem and known.moved + start < self.next:
                problem = f"{named(start, stop)} came after those of another file"
            if problem:  # its new frames come next
                start = stop - max(known.moved + stop - self.next, 0)
            first = max(known.moved + start, self.next)
            self._append(AnnouncedFrames(resource, start, stop, first, problem))

    def _leave_out_again(
        self, known: _Resource, start: int, stop: int, row: int, n_flight: int | None
    ) -> tuple[int, str]:
        """Leave out the frames that were taken again; return the index of the next ones, and a problem of these."""
        if n_flight is not None and row % n_flight == 0 and row < self._next_row < row + n_flight:
            logger.warning("the exposure that was interrupted after %d frames is taken again", self._next_row - row)
            self.next = (self.next - 1) // n_flight * n_flight
            for part in self.parts:
                part.stop = min(part.stop, part.start + max(self.next - part.first, 0))
            self.parts = deque(x for x in self.parts if x.first < self.next and (x.problem or x.start < x.stop))
            known.moved, self._next_row = self.next - start, row
        if (n_again := min(self._next_row - row, stop - start)) > 0:
            logger.warning("%s came again after a pause, and is left out", named(row, row + n_again))
            self.n_announced += n_again
            known.moved -= n_again
            start, row, self._is_again = start + n_again, row + n_again, True
        if start == stop:
            return stop, ""
        is_again, self._is_again, self._next_row = self._is_again, False, row + stop - start
        is_in_flight = row > 0 if n_flight is None else row % n_flight > 0
        return start, f"the detector began again before {named(row, row + 1)}" if is_again and is_in_flight else ""

    def end(self, n: int) -> None:
        """Let those of the first `n` frames that are not announced be missing."""
        if n > self.next:
            self.parts.append(AnnouncedFrames("", 0, 0, n))
            self.next = n

    def add_event(self, pieces: list[tuple[str, int, int]], event: int) -> None:
        """Add the frames of an event of the stream, by its number from 1.

        Each piece is a resource, the index of its first frame, and the number of frames. After a pause the RunEngine
        may take its last event again; the frames of the first time count.
        """
        n_frames = sum(n for *_, n in pieces)
        first = (event - 1) * n_frames
        if first < self.next:
            self._leave_out(event, n_frames)
            return
        for resource, start, n in pieces:
            self._append(AnnouncedFrames(resource, start, start + n, first))
            first += n

    def add_numbered(
        self, pieces: list[tuple[str, int, int]], numbers: NDArray[np.int64], n_exposure: int | None, event: int | None
    ) -> None:
        """Add frames by the detector's numbers, (n,), which count from the first of the run.

        If the first number comes again, the next exposure of `n_exposure` frames begins. `event` is the number of the
        event that holds the frames. If it is a whole exposure whose numbers go on from the event before, it begins with
        its first frame. Frames whose numbers are beyond the exposure are left out.
        """
        if self._is_repeated(event, len(numbers)):
            self._exposure = None  # numbers may have gone on
            return
        if event is not None and len(numbers) == n_exposure and n_exposure > 1:
            before = numbers[0] if self._exposure is None else self._exposure.origin
            begin = int(before if 0 <= numbers[0] - before < n_exposure else numbers[0])
            self._exposure = _NumberedExposure((event - 1) * n_exposure, begin)
            for resource, start, of_piece in _split(pieces, numbers):
                inside = int(np.count_nonzero(of_piece - begin < n_exposure))
                self._add_numbers(resource, start, of_piece[:inside], begin)
                self.n_announced += len(of_piece) - inside
            return
        for resource, start, of_piece in _split(pieces, numbers):
            origin = of_piece[0] if self._exposure is None else self._exposure.origin
            begins = np.flatnonzero(of_piece == origin)
            for a, b in _between(begins, len(of_piece)):
                if of_piece[a] == origin:
                    first = self.next if n_exposure is None else -(-self.next // n_exposure) * n_exposure
                    self._exposure = _NumberedExposure(first, int(origin))
                self._add_numbers(resource, start + a, of_piece[a:b], int(origin))

    def add_ticks(
        self,
        pieces: list[tuple[str, int, int]],
        ticks: Array,
        n_exposure: int | None,
        tick_s: float | None,
        event: int | None,
    ) -> None:
        """Add frames by their ticks, (n,), or by times in s, which are rounded to ticks of `tick_s`.

        They count from the first frame of each exposure, of `n_exposure` frames; `event` is as in `add_numbered`.
        """
        if self._is_repeated(event, len(ticks)):
            return
        if ticks.dtype.kind == "f" and tick_s is None:
            self.refuse("frames have times in seconds, which need detector.frame_time_s to become ticks")
            return
        for resource, start, of_piece in _split(pieces, ticks):
            a = 0
            while a < len(of_piece):
                if self._exposure is None:
                    self._exposure = _NumberedExposure(-(-self.next // MOST_NUMBER) * MOST_NUMBER, of_piece[a])
                exposure = self._exposure
                b = len(of_piece) if n_exposure is None else min(len(of_piece), a + n_exposure - exposure.n)
                since = of_piece[a:b] - exposure.origin
                if ticks.dtype.kind == "f" and tick_s is not None:
                    since = np.rint(since / tick_s)
                if not np.abs(since).max() < MOST_NUMBER:
                    self.refuse(f"frames are {np.abs(since).max():.3g} ticks apart, more than {MOST_NUMBER}")
                    return
                is_last = exposure.n + b - a == n_exposure
                self._add_numbers(resource, start + a, since.astype(np.int64), 0, noun="tick", is_last=is_last)
                exposure.n += b - a
                if is_last:
                    self._exposure, self.next = None, exposure.first + MOST_NUMBER
                a = b

    def _is_repeated(self, event: int | None, n: int) -> bool:
        """Return whether an event with `n` frames does not count."""
        if event is not None and event <= self._last_event:
            self._leave_out(event, n)
            return True
        self._last_event = event or 0
        return False

    def _leave_out(self, event: int, n: int) -> None:
        """Count the `n` frames of an event, which are in Tiled, but do not read them."""
        logger.warning("the frames of event %d are left out: it came twice, or after a later one", event)
        self.n_announced += n

    def _add_numbers(
        self,
        resource: str,
        start: int,
        numbers: NDArray[np.int64],
        origin: int,
        *,
        noun: str = "frame",
        is_last: bool = False,
    ) -> None:
        """Add frames of the exposure in progress, one part for consecutive numbers."""
        exposure = self._exposure
        assert exposure is not None
        for a, b in _between(np.flatnonzero(np.diff(numbers) != 1) + 1, len(numbers)):
            i, j = int(numbers[a]), int(numbers[b - 1]) + 1
            problem = _misplaced(exposure.end, i, j, noun)
            first = self.next if problem else exposure.first + i - origin
            exposure.end = exposure.end if problem else j
            after = exposure.first + MOST_NUMBER if is_last and b == len(numbers) else 0
            self._rows.append((first, self.n_announced))
            self._append(AnnouncedFrames(resource, start + a, start + b, first, problem, after))

    def rows_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows, in the stream, of frames by their numbers in the run."""
        if not self._rows:
            return numbers
        first, row = np.array(self._rows).T
        at = np.searchsorted(first, numbers, "right") - 1
        return np.asarray(row[at] + numbers - first[at])

    def refuse(self, problem: str) -> None:
        """Take no more frames."""
        self.refused = self.refused or problem

    def _append(self, part: AnnouncedFrames) -> None:
        self.offsets.setdefault(part.resource, self.n_announced - part.start)
        self.n_announced += part.stop - part.start
        if self.n_announced > MOST_FRAMES:
            self.refuse(f"{self.n_announced} frames are announced, more than the {MOST_FRAMES} that a run may have")
        elif part.end - (0 if self._exposure is None else self._exposure.first) > MOST_NUMBER:
            self.refuse(f"frame {part.end - 1} is announced: a run may have {MOST_NUMBER} frames with missing ones")
        elif part.problem or part.start < part.stop:
            self.parts.append(part)
            self.next = max(part.end, self.next)


def _split(pieces: list[tuple[str, int, int]], values: Array) -> Iterator[tuple[str, int, Array]]:
    """Yield the resource, the index of the first frame, and the values of each piece."""
    at = 0
    for resource, start, n in pieces:
        yield resource, start, values[at : at + n]
        at += n


def _between(begins: NDArray[np.int64], n: int) -> list[tuple[int, int]]:
    """Return first and end of the parts of n values that are cut before the values `begins`."""
    cuts = [0, *(int(x) for x in begins if x), n]
    return [(a, b) for a, b in zip(cuts, cuts[1:], strict=False) if a < b]


def _misplaced(end: float, start: int, stop: int, noun: str = "frame") -> str:
    """Return the reason if frames start … stop - 1 begin before `end`, after which they should come; otherwise ""."""
    if start >= end:
        return ""
    return f"{named(start, stop, noun)} came again, or too late: {noun} {end - 1:.0f} was announced before"


def named(start: int, stop: int, noun: str = "frame") -> str:
    """Return the name of frames start … stop - 1."""
    return f"{noun} {start}" if stop == start + 1 else f"{noun}s {start}-{stop - 1}"
