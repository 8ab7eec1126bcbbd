"""The parts of checks."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ainerd.technique import Analysis, Technique
from ainerd.testing._example import ExampleRun, analyse


class CheckFailed(Exception):
    """Raised if a check fails. The message gives the problem and its remedy in one line."""


def require(condition: object, problem: str) -> None:
    """Raise `CheckFailed` unless the condition holds; `problem` gives the problem and its remedy."""
    if not condition:
        raise CheckFailed(problem)


def is_finite(array: Any, shape: tuple[int, ...]) -> bool:
    """Return whether this is a float32 array of a shape without NaN and infinity."""
    fits = isinstance(array, np.ndarray) and array.shape == shape and array.dtype == np.float32
    return fits and bool(np.isfinite(array).all())


@dataclass(frozen=True)
class Trial:
    """A technique and runs that it can analyse."""

    technique: Technique
    runs: tuple[ExampleRun, ...]
    section: Any
    folder: Path

    @property
    def run(self) -> ExampleRun:
        """The first run."""
        return self.runs[0]

    @cached_property
    def analyses(self) -> list[Analysis]:
        """The technique's result for each run."""
        return [analyse(self.technique, run) for run in self.runs]
