"""A run: its readings, and its frames in blocks."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ainerd.documents._announced import RunDocuments
from ainerd.documents._classic import HDF5
from ainerd.documents._detector import number_in
from ainerd.documents._events import RIGAKU, EventFrames
from ainerd.documents._frames import NOTHING, FrameReader, HeldFrames, Ints, Whole
from ainerd.documents._numbering import AnnouncedFrames, Block
from ainerd.documents._storage import FrameError, MissingFrames, allowed_file, local_path
from ainerd.documents._tiled_frames import TiledFrames

Reader = FrameReader | EventFrames | HeldFrames | TiledFrames
RETRY_S = 0.2  # between two attempts to read late frames


class Run(RunDocuments):
    """Takes the documents of one run, in order, and returns its frames, readings and series.

    Frames in a local HDF5 file are read from the file, which a StreamResource or a Resource of classic ophyd names; so
    are those in the files of a Rigaku detector, by the reader of the analysis. Frames in events are used directly. All
    other frames are read from Tiled.
    If the stream of the frames has other readings too, `blocks` returns frames only after their event has arrived.

    Parameters
    ----------
    keys : Detector
    roots : iterable of Path
        Folders from which frames may be read.
    raw : tiled.client.container.Container, optional
        The raw runs in Tiled.
    units : mapping of str to str, optional
        Units of readings by data key. Readings in other units are converted to these; if that is not possible, no frame
        of the run is used.

    Attributes
    ----------
    start_doc, stop_doc : dict
        Empty until the document arrives.
    described : Described
        The detector, by its descriptor.
    has_ticks : bool
        Whether frames come at any times, so that numbers of frames are ticks.
    n_passed : int
        Number of frames before the next one, which were returned by `blocks`, left out by `skip`, or missing.
    n_read : int
        The same without missing ones.
    problem : str
        Why no more frames can be used, because of a document; empty if they can.
    spoilt : str
        Why its plan ended the run as spoilt; empty if it did not.

    Examples
    --------
    >>> from ainerd.config import Detector
    >>> run, counts = Run(Detector(image="camera_image"), roots=[]), []
    >>> for name, document in documents:
    ...     _ = run(name, document)
    ...     if name == "event":
    ...         counts += [float(block.frames.mean()) for block in run.blocks(np.arange(48))]
    >>> counts, run.frame_shape, run.reading("sample_x")
    ([2.0, 3.0, 4.0, 5.0, 6.0], (6, 8), 3.0)
    """

    n_passed, n_read = 0, 0
    _open: tuple[str, Ints, Reader] | None = None  # resource and pixels of the reader

    @property
    def n_events(self) -> int:
        """Number of events in the frames announced so far, including an incomplete one."""
        n, n_ready = self.n_own, self._n_rows if self.has_ticks else self.n_ready
        return -(-n_ready // n) if n else int(n_ready > 0)

    def reading(self, key: str, event: int | None = None, unit: str = "") -> float | None:
        """Return the first value of a scalar in the run, or its value in an event (from 1); None without a reading.

        If the scalar was not read with the frames, its value in an event is the first reading since the previous event,
        or else the last reading before that. It is None if the scalar was read with other frames, but not with these.
        With `unit`, here and below, the unit that the document states is converted; UnitError if that is not possible.
        """
        values = self._readings.of(key, unit)
        if event is None or not values or self._image is None:
            return values[0].value if values else None
        numbers, image = self._numbers(event), self._image_stream
        own = [x for x in values if (x.stream, x.number) in numbers]
        own = [x for x in own if x.stream == image] or own
        if not own and key in self._image["data_keys"]:
            return None
        in_primary = {x.value for x in values if x.stream == "primary"}
        if not own and self.described.flies and not self._n_events and len(in_primary) > 1:
            return None
        since, until = self._span(event)
        recent = [x for x in values if since < x.time <= until] or [x for x in values if x.time <= since][-1:]
        return (own or recent or values)[0].value

    def allowed(self, path: str) -> Path:
        """Return the path of a file that the start document names; FrameError if it may not be read."""
        return allowed_file(Path(path), self._roots)

    def flagged(self, event: int | None = None) -> str | None:
        """Return which fault the detector reports in the run, or in an event (from 1); None without a fault."""
        for key, largest in self._keys.flags.items():
            every = [value for _, value, *_ in self._readings.of(key)]
            value = max(every, default=None) if event is None else self.reading(key, event)
            if value is not None and value > largest:
                return f"the detector reports a fault: {key} is {value:g}, above {largest:g}"
        return None

    def event_time(self, event: int) -> float | None:
        """Return the time of an event (from 1), in seconds since the epoch; None if the event has no readings."""
        times = [self._readings.times[each] for each in self._numbers(event) if each in self._readings.times]
        return max(times, default=0.0) or None

    def exposure_time(self, event: int) -> tuple[float | None, float | None]:
        """Return when the exposure of an event (from 1) began, in seconds since 1970, and how much earlier it may have.

        Each is None if it is not known. A detector that flies starts after the readings of its event. A triggered one
        has taken its frames before them: classic ophyd stamps their datum when it triggers, and frames in an event are
        stamped when they have come. A stamp of another clock is not taken; then the event may have waited for another
        device, at most since the event before, or since the start of the run.
        """
        read = self.event_time(event)
        if not read or self.described.flies or self._image is None:
            return read or None, None
        frame_s, since = self.described.frame_time_s, self._span(event)[0]
        since = max(since, number_in(self.start_doc.get("time")) or since)
        first = min((number for stream, number in self._numbers(event) if stream == self._image_stream), default=0)
        stamp, is_begin = self._stamps.get(first) or (None, False)
        length = None if frame_s is None or self.n_own is None else self.n_own * frame_s
        if stamp is not None and (is_begin or frame_s is not None):
            began = stamp if is_begin else stamp - self._per_index * (frame_s or 0.0)
            if since <= began and began + (length or 0.0) - (frame_s or 0.0) <= read:
                return began, None
        if length is None:
            return None, None
        began = read - length
        return began, began - since if np.isfinite(since) and since <= began else None

    def go_back(self) -> int | None:
        """If the next frames are those of an exposure that is taken again, return the number of the first of them."""
        part = next(iter(self._announced.parts), None)
        if part is None or part.first >= self.n_passed:
            return None
        self.n_read -= self.n_passed - part.first
        self.n_passed = part.first
        return part.first

    def series(self, key: str, event: int | None = None, unit: str = "") -> NDArray[np.float64]:
        """Return times (seconds since the epoch) and values of a scalar, (2, n), in order of time.

        With `event`, return only the readings of that event: those since the previous one.
        """
        table = np.array([x[:2] for x in self._readings.of(key, unit)], dtype=float).reshape(-1, 2).T
        if event is None:
            return table
        since, until = self._span(event)
        return table[:, (table[0] > since) & (table[0] <= until)]

    def of_frames(
        self, key: str, first: int, last: int, event: int | None = None, unit: str = ""
    ) -> NDArray[np.float64]:
        """Return a scalar at frames first … last - 1 of the run; NaN where it was not read.

        If the scalar was not read with the frames, all frames have its value in the run, or in `event`.
        """
        image = self._image_stream
        values = {number: value for _, value, stream, number in self._readings.of(key, unit) if stream == image}
        if not values:  # it was not read with the frames
            once = self.reading(key, event, unit)
            return np.full(last - first, np.nan if once is None else once)
        numbers = self._announced.rows_of(np.arange(first, last)) // self._per_index + 1
        return np.array([values.get(int(number), np.nan) for number in numbers])

    def _numbers(self, event: int) -> set[tuple[str, int]]:
        """Return the stream and number of the readings of an event: in the stream of its frames, and in primary."""
        if self._image is None:
            return set()
        image, n = self._image_stream, self.n_own
        n_indices = self._n_events if n is None else n // self._per_index
        numbers = range((event - 1) * n_indices + 1, event * n_indices + 1)
        own = {(image, number) for number in numbers} & self._readings.times.keys()
        n_primary = self._n_others["primary"]
        beside = event if n_primary == self.n_events else None
        if self.described.flies and not self._n_events and self._flown:
            beside = self._flown_with(event - 1)
        return own if image == "primary" or beside is None else {*own, ("primary", beside)}

    def _flown_with(self, exposure: int) -> int | None:
        """Return the event of primary that was read with an exposure (from 0) of a detector that flies.

        It is the last one before the frames, or the first one after them if the first exposure has none before.
        """
        n_primary, n_before = self._n_others["primary"], self._flown.get(exposure)
        is_before = self._flown[min(self._flown)] > 0
        if n_before is None:  # its frames have not come
            last = max(self._flown)
            return n_primary if is_before and exposure > last and n_primary > self._flown[last] else None
        if is_before:
            return n_before
        return n_before + 1 if n_before < n_primary else None

    def _span(self, event: int) -> tuple[float, float]:
        """Return the first and last time of the readings that belong to an event; infinite at the ends of the run.

        The readings of an event are taken after its frames. If the stream of the frames has no events, since the
        detector flies, the event begins with its readings.
        """
        first = event - 1 if self._n_events else event
        since = self.event_time(first) if event > 1 else None
        until = self.event_time(first + 1)
        return -np.inf if since is None else since, np.inf if until is None else until

    @property
    def n_missing(self) -> int:
        """Number of missing frames right before the next announced one."""
        self._number()
        part = next(iter(self._announced.parts), None)
        return 0 if part is None else max(part.first - self.n_passed, 0)

    @property
    def n_ready(self) -> int:
        """Number of frames up to the last announced one that may be read, with those already read and missing ones."""
        self._number()
        n_rows = min(self._n_rows, self._limit) - self._announced.n_announced  # without numbers
        return int(min(self._announced.next, self._last(None)) + max(n_rows, 0))

    def blocks(
        self, pixels: Ints, *, until: int | None = None, wait_s: float | None = None, whole: Whole = NOTHING
    ) -> Iterator[Block]:
        """Yield selected pixels of the announced frames that have not been read yet, in blocks.

        Parameters
        ----------
        pixels : ndarray of int
            Flat indices in a frame.
        until : int, optional
            Stop at this frame of the run.
        wait_s : float, optional
            Time to wait for late frames. By default late frames are left for the next call.
        whole : Whole, optional
            Gets its frames whole, each after the block that holds it. Its indices count the frames of the run.

        Raises
        ------
        FrameError
            If a file is outside the allowed roots or damaged, if frames have another shape or are too late, if frames
            are announced again or out of order, or if more are announced than a run may have.
        httpx.HTTPError
            If the frames are in Tiled, and it cannot be reached.
        """
        end, last = time.monotonic() + (wait_s or 0.0), self._last(until)
        while True:
            self._number()
            if self.problem:
                raise FrameError(self.problem)
            part, late = self._next(last), self._late
            if part is None and (late is None or self._announced.next >= last):
                return
            if part is not None and part.problem:
                raise FrameError(part.problem)
            if part is not None:
                try:
                    yield from self._read(part, last, pixels, whole)
                    late = None
                except MissingFrames as error:
                    late = error
            if late is not None:
                if wait_s is None:
                    return
                if time.monotonic() >= end:
                    raise late
                time.sleep(RETRY_S)
            last = self._last(until)

    def _read(self, part: AnnouncedFrames, last: float, pixels: Ints, whole: Whole) -> Iterator[Block]:
        """Yield the next announced frames before frame `last`, in blocks."""
        try:
            reader, stop = self._reader_of(part, pixels, whole), int(min(part.stop, part.start + last - part.first))
            for block in reader.blocks(part.start, stop, whole=whole.moved(part.start - part.first)):
                first = part.first
                self._advance(part, len(block))
                yield Block(first, block)
        except MissingFrames:
            if self._open is not None and not isinstance(self._open[2], EventFrames):  # which notices new frames itself
                self._open = None  # the frames may appear elsewhere
            raise

    def _reader_of(self, part: AnnouncedFrames, pixels: Ints, whole: Whole) -> Reader:
        """Return a reader of announced frames, which stays open until another one is needed."""
        if self._open is None or self._open[0] != part.resource or not np.array_equal(self._open[1], pixels):
            self.close()
            self._open = part.resource, pixels, self._find_reader(part, pixels, whole)
        return self._open[2]

    def _find_reader(self, part: AnnouncedFrames, pixels: Ints, whole: Whole) -> Reader:
        """Return a reader of frames: in an event, in a file of this machine, or in Tiled if there is no such file."""
        if part.resource in self._held:
            return HeldFrames(self._held[part.resource], pixels, self._shape)
        doc = self._resources[part.resource]
        dataset = doc.parameters.get("dataset")
        if doc.mimetype == RIGAKU:
            file, order = local_path(doc.uri, self._roots), self._keys.pixel_order
            return EventFrames.open(file, self.frame_shape, self._roots, order, whole.viewer)
        try:
            if doc.mimetype != HDF5 or not dataset:
                raise MissingFrames(f"frames of type {doc.mimetype!r} with parameters {doc.parameters} are not read")
            file = local_path(doc.uri, self._roots)
        except MissingFrames as error:
            if self._raw is None:
                raise
            path, offset = (self.uid, self._image_stream, self._keys.image), self._announced.offsets[part.resource]
            return TiledFrames(self._raw, path, pixels, self.frame_shape, offset=offset, why=str(error))
        return FrameReader(file, dataset, pixels, self.frame_shape, roots=self._roots)

    def skip(self, until: float) -> None:
        """Skip the announced frames before frame `until` of the run."""
        while (part := self._next(until)) is not None:
            self._advance(part, int(min(until - part.first, part.stop - part.start)))

    def _last(self, until: int | None) -> float:
        """Return the number before which frames may be read."""
        limit = np.inf if self._keys.number else self._limit  # else frames get a number only when they may be read
        return min(limit, math.inf if until is None else until)

    def _next(self, last: float) -> AnnouncedFrames | None:
        """Return the next announced frames if they begin before frame `last`, and pass the missing ones before them."""
        parts = self._announced.parts
        while parts:
            self.n_passed = max(self.n_passed, int(min(parts[0].first, last)))
            if parts[0].first >= last:
                return None
            if parts[0].start < parts[0].stop:
                return parts[0]
            parts.popleft()
        return None

    def close(self) -> None:
        """Close the file being read."""
        if self._open is not None and isinstance(self._open[2], EventFrames):
            self._open[2].close()
        self._open = None

    def _advance(self, part: AnnouncedFrames, n: int) -> None:
        """Count `n` frames of the next announced ones as read, and remove them."""
        part.advance(n)
        self.n_read += n
        self.n_passed = max(self.n_passed, part.first)
        if part.start == part.stop:
            self._announced.parts.popleft()
            self._held.pop(part.resource, None)
