"""The agent without devices: it takes documents, writes results, and suggests the next position."""

from __future__ import annotations  # so that IPython's ? shows the types as in this file

import logging
import shutil
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import wait
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from bluesky_adaptive.protocols import ID_KEY
from numpy.typing import NDArray
from pydantic import ValidationError
from tiled.client.container import Container
from tiled.queries import Key

from ainerd.agent._analysis import Analysis
from ainerd.agent._display import Display, Sentences, Suggestion, show_progress_of
from ainerd.agent._state import State
from ainerd.agent._webhook import Webhook
from ainerd.campaign import READS, Campaign, Travel
from ainerd.config import Settings
from ainerd.jobs import Jobs, activity, harmless, in_background, waiting
from ainerd.processes import call_before_exit
from ainerd.results import ResultStore, TiledError, commands, digest
from ainerd.runs import parameters_of
from ainerd.sources import Source
from ainerd.technique import Outcome, Technique
from ainerd.views import Logbook, status_panel
from ainerd.words import first_problem, number_of, rendered, run_text, scan_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)
SOON_S = 0.4  # so that `agent` answers within a second at the prompt
AWAY = "does not answer: results wait in memory until it does"


class Observer:
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
        self.name, self.technique, self.review = settings.name, technique, settings.steering.review
        parameters = parameters_of(technique, settings.detector)
        self.results = ResultStore(
            client["ainerd"], agent=self.name, digest=digest(parameters), folder=settings.storage.result_files
        )
        self._client, self._raw, self._settings = client, client["raw"], settings
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
        )
        self._analysis = Analysis(technique, self.results, client, settings, self._campaign)
        self._threads = self._analysis.jobs, self._own, self._tiled
        self._tiled.when_idle(self._campaign.catch_up)
        self._state = State(self.results, technique, self._campaign, self._analysis, settings)
        self._display = Display(self.results, technique, self._campaign, settings)
        self._webhook: Webhook | None = None
        self._is_closed = False

        self._analysis.worker.on_outcome(self._state.commands.execute)  # a script may wait for the next position
        self._analysis.worker.on_outcome(self._state.changed)
        self._analysis.worker.on_outcome(self._show)

    def start(self) -> None:
        """Start the threads, and steer unless another session does. Called once, by `build_observer`."""
        self._state.begin()
        if url := self._settings.webhook.get_secret_value():
            self._webhook = Webhook(url, self.name)
        show_progress_of(self)
        call_before_exit(_close, weakref.ref(self))
        for jobs in self._threads:
            jobs.start()
        self._state.start()

    # runs

    @property
    def steers(self) -> bool:
        """Whether this session steers its agent. If not, another one does, and this one only reads."""
        return self._campaign.steers

    def take_over(self) -> None:
        """Steer from this session, if the one that has steered has ended, or was silent for 30 s.

        Raises RuntimeError, which names that session, if it has not.
        """
        if not self.steers:
            self._state.take_over()
            self._display.say("this session steers from now on")

    @harmless
    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
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
        then: Callable[[str, Mapping[str, Any]], None] | None = None,
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
        ``storage.directory``. Returns the number of runs to analyse at once; `drain` waits for their analysis. If
        another session steers, it does nothing, and the log has a line.
        """
        if not self.steers:
            logger.warning("no run is analysed here, because another session steers: %s", READS)
            return 0
        self._analysis.write_backup()
        return self.analyse(*self._analysis.missing(newest, killed=self._has_engine))

    def analyse(self, *uids: str) -> int:
        """Analyse runs that are in Tiled, by their uids. A run that already has its results is not analysed again.

        Returns the number of runs at once; `drain` waits for their analysis. Raises KeyError if a run is not in Tiled,
        and RuntimeError if another session steers.
        """
        self._campaign.require_steering()
        for name, doc in self._analysis.documents(uids):
            self(name, doc)
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
        """Wait until all runs that have arrived are analysed and written; return False after `timeout_s`."""
        end = time.monotonic() + timeout_s
        with waiting("analysing the runs that have arrived"):
            return all(jobs.drain(max(end - time.monotonic(), 0.0)) for jobs in self._threads)

    @property
    def is_busy(self) -> bool:
        """Whether a run has arrived and its results are not written yet."""
        return self.progress is not None or any(jobs.backlog for jobs in self._threads)

    def close(self) -> None:
        """End the worker after all runs that have arrived are analysed. The interpreter calls this at exit.

        A run whose analysis waits for a calibration is left to the next start.
        """
        if not self._is_closed:
            self._is_closed = True
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
                        "end", f"the session ended: it analysed {runs}; {number_of(new, 'regime')} claimed to be new"
                    )
                self._webhook.close()
            self._state.close()

    # commands at the prompt

    def suggest(self) -> dict[str, Any]:
        """Return the next suggestion without taking it; raise ValueError if no position is left."""
        return Suggestion(self._campaign.peek())

    def accept(self) -> dict[str, Any]:
        """Take the suggestion, to measure it by hand, and return its position, reason and ``_id``.

        Give the run the metadata ``suggestion_id=suggestion["_id"]``, so that the agent assigns the result to it.
        """
        return self._apply(commands.Accept)

    def reject(self, reason: str = "") -> dict[str, Any]:
        """Reject the suggestion and return the next one: ``agent.reject("too near the wall")``.

        Raises ValueError without a reason.
        """
        if not reason.strip():
            raise ValueError('give a reason: agent.reject("too near the wall")')
        rejected = self._campaign.peek()
        position = {name: rejected[name] for name in self._campaign.explorer.names}
        self._apply(commands.Reject, suggestion=rejected[ID_KEY], position=position, why=reason)
        return self.suggest()

    def add(self, *position: float, reason: str = "asked for by a person", **by_name: float) -> dict[str, Any]:
        """Measure here next: ``agent.add(3.0, 7.0)`` or ``agent.add(sample_x=3.0, sample_y=7.0, reason="a scratch")``.

        Points that people asked for before come first; see `queue`.

        Raises
        ------
        ValueError
            If the position is not one number for each actuator, or lies outside the bounds or in an excluded region.
        """
        if position and by_name:
            raise ValueError(f"a position has {', '.join(self._campaign.explorer.names)}, got {position} and {by_name}")
        return self._apply(commands.Add, position=self._campaign.position(by_name or position), why=reason)

    def queue(self) -> pd.DataFrame:
        """Return the points that people took or added, in the order in which they are measured, counted from 1.

        ``by`` is who took or added the point; ``id`` is that of the suggestion.
        """
        names = [*self._campaign.explorer.names]
        rows = [
            {**{name: each[name] for name in (*names, "reason")}, "by": each["taken_by"] or "a person",
             "id": each[ID_KEY]} for each in self._campaign.waiting if each["is_asked"]
        ]  # fmt: skip
        columns = [*names, "reason", "by", "id"]
        return pd.DataFrame(rows, columns=columns, index=pd.RangeIndex(1, len(rows) + 1, name="place"))

    def exclude(self, reason: str = "asked for by a person", **region: tuple[float, float]) -> dict[str, Any]:
        """Never suggest a position in a box again: ``agent.exclude("a crack", sample_x=(2, 3), sample_y=(0, 4))``.

        An actuator that is left out is not limited. Returns the next suggestion.

        Raises
        ------
        ValueError
            If a name is not the name of an actuator, or a limit is invalid.
        """
        self._apply(commands.Exclude, region=region, why=reason)
        return self.suggest()

    def hold(self, reason: str = "") -> None:
        """Hold the campaign: ``agent.hold("the beam is weak")``.

        Until `release`, plans get no new suggestion, and `explore` begins no exposure; the one in progress is finished.
        """
        self._apply(commands.Hold, why=reason)
        self._display.say("held: plans wait until agent.release()")

    def release(self) -> None:
        """Release the campaign, whoever holds it, so that waiting plans continue."""
        self._apply(commands.Release)
        self._display.say("released: plans go on")

    def regimes(self) -> list[str]:
        """Return sentences about the regimes of this campaign."""
        return self._display.regimes()

    def name_regime(self, regime: int, name: str) -> None:
        """Name a regime: ``agent.name_regime(1, "gel")``. An empty name removes the name.

        The page, the figures, the report and the lines at the prompt show the name.

        Raises ValueError if the regime does not exist.
        """
        self._apply(commands.Name, regime=int(regime), name=name)

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Limits of the actuators. They can be set; the agent keeps all results."""
        return self._campaign.window.bounds

    @bounds.setter
    def bounds(self, bounds: Mapping[str, tuple[float, float]]) -> None:
        self._apply(commands.SetBounds, bounds=bounds)

    @property
    def excluded(self) -> list[dict[str, tuple[float, float]]]:
        """Boxes in which no position is suggested. They can be set: ``agent.excluded = []`` removes all."""
        return list(self._campaign.window.excluded)

    @excluded.setter
    def excluded(self, regions: Sequence[dict[str, tuple[float, float]]]) -> None:
        self._apply(commands.SetExcluded, regions=list(regions))

    def _apply(self, kind: Callable[..., commands.Command], **fields: Any) -> dict[str, Any]:
        """Apply a command to the campaign now; raise ValueError if it is invalid, or if the campaign refuses it."""
        try:
            command = kind(**fields)
        except ValidationError as error:
            raise ValueError(first_problem(error)) from None
        answer = self._campaign.apply(command)
        if answer.status == "refused":
            raise ValueError(answer.text)
        self._state.changed()
        return Suggestion(answer.suggestion or {})

    # for bluesky-adaptive

    @property
    def optimizer(self) -> Campaign:
        """The campaign, an `Optimizer` of bluesky-adaptive: it suggests positions and learns from results."""
        return self._campaign

    def evaluate(
        self, uids: Sequence[str], suggestions: Sequence[Mapping[str, Any]], timeout_s: float = 0.0
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

    # for a person to look at

    @property
    def quiet(self) -> bool:
        """Whether to print nothing about results; can be set."""
        return self._display.quiet

    @quiet.setter
    def quiet(self, quiet: bool) -> None:
        self._display.quiet = quiet

    def status(self) -> dict[str, Any]:
        """Return the state of the agent as plain values. ``free_gb`` is the free space of `storage.directory`."""
        directory = self._settings.storage.directory
        disk = next(folder for folder in (directory, *directory.parents) if folder.exists())  # on a server elsewhere
        return {
            "tiled": self._uri,
            "page": self.page,
            "reads": "" if self.steers else self._state.steered_by(),
            **self._display.status(),
            "backlog": self._analysis.worker.backlog,
            "free_gb": shutil.disk_usage(disk).free / 1e9,
            "busy": activity(),
        }

    @property
    def page(self) -> str:
        """The page of the campaign for a browser: a file or an address; empty if the page does not exist."""
        if self._settings.storage.uri:
            base = self._uri.partition("/api/")[0]
            return "/".join([base, "ui", "browse", *self._client.path_parts, "ainerd"])
        page, here = self._settings.storage.directory / "page.html", Path.cwd()
        if not page.exists():
            return ""
        return str(page.relative_to(here) if page.is_relative_to(here) else page)

    def health(self) -> dict[str, Any]:
        """Return the state of the worker, and the number of results.

        ``backlog`` counts the runs that have ended and have no result yet. ``results`` is None while Tiled does not
        answer. ``commands`` is ``alive``, ``dead``, or the work that has kept the agent for more than 30 s from the
        next command.
        """
        results = None
        with suppress(TiledError):
            results = len(self.results) if self.results.answers() else None
        commands = {"commands": self._state.commands.health()}
        return {**self._analysis.worker.health(), **commands, "results": results, "tiled": self._uri}

    def log(self) -> Logbook:
        """Return the log of agent and people, oldest line first, as a DataFrame that prints as a log."""
        return Logbook(self.results.logbook())

    def explain(self, run: str | float | None = None, *, details: bool = False) -> str:
        """Explain why a run is novel or not: ``agent.explain(12)``, and ``agent.explain(12, details=True)``.

        Parameters
        ----------
        run : int, float or str, optional
            The number of a scan, or the first characters of a key. Default: the newest result.
        details : bool
            Whether to add the statistics: p-values, the model of g2, and so on.
        """
        ended = self.results.table().query("status != 'computing'").index
        if run is None and not len(ended):
            return "there is no result yet"
        key = str(ended[-1]) if run is None else self.results.key(run)
        return Sentences(self.results.explain(key, details=details))

    def why(self, run: str | float) -> Sentences:
        """Return the campaign as it was when the position of a run was chosen: ``agent.why(12)``.

        `run` is as for `explain`. Raises ValueError if the run was taken by hand.
        """
        return Sentences(self.results.why(run))

    def note(self, *what: str | float, scan: str | float | None = None) -> None:
        """Write a note on a run: ``agent.note(12, "a bubble")`` or ``agent.note("a bubble", scan=12)``.

        It appears with the result and in the log.

        Parameters
        ----------
        *what
            The run and the text, or the text alone.
        scan : int, float or str, optional
            The run if `what` is the text alone: the number of the scan; ``"12.2"`` for its second event; or the first
            characters of a result's key. Without it, the run of the newest result.

        Raises
        ------
        KeyError
            If there is neither a result nor a run of this name.
        ValueError
            If there is no text.
        """
        self._campaign.require_steering()
        *runs, text = what or ("",)
        if len(runs) + (scan is not None) > 1 or not isinstance(text, str) or not text.strip():
            raise ValueError('a note is a text on a run: agent.note(12, "a bubble") or agent.note("a bubble", scan=12)')
        run = scan if scan is not None else next(iter(runs), None)
        if run is None:
            if (table := self.results.table()).empty:
                raise KeyError("there is no result yet to write a note on")
            run = str(table.index[-1])
        if isinstance(run, Integral) or (isinstance(run, str) and run.isdecimal() and len(run) < 8):
            run = int(run)  # the whole run, with a result or without
            uids = self._raw.search(Key("start.scan_id") == run).sort(("start.time", -1)).keys().head(2)
            if not uids:
                raise KeyError(f"there is no scan {run} in Tiled at {self._uri}")
            if len(uids) > 1:
                raise KeyError(f"there are several scans {run}: give the first characters of a result's key")
            self.results.note(text, raw_uid=uids[0], scan=str(run))
            return
        record = self.results.record(self.results.key(run))
        scan = scan_text(record.scan_id, record.event, record.start.get("file"))
        self.results.note(text, raw_uid=record.raw_uid, scan=scan, result=record.key)

    def plot(self, *, truth: NDArray[Any] | None = None, knobs: Sequence[str] = ()) -> Figure:
        """Return a figure of the campaign as it is now: ``agent.plot().savefig("campaign.png")``.

        It shows the sample with the path, the regimes and the next point; the latent space; novelty and the readings
        of each run; and the technique's pictures of the newest run and of all runs. A notebook shows it as an image.
        The page of the campaign in a browser shows the same and follows the runs.

        Parameters
        ----------
        truth : ndarray of int, shape (ny, nx), optional
            Regions of a simulated sample over the first two actuators; their borders are drawn.
        knobs : sequence of str
            Actuators along x and y of the map of the sample, ``knobs=("sample_x", "temperature")``, and a third one
            of which small maps are drawn. Default: the order of the settings. Of further ones the regimes are those
            at the next position.
        """
        with waiting("drawing"):
            return self._display.figure(truth, knobs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} at {self._uri}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Raise AttributeError, with the name that was probably meant."""
            close = [] if name.startswith("_") else get_close_matches(name, dir(self), 1)  # IPython asks for many
            hint = f", did you mean {close[0]!r}?" if close else ": agent? lists its commands"
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def __dir__(self) -> Iterable[str]:
        return [name for name in super().__dir__() if not name.startswith("_")]

    def __rich__(self) -> Any:
        if self.results.answers(SOON_S):
            return status_panel(self.status())
        backlog = self._analysis.worker.backlog
        return status_panel({"tiled": self._uri, "away": AWAY, "backlog": backlog, "busy": activity()})

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(rendered(self).rstrip())

    # inside

    def _show(self, outcome: Outcome) -> None:
        """Print a line about a result, after what follows from it is written, and before later writes."""
        self._tiled.write(partial(self._display.on_outcome, outcome))

    def _announce(self, event: str, text: str, outcome: Outcome) -> None:
        if self._webhook is not None:
            names = outcome.scan_id, outcome.event, outcome.file
            of = {"scan": scan_text(*names), "run": outcome.raw_uid, "result": outcome.key}
            self._webhook.post(event, f"{text} ({run_text(*names)})", **of)


def _warm_up(technique: Technique) -> None:
    try:
        technique.warm_up()
    except Exception as error:  # the first run will take longer, or give the reason
        logger.warning("not warmed up: %s: %s", type(error).__name__, error)


def _close(reference: weakref.ref[Observer]) -> None:
    observer = reference()
    if observer is None:
        return
    if observer.is_busy:
        print("ainerd: finishing the last runs; Ctrl-C leaves them to the next start", file=sys.stderr, flush=True)
    observer.close()
