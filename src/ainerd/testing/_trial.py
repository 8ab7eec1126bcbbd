"""What a check works on, and the words it fails with."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ainerd.technique import Analysis, AnalysisError, Technique
from ainerd.testing._example import ExampleRun, analyse


class CheckFailed(Exception):
    """What is wrong and what to do, in one line."""


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
        """The first of them."""
        return self.runs[0]

    @cached_property
    def analyses(self) -> list[Analysis]:
        """What the technique says of each."""
        return [analyse(self.technique, run) for run in self.runs]


def require(holds: object, otherwise: str) -> None:
    """Fail unless it holds."""
    if not holds:
        raise CheckFailed(otherwise)


def outcome(attempt: Callable[[], Analysis], of_what: str) -> Analysis | AnalysisError:
    """The analysis, or the error that says why there is none; nothing else may be raised. Warnings are left out."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return attempt()
    except AnalysisError as error:
        said = str(error)
        require(said.strip() and "\n" not in said, f"{of_what}: AnalysisError must say why in one line, said {said!r}")
        return error
    except Exception as error:
        raise CheckFailed(
            f"{of_what}: {type(error).__name__}: {error}; raise AnalysisError with a reason, or give a result"
        ) from error


def require_sound(technique: Technique, analysis: Analysis, of_what: str) -> None:
    """Fail unless embedding and p-value are what the technique announces."""
    embedding, expected = analysis.embedding, (technique.embedding_size,)
    require(
        isinstance(embedding, np.ndarray) and embedding.shape == expected,
        f"{of_what}: the embedding must be an array of shape {expected} (embedding_size), got shape "
        f"{np.shape(embedding)}",
    )
    require(
        embedding.dtype == np.float32, f"{of_what}: the embedding must be float32, got {embedding.dtype}: use astype"
    )
    require(
        np.isfinite(embedding).all(),
        f"{of_what}: the embedding holds NaN or infinity; raise AnalysisError with the reason instead",
    )
    p = analysis.novelty_p
    require(p is None or 0 <= p <= 1, f"{of_what}: novelty_p must be None or lie in [0, 1], got {p}")
    require(
        analysis.status in ("complete", "partial"),
        f"{of_what}: status must be 'complete' or 'partial', got {analysis.status!r}",
    )
