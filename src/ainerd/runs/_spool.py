"""Runs whose results Tiled did not take: kept on disk as documents until it does."""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from ainerd.documents import Document
from ainerd.runs._lines import as_line, file_name

logger = logging.getLogger(__name__)

MOST = 1000  # runs kept
LATER_S = 300.0  # until a file that could not be read is tried again


class Spool:
    """The one state outside Tiled, bounded; the next agent with the same folder goes on with it.

    Documents rather than results are kept: frames are on disk anyway, and analysed again a run gives the same result.
    `answers` quickly says whether Tiled does; `is_away`, whether it did not take the last run.
    """

    def __init__(self, folder: Path, answers: Callable[[], bool]) -> None:
        self._folder, self._answers = folder, answers
        self.is_away = bool(self.runs())
        self._again = float("inf")  # when to look at the files though Tiled is not away

    def runs(self) -> list[Path]:
        """Files of documents, one a run, the oldest first."""
        return sorted(self._folder.glob("*.jsonl"))

    def keep(self, uid: str, documents: Iterable[Document]) -> None:
        """Keep a run, unless there are too many."""
        self.is_away = True
        if len(self.runs()) >= MOST:
            logger.error("run %s is not kept: %d are in %s; see `ainerd replay`", uid, MOST, self._folder)
            return
        path = self._folder / f"{time.time_ns():020d}-{file_name(uid)}.jsonl"
        part = path.with_suffix(".part")
        try:
            lines = [as_line(name, doc) for name, doc in documents]
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_text("".join(lines))
            part.rename(path)  # a file is whole, or not there
        except (OSError, ValueError) as error:
            with suppress(OSError):
                part.unlink()
            logger.error("run %s is not kept: %s; see `ainerd replay`", uid, error)

    def set_aside(self, path: Path, why: str) -> None:
        """Put a file that cannot be used where nobody looks for it again, and a person finds it."""
        aside = path.with_suffix(".unreadable")
        logger.error("%s: it is set aside as %s", why, aside)
        with suppress(OSError):
            path.replace(aside)

    def try_later(self, path: Path, error: Exception) -> None:
        """Leave a file where it is: what went wrong may pass."""
        self._again = time.monotonic() + LATER_S
        logger.error("%s cannot be analysed now, it is tried again in %.0f s", path, LATER_S, exc_info=error)

    def waiting(self) -> list[Path]:
        """What may be written now: nothing while Tiled is away."""
        if (self.is_away or time.monotonic() > self._again) and self._answers():
            self.is_away, self._again = False, float("inf")
            return self.runs()
        return []
