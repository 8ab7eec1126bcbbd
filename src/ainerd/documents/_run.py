"""A run, assembled from its documents."""

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from event_model import DocumentRouter, unpack_datum_page, unpack_event_page
from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd.config import Detector
from ainerd.documents._classic import HDF5, MIMETYPES, ClassicFiles, uri_of
from ainerd.documents._detector import Described, unit_in, whole_number
from ainerd.documents._document import checked
from ainerd.documents._frame_numbers import StoredNumbers, Unnumbered, whole_numbers
from ainerd.documents._frames import NOTHING, Ints, Whole
from ainerd.documents._numbering import MOST_NUMBER, AnnouncedFrames, Block, Numbering
from ainerd.documents._readers import Readers
from ainerd.documents._readings import Flights, Readings
from ainerd.documents._storage import FrameError, MissingFrames
from ainerd.units import UnitError, converted

logger = logging.getLogger(__name__)

SPOILT = "spoilt"  # begins the reason if a plan ends a run with "fail" because its data must not be used
EXACT = 2**53  # a double holds all integers up to it
RETRY_S = 0.2  # between two attempts to read late frames


class Run(DocumentRouter):
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

    mimetypes: ClassVar = MIMETYPES

    def __init__(
        self,
        keys: Detector,
        roots: Iterable[Path],
        raw: Container | None = None,
        units: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._keys, self._roots, self._raw = keys, tuple(roots), raw
        self.start_doc: dict[str, Any] = {}
        self.stop_doc: dict[str, Any] = {}
        self._image: dict[str, Any] | None = None  # descriptor of the stream with the detector
        self._described: Described | None = None  # None if the descriptor cannot be used
        self._resources: dict[str, dict[str, Any]] = {}
        self._classic = ClassicFiles(self._resources)
        self._streams: dict[str, str] = {}  # name, by uid of the descriptor
        self._others: set[str] = set()  # streams whose frames are left out
        self._n_events = 0  # in the stream of the frames
        self._n_others = Counter[str]()  # events in each other stream
        self._flights = Flights()
        self._announced = Numbering()
        self._stored = StoredNumbers(keys.number, self._resources, self._roots, raw)
        self._unnumbered: deque[Unnumbered] = deque()  # announced frames whose numbers have not been read
        self._late: MissingFrames | None = None  # why numbers cannot be read yet
        self._readings = Readings(units or {})
        self._readers = Readers(keys, self._resources, self._roots, raw)
        self.n_passed = self.n_read = 0
        self.problem = self.spoilt = ""

    def __call__(self, name: str, doc: Any, validate: bool = False) -> tuple[str, Any]:
        """Take a document. If it cannot be used, `problem` names it."""
        try:
            return super().__call__(name, doc, validate)
        except FrameError as error:
            self.problem = self.problem or str(error)
        except MemoryError:
            raise
        except Exception as error:  # documents hold any values
            self.problem = self.problem or _complaint(name, doc, error)
            logger.warning("run %s: %s", self.start_doc.get("uid"), self.problem)
        return name, doc

    def start(self, doc: Any) -> None:
        """Take the start document."""
        self.start_doc = dict(doc)

    def descriptor(self, doc: Any) -> None:
        """Take a descriptor. The first one with the detector describes the frames.

        Frames in other streams are left out, and all in streams of dark frames, which `bluesky_darkframes` makes.
        """
        doc = {"name": "primary", **doc}  # the name is optional
        name = self._streams[doc["uid"]] = doc["name"]
        self._readings.describe(doc["data_keys"])
        if self._keys.image not in doc["data_keys"]:
            return
        if not name.startswith("dark") and (self._image is None or name == self._image["name"]):
            self._image, self._described = doc, None
            self._described = Described.of(doc, self._keys)
        elif name not in self._others:
            self._others.add(name)
            logger.warning("run %s: the frames in the stream %r are not analysed", self.uid, name)

    def event(self, doc: Any) -> Any:
        """Keep the frames of an event, and all its scalar numbers with their times.

        After a pause the RunEngine may take an event again, with its sequence number. Of events with frames the first
        one counts, with its readings.
        """
        stream = self._streams[doc["descriptor"]]
        has_frames = self._image is not None and stream == self._image["name"]
        if has_frames:
            number = whole_number(doc["seq_num"], "the seq_num of an event")
            doc = {**doc, "seq_num": number}
            self._n_events = max(self._n_events, number)
        else:
            self._n_others[stream] += 1
            number = self._n_others[stream]
        self._readings.take(stream, number, doc)
        named = (doc.get("data") or {}).get(self._keys.image)
        if has_frames and isinstance(named, str):
            try:
                pieces = self._classic.pieces(named, number, self._described, self.n_exposure or 1)
            except FrameError as error:
                self._announced.refuse(str(error))
            else:
                self._take_event(pieces, doc)
        elif has_frames and isinstance(named, (list, np.ndarray)):
            self._readers.held[doc["uid"]] = np.asarray(named)
            self._take_event([(doc["uid"], 0, self._per_index)], doc)

    def resource(self, doc: Any) -> None:
        """Remember a file of classic ophyd. Its events name the datum of each frame."""
        self._classic.resource(doc)

    def datum(self, doc: Any) -> Any:
        """Remember the frames of a datum."""
        self._classic.datum(doc)

    def datum_page(self, doc: Any) -> Any:
        """Take a page of datums."""
        for each in unpack_datum_page(doc):
            self.datum(each)

    def event_page(self, doc: Any) -> Any:
        """Take a page of events."""
        times = doc.get("time") or []
        is_late = len(times) > 1 and len({*times}) == 1  # sent together, long after they were read
        for each in unpack_event_page(doc):
            self.event({**each, "time": None} if is_late else each)

    def stream_resource(self, doc: Any) -> None:
        """Remember a file of frames, also in the form that event-model had before 1.20.

        That form has a spec, which begins with AD_HDF5 for files of HDF5, in place of a MIME type.
        """
        key = doc.get("data_key", self._keys.image)  # the oldest form has none
        if key not in (self._keys.image, self._keys.number):
            return
        new = {"data_key": key, **doc, "parameters": dict(doc.get("parameters") or doc.get("resource_kwargs") or {})}
        if "mimetype" not in doc:
            spec = str(doc["spec"])
            new |= {"mimetype": HDF5 if "HDF5" in spec.upper() else spec, "uri": uri_of(doc)}
        if "path" in new["parameters"]:
            new["parameters"].setdefault("dataset", new["parameters"]["path"])
        self._resources[doc["uid"]] = new

    def stream_datum(self, doc: Any) -> None:
        """Remember the frames that have been written."""
        if doc["stream_resource"] not in self._resources or self._streams.get(doc["descriptor"]) in self._others:
            return
        start, stop = (n * self._per_index for n in _ends(doc["indices"], "indices"))
        resource = doc["stream_resource"]
        if not self._keys.number:
            first, last = _ends(doc.get("seq_nums") or {"start": 0, "stop": 0}, "seq_nums")
            is_known = first > 0 and (last - first) * self._per_index == stop - start  # from Tiled they may be unknown
            n_flight = self.n_own if self.flies else 1
            self._announced.add(resource, start, stop, (first - 1) * self._per_index if is_known else None, n_flight)
            self._flights.add(self._announced.next, self._n_others["primary"] if is_known else None)
        elif not 0 <= start <= stop:
            self._announced.refuse(f"the announced frames {start} to {stop} are not a valid range")
        elif self._resources[resource]["data_key"] == self._keys.image:
            self._unnumbered.append(Unnumbered([(resource, start, stop - start)], self._n_rows))
        else:
            self._stored.announce(resource, start, stop - start)

    def _take_event(self, pieces: list[tuple[str, int, int]], doc: Any) -> None:
        """Take the frames of an event."""
        if not self._keys.number:
            self._announced.add_event(pieces, doc["seq_num"])
            return
        times = doc["timestamps"] if self._keys.number == self._keys.image else doc["data"]
        value = times.get(self._keys.number)
        values = None if value is None else np.atleast_1d(np.asarray(value)).ravel()
        self._unnumbered.append(Unnumbered(pieces, self._n_rows, doc["seq_num"], values))

    @property
    def _n_rows(self) -> int:
        """Rows of the stream that are announced."""
        return self._announced.n_announced + sum(each.n for each in self._unnumbered)

    def _number(self) -> None:
        """Give the announced frames their numbers by the detector, as far as these can be read."""
        self._late = None
        while self._unnumbered and self._image is not None:
            frames = self._unnumbered[0]
            room = self._limit - frames.row
            if room <= 0:
                return
            if room < frames.n:  # of a StreamDatum, whose events have not all come
                self._unnumbered.insert(1, frames.cut(int(room)))
            try:
                values = self._stored.values(frames, self._image["data_keys"], self._address)
                if self.has_ticks:
                    if values.dtype.kind == "f":
                        values = converted(values, unit_in(self._image["data_keys"], self._keys.number), "s")
                    self._announced.add_ticks(frames.pieces, values, self.n_own, self.frame_time_s, frames.event)
                else:
                    numbers = whole_numbers(values, self._keys.number)
                    self._announced.add_numbered(frames.pieces, numbers, self.n_event, frames.event)
            except MissingFrames as error:
                self._late = error
                return
            except (FrameError, UnitError) as error:
                self._announced.refuse(str(error))
                self._unnumbered.clear()
                return
            self._unnumbered.popleft()

    def stop(self, doc: Any) -> None:
        """Take the stop document. Frames of events that nothing has announced are missing."""
        self.stop_doc = dict(doc)
        if doc.get("exit_status") == "fail" and str(doc.get("reason", "")).startswith(SPOILT):
            self.spoilt = str(doc["reason"])
        if self._image is not None and not self._keys.number:
            self._announced.end(self._n_events * self._per_index)

    @property
    def uid(self) -> str:
        """Uid of the start document."""
        return str(self.start_doc["uid"])

    @property
    def has_frames(self) -> bool:
        """Whether the detector is in this run; False before its descriptor arrives."""
        return self._image is not None

    @property
    def _address(self) -> tuple[str, str]:
        """Uid of the run, and name of the stream of the frames, as in Tiled."""
        assert self._image is not None
        return self.uid, self._image["name"]

    @property
    def _shape(self) -> tuple[int, ...]:
        """Shape of an index: (ny, nx), or (n, ny, nx). FrameError if the descriptor cannot be used."""
        if self._described is None:
            raise FrameError(self.problem or f"the run has no {self._keys.image!r}")
        return self._described.shape

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(ny, nx). FrameError if the run has no detector, or its descriptor cannot be used."""
        return self._shape[-2], self._shape[-1]

    @property
    def n_exposure(self) -> int | None:
        """Frames of one exposure, from the detector's configuration; None if not configured, or without limit."""
        return None if self._described is None else self._described.n_frames

    @property
    def n_event(self) -> int | None:
        """Numbers of one event: the frames of an exposure, or of one index if the exposure is not configured.

        None for a detector that flies, has one frame per index and no configured exposure: all frames are one event.
        An event with ticks has `MOST_NUMBER` of them.
        """
        return MOST_NUMBER if self.has_ticks and self.n_own is not None else self.n_own

    @property
    def n_own(self) -> int | None:
        """Frames of one event that come, as in `n_event`; None also with ticks if no number is configured."""
        if self.n_exposure is None and self._per_index == 1 and (self.flies or self.has_ticks):
            return None
        return max(self.n_exposure or 1, self._per_index)

    @property
    def has_ticks(self) -> bool:
        """Whether frames come at any times, so that numbers of frames are ticks."""
        return bool(self._keys.ticks)

    @property
    def n_events(self) -> int:
        """Number of events in the frames announced so far, including an incomplete one."""
        n, n_ready = self.n_own, self._n_rows if self.has_ticks else self.n_ready
        return -(-n_ready // n) if n else int(n_ready > 0)

    @property
    def flies(self) -> bool:
        """Whether the stream of the frames contains only frames, so that its events do not group them."""
        return self._described is not None and self._described.flies

    @property
    def _has_flights(self) -> bool:
        """Whether the detector flies, and its stream has no events."""
        return self.flies and not self._n_events

    @property
    def n_frames(self) -> int | None:
        """Expected number of frames in the whole run; None if unknown.

        For a detector that flies the number is configured. A triggered detector takes one exposure at each of
        ``num_points`` positions.
        """
        n_event = self.n_own
        if n_event is None or n_event > self._per_index:
            return self.n_exposure
        n_points = self.start_doc.get("num_points")
        if isinstance(n_points, int) and n_points > 0:
            return n_points * self._per_index
        return self.n_exposure if n_event > 1 or self.flies else None

    @property
    def frame_time_s(self) -> float | None:
        """Time from frame to frame, in seconds; None if not configured."""
        return None if self._described is None else self._described.frame_time_s

    def reading(self, key: str, event: int | None = None) -> float | None:
        """Return the first value of a scalar in the run, or its value in an event (from 1); None without a reading.

        If the scalar was not read with the frames, its value in an event is the first reading since the previous event,
        or else the last reading before that. It is None if the scalar was read with other frames, but not with these.
        """
        values = self._readings.of(key)
        if event is None or not values or self._image is None:
            return values[0].value if values else None
        numbers, image = self._numbers(event), self._image["name"]
        own = [x for x in values if (x.stream, x.number) in numbers]
        own = [x for x in own if x.stream == image] or own
        if not own and key in self._image["data_keys"]:
            return None
        if not own and self._has_flights and len({x.value for x in values if x.stream == "primary"}) > 1:
            return None
        since, until = self._span(event)
        recent = [x for x in values if since < x.time <= until] or [x for x in values if x.time <= since][-1:]
        return (own or recent or values)[0].value

    def flagged(self, event: int | None = None) -> str | None:
        """Return which fault the detector reports in the run, or in an event (from 1); None without a fault."""
        for key, largest in self._keys.flags.items():
            every = [value for _, value, *_ in self._readings.of(key)]
            value = max(every, default=None) if event is None else self.reading(key, event)
            if value is not None and value > largest:
                return f"the detector reports a fault: {key} is {value:g}, above {largest:g}"
        return None

    def lost(self, event: int | None) -> str | None:
        """Return which document of an event (from 1) never came although its number is known, as from a damaged table.

        None without such a document, and for a detector that flies, whose frames have no events.
        """
        if event is None or self._image is None or self.flies or self.n_own is None:
            return None
        image, n = self._image["name"], self.n_own // self._per_index
        numbers = self.stop_doc.get("num_events")
        known = numbers.get(image) if isinstance(numbers, Mapping) else None
        last = max(self._n_events, known if isinstance(known, int) else 0)
        for number in range((event - 1) * n + 1, min(event * n, last) + 1):
            if (image, number) not in self._readings.times:
                return f"event {number} of the stream {image!r} is missing, so its readings are not known"
        return None

    def event_time(self, event: int) -> float | None:
        """Return the time of an event (from 1), in seconds since the epoch; None if the event has no readings."""
        times = [self._readings.times[each] for each in self._numbers(event) if each in self._readings.times]
        return max(times, default=None)

    def exposure_time(self, event: int) -> float | None:
        """Return the start of the exposure of an event (from 1), in seconds since the epoch; None if unknown.

        A detector that flies starts after the readings of its event; a triggered one has taken its frames before them.
        """
        read = self.event_time(event)
        if read is None or self.flies:
            return read
        frame_time_s, n_frames = self.frame_time_s, self.n_own
        return None if frame_time_s is None or n_frames is None else read - n_frames * frame_time_s

    def series(self, key: str, event: int | None = None) -> NDArray[np.float64]:
        """Return times (seconds since the epoch) and values of a scalar, (2, n), in order of time.

        With `event`, return only the readings of that event: those since the previous one.
        """
        table = np.array([x[:2] for x in self._readings.of(key)], dtype=float).reshape(-1, 2).T
        if event is None:
            return table
        since, until = self._span(event)
        return table[:, (table[0] > since) & (table[0] <= until)]

    def of_frames(self, key: str, first: int, last: int, event: int | None = None) -> NDArray[np.float64]:
        """Return a scalar at frames first … last - 1 of the run; NaN where it was not read.

        If the scalar was not read with the frames, all frames have its value in the run, or in `event`.
        """
        image = self._image["name"] if self._image else ""
        values = {number: value for _, value, stream, number in self._readings.of(key) if stream == image}
        if not values:  # it was not read with the frames
            once = self.reading(key, event)
            return np.full(last - first, np.nan if once is None else once)
        numbers = self._announced.rows_of(np.arange(first, last)) // self._per_index + 1
        return np.array([values.get(int(number), np.nan) for number in numbers])

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
            if refused := self.problem or self._announced.refused:
                raise FrameError(refused)
            part = self._next(last)
            if part is None:
                if self._late is None or wait_s is None or self._announced.next >= last:
                    return
                if time.monotonic() >= end:
                    raise self._late
                time.sleep(RETRY_S)
                last = self._last(until)
                continue
            if part.problem:
                raise FrameError(part.problem)
            stop = int(min(part.stop, part.start + last - part.first))
            try:
                reader = self._readers.open(part, pixels, whole, self._shape, self._address)
                for block in reader.blocks(part.start, stop, whole=whole.moved(part.start - part.first)):
                    first = part.first
                    self._advance(part, len(block))
                    yield Block(first, block)
            except MissingFrames:
                self._readers.look_elsewhere()
                if wait_s is None:
                    return
                if time.monotonic() >= end:
                    raise
                time.sleep(RETRY_S)
            last = self._last(until)

    def skip(self, until: int) -> None:
        """Skip the announced frames before frame `until` of the run."""
        while (part := self._next(until)) is not None:
            self._advance(part, min(until - part.first, part.stop - part.start))

    def _last(self, until: int | None) -> float:
        """Return the number before which frames may be read."""
        limit = np.inf if self._keys.number else self._limit  # else frames get a number only when they may be read
        return min(limit, math.inf if until is None else until)

    def _next(self, last: float) -> AnnouncedFrames | None:
        """Return the next announced frames if they begin before frame `last`, and pass the missing ones before them."""
        part = next(iter(self._announced.parts), None)
        if part is not None:
            self.n_passed = max(self.n_passed, int(min(part.first, last)))
        return part if part is not None and part.first < last else None

    def close(self) -> None:
        """Close the files being read."""
        self._readers.close()

    def _advance(self, part: AnnouncedFrames, n: int) -> None:
        """Count `n` frames of the next announced ones as read, and remove them."""
        part.advance(n)
        self.n_read += n
        is_over = part.start == part.stop
        self.n_passed = max(self.n_passed, part.after if is_over and part.after else part.first)
        if is_over:
            self._announced.parts.popleft()
            self._readers.held.pop(part.resource, None)

    @property
    def _per_index(self) -> int:
        """Frames per index of the data key."""
        shape = () if self._described is None else self._described.shape
        return shape[0] if len(shape) == 3 else self._classic.per_point

    @property
    def _limit(self) -> float:
        """Rows that may be read: all, or the frames of the events that have arrived."""
        if self.stop_doc or self.flies:
            return np.inf
        return self._n_events * self._per_index

    def _numbers(self, event: int) -> set[tuple[str, int]]:
        """Return the stream and number of the readings of an event: in the stream of its frames, and in primary."""
        assert self._image is not None
        image, n = self._image["name"], self.n_own
        n_indices = self._n_events if n is None else n // self._per_index
        numbers = range((event - 1) * n_indices + 1, event * n_indices + 1)
        if n_indices > len(self._readings.times):  # a document may name any number of frames
            own = {key for key in self._readings.times if key[0] == image and key[1] in numbers}
        else:
            own = {(image, number) for number in numbers}
        n_primary = self._n_others["primary"]
        beside = event if n_primary == self.n_events else None
        if self._has_flights and self._flights.are_ordered:
            beside = self._flights.event_of(event, n or MOST_NUMBER, n_primary)
        return own if image == "primary" or beside is None else {*own, ("primary", beside)}

    def _span(self, event: int) -> tuple[float, float]:
        """Return the first and last time of the readings that belong to an event; infinite at the ends of the run.

        The readings of an event are taken after its frames. If the stream of the frames has no events, since the
        detector flies, the event begins with its readings.
        """
        first = event - 1 if self._n_events else event
        since = self.event_time(first) if event > 1 else None
        until = self.event_time(first + 1)
        return -np.inf if since is None else since, np.inf if until is None else until


def _ends(numbers: Mapping[str, Any], what: str) -> tuple[int, int]:
    """Return start and stop of a range of a StreamDatum; FrameError if one is no whole number."""
    start, stop = (
        whole_number(numbers[end], f"the {end} of {what!r}", least=-EXACT, most=EXACT) for end in ("start", "stop")
    )
    return start, stop


def _complaint(name: str, doc: Any, error: Exception) -> str:
    """Return why a document cannot be used: by the schema, or else the error that it led to."""
    try:
        checked(name, doc)
    except ValueError as invalid:
        return str(invalid)
    return f"{name} document: {type(error).__name__}: {error}"
