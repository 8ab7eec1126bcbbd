"""Raw runs in Tiled: written as their documents come, or later if Tiled did not accept them."""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import httpx
from bluesky import RunEngine
from tiled.client.container import Container

from ainerd.documents import Document, Run
from ainerd.jobs import Jobs, harmless, in_background
from ainerd.results import may_pass
from ainerd.runs._form import OF_FILES, Form, WholeForm
from ainerd.runs._journal import Journal
from ainerd.runs._plain import plain
from ainerd.runs._routes import Routes
from ainerd.runs._spool import Kept

logger = logging.getLogger(__name__)

# TiledWriter (bluesky-tiled-plugins 2.0.12) takes files of specs that it does not know for single bytes, and fails at
# the second event. As an array the run is written, but Tiled cannot read the frames.
BATCH = 20  # documents per request of TiledWriter: enough for a 50 Hz monitor
MOST_WAITING = 200_000  # documents that wait for a thread
MOST_THREADS = 4  # that write to Tiled
MADE_UP_S = 30.0  # longest wait of an analysis for the runs of earlier sessions
DISK_S = 0.05  # longest wait of the RunEngine for the disk
KEEP_S = 5.0  # longest wait for the disk, until a run that Tiled did not accept is tried again
SOONEST_S, AWAY_S, LATEST_S = 1.0, 30.0, 3600.0  # pauses between attempts: each twice the one before, up to a limit
AGAIN_S = 60.0  # longest wait for attempts at the end of a session
LAST_S = 120.0  # longest wait for the last documents of runs that have ended: Tiled's client tries for 45 s
LONGEST = 200  # characters of an error in the log
TWO_WRITERS = (404, 409)  # status of an answer if another session writes the same run
_MAKE_UP = threading.Lock()  # agents of one process may have the same folder
_WRITERS: "WeakKeyDictionary[RunEngine, dict[str, RawWriter]]" = WeakKeyDictionary()  # in use, by uri of the catalog


class RawWriter:
    """Writes raw runs to Tiled while their documents come, and again later if Tiled did not accept them.

    A call puts the document into two queues, and does not raise. One is that of the thread which writes this run. There
    are more of these threads while Tiled is slow, so that a run that Tiled refuses delays no other. Another thread
    appends the document to the journal. The call waits for the journal, at most `DISK_S`, so that a kill after it loses
    nothing. It does not wait while the disk is behind. The journal of a run is deleted when Tiled shows the end of the
    run. Otherwise the run is moved to `folder`, and `make_up` writes it again from its first document, also in the next
    session, and the runs of a process that was killed.

    All agents of a RunEngine with the same catalog use one writer, see `attach`.

    Parameters
    ----------
    raw : Container
    folder : Path
    answers : callable
        Returns quickly whether Tiled answers.
    """

    def __init__(self, raw: Container, folder: Path, answers: Callable[[], bool]) -> None:
        self._raw, self._kept, self._answers = raw, Kept(folder), answers
        self.journal = Journal(folder / "journal")
        self._routes, self._live = Routes(), dict[str, _LiveRun]()
        self._disk: Jobs | None = None
        self._last: dict[Jobs, Future[None]] = {}  # last job of each thread that writes to Tiled
        self._attempts: list[Future[None]] = []  # in progress, to write the runs again that Tiled does not have
        self._due, self._pause_s = math.inf, SOONEST_S  # when to try the kept runs again, and the pause after that
        self._hopeless: set[Path] = set()  # runs that cannot be written in this session
        self._n_agents = 0  # that use this writer
        self._subscription: tuple[RunEngine, int]  # engine and token, while agents use this writer

    @harmless
    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take a document; do not raise, and wait for the disk only if it keeps up."""
        disk = self._disk or self._start()
        if self._has_room(disk):
            keeps_up = not disk.backlog
            taken = disk.submit(partial(self.journal, name, doc))
            if keeps_up:
                wait([taken], DISK_S)
        for uid in self._routes.of(name, doc):
            if name == "start":
                self._live[uid] = _LiveRun(self._raw, uid, self._answers, self._thread())
            if (live := self._live.get(uid)) is not None:
                if self._has_room(live.jobs):
                    self._last[live.jobs] = live.jobs.submit(partial(live, name, doc))
                if name == "stop":
                    del self._live[uid]
                    self._last[live.jobs] = live.jobs.submit(partial(self._end_run, live, disk))

    def _thread(self) -> Jobs:
        """Return the thread of a new run: one without a job, or a new one, or the one with the shortest queue."""
        for jobs, last in self._last.items():
            if last.done():
                return jobs
        if len(self._last) == MOST_THREADS:
            return min(self._last, key=lambda jobs: jobs.backlog)
        jobs = Jobs("ainerd-raw-runs")
        jobs.start()
        return jobs

    def _has_room(self, jobs: Jobs) -> bool:
        """Return whether a queue takes a document; if not, the runs in progress are written again later."""
        if jobs.backlog < MOST_WAITING:
            return True
        for run in self._live.values():
            if run.problem is None:
                logger.error("raw run %s: %d documents wait for the disk or for Tiled", run.uid, MOST_WAITING)
            run.problem = "a document found no room in the queue"
        return False

    def _start(self) -> Jobs:
        self._disk = Jobs("ainerd-journal")
        self._disk.when_idle(self._make_up_due)
        self._disk.start()
        self._make_up_soon()
        return self._disk

    def _end_run(self, run: "_LiveRun", disk: Jobs) -> None:
        if run.is_written:
            disk.submit(partial(self.journal.done, run.uid))
            return
        logger.warning("raw run %s is written again from its start: %s", run.uid, run.problem)
        wait([disk.submit(partial(self.journal.keep, run.uid, self._kept))], KEEP_S)
        self._due = 0.0

    def attach(self, engine: RunEngine) -> "RawWriter":
        """Subscribe this writer, and return it. Soon it writes the runs that earlier sessions left.

        If another writer of the same catalog is subscribed already, that one is returned, and this one does nothing.
        """
        writer = _WRITERS.setdefault(engine, {}).setdefault(self._raw.uri, self)
        if writer is not self:
            return writer.attach(engine)
        if not self._n_agents:
            self._subscription = engine, engine.subscribe(self)
            if self._disk is None:
                self._start()
        self._n_agents += 1
        return self

    def wait_until_made_up(self) -> None:
        """Wait, at most `MADE_UP_S`, until the runs that earlier sessions left are written: a series may need them."""
        wait(self._attempts, MADE_UP_S)

    def detach(self) -> None:
        """End one `attach`. After the last one unsubscribe, after all documents that have arrived are written."""
        self._n_agents -= 1
        if not self._n_agents:
            engine, token = self._subscription
            del _WRITERS[engine][self._raw.uri]
            engine.unsubscribe(token)
            self.drain()

    def drain(self) -> None:
        """Wait until all documents that have arrived are written, and the kept runs were tried; end the threads."""
        if self._disk is None:
            return
        wait(self._last.values(), LAST_S)
        for jobs in self._last:
            jobs.finish()
        self._last.clear()
        self._live.clear()  # the next session writes the runs that have not ended
        self._disk.when_idle(None)
        if self._due < math.inf:
            self._make_up_soon()
        wait(self._attempts, AGAIN_S)
        self._disk.close()
        self._disk = None

    def close(self) -> None:
        """Close the journal, unless an agent uses the writer."""
        if not self._n_agents:
            self.drain()
            if self._kept.is_in_memory:  # which would be lost
                self.make_up()
            self.journal.close()
            self._kept.close()

    def kept(self) -> list[Path]:
        """Return the paths of runs that Tiled did not accept, oldest first."""
        return self._kept.paths()

    def _make_up_due(self) -> None:
        """Write kept runs again if one is in memory, or the pause is over: in a thread, because Tiled may be slow."""
        if (time.monotonic() > self._due or self._kept.is_in_memory) and all(each.done() for each in self._attempts):
            self._attempts.clear()
            self._make_up_soon()

    def _make_up_soon(self) -> None:
        self._attempts.append(in_background("ainerd-make-up", self.make_up))

    def make_up(self) -> None:
        """Write the kept runs again, oldest first.

        If Tiled does not answer, all stay kept. A run that Tiled refuses for good stays kept for the next session. For
        the others the next attempt comes after a pause, twice the one before.
        """
        with _MAKE_UP:
            is_done, most_s = True, LATEST_S
            self._due = math.inf  # earlier for a run that is kept meanwhile
            try:
                self._kept.save()
                waiting = [*self.journal.left(), *self.kept()]
            except OSError as error:
                logger.error("the raw runs on disk cannot be listed now: %s", error)
                waiting, is_done = [], False
            for path in waiting:
                if path in self._hopeless:
                    continue
                if not self._answers():
                    is_done, most_s = False, AWAY_S
                    break
                is_done &= self._make_up_one(path)
            if is_done:
                self._pause_s = SOONEST_S
            else:
                self._pause_s = min(self._pause_s, most_s)
                self._due, self._pause_s = min(self._due, time.monotonic() + self._pause_s), 2 * self._pause_s

    def _make_up_one(self, path: Path) -> bool:
        """Write a kept run; return False if it has to be tried again."""
        try:
            documents = self._kept.documents(path)
        except FileNotFoundError:  # another process has just written it
            return True
        except ValueError as error:
            self._kept.set_aside(path, f"the raw run in {path} cannot be written: {error}")
            return True
        except OSError as error:
            logger.error("the raw run in %s cannot be read now: %s", path, error)
            return False
        try:
            write_run(self._raw, documents)
        except Exception as error:
            if _may_pass(error):
                logger.warning("the raw run in %s is still not written, it is tried again later: %s", path, error)
                return False
            self._hopeless.add(path)
            logger.exception("the raw run in %s cannot be written in this session", path)
            return True
        self._kept.remove(path)
        return True


class _LiveRun:
    """A run that is written while its documents come. After a problem it is left alone."""

    def __init__(self, raw: Container, uid: str, answers: Callable[[], bool], jobs: Jobs) -> None:
        self._raw, self.uid, self._answers, self.jobs = raw, uid, answers, jobs
        self._form = Form(uid)
        self._write: Any = None
        self.problem: object = None
        self.is_written = False  # whether Tiled shows the end of the run

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Write a document."""
        if self.problem is not None:
            return
        try:
            if self._write is None:
                if not self._answers():
                    self.problem = "Tiled does not answer"
                    return
                self._write = _writer_of_run(self._raw, BATCH)
            for document in self._form(name, plain(doc)):
                self._write(*document)
            if name == "stop":
                _finish(self._raw, self.uid, self._form.notes)
                self.is_written = True
        except Exception as error:
            self.problem = f"{type(error).__name__}: {str(error)[:LONGEST]}"


def write_run(raw: Container, documents: Sequence[Document]) -> None:
    """Write a run that has ended to Tiled, unless it is there. If a part of it is there, this part is replaced.

    Values and names that the catalog cannot hold are changed, see `ainerd.runs._form`. If Tiled refuses the run, it is
    written without the frames in files, and its notes have the reason. Raises RuntimeError if Tiled does not show the
    end of the run afterwards, and the errors of its client.

    Examples
    --------
    >>> write_run(client["raw"], documents)
    >>> run = client["raw"][documents[0][1]["uid"]]
    >>> run.metadata["start"]["plan_name"], run["primary"]["sample_x"].read()
    ('count', array([3., 3., 3., 3., 3.]))
    """
    uid = documents[0][1]["uid"]
    given = [(name, plain(doc)) for name, doc in documents]
    try:
        _write_whole(raw, WholeForm(uid, given))
    except Exception as error:
        without = [(name, doc) for name, doc in given if name not in OF_FILES]
        if _may_pass(error) or len(without) == len(given):
            raise
        form = WholeForm(uid, without)
        why, *_ = [*str(error).splitlines(), ""]
        form.notes.append(f"frames in files are left out: {type(error).__name__}: {why[:LONGEST]}")
        _write_whole(raw, form)


def _may_pass(error: Exception) -> bool:
    """Return whether a run is not refused itself: Tiled is away or busy, or another session writes the same run now."""
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code in TWO_WRITERS:
        return True
    return isinstance(error, httpx.HTTPError) and may_pass(error)


def _write_whole(raw: Container, form: WholeForm) -> None:
    uid = form.uid
    if uid in raw:
        if _has_end(raw, uid):
            return
        raw.delete_contents(uid, recursive=True, external_only=False)  # the detector's files stay
    formed = list(form.documents())
    write = _writer_of_run(raw, len(formed) + 1)
    for name, doc in formed:
        write(name, doc)
    _finish(raw, uid, form.notes)


def _has_end(raw: Container, uid: str) -> bool:
    return bool(raw[uid].metadata.get("stop"))


def _finish(raw: Container, uid: str, notes: Sequence[str]) -> None:
    """Add the changes of a run to its metadata, and log them. Raises RuntimeError if Tiled does not show its end."""
    if notes:
        logger.warning("raw run %s is written with changes: %s", uid, "; ".join(notes))
        node = raw[uid]
        node.update_metadata({"notes": [*node.metadata.get("notes", ()), *notes]}, drop_revision=True)
    if not _has_end(raw, uid):
        raise RuntimeError(f"Tiled does not show the end of run {uid}")


def _writer_of_run(raw: Container, batch_size: int) -> Callable[[str, Any], None]:
    """Return the part of TiledWriter that writes one run; the router before it hides the errors of Tiled's client."""
    write: Callable[[str, Any], None]
    described = raw.new_variation(include_data_sources=True)  # else TiledWriter reads the catalog again for each run
    writer = _tiled_writer()(described, batch_size=batch_size, spec_to_mimetype=Run.mimetypes)
    (write,), _ = writer._factory("start", {})  # noqa: SLF001
    return write


@cache
def _tiled_writer() -> Any:
    """Import TiledWriter, which takes half a second, teach it the files that an analysis reads, and return it."""
    from bluesky_tiled_plugins import TiledWriter
    from bluesky_tiled_plugins.writing.consolidators import CONSOLIDATOR_REGISTRY, ConsolidatorBase

    ours = {Run.mimetypes[spec] for spec in ("RIGAKU", "XPCS_RESULT")}

    class OfAnalysis(ConsolidatorBase):  # type: ignore[misc]  # it is not typed
        """Describes the files as an array: Tiled cannot read the frames, but keeps our name of the type."""

        supported_mimetypes = ours

        def get_data_source(self) -> Any:
            known = "application/octet-stream"  # a Tiled server accepts only files of types that it knows
            source = super().get_data_source()
            return replace(source, mimetype=known, parameters={"mimetype": source.mimetype})

    CONSOLIDATOR_REGISTRY.update(dict.fromkeys(ours, OfAnalysis))
    return TiledWriter
