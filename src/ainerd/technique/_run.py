"""What a technique is told of a run, before its frames and while they come."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Series:
    """Unit of a technique whose result grows over several runs: those with one value of a key of the start document.

    A run without the key is a series of its own. The plan closes a series with ``{f"{key}_ends": True}`` in the start
    document of its last run; a person does with ``agent.close_series(value)``.

    Attributes
    ----------
    key : str
        Such as ``"ramp"``: ``RE(scan(…), ramp="cooling 1")``.
    """

    key: str


Unit = Literal["event", "run"] | Series


class Readings(Protocol):
    """What was read and recorded beside the frames, as far as documents have come: ask again after each block.

    Keys are data keys of the documents, such as ``sample_x``.
    """

    def value(self, key: str) -> float | None:
        """First value in the run (of its event, where the unit is the event); None if it was not read."""

    def of_frames(self, key: str) -> NDArray[np.float64]:
        """Value at each frame that was pushed, (n_frames,), NaN where there is none.

        Of what is read with each frame it is that frame's; of what was read once, the same for all.
        """

    def series(self, key: str) -> NDArray[np.float64]:
        """Times (seconds since 1970) and values, (2, n), by time."""


class NoReadings:
    """`Readings` of frames that came without documents."""

    value = staticmethod(lambda key: None)
    of_frames = staticmethod(lambda key: np.empty(0))
    series = staticmethod(lambda key: np.empty((2, 0)))


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What is known of a run (or event, or the first run of a series) before its first frame.

    Attributes
    ----------
    raw_uid : str
        Uid of the run's start document.
    n_frames : int or None
        Frames to expect: by the detector's configuration, or by ``num_points`` of the start document. None: as many as
        come.
    frame_shape : tuple of int
        (ny, nx).
    frame_time_s : float or None
        Time from one frame to the next, in seconds; None where the detector does not say.
    start : mapping
        The start document.
    event : int or None
        Number of the event in the run, from 1, where the unit is the event.
    readings : Readings
        Grows while frames come.
    """

    raw_uid: str
    n_frames: int | None
    frame_shape: tuple[int, int]
    frame_time_s: float | None = None
    start: Mapping[str, Any] = field(default_factory=dict)
    event: int | None = None
    readings: Readings = field(default_factory=NoReadings)
