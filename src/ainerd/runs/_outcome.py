"""What is wanted of a run, what became of it, and who is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a run, an event of it, or a series.

    Attributes
    ----------
    raw_uid, key : str
        Of the run and of its result.
    trial_id : str
        The suggestion that led to the run; the result's key for a run taken by hand.
    status : {"complete", "partial", "growing", "failed"}
    positions : mapping of str to float
    embedding : ndarray, shape (d,), or None
    novelty_p : float or None
    novel : bool or None
        As `ainerd.technique.Analysis.novel` says.
    regime : int
        -1 unassigned or failed.
    age_s : float or None
        Age of the sample.
    exposure_s : float or None
        How long the exposure took.
    reason : str
        Why it failed, or has no numbers yet.
    is_recalled : bool
        Whether the result was there: the run came again, or another agent was faster.
    """

    raw_uid: str
    key: str
    trial_id: str
    status: str
    positions: Mapping[str, float]
    embedding: NDArray[np.float32] | None = None
    novelty_p: float | None = None
    novel: bool | None = None
    regime: int = -1
    age_s: float | None = None
    exposure_s: float | None = None
    reason: str = ""
    is_recalled: bool = False


class Listener(Protocol):
    """Who wants to know what was found; called in the worker's thread."""

    def assign(self, outcome: Outcome) -> Mapping[str, Any]:
        """Give an analysed run its `regime` and `atlas_version`, before its result is written."""

    def absorb(self, outcome: Outcome) -> None:
        """Take note of a finished run, after its result is written."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to keep of a run's readings.

    Attributes
    ----------
    positions : tuple of str
        Data keys of where the run was taken.
    series : mapping of str to str
        Name in the result: data key of what is monitored.
    readings : mapping of str to str
        Name in the result: data key of what is read once.
    units : mapping of str to str
        Units of all these, by name in the result.
    age : str
        Which of the readings is the age of the sample, in s; empty if none is.
    """

    positions: tuple[str, ...]
    series: Mapping[str, str]
    readings: Mapping[str, str]
    units: Mapping[str, str]
    age: str = ""
