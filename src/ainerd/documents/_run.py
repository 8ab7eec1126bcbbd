"""One run, put together from its documents."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from event_model import DocumentRouter
from numpy.typing import NDArray

from ainerd.documents._frames import FrameError, FrameReader, local_path


@dataclass(frozen=True, kw_only=True)
class DetectorKeys:
    """Where the documents say what the detector did.

    Attributes
    ----------
    image : str
        Data key of the frames.
    n_frames : str
        Configuration key of the number of frames in an exposure.
    frame_time_s : str
        Configuration key of the time from frame to frame, in seconds.
    """

    image: str
    n_frames: str
    frame_time_s: str


class Run(DocumentRouter):
    """Takes the documents of one run, in order, and gives its frames, readings and series.

    Parameters
    ----------
    keys : DetectorKeys
    roots : iterable of Path
        Folders frames may be read from.

    Attributes
    ----------
    start_doc, stop_doc : dict
        Empty until they come.
    has_frames : bool
        Whether the detector is in this run: known from its descriptor on.
    """

    def __init__(self, keys: DetectorKeys, roots: Iterable[Path]) -> None:
        super().__init__()
        self._keys, self._roots = keys, tuple(roots)
        self.start_doc: dict[str, Any] = {}
        self.stop_doc: dict[str, Any] = {}
        self._image: dict[str, Any] | None = None  # the descriptor that has the detector
        self._resources: dict[str, dict[str, Any]] = {}
        self._announced: deque[tuple[str, int, int]] = deque()
        self._series: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._reader: FrameReader | None = None
        self._reader_of: str | None = None
        self.n_read = 0

    def start(self, doc: Any) -> None:
        """Take the start document."""
        self.start_doc = dict(doc)

    def descriptor(self, doc: Any) -> None:
        """Take a descriptor; the one that has the detector says what frames will come."""
        if self._keys.image in doc["data_keys"]:
            self._image = dict(doc)

    def event(self, doc: Any) -> Any:
        """Keep every scalar number of an event with its time."""
        for key, value in doc["data"].items():
            if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
                self._series[key].append((doc["timestamps"][key], float(value)))

    def stream_resource(self, doc: Any) -> None:
        """Remember where frames lie."""
        if doc["data_key"] == self._keys.image:
            self._resources[doc["uid"]] = dict(doc)

    def stream_datum(self, doc: Any) -> None:
        """Remember which frames have been written."""
        if doc["stream_resource"] in self._resources:
            self._announced.append((doc["stream_resource"], doc["indices"]["start"], doc["indices"]["stop"]))

    def stop(self, doc: Any) -> None:
        """Take the stop document."""
        self.stop_doc = dict(doc)

    @property
    def uid(self) -> str:
        """Uid of the start document."""
        return self.start_doc["uid"]

    @property
    def has_frames(self) -> bool:
        """Whether the detector is in this run."""
        return self._image is not None

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return tuple(self._data_key["shape"][-2:])

    @property
    def n_frames(self) -> int:
        """Frames announced by the detector's configuration."""
        return int(self._configured(self._keys.n_frames))

    @property
    def frame_time_s(self) -> float:
        """Time from frame to frame, in seconds."""
        return float(self._configured(self._keys.frame_time_s))

    def reading(self, key: str) -> float | None:
        """First value of a scalar in the run, None if it was not read."""
        return min(self._series[key])[1] if self._series.get(key) else None

    def series(self, key: str) -> NDArray[np.float64]:
        """Times (seconds since the epoch) and values of a scalar, (2, n), by time: streams may come one by one."""
        return np.array(sorted(self._series.get(key, [])), dtype=float).reshape(-1, 2).T

    def blocks(self, pixels: NDArray[np.int64]) -> Iterator[NDArray]:
        """Gathered blocks of the frames that have been announced and not been read yet, (b, n_pixels).

        Raises
        ------
        FrameError
            If a file is missing, outside the allowed roots, of another shape, or damaged.
        """
        per_index = self._data_key["shape"][0] if len(self._data_key["shape"]) == 3 else 1
        while self._announced:
            resource, first, last = self._announced.popleft()
            reader = self._open(resource, pixels)
            for block in reader.blocks(first * per_index, last * per_index):
                self.n_read += len(block)
                yield block

    def close(self) -> None:
        """Close the file being read."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _open(self, resource: str, pixels: NDArray[np.int64]) -> FrameReader:
        if self._reader is None or self._reader_of != resource:
            self.close()
            doc = self._resources[resource]
            dataset = doc["parameters"].get("dataset")
            if doc["mimetype"] != "application/x-hdf5" or not dataset:
                raise FrameError(f"frames of type {doc['mimetype']!r} with parameters {doc['parameters']} are not read")
            swmr = bool(doc["parameters"].get("swmr"))
            path = local_path(doc["uri"], self._roots)
            self._reader = FrameReader(path, dataset, pixels, self.frame_shape, swmr=swmr)
            self._reader_of = resource
        return self._reader

    @property
    def _data_key(self) -> dict[str, Any]:
        if self._image is None:
            raise FrameError(f"the run has no {self._keys.image!r}")
        return self._image["data_keys"][self._keys.image]

    def _configured(self, key: str) -> float:
        for device in (self._image or {}).get("configuration", {}).values():
            if key in device["data"]:
                return device["data"][key]
        raise FrameError(f"the descriptor of {self._keys.image!r} has no configuration {key!r}")
