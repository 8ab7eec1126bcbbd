"""Documents on disk: runs in progress (journal), runs without results (spool), and raw runs that Tiled refused."""

import fcntl
import hashlib
import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import IO, Any
from weakref import WeakKeyDictionary

import httpx
import numpy as np
from bluesky import RunEngine
from bluesky.callbacks.buffer import BufferingWrapper
from event_model import NumpyEncoder, RunRouter
from tiled.client.container import Container

from ainerd.documents import EIGER, RIGAKU, Document, file_documents

logger = logging.getLogger(__name__)

MOST = 1000  # runs that a spool keeps
LATER_S = 300.0  # until the spool tries an unreadable file again
DEEPEST = 60  # levels of a document: JSON is written and read recursively
LARGEST_BITS = 10_000  # of an integer: Python prints no longer one
# TiledWriter (bluesky-tiled-plugins 2.0.12) takes files of specs that it does not know for single bytes, and fails at
# the second event. As an array the run is written, but Tiled cannot read the frames.
SPECS = dict.fromkeys(EIGER, "application/x-hdf5") | {"RIGAKU": RIGAKU}
BATCH = 20  # documents per request of TiledWriter: enough for a 50 Hz monitor


class Journal:
    """Writes each run to a file, one line for each document. The file is open until the run ends.

    The files of a journal are in a folder of its own, which the process locks while it lives. The journal is called in
    the RunEngine's thread. If the disk refuses a write, the run continues without a journal.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock: IO[str] | None = None  # from the first run
        self._files: dict[str, IO[str]] = {}
        self._router = RunRouter([self._open])

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Write a document."""
        self._router(name, dict(doc))

    def done(self, uid: str) -> None:
        """Delete the file of a run: Tiled has the run, or its documents are kept elsewhere."""
        file = self._files.pop(uid, None)
        if file is not None:
            Path(file.name).unlink(missing_ok=True)
            _close(file)

    def left(self) -> Iterator[tuple[Path, list[Document]]]:
        """Yield the runs of processes that have died, oldest first; a run that had not ended gets a stop document."""
        left = list[Path]()
        for lock in self._folder.glob("[!.]*/lock"):
            with suppress(OSError), _locked(lock, "r+"):  # fails while the process lives
                runs = list(lock.parent.glob("*.jsonl"))
                left += runs
                if not runs:
                    lock.unlink()
                    lock.parent.rmdir()
        for path in sorted(left, key=lambda path: path.name):
            try:
                documents, ended = list(file_documents(path)), path.stat().st_mtime
            except OSError:
                continue
            if not documents or documents[0][0] != "start":
                path.unlink(missing_ok=True)
                continue
            if documents[-1][0] != "stop":
                documents.append(("stop", _stop(documents[0][1]["uid"], ended)))
            yield path, documents

    def close(self) -> None:
        """Close the files; the next session takes the runs in them."""
        for file in self._files.values():
            _close(file)
        self._files.clear()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _open(self, name: str, start: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
        began = start["time"] if isinstance(start.get("time"), int | float) else time.time()
        try:
            if self._lock is None:
                hidden = self._folder / f".{uuid.uuid4().hex}"  # until its lock is held
                hidden.mkdir()
                self._lock = _locked(hidden / "lock", "x")
                self._own = hidden.rename(self._folder / hidden.name[1:])
            file = open(self._own / f"{began:017.6f}-{_file_name(start['uid'])}.jsonl", "x")  # noqa: SIM115
        except (OSError, OverflowError) as error:  # OverflowError: a time with more digits than a float holds
            logger.warning("run %s has no journal: %s", start["uid"], error)
            return [], []
        self._files[start["uid"]] = file

        def write(name: str, doc: Mapping[str, Any]) -> None:
            if file.closed:
                return
            try:
                file.write(_line(name, doc))
                file.flush()
                if name == "stop":
                    file.close()
            except (OSError, TypeError, ValueError) as error:
                logger.warning("the journal of run %s ends early: %s", start["uid"], error)
                self.done(start["uid"])

        return [write], []


def _locked(path: Path, mode: str) -> IO[str]:
    """Open a file, and lock it until it is closed. Raises OSError if another process has locked it."""
    file = open(path, mode)  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


class Spool:
    """Keeps runs whose results Tiled did not accept, until it does; the next agent with this folder continues.

    This is the only state outside Tiled, and it is bounded. It keeps documents rather than results: the frames are on
    disk anyway, and a second analysis gives the same result. `is_away` is True if Tiled did not accept the last run.

    Parameters
    ----------
    folder : Path
    answers : callable
        Returns quickly whether Tiled answers.
    """

    def __init__(self, folder: Path, answers: Callable[[], bool]) -> None:
        self._folder, self._answers = folder, answers
        self.is_away = bool(self.runs())
        self._retry_at = float("inf")  # when to read the files again although Tiled is not away

    def runs(self) -> list[Path]:
        """Return the files, one per run, oldest first."""
        return sorted(self._folder.glob("*.jsonl"))

    def keep(self, uid: str, documents: Iterable[Document]) -> bool:
        """Keep a run, unless there are too many or it cannot be written; return whether it is kept."""
        self.is_away = True
        if len(self.runs()) >= MOST:
            logger.error("run %s is not kept: %d are in %s; see `ainerd replay`", uid, MOST, self._folder)
            return False
        path = self._folder / f"{time.time_ns():020d}-{_file_name(uid)}.jsonl"
        part = path.with_suffix(".part")
        try:
            lines = [_line(name, doc) for name, doc in documents]
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_text("".join(lines))
            part.rename(path)  # so that a file is either complete or absent
            return True
        except (OSError, ValueError) as error:
            with suppress(OSError):
                part.unlink()
            logger.error("run %s is not kept: %s; see `ainerd replay`", uid, error)
            return False

    def set_aside(self, path: Path, reason: str) -> None:
        """Rename an unusable file, so that it is not read again and a person can find it."""
        aside = path.with_suffix(".unreadable")
        logger.error("%s: it is set aside as %s", reason, aside)
        with suppress(OSError):
            path.replace(aside)

    def try_later(self, path: Path, error: Exception) -> None:
        """Keep a file and read it again later, because the error may be temporary."""
        self._retry_at = time.monotonic() + LATER_S
        logger.error("%s cannot be analysed now, it is tried again in %.0f s", path, LATER_S, exc_info=error)

    def waiting(self) -> list[Path]:
        """Return the runs to analyse now; empty while Tiled does not answer."""
        if (self.is_away or time.monotonic() > self._retry_at) and self._answers():
            self.is_away, self._retry_at = False, float("inf")
            return self.runs()
        return []


_MAKE_UP = threading.Lock()  # agents of one process may have the same folder
_WRITERS: "WeakKeyDictionary[RunEngine, dict[str, RawWriter]]" = WeakKeyDictionary()  # in use, by uri of the catalog


class RawWriter:
    """A TiledWriter that writes a run again later if Tiled did not accept it.

    TiledWriter itself keeps a run that it failed to write, with all its documents, in a file of `folder`. When the next
    run begins and Tiled answers, `make_up` writes such runs again from the first document. It does the same for
    runs of a process that was killed: `journal` must receive each document as it comes.

    All agents of a RunEngine with the same catalog use one writer, see `attach`.

    Parameters
    ----------
    raw : Container
    folder : Path
    answers : callable
        Returns quickly whether Tiled answers.
    """

    def __init__(self, raw: Container, folder: Path, answers: Callable[[], bool]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._raw, self._folder, self._answers = raw, folder, answers
        self._writer = _tiled_writer()(raw, batch_size=BATCH, backup_directory=str(folder), spec_to_mimetype=SPECS)
        self.journal = Journal(folder / "journal")
        self._n_agents = 0  # that use this writer
        self._end: Callable[[], None] = lambda: None  # unsubscribes

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Write a document."""
        if name == "start":
            self.make_up()
        self._writer(name, _nested(name, doc))
        if name == "stop":
            self.journal.done(doc["run_start"])

    def attach(self, engine: RunEngine) -> "RawWriter":
        """Subscribe this writer, with a buffer, and return it.

        If another writer of the same catalog is subscribed already, that one is returned, and this one does nothing.
        """
        writer = _WRITERS.setdefault(engine, {}).setdefault(self._raw.uri, self)
        if writer is not self:
            return writer.attach(engine)
        if not self._n_agents:
            self._subscribe(engine)
        self._n_agents += 1
        return self

    def detach(self) -> None:
        """End one `attach`. After the last one unsubscribe, after all documents that have arrived are written."""
        self._n_agents -= 1
        if not self._n_agents:
            self._end()

    def _subscribe(self, engine: RunEngine) -> None:
        buffered = BufferingWrapper(self)
        tokens = [engine.subscribe(each) for each in (self.journal, buffered)]

        def end() -> None:
            del _WRITERS[engine][self._raw.uri]
            for token in tokens:
                engine.unsubscribe(token)
            buffered.shutdown()

        self._end = end

    def close(self) -> None:
        """Close the journal, unless an agent uses the writer."""
        if not self._n_agents:
            self.journal.close()

    def kept(self) -> list[Path]:
        """Return the files of runs that Tiled did not accept, oldest first."""
        files = []
        for path in self._folder.glob("*.jsonl"):
            with suppress(FileNotFoundError):  # it was just written
                files.append((path.stat().st_mtime, path))
        return [path for _, path in sorted(files)]

    def make_up(self) -> None:
        """Write the kept runs that have ended; a run that Tiled refuses again stays kept."""
        with _MAKE_UP:
            waiting = [*self.journal.left(), *((path, None) for path in self.kept())]
            if not waiting or not self._answers():
                return
            killed = {documents[0][1]["uid"] for _, documents in waiting if documents}
            for path, left in waiting:
                try:
                    documents = left or list(file_documents(path))
                    if not documents or documents[0][0] != "start":
                        continue
                    if documents[-1][0] == "stop":
                        write_run(self._raw, documents)
                    elif documents[0][1]["uid"] not in killed:
                        continue  # the run is still in progress
                    path.unlink()
                except httpx.HTTPError as error:
                    logger.warning("the raw run in %s is still not written: %s", path, error)
                    return
                except Exception:  # must not cost the run that begins
                    logger.exception("the raw run in %s cannot be written", path)


def write_run(raw: Container, documents: Sequence[Document]) -> None:
    """Write a run that has ended to Tiled, unless it is there. If a part of it is there, this part is replaced."""
    uid = documents[0][1]["uid"]
    if uid in raw:
        if raw[uid].metadata.get("stop"):
            return
        raw.delete_contents(uid, recursive=True, external_only=False)  # the detector's files stay
    write = _tiled_writer()(raw, batch_size=len(documents), spec_to_mimetype=SPECS)  # without a copy on disk
    for name, doc in documents:
        write(name, _nested(name, doc))


@cache
def _tiled_writer() -> Any:
    """Import TiledWriter, which takes half a second, teach it the files of Rigaku detectors, and return it."""
    from bluesky_tiled_plugins import TiledWriter
    from bluesky_tiled_plugins.writing.consolidators import CONSOLIDATOR_REGISTRY, ConsolidatorBase

    class Rigaku(ConsolidatorBase):  # type: ignore[misc]  # it is not typed
        """Describes the files as an array: Tiled cannot read the frames, but keeps our name of the type."""

        supported_mimetypes = {RIGAKU}

        def get_data_source(self) -> Any:
            known = "application/octet-stream"  # a Tiled server accepts only files of types that it knows
            return replace(super().get_data_source(), mimetype=known, parameters={"mimetype": RIGAKU})

    CONSOLIDATOR_REGISTRY[RIGAKU] = Rigaku
    return TiledWriter


def _nested(name: str, doc: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a document without arrays of two and more dimensions in its readings: TiledWriter fails at these."""
    if name not in ("event", "event_page"):
        return doc

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(each) for each in value]
        return value.tolist() if isinstance(value, np.ndarray) and value.ndim > 1 else value

    readings: Mapping[str, Any] = doc.get("data") or {}
    return {**doc, "data": {key: plain(value) for key, value in readings.items()}}


class _Encoder(NumpyEncoder):
    """Writes a value without a JSON form (a path, a time, bytes) as text: metadata of a run may hold anything."""

    def default(self, value: Any) -> Any:
        try:
            return super().default(value)
        except TypeError:
            return str(value)


def _line(name: str, doc: Mapping[str, Any]) -> str:
    """Return a document as one line of JSON, with text instead of values that JSON cannot hold."""
    try:
        return _dumped(name, doc)
    except (RecursionError, ValueError):
        return _dumped(name, _cut(doc, ()))


def _dumped(name: str, doc: Any) -> str:
    return json.dumps({"name": name, "doc": doc}, cls=_Encoder, skipkeys=True) + "\n"


def _cut(value: Any, parents: tuple[int, ...]) -> Any:
    """Replace by text any value that is nested too deep, contains itself, or is too long an integer."""
    if isinstance(value, Mapping | list | tuple):
        if id(value) in parents or len(parents) == DEEPEST:
            return "(too deep to be kept)"
        parents = (*parents, id(value))
        if isinstance(value, Mapping):
            return {key: _cut(each, parents) for key, each in value.items()}
        return [_cut(each, parents) for each in value]
    return hex(value) if isinstance(value, int) and value.bit_length() > LARGEST_BITS else value


def _file_name(uid: str) -> str:
    """Return the uid of a run if it can be a file name, else a digest of it."""
    uid = str(uid)
    if re.fullmatch(r"[\w-]{1,80}", uid, re.ASCII):
        return uid
    return hashlib.sha256(uid.encode(errors="replace")).hexdigest()


def _close(file: IO[str]) -> None:
    with suppress(OSError):  # the disk may still be full
        file.close()


def _stop(run_start: str, time_s: float) -> dict[str, Any]:
    return {
        "uid": str(uuid.uuid4()),
        "run_start": run_start,
        "time": time_s,
        "exit_status": "abort",
        "reason": "the session was killed",
        "num_events": {},
    }
