"""One run in progress: its documents become analyses and results, unit by unit."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

import numpy as np

from ainerd.documents import Block, FrameError, Whole
from ainerd.results import Away, Refused, Result, translated
from ainerd.runs._recorded import time_of
from ainerd.runs._unit import Unit
from ainerd.runs._writer import Writer
from ainerd.technique import Analysis, AnalysisError, RunAnalysis, Series

logger = logging.getLogger(__name__)

MOST_MISSING = 100  # exposures in a row without a frame; each gets a failed result, and more end the run


class RunInProgress:
    """Feeds the frames of one run to its technique and writes a result for each unit.

    An error of the analysis gives the run a failed result.

    Parameters
    ----------
    writer : Writer
    late_s : float
        Time after the end of the run in which its frames may arrive.
    on_block : callable
        Called after each block of frames.
    on_begun : callable
        Called with each unit that begins, as soon as its position is known.

    Attributes
    ----------
    run : Run
    results : list of Result
        One for each unit that has ended; empty for a run without frames.
    is_left : bool
        Whether Tiled did not take a result.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        late_s: float = 0.0,
        on_block: Callable[[Unit], None] = lambda unit: None,
        on_begun: Callable[[Result], object] = lambda result: None,
    ) -> None:
        self._technique, self._writer, self._late_s = writer.technique, writer, late_s
        self._on_block, self._on_begun = on_block, on_begun
        self.run = writer.new_run()
        self._unit: Unit | None = None
        self._until: int | None = None  # frames of the run after which the unit ends; None: with the run
        self._placed = ""  # key of the newest unit whose position is known
        self._is_unreadable = False  # no more frames can be read
        self._failure: str | None = None  # why the analysis of the run ended early
        self.results: list[Result] = []
        self.is_left = False

    def __call__(self, name: str, doc: dict[str, object]) -> None:
        """Take a document."""
        if self._failure is not None:
            with suppress(Exception):  # only the end of the run matters now
                self.run(name, doc)
                self.run.skip(math.inf)
        else:
            try:
                with translated():
                    self._follow(name, doc)
            except BaseException as error:
                self._writer.forget()
                self._give_up(error)
        if name == "stop":
            self.run.close()
            if self._failure is not None and self._has_unit:
                self.results.append(self._failed(self._failure))

    @property
    def progress(self) -> tuple[int, int | None] | None:
        """Number of frames so far and of all; None before the first, and for a known result or a file.

        Missing frames count, unless the detector has ticks.
        """
        unit = self._unit  # which the thread of the analysis may change
        has_begun = bool(self.results and self.event is not None) if unit is None else unit.known is None
        if not (has_begun and self.run.has_frames):
            return None
        return self.run.n_read if self.run.has_ticks else self.run.n_passed, self.run.n_frames

    @property
    def _has_unit(self) -> bool:
        """Whether the run gives a result: it has frames, or its start document names a file."""
        return self.run.has_frames or self._technique.file_of(self.run.start_doc) is not None

    @property
    def event(self) -> int | None:
        """Number of the event in progress, or of the next one; None if the unit is not the event."""
        return len(self.results) + 1 if self._technique.unit == "event" else None

    def _follow(self, name: str, doc: dict[str, object]) -> None:
        """Analyse what a document brings; an error of Tiled is raised if waiting does not help."""
        self.run(name, doc)
        if not self._has_unit:
            return
        if name == "stop":
            late = (time_of(doc.get("time")) or 0.0) + self._late_s - time.time()
            self._advance(wait_s=min(max(late, 0.0), self._late_s))
            self.run.close()
            if self._unit is not None:
                self._unit.problem = self.run.spoilt or self._unit.problem
                self._end(self._unit)
        elif name in ("descriptor", "event", "event_page", "stream_datum"):
            self._advance()

    def _advance(self, wait_s: float | None = None) -> None:
        """Take the available frames, and wait at most `wait_s` in total for the missing ones."""
        end = time.monotonic() + (wait_s or 0.0)
        while not self._is_unreadable:
            unit = self._unit or self._begin()
            if unit is None:
                return
            if self.run.problem and unit.known is None:  # of all frames that have not been read
                unit.problem, self._is_unreadable = self.run.problem, True
                return
            self._place(unit)
            if (again := self.run.go_back()) is not None and unit.known is None:
                with _problems_of(unit):
                    unit.begin_again(self._technique, again)
            self._take(unit, None if wait_s is None else max(end - time.monotonic(), 0.0))
            if self._until is None or self.run.n_passed < self._until:
                return
            if self.run.described.flies and self.run.n_ready == self.run.n_passed:
                return  # readings may follow the last frames: the unit ends with the next frames, or with the run
            self._end(unit)
        self.run.skip(math.inf)

    def _begin(self) -> Unit | None:
        """Begin the next unit; return None if the run has no further unit yet.

        The first unit begins before its frames arrive, so that people see that it is being analysed.
        """
        event = self.event
        if self.results and (event is None or self.run.n_ready <= self.run.n_passed):
            return None
        self._until = event * self.run.n_event if event is not None and self.run.n_event is not None else None
        unit = self._writer.unit(self.run, event)
        unit = self._unit = self._writer.patience(partial(self._writer.begin, unit))
        if unit.known is not None or self.run.problem:
            return unit
        if self._until is not None and self.run.n_missing > MOST_MISSING * (self._until - unit.first):
            unit.problem = (
                f"{self.run.n_missing} frames from {unit.first} on are missing: more than {MOST_MISSING} events"
            )
            self._is_unreadable = True
        else:
            with _problems_of(unit):
                unit.begin(self._technique)
        return unit

    def _place(self, unit: Unit) -> None:
        """Pass a unit on, once, if it has no result yet and its position is known."""
        if unit.known is not None or unit.key == self._placed:
            return
        result = self._writer.result(unit)
        if result.positions and len(result.positions) == len(self._writer.recorded.positions):
            self._placed = unit.key
            self._on_begun(result)

    def _take(self, unit: Unit, wait_s: float | None) -> None:
        """Push the unit's frames to its analysis, or skip them."""
        if unit.known is None and unit.problem is None and unit.analysis is not None and self.run.has_frames:
            self._writer.patience(partial(self._push, unit, unit.analysis, wait_s))  # frames may come from Tiled
        if unit.known is not None or unit.problem is not None:
            self.run.skip(math.inf if self._until is None else self._until)

    def _push(self, unit: Unit, analysis: RunAnalysis, wait_s: float | None) -> None:
        """Push the frames that have not been read yet."""
        with _problems_of(unit):
            try:
                whole = Whole(analysis, unit.first)
                for block in _read(self.run.blocks(analysis.pixels, until=self._until, wait_s=wait_s, whole=whole)):
                    unit.push(block)
                    self._on_block(unit)
            except FrameError:
                self._is_unreadable = self._until is None  # the next event may have another file
                raise

    def _end(self, unit: Unit) -> None:
        """Finish the analysis of the unit and write its result."""
        self._unit = None
        if unit.known is not None:
            self.results.append(unit.known)
            return
        analysis = None
        if unit.analysis is not None and (unit.problem is None or unit.series_id):
            with _problems_of(unit):
                if not unit.series_id and self._ended_well:
                    unit.analysis.lost(max((unit.n_frames or 0) - unit.n_passed, 0))
                analysis = self._checked(unit, unit.analysis.finish())
            if analysis is None and unit.is_short:
                why = unit.problem if unit.n_read else "it was stopped, or the detector sent none"
                unit.problem = f"the exposure ended after {unit.n_read} of {unit.n_own} frames: {why}"
        if analysis is None and (fault := self.run.flagged(unit.event)):
            unit.problem = f"{fault}; {unit.problem}"
        kind = self._technique.unit
        closes = not unit.series_id or bool(isinstance(kind, Series) and self.run.start_doc.get(f"{kind.key}_ends"))
        self.results.append(self._written(unit, analysis, closes=closes))

    def _checked(self, unit: Unit, analysis: Analysis) -> Analysis:
        """Return a valid analysis, partial if frames are missing; AnalysisError if it breaks the technique's word."""
        embedding, wanted, p = np.asarray(analysis.embedding), (self._technique.embedding_size,), analysis.novelty_p
        who = f"technique {self._technique.name} gave"
        if embedding.shape != wanted:
            raise AnalysisError(f"{who} an embedding of shape {embedding.shape}, announced {wanted}")
        if not np.isfinite(embedding).all():
            raise AnalysisError(f"{who} an embedding that is not finite")
        if p is not None and not 0 <= p <= 1:
            raise AnalysisError(f"{who} novelty_p = {p}, which is not a probability")
        analysis.novel  # noqa: B018  (raises without an alpha)
        faults = (run.flagged(unit.event) for run in unit.runs)
        if fault := next(filter(None, faults), None):
            analysis = replace(analysis, novelty_p=None, summary={**analysis.summary, "no_claim": fault})
        is_cut = unit.n_own is None and not unit.series_id and not self._ended_well  # nobody announced a number
        return replace(analysis, status="partial") if is_cut or unit.is_short else analysis

    @property
    def _ended_well(self) -> bool:
        return bool(self.run.stop_doc.get("exit_status") == "success")

    def _written(self, unit: Unit, analysis: Analysis | None, *, closes: bool) -> Result:
        """Write the result of a unit; after an error of another kind than `Away` the result has failed."""
        try:
            return self._writer.patience(partial(self._writer.write, unit, analysis, closes=closes))
        except Away:
            raise
        except Exception as error:
            logger.exception("the result of run %s is not written", self.run.uid)
            first = unit.problem if analysis is None else None  # of a run that could not even begin
            unit.problem = first or f"{type(error).__name__}: {error}"
            return self._writer.lose(unit)

    def _give_up(self, error: BaseException) -> None:
        """Note why the analysis of the run ends early."""
        if isinstance(error, Away):
            self.is_left, self._failure = True, f"Tiled is away: {error}"
            logger.warning("run %s: %s", self.run.uid, self._failure)
        else:  # a bug of ours, or of the technique, must not cost the run's record
            self._failure = f"{type(error).__name__}: {error}"
            logger.exception("error in the analysis of run %s", self.run.uid)

    def _failed(self, problem: str) -> Result:
        """Write a failed result, unless Tiled takes none, and return it."""
        try:
            if not self.is_left:
                unit = self._writer.unit(self.run, self.event)
                unit.problem, unit.retake = problem, True
                return self._written(unit, None, closes=True)
        except Away:
            self.is_left = True
        except Exception:  # such as an error in the technique's parameters, without which a result has no key
            logger.exception("run %s has no result", self.run.uid)
        unit = Unit(self.run.uid, [self.run])
        return replace(self._writer.result(unit), status="failed", reason=problem, is_in_tiled=False)


def _read(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield the blocks; raise errors of Tiled as those of `ainerd.results`."""
    with translated():
        yield from blocks


@contextmanager
def _problems_of(unit: Unit) -> Iterator[None]:
    """Turn errors of a run into the problem of its unit; raise those of Tiled, from which frames are read."""
    try:
        yield
    except (Away, Refused):
        raise
    except (AnalysisError, FrameError, ValueError) as error:
        unit.problem = str(error)
    except Exception as error:  # a bug in the technique must not cost the run's record
        logger.exception("error in the analysis of run %s", unit.run.uid)
        unit.problem, unit.retake = f"{type(error).__name__}: {error}", True
