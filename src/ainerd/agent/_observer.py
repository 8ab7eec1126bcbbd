"""The agent without devices: it takes documents, writes results, and suggests the next position."""

from __future__ import annotations  # so that IPython's ? shows the types as in this file

import logging
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from functools import partial
from typing import Any, ClassVar

import numpy as np
from bluesky_adaptive.protocols import ID_KEY
from tiled.client.container import Container

from ainerd.agent._analysis import AnalysisThread, catch_up
from ainerd.agent._display import Display, show_progress_of
from ainerd.agent._patiently import patiently
from ainerd.agent._prompt import Prompt
from ainerd.agent._state import StateWriter
from ainerd.agent._webhook import Webhook
from ainerd.campaign import READS, Campaign, Travel
from ainerd.config import Settings
from ainerd.jobs import Jobs, activity, harmless, in_background, waiting
from ainerd.processes import call_before_exit
from ainerd.results import Result, ResultStore, digest
from ainerd.runs import parameters_of, start_documents
from ainerd.sources import Source
from ainerd.technique import Technique
from ainerd.words import number_of, run_text, scan_text

logger = logging.getLogger(__name__)


class Observer(Prompt):
    """Analyses runs from any source, writes results to Tiled, and keeps a suggestion ready there.

    Made by `ainerd.agent.build_observer`; ``ainerd watch`` runs one in a separate process. `ainerd.agent.Agent` is
    an observer with devices. An observer does nothing before `start`.

    Parameters
    ----------
    technique : Technique
    client : tiled.client.container.Container
        Catalog with the containers ``raw`` and ``ainerd``; see `ainerd.server.open_catalog`.
    settings : Settings
    travel : (TravelTime, float), optional
        As for `ainerd.campaign.Campaign`.

    Examples
    --------
    >>> client, close = open_tiled(settings.storage)
    >>> observer = build_observer(settings, client)
    >>> observer.quiet = True
    >>> observer.analyse()  # runs in the catalog without a result
    0
    >>> for name, document in documents:
    ...     observer(name, document)
    >>> observer.drain()
    True
    >>> observer.note("a bubble")
    >>> observer.results.search(text="bubble")["scan_id"].tolist()
    [1]
    >>> _ = observer.exclude(sample_x=(2.0, 4.0))
    >>> observer.excluded
    [{'sample_x': (2.0, 4.0)}]
    >>> observer.close()
    >>> close()
    """

    _has_engine: ClassVar[bool] = False  # whether the runs of its detector are of this session

    def __init__(
        self, technique: Technique, client: Container, settings: Settings, travel: Travel | None = None
    ) -> None:
        self.technique, self.review = technique, settings.steering.review
        parameters = parameters_of(technique, settings.detector)
        self.results = ResultStore(
            client["ainerd"],
            agent=settings.name,
            digest=digest(parameters),
            folder=settings.storage.result_files,
            seen_as=settings.storage.results_seen_as,
        )
        self._client, self._raw, self._settings = client, client["raw"], settings
        self._starts = partial(start_documents, self._raw, settings.storage.unwritten)
        self._uri = str(client.context.api_uri)

        self._own, self._tiled = Jobs("ainerd-campaign"), Jobs("ainerd-catalog")
        self._campaign = Campaign(
            technique,
            self.results,
            settings.steering,
            self._own,
            self._tiled,
            unit=settings.unit,
            travel=travel,
            announce=self._announce,
            starts=self._starts,
        )
        self._analysis = AnalysisThread(technique, self.results, client, settings, self._campaign)
        self._threads = self._analysis.jobs, self._own, self._tiled
        self._tiled.when_idle(self._campaign.journal.catch_up)
        self._state = StateWriter(self.results, technique, self._campaign, self._analysis, settings)
        self._display = Display(self.results, technique, self._campaign, settings)
        self._webhook: Webhook | None = None
        self._is_closed = False

        self._analysis.worker.on_outcome(self._state.changed)
        # a line is printed after what follows from its result is written, and before later writes
        self._analysis.worker.on_outcome(lambda each: self._tiled.write(partial(self._display.on_outcome, each)))

    def start(self) -> None:
        """Start the threads, and steer unless another session does. Called once, by `build_observer`."""
        self._state.begin()
        if url := self._settings.webhook.get_secret_value():
            self._webhook = Webhook(url, self._settings.name)
        show_progress_of(self)
        call_before_exit(_close, weakref.ref(self))
        for jobs in self._threads:
            jobs.start()
        self._state.start()

    # runs

    def take_over(self) -> None:
        """Steer from this session, if the one that has steered has ended, or was silent for 30 s.

        Raises RuntimeError, which names that session, if it has not.
        """
        if not self.steers:
            self._state.take_over()
            self._display.say("this session steers from now on")

    @harmless
    def __call__(self, name: str, doc: Mapping[str, object]) -> None:
        """Take a document from any source, and return at once. A run that already has its results is not analysed.

        If another session steers, the run is left to that one, with a line in the log.
        """
        if not self.steers:
            if name == "start":
                logger.warning("a run is not analysed here, because another session steers: %s", READS)
            return
        self._analysis.worker(name, doc)
        if name == "start" and isinstance(id := doc.get("suggestion_id"), str):
            self._own.submit(partial(self._campaign.begun, id))
        if name == "stop":  # a script may ask for the next position now
            self._state.commands.wake()

    def follow(
        self,
        source: str | Source,
        stop: threading.Event,
        *,
        then: Callable[[str, Mapping[str, object]], None] | None = None,
        once: bool = False,
    ) -> None:
        """Take the documents of a source until `stop` is set or it ends; see `ainerd.sources.open_source`.

        With `once`, catalogs and folders end when they have nothing new.

        With ``tiled`` and ``folder:PATH``, runs that already have their results are skipped, so that a restart
        continues. Runs that nobody else writes to the catalog, such as those of a folder, are written there. After the
        agent, `then` gets each document as well. Raises RuntimeError if another session steers; if one takes over, it
        ends with the next document.
        """
        self._campaign.require_steering()
        self._analysis.follow(source, stop, self, then, once)

    def catch_up(self, newest: int = 100) -> int:
        """Analyse the finished runs in Tiled that have no result, among the `newest` runs, oldest first.

        An `Agent` also analyses runs without an end that it has not seen: their session was killed.

        Before, write the raw runs to Tiled that a `TiledWriter` left in its backup directory ``unwritten``, in
        ``storage.directory``. Returns the number of runs to analyse at once; `drain` waits for their analysis. While
        Tiled is away, it waits. If another session steers, it does nothing, and the log has a line.
        """
        if not self.steers:
            logger.warning("no run is analysed here, because another session steers: %s", READS)
            return 0
        patiently(self._analysis.write_backup)
        uids = patiently(partial(self._analysis.missing, newest, killed=self._has_engine))
        catch_up(self._raw, uids, self)
        return len(uids)

    def analyse(self, *uids: str) -> int:
        """Analyse runs that are in Tiled, by their uids. A run that already has its results is not analysed again.

        Returns the number of runs at once; `drain` waits for their analysis. Raises KeyError if a run is not in Tiled,
        and RuntimeError if another session steers.
        """
        self._campaign.require_steering()
        if lost := [uid for uid in uids if uid not in self._raw]:
            raise KeyError(f"no run {lost[0]!r} in Tiled at {self._uri}")
        catch_up(self._raw, uids, self)
        return len(uids)

    def warm_up(self) -> None:
        """Prepare the technique in the background, so that the first run is not slow."""
        in_background("ainerd-warm-up", partial(_warm_up, self.technique))

    def close_series(self, value: str) -> bool:
        """Close a series of runs and complete its result. Return False if no result of this series is growing.

        Raises ValueError if the technique's unit is not a series, and RuntimeError if another session steers.
        """
        self._campaign.require_steering()
        return self._analysis.worker.close_series(value).result()

    @property
    def concluded(self) -> int:
        """Number of runs that got a result, complete or failed, since the agent was built."""
        return self._analysis.worker.concluded

    @property
    def progress(self) -> tuple[int, int | None] | None:
        """Number of frames analysed and expected in the run in progress; None between runs."""
        return self._analysis.worker.progress

    def drain(self, timeout_s: float = 60.0) -> bool:
        """Wait until all runs that have arrived are analysed and written.

        If they are not after `timeout_s`, print what still runs and return False.
        """
        end = time.monotonic() + timeout_s
        with waiting("analysing the runs that have arrived"):
            is_done = all(jobs.drain(max(end - time.monotonic(), 0.0)) for jobs in self._threads)
        if not is_done:
            goes_on = activity() or f"{number_of(self._analysis.worker.backlog, 'run')} without a result"
            print(f"ainerd: not finished after {timeout_s:g} s: {goes_on}; drain again", file=sys.stderr, flush=True)
        return is_done

    def close(self) -> None:
        """End the worker after all runs that have arrived are analysed. The interpreter calls this at exit.

        A run whose analysis waits for a calibration is left to the next start.
        """
        if not self._is_closed:
            self._is_closed = True
            if self.progress is not None or any(jobs.backlog for jobs in self._threads):
                print(
                    "ainerd: finishing the last runs; Ctrl-C leaves them to the next start", file=sys.stderr, flush=True
                )
            self._analysis.worker.close()
            self._own.submit(self._campaign.end)
            for jobs in (self._own, self._tiled):
                jobs.close()
            if any(jobs.is_alive for jobs in self._threads):
                why = activity().partition(" (")[0] or "Tiled is slow"
                print(f"ainerd: the last runs are left to the next start: {why}", file=sys.stderr)
            if self._webhook is not None:
                if self.steers:
                    runs, new = number_of(self.concluded, "run"), len(self._campaign.claims.discoveries)
                    self._webhook.post(
                        "end", f"the session ended: it analysed {runs}; {number_of(new, 'regime')} called new"
                    )
                self._webhook.close()
            self._state.close()

    # for bluesky-adaptive

    @property
    def optimizer(self) -> Campaign:
        """The campaign, an `Optimizer` of bluesky-adaptive: it suggests positions and learns from results."""
        return self._campaign

    def evaluate(
        self, uids: Sequence[str], suggestions: Sequence[Mapping[str, object]], timeout_s: float = 0.0
    ) -> list[dict[str, Any]]:
        """Return the outcomes of suggested runs, always with the same keys; values are NaN after `timeout_s`.

        For a run with several results, this is the first result that has an embedding. A run without the detector has
        no result, and is reported.
        """
        futures = [self._analysis.worker.outcomes(uid) for uid in uids]
        wait(futures, timeout_s)
        outcomes = []
        for uid, future, suggestion in zip(uids, futures, suggestions, strict=True):
            nothing = {"embedding": np.full(self.technique.embedding_size, np.nan), "novelty_p": np.nan, "regime": -1}
            results = future.result() if future.done() else []
            if future.done() and not results and self.steers:
                logger.warning(
                    "run %s has no result, because it has no data key %r: correct detector.image in the settings, or "
                    'measure with that detector. client["raw"][%r] has the data keys of the run',
                    uid[:8], self._settings.detector.image, uid,
                )  # fmt: skip
            outcome = next((each for each in results if each.embedding is not None), None)
            values = {name: getattr(outcome, name, None) for name in nothing}
            known = {name: value for name, value in values.items() if value is not None}
            outcomes.append({ID_KEY: suggestion[ID_KEY], **nothing, **known})
        return outcomes

    # inside

    def _announce(self, event: str, text: str, outcome: Result) -> None:
        if self._webhook is not None:
            of = {"scan": scan_text(outcome.names), "run": outcome.raw_uid, "result": outcome.key}
            self._webhook.post(event, f"{text} ({run_text(outcome.names)})", **of)


def _warm_up(technique: Technique) -> None:
    try:
        technique.warm_up()
    except Exception as error:  # the first run will take longer, or give the reason
        logger.warning("not warmed up: %s: %s", type(error).__name__, error)


def _close(reference: weakref.ref[Observer]) -> None:
    if (observer := reference()) is not None:
        observer.close()
