"""Plan of a RunEngine whose agent is in another process: Tiled connects the two."""

import asyncio
import math
import threading
import time
from collections import Counter
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

from ainerd.decisions import HOLDS
from ainerd.knobs import Knob
from ainerd.plans import Devices, check_limits, check_units, visit
from ainerd.results import AgentNode, ResultStore, SuggestionRecord
from ainerd.results.commands import Reject, Take, check_position, seen

POLL_S = 0.25


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
        If no suggestion arrives in time.

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
            record = yield from answer(remote.take)

            def analysed(uid: str, trial: str = record.id) -> "Future[None]":
                return pool.submit(remote.wait_for_result, trial, uid)

            suggestion = {ID_KEY: record.id, "reason": record.reason, **record.positions}
            try:
                go = partial(answer, remote.wait_while_held)
                uids += yield from measure(analysed, go=go)([suggestion], remote.actuators, [detector])
            except Exception:
                pool.submit(remote.give_up, record)
                raise
    finally:
        remote.given_up.set()  # so that an aborted plan does not block the RunEngine until the timeout
        pool.shutdown()
    return uids


@dataclass
class _Remote:
    """Polls Tiled, outside the RunEngine's thread."""

    store: ResultStore
    agent: str | None
    actuators: Sequence[Any]
    bounds: Mapping[str, tuple[float, float]]
    timeout_s: float
    given_up: threading.Event = field(default_factory=threading.Event)
    _measured: set[str] = field(default_factory=set)  # ids of suggestions that this plan took
    _waits: str = ""  # reason why no suggestion is taken
    _settings: str | None = None  # digest of the agent's settings
    _units: Mapping[str, str] = field(default_factory=dict)  # of the actuators, by the agent's settings
    _refused: dict[str, tuple[str, str]] = field(default_factory=dict)  # by suggestion: digest sent, and the answer
    _holds: Counter[str] = field(default_factory=Counter)  # how often a hold was the answer, by suggestion

    def take(self) -> SuggestionRecord:
        """Wait for a suggestion that may be measured now, take it, and return it."""
        for _ in self._looks():
            record = self._offered()
            if record is None:
                continue
            names = {actuator.name for actuator in self.actuators}
            if set(record.positions) != names:
                of, here = (", ".join(sorted(each)) for each in (record.positions, names))
                raise ValueError(f"agent {record.agent!r} suggests positions of {of}, but the actuators are {here}")
            check_units(self.actuators, self._units)
            try:
                bounds = {name: self.bounds.get(name, (-math.inf, math.inf)) for name in record.positions}
                check_position(record.positions, bounds)
                check_limits(self.actuators, record.positions)
            except ValueError as error:
                self.store.set_status(record.id, "failed", str(error), instead_of=["proposed"])
                raise ValueError(f"agent {record.agent!r} suggests a position that is out of reach: {error}") from None
            self.agent = record.agent  # stay with this agent, even if others have suggestions later
            if self._takes(record):
                self._measured.add(record.id)
                return record
        answers = [f"the agent refused the newest: {answer}" for _, answer in self._refused.values()]
        why = self._waits or (answers or ["is `ainerd watch` running on this catalogue?"])[-1]
        raise RuntimeError(f"no suggestion came in {self.timeout_s:g} s: {why}")

    def _takes(self, record: SuggestionRecord) -> bool:
        """Send the command to take a suggestion, and return whether the agent has accepted it.

        A refused command is sent again only if the suggestion, or the settings of the agent, have changed.
        """
        agent = str(record.agent)
        if not self._settings:  # the first suggestion may be in Tiled sooner
            self._waits = f"agent {agent!r} has not written its state"
            return False
        position, reason, terms = record.positions, record.reason, record.terms
        shown = seen(position, reason, terms, self._settings)
        id = f"verdict-{record.id}" if record.status == "proposed" else f"measure-{record.id}"  # one verdict for all
        if record.id in self._refused:
            if self._refused[record.id][0] == shown:
                return False
            id = f"{id}-{shown[:8]}"
        if tries := self._holds[record.id]:
            id = f"{id}-{tries}"
        what: dict[str, Any] = {"position": position, "reason": reason, "terms": terms, "seen": shown}
        take = Take(suggestion=record.id, by="a plan", now=True, id=id, **what)
        node = AgentNode(self.store.container, agent)
        try:
            if not node.send(take):
                return False
        except KeyError:  # there has never been an agent with this name
            return False
        for _ in self._looks():
            answered = node.command(take.id)
            if answered["status"] == "refused" and str(answered.get("answer")).endswith(HOLDS):  # again after it
                self._holds[record.id] += 1
            elif answered["status"] == "refused":
                self._refused[record.id] = shown, str(answered.get("answer"))
            if answered["status"] != "asked":
                return bool(answered["status"] == "done")
        return False

    def _offered(self) -> SuggestionRecord | None:
        """Return the suggestion that a person took, or else the newest one.

        Return None while a person holds the agent, or must take a suggestion first.
        """
        newest = None if self.agent else self.store.next_suggestion()
        agent = self.agent or (newest.agent if newest is not None else None)
        state = AgentNode(self.store.container, agent).state() if agent else {}
        self._waits, self._settings = "", state.get("settings")
        self._units = units if isinstance(units := state.get("units"), dict) else {}
        if isinstance(held := state.get("held"), dict):
            self._waits = f"{held.get('by')} holds it"
            return None
        taken = state.get("taken")
        if isinstance(taken, str) and taken not in self._measured:
            record = self.store.suggestion(taken)
            return record if record.status == "accepted" else None
        if state.get("review"):
            self._waits = "nobody took one"
            return None
        newest = self.store.next_suggestion(agent) if newest is None and agent else newest
        queue = [id for id in state.get("queue") or [] if id not in self._measured]
        if newest is not None and newest.id in queue[1:]:  # points that people added: in their order
            first = self.store.suggestion(queue[0])
            return first if first.status == "proposed" else newest
        return newest

    def wait_for_result(self, trial_id: str, uid: str) -> None:
        """Wait until the agent has written the outcome of the suggestion in this run, or until the timeout."""
        for _ in self._looks():
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

    def give_up(self, record: SuggestionRecord) -> None:
        """Report to the agent that a suggestion was taken but not measured."""
        why, agent = "the exposure was not finished", str(record.agent)
        reject = Reject(
            id=f"failed-{record.id}", suggestion=record.id, position=record.positions, by="a plan", why=why, failed=True
        )
        AgentNode(self.store.container, agent).send(reject)

    def _looks(self) -> Iterator[None]:
        """Yield at each poll, with pauses, until the timeout or until the plan has ended."""
        end = time.monotonic() + self.timeout_s
        while time.monotonic() < end and not self.given_up.is_set():
            yield
            self.given_up.wait(POLL_S)
