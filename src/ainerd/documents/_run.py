"""One run, put together from its documents."""

import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from event_model import DocumentRouter
from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd.documents._elsewhere import HeldFrames, TiledFrames
from ainerd.documents._frames import FrameError, FrameReader, MissingFrames, local_path

AGAIN_S = 0.2  # between two looks for frames that are late


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

    Frames in an HDF5 file of this machine are read from it. Those in events are there. All others are asked from Tiled.

    Parameters
    ----------
    keys : DetectorKeys
    roots : iterable of Path
        Folders frames may be read from.
    raw : tiled.client.container.Container, optional
        The raw runs in Tiled.

    Attributes
    ----------
    start_doc, stop_doc : dict
        Empty until they come.
    has_frames : bool
        Whether the detector is in this run: known from its descriptor on.
    """

    def __init__(self, keys: DetectorKeys, roots: Iterable[Path], raw: Container | None = None) -> None:
        super().__init__()
        self._keys, self._roots, self._raw = keys, tuple(roots), raw
        self.start_doc: dict[str, Any] = {}
        self.stop_doc: dict[str, Any] = {}
        self._image: dict[str, Any] | None = None  # the descriptor that has the detector
        self._resources: dict[str, dict[str, Any]] = {}
        self._held: dict[str, NDArray] = {}  # frames that came in events, by the event's uid
        self._announced: deque[tuple[str, int, int]] = deque()  # resource or event, first index, last + 1
        self._taken = 0  # frames of the first announcement that have been read
        self._series: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._reader: FrameReader | HeldFrames | TiledFrames | None = None
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
        """Keep every scalar number of an event with its time, and frames."""
        for key, value in doc["data"].items():
            if key == self._keys.image and isinstance(value, (list, np.ndarray)):
                self._held[doc["uid"]] = np.asarray(value)
                self._announced.append((doc["uid"], 0, 1))
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

    def blocks(self, pixels: NDArray[np.int64], *, wait_s: float | None = None) -> Iterator[NDArray]:
        """Gathered blocks of the frames that have been announced and not been read yet, (b, n_pixels).

        Parameters
        ----------
        pixels : ndarray of int
            Flat indices of the pixels wanted.
        wait_s : float, optional
            For how long to wait for frames that are not there. Without it they are left for the next call.

        Raises
        ------
        FrameError
            If a file is outside the allowed roots, of another shape, or damaged, or frames do not come in time.
        httpx.HTTPError
            If they are asked from Tiled, and it is away.
        """
        end = time.monotonic() + (wait_s or 0.0)
        per_index = self._data_key["shape"][0] if len(self._data_key["shape"]) == 3 else 1
        while self._announced:
            resource, first, last = self._announced[0]
            start = first * per_index + self._taken
            try:
                for block in self._open(resource, start, pixels).blocks(start, last * per_index):
                    self._taken += len(block)
                    self.n_read += len(block)
                    yield block
            except MissingFrames:
                self.close()  # they may come to another place
                if wait_s is None:
                    return
                if time.monotonic() >= end:
                    raise
                time.sleep(AGAIN_S)
            else:
                self._announced.popleft()
                self._held.pop(resource, None)
                self._taken = 0

    def close(self) -> None:
        """Close the file being read."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _open(self, resource: str, start: int, pixels: NDArray[np.int64]) -> FrameReader | HeldFrames | TiledFrames:
        if self._reader is None or self._reader_of != resource:
            self.close()
            if resource in self._held:
                self._reader = HeldFrames(self._held[resource], pixels, tuple(self._data_key["shape"]))
            else:
                self._reader = self._find(self._resources[resource], start, pixels)
            self._reader_of = resource
        return self._reader

    def _find(self, doc: dict[str, Any], start: int, pixels: NDArray[np.int64]) -> FrameReader | TiledFrames:
        """Where frames can be read: their file, or else Tiled."""
        about = doc["parameters"]
        try:
            if doc["mimetype"] != "application/x-hdf5" or not about.get("dataset"):
                raise MissingFrames(f"frames of type {doc['mimetype']!r} with parameters {about} are not read")
            path = local_path(doc["uri"], self._roots)
        except MissingFrames as here:
            if self._raw is None or self._image is None:
                raise
            at = self.uid, self._image["name"], self._keys.image
            return TiledFrames(self._raw, at, pixels, self.frame_shape, offset=self.n_read - start, why=str(here))
        return FrameReader(path, about["dataset"], pixels, self.frame_shape, swmr=bool(about.get("swmr")))

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
