"""What is wanted of a run, what became of it, and who is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

SPOILT = "spoilt"  # begins the reason of a run that ends with "fail" because of what happened around it


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a run, an event of it, or a series."""

    raw_uid: str
    key: str  # of its result
    trial_id: str  # the suggestion that led to the run; the result's key for a run taken by hand
    status: str  # complete, partial, growing or failed
    positions: Mapping[str, float]
    scan_id: int | None = None
    event: int | None = None  # number in the run, where it is one's
    embedding: NDArray[np.float32] | None = None  # (d,)
    novelty_p: float | None = None
    novel: bool | None = None  # as `ainerd.technique.Analysis.novel` says
    regime: int = -1  # unassigned, or failed
    age_s: float | None = None  # of the sample
    exposure_s: float | None = None  # how long the exposure took
    reason: str = ""  # why it failed, or has no numbers yet
    is_recalled: bool = False  # whether the result was there: the run came again, or another agent was faster


class Listener(Protocol):
    """Who wants to know what was found; called in the worker's thread."""

    def assign(self, outcome: Outcome) -> Mapping[str, Any]:
        """Give an analysed run its `regime` and `atlas_version`, before its result is written."""

    def absorb(self, outcome: Outcome) -> None:
        """Take note of a finished run, after its result is written."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to keep of a run's readings: names in the result, and data keys."""

    positions: tuple[str, ...]  # data keys of where the run was taken
    series: Mapping[str, str]  # what is monitored
    readings: Mapping[str, str]  # what is read once
    start: Mapping[str, str] = field(default_factory=dict)  # of the start document, beside what is kept of each
    units: Mapping[str, str]  # of all these
    age: str = ""  # which of the readings is the age of the sample, in s; empty if none is
