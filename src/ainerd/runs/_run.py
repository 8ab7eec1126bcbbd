"""One run in progress: its documents become analyses and results, unit by unit."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ainerd.documents import FrameError, Whole
from ainerd.results import Away, Refused, translated
from ainerd.runs._writer import Subject, Writer, time_of
from ainerd.technique import Analysis, AnalysisError, Outcome, RunAnalysis, Series

logger = logging.getLogger(__name__)

MOST_MISSING = 100  # exposures in a row without a frame; each gets a failed result, and more end the run


class RunState:
    """Feeds the frames of one run to its technique and writes a result for each unit.

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
    outcomes : list of Outcome
        One for each unit that has ended; empty for a run without frames.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        late_s: float = 0.0,
        on_block: Callable[[Subject], None] = lambda subject: None,
        on_begun: Callable[[Outcome], object] = lambda outcome: None,
    ) -> None:
        self._technique, self._writer, self._late_s = writer.technique, writer, late_s
        self._on_block, self._on_begun = on_block, on_begun
        self.run = writer.new_run()
        self._subject: Subject | None = None
        self._until: int | None = None  # frames of the run after which the unit ends; None: with the run
        self._recalled: Outcome | None = None  # of a unit that has its result: its frames are skipped
        self._placed = ""  # key of the newest unit whose position is known
        self._is_unreadable = False  # no more frames can be read
        self.outcomes: list[Outcome] = []

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take a document; an error of Tiled is raised if waiting does not help."""
        self.run(name, doc)
        if not self.run.has_frames:
            return
        if name == "stop":
            late = (time_of(doc.get("time")) or 0.0) + self._late_s - time.time()
            self._advance(wait_s=min(max(late, 0.0), self._late_s))
            self.run.close()
            if self._subject is not None:
                self._subject.problem = self.run.spoilt or self._subject.problem
                self._end()
        elif name in ("descriptor", "event", "event_page", "stream_datum"):
            self._advance()

    @property
    def progress(self) -> tuple[int, int | None] | None:
        """Number of frames so far, with missing ones, and of all; None before the first, and for a known result."""
        has_begun = self._subject is not None or (self.outcomes and self.event is not None)
        n_passed = self.run.n_read if self.run.has_ticks else self.run.n_passed
        return (n_passed, self.run.n_frames) if has_begun and self._recalled is None else None

    @property
    def event(self) -> int | None:
        """Number of the event in progress, or of the next one; None if the unit is not the event."""
        return len(self.outcomes) + 1 if self._technique.unit == "event" else None

    def conclude(self, subject: Subject, analysis: Analysis | None, *, closes: bool) -> Outcome:
        """Write the result of a unit. It has no regime yet.

        After any other error the unit gets a failed result; only errors of Tiled are raised.
        """
        before = self._writer.outcome(subject.run, subject.key, subject.event)
        try:
            if analysis is None:
                write = partial(self._writer.fail, subject, before, closes=closes)
            else:
                write = partial(self._writer.complete, subject, before, analysis, closes=closes)
            outcome = self._writer.patience(write)
        except Exception as error:
            if isinstance(error, Away):
                raise
            logger.exception("the result of run %s is not written", subject.run.uid)
            first = subject.problem if analysis is None else None  # of a run that could not even begin
            reason = first or f"{type(error).__name__}: {error}"
            outcome = replace(before, status="failed", reason=reason, is_in_tiled=False)
            self._writer.give_up(subject, outcome.reason)
        self._writer.remember(subject, closes=closes)
        return outcome

    def _advance(self, wait_s: float | None = None) -> None:
        """Take the available frames, and wait at most `wait_s` in total for the missing ones."""
        end = time.monotonic() + (wait_s or 0.0)
        while not self._is_unreadable:
            if self._subject is None and not self._begin():
                return
            assert self._subject is not None
            if self.run.problem and self._recalled is None:  # of all frames that have not been read
                self._subject.problem, self._is_unreadable = self.run.problem, True
                return
            self._place(self._subject)
            self._take(self._subject, None if wait_s is None else max(end - time.monotonic(), 0.0))
            if self._until is None or self.run.n_passed < self._until:
                return
            if self.run.flies and self.run.n_ready == self.run.n_passed:
                return  # readings may follow the last frames: the unit ends with the next frames, or with the run
            self._end()

    def _begin(self) -> bool:
        """Begin the next unit; return False if the run has no further unit yet.

        The first unit begins before its frames arrive, so that people see that it is being analysed.
        """
        event = self.event
        if self.outcomes and (event is None or self.run.n_ready <= self.run.n_passed):
            return False
        subject = Subject.of_run(self._writer, self.run, event)
        self._until = None
        if event is not None and self.run.n_event is not None:
            self._until = event * self.run.n_event
        begun = self._writer.patience(partial(self._writer.begin, subject))
        if isinstance(begun, Outcome):
            self._recalled, self._subject = begun, subject
            return True
        self._subject = begun
        if self.run.problem:
            return True
        if self._until is not None and self.run.n_missing > MOST_MISSING * (self._until - begun.first):
            begun.problem = (
                f"{self.run.n_missing} frames from {begun.first} on are missing: more than {MOST_MISSING} events"
            )
            self._is_unreadable = True
            return True
        with _problems_of(begun):
            begun.begin(self._technique)
        return True

    def _place(self, subject: Subject) -> None:
        """Pass a unit on, once, if it has no result yet and its position is known."""
        if self._recalled is not None or subject.key == self._placed:
            return
        outcome = self._writer.outcome(self.run, subject.key, subject.event)
        if outcome.positions and len(outcome.positions) == len(self._writer.recorded.positions):
            self._placed = subject.key
            self._on_begun(outcome)

    def _take(self, subject: Subject, wait_s: float | None) -> None:
        """Push the unit's frames to its analysis, or skip them."""
        if self._recalled is None and subject.problem is None and subject.analysis is not None:
            with _problems_of(subject):
                try:
                    self._push(subject, subject.analysis, wait_s)
                except FrameError:
                    self._is_unreadable = self._until is None  # the next event may have another file
                    raise
        if self._until is not None and (self._recalled is not None or subject.problem is not None):
            self.run.skip(self._until)

    def _push(self, subject: Subject, analysis: RunAnalysis, wait_s: float | None) -> None:
        whole = Whole(analysis, subject.first)
        for block in self.run.blocks(analysis.pixels, until=self._until, wait_s=wait_s, whole=whole):
            subject.push(block)
            self._on_block(subject)

    def _end(self) -> None:
        """Finish the analysis of the unit and write its result."""
        subject, self._subject = self._subject, None
        assert subject is not None
        if self._recalled is not None:
            self.outcomes.append(self._recalled)
            self._recalled = None
            return
        analysis = None
        subject.problem = subject.problem or self.run.lost(subject.event)
        if subject.analysis is not None and (subject.problem is None or subject.series_id):
            with _problems_of(subject):
                if not subject.series_id and self._ended_well:
                    subject.analysis.lost(max((subject.n_frames or 0) - subject.n_passed, 0))
                analysis = self._checked(subject, subject.analysis.finish())
            if analysis is None and _is_short(subject):
                status = self.run.stop_doc.get("exit_status", "unknown")
                came = f"the run ended ({status}) with {subject.n_read} of {subject.n_own} frames"
                subject.problem = f"{came}: {subject.problem}"
        if analysis is None and (fault := self.run.flagged(subject.event)):
            subject.problem = f"{fault}; {subject.problem}"
        unit = self._technique.unit
        closes = not subject.series_id or bool(isinstance(unit, Series) and self.run.start_doc.get(f"{unit.key}_ends"))
        self.outcomes.append(self.conclude(subject, analysis, closes=closes))

    def _checked(self, subject: Subject, analysis: Analysis) -> Analysis:
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
        faults = (run.flagged(subject.event) for run in subject.runs)
        if fault := next(filter(None, faults), None):
            analysis = replace(analysis, novelty_p=None, summary={**analysis.summary, "no_claim": fault})
        is_cut = subject.n_own is None and not subject.series_id and not self._ended_well  # nobody announced a number
        return replace(analysis, status="partial") if is_cut or _is_short(subject) else analysis

    @property
    def _ended_well(self) -> bool:
        return bool(self.run.stop_doc.get("exit_status") == "success")


def _is_short(subject: Subject) -> bool:
    """Return whether frames are missing, as far as their number is known."""
    expected = None if subject.series_id else subject.n_own
    return expected is not None and subject.n_read < expected


@contextmanager
def _problems_of(subject: Subject) -> Iterator[None]:
    """Turn errors of a run into the problem of its unit; raise those of Tiled."""
    try:
        with translated():
            yield
    except (Away, Refused):
        raise
    except (AnalysisError, FrameError, ValueError) as error:
        subject.problem = str(error)
    except Exception as error:  # a bug in the technique must not cost the run's record
        logger.exception("error in the analysis of run %s", subject.run.uid)
        subject.problem, subject.retake = f"{type(error).__name__}: {error}", True
