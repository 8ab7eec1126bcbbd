"""Runs that are in Tiled, analysed again in this process."""

from collections.abc import Callable, Mapping
from concurrent.futures import wait
from pathlib import Path
from typing import Any

from tiled.client.container import Container

from ainerd.agent import writer_of
from ainerd.config import Settings
from ainerd.documents import documents_of
from ainerd.results import ResultStore
from ainerd.runs import Jobs, Outcome, Spool, Worker
from ainerd.technique import Technique

POLL_S = 0.1


class Reanalysis:
    """Analyses one run after the other, and writes their results; nothing is suggested.

    `unwritten` is the folder for runs whose results Tiled does not take.
    """

    def __init__(
        self, technique: Technique, store: ResultStore, settings: Settings, raw: Container, unwritten: Path
    ) -> None:
        self._raw, self._ainerd, self._image = raw, store.container, settings.detector.image
        jobs = Jobs()
        writer, spool = writer_of(technique, store, settings, raw), Spool(unwritten, store.answers)
        self._worker = Worker(jobs, writer, _Nobody(), spool)
        jobs.start()

    def __call__(self, uid: str, tell: Callable[[int, int | None], None] | None = None) -> list[Outcome]:
        """What became of a finished run, or of its events; nothing of one that has no frames for us.

        `tell` is called now and then with the frames that have been read, and that there are.
        """
        run = self._raw[uid]
        if not any(self._image in run[name].metadata["data_keys"] for name in run):
            return []
        for name, doc in list(documents_of(run)):  # all, so that an interruption finds a whole run
            self._worker(name, doc)
        future = self._worker.outcomes(uid)
        while not wait([future], POLL_S).done:
            if tell is not None:
                tell(*(self._worker.progress or (0, None)))
        return future.result()

    @property
    def kept(self) -> int:
        """Runs whose results Tiled did not take."""
        return self._worker.health()["kept"]

    def close(self) -> None:
        """End; a run that is begun is ended first, even if a person has had enough."""
        self._worker.close()


class _Nobody:
    """Who listens: no campaign, so that nothing is suggested."""

    def assign(self, outcome: Outcome) -> Mapping[str, Any]:
        return {}

    def absorb(self, outcome: Outcome) -> None:
        pass
