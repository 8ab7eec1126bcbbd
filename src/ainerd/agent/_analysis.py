"""The analysis of an agent: documents from any source become results in Tiled."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

from tiled.client.container import Container

from ainerd.agent._live import LivePicture
from ainerd.agent._patiently import patiently
from ainerd.campaign import Campaign
from ainerd.config import Settings, SettingsError
from ainerd.documents import Document, RunReader, documents_of
from ainerd.jobs import Jobs, waiting
from ainerd.results import AgentNode, Away, ResultRecord, ResultStore, TiledError, digest, translated
from ainerd.runs import RecordedKeys, Worker, Writer, write_backup, write_run
from ainerd.sources import Intake, Source, open_source
from ainerd.technique import Technique

logger = logging.getLogger(__name__)
Seen = Callable[[str], bool]
Take = Callable[[str, Mapping[str, Any]], object]
AWAY_S = 5.0  # between two attempts to write a run to a server that does not answer


def writer_of(
    technique: Technique, store: ResultStore, settings: Settings, raw: Container, *, has_campaign: bool = False
) -> Writer:
    """Return a writer for the results of a technique; `raw` is the container of raw runs.

    Raises SettingsError as `recorded_keys` does.
    """
    recorded = recorded_keys(settings)
    roots = tuple(settings.storage.frames)
    return Writer(technique, store, settings.detector, recorded, roots, settings.name, raw, has_campaign)


def recorded_keys(settings: Settings) -> RecordedKeys:
    """Return the data of a run to keep in its results.

    Raises SettingsError if a result has another use for a name.
    """
    section, positions = settings.recorded.model_dump(), tuple(settings.steering.bounds)
    taken = {*ResultRecord.model_fields, "digest", *positions}
    for key in ("readings", "start"):
        for name in section[key]:
            if name in taken or not name or set(name) & set("./"):
                uses = "it is empty" if not name else "results have another use for it"
                raise SettingsError(f"recorded.{key}.{name}: {uses}, give it another name without dots and slashes")
    return RecordedKeys(positions=positions, **{**section, "units": section["units"] | settings.units})


def missing(
    writer: Writer, store: ResultStore, runs: Iterable[Container], *, again: bool = False, killed: Seen | None = None
) -> list[str]:
    """Return the uids of those runs in Tiled that have frames, or a file, and not all their results.

    Parameters
    ----------
    writer : Writer
    store : ResultStore
    runs : iterable of Container
    again : bool
        Whether runs whose analysis failed count too.
    killed : callable, optional
        Returns whether a run without an end has been killed; by default it is still measured.
    """
    done, uids = store.analysed(digest(writer.parameters), again=again), list[str]()
    for run in runs:
        uid = run.path_parts[-1]
        try:
            has_ended = bool(run.metadata.get("stop")) or (killed is not None and killed(uid))
            if has_ended and not writer.has_all(run, done):
                of_file = writer.technique.file_of(run.metadata["start"]) is not None
                uids += [uid] * (of_file or _has(run, writer.keys.image))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            logger.warning("%s is left out, it is not a run: %s: %s", uid, type(error).__name__, error)
    return uids


def _has(run: Container, image: str) -> bool:
    """Return whether a run has this data key."""
    if streams := [*RunReader.streams_of(run)]:
        return any(image in stream.metadata["data_keys"] for _, stream in streams)
    documents = documents_of(run) if run.metadata.get("stop") else ()  # of databroker, which has no such streams
    return any(name == "descriptor" and image in doc["data_keys"] for name, doc in documents)


def catch_up(raw: Container, uids: Iterable[str], take: Take) -> None:
    """Pass the documents of runs in Tiled to `take`, run by run; while Tiled is away, wait."""
    for uid in uids:
        for name, doc in patiently(partial(_documents, raw, uid)):
            take(name, doc)


def _documents(raw: Container, uid: str) -> list[Document]:
    run = raw[uid]
    is_over = bool(run.metadata.get("stop"))
    return [*(documents_of(run) if is_over else RunReader().ended(run, "its session was killed"))]


class AnalysisThread:
    """Analyses runs in a thread of its own and writes their results, which the campaign then answers.

    Parameters
    ----------
    technique : Technique
    store : ResultStore
    client : Container
        Root of the catalog.
    settings : Settings
    campaign : Campaign

    Attributes
    ----------
    jobs : Jobs
    writer : Writer
    worker : Worker
    live : LivePicture
    """

    def __init__(
        self, technique: Technique, store: ResultStore, client: Container, settings: Settings, campaign: Campaign
    ) -> None:
        self._store, self._settings, self._campaign = store, settings, campaign
        self._raw = client["raw"]
        self.jobs, self._backup = Jobs("ainerd-analysis"), settings.storage.unwritten
        self.live = LivePicture(AgentNode(client["ainerd"], settings.name), self.jobs)
        self.writer = writer_of(technique, store, settings, self._raw, has_campaign=True)
        self.worker = Worker(
            self.jobs,
            self.writer,
            begun=campaign.expose,
            answer=campaign.answer,
            steers=lambda: campaign.journal.steers,
            pass_on=campaign.own.submit,
            after_writes=campaign.tiled.write,
            late_s=settings.storage.late_s,
            on_block=self.live.on_block,
        )

    def follow(
        self,
        source: str | Source,
        stop: threading.Event,
        take: Take,
        then: Callable[[str, Mapping[str, object]], None] | None,
        once: bool,
    ) -> None:
        """Pass the documents of a source to `take`, and then to `then`; see `Observer.follow`."""
        source = open_source(source) if isinstance(source, str) else source
        documents = source.documents(Intake(stop, self._raw, self._settings, self._is_analysed, self._given_at, once))
        for name, doc in self._written(documents, stop) if source.writes_runs else documents:
            if not self._campaign.steers:
                return
            take(name, doc)
            if then is not None:
                then(name, doc)

    def _given_at(self, position: Mapping[str, object]) -> str | None:
        return self._campaign.state.given_at(position, self._campaign.rules)

    def write_backup(self) -> None:
        """Write the raw runs that lie in the backup of a `TiledWriter`; see `ainerd.runs.write_backup`."""
        with waiting("writing raw runs of earlier sessions"):
            write_backup(self._raw, self._backup)

    def missing(self, newest: int, *, killed: bool) -> list[str]:
        """Return the uids of the runs in Tiled that have no result, among the `newest`, oldest first.

        With `killed` also those without an end that this session has not seen.
        """
        with waiting("looking for runs that have no result"):
            runs = islice(RunReader.runs_by_time(self._raw, newest_first=True).values(), newest)
            unseen = (lambda uid: not self.worker.knows(uid)) if killed else None
            return missing(self.writer, self._store, runs, killed=unseen)[::-1]

    def _written(self, documents: Iterator[Document], stop: threading.Event) -> Iterator[Document]:
        """Yield documents, and write each run to Tiled after its last one."""
        run = list[Document]()
        for name, doc in documents:
            run.append((name, doc))
            yield name, doc
            if name == "stop":
                self._write_raw(run, stop)
                run = []

    def _write_raw(self, documents: list[Document], stop: threading.Event) -> None:
        """Write a run to Tiled; while Tiled does not answer, wait."""
        while True:
            try:
                with translated():
                    return write_run(self._raw, documents, self._backup)
            except TiledError as error:
                logger.warning("run %s is not written to raw: %s", documents[0][1]["uid"], error)
                if not isinstance(error, Away) or stop.wait(AWAY_S):  # the next start writes it
                    return

    def _is_analysed(self) -> Callable[[Container], bool]:
        """Return a function that returns whether a run in Tiled has all its results at this moment."""
        done = self._store.analysed(digest(self.writer.parameters))
        return lambda run: self.writer.has_all(run, done)
