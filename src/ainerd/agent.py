"""The object a person talks to."""

from __future__ import annotations  # so that IPython's ? shows types as they are written here

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine
from bluesky.callbacks.buffer import BufferingWrapper
from bluesky.utils import MsgGenerator
from bluesky_adaptive.plans import optimize
from bluesky_adaptive.protocols import ID_KEY, OptimizationProblem
from bluesky_tiled_plugins import TiledWriter
from numpy.typing import NDArray
from rich import get_console
from rich.console import Console
from tiled.client.container import Container
from tiled.queries import KeyPresent

from ainerd.campaign import Campaign
from ainerd.documents import DetectorKeys, documents_of
from ainerd.results import ResultStore, result_key
from ainerd.steering import visit
from ainerd.technique import Technique
from ainerd.views import LiveFigure, Logbook, Next, Scene, SceneReader, run_line, show_progress_of, status_panel
from ainerd.watch import Outcome, Wanted, Watch

BATCH = 20  # documents TiledWriter takes at a time: what keeps up with a 50 Hz monitor


class Agent:
    """Watches runs, says what they are, and suggests where to measure next.

    Built by `ainerd.instrument.build_agent`. Once attached to a RunEngine it analyses every run that has the detector
    in it; with ``RE(agent.explore(n))`` it also drives.

    Parameters
    ----------
    technique : Technique
    client : tiled.client.container.Container
        With the containers ``raw`` and ``ainerd``; see `ainerd.server.open_catalog`.
    detector, actuators, beside, monitored
        Devices: what takes frames, what moves the sample, what is read once a run, and signals recorded during it.
    shutter, before
        Shutter of the exposures, and a plan before each of them; see `ainerd.steering.visit`.
    keys : DetectorKeys
    wanted : Wanted
    roots : sequence of Path
        Folders frames may be read from.
    bounds : mapping of str to (float, float)
        Limits of the actuators.
    backup : Path
        Folder for the documents of runs that Tiled did not take.
    name : str
    **explorer
        Options of `ainerd.steering.Explorer`.
    """

    def __init__(
        self,
        technique: Technique,
        client: Container,
        *,
        detector: Any,
        actuators: Sequence[Any],
        beside: Sequence[Any] = (),
        monitored: Sequence[Any] = (),
        shutter: Any = None,
        before: Callable[[], MsgGenerator[Any]] | None = None,
        keys: DetectorKeys,
        wanted: Wanted,
        roots: Sequence[Path],
        bounds: Mapping[str, tuple[float, float]],
        backup: Path,
        name: str,
        **explorer: Any,
    ) -> None:
        missing = set(bounds) ^ {actuator.name for actuator in actuators}
        if missing:
            raise ValueError(
                f"bounds and actuators must have the same names, these differ: {', '.join(sorted(missing))}"
            )
        self.name, self.technique = name, technique
        self.results = ResultStore(client["ainerd"])
        self._raw, self._uri, self._backup = client["raw"], str(client.context.api_uri), backup
        self._detector, self._actuators = detector, tuple(actuators)
        self._bounds, self._keys = dict(bounds), keys
        self._campaign = Campaign(
            technique, self.results, bounds=bounds, defer=lambda job: self._watch.submit(job), **explorer
        )
        self._watch = Watch(
            technique,
            self.results,
            keys=keys,
            wanted=wanted,
            roots=roots,
            listener=self._campaign,
            agent=name,
            on_outcome=self._announce,
        )
        self._acquire = visit(self._watch.outcome, beside=beside, monitored=monitored, shutter=shutter, before=before)
        self._attached: tuple[RunEngine, list[int], BufferingWrapper] | None = None
        self._reader = SceneReader(self.results, technique, bounds, series=next(iter(wanted.series), ""))
        self._truth: NDArray[Any] | None = None
        self._live: LiveFigure | None = None
        self.quiet = False
        show_progress_of(self)

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take a document from anywhere; returns at once.

        A run that has its complete result already changes nothing.
        """
        self._watch(name, doc)

    def attach(self, RE: RunEngine) -> None:
        """Subscribe the agent, and the writer of raw runs behind its buffer; a second time does nothing.

        Raises
        ------
        RuntimeError
            If the agent is attached to another RunEngine.
        """
        if self._attached is not None:
            if self._attached[0] is not RE:
                raise RuntimeError("the agent is attached to another RunEngine: agent.detach() first")
            return
        self._backup.mkdir(parents=True, exist_ok=True)
        writer = TiledWriter(self._raw, batch_size=BATCH, backup_directory=str(self._backup))
        buffered = BufferingWrapper(writer)
        self._attached = RE, [RE.subscribe(buffered), RE.subscribe(self)], buffered

    def detach(self) -> None:
        """Unsubscribe, after everything that came is written."""
        if self._attached is None:
            return
        engine, tokens, buffered = self._attached
        self._attached = None
        for token in tokens:
            engine.unsubscribe(token)
        buffered.shutdown()

    def catch_up(self, newest: int = 100) -> int:
        """Analyse finished runs in Tiled that have no result yet, the oldest first.

        Parameters
        ----------
        newest : int
            How many of the newest runs to look through.

        Returns
        -------
        int
            How many are analysed now; `drain` waits for them.
        """
        done = {key for keys in self.results.keys_by_raw_uid().values() for key in keys}
        finished = self._raw.search(KeyPresent("stop.uid")).sort(("start.time", -1))
        missing = [
            run
            for uid, run in finished.items().head(newest)
            if result_key(uid, self.technique.parameters) not in done and self._has_frames(run)
        ]
        for run in reversed(missing):
            for name, doc in documents_of(run):
                self(name, doc)
        return len(missing)

    def _has_frames(self, run: Container) -> bool:
        return any(self._keys.image in run[stream].metadata["data_keys"] for stream in run)

    def close(self) -> None:
        """Detach and end the worker; what has come is analysed first."""
        self.detach()
        self._campaign.withdraw("the session ended")
        self._watch.close()

    def explore(self, n: int) -> MsgGenerator[None]:
        """Plan: measure at `n` positions, each chosen after the one before was analysed: ``RE(agent.explore(12))``.

        Parameters
        ----------
        n : int
            How many positions.

        Raises
        ------
        RuntimeError
            If the agent is not attached.
        ValueError
            If `n` is no positive number.
        """
        if self._attached is None:
            raise RuntimeError("the agent is not attached: agent.attach(RE) first")
        if not isinstance(n, int) or n < 1:
            raise ValueError(f"explore wants a number of positions, got {n!r}")
        problem = OptimizationProblem(self._campaign, self._actuators, [self._detector], self._evaluate, self._acquire)
        return optimize(problem, iterations=n)

    def suggest(self) -> dict[str, Any]:
        """Where to measure next, and why. Asking changes nothing."""
        return self._campaign.peek()

    def reject(self, reason: str) -> dict[str, Any]:
        """Turn the suggestion down; returns the next one."""
        return self._campaign.reject(reason)

    def add(self, *position: float, reason: str = "asked for by a person") -> dict[str, Any]:
        """Measure here next; one number for each actuator.

        Raises
        ------
        ValueError
            If the position lies outside the bounds.
        """
        if len(position) != len(self._bounds):
            raise ValueError(
                f"a position has {len(self._bounds)} numbers ({', '.join(self._bounds)}), got {len(position)}"
            )
        for (name, (low, high)), x in zip(self._bounds.items(), position, strict=True):
            if not isinstance(x, (int, float)) or not low <= x <= high:
                raise ValueError(f"{name} = {x} lies outside its bounds ({low}, {high})")
        return self._campaign.add(dict(zip(self._bounds, position, strict=True)), reason)

    def status(self) -> dict[str, Any]:
        """What the agent knows and does, as plain numbers and words."""
        table = self.results.table()
        regimes, next_point = self._campaign.regimes, self.suggest()
        return {
            "attached": self._attached is not None,
            "tiled": self._uri,
            "results": len(table),
            "failed": int((table["status"] == "failed").sum()),
            "novel": int(table["novel"].fillna(False).sum()),
            "expected_false": self.technique.alpha * int(table["novelty_p"].notna().sum()),
            "regimes": regimes.n_regimes if regimes else 0,
            "supported_range": regimes.supported_range if regimes else (0, 0),
            "next": self._place(next_point),
            "why": next_point["reason"],
            "queue": self._watch.backlog,
        }

    def log(self) -> Logbook:
        """What the agent noted, a line each, oldest first: a DataFrame that shows itself as a night's log."""
        return Logbook(self.results.logbook())

    def plot(self, *, truth: NDArray[Any] | None = None) -> LiveFigure:
        """The campaign's figure, which follows it from now on.

        It shows the sample with the path, the regimes and the next point; the newest C2, what the latent space holds of
        it, and the nearest seen; the latent space; and p-values, azimuths and stress run after run. A window
        (``%matplotlib`` first) or a notebook's image is kept up to date; closing the window stops nothing but the
        drawing. ``agent.plot().savefig("campaign.png")`` works anywhere.

        Parameters
        ----------
        truth : ndarray of int, shape (ny, nx), optional
            Regions of a simulated sample over the bounds, whose borders are drawn.
        """
        self._truth = truth
        if self._live is None or not self._live.is_open:
            self._live = LiveFigure(self._scene, self.name)
        self._live.update()
        self._live.refresh()
        return self._live

    def _scene(self) -> Scene:
        suggestion = self.suggest()
        terms = {
            name: float(value)
            for name, value in suggestion.items()
            if name not in self._bounds and isinstance(value, int | float)
        }
        following = Next(position=self._place(suggestion), reason=suggestion["reason"], terms=terms)
        return self._reader.read(following=following, belief=self._campaign.map(), truth=self._truth)

    @property
    def concluded(self) -> int:
        """Runs that got a result, complete or failed, since the agent was built."""
        return self._watch.concluded

    @property
    def progress(self) -> tuple[int, int] | None:
        """Frames analysed and announced of the run that is going on; None between runs."""
        return self._watch.progress

    def drain(self, timeout_s: float = 60.0) -> bool:
        """Wait until every run that has come is analysed and written; False if it takes longer."""
        return self._watch.drain(timeout_s)

    def __repr__(self) -> str:
        attached = "attached" if self._attached is not None else "not attached"
        return f"<Agent {self.name!r}, {attached}, {len(self.results)} results at {self._uri}>"

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.startswith("_")]

    def __rich__(self) -> Any:
        return status_panel(self.status())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        console = Console()
        with console.capture() as capture:
            console.print(self)
        printer.text(capture.get().rstrip())

    def _evaluate(self, uids: Sequence[str], suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Outcomes for bluesky-adaptive, the same keys each time; NaN where there is none."""
        outcomes = []
        for uid, suggestion in zip(uids, suggestions, strict=True):
            future = self._watch.outcome(uid)
            outcome = future.result() if future.done() else None
            embedding = None if outcome is None else outcome.embedding
            p = None if outcome is None else outcome.novelty_p
            outcomes.append(
                {
                    ID_KEY: suggestion[ID_KEY],
                    "embedding": np.full(self.technique.embedding_size, np.nan) if embedding is None else embedding,
                    "novelty_p": np.nan if p is None else p,
                    "regime": -1 if outcome is None else outcome.regime,
                }
            )
        return outcomes

    def _place(self, suggestion: Mapping[str, Any]) -> dict[str, float]:
        return {name: float(suggestion[name]) for name in self._bounds}

    def _announce(self, outcome: Outcome) -> None:
        if self._live is not None:
            self._watch.submit(self._live.update)
        if self.quiet:
            return
        next_point = self._campaign.peek()
        p = outcome.novelty_p
        line = run_line(
            len(self.results),
            regime=outcome.regime,
            novelty_p=p,
            novel=p is not None and p <= self.technique.alpha,
            reason=outcome.reason or None,
            next_point=self._place(next_point),
            why=next_point["reason"],
        )
        with suppress(OSError):  # a closed terminal is no reason to lose the worker
            get_console().print(line)
