"""Raw runs on their way to Tiled, those included that it did not take at first."""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from bluesky_tiled_plugins import TiledWriter
from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd.documents import Document, file_documents
from ainerd.runs._journal import Journal

logger = logging.getLogger(__name__)

BATCH = 20  # documents TiledWriter takes at a time: what keeps up with a 50 Hz monitor


class RawWriter:
    """TiledWriter, which makes up for what Tiled did not take.

    TiledWriter itself keeps a run at which Tiled fails, all its documents in a file of `folder`. When the next run
    begins and Tiled `answers`, such runs are written from their first document, and what is there of them is written
    anew. So are runs of a session that was killed: `journal` is to be told of each document as it comes.
    """

    def __init__(self, raw: Container, folder: Path, answers: Callable[[], bool]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._raw, self._folder, self._answers = raw, folder, answers
        self._writer = TiledWriter(raw, batch_size=BATCH, backup_directory=str(folder))
        self.journal = Journal(folder / "journal")
        self._lock = threading.Lock()

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take a document."""
        if name == "start":
            self.make_up()
        self._writer(name, doc)
        if name == "stop":
            self.journal.done(doc["run_start"])

    def kept(self) -> list[Path]:
        """Files of runs that Tiled did not take, the oldest first."""
        files = []
        for path in self._folder.glob("*.jsonl"):
            with suppress(FileNotFoundError):  # just written
                files.append((path.stat().st_mtime, path))
        return [path for _, path in sorted(files)]

    def make_up(self) -> None:
        """Write the runs that are kept and have ended; what Tiled does not take now either stays kept."""
        with self._lock:
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
                        self._write_anew(documents)
                    elif documents[0][1]["uid"] not in killed:
                        continue  # it goes on
                    path.unlink()
                except (ClientError, httpx.HTTPError) as err:
                    logger.warning("the raw run in %s is still not written: %s", path, err)
                    return
                except Exception:  # one that cannot be written is no reason to lose the run that begins
                    logger.exception("the raw run in %s cannot be written", path)

    def _write_anew(self, documents: list[Document]) -> None:
        uid = documents[0][1]["uid"]
        if uid in self._raw:
            if self._raw[uid].metadata.get("stop"):
                return
            self._raw.delete_contents(uid, recursive=True, external_only=False)  # files of detectors stay
        write = TiledWriter(self._raw, batch_size=BATCH)  # without a second copy on disk
        for name, doc in documents:
            write(name, doc)
