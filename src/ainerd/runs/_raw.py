"""Raw runs in Tiled: written as their documents come, or later if Tiled did not accept them."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import httpx
import numpy as np
from bluesky import RunEngine
from bluesky.callbacks.buffer import BufferingWrapper
from tiled.client.container import Container

from ainerd.documents import EIGER, RIGAKU, Document
from ainerd.runs._journal import Journal
from ainerd.runs._spool import Kept
from ainerd.runs._writer import is_refused

logger = logging.getLogger(__name__)

# TiledWriter (bluesky-tiled-plugins 2.0.12) takes files of specs that it does not know for single bytes, and fails at
# the second event. As an array the run is written, but Tiled cannot read the frames.
SPECS = dict.fromkeys(EIGER, "application/x-hdf5") | {"RIGAKU": RIGAKU}
BATCH = 20  # documents per request of TiledWriter: enough for a 50 Hz monitor
_MAKE_UP = threading.Lock()  # agents of one process may have the same folder
_WRITERS: "WeakKeyDictionary[RunEngine, dict[str, RawWriter]]" = WeakKeyDictionary()  # in use, by uri of the catalog


class RawWriter:
    """A TiledWriter that writes a run again later if Tiled did not accept it.

    `journal` must receive each document as it comes. If TiledWriter fails, the run moves from the journal to `folder`
    when it ends. When the next run begins and Tiled answers, `make_up` writes such runs again from the first document,
    and those of a process that was killed.

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
        self._raw, self._kept, self._answers = raw, Kept(folder), answers
        self._refused: dict[str, list[dict[str, Any]]] = {}  # where TiledWriter puts the documents of a run that failed
        self._writer = _tiled_writer()(raw, batch_size=BATCH, backup_dictionary=self._refused, spec_to_mimetype=SPECS)
        self.journal = Journal(folder / "journal")
        self._hopeless: set[Path] = set()  # runs that could not be written
        self._n_agents = 0  # that use this writer
        self._end: Callable[[], None] = lambda: None  # unsubscribes

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Write a document."""
        if name == "start":
            self.make_up()
        self._writer(name, _nested(name, doc))
        if name == "stop":
            self._end_run(doc["run_start"])

    def _end_run(self, uid: str) -> None:
        # the stop document is the last one; of a very long run the first ones are missing
        refused = [key for key, records in self._refused.items() if records[-1]["doc"].get("run_start") == uid]
        for key in refused:
            del self._refused[key]
        if refused:
            self.journal.keep(uid, self._kept)
        else:
            self.journal.done(uid)

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
            self.empty_memory()
            self.journal.close()
            self._kept.close()

    def kept(self) -> list[Path]:
        """Return the paths of runs that Tiled did not accept, oldest first."""
        return self._kept.paths()

    def empty_memory(self) -> None:
        """Write the runs that are only in memory, to Tiled or to the disk: a kill would lose them."""
        if self._kept.is_in_memory:
            self.make_up()

    def make_up(self) -> None:
        """Write the kept runs again, oldest first.

        If Tiled does not answer, all stay kept. A run that cannot be written stays kept for the next session.
        """
        with _MAKE_UP:
            self._kept.save()
            waiting = [*self.journal.left(), *((path, None) for path in self.kept())]
            waiting = [(path, left) for path, left in waiting if path not in self._hopeless]
            if not waiting or not self._answers():
                return
            for path, left in waiting:
                try:
                    documents = left or self._kept.documents(path)
                except ValueError as error:
                    self._kept.set_aside(path, f"the raw run in {path} cannot be written: {error}")
                    continue
                except OSError as error:
                    logger.error("the raw run in %s cannot be read now: %s", path, error)
                    continue
                try:
                    write_run(self._raw, documents)
                    self._kept.remove(path)
                except Exception as error:  # must not cost the run that begins
                    if isinstance(error, httpx.HTTPError) and not is_refused(error):
                        logger.warning("the raw run in %s is still not written: %s", path, error)
                        return
                    self._hopeless.add(path)
                    logger.exception("the raw run in %s cannot be written in this session", path)


def write_run(raw: Container, documents: Sequence[Document]) -> None:
    """Write a run that has ended to Tiled, unless it is there. If a part of it is there, this part is replaced.

    Examples
    --------
    >>> write_run(client["raw"], documents)
    >>> run = client["raw"][documents[0][1]["uid"]]
    >>> run.metadata["start"]["plan_name"], run["primary"]["sample_x"].read()
    ('count', array([3., 3., 3., 3., 3.]))
    """
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
