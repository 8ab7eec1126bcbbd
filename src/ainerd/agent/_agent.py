"""The object a person talks to."""

from __future__ import annotations  # so that IPython's ? shows types as they are written here

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from bluesky import RunEngine
from bluesky.callbacks.buffer import BufferingWrapper
from bluesky.utils import MsgGenerator
from bluesky_adaptive.plans import sample_suggestions
from bluesky_adaptive.protocols import OptimizationProblem
from rich.text import Text
from tiled.client.container import Container

from ainerd.agent._beam import Beam, retaking
from ainerd.agent._night import reported, write_report
from ainerd.agent._observer import Observer
from ainerd.agent._plan import AgentPlan
from ainerd.agent._saying import say
from ainerd.agent._welcome import GUIDE
from ainerd.campaign import CampaignOptions
from ainerd.runs import RawWriter
from ainerd.steering import explore, visit
from ainerd.technique import Technique
from ainerd.words import printable

LOOK_S = 0.5  # between two looks at what people ask, while a plan waits for them
HEARD_S = 10.0  # a worker that is busy for longer is not waited for


class Agent(Observer):
    """Watches runs, says what they are, suggests where to measure next, and measures there.

    Built by `ainerd.agent.build_agent`, which says what `detector`, `actuators`, `beside`, `shutter`, `before` and
    `acquire` are. Once attached to a RunEngine it analyses every run that has the detector in it; with
    ``RE(agent.explore(n))`` it also drives.

    Parameters
    ----------
    monitored : sequence of signals
        Recorded during each exposure.
    campaign : CampaignOptions
        With the limits of the actuators.
    backup : Path
        Folder for the documents of runs that Tiled did not take.
    review_timeout_s : float
        With `review`, how long a plan waits for a person before it ends.
    **options
        Of `Observer`, as are `technique` and `client`.
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
        acquire: Callable[..., MsgGenerator[Any]] | None = None,
        campaign: CampaignOptions,
        backup: Path,
        review_timeout_s: float = 3600.0,
        **options: Any,
    ) -> None:
        missing = set(campaign.bounds) ^ {actuator.name for actuator in actuators}
        if missing:
            raise ValueError(
                f"bounds and actuators must have the same names, these differ: {', '.join(sorted(missing))}"
            )
        # Before the thread that says how many runs it keeps.
        self._writer = RawWriter(client["raw"], backup, lambda: self.results.answers())
        super().__init__(technique, client, campaign=campaign, backup=backup, **options)
        self._backup, self._review_timeout_s, self._shutter = backup, review_timeout_s, shutter
        measure = visit(
            self._worker.outcomes, beside=beside, monitored=monitored, shutter=shutter, before=before, acquire=acquire
        )
        self._beam: Beam | None = None
        measure = retaking(measure, lambda: self._beam)
        self.problem = OptimizationProblem(self._campaign, tuple(actuators), [detector], self.evaluate, measure)
        self._attached: tuple[RunEngine, list[int], BufferingWrapper] | None = None
        self.__doc__ = GUIDE  # what `agent?` shows

    def attach(self, RE: RunEngine) -> None:
        """Subscribe the agent, and the writer of raw runs behind its buffer; a second time does nothing.

        RuntimeError if the agent is attached to another RunEngine.
        """
        if self._attached is not None:
            if self._attached[0] is not RE:
                raise RuntimeError("the agent is attached to another RunEngine: agent.detach() first")
            return
        self._jobs.submit(self._writer.make_up)
        buffered = BufferingWrapper(self._writer)
        tokens = [RE.subscribe(each) for each in (self._writer.journal, buffered, self)]
        self._attached = RE, tokens, buffered
        if self._beam is not None:
            RE.install_suspender(self._beam)

    def detach(self) -> None:
        """Unsubscribe, after everything that came is written."""
        if self._attached is None:
            return
        engine, tokens, buffered = self._attached
        self._attached = None
        for token in tokens:
            engine.unsubscribe(token)
        if self._beam is not None:
            engine.remove_suspender(self._beam)
        buffered.shutdown()

    def watch_beam(
        self, monitor: Any, threshold: float, *, back_above: float | None = None, settle_s: float = 0.0
    ) -> None:
        """Have every plan wait while there is no beam: ``agent.watch_beam(i0, threshold=1e4)``.

        A suspender of bluesky's on the RunEngine, see `bluesky.suspenders.SuspendFloor`. An exposure of the agent's
        that the beam was lost in is taken again; its run, and the result, say that it is spoilt. So do runs of a plan
        of one's own that closes them with ``exit_status="fail", reason="spoilt: …"``.

        Parameters
        ----------
        monitor : signal
            Such as an ion chamber before the shutter.
        threshold : float
            Below it the beam is lost.
        back_above : float, optional
            From here on it is back; `threshold` without it.
        settle_s : float
            How long to wait then.

        Raises
        ------
        RuntimeError
            If the agent is not attached.
        ValueError
            If the beam would be back before it was lost.
        """
        self._require_attached()
        assert self._attached is not None
        if back_above is not None and back_above < threshold:
            raise ValueError(f"back_above = {back_above:g} is below the threshold, {threshold:g}")
        if self._beam is not None:
            self._attached[0].remove_suspender(self._beam)
        self._beam = Beam(monitor, threshold, back_above=back_above, settle_s=settle_s)
        self._attached[0].install_suspender(self._beam)

    def catch_up(self, newest: int = 100) -> int:
        """As `Observer.catch_up`, once what an earlier session has left on disk of raw runs is in Tiled."""
        self._writer.make_up()
        return super().catch_up(newest)

    def health(self) -> dict[str, Any]:
        """As `Observer.health`; ``raw_kept`` runs are on disk because Tiled did not take them."""
        return {**super().health(), "raw_kept": len(self._writer.kept())}

    def close(self) -> None:
        """Detach and end the worker; what has come is analysed first."""
        self.detach()
        self._writer.journal.close()
        super().close()

    def explore(self, n: int | None = None) -> MsgGenerator[None]:
        """Plan: measure, each position chosen after the one before was analysed: ``RE(agent.explore(12))``.

        Parameters
        ----------
        n : int, optional
            How many positions. Without it, until the sample is explored; ``agent.status()["explored"]`` says how far
            that is, in words. Then a report is written, as by ``ainerd report``.

        Raises
        ------
        RuntimeError
            If the agent is not attached; in mode review also, from the plan, if nobody takes a suggestion in time.
        ValueError
            If `n` is no positive number.
        """
        self._require_attached()
        if n is not None and (not isinstance(n, int) or n < 1):
            raise ValueError(f"explore wants a number of positions, got {n!r}")
        plan = self._closed(explore(self.problem, n, before_each=self._ask))
        if n is None:
            plan = reported(plan, lambda: write_report(self.results, self._backup.parent, self.bounds))
        return AgentPlan(f"agent.explore({'' if n is None else n})", plan)

    def sample(self, *points: Mapping[str, Any] | Sequence[float]) -> MsgGenerator[Any]:
        """Plan: measure points of your own: ``RE(agent.sample((2.0, 3.5), (8.0, 1.0)))``, or ``agent.accept()``.

        Parameters
        ----------
        *points
            One number for each actuator, or a mapping of their names to numbers, which may have a ``reason``.

        Raises
        ------
        RuntimeError
            If the agent is not attached.
        ValueError
            If a point lies outside the bounds, or in an excluded region, or there is none.
        """
        self._require_attached()
        if not points:
            raise ValueError("sample wants points: agent.sample((2.0, 3.5))")
        named = [p if isinstance(p, Mapping) else self._campaign.position(p) for p in points]
        for point in named:
            self._campaign.position([point[name] for name in self._campaign.names])
        return AgentPlan("agent.sample(…)", self._closed(sample_suggestions(self.problem, named)))

    def stay(self, n: int) -> MsgGenerator[Any]:
        """Plan: measure `n` times where the sample is now: ``RE(agent.stay(5))`` follows a regime that changes.

        Raises as `explore` does.
        """
        self._require_attached()
        if not isinstance(n, int) or n < 1:
            raise ValueError(f"stay wants a number of exposures, got {n!r}")
        return AgentPlan(f"agent.stay({n})", self._stay(n))

    def status(self) -> dict[str, Any]:
        """What the agent knows and does, as plain numbers and words."""
        return {"attached": self._attached is not None, **super().status()}

    def _closed(self, plan: MsgGenerator[Any]) -> MsgGenerator[Any]:
        """Close the shutter before anything moves: a session that was killed leaves it as it was."""
        if self._shutter is not None:
            yield from bps.mv(self._shutter, "close")
        return (yield from plan)

    def _stay(self, n: int) -> MsgGenerator[Any]:
        here = {}
        for actuator in self.problem.actuators:
            low, high = self.bounds[actuator.name]
            x = yield from bps.rd(actuator)
            here[actuator.name] = float(np.clip(x, low, high))  # a motor stops some microns beside its limit
        return (yield from self.sample(*({**here, "reason": f"to stay here, {i + 1} of {n}"} for i in range(n))))

    def _ask(self) -> MsgGenerator[None]:
        """Heed what people ask on pages; wait while one of them holds, and in mode review until one takes."""
        begun, told = time.monotonic(), None
        try:
            while True:
                yield from bps.wait_for([self._heard])
                self._waits = self._waits_for()
                if self._waits is None:
                    return
                if self._waits != told:
                    told = self._waits
                    say(Text(printable(f"the plan waits {told}; Ctrl-C twice, then RE.stop(), ends it"), "yellow"))
                    self._state.changed()
                if self.review and self._campaign.held is None and time.monotonic() - begun > self._review_timeout_s:
                    raise RuntimeError(f"nobody took the suggestion in {self._review_timeout_s:g} s: the plan ends")
                yield from bps.sleep(LOOK_S)
        finally:
            self._waits = None

    async def _heard(self) -> None:
        """Return once the worker has done what people ask, and has what they are to see."""
        done: Future[None] = Future()

        def hear() -> None:
            try:
                self._commands.read()
                with suppress(ValueError):  # no position is left: the plan says so
                    self._campaign.peek()
            finally:  # a plan does not wait for what failed; what others are to measure is known before
                self._jobs.submit(lambda: done.set_result(None))

        self._jobs.submit(hear)
        await asyncio.wait([asyncio.wrap_future(done)], timeout=HEARD_S)

    def _how_it_is(self) -> dict[str, Any]:
        return {**super()._how_it_is(), "raw_kept": len(self._writer.kept())}

    def _waits_for(self) -> str | None:
        """What has to come before the next point; None if nothing has."""
        if (held := self._campaign.held) is not None:
            why = f" ({held['why']})" if held["why"] else ""
            return f"because {held['by']} holds it{why}: release it on the page"
        if self.review and self._campaign.taken is None:
            try:
                self._campaign.peek()  # there already, see `_heard`
            except ValueError:  # no position is left: the plan says so
                return None
            return "for a person who takes the suggestion on the page"
        return None

    def _require_attached(self) -> None:
        if self._attached is None:
            raise RuntimeError("the agent is not attached: agent.attach(RE) first")
