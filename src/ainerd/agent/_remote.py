"""Plan of a RunEngine whose agent is in another process: Tiled connects the two."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import bluesky.plan_stubs as bps
import httpx
from bluesky.utils import MsgGenerator
from bluesky_adaptive.protocols import ID_KEY
from tiled.client.container import Container

from ainerd.knobs import Knob
from ainerd.plans import Devices, check_limits, check_units, visit
from ainerd.results import AgentNode, ResultStore
from ainerd.results.commands import ANSWER_S, Next, Reject, check_position

POLL_S = 0.25
LONGEST_S = 86_400.0  # for which an agent lets a plan wait


def explore_remote(
    client: Container,
    n: int,
    *,
    agent: str | None = None,
    detector: Any,
    actuators: Sequence[Any],
    bounds: Mapping[str, tuple[float, float]] | None = None,
    timeout_s: float = 600.0,
    beside: Sequence[Any] = (),
    monitored: Sequence[Any] = (),
    shutter: Any = None,
    before: Callable[[], MsgGenerator[Any]] | None = None,
    acquire: Callable[..., MsgGenerator[Any]] | None = None,
    knobs: Mapping[str, Knob] | None = None,
) -> MsgGenerator[list[str]]:
    """Plan: measure `n` positions that an agent in another process suggests: ``RE(explore_remote(client, 5, …))``.

    ``ainerd watch`` runs the agent on the same catalog. The agent must receive the documents of the runs, or they
    must be written to Tiled (`bluesky_tiled_plugins.TiledWriter`). Suggestions that a person took on a page come
    first. While a person holds the agent, the plan waits, also with the motors in place: no exposure begins.

    Parameters
    ----------
    client : tiled.client.container.Container
        Root of the catalog.
    n : int
        Number of positions.
    agent : str, optional
        Name of the agent whose suggestions are measured. It is required if several agents have a suggestion.
    detector, actuators, beside, monitored, shutter, before, acquire, knobs
        See `ainerd.plans.Devices`. `knobs` are ``settings.steering.knobs``, so that none is turned back that must
        not.
    bounds : mapping of str to (float, float), optional
        Limits by the actuators' names, in addition to the actuators' own limits.
    timeout_s : float
        Longest wait for a suggestion, and for the analysis of a run.

    Returns
    -------
    list of str
        Uids of the runs.

    Raises
    ------
    ValueError
        If `n` is not a positive number, if several agents have suggestions and `agent` is not given, if a suggestion
        has other actuators or one describes another unit than the agent's settings, or if it lies outside `bounds` or
        the limits of an actuator. In the last case the suggestion fails with this reason.
    RuntimeError
        If no agent answers in time, or the agent has no next position.

    Examples
    --------
    >>> client, close = open_tiled(settings.storage)
    >>> observer = build_observer(settings, client)  # often another process
    >>> observer.quiet = True
    >>> _ = RE.subscribe(observer)
    >>> _ = observer.suggest()  # the first position
    >>> devices = {"detector": camera, "actuators": [sample_x]}
    >>> uids = RE(explore_remote(client, 2, acquire=five_frames, timeout_s=150, **devices))
    >>> len(observer.results), len(observer.results.suggestions("measured"))
    (2, 2)
    >>> observer.close()
    >>> close()
    """
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"explore_remote needs a number of positions, got {n!r}")
    remote = _Remote(ResultStore(client["ainerd"]), agent, list(actuators), bounds or {}, timeout_s)
    devices = Devices(detector, actuators, beside, monitored, shutter, before, acquire, knobs)
    measure = partial(visit, devices=devices, timeout_s=timeout_s)
    return _explore(remote, n, detector, measure)


def _explore(
    remote: "_Remote", n: int, detector: Any, measure: Callable[..., Callable[..., MsgGenerator[Any]]]
) -> MsgGenerator[list[str]]:
    uids: list[str] = []
    pool = ThreadPoolExecutor(1, "ainerd-remote")

    def answer(ask: Callable[[], Any]) -> MsgGenerator[Any]:
        asked = pool.submit(ask)
        # an error is raised below; `gather` keeps asyncio from logging it where the plan has ended before
        wait = partial(lambda f: asyncio.gather(asyncio.wrap_future(f), return_exceptions=True), asked)
        yield from bps.wait_for([wait])
        return asked.result()

    try:
        for _ in range(n):
            fetched = yield from answer(remote.fetch)
            id = fetched["suggestion"]

            def analysed(uid: str, trial: str = id) -> "Future[None]":
                return pool.submit(remote.wait_for_result, trial, uid)

            suggestion = {ID_KEY: id, "reason": fetched["reason"], **fetched["position"]}
            try:
                go = partial(answer, remote.wait_while_held)
                uids += yield from measure(analysed, go=go)([suggestion], remote.actuators, [detector])
            except Exception:
                pool.submit(remote.give_up, fetched, "the exposure was not finished")
                raise
    finally:
        remote.given_up.set()  # so that an aborted plan does not block the RunEngine until the timeout
        pool.shutdown()
    return uids


@dataclass
class _Remote:
    """Fetches positions and polls Tiled, outside the RunEngine's thread."""

    store: ResultStore
    agent: str | None
    actuators: Sequence[Any]
    bounds: Mapping[str, tuple[float, float]]
    timeout_s: float
    given_up: threading.Event = field(default_factory=threading.Event)

    def fetch(self) -> Mapping[str, Any]:
        """Fetch the next position from the agent; return id, position and reason of its suggestion."""
        node, state = self._agent()
        names, theirs = {actuator.name for actuator in self.actuators}, state.get("bounds") or {}
        if set(theirs) != names:
            of, here = (", ".join(sorted(each)) for each in (theirs, names))
            raise ValueError(f"agent {self.agent!r} suggests positions of {of}, but the actuators are {here}")
        check_units(self.actuators, state.get("units") or {})
        command = Next(by="a plan", wait_s=min(self.timeout_s, LONGEST_S), replaces=True)
        fetched = node.ask(command, self.timeout_s + ANSWER_S, self.given_up)
        if fetched["status"] != "done":
            raise RuntimeError(f"agent {self.agent!r} has no next position: {fetched['answer']}")
        try:
            position = fetched["position"]
            check_position(position, {name: self.bounds.get(name, (-math.inf, math.inf)) for name in position})
            check_limits(self.actuators, position)
        except ValueError as error:
            self.give_up(fetched, str(error))
            raise ValueError(f"agent {self.agent!r} suggests a position that is out of reach: {error}") from None
        return fetched

    def _agent(self) -> tuple[AgentNode, dict[str, Any]]:
        """Wait until an agent has a suggestion, or the named one has written its state; return its node and state."""
        for _ in self._looks():
            with suppress(httpx.TransportError):  # Tiled is away
                if self.agent is None and (newest := self.store.next_suggestion()) is not None:
                    self.agent = newest.agent  # stay with this agent, even if others have suggestions later
                if self.agent is not None:
                    node = AgentNode(self.store.container, self.agent)
                    if state := node.state():
                        return node, state
        raise RuntimeError(f"no agent came in {self.timeout_s:g} s: is `ainerd watch` running on this catalog?")

    def wait_for_result(self, trial_id: str, uid: str) -> None:
        """Wait until the agent has written the outcome of the suggestion in this run, or until the timeout."""
        for _ in self._looks():
            with suppress(httpx.HTTPError):  # the next position is not chosen without this result
                record = self.store.suggestion(trial_id)
                if record.status in ("measured", "failed") and record.raw_uid == uid:
                    return

    def wait_while_held(self) -> None:
        """Wait while a person holds the agent: a hold may have come while the motors moved. It waits for Tiled, too."""
        node = AgentNode(self.store.container, str(self.agent))
        while not self.given_up.is_set():
            with suppress(httpx.HTTPError):
                if not isinstance(node.state().get("held"), dict):
                    return
            self.given_up.wait(POLL_S)

    def give_up(self, fetched: Mapping[str, Any], why: str) -> None:
        """Report to the agent that a position was fetched but not measured."""
        id, position = fetched["suggestion"], fetched["position"]
        reject = Reject(id=f"failed-{id}", suggestion=id, position=position, by="a plan", why=why, failed=True)
        AgentNode(self.store.container, str(self.agent)).send(reject)

    def _looks(self) -> Iterator[None]:
        """Yield at each poll, with pauses, until the timeout or until the plan has ended."""
        end = time.monotonic() + self.timeout_s
        while time.monotonic() < end and not self.given_up.is_set():
            yield
            self.given_up.wait(POLL_S)
