"""The commands of a person at the prompt: look at the campaign, and steer it."""

from __future__ import annotations  # so that IPython's ? shows the types as in this file

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError
from tiled.client.container import Container
from tiled.queries import Key

from ainerd.agent._analysis import AnalysisThread
from ainerd.agent._display import Display, Point, Queue, Sentences
from ainerd.agent._guide import NAMES
from ainerd.agent._state import StateWriter
from ainerd.campaign import Campaign
from ainerd.config import Settings
from ainerd.jobs import activity, waiting
from ainerd.processes import whereabouts
from ainerd.results import ResultStore, commands
from ainerd.views import Logbook, status_panel
from ainerd.words import first_problem, place, rendered, run_text, scan_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOON_S = 0.4  # so that `agent` answers within a second at the prompt
AWAY = "does not answer: results wait in memory until it does"


class Prompt:
    """The commands of the prompt. `ainerd.agent.Observer` makes the parts that they use."""

    results: ResultStore
    _client: Container
    _raw: Container
    _settings: Settings
    _uri: str
    _campaign: Campaign
    _analysis: AnalysisThread
    _state: StateWriter
    _display: Display

    @property
    def steers(self) -> bool:
        """Whether this session steers its agent. If not, another one does, and this one only reads."""
        return self._campaign.steers

    # steer

    def suggest(self) -> Point:
        """Return the next suggestion without taking it; raise ValueError if no position is left."""
        return Point(self._campaign.peek().point)

    def accept(self) -> dict[str, Any]:
        """Take the suggestion, to measure it by hand, and return its position, reason and ``_id``.

        Give the run the metadata ``suggestion_id=suggestion["_id"]``, so that the agent assigns the result to it.
        """
        return self._apply(commands.Accept)[0]

    def reject(self, reason: str = "") -> Point:
        """Reject the suggestion and return the next one: ``agent.reject("too near the wall")``.

        Raises ValueError without a reason.
        """
        if not str(reason).strip():
            raise ValueError('give a reason: agent.reject("too near the wall")')
        rejected = self._campaign.peek()
        self._apply(commands.Reject, suggestion=rejected.id, position=rejected.position, why=reason)
        self._display.say(f"rejected {place(rejected.position, self._settings.units)}: {rejected.reason}")
        return self.suggest()

    def add(self, *position: float, reason: str = "", **by_name: float) -> dict[str, Any]:
        """Measure here next: ``agent.add(3.0, 7.0)`` or ``agent.add(sample_x=3.0, sample_y=7.0, reason="a scratch")``.

        Points that people asked for before come first; see `queue`.

        Raises
        ------
        ValueError
            If the position is not one number for each actuator, or lies outside the bounds or in an excluded region.
        """
        if position and by_name:
            raise ValueError(f"a position has {', '.join(self._campaign.rules.names)}, got {position} and {by_name}")
        return self._apply(commands.Add, position=self._campaign.position(by_name or position), why=reason)[0]

    def queue(self) -> pd.DataFrame:
        """Return the points that people took or added, in the order in which they are measured, counted from 1.

        ``by`` is who took or added the point; ``id`` is that of the suggestion.
        """
        names = [*self._campaign.rules.names]
        rows = [
            {**each.suggestion.position, "reason": each.suggestion.reason, "by": each.taken_by or each.added_by,
             "id": each.id} for each in self._campaign.state.waiting if each.created
        ]  # fmt: skip
        columns = [*names, "reason", "by", "id"]
        return Queue(rows, columns=columns, index=pd.RangeIndex(1, len(rows) + 1, name="place"))

    def exclude(self, reason: str = "", **region: tuple[float, float]) -> dict[str, Any]:
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

    def leave_out(self, run: str | float, reason: str) -> None:
        """Leave a spoilt exposure out: ``agent.leave_out(12, "a bubble")``; `undo` takes it back in.

        It stays in Tiled and, marked, in the table. Regimes, references of novelty and the map are made without it.

        Parameters
        ----------
        run : int, float or str
            As for `explain`.
        reason : str

        Raises
        ------
        KeyError
            If there is no such result.
        ValueError
            If it has no numbers, is left out already, or no reason is given.
        """
        record = self.results.record(run)
        name = run_text(record.metadata())
        _, answer = self._apply(commands.LeaveOut, result=record.key, name=name, why=reason)
        self._display.say(f"{name} is left out: {answer}")

    def undo(self) -> None:
        """Take back the last decision: `exclude`, `leave_out`, `name`, or changed bounds and regions.

        Raises ValueError if there is none.
        """
        self._display.say(self._apply(commands.Undo)[1])

    def regimes(self) -> list[str]:
        """Return sentences about the regimes of this campaign."""
        return self._display.regimes()

    def name(self, regime: int, name: str) -> None:
        """Name a regime: ``agent.name(1, "gel")``. An empty name removes the name.

        The regime has this name on every screen from now on, as long as it keeps its number, and in tables and Tiled.

        Raises ValueError if the regime does not exist.
        """
        self._apply(commands.Name, regime=int(regime), name=name)
        self._display.say(f"regime {regime} is called {name!r}" if name else f"regime {regime} has no name")

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Limits of the actuators. They can be set; the agent keeps all results."""
        return self._campaign.state.window.bounds

    @bounds.setter
    def bounds(self, bounds: Mapping[str, tuple[float, float]]) -> None:
        self._apply(commands.SetBounds, bounds=bounds)

    @property
    def excluded(self) -> list[dict[str, tuple[float, float]]]:
        """Boxes in which no position is suggested. They can be set: ``agent.excluded = []`` removes all."""
        return list(self._campaign.state.window.excluded)

    @excluded.setter
    def excluded(self, regions: Sequence[dict[str, tuple[float, float]]]) -> None:
        self._apply(commands.SetExcluded, regions=list(regions))

    def _apply(self, kind: Callable[..., commands.Command], **fields: Any) -> tuple[Point, str]:
        """Apply a command to the campaign now, and return its point and its answer.

        Raises ValueError if it is invalid, or if the campaign refuses it.
        """
        if not isinstance(reason := fields.get("why", ""), str):
            raise ValueError(f"a reason is a text in quotes, got {reason!r}")
        try:
            command = kind(by=whereabouts()["user"], **fields)
        except ValidationError as error:
            raise ValueError(first_problem(error)) from None
        answer = self._campaign.apply(command)
        if answer.status == "refused":
            raise ValueError(answer.text)
        self._state.changed()
        return Point({} if answer.suggestion is None else answer.suggestion.point), answer.text

    # look

    @property
    def quiet(self) -> bool:
        """Whether to print nothing about results; can be set."""
        return self._display.quiet

    @quiet.setter
    def quiet(self, quiet: bool) -> None:
        self._display.quiet = quiet

    def status(self) -> dict[str, Any]:
        """Return the state of the agent as plain values.

        ``free_gb`` is the free space of `storage.directory`. ``backlog`` counts the runs that have ended and have no
        result yet, ``lag_s`` is how long the first of them waits.
        """
        directory = self._settings.storage.directory
        disk = next(folder for folder in (directory, *directory.parents) if folder.exists())  # on a server elsewhere
        return {
            "tiled": self._uri,
            "page": self.page,
            "reads": "" if self.steers else self._state.steered_by(),
            **self._display.status(),
            **self._analysis.worker.health(),
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
        return Sentences(self.results.explain(str(ended[-1]) if run is None else run, details=details))

    def why(self, run: str | float) -> Sentences:
        """Return the campaign as it was when the position of a run was chosen: ``agent.why(12)``.

        `run` is as for `explain`. Raises ValueError if the run was taken by hand.
        """
        return Sentences(self.results.why(run))

    def note(self, text: str, scan: str | float | None = None) -> None:
        """Write a note on a run: ``agent.note("a bubble", scan=12)``. It appears with the result and in the log.

        Parameters
        ----------
        text : str
        scan : int, float or str, optional
            The number of the scan; ``"12.2"`` for its second event; or the first characters of a result's key. Without
            it, the run of the newest result.

        Raises
        ------
        KeyError
            If there is neither a result nor a run of this name.
        ValueError
            If there is no text.
        """
        self._campaign.require_steering()
        if not isinstance(text, str) or not text.strip():
            raise ValueError('a note is a text: agent.note("a bubble", scan=12)')
        if scan is None:
            if (table := self.results.table()).empty:
                raise KeyError("there is no result yet to write a note on")
            scan = str(table.index[-1])
        if isinstance(scan, Integral) or (isinstance(scan, str) and scan.isdecimal() and len(scan) < 8):
            scan = int(scan)  # the whole run, with a result or without
            uids = self._raw.search(Key("start.scan_id") == scan).keys().head(2)
            if not uids:
                raise KeyError(f"there is no scan {scan} in Tiled at {self._uri}")
            if len(uids) > 1:
                raise KeyError(f"there are several scans {scan}: give the first characters of a result's key")
            of: dict[str, Any] = {"raw_uid": uids[0], "scan": str(scan)}
        else:
            record = self.results.record(scan)
            of = {"raw_uid": record.raw_uid, "scan": scan_text(record.metadata()), "result": record.key}
        self.results.note(text, by=whereabouts()["user"], **of)
        self._display.say(f"noted on scan {of['scan']}: {text}")

    def plot(self, *, truth: NDArray[Any] | None = None) -> Figure:
        """Return a figure of the campaign as it is now: ``agent.plot().savefig("campaign.png")``.

        It shows the sample with the path, the regimes and the next point; the latent space; novelty and the readings
        of each run; and the technique's pictures of the newest run and of all runs. A notebook shows it as an image.
        The page of the campaign in a browser shows the same and follows the runs.

        Parameters
        ----------
        truth : ndarray of int, shape (ny, nx), optional
            Regions of a simulated sample over the first two actuators; their borders are drawn.
        """
        with waiting("drawing"):
            return self._display.figure(truth)

    @property
    def __signature__(self) -> None:
        """Raise ValueError: an agent takes documents, but `agent?` is for people."""
        raise ValueError("an agent is called by a RunEngine")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._settings.name!r} at {self._uri}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Raise AttributeError, with the name that was probably meant."""
            close = [] if name.startswith("_") else get_close_matches(name, NAMES, 1)  # IPython asks for many
            hint = f", did you mean {close[0]!r}?" if close else ": agent? lists its commands"
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def __dir__(self) -> Iterable[str]:
        return NAMES

    def __rich__(self) -> object:
        if self.results.answers(SOON_S):
            return status_panel(self.status())
        backlog = self._analysis.worker.backlog
        return status_panel({"tiled": self._uri, "away": AWAY, "backlog": backlog, "busy": activity()})

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(rendered(self).rstrip())
