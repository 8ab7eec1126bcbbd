"""A technique under test, and functions that its checks share."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ainerd.technique import Analysis, AnalysisError, Technique
from ainerd.testing._example import ExampleRun, analyse

Problems = Iterator[str]  # one line for each problem, with its remedy; a check fails at the first


class CheckFailed(Exception):
    """Raised if a check fails. The message gives the problem and its remedy in one line."""


@dataclass(frozen=True)
class Trial:
    """A technique and runs that it can analyse."""

    technique: Technique
    runs: tuple[ExampleRun, ...]
    section: Mapping[str, Any] | None
    folder: Path
    has_own_runs: bool

    @property
    def run(self) -> ExampleRun:
        """The first run."""
        return self.runs[0]

    @cached_property
    def analyses(self) -> list[Analysis]:
        """The technique's result for each run."""
        return [analyse(self.technique, run) for run in self.runs]


def outcome(attempt: Callable[[], Analysis], of_what: str) -> Analysis | AnalysisError:
    """Return the result of an attempt, or the AnalysisError that it raises.

    Any other error fails the check. Warnings are ignored.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return attempt()
    except AnalysisError as error:
        if not is_one_line(error):
            message = f"{of_what}: AnalysisError must say why in one line, said {str(error)!r}"
            raise CheckFailed(message) from error
        return error
    except Exception as error:
        raise CheckFailed(
            f"{of_what}: {type(error).__name__}: {error}; raise AnalysisError with a reason, or give a result"
        ) from error


def is_one_line(error: Exception) -> bool:
    """Return whether the message of an error is one nonempty line."""
    return bool(str(error).strip()) and "\n" not in str(error)


def result_problems(technique: Technique, analysis: Analysis | AnalysisError, of_what: str) -> Problems:
    """Yield the problems with the embedding, p-value and status of a result; an AnalysisError has no problems."""
    if isinstance(analysis, AnalysisError):
        return
    embedding, expected = analysis.embedding, (technique.embedding_size,)
    if not isinstance(embedding, np.ndarray) or embedding.shape != expected:
        shape = np.shape(embedding)
        yield f"{of_what}: the embedding must be an array of shape {expected} (embedding_size), got shape {shape}"
    if embedding.dtype != np.float32:
        yield f"{of_what}: the embedding must be float32, got {embedding.dtype}: use astype"
    if not np.isfinite(embedding).all():
        yield f"{of_what}: the embedding holds NaN or infinity; raise AnalysisError with the reason instead"
    p = analysis.novelty_p
    if p is not None and not 0 <= p <= 1:
        yield f"{of_what}: novelty_p must be None or lie in [0, 1], got {p}"
    if analysis.status not in ("complete", "partial"):
        yield f"{of_what}: status must be 'complete' or 'partial', got {analysis.status!r}"
