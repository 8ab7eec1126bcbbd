"""What a person sees of an agent: its state, a line for each run, and the campaign's figure."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rich.text import Text

from ainerd.agent._saying import say
from ainerd.campaign import Campaign, terms_of
from ainerd.results import ResultStore, scan_text
from ainerd.runs import Outcome
from ainerd.technique import Technique
from ainerd.views import LiveFigure, Next, Scene, SceneReader, run_line, save_panel
from ainerd.words import printable


class Display:
    """Puts together what results and campaign tell.

    The agent's `name` is the figure's title, `units` are those of its actuators.
    """

    def __init__(
        self,
        results: ResultStore,
        technique: Technique,
        campaign: Campaign,
        reader: SceneReader,
        *,
        name: str,
        units: Mapping[str, str],
    ) -> None:
        self._results, self._technique, self._campaign, self._reader, self._name, self._units = (
            results, technique, campaign, reader, name, units
        )  # fmt: skip
        self._truth: NDArray[Any] | None = None
        self._live: LiveFigure | None = None

    def status(self) -> dict[str, Any]:
        """Results, regimes, and the next position, as plain numbers and words."""
        table = self._results.table()
        regimes, following = self._campaign.regimes, self._following()
        return {
            "results": len(table),
            "failed": int((table["status"] == "failed").sum()),
            "novel": int(table["novel"].fillna(False).sum()),
            "expected_false": self._technique.alpha * int(table["novelty_p"].notna().sum()),
            "regimes": regimes.n_regimes if regimes else 0,
            "supported_range": regimes.supported_range if regimes else (0, 0),
            "next": following.position,
            "units": self._units,
            "why": following.reason,
            "explored": self._campaign.should_stop()[1],
        }

    def announce(self, outcome: Outcome) -> None:
        """Print a line on a run, and advice if there is any."""
        following = self._following()
        line = run_line(
            scan_text(outcome.scan_id, outcome.event),
            regime=outcome.regime,
            novelty_p=outcome.novelty_p,
            novel=bool(outcome.novel),
            reason=outcome.reason or None,
            growing=outcome.status == "growing",
            next_point=following.position,
            units=self._units,
            why=following.reason,
        )
        say(line, *([Text(printable(self._campaign.advice), "yellow")] if self._campaign.advice else []))

    def panel(self, panel: str, path: str | Path, width_mm: float) -> Path:
        """One panel of the campaign's figure, to a file."""
        return save_panel(self._scene(), panel, path, width_mm=width_mm)

    def figure(self, truth: NDArray[Any] | None, style: str) -> LiveFigure:
        """The campaign's figure, drawn now."""
        self._truth = truth
        if self._live is None or not self._live.is_open or self._live.style != style:
            self._live = LiveFigure(self._scene, self._name, style)
        self._live.update()
        self._live.refresh()
        return self._live

    def redraw(self, defer: Callable[[Callable[[], None]], None]) -> None:
        """Have the figure, if there is one, brought up to date by the worker."""
        if self._live is not None:
            defer(self._live.update)

    def _scene(self) -> Scene:
        following = self._following()
        return self._reader.read(
            following=following if following.position else None, belief=self._campaign.map(), truth=self._truth
        )

    def _following(self) -> Next:
        """Where the next run will be, and why; no position if none is left."""
        try:
            suggestion = self._campaign.peek()
        except ValueError as err:
            return Next(position={}, reason=str(err))
        names = self._campaign.names
        position = {name: float(suggestion[name]) for name in names}
        return Next(position=position, reason=suggestion["reason"], terms=terms_of(suggestion, names))
