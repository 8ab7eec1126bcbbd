"""The agent with devices: it analyses the runs of a RunEngine, and measures the positions that it suggests."""

from __future__ import annotations  # so that IPython's ? shows the types as in this file

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import bluesky.plan_stubs as bps
from bluesky import RunEngine
from bluesky.utils import MsgGenerator
from bluesky_adaptive.plans import sample_suggestions
from bluesky_adaptive.protocols import OptimizationProblem
from rich.text import Text
from tiled.client.container import Container

from ainerd.agent._display import AgentPlan, say
from ainerd.agent._guide import GUIDE
from ainerd.agent._observer import Observer
from ainerd.agent._patiently import patiently
from ainerd.campaign import Travel
from ainerd.config import Settings
from ainerd.plans import Devices, explore, visit
from ainerd.runs import parameters_of
from ainerd.technique import Technique
from ainerd.words import printable, sender

logger = logging.getLogger(__name__)

LOOK_S = 1.0  # between two looks at commands, while a plan waits for a person
BUSY_S = 10.0  # longest wait of a plan for a busy campaign
FOR_A_PERSON = "for a person who takes the suggestion on the page"
# By RunEngine: catalog, parameters, image and name of the attached agents.
_ATTACHED: WeakKeyDictionary[RunEngine, list[tuple[str, Mapping[str, object], str, str]]] = WeakKeyDictionary()


class Agent(Observer):
    """Analyses runs, shows results, suggests the next position, and measures there.

    Made by `ainerd.agent.build_agent`. Once attached to a RunEngine, the agent analyses every run that uses the
    detector. With ``RE(agent.explore(n))`` it also measures.

    Parameters
    ----------
    technique, client, settings, travel
        As for `Observer`.
    devices : Devices

    Examples
    --------
    >>> _ = RE(agent.explore(2))  # two positions of its own choice
    >>> _ = agent.add(3.5, reason="a scratch")
    >>> _ = RE(agent.explore(1))
    >>> agent.results.table()[["sample_x", "counts", "status"]].round(1).reset_index(drop=True)
       sample_x  counts    status
    0       5.0     4.1  complete
    1       8.5    20.2  complete
    2       3.5     3.9  complete
    >>> agent.drain()  # until the status of the last suggestion is written
    True
    >>> agent.results.suggestions("measured")["reason"].iloc[-1]
    'a scratch'
    """

    _has_engine = True

    def __init__(
        self, technique: Technique, client: Container, settings: Settings, travel: Travel | None, devices: Devices
    ) -> None:
        missing = set(settings.steering.bounds) ^ {actuator.name for actuator in devices.actuators}
        if missing:
            raise ValueError(
                f"bounds and actuators must have the same names, these differ: {', '.join(sorted(missing))}"
            )
        super().__init__(technique, client, settings, travel)
        self._devices = devices
        self._attached: tuple[RunEngine, int] | None = None
        self._reads = client.uri, parameters_of(technique, settings.detector), settings.detector.image, settings.name
        self.__doc__ = GUIDE  # for `agent?`

    @property
    def problem(self) -> OptimizationProblem[Any, Any, Any]:
        """Optimizer, devices and plan of an exposure, in the form of bluesky-adaptive."""
        return self._problem()

    def _problem(self, go: Callable[[], MsgGenerator[object]] | None = None) -> OptimizationProblem[object, Any, Any]:
        """Return `problem`, with a plan that runs just before each exposure."""
        devices = self._devices
        measure = visit(self._analysis.worker.outcomes, devices, go=go)
        return OptimizationProblem(self._campaign, devices.actuators, [devices.detector], self.evaluate, measure)

    def attach(self, RE: RunEngine) -> None:
        """Subscribe the agent. A second call does nothing.

        Scans go on after the highest number in ``RE.md``, of the newest runs in Tiled, and of runs not written yet.

        Raises
        ------
        RuntimeError
            If the agent is attached to another RunEngine.
        ValueError
            If an agent of another detector is attached whose results have the same keys.
        """
        if self._attached is not None:
            if self._attached[0] is not RE:
                raise RuntimeError("the agent is attached to another RunEngine: agent.detach() first")
            return
        *same, mine, _ = self._reads
        for *settings, image, name in _ATTACHED.setdefault(RE, []):
            if settings == same and image != mine:
                raise ValueError(
                    f"{name} analyses {image!r} with the settings of {self._settings.name} for {mine!r}, so both would "
                    f"have the same results: give [{self.technique.name}] of each the bins of its detector"
                )
        if numbers := [n for each in (RE.md, *patiently(self._starts)) if type(n := each.get("scan_id")) is int]:
            RE.md["scan_id"] = max(numbers)
        self._attached = RE, RE.subscribe(self)
        _ATTACHED[RE].append(self._reads)

    def detach(self) -> None:
        """Unsubscribe."""
        if self._attached is None:
            return
        engine, token = self._attached
        self._attached = None
        _ATTACHED[engine].remove(self._reads)
        engine.unsubscribe(token)

    def close(self) -> None:
        """Detach, and end the worker after all runs that have arrived are analysed."""
        self.detach()
        super().close()

    def explore(self, n: int | None = None) -> MsgGenerator[None]:
        """Plan: measure positions, each chosen after the previous one is analysed: ``RE(agent.explore(12))``.

        Parameters
        ----------
        n : int, optional
            Number of positions. Without it the plan ends when the sample is explored; ``agent.status()["explored"]``
            shows the progress.

        Raises
        ------
        RuntimeError
            If the agent is not attached.
        ValueError
            If `n` is not a positive number.
        """
        self._require_attached()
        if n is not None and (not isinstance(n, int) or n < 1):
            raise ValueError(f"explore needs a positive number of positions, got {n!r}")
        # a hold may have come while the motors moved
        problem = self._problem(partial(self._wait_while, self._held_because))
        ask = partial(self._wait_while, self._waits_for, self._commands_done)
        plan = self._closed(explore(problem, n, before_each=ask))
        return AgentPlan(f"agent.explore({'' if n is None else n})", plan)

    def sample(self, *points: Mapping[str, Any] | Sequence[float]) -> MsgGenerator[Any]:
        """Plan: measure points of your own: ``RE(agent.sample((2.0, 3.5), (8.0, 1.0)))``, or ``agent.accept()``.

        Parameters
        ----------
        *points
            One number for each actuator, or a mapping from their names to numbers, which may have a ``reason``.

        Raises
        ------
        RuntimeError
            If the agent is not attached.
        ValueError
            If a point lies outside the bounds or in an excluded region, an actuator is missing, or no point is given.
        """
        self._require_attached()
        if not points:
            raise ValueError("sample needs points: agent.sample((2.0, 3.5))")
        for point in points:
            if not isinstance(point, Mapping | Sequence):
                raise ValueError(f"a point has a number for each of {', '.join(self.bounds)}, got {point!r}")
        named = [p if isinstance(p, Mapping) else self._campaign.position(p) for p in points]
        for point in named:  # it may have a reason and terms, too
            self._campaign.position({name: point[name] for name in self.bounds if name in point})
        return AgentPlan("agent.sample(…)", self._closed(sample_suggestions(self.problem, named)))

    def status(self) -> dict[str, Any]:
        """Return the state of the agent as plain values."""
        return {"attached": self._attached is not None, **super().status()}

    def _closed(self, plan: MsgGenerator[Any]) -> MsgGenerator[object]:
        """Close the shutter before anything moves, because a killed session may have left it open."""
        if self._devices.shutter is not None:
            yield from bps.mv(self._devices.shutter, "close")
        return (yield from plan)

    def _wait_while(
        self, reason: Callable[[], str | None], look: Callable[[], Awaitable[None]] | None = None
    ) -> MsgGenerator[None]:
        """Wait while there is a reason, after one look each time."""
        try:
            while True:
                if look is not None:
                    yield from bps.wait_for([look])
                if (waits := reason()) is None:
                    return
                if waits != self._state.waits:
                    self._state.waits = waits
                    say(Text(printable(f"the plan waits {waits}; Ctrl-C twice, then RE.stop(), ends it"), "yellow"))
                    self._state.changed()
                yield from bps.sleep(LOOK_S)
        finally:
            self._state.waits = None

    def _held_because(self) -> str | None:
        """Return who holds the campaign and why; None if nobody does. RuntimeError if another session steers."""
        self._campaign.require_steering()
        if (held := self._campaign.state.held) is not None:
            why = f" ({held.why})" if held.why else ""
            go_on = "release it on the page, or with Ctrl-C twice, agent.release(), RE.resume()"
            return f"because {sender(held.by)} holds it{why}: {go_on}"
        return None

    async def _commands_done(self) -> None:
        """Wait until the campaign has executed the waiting commands and has a suggestion, at most `BUSY_S` for each."""

        def execute() -> None:
            if self._state.waits is None:  # later the state looks for them
                self._state.commands.look()
            with suppress(ValueError):  # no position is left: the plan will end with that reason
                self._campaign.peek()
            self._campaign.look_elsewhere()

        # otherwise `suggest` would wait for Tiled, and the RunEngine with it
        executed, _ = await asyncio.wait([asyncio.wrap_future(self._tiled.write(execute, first=True))], timeout=BUSY_S)
        if executed:  # and then the writes to which this led
            await asyncio.wait([asyncio.wrap_future(self._tiled.write(lambda: None))], timeout=BUSY_S)

    def _waits_for(self) -> str | None:
        """Return the reason why the plan waits before the next point; None if it may continue."""
        if (blocked := self._held_because()) is not None:
            return blocked
        if self.review and self._campaign.state.taken(review=True) is None:
            try:
                self._campaign.peek()  # fast: the suggestion is ready, see `_commands_done`
            except ValueError:  # no position is left: the plan will end with that reason
                return None
            return FOR_A_PERSON
        return None

    def _require_attached(self) -> None:
        self._campaign.require_steering()
        if self._attached is None:
            raise RuntimeError("the agent is not attached: agent.attach(RE) first")
