"""One run on its way: documents in, analyses out. It writes nothing itself."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
from tiled.client.utils import ClientError

from ainerd.documents import FrameError, Run, Whole
from ainerd.runs._outcome import SPOILT, Outcome
from ainerd.runs._subject import Subject
from ainerd.runs._writer import Writer
from ainerd.technique import Analysis, AnalysisError, Series, Technique, begin

logger = logging.getLogger(__name__)

NOT_OURS = (ClientError, httpx.HTTPError, MemoryError)  # no verdict on the run: it is taken again


class RunState:
    """Feeds the frames of one run to its technique, event by event where the unit is the event.

    Frames may come for `late_s` after the end of the run. `outcomes` are of what has ended, a run without frames has
    none.
    """

    def __init__(self, technique: Technique, run: Run, writer: Writer, *, late_s: float = 0.0) -> None:
        self._technique, self.run, self._writer, self._late_s = technique, run, writer, late_s
        self._subject: Subject | None = None
        self._until: int | None = None  # frames of the run after which the subject ends; None: with the run
        self._recalled: Outcome | None = None  # of a subject that has its result: its frames are left out
        self._is_unreadable = False  # whether no more frames can be read
        self.outcomes: list[Outcome] = []

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take a document; an error of Tiled is raised: the run must be taken again."""
        self.run(name, doc)
        if not self.run.has_frames:
            return
        if name == "stop":
            self._advance(wait_s=min(max(doc["time"] + self._late_s - time.time(), 0.0), self._late_s))
            self.run.close()
            if self._subject is not None:
                if doc.get("exit_status") == "fail" and str(doc.get("reason", "")).startswith(SPOILT):
                    self._subject.problem = str(doc["reason"])
                self._end()
        elif name in ("descriptor", "event", "event_page", "stream_datum"):
            self._advance()

    @property
    def progress(self) -> tuple[int, int | None] | None:
        """Frames read and expected; None before any are announced, and of a run that has its result."""
        begun = self._subject is not None or (self.outcomes and self.event is not None)
        return (self.run.n_read, self.run.n_frames) if begun and self._recalled is None else None

    @property
    def event(self) -> int | None:
        """Number of the event that goes on or comes next, where the unit is the event."""
        return len(self.outcomes) + 1 if self._technique.unit == "event" else None

    def _advance(self, wait_s: float | None = None) -> None:
        """Take the frames that are there; `wait_s` is how long to wait for those that are not, in all."""
        end = time.monotonic() + (wait_s or 0.0)
        while not self._is_unreadable:
            if self._subject is None and not self._begin():
                return
            assert self._subject is not None
            self._take(self._subject, None if wait_s is None else max(end - time.monotonic(), 0.0))
            if self._until is None or self.run.n_read < self._until:
                return
            if self.run.flies and self.run.n_ready == self.run.n_read:
                return  # what is read beside its last frames comes after them: it ends with the next frames, or the run
            self._end()

    def _begin(self) -> bool:
        """Begin what comes next; False if nothing does. The first begins before its frames: room is made meanwhile."""
        event = self.event
        if self.outcomes and (event is None or self.run.n_ready <= self.run.n_read):
            return False
        subject = Subject.of_run(self._technique, self.run, event)
        self._until = None
        with suppress(FrameError):  # the technique's `RunInfo` cannot be made either, and that is the reason
            if event is not None and self.run.n_event is not None:
                self._until = event * self.run.n_event
        found = self._writer.begin(subject)
        self._recalled = found if isinstance(found, Outcome) else None
        self._subject = subject = subject if isinstance(found, Outcome) else found
        if self._recalled is not None:
            return True
        with _noting_problems(subject):
            if subject.analysis is None:
                subject.analysis = begin(self._technique, subject.info)
            else:
                subject.analysis.next_run(subject.info)
            self._writer.expect(subject)
        return True

    def _take(self, subject: Subject, wait_s: float | None) -> None:
        """Push the subject's frames, or leave them out."""
        until = self._until
        if self._recalled is not None or subject.problem is not None or subject.analysis is None:
            if until is not None:
                self.run.skip(until)
            return
        with _noting_problems(subject):
            try:
                whole = Whole.of(subject.analysis, subject.first)
                for block in self.run.blocks(subject.analysis.pixels, until=until, wait_s=wait_s, whole=whole):
                    subject.n_read += len(block)
                    subject.analysis.push(block)
                    self._writer.glance(subject)
            except FrameError:
                self._is_unreadable = until is None  # the next event's may be another file's
                raise
        if subject.problem is not None and until is not None:
            self.run.skip(until)

    def _end(self) -> None:
        """Say what the subject was."""
        subject, self._subject = self._subject, None
        assert subject is not None
        if self._recalled is not None:
            self.outcomes.append(self._recalled)
            self._recalled = None
            return
        analysis = None
        if subject.analysis is not None and (subject.problem is None or subject.series_id):
            with _noting_problems(subject):
                analysis = self._checked(subject, subject.analysis.finish())
            if analysis is None and self._is_short(subject):
                status = self.run.stop_doc.get("exit_status", "unknown")
                came = f"the run ended ({status}) with {subject.n_read} of {subject.n_frames} frames"
                subject.problem = f"{came}: {subject.problem}"
        unit = self._technique.unit
        closes = not subject.series_id or bool(isinstance(unit, Series) and self.run.start_doc.get(f"{unit.key}_ends"))
        self.outcomes.append(self._writer.end(subject, analysis, closes=closes))

    def _is_short(self, subject: Subject) -> bool:
        """Whether frames are missing, as far as anybody said how many there should be."""
        expected = None if subject.series_id else subject.n_frames
        return expected is not None and subject.n_read < expected

    def _checked(self, subject: Subject, analysis: Analysis) -> Analysis:
        """An analysis that can be kept, marked if frames are missing; AnalysisError if it is not as announced."""
        embedding, name = np.asarray(analysis.embedding), self._technique.name
        if embedding.shape != (self._technique.embedding_size,):
            raise AnalysisError(
                f"technique {name} gave an embedding of shape {embedding.shape}, "
                f"announced ({self._technique.embedding_size},)"
            )
        if not np.isfinite(embedding).all():
            raise AnalysisError(f"technique {name} gave an embedding that is not finite")
        p = analysis.novelty_p
        if p is not None and not 0 <= p <= 1:
            raise AnalysisError(f"technique {name} gave novelty_p = {p}, which is no probability")
        analysis.novel  # noqa: B018  (raises without an alpha)
        if self._is_short(subject) and analysis.status == "complete":
            return replace(analysis, status="partial")
        return analysis


@contextmanager
def _noting_problems(subject: Subject) -> Iterator[None]:
    """Turn what goes wrong with a run into its subject's problem; what is not the run's fault goes through."""
    try:
        yield
    except NOT_OURS:
        raise
    except (AnalysisError, FrameError, ValueError) as error:
        subject.problem = str(error)
    except Exception as error:  # a mistake of the technique is no reason to lose the run's record
        logger.exception("while analysing run %s", subject.run.uid)
        subject.problem, subject.retake = f"{type(error).__name__}: {error}", True
