"""Documents on disk, from the moment they come until Tiled has them: what a session that is killed leaves behind."""

import fcntl
import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from event_model import RunRouter

from ainerd.documents import Document, file_documents
from ainerd.runs._lines import as_line, file_name

logger = logging.getLogger(__name__)


class Journal:
    """A file for each run that goes on, locked as long as its session lives.

    It is written in the RunEngine's thread, a line a document. A disk that takes nothing is no reason to
    stop a run.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._files: dict[str, IO[str]] = {}
        self._router = RunRouter([self._open])

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Write a document down."""
        self._router(name, dict(doc))

    def done(self, uid: str) -> None:
        """Forget a run: Tiled has it, or its documents are kept elsewhere."""
        file = self._files.pop(uid, None)
        if file is not None:
            Path(file.name).unlink(missing_ok=True)
            _close(file)

    def left(self) -> Iterator[tuple[Path, list[Document]]]:
        """Runs of sessions that are gone, the oldest first; one that had not ended gets the end that it had."""
        for path in sorted(self._folder.glob("*.jsonl"), key=lambda path: path.name):
            try:
                with open(path) as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # or its session lives
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
        """Close the files; the runs in them are left to the next session."""
        for file in self._files.values():
            _close(file)
        self._files.clear()

    def _open(self, name: str, start: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
        began = start["time"] if isinstance(start.get("time"), int | float) else time.time()
        try:
            file = open(self._folder / f"{began:017.6f}-{file_name(start['uid'])}.jsonl", "x")  # noqa: SIM115
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (OSError, OverflowError) as error:  # a time of more digits than a float has
            logger.warning("run %s is not written down as it comes: %s", start["uid"], error)
            return [], []
        self._files[start["uid"]] = file

        def write(name: str, doc: Mapping[str, Any]) -> None:
            if file.closed:
                return
            try:
                file.write(as_line(name, doc))
                file.flush()
            except (OSError, TypeError, ValueError) as error:
                logger.warning("run %s is not written down any more: %s", start["uid"], error)
                self.done(start["uid"])

        return [write], []


def _close(file: IO[str]) -> None:
    with suppress(OSError):  # what a full disk did not take is tried once more
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
