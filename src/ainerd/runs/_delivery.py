"""One run from its first document to its last: analysed again if that dies, kept on disk while Tiled is away."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx
import numpy as np

from ainerd.documents import Document, Run
from ainerd.runs._outcome import Outcome
from ainerd.runs._run import RunState
from ainerd.runs._spool import Spool
from ainerd.runs._subject import Subject
from ainerd.runs._writer import Writer, is_refused

logger = logging.getLogger(__name__)

MOST_BYTES = 2**30  # of the documents of a run: what frames in events may take


class Delivery:
    """Keeps the documents of a run until its results are written.

    `tell` gets each outcome as it comes, `resolve` the uid of the run and all its outcomes at its end. Frames may come
    for `late_s` after the end of the run.
    """

    def __init__(
        self,
        writer: Writer,
        spool: Spool,
        resolve: Callable[[str, list[Outcome]], None],
        *,
        late_s: float,
        tell: Callable[[Outcome], None] = lambda outcome: None,
        is_kept: bool = False,
    ) -> None:
        self._writer, self._spool, self._resolve, self._late_s, self._tell = writer, spool, resolve, late_s, tell
        self._is_kept = is_kept  # on disk already, from where it comes
        self._n_told = 0  # outcomes; those of a run that is analysed once more come in the same order
        self._documents: list[Document] = []
        self._start: Mapping[str, Any] | None = None
        self._n_bytes = 0
        self._has_died = False
        self._set_aside: str | None = None  # why Tiled does not take it
        self._given_up: str | None = None
        self._state = self._new_state()

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take a document."""
        self._remember(name, doc)
        try:
            self._take(name, doc)
        except BaseException as err:
            if isinstance(err, Exception) and not isinstance(err, MemoryError):
                raise
            self._outlive(err, name)

    def close(self) -> None:
        """Let go of what is being read, of a run whose end does not come any more."""
        self._state.run.close()

    @property
    def progress(self) -> tuple[int, int | None] | None:
        """Frames read and expected; None before any are announced."""
        return self._state.progress

    @property
    def run(self) -> tuple[str, int | None] | None:
        """Uid and number of the run; None before it begins."""
        start = self._start
        return None if start is None else (str(start.get("uid", "")), start.get("scan_id"))

    def _remember(self, name: str, doc: dict[str, Any]) -> None:
        """For the case that it must be analysed once more, or kept; unless it is too large for that."""
        if name == "start":
            self._start = doc  # which stays, however large the run becomes
        data = doc.get("data") if name in ("event", "event_page") else None
        if isinstance(data, Mapping):
            self._n_bytes += sum(map(_n_bytes, data.values()))
        if self._is_large:
            self._documents.clear()
        else:
            self._documents.append((name, doc))

    @property
    def _is_large(self) -> bool:
        return self._n_bytes > MOST_BYTES

    def _new_state(self) -> RunState:
        writer = self._writer
        run = Run(writer.keys, writer.roots, writer.raw)
        return RunState(writer.technique, run, writer, late_s=self._late_s)

    def _take(self, name: str, doc: dict[str, Any]) -> None:
        run = self._state.run
        if self._set_aside is not None or self._given_up is not None:
            with suppress(Exception):  # the end of the run still counts
                run(name, doc)
        elif self._spool.is_away:
            with suppress(Exception):  # it fails once it is analysed
                run(name, doc)
            self._set_aside = "it did not answer before" if run.has_frames else None
        else:
            try:
                self._state(name, doc)
            except MemoryError:
                raise
            except Exception as err:
                if isinstance(err, httpx.HTTPError) and not is_refused(err):
                    self._set_aside = str(err)
                    self._writer.forget()
                else:  # a mistake of ours, or of the technique, is no reason to lose the run's record
                    logger.exception("while analysing run %s", run.uid)
                    self._given_up = f"{type(err).__name__}: {err}"
            self._tell_new(self._state.outcomes)
        if name == "stop":
            self._finish()

    def _finish(self) -> None:
        run, outcomes = self._state.run, list(self._state.outcomes)
        run.close()
        try:
            if self._set_aside is None and self._given_up is not None and run.has_frames:
                outcomes += self._give_up(self._given_up)
            if self._set_aside is not None:
                outcomes.append(self._keep(self._set_aside))
            self._tell_new(outcomes)
        finally:  # a plan may wait for it
            self._resolve(run.uid, outcomes)

    def _give_up(self, reason: str) -> list[Outcome]:
        """The outcome of a run that has none; nothing, if Tiled does not take it now."""
        run = self._state.run
        try:
            subject = Subject.of_run(self._writer.technique, run, self._state.event)
            subject.problem, subject.retake = reason, True
            return [self._writer.end(subject, None, closes=True)]
        except httpx.HTTPError as err:
            self._set_aside = str(err)
            return []
        except Exception:  # not even its key can be told
            logger.exception("run %s has no result", run.uid)
            return [self._failed(reason)]

    def _keep(self, reason: str) -> Outcome:
        run = self._state.run
        if self._is_large:
            reason = f"Tiled did not take its result, and it is too large to be kept (see `ainerd replay`): {reason}"
        else:
            reason = f"Tiled does not take results, the run is kept until it does: {reason}"
            if self._is_kept:
                self._spool.is_away = True
            else:
                self._spool.keep(run.uid, self._documents)
        logger.warning("run %s: %s", run.uid, reason)
        return self._failed(reason)

    def _tell_new(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes[self._n_told :]:
            self._n_told += 1
            self._tell(outcome)

    def _outlive(self, err: BaseException, name: str) -> None:
        """What would end the worker: the run is analysed once more from its start, then given up."""
        logger.error("the analysis of run %s died", self._state.run.uid, exc_info=err)
        self._state.run.close()
        self._writer.forget()
        if self._has_died or self._is_large:
            times = "twice" if self._has_died else "in a run too large to be analysed again"
            self._given_up = f"the analysis died {times}, of {type(err).__name__}: {err}"
            if name == "stop":
                self._finish()
            return
        self._has_died = True
        self._state = self._new_state()
        documents, self._documents, self._n_bytes = self._documents, [], 0
        for document in documents:
            self(*document)

    def _failed(self, reason: str) -> Outcome:
        """The outcome of a run that has no result in Tiled."""
        run = self._state.run
        return replace(self._writer.outcome(run, run.uid), status="failed", reason=reason)


def _n_bytes(value: Any) -> int:
    """About how much memory a value of an event takes; a page has a list of them."""
    if isinstance(value, list):
        return sum(map(_n_bytes, value))
    return value.nbytes if isinstance(value, np.ndarray) else 32
