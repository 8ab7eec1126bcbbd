"""Output at the terminal: a line for each result, the progress of a run, tables, help, plans; figure and report."""

import logging
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import pandas as pd
from bluesky.utils import DefaultDuringTask, Plan
from numpy.typing import NDArray
from rich import get_console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ainerd.campaign import Campaign, sentences
from ainerd.config import Settings
from ainerd.jobs import activity
from ainerd.results import Result, ResultStore
from ainerd.technique import Technique
from ainerd.views import Next, kinds_of, read_scene, run_line
from ainerd.words import number_of, printable, regime_names, sender

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

TICK_S = 0.2  # between two updates of the progress line


class Display:
    """Shows results and the campaign to a person.

    Parameters
    ----------
    results : ResultStore
    technique : Technique
    campaign : Campaign
    settings : Settings
        Limits of the sample map, and units.

    Attributes
    ----------
    quiet : bool
        Whether to print nothing.
    """

    def __init__(self, results: ResultStore, technique: Technique, campaign: Campaign, settings: Settings) -> None:
        self._results, self._technique, self._campaign = results, technique, campaign
        self._units, self.quiet = settings.units, False
        self._bounds = settings.steering.bounds

    def status(self) -> dict[str, Any]:
        """Return numbers of results and regimes, who holds, and the next position, as plain values."""
        table, (novel, n_claims) = self._results.table(), self._results.n_novel()
        regimes, following, held = self._campaign.atlas.regimes, self._following(), self._campaign.state.held
        return {
            "results": int((table["status"] != "computing").sum()),
            "failed": int((table["status"] == "failed").sum()),
            "novel": novel,
            "expected_false": self._technique.alpha * n_claims,
            "regimes": regimes.n_regimes if regimes else 0,
            "supported_range": regimes.supported_range if regimes else (0, 0),
            "held": "" if held is None else f"{sender(held.by)}{': ' * bool(held.why)}{held.why}",
            "queue": sum(bool(each.created) for each in self._campaign.state.waiting),
            "next": following.position,
            "units": self._units,
            "why": following.reason,
            "explored": self._campaign.should_stop()[1],
        }

    def regimes(self) -> list[str]:
        """Return a sentence for each component of regimes, and the sentences about all of them."""
        table, claims, lines = self._results.table(), self._campaign.claims.discoveries, []
        groups, n = self._campaign.atlas.components.groups, table["regime"].value_counts()
        kinds, given = self._kinds(), self._campaign.state.names
        for group in groups:
            exposures = number_of(sum(int(n.get(regime, 0)) for regime in group), "exposure")
            parts = [f"{regime_names(group, given)}: {exposures}"]
            parts += [] if (kind := kinds.get(group[0])) is None else [kind]
            parts += [f"new, p = {claims[regime]:.2g}" for regime in group if regime in claims]
            lines.append(", ".join(parts))
        return [*lines, *sentences(self._campaign.atlas.components, given)]

    def say(self, text: str) -> None:
        """Print a line."""
        if not self.quiet:
            say(text)

    def on_outcome(self, outcome: Result) -> None:
        """Print a line for the result and the advice of the campaign."""
        if self.quiet:
            return
        following, advice = self._following(), self._campaign.advice
        names = self._campaign.state.names
        say(
            run_line(self._campaign.shown(outcome), following, self._units, names),
            *([Text(printable(advice), "yellow")] if advice else []),
        )

    def figure(self, truth: NDArray[Any] | None) -> "Figure":
        """Draw the figure of the campaign and return it."""
        from ainerd.views import campaign_figure

        following, belief = self._following(), self._campaign.map()
        scene = read_scene(
            self._results,
            self._technique,
            self._bounds,
            following=following if following.position else None,
            belief=None if belief is None else belief.along([*self._bounds][:2], following.position),
            truth=truth,
            kinds=self._kinds(),
            names=self._campaign.state.names,
        )
        return campaign_figure(scene)

    def _kinds(self) -> dict[int, str]:
        new, groups = [*self._campaign.claims.discoveries], self._campaign.atlas.components.groups
        return kinds_of(self._results, new, groups)

    def _following(self) -> Next:
        """Return the position of the next run and its reason; the position is empty if no position is left."""
        try:
            suggestion = self._campaign.peek()
        except ValueError as error:
            return Next(position={}, reason=str(error))
        return Next(position=suggestion.position, reason=suggestion.reason)


class Sentences(str):
    """Sentences that the prompt shows without quotes, one in a line."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self.replace(". ", ".\n"))


class Queue(pd.DataFrame):
    """Points that wait, as a table."""

    def __repr__(self) -> str:
        return "no point of a person waits" if self.empty else super().__repr__()


class Point(dict[str, Any]):
    """A suggestion as a point of bluesky-adaptive; the prompt shows it up to the reason, with four digits."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        shown = [*self][: [*self].index("reason") + 1] if "reason" in self else [*self]
        printer.pretty({x: float(f"{self[x]:.4g}") if isinstance(self[x], float) else self[x] for x in shown})


class WhileRunning(DefaultDuringTask):
    """A during task that shows the progress of a run: ``RunEngine(during_task=WhileRunning())``.

    While the RunEngine is busy, the task counts analysed frames on the last line of the terminal. At the prompt, also
    while a plan is paused, and in a notebook it writes nothing. With a Qt backend the main thread runs Qt's event loop,
    as in bluesky's own during task.

    Examples
    --------
    >>> from bluesky import RunEngine
    >>> from bluesky.plans import count
    >>> engine = RunEngine({}, during_task=WhileRunning(), context_managers=[], loop=RE.loop)  # beside RE
    >>> uids = engine(count([camera], 3))
    >>> len(uids)
    1
    """

    def block(self, blocking_event: threading.Event) -> None:
        """Wait until the plan has finished or pauses."""
        with _progress_line():
            super().block(blocking_event)  # type: ignore[no-untyped-call]


_counting: "WeakSet[Any]" = WeakSet()


def show_progress_of(agent: Any) -> None:
    """Show the number of analysed frames of an agent while the RunEngine is busy, unless the agent is `quiet`."""
    _counting.add(agent)


@contextmanager
def _progress_line() -> Iterator[None]:
    console = get_console()  # its output appears above the line
    if not console.is_terminal or console.is_jupyter or all(agent.quiet for agent in _counting):
        yield
        return
    with Live(console=console, get_renderable=_progress, refresh_per_second=1 / TICK_S, transient=True):
        yield


def _progress() -> Table | Text:
    """Return a progress bar for the run in progress; empty text between runs."""
    for agent in list(_counting):
        if not agent.quiet and (progress := agent.progress) is not None:
            read, expected = progress
            frames = f"{read} of {expected} frames" if expected is not None else f"{read} frames"
            if doing := activity():  # without the bar it fits on one line
                return Text(f"analysed {frames}; {doing}", no_wrap=True, overflow="ellipsis")
            line = Table.grid(padding=(0, 1))
            line.add_row("analysed", ProgressBar(expected, read, width=30), frames)
            return line
    return Text(activity())


def say(*lines: object) -> None:
    """Print lines from any thread; IPython moves its prompt below them."""
    with suppress(OSError, ValueError):  # a closed terminal must not end the worker
        for line in lines:
            get_console().print(line)


class AgentPlan(Plan):
    """A bluesky `Plan`, which warns if it is not used. At the prompt it shows how to run it, and then does not warn."""

    def __init__(self, call: str, messages: Generator[object, object, object]) -> None:
        def plan() -> Generator[object, object, object]:
            return messages

        plan.__name__ = call
        super().__init__(plan)
        self.call = call
        self._stack = [f"plan `{call}` was not run, nothing is measured: RE({call}) runs it"]

    def __repr__(self) -> str:
        self._stack.clear()
        return f"<a plan, nothing is measured yet: RE({self.call})>"
