"""A unit that is being analysed: a run, an event of it, or a series of runs."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ainerd.documents import Block, Run
from ainerd.results import Result
from ainerd.technique import AnalysisError, RunAnalysis, RunInfo, Technique


@dataclass
class Unit:
    """Everything that one result describes. The technique reads it as `Readings`."""

    key: str  # of the result
    runs: list[Run]  # runs whose frames belong to the unit; the last one is in progress
    event: int | None = None
    series_id: str | None = None
    files_digest: str | None = None  # of the files that the run names
    known: Result | None = None  # the result in Tiled, if there is one: the frames are skipped
    analysis: RunAnalysis | None = None  # None before it begins, and if it cannot begin
    problem: str | None = None  # reason why the analysis is missing
    retake: bool = False  # whether the problem is not the fault of the data
    n_read: int = 0  # frames taken from the run in progress
    n_taken: int = 0  # frames taken from all runs
    _taken: list[list[tuple[int, int]]] = field(init=False)  # ranges of frames taken from each run

    def __post_init__(self) -> None:
        self._taken = [[] for _ in self.runs]

    @property
    def run(self) -> Run:
        """The run in progress."""
        return self.runs[-1]

    @property
    def first(self) -> int:
        """Number of the unit's first frame in the run."""
        return 0 if self.event is None else (self.event - 1) * (self.run.n_event or 0)

    @property
    def n_frames(self) -> int | None:
        """Number of frames, with missing ones, expected of the run in progress; None if unknown."""
        return None if self.run.has_ticks else self.n_own

    @property
    def n_own(self) -> int | None:
        """Number of frames that are expected to come; None if unknown."""
        if not self.run.has_frames:  # its analysis reads a file
            return 0
        return self.run.n_frames if self.event is None else self.run.n_own

    @property
    def n_passed(self) -> int:
        """Number of frames up to the last one taken from each run, with missing ones."""
        return sum(ranges[-1][1] - self.first for ranges in self._taken if ranges)

    @property
    def is_short(self) -> bool:
        """Whether frames are missing, as far as their number is known."""
        return not self.series_id and self.n_own is not None and self.n_read < self.n_own

    def begin(self, technique: Technique) -> None:
        """Begin the analysis of the run in progress, or of the file that its start document names."""
        if (path := technique.file_of(self.run.start_doc)) is not None:
            self.analysis = technique.begin_file(self.run.allowed(path), self.run.start_doc)
            return
        info = RunInfo(
            raw_uid=self.run.uid,
            n_frames=None if self.series_id else self.n_frames,
            frame_shape=self.run.frame_shape,
            frame_time_s=self.run.described.frame_time_s,
            has_ticks=self.run.has_ticks,
            start=self.run.start_doc,
            event=self.event,
            readings=self,
        )
        if self.analysis is None:
            self.analysis = technique.begin(info)
            if not isinstance(self.analysis, RunAnalysis):
                raise AnalysisError(f"technique {technique.name}: begin() returned no ainerd.technique.RunAnalysis")
        else:
            self.analysis.next_run(info)

    def begin_again(self, technique: Technique, first: int) -> None:
        """Forget the frames of an exposure that is taken again from frame `first` of the run.

        Raises AnalysisError if the unit has other frames, and nothing tells which.
        """
        if first > self.first or len(self.runs) > 1:
            raise AnalysisError(f"the exposure at frame {first} was interrupted and taken again, within a longer unit")
        self.analysis, self.problem, self._taken[-1], self.n_read, self.n_taken = None, None, [], 0, 0
        self.begin(technique)

    def push(self, block: Block) -> None:
        """Pass a block of frames to the analysis."""
        assert self.analysis is not None
        first, last, ranges = block.first, block.first + len(block.frames), self._taken[-1]
        if ranges and ranges[-1][1] == first:
            first = ranges.pop()[0]
        ranges.append((first, last))
        self.n_read, self.n_taken = self.n_read + len(block.frames), self.n_taken + len(block.frames)
        self.analysis.push(block.frames, block.first - self.first)

    def go_on(self, run: Run) -> None:
        """Add the next run of a series."""
        self._taken.append([])
        self.runs.append(run)
        self.problem, self.retake, self.n_read = None, False, 0

    def value(self, key: str, unit: str = "") -> float | None:
        """Return the first value of a data key in the unit of analysis."""
        values = (run.reading(key, self.event, unit) for run in self.runs)
        return next((value for value in values if value is not None), None)

    def of_frames(self, key: str, unit: str = "") -> NDArray[np.float64]:
        """Return the value of a data key at each frame taken, (n,)."""
        taken = ((run, span) for run, ranges in zip(self.runs, self._taken, strict=True) for span in ranges)
        return np.concatenate([np.empty(0), *(run.of_frames(key, *span, self.event, unit) for run, span in taken)])

    def series(self, key: str, unit: str = "") -> NDArray[np.float64]:
        """Return times (seconds since 1970) and values of a data key, (2, n)."""
        return np.concatenate([run.series(key, self.event, unit) for run in self.runs], axis=1)
