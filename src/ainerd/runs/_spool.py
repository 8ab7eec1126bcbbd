"""Whole runs that Tiled did not accept, as lines of JSON on disk; in memory while the disk refuses them."""

import errno
import hashlib
import logging
import os
import re
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ainerd.documents import Document, line_documents
from ainerd.runs._plain import line_of

logger = logging.getLogger(__name__)

MOST = 1000  # runs that a spool keeps
LATER_S = 300.0  # until the spool tries an unreadable file again
MOST_IN_MEMORY = 2**28  # characters of the runs of a folder that are in memory while the disk refuses them


class Kept:
    """Whole runs in the files of a folder; in memory while the disk refuses them.

    Another process with this folder continues with the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._in_memory: dict[Path, list[str]] = {}
        self._damaged: set[Path] = set()  # files with a line that holds no document

    def paths(self) -> list[Path]:
        """Return the path of each run, in the order of their names; those in memory have no file yet."""
        try:
            return self._paths()
        except OSError as error:
            logger.warning("%s cannot be read now: %s", self.folder, error)
            return sorted(self._in_memory)

    def _paths(self) -> list[Path]:
        return sorted({*self.folder.glob("*.jsonl"), *list(self._in_memory)})

    def add(self, name: str, lines: list[str]) -> None:
        """Keep a run. Raises ValueError if there are `MOST`, and OSError if neither disk nor memory takes it."""
        if len(self.paths()) >= MOST:
            raise ValueError(f"{MOST} are in {self.folder}")
        path = self.folder / name
        try:
            self._write(path, lines)
        except OSError as error:
            if sum(map(size, [*self._in_memory.values(), lines])) > MOST_IN_MEMORY:
                raise
            self._in_memory[path] = lines
            logger.warning("run %s is only in memory until the disk takes it: %s", path.stem, error)

    def documents(self, path: Path) -> list[Document]:
        """Return the documents of a run. Lines without a document are logged and left out.

        A run in the file of a journal gets a stop document if it has none: its session was killed. Raises ValueError if
        it is not a whole run, and OSError.
        """
        lines = self._in_memory.get(path)
        if lines is None:
            try:
                text = path.read_text(errors="replace").rstrip("\0")  # the rest of a spare file of the journal
            except IsADirectoryError:
                raise ValueError("it is a folder") from None
            lines = text.splitlines(keepends=True)
        documents = list(line_documents(lines, path, by_schema=False))  # documents of any form are kept
        if len(documents) < sum(line.endswith("\n") for line in lines):  # the last line may be cut: after a kill
            self._damaged.add(path)
        name, start = documents[0] if documents else ("", {})
        if name != "start" or not isinstance(start.get("uid"), str):
            raise ValueError("it does not begin with a start document")
        if documents[-1][0] != "stop":
            if path.parent == self.folder:
                raise ValueError("it is not a whole run")
            documents.append(("stop", _stop(start["uid"], path.stat().st_mtime)))
        return documents

    def remove(self, path: Path) -> None:
        """Remove a run, which is in Tiled now; a damaged file is set aside, because a part of it is nowhere else."""
        if self._in_memory.pop(path, None) is not None:
            return
        try:
            if path in self._damaged:
                self.set_aside(path, f"{path} was damaged, the rest of it is in Tiled")
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s is in Tiled, and cannot be removed: %s", path, error)

    def set_aside(self, path: Path, reason: str) -> None:
        """Rename an unusable file, so that it is not read again and a person can find it. An empty one is removed."""
        aside = self.folder / f"{path.stem}.unreadable"
        try:
            if path.is_file() and not path.read_bytes().strip(b"\0"):
                path.unlink()  # the session was killed before the first document was written
                return
            path.replace(aside)
        except OSError as error:
            if path.exists():  # another process may just have written it to Tiled
                logger.error("%s, and it cannot be set aside: %s", reason, error)
        else:
            logger.error("%s: it is set aside as %s", reason, aside)

    @property
    def is_in_memory(self) -> bool:
        """Whether a run is only in memory."""
        return bool(self._in_memory)

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
            if shutil.disk_usage(self.folder).free < size(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # others need the free room
            with part.open("w") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
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
        super().__init__(folder)
        self._answers = answers
        self.is_away = bool(self.paths())
        self._retry_at = 0.0  # when to read the files again although Tiled is not away
        self._failures = Counter[Path]()

    def keep(self, uid: str, documents: Iterable[Document]) -> bool:
        """Keep a run, unless there are too many or it cannot be written; return whether it is kept."""
        self.is_away = True
        try:
            lines = [line_of(name, doc) for name, doc in documents]
            self.add(f"{time.time_ns():020d}-{file_name(uid)}.jsonl", lines)
            return True
        except (OSError, ValueError) as error:
            logger.error("run %s is not kept: %s; see `ainerd replay`", uid, error)
            return False

    def try_later(self, path: Path, error: Exception) -> None:
        """Keep a file and read it again later, because the error may be temporary."""
        self._retry_at = time.monotonic() + LATER_S
        logger.error("%s cannot be analysed now, it is tried again in %.0f s", path, LATER_S, exc_info=error)

    def is_stuck(self, path: Path) -> bool:
        """Return whether the result of this run was refused before, too, by an answer of Tiled; then others follow."""
        self._failures[path] += 1
        if self._failures[path] < 2:
            return False
        later_s = min(2.0 ** self._failures[path], LATER_S)
        self.is_away, self._retry_at = False, time.monotonic() + later_s
        logger.error("Tiled answers, and refuses the result of %s; it is tried again in %.0f s", path, later_s)
        return True

    def waiting(self) -> list[Path]:
        """Return the runs to analyse now, oldest first; empty while Tiled does not answer."""
        self.save()
        if (self.is_away or time.monotonic() > self._retry_at) and self._answers():
            try:
                paths = self._paths()
            except OSError as error:
                logger.warning("%s cannot be read now: %s", self.folder, error)
                return []
            self.is_away, self._retry_at = False, float("inf")
            return sorted(paths, key=lambda path: self._failures[path])  # equal ones keep their order
        return []


def file_name(uid: str) -> str:
    """Return the uid of a run if it can be a file name, else a digest of it."""
    uid = str(uid)
    if re.fullmatch(r"[\w-]{1,80}", uid, re.ASCII):
        return uid
    return hashlib.sha256(uid.encode(errors="replace")).hexdigest()


def size(lines: Sequence[str]) -> int:
    """Return the number of characters."""
    return sum(map(len, lines))


def require_memory(n: int) -> None:
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
