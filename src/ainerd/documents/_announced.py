"""The contents of the documents of a run: its detector, its frames with their numbers, and its readings."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from event_model import documents, unpack_datum_page, unpack_event_page

from ainerd.config import Detector
from ainerd.documents._classic import ClassicFiles, FrameFile
from ainerd.documents._detector import UNDESCRIBED, Described, number_in, unit_in, whole_number
from ainerd.documents._document import checked
from ainerd.documents._frame_numbers import StoredNumbers, Unnumbered, whole_numbers
from ainerd.documents._numbering import MOST_NUMBER, Numbering
from ainerd.documents._readings import ScalarReadings
from ainerd.documents._storage import Array, FrameError, MissingFrames
from ainerd.units import UnitError, converted

if TYPE_CHECKING:
    from tiled.client.container import Container

logger = logging.getLogger(__name__)

LEFT_OUT = "dark", "baseline"  # begin the names of streams whose frames are not those of the plan
UNKNOWN: documents.StreamRange = {"start": 0, "stop": 0}  # sequence numbers in runs from Tiled
SPOILT = "spoilt"  # begins the reason if a plan ends a run with "fail" because its data must not be used


class RunDocuments:
    """Takes the documents of one run, in order; see `Run`."""

    def __init__(
        self,
        keys: Detector,
        roots: Iterable[Path],
        raw: "Container | None" = None,
        units: Mapping[str, str] | None = None,
    ) -> None:
        self._keys, self._roots, self._raw = keys, tuple(roots), raw
        self.has_ticks = bool(keys.ticks)
        self.start_doc: dict[str, object] = {}
        self.stop_doc: dict[str, object] = {}
        self._image: documents.EventDescriptor | None = None  # descriptor of the stream with the detector
        self._image_stream = ""
        self.described = UNDESCRIBED  # also if that descriptor cannot be used
        self._resources: dict[str, FrameFile] = {}
        self._classic = ClassicFiles(self._resources)
        self._streams: dict[str, str] = {}  # name, by uid of the descriptor
        self._others: set[str] = set()  # streams whose frames are left out
        self._n_events = 0  # in the stream of the frames
        self._n_others = Counter[str]()  # events in each other stream
        self._flown: dict[int, int] = {}  # events in primary before each exposure (from 0) of a detector that flies
        self._readings = ScalarReadings(units or {})
        self._stamps: dict[int, tuple[float | None, bool]] = {}  # of frames by event, and whether it is that of a datum
        self._held: dict[str, Array] = {}  # frames in events, by uid of the event
        self._announced = Numbering()
        self._stored = StoredNumbers(keys.number, self._resources, self._roots)
        self._unnumbered: deque[Unnumbered] = deque()  # announced frames whose numbers have not been read
        self._late: MissingFrames | None = None  # why numbers cannot be read yet
        self.problem = self.spoilt = ""

        self._takes: dict[str, Callable[[Any], None]] = {
            "start": self.start_doc.update, "descriptor": self.descriptor, "event": self.event,
            "event_page": self.event_page, "resource": self._classic.resource, "datum": self._classic.datum,
            "datum_page": self.datum_page, "stream_resource": self.stream_resource, "stream_datum": self.stream_datum,
            "stop": self.stop,
        }  # fmt: skip

    def __call__(self, name: str, doc: object) -> None:
        """Take a document. If it cannot be used, `problem` names it."""
        try:
            self._takes[name](doc)
        except FrameError as error:
            self.problem = self.problem or str(error)
        except MemoryError:
            raise
        except Exception as error:  # documents hold any values
            self.problem = self.problem or _complaint(name, doc, error)
            logger.warning("run %s: %s", self.start_doc.get("uid"), self.problem)

    def descriptor(self, doc: documents.EventDescriptor) -> None:
        """Take a descriptor. The first one with the detector describes the frames, and that of primary before others.

        Frames in other streams are left out, and all in those of dark frames, which `bluesky_darkframes` makes, and of
        the baseline.
        """
        name = self._streams[doc["uid"]] = doc.get("name", "primary")
        self._readings.describe(doc["data_keys"])
        if self._keys.image not in doc["data_keys"]:
            return
        former = name if self._image is None else self._image_stream
        is_first = former == name or (name == "primary" and not self._n_rows and not self._n_events)
        if is_first and not name.startswith(LEFT_OUT):
            self._others |= {former} - {name}
            self._image, self._image_stream, self.described = doc, name, UNDESCRIBED
            self.described = Described.of(doc, self._keys)
        elif name not in self._others:
            self._others.add(name)
            logger.warning("run %s: the frames in the stream %r are not analysed", self.uid, name)

    def event(self, doc: documents.Event) -> None:
        """Keep the frames of an event, and all its scalar numbers with their times.

        After a pause the RunEngine may take an event again, with its sequence number. Of events with frames the first
        one counts, with its readings.
        """
        stream = self._streams[doc["descriptor"]]
        if self._image is None or stream != self._image_stream:
            self._n_others[stream] += 1
            self._readings.take(stream, self._n_others[stream], doc)
            return
        number = whole_number(doc["seq_num"], "the seq_num of an event")
        self._n_events = max(self._n_events, number)
        self._readings.take(stream, number, doc)
        image = (doc.get("data") or {}).get(self._keys.image)
        stamp = number_in((doc.get("timestamps") or {}).get(self._keys.image))
        self._stamps.setdefault(number, (stamp, isinstance(image, str)))
        self._take_frames(image, number, doc)

    def _take_frames(self, image: object, event: int, doc: documents.Event) -> None:
        """Take the frames of an event: `image` is the id of their datum, or holds them."""
        if isinstance(image, str):
            pieces = self._classic.pieces(image, event, self.described.shape, self.described.n_frames or 1)
        elif isinstance(image, list | np.ndarray):
            self._held[doc["uid"]] = np.asarray(image)
            pieces = [(doc["uid"], 0, self._per_index)]
        else:
            return
        if not self._keys.number:
            self._announced.add(pieces, (event - 1) * self._per_index)
            return
        value = doc["timestamps" if self._keys.number == self._keys.image else "data"].get(self._keys.number)
        values = None if value is None else np.atleast_1d(np.asarray(value)).ravel()
        self._unnumbered.append(Unnumbered(pieces, self._n_rows, event, values))

    def datum_page(self, doc: documents.DatumPage) -> None:
        """Take a page of datums."""
        for each in unpack_datum_page(doc):
            self._classic.datum(each)

    def event_page(self, doc: documents.EventPage) -> None:
        """Take a page of events."""
        times = doc.get("time") or []
        is_late = len(times) > 1 and len({*times}) == 1  # sent together, long after they were read
        for each in unpack_event_page(doc):
            self.event(each | {"time": None} if is_late else each)

    def stream_resource(self, doc: documents.StreamResource) -> None:
        """Remember a file of frames, or of their numbers."""
        if doc["data_key"] in (self._keys.image, self._keys.number):
            self._resources[doc["uid"]] = FrameFile(doc["mimetype"], doc["uri"], doc["parameters"], doc["data_key"])

    def stream_datum(self, doc: documents.StreamDatum) -> None:
        """Remember the frames that have been written."""
        if doc["stream_resource"] not in self._resources or self._streams.get(doc["descriptor"]) in self._others:
            return
        start, stop = (n * self._per_index for n in _ends(doc["indices"], "indices"))
        resource, n = doc["stream_resource"], stop - start
        if n < 0:
            raise FrameError(f"the announced frames {start} to {stop} are not a valid range")
        if not self._keys.number:
            first, last = (n * self._per_index for n in _ends(doc.get("seq_nums") or UNKNOWN, "seq_nums"))
            self._add_flown(resource, start, n, first - self._per_index if last - first == n and first else None)
        elif self._resources[resource].data_key == self._keys.image:
            self._unnumbered.append(Unnumbered([(resource, start, n)], self._n_rows))
        else:
            self._stored.announce(resource, start, n)

    def _add_flown(self, resource: str, start: int, n: int, number: int | None) -> None:
        """Add frames by the number of the first one, which is not known from Tiled."""
        flies = self.described.flies
        begin = self._announced.add([(resource, start, n)], number, self.n_own if flies else 1)
        if number is not None:  # else the order of frames and events is not known
            n_flight = self.n_own or MOST_NUMBER
            for exposure in range(begin // n_flight, -(-self._announced.next // n_flight)):
                if exposure * n_flight >= begin or exposure not in self._flown:
                    self._flown[exposure] = self._n_others["primary"]

    def stop(self, doc: Mapping[str, object]) -> None:
        """Take the stop document. Frames of events that nothing has announced are missing."""
        self.stop_doc = dict(doc)
        if doc.get("exit_status") == "fail" and str(doc.get("reason", "")).startswith(SPOILT):
            self.spoilt = str(doc["reason"])
        if self._image is not None and not self._keys.number:
            self._announced.end(self._n_events * self._per_index)

    @property
    def _n_rows(self) -> int:
        """Rows of the stream that are announced."""
        return self._announced.n_announced + sum(each.n for each in self._unnumbered)

    def _number(self) -> None:
        """Give the announced frames their numbers by the detector, as far as these can be read."""
        self._late = None
        while self._unnumbered and self._image is not None:
            frames = self._unnumbered[0]
            if frames.row + frames.n > self._limit:  # of a StreamDatum, whose events have not all come
                return
            try:
                values = self._stored.values(frames, self._image["data_keys"])
                if self.has_ticks:
                    if values.dtype.kind == "f":
                        values = converted(values, unit_in(self._image["data_keys"], self._keys.number), "s")
                    self._announced.add_ticks(
                        frames.pieces, values, self.n_own, self.described.frame_time_s, frames.event
                    )
                else:
                    numbers = whole_numbers(values, self._keys.number)
                    self._announced.add_numbered(frames.pieces, numbers, self.n_event, frames.event)
            except MissingFrames as error:
                self._late = error
                return
            except (FrameError, UnitError) as error:
                self.problem = self.problem or str(error)
                self._unnumbered.clear()
                return
            self._unnumbered.popleft()

    @property
    def uid(self) -> str:
        """Uid of the start document."""
        return str(self.start_doc["uid"])

    @property
    def has_frames(self) -> bool:
        """Whether the detector is in this run; False before its descriptor arrives."""
        return self._image is not None

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(ny, nx). FrameError if the run has no detector, or its descriptor cannot be used."""
        return self._shape[-2], self._shape[-1]

    @property
    def _shape(self) -> tuple[int, ...]:
        """Shape of an index: (ny, nx), or (n, ny, nx). FrameError if the descriptor cannot be used."""
        if not self.described.shape:
            raise FrameError(self.problem or f"the run has no {self._keys.image!r}")
        return self.described.shape

    @property
    def _per_index(self) -> int:
        """Frames per index of the data key."""
        shape = self.described.shape
        return shape[0] if len(shape) == 3 else self._classic.per_point

    @property
    def _limit(self) -> float:
        """Rows that may be read: all, or the frames of the events that have arrived."""
        return np.inf if self.stop_doc or self.described.flies else self._n_events * self._per_index

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
        if self.described.n_frames is None and self._per_index == 1 and (self.described.flies or self.has_ticks):
            return None
        return max(self.described.n_frames or 1, self._per_index)

    @property
    def n_frames(self) -> int | None:
        """Expected number of frames in the whole run; None if unknown.

        For a detector that flies the number is configured. A triggered detector takes one exposure at each of
        ``num_points`` positions.
        """
        n_event = self.n_own
        if n_event is None or n_event > self._per_index:
            return self.described.n_frames
        n_points = self.start_doc.get("num_points")
        if isinstance(n_points, int) and n_points > 0:
            return n_points * self._per_index
        return self.described.n_frames if n_event > 1 or self.described.flies else None


def _ends(numbers: documents.StreamRange, what: str) -> tuple[int, int]:
    """Return start and stop of a range of a StreamDatum; FrameError if one is no whole number."""
    start, stop = numbers["start"], numbers["stop"]
    return whole_number(start, f"the start of {what!r}"), whole_number(stop, f"the stop of {what!r}")


def _complaint(name: str, doc: object, error: Exception) -> str:
    """Return why a document cannot be used: by the schema, or else the error that it led to."""
    try:
        checked(name, doc)
    except ValueError as invalid:
        return str(invalid)
    return f"{name} document: {type(error).__name__}: {error}"
