"""Whole runs that Tiled did not accept, as lines of JSON on disk; in memory while the disk refuses them."""

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from event_model import NumpyEncoder

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
            if sum(map(size, [*self._in_memory.values(), lines])) > MOST_IN_MEMORY:
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

    def waiting(self) -> list[Path]:
        """Return the runs to analyse now, oldest first; empty while Tiled does not answer."""
        self.save()
        if (self.is_away or time.monotonic() > self._retry_at) and self._answers():
            self.is_away, self._retry_at = False, float("inf")
            return self.paths()
        return []


class _Encoder(NumpyEncoder):
    """Writes a value without a JSON form (a path, a time, bytes) as text: metadata of a run may hold anything."""

    def default(self, value: Any) -> Any:
        try:
            return super().default(value)
        except TypeError:
            return str(value)


def line_of(name: str, doc: Mapping[str, Any]) -> str:
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
