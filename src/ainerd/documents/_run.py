"""A run, assembled from its documents."""

import math
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import numpy as np
from event_model import DocumentRouter, unpack_datum_page, unpack_event_page
from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd.documents._frames import NOTHING, FrameReader, HeldFrames, Ints, TiledFrames, Whole
from ainerd.documents._storage import FrameError, MissingFrames, local_path

RETRY_S = 0.2  # between two attempts to read late frames
MOST_FRAMES = 5_000_000  # in a run: 40 minutes at 2 kHz


@dataclass(frozen=True, kw_only=True)
class DetectorKeys:
    """Keys of the documents that describe the detector.

    Attributes
    ----------
    image : str
        Data key of the frames.
    n_frames, frame_time_s : str
        Configuration keys of the number of frames in an exposure, and of the time from frame to frame in seconds; empty
        if the detector does not have the key.
    """

    image: str
    n_frames: str = ""
    frame_time_s: str = ""


class Run(DocumentRouter):
    """Takes the documents of one run, in order, and returns its frames, readings and series.

    Frames in a local HDF5 file are read from the file, which a StreamResource or a Resource of classic ophyd names.
    Frames in events are used directly. All other frames are read from Tiled.
    If the stream of the frames has other readings too, `blocks` returns frames only after their event has arrived.

    Parameters
    ----------
    keys : DetectorKeys
    roots : iterable of Path
        Folders from which frames may be read.
    raw : tiled.client.container.Container, optional
        The raw runs in Tiled.

    Attributes
    ----------
    start_doc, stop_doc : dict
        Empty until the document arrives.
    n_read : int
        Number of frames that `blocks` returned or `skip` left out.
    """

    def __init__(self, keys: DetectorKeys, roots: Iterable[Path], raw: Container | None = None) -> None:
        super().__init__()
        self._keys, self._roots, self._raw = keys, tuple(roots), raw
        self.start_doc: dict[str, Any] = {}
        self.stop_doc: dict[str, Any] = {}
        self._image: dict[str, Any] | None = None  # descriptor of the stream with the detector
        self._resources: dict[str, dict[str, Any]] = {}
        self._datums: dict[str, tuple[str, int]] = {}  # resource and index, by id of the datum
        self._per_point: dict[str, int] = {}  # frames per index, by resource of classic ophyd
        self._frames_per_point = 1  # of the current resource
        self._streams: dict[str, str] = {}  # name, by uid of the descriptor
        self._n_events = 0  # in the stream of the frames
        self._times: dict[tuple[str, int], float] = {}  # of events, by stream and sequence number
        self._held: dict[str, NDArray[Any]] = {}  # frames in events, by uid of the event
        self._announced: deque[tuple[str, int, int]] = deque()  # resource or event, first index, last index + 1
        self._n_announced = 0  # frames
        self._refused: str | None = None  # reason to stop reading frames
        self._taken = 0  # frames already read of the first entry in `_announced`
        # time, value, stream and sequence number of each reading, by key
        self._readings: dict[str, list[tuple[float, float, str, int]]] = defaultdict(list)
        self._reader: FrameReader | HeldFrames | TiledFrames | None = None
        self._reader_resource, self._pixels = "", np.empty(0, np.int64)  # of `_reader`
        self.n_read = 0

    def start(self, doc: Any) -> None:
        """Take the start document."""
        self.start_doc = dict(doc)

    def descriptor(self, doc: Any) -> None:
        """Take a descriptor. The descriptor with the detector describes the frames."""
        doc = {"name": "primary", **doc}  # the name is optional
        self._streams[doc["uid"]] = doc["name"]
        if self._keys.image in doc["data_keys"]:
            self._image = doc

    def event(self, doc: Any) -> Any:
        """Keep the frames of an event, and all its scalar numbers with their times."""
        stream = self._streams[doc["descriptor"]]
        read_at = self._times[stream, doc["seq_num"]] = _number(doc["time"]) or 0.0
        self._n_events += self._image is not None and stream == self._image["name"]
        named = doc["data"].get(self._keys.image)
        if isinstance(named, str) and self._image is not None and stream == self._image["name"]:
            self._announce_point(named, doc["seq_num"])
        for key, value in doc["data"].items():
            if key == self._keys.image and isinstance(value, (list, np.ndarray)):
                self._held[doc["uid"]] = np.asarray(value)
                self._announced.append((doc["uid"], 0, 1))
            if (number := _number(value)) is not None:
                time_s = _number(doc["timestamps"].get(key))
                at = read_at if time_s is None or math.isnan(time_s) else time_s  # the schema allows anything as a time
                self._readings[key].append((at, number, stream, doc["seq_num"]))

    def resource(self, doc: Any) -> None:
        """Remember a file of classic ophyd. Its events name the datum of each frame."""
        spec, options = str(doc["spec"]).upper(), doc["resource_kwargs"]
        is_hdf5 = spec.startswith("AD_HDF5") and spec != "AD_HDF5_SINGLE"
        path = PurePosixPath(doc.get("root") or "/") / str(doc["resource_path"]).lstrip("/")
        self._resources[doc["uid"]] = {
            "mimetype": "application/x-hdf5" if is_hdf5 else spec,
            "uri": f"file://localhost{quote(str(path))}",
            "parameters": {"dataset": options.get("dataset", "/entry/data/data"), "swmr": options.get("swmr", True)},
        }
        self._per_point[doc["uid"]] = int(options.get("frame_per_point") or 1)

    def datum(self, doc: Any) -> Any:
        """Remember the frames of a datum."""
        if doc["resource"] in self._resources:
            self._datums[doc["datum_id"]] = doc["resource"], int(doc["datum_kwargs"].get("point_number", 0))
        return doc

    def datum_page(self, doc: Any) -> Any:
        """Take a page of datums."""
        for each in unpack_datum_page(doc):
            self.datum(each)
        return doc

    def event_page(self, doc: Any) -> Any:
        """Take a page of events."""
        for each in unpack_event_page(doc):
            self.event(each)
        return doc

    def stream_resource(self, doc: Any) -> None:
        """Remember a file of frames."""
        if doc["data_key"] == self._keys.image:
            self._resources[doc["uid"]] = dict(doc)

    def stream_datum(self, doc: Any) -> None:
        """Remember the frames that have been written."""
        if doc["stream_resource"] not in self._resources:
            return
        start, stop = doc["indices"]["start"], doc["indices"]["stop"]
        self._n_announced += (stop - start) * self._per_index
        if not 0 <= start <= stop:
            self._refused = f"the announced frames {start} to {stop} are not a valid range"
        elif self._n_announced > MOST_FRAMES:
            self._refused = f"{self._n_announced} frames are announced, more than the {MOST_FRAMES} that a run may have"
        elif start < stop:
            self._announced.append((doc["stream_resource"], start, stop))

    def _announce_point(self, datum_id: str, event: int) -> None:
        if datum_id not in self._datums:
            self._refused = f"the frames of event {event} are in datum {datum_id!r}, which no document describes"
            return
        resource, point = self._datums.pop(datum_id)
        self._frames_per_point = self._per_point[resource]
        self._n_announced += self._per_index
        self._announced.append((resource, point, point + 1))

    def stop(self, doc: Any) -> None:
        """Take the stop document."""
        self.stop_doc = dict(doc)

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
        """(ny, nx)."""
        return tuple(self._data_key["shape"][-2:])

    @property
    def n_exposure(self) -> int | None:
        """Frames of one exposure, from the detector's configuration; None if not configured."""
        return None if not self._keys.n_frames else int(self._configured(self._keys.n_frames))

    @property
    def n_event(self) -> int | None:
        """Frames of one event: the frames of an exposure, or of one index if the exposure is not configured.

        None for a detector that flies, has one frame per index and no configured exposure: all frames are one event.
        """
        if self.n_exposure is None and self._per_index == 1 and self.flies:
            return None
        return max(self.n_exposure or 1, self._per_index)

    @property
    def n_events(self) -> int:
        """Number of events in the frames announced so far, including an incomplete one."""
        return -(-self.n_ready // self.n_event) if self.n_event else int(self.n_ready > 0)

    @property
    def flies(self) -> bool:
        """Whether the stream of the frames contains only frames, so that its events do not group them."""
        return self._image is not None and all("external" in key for key in self._image["data_keys"].values())

    @property
    def n_frames(self) -> int | None:
        """Expected number of frames in the whole run; None if unknown.

        For a detector that flies the number is configured. A triggered detector takes one exposure at each of
        ``num_points`` positions.
        """
        if self.n_event is None or self.n_event > self._per_index:
            return self.n_exposure
        n_points = self.start_doc.get("num_points")
        if isinstance(n_points, int) and n_points > 0:
            return n_points * self._per_index
        return self.n_exposure if self.n_event > 1 or self.flies else None

    @property
    def frame_time_s(self) -> float | None:
        """Time from frame to frame, in seconds; None if not configured."""
        return None if not self._keys.frame_time_s else float(self._configured(self._keys.frame_time_s))

    def reading(self, key: str, event: int | None = None) -> float | None:
        """Return the first value of a scalar in the run, or its value in an event (from 1); None without a reading.

        If the scalar was not read with the frames, its value in an event is the first reading since the previous event,
        or else the last reading before that.
        """
        values = sorted(self._readings.get(key, []))
        if event is not None and values:
            numbers = self._numbers(event)
            own = [x for x in values if x[2:] in numbers]
            since, until = self._span(event)
            recent = [x for x in values if since < x[0] <= until] or [x for x in values if x[0] <= since][-1:]
            values = own or recent or values
        return values[0][1] if values else None

    def event_time(self, event: int) -> float | None:
        """Return the time of an event (from 1), in seconds since the epoch; None if the event has no readings."""
        times = [self._times[stream, n] for stream, n in self._numbers(event) if (stream, n) in self._times]
        return max(times, default=None)

    def series(self, key: str, event: int | None = None) -> NDArray[np.float64]:
        """Return times (seconds since the epoch) and values of a scalar, (2, n), in order of time.

        With `event`, return only the readings of that event: those since the previous one.
        """
        values = sorted(x[:2] for x in self._readings.get(key, []))  # streams may be separate
        table = np.array(values, dtype=float).reshape(-1, 2).T
        if event is None:
            return table
        since, until = self._span(event)
        return table[:, (table[0] > since) & (table[0] <= until)]

    def of_frames(self, key: str, first: int, last: int, event: int | None = None) -> NDArray[np.float64]:
        """Return a scalar at frames first … last - 1 of the run; NaN where it was not read.

        If the scalar was not read with the frames, all frames have its value in the run, or in `event`.
        """
        image = self._image["name"] if self._image else ""
        values = {number: value for _, value, stream, number in self._readings.get(key, []) if stream == image}
        if not values:  # it was not read with the frames
            once = self.reading(key, event)
            return np.full(last - first, np.nan if once is None else once)
        numbers = np.arange(first, last) // self._per_index + 1
        return np.array([values.get(int(number), np.nan) for number in numbers])

    @property
    def n_ready(self) -> int:
        """Number of frames that have been announced and may be read, including frames already read."""
        waiting = sum((last - first) * self._per_index for _, first, last in self._announced)
        return int(min(self.n_read + waiting - self._taken, self._limit))

    def blocks(
        self, pixels: Ints, *, until: int | None = None, wait_s: float | None = None, whole: Whole = NOTHING
    ) -> Iterator[NDArray[Any]]:
        """Yield selected pixels of the announced frames that have not been read yet, in blocks, (b, n_pixels).

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
            If a file is outside the allowed roots or damaged, if frames have another shape or are too late, or if more
            frames are announced than a run may have.
        httpx.HTTPError
            If the frames are in Tiled, and it cannot be reached.
        """
        if self._refused is not None:
            raise FrameError(self._refused)
        end = time.monotonic() + (wait_s or 0.0)
        while self._announced:
            resource, first, last = self._announced[0]
            start = first * self._per_index + self._taken
            most = min(self._limit, self._limit if until is None else until) - self.n_read
            stop = int(min(last * self._per_index, start + max(most, 0)))
            if stop == start:
                return
            try:
                reader, moved = self._open(resource, start, pixels), whole.moved(start - self.n_read)
                for block in reader.blocks(start, stop, whole=moved):
                    self._advance(len(block))
                    yield block
            except MissingFrames:
                self.close()  # the frames may appear elsewhere
                if wait_s is None:
                    return
                if time.monotonic() >= end:
                    raise
                time.sleep(RETRY_S)

    def skip(self, until: int) -> None:
        """Skip the announced frames before frame `until` of the run."""
        while self._announced and self.n_read < until:
            _, first, last = self._announced[0]
            self._advance(min(until - self.n_read, (last - first) * self._per_index - self._taken))

    def close(self) -> None:
        """Close the file being read."""
        if isinstance(self._reader, FrameReader):
            self._reader.close()
        self._reader = None

    def _open(self, resource: str, start: int, pixels: Ints) -> FrameReader | HeldFrames | TiledFrames:
        """Return a reader for the frames of a resource or event: for Tiled if the file is not available."""
        if self._reader is not None and self._reader_resource == resource and np.array_equal(self._pixels, pixels):
            return self._reader
        self.close()
        if resource in self._held:
            self._reader = HeldFrames(self._held[resource], pixels, tuple(self._data_key["shape"]))
        else:
            self._reader = self._find(self._resources[resource], start, pixels)
        self._reader_resource, self._pixels = resource, pixels
        return self._reader

    def _find(self, doc: dict[str, Any], start: int, pixels: Ints) -> FrameReader | TiledFrames:
        options, dataset = doc["parameters"], doc["parameters"].get("dataset")
        try:
            if doc["mimetype"] != "application/x-hdf5" or not dataset:
                raise MissingFrames(f"frames of type {doc['mimetype']!r} with parameters {options} are not read")
            path = local_path(doc["uri"], self._roots)
        except MissingFrames as error:
            if self._raw is None or self._image is None:
                raise
            address = self.uid, self._image["name"], self._keys.image
            return TiledFrames(self._raw, address, pixels, self.frame_shape, offset=self.n_read - start, why=str(error))
        swmr = bool(options.get("swmr", True))
        return FrameReader(path, dataset, pixels, self.frame_shape, swmr=swmr, roots=self._roots)

    def _advance(self, n: int) -> None:
        """Count `n` frames of the first entry in `_announced` as read, and remove the entry after its last frame."""
        resource, first, last = self._announced[0]
        self.n_read, self._taken = self.n_read + n, self._taken + n
        if self._taken == (last - first) * self._per_index:
            self._announced.popleft()
            self._held.pop(resource, None)
            self._taken = 0

    @property
    def _per_index(self) -> int:
        """Frames per index of the data key."""
        shape = self._data_key["shape"]
        return int(shape[0]) if len(shape) == 3 else self._frames_per_point

    @property
    def _limit(self) -> float:
        """Number of frames that may be read: all, or the frames of the events that have arrived."""
        if self.stop_doc or self.flies:
            return np.inf
        return self._n_events * self._per_index

    def _numbers(self, event: int) -> set[tuple[str, int]]:
        """Return the stream and number of the readings of an event: in the stream of its frames, and in primary."""
        assert self._image is not None
        image, n_indices = self._image["name"], (self.n_event or 1) // self._per_index
        own = set() if self.flies else {(image, (event - 1) * n_indices + i + 1) for i in range(n_indices)}
        return own if image == "primary" else {*own, ("primary", event)}

    def _span(self, event: int) -> tuple[float, float]:
        """Return the first and last time of the readings that belong to an event; infinite at the ends of the run.

        The readings of an event are taken after its frames. If the detector flies, the event begins with its readings.
        """
        first = event if self.flies else event - 1
        since = self.event_time(first) if event > 1 else None
        until = self.event_time(first + 1)
        return -np.inf if since is None else since, np.inf if until is None else until

    @property
    def _data_key(self) -> dict[str, Any]:
        if self._image is None:
            raise FrameError(f"the run has no {self._keys.image!r}")
        described: dict[str, Any] = self._image["data_keys"][self._keys.image]
        return described

    def _configured(self, key: str) -> float:
        for device in (self._image or {}).get("configuration", {}).values():
            if key in device["data"]:
                return float(device["data"][key])
        raise FrameError(f"the descriptor of {self._keys.image!r} has no configuration {key!r}")


def _number(value: Any) -> float | None:
    """Return a number as a float, or None for any other value and for numbers too large for a float."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
