"""What every technique is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ainerd.technique._analysis import Analysis, Layout
from ainerd.technique._many import Regimes
from ainerd.technique._run import RunInfo, Unit


class RunAnalysis(Protocol):
    """One run (event, series) being analysed while its frames arrive.

    Of a series, `next_run(run: RunInfo)`, where there is such a method, is called before the frames of each further
    run, and `finish` after each run.
    """

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Flat indices of the pixels wanted of each frame; blocks come gathered in this order."""

    @property
    def layouts(self) -> Mapping[str, Layout]:
        """Arrays that `finish` will give, as far as is known: room is made for them while frames come."""

    def push(self, block: NDArray[Any]) -> None:
        """Take the next frames, (b, n_pixels) counts."""

    def finish(self) -> Analysis:
        """Say what the run was. Raises `AnalysisError` if that cannot be said."""


class Technique(Protocol):
    """What an agent is built around; see also the optional protocols below."""

    name: str
    unit: Unit  # what one result is of
    alpha: float  # level at which a result is called novel
    embedding_size: int
    regime_width: float | None  # distance of embeddings that two results of one regime seldom exceed; None: not known

    @classmethod
    def from_settings(cls, section: Mapping[str, Any], folder: Path) -> Self:
        """Build it from its own section of the TOML; relative paths count from `folder`.

        Raises
        ------
        ValueError
            In one line a problem, each naming its key; `ainerd.config.read_section` does that.
        """

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything that changes the numbers, JSON-serialisable; its digest is part of every result's key."""

    def begin(self, run: RunInfo) -> RunAnalysis:
        """Prepare for a run. Raises `AnalysisError` if it cannot be analysed."""

    def regimes(self, embeddings: NDArray[np.float32], previous: NDArray[np.int64] | None = None) -> Regimes:
        """Regimes of many results, (n, d); `ainerd.novelty.find_regimes` does for most.

        A regime that persists keeps the number it has in `previous`, (n,), -1 where a result has none yet.
        """
