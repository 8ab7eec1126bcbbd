"""Documents on disk: runs in progress (journal), and whole runs that Tiled did not accept.

While the disk refuses them, they are in memory.
"""

import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from event_model import NumpyEncoder, RunRouter

from ainerd.documents import Document, file_documents, line_documents

logger = logging.getLogger(__name__)

MOST = 1000  # runs that a spool keeps
LATER_S = 300.0  # until the spool tries an unreadable file again
DEEPEST = 60  # levels of a document: JSON is written and read recursively
LARGEST_BITS = 10_000  # of an integer: Python prints no longer one
MOST_IN_MEMORY = 2**28  # characters of the runs of a folder that are in memory while the disk refuses them


class Kept:
    """Whole runs in the files of a folder; in memory while the disk refuses them.

    Another process with this folder continues with the files. Documents that do not match event-model's schema are left
    out, unless `by_schema` is False.
    """

    def __init__(self, folder: Path, *, by_schema: bool = True) -> None:
        self.folder = folder
        self._by_schema = by_schema
        self._in_memory: dict[Path, list[str]] = {}

    def paths(self) -> list[Path]:
        """Return the path of each run, in the order of their names; those in memory have no file yet."""
        return sorted({*self.folder.glob("*.jsonl"), *list(self._in_memory)})

    def add(self, name: str, lines: list[str]) -> None:
        """Keep a run. Raises ValueError if there are `MOST`, and OSError if neither disk nor memory takes it."""
        if len(self.paths()) >= MOST:
            raise ValueError(f"{MOST} are in {self.folder}")
        path = self.folder / name
        try:
            self._write(path, lines)
        except OSError as error:
            if sum(map(_size, [*self._in_memory.values(), lines])) > MOST_IN_MEMORY:
                raise
            self._in_memory[path] = lines
            logger.warning("run %s is only in memory until the disk takes it: %s", path.stem, error)

    def move(self, file: Path) -> None:
        """Keep the run in a file of the same disk, which needs no space."""
        file.replace(self.folder / file.name)

    def documents(self, path: Path) -> list[Document]:
        """Return the documents of a run. Raises ValueError if it is not a whole run, and OSError."""
        lines = self._in_memory.get(path)
        if lines is None:
            documents = list(file_documents(path, by_schema=self._by_schema))
        else:
            documents = list(line_documents(lines, path, by_schema=self._by_schema))
        ends = [name for name, _ in documents[:1] + documents[-1:]]
        if ends != ["start", "stop"] or not isinstance(documents[0][1].get("uid"), str):
            raise ValueError("it is not a whole run")
        return documents

    def remove(self, path: Path) -> None:
        """Remove a run, which is in Tiled now."""
        if self._in_memory.pop(path, None) is None:
            path.unlink(missing_ok=True)

    def set_aside(self, path: Path, reason: str) -> None:
        """Rename an unusable file, so that it is not read again and a person can find it."""
        aside = path.with_suffix(".unreadable")
        try:
            path.replace(aside)
        except OSError as error:
            if path.exists():  # another process may just have written it to Tiled
                logger.error("%s, and it cannot be set aside: %s", reason, error)
        else:
            logger.error("%s: it is set aside as %s", reason, aside)

    def save(self) -> None:
        """Write the runs in memory to the disk, as far as it takes them."""
        with suppress(OSError):
            for path, lines in list(self._in_memory.items()):
                self._write(path, lines)
                self._in_memory.pop(path, None)  # another thread may have removed it

    def close(self) -> None:
        """Write the runs in memory to the disk, or log that they are lost."""
        self.save()
        for path in list(self._in_memory):
            logger.error("run %s is lost: the disk did not take it before the session ended", path.stem)

    def _write(self, path: Path, lines: list[str]) -> None:
        part = path.with_suffix(".part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self.folder).free < _size(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # others need what is free
            part.write_text("".join(lines))
            part.rename(path)  # so that a file is either complete or absent
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise


class Spool(Kept):
    """Keeps runs whose results Tiled did not accept, until it does; the next agent with this folder continues.

    It keeps documents rather than results: the frames are on disk anyway, and a second analysis gives the same result.
    `is_away` is True if Tiled did not accept the last run.

    Parameters
    ----------
    folder : Path
    answers : callable
        Returns quickly whether Tiled answers.
    """

    def __init__(self, folder: Path, answers: Callable[[], bool]) -> None:
        super().__init__(folder, by_schema=False)  # the agent accepted the documents before
        self._answers = answers
        self.is_away = bool(self.paths())
        self._retry_at = float("inf")  # when to read the files again although Tiled is not away

    def keep(self, uid: str, documents: Iterable[Document]) -> bool:
        """Keep a run, unless there are too many or it cannot be written; return whether it is kept."""
        self.is_away = True
        try:
            lines = [_line(name, doc) for name, doc in documents]
            self.add(f"{time.time_ns():020d}-{_file_name(uid)}.jsonl", lines)
            return True
        except (OSError, ValueError) as error:
            logger.error("run %s is not kept: %s; see `ainerd replay`", uid, error)
            return False

    def try_later(self, path: Path, error: Exception) -> None:
        """Keep a file and read it again later, because the error may be temporary."""
        self._retry_at = time.monotonic() + LATER_S
        logger.error("%s cannot be analysed now, it is tried again in %.0f s", path, LATER_S, exc_info=error)

    def waiting(self) -> list[Path]:
        """Return the runs to analyse now, oldest first; empty while Tiled does not answer."""
        self.save()
        if (self.is_away or time.monotonic() > self._retry_at) and self._answers():
            self.is_away, self._retry_at = False, float("inf")
            return self.paths()
        return []


class Journal:
    """Writes each run to a file, one line for each document. The file is open until the run ends.

    The files of a journal are in a folder of its own, which the process locks while it lives. The journal is called in
    the RunEngine's thread. If the disk refuses a write, the lines of the run are in memory from then on.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock: IO[str] | None = None  # from the first run
        self._runs: dict[str, _Lines] = {}
        self._router = RunRouter([self._open])

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Write a document, unless its run began before the journal was subscribed."""
        with suppress(KeyError):
            self._router(name, dict(doc))

    def done(self, uid: str) -> None:
        """Delete the lines of a run: Tiled has the run."""
        if run := self._runs.pop(uid, None):
            run.delete()

    def keep(self, uid: str, kept: "Kept") -> None:
        """Move a run that has ended to `kept`: Tiled did not accept it."""
        run = self._runs.pop(uid, None)
        try:
            if run is None:
                raise ValueError("it has no journal")
            if run.path is None:
                kept.add(run.name, run.lines)
                return
        except (OSError, ValueError) as error:
            logger.error("raw run %s is not kept: %s", uid, error)
            return
        try:
            kept.move(run.path)
        except OSError as error:
            logger.warning("raw run %s stays in %s until the next session: %s", uid, run.path, error)

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
            except (OSError, ValueError):  # another process has just written it to Tiled
                continue
            if not documents or documents[0][0] != "start":
                path.unlink(missing_ok=True)
                continue
            if documents[-1][0] != "stop":
                documents.append(("stop", _stop(documents[0][1]["uid"], ended)))
            yield path, documents

    def close(self) -> None:
        """Close the files; the next session takes the runs in them. Runs in memory are written to files first."""
        for uid, run in self._runs.items():
            try:
                run.save(self._own_folder)
            except OSError as error:
                logger.error("the journal of run %s is lost, the disk does not take it: %s", uid, error)
            run.close()
        self._runs.clear()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _open(self, name: str, start: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
        began = start["time"] if isinstance(start.get("time"), int | float) else time.time()
        try:
            name = f"{began:017.6f}-{_file_name(start['uid'])}.jsonl"
        except OverflowError as error:  # a time with more digits than a float holds
            logger.warning("run %s has no journal: %s", start["uid"], error)
            return [], []
        run = self._runs[start["uid"]] = _Lines(name)
        try:
            run.open(self._own_folder())
        except OSError as error:
            logger.warning("the journal of run %s is only in memory: %s", start["uid"], error)

        def write(name: str, doc: Mapping[str, Any]) -> None:
            try:
                if start["uid"] in self._runs:
                    run.append(_line(name, doc))
                    _require_memory(sum(each.n_in_memory for each in list(self._runs.values())))
                if name == "stop":
                    run.close()
            except (OSError, TypeError, ValueError, MemoryError) as error:
                logger.warning("the journal of run %s ends early: %s", start["uid"], error)
                self.done(start["uid"])

        return [write], []

    def _own_folder(self) -> Path:
        """Return the folder of this process; make it, with its lock, for the first run. Raises OSError."""
        if self._lock is None:
            hidden = self._folder / f".{uuid.uuid4().hex}"  # until its lock is held
            hidden.mkdir()
            lock = _locked(hidden / "lock", "x")
            try:
                self._own = hidden.rename(self._folder / hidden.name[1:])
            except OSError:
                lock.close()
                raise
            self._lock = lock
        return self._own


class _Lines:
    """The lines of a run: in the file at `path`, or in `lines` if the disk refused one, and `path` is None."""

    def __init__(self, name: str) -> None:
        self.name, self.lines = name, list[str]()
        self.path: Path | None = None
        self._file: IO[str] | None = None
        self._n, self.n_in_memory = 0, 0  # lines in the file, and characters in memory

    def open(self, folder: Path) -> None:
        """Begin a file. Raises OSError."""
        self._file = open(folder / self.name, "x")  # noqa: SIM115
        self.path = folder / self.name

    def append(self, line: str) -> None:
        """Write a line to the file, or continue in memory if the disk refuses it.

        Raises OSError if the lines before cannot be read, and MemoryError if they are too many for the memory.
        """
        if self._file is not None and self.path is not None:
            try:
                self._file.write(line)
                self._file.flush()
                self._n += 1
                return
            except OSError as error:
                logger.warning("the journal of run %s continues in memory: %s", self.path.stem, error)
                _require_memory(self.path.stat().st_size)
                self.lines = self.path.read_text().splitlines(keepends=True)[: self._n]  # the last may be incomplete
                self.n_in_memory = _size(self.lines)
                self.delete()
        self.lines.append(line)
        self.n_in_memory += len(line)

    def save(self, folder: Callable[[], Path]) -> None:
        """Write the lines in memory to a file in a folder. Raises OSError."""
        if self.path is None:
            self.path = folder() / self.name
            self.path.write_text("".join(self.lines))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(OSError):  # the disk may still be full
                self._file.close()

    def delete(self) -> None:
        """Delete the file."""
        if self.path is not None:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            self.close()
            self.path = None


def _locked(path: Path, mode: str) -> IO[str]:
    """Open a file, and lock it until it is closed. Raises OSError if another process has locked it."""
    file = open(path, mode)  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


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


def _size(lines: Sequence[str]) -> int:
    return sum(map(len, lines))


def _require_memory(n: int) -> None:
    """Raise MemoryError if the memory is too small for `n` characters."""
    if n > MOST_IN_MEMORY:
        raise MemoryError("the disk does not take it, and it is too large for the memory")


def _stop(run_start: str, time_s: float) -> dict[str, Any]:
    return {
        "uid": str(uuid.uuid4()),
        "run_start": run_start,
        "time": time_s,
        "exit_status": "abort",
        "reason": "the session was killed",
        "num_events": {},
    }
