"""Description of a run for a technique, before the first frame and while frames arrive."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Series:
    """Unit of a technique whose result covers several runs: those with the same value of a key in the start document.

    A run without the key is a series of its own. The plan closes a series with ``{f"{key}_ends": True}`` in the start
    document of its last run. A person closes it with ``agent.close_series(value)``.

    Attributes
    ----------
    key : str
        Key of the start document, such as ``"ramp"``: ``RE(scan(…), ramp="cooling 1")``.
    """

    key: str


Unit = Literal["event", "run"] | Series


class Readings(Protocol):
    """Readings besides the frames, from the documents that have arrived; they grow with each block.

    Keys are data keys of the documents, such as ``sample_x``.
    """

    def value(self, key: str) -> float | None:
        """Return the first value in the run, or in the event if the unit is the event; None without a reading."""

    def of_frames(self, key: str) -> NDArray[np.float64]:
        """Return the value at each pushed frame, (n_frames,); NaN if missing.

        A key with a single reading has the same value at all frames.
        """

    def series(self, key: str) -> NDArray[np.float64]:
        """Return times (seconds since 1970) and values, (2, n), in order of time."""


class NoReadings:
    """Empty `Readings`, for frames without documents."""

    value = staticmethod(lambda key: None)
    of_frames = staticmethod(lambda key: np.empty(0))
    series = staticmethod(lambda key: np.empty((2, 0)))


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """Description of a run, of an event, or of the first run of a series, before the first frame.

    Attributes
    ----------
    raw_uid : str
        Uid of the run's start document.
    n_frames : int or None
        Expected number of frames, from the detector's configuration or ``num_points`` of the start document; None if
        unknown.
    frame_shape : tuple of int
        (ny, nx).
    frame_time_s : float or None
        Time from one frame to the next, in seconds; None if the detector does not provide it.
    start : mapping
        The start document.
    event : int or None
        Number of the event in the run, from 1; None unless the unit is the event.
    readings : Readings
        Readings besides the frames; they grow while frames arrive.
    """

    raw_uid: str
    n_frames: int | None
    frame_shape: tuple[int, int]
    frame_time_s: float | None = None
    start: Mapping[str, Any] = field(default_factory=dict)
    event: int | None = None
    readings: Readings = field(default_factory=NoReadings)
