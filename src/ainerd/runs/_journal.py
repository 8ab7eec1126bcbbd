"""Documents of the runs in progress, on disk until Tiled has the run; in memory while the disk refuses them."""

import logging
import os
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from ainerd.jobs import harmless
from ainerd.processes import lock_file
from ainerd.runs._plain import line_of
from ainerd.runs._routes import Routes
from ainerd.runs._spool import Kept, file_name, require_memory, size
from ainerd.runs._writer import time_of

logger = logging.getLogger(__name__)

SYNC_S = 1.0  # between two waits for the disk, of one run
SPARES, SPARE_BYTES = 8, 2**18  # files with room for the runs to come, so that a full disk takes their documents


class Journal:
    """Writes each run to a file, one line for each document. The file is open until the run ends.

    The files of a journal are in a folder of its own, which the process locks while it lives. The journal keeps spare
    files with reserved space, because other programs may fill the disk. Each run begins in one. The disk may be slow,
    so the journal is called in a thread of its own. If the disk refuses a write, the lines of the run are in memory
    from then on.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: IO[str] | None = None  # from the first run
        self._runs: dict[str, _Lines] = {}
        self._routes = Routes()

    @harmless
    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Write a document, unless its run began before the journal was subscribed."""
        for uid in self._routes.of(name, doc):
            if name == "start":
                self._open(doc)
            if (run := self._runs.get(uid)) is not None:
                self._append(run, uid, name, doc)

    def done(self, uid: str) -> None:
        """Delete the lines of a run: Tiled has the run."""
        if run := self._runs.pop(uid, None):
            run.delete()

    def keep(self, uid: str, kept: Kept) -> None:
        """Move a run that has ended to `kept`: Tiled did not accept it."""
        run = self._runs.pop(uid, None)
        try:
            if run is None:
                raise ValueError("it has no journal")
            if run.path is None:
                kept.add(run.name, run.lines)
            else:
                run.path.replace(kept.folder / run.name)  # on the same disk, which needs no space
        except (OSError, ValueError) as error:
            stays = "is not kept" if run is None or run.path is None else f"stays in {run.path} until the next session"
            logger.error("raw run %s %s: %s", uid, stays, error)

    def left(self) -> list[Path]:
        """Return the files of the runs of processes that have died, oldest first. Raises OSError."""
        left = list[Path]()
        for lock in self._folder.glob("[!.]*/lock"):
            with suppress(OSError), _locked(lock, "r+"):  # fails while the process lives
                runs = list(lock.parent.glob("*.jsonl"))
                left += runs
                for spare in (*lock.parent.glob("*.spare"), *lock.parent.glob("*.part")):
                    spare.unlink()
                if not runs:
                    lock.unlink()
                    lock.parent.rmdir()
        return sorted(left, key=lambda path: path.name)

    def close(self) -> None:
        """Close the files; the next session takes the runs in them. Runs in memory are written to files first."""
        for uid, run in self._runs.items():
            try:
                if run.path is None:
                    (self._own_folder() / run.name).write_text("".join(run.lines))
            except OSError as error:
                logger.error("the journal of run %s is lost, the disk does not take it: %s", uid, error)
            run.close()
        self._runs.clear()
        if self._lock is not None:
            with suppress(OSError):
                for spare in self._own.glob("*.spare"):
                    spare.unlink()
                self._lock.close()
            self._lock = None

    def _open(self, start: Mapping[str, Any]) -> None:
        began = time.time() if (given := time_of(start.get("time"))) is None else given
        run = self._runs[start["uid"]] = _Lines(f"{began:017.6f}-{file_name(start['uid'])}.jsonl")
        try:
            run.open(self._own_folder())
        except OSError as error:
            logger.warning("the journal of run %s is only in memory: %s", start["uid"], error)
            return
        with suppress(OSError):  # a full disk
            _make_spares(self._own)

    def _append(self, run: "_Lines", uid: str, name: str, doc: Mapping[str, Any]) -> None:
        try:
            line = line_of(name, doc)
        except ValueError as error:
            logger.error("run %s: a %s document is left out of the journal: %s", uid, name, error)
            return
        try:
            run.append(line, is_synced=name in ("start", "stop"))
            require_memory(sum(each.n_in_memory for each in list(self._runs.values())))
        except (OSError, MemoryError) as error:
            logger.error("the journal of run %s ends early: %s", uid, error)
            self.done(uid)
        if name == "stop":
            run.close()

    def _own_folder(self) -> Path:
        """Return the folder of this process; make it, with its lock, for the first run. Raises OSError."""
        if self._lock is None:
            hidden = self._folder / f".{uuid.uuid4().hex}"  # until its lock is held
            hidden.mkdir(parents=True)
            lock = _locked(hidden / "lock", "x")
            try:
                self._own = hidden.rename(self._folder / hidden.name[1:])
            except OSError:
                lock.close()
                raise
            self._lock = lock
            with suppress(OSError):
                _make_spares(self._own)
        return self._own


class _Lines:
    """The lines of a run: in the file at `path`, or in `lines` if the disk refused one, and `path` is None."""

    def __init__(self, name: str) -> None:
        self.name, self.lines = name, list[str]()
        self.path: Path | None = None
        self._file: IO[str] | None = None
        self._n, self.n_in_memory = 0, 0  # lines in the file, and characters in memory
        self._synced = 0.0

    def open(self, folder: Path) -> None:
        """Begin a file. Raises OSError."""
        path = folder / self.name
        spare = None if path.exists() else next(folder.glob("*.spare"), None)
        if spare is not None:
            spare.rename(path)
        self._file = open(path, "x" if spare is None else "r+")  # noqa: SIM115
        self.path = path
        for each in (folder, folder.parent):  # the names of new files are lost in a power loss, too
            descriptor = os.open(each, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def append(self, line: str, *, is_synced: bool) -> None:
        """Write a line to the file, or continue in memory if the disk refuses it.

        With `is_synced`, or `SYNC_S` after the last time, wait until the lines are on the disk itself: a power loss
        spares them.

        Raises OSError if the lines before cannot be read, and MemoryError if they are too many for the memory.
        """
        if self._file is not None and self.path is not None:
            try:
                self._file.write(line)
                self._file.flush()
                if is_synced or time.monotonic() - self._synced > SYNC_S:
                    os.fsync(self._file.fileno())
                    self._synced = time.monotonic()
                self._n += 1
                return
            except OSError as error:
                logger.warning("the journal of run %s continues in memory: %s", self.path.stem, error)
                require_memory(self.path.stat().st_size)
                self.lines = self.path.read_text().splitlines(keepends=True)[: self._n]  # the last may be incomplete
                self.n_in_memory = size(self.lines)
                self.delete()
        self.lines.append(line)
        self.n_in_memory += len(line)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None and not self._file.closed:
            with suppress(OSError):  # the disk may still be full
                self._file.truncate()
            with suppress(OSError):
                self._file.close()

    def delete(self) -> None:
        """Delete the file."""
        self.close()
        if self.path is not None:
            with suppress(OSError):  # the next session finds the run in Tiled
                self.path.unlink(missing_ok=True)
            self.path = None


def _make_spares(folder: Path) -> None:
    """Make spare files up to `SPARES`. Raises OSError if the disk has no room."""
    for _ in range(SPARES - len(list(folder.glob("*.spare")))):
        part = folder / f"{uuid.uuid4().hex}.part"
        with part.open("xb") as file:
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, SPARE_BYTES)
                else:  # macOS
                    file.write(bytes(SPARE_BYTES))
            except OSError:
                part.unlink()
                raise
        part.rename(part.with_suffix(".spare"))


def _locked(path: Path, mode: str) -> IO[str]:
    """Open a file, and lock it until it is closed. Raises OSError if another process has locked it."""
    file = open(path, mode)  # noqa: SIM115
    try:
        if not lock_file(file):
            raise BlockingIOError(f"another process has locked {path}")
    except OSError:
        file.close()
        raise
    return file
