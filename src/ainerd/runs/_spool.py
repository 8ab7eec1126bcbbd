"""Whole runs that Tiled did not accept, as lines of JSON on disk; in memory while the disk refuses them."""

import errno
import hashlib
import logging
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

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

    def move(self, file: Path) -> None:
        """Keep the run in a file of the same disk, which needs no space."""
        file.replace(self.folder / file.name)

    def documents(self, path: Path) -> list[Document]:
        """Return the documents of a run. Raises ValueError if it is not a whole run, and OSError."""
        documents = documents_in(path, self._in_memory.get(path))
        ends = [name for name, _ in documents[:1] + documents[-1:]]
        if ends != ["start", "stop"] or not isinstance(documents[0][1].get("uid"), str):
            raise ValueError("it is not a whole run")
        return documents

    def remove(self, path: Path) -> None:
        """Remove a run, which is in Tiled now; a damaged file is set aside, because a part of it is nowhere else."""
        if self._in_memory.pop(path, None) is not None:
            return
        try:
            if is_damaged(path):
                set_aside(path, f"{path} was damaged, the rest of it is in Tiled", self.folder)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s is in Tiled, and cannot be removed: %s", path, error)

    def set_aside(self, path: Path, reason: str) -> None:
        """Rename an unusable file, so that it is not read again and a person can find it."""
        set_aside(path, reason, self.folder)

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


def documents_in(path: Path, lines: Sequence[str] | None = None) -> list[Document]:
    """Return the documents in a file, or in these lines of it. Lines without a document are logged and left out.

    Raises ValueError if it is no file, and OSError.
    """
    if lines is None:
        lines = _lines(path)
    return list(line_documents(lines, path, by_schema=False))  # documents of any form are kept


def is_damaged(path: Path) -> bool:
    """Return whether a whole line of a file holds no document. Raises ValueError if it is no file, and OSError."""
    lines = [line for line in _lines(path) if line.endswith("\n")]  # a session may be killed within the last line
    return len(documents_in(path, lines)) < len(lines)


def is_empty(path: Path) -> bool:
    """Return whether nothing was written to a file. Raises OSError."""
    return not path.read_bytes().strip(b"\0")


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(errors="replace").rstrip("\0")  # the rest of a spare file of the journal
        return text.splitlines(keepends=True)
    except IsADirectoryError:
        raise ValueError("it is a folder") from None


def set_aside(path: Path, reason: str, folder: Path) -> None:
    """Move a file that cannot be used to a folder, with the suffix ``.unreadable``, and log the reason."""
    aside = folder / f"{path.stem}.unreadable"
    try:
        path.replace(aside)
    except OSError as error:
        if path.exists():  # another process may just have written it to Tiled
            logger.error("%s, and it cannot be set aside: %s", reason, error)
    else:
        logger.error("%s: it is set aside as %s", reason, aside)


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
