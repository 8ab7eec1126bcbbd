"""Plans of an agent, also of one in another process: repeat an exposure after a loss of beam, and report at the end."""

import asyncio
import json
import logging
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.suspenders import SuspendFloor
from bluesky.utils import Msg, MsgGenerator, Plan
from bluesky_adaptive.protocols import ID_KEY
from rich.text import Text
from tiled.client.container import Container

from ainerd.agent._display import say
from ainerd.results import AgentNode, ResultStore, SuggestionRecord, read_agent
from ainerd.results.commands import Reject, Take, check_position
from ainerd.runs import SPOILT
from ainerd.server import running
from ainerd.steering import answer_of, check_limits, visit

logger = logging.getLogger(__name__)

REASON = f"{SPOILT}: the beam was lost while frames came"
TRIES = 100


class AgentPlan(Plan):
    """A bluesky `Plan`, which warns if it is not used. At the prompt it shows how to run it."""

    def __init__(self, call: str, messages: Generator[Any, Any, Any]) -> None:
        def plan() -> Generator[Any, Any, Any]:
            return messages

        plan.__name__ = call
        super().__init__(plan)
        self.call = call

    def __repr__(self) -> str:
        return f"<a plan, nothing is measured yet: RE({self.call})>"


class Beam(SuspendFloor):
    """A bluesky suspender that counts losses of beam: ``RE.install_suspender(Beam(i0, 1e4))``.

    Parameters
    ----------
    monitor : signal
    threshold : float
        The beam is lost if the monitor is below this value.
    back_above : float, optional
        The beam is back if the monitor is at or above this value; default: `threshold`.
    settle_s : float
        Time to wait after the beam is back.
    """

    def __init__(
        self, monitor: Any, threshold: float, *, back_above: float | None = None, settle_s: float = 0.0
    ) -> None:
        super().__init__(monitor, threshold, resume_thresh=back_above, sleep=settle_s)  # type: ignore[no-untyped-call]
        self.losses = 0
        self._pool = ThreadPoolExecutor(1, "ainerd-beam")

    def install(self, RE: Any, *, event_type: str | None = None) -> None:
        """Subscribe to the monitor."""
        if hasattr(self._sig, "subscribe_reading"):  # of ophyd-async
            self.RE = RE
            self._in_loop(self._sig.subscribe_reading, self)
            if not _is_in_event_loop():
                self._pool.submit(lambda: None).result()  # the present value is known, unless it is still to come
        else:
            super().install(RE, event_type=event_type)  # type: ignore[no-untyped-call]

    def remove(self) -> None:
        """Unsubscribe."""
        self._in_loop(super().remove)

    def __call__(self, value: Any, **kwargs: Any) -> None:
        """Take a value of the monitor, or a reading of ophyd-async."""
        if isinstance(value, Mapping):
            (value,) = (reading["value"] for reading in value.values())
        if self._should_suspend(value) and not self.tripped:  # type: ignore[no-untyped-call]
            self.losses += 1
        if _is_in_event_loop():  # which bluesky 1.14 would wait for
            self._pool.submit(self._take, value)
        else:
            self._take(value)

    def _take(self, value: Any) -> None:
        for tries_left in reversed(range(TRIES)):
            try:
                super().__call__(value)  # type: ignore[no-untyped-call]
                return
            except RuntimeError:  # the event loop of a busy RunEngine did not answer within a tenth of a second
                if not tries_left:
                    logger.exception("the beam is %g, but the RunEngine cannot suspend for it", value)

    def _in_loop(self, call: Callable[..., object], *args: Any) -> None:
        """Call in the event loop of the RunEngine, where signals of ophyd-async live, from there or from elsewhere."""
        if _is_in_event_loop() or not hasattr(self._sig, "subscribe_reading"):
            call(*args)
            return

        async def calling() -> None:
            call(*args)

        answer_of(calling())

    def _get_justification(self) -> str:
        name, least = self._sig.name, self._suspend_thresh
        return f"ainerd: no beam, {name} is below {least:g}; the plan goes on when it is back" if self.tripped else ""


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def retaking(
    measure: Callable[..., MsgGenerator[tuple[str, ...]]], beam: Callable[[], Beam | None]
) -> Callable[..., MsgGenerator[tuple[str, ...]]]:
    """Return an acquisition plan that repeats an exposure during which the beam was lost.

    Parameters
    ----------
    measure : callable
        Acquisition plan of bluesky-adaptive, such as `ainerd.steering.visit` makes.
    beam : callable
        Returns the suspender of the RunEngine, or None.
    """

    def repeating(
        suggestions: Sequence[Mapping[str, Any]],
        actuators: Sequence[Any],
        sensors: Sequence[Any] | None = None,
        md: Mapping[str, Any] | None = None,
    ) -> MsgGenerator[tuple[str, ...]]:
        suspender = beam()
        uids: list[str] = []
        for suggestion in suggestions:
            while True:
                mark = _Mark(suspender)
                measured = yield from bpp.msg_mutator(measure([suggestion], actuators, sensors, md), mark)
                if not mark.is_spoilt:
                    break
                say(Text("ainerd: the beam was lost while frames came: the exposure is taken again", "yellow"))
            uids += measured
        return tuple(uids)

    return repeating


class _Mark:
    """Marks the stop document of a fly run if the beam was lost. For other runs bluesky itself rewinds the plan."""

    def __init__(self, beam: Beam | None) -> None:
        self._beam, self.is_spoilt = beam, False
        self._losses: int | None = None  # number of losses when the detector was kicked off

    def __call__(self, message: Msg) -> Msg:
        if self._beam is None:
            return message
        if message.command == "kickoff":
            self._losses = self._beam.losses
        elif message.command == "close_run" and self._losses is not None and not message.kwargs.get("exit_status"):
            self.is_spoilt, self._losses = self._beam.losses > self._losses, None
            if self.is_spoilt:
                return message._replace(kwargs={**message.kwargs, "exit_status": "fail", "reason": REASON})
        return message


def reported(plan: MsgGenerator[Any], write: Callable[[], object]) -> MsgGenerator[Any]:
    """Run a plan, and write the report after it unless the plan ends early."""
    result = yield from plan
    try:
        write()
    except Exception as error:  # must not fail the plan
        logger.warning("no report is written: %s: %s", type(error).__name__, error)
    return result


def write_report(results: ResultStore, directory: Path, bounds: Mapping[str, tuple[float, float]]) -> Path:
    """Start a process that writes the report, and return the path of the report, in the folder ``reports``.

    Another process is needed because only the main thread may draw in this one.

    Parameters
    ----------
    results : ResultStore
    directory : Path
        Directory of the embedded server, if there is one.
    bounds : mapping of str to (float, float)
        Limits of the maps.
    """
    name, context = results.agent or "agent", results.container.context
    now = datetime.now()
    path = directory / "reports" / f"{quote(name, safe='')}-{now:%Y%m%d-%H%M%S}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    embedded = running(directory)
    is_embedded = embedded is not None and str(context.api_uri).rstrip("/") == embedded[0].rstrip("/")
    base = results.container.uri.removesuffix("/").removesuffix("/ainerd")
    # Given the directory, the process keeps the embedded server running.
    tiled = str(directory) if is_embedded and base.endswith("/metadata") else base
    command = [sys.executable, "-m", "ainerd", "report", str(path), "--agent", name, "--tiled", tiled]
    command += ["--bounds", json.dumps(dict(bounds))]
    environment = dict(os.environ)
    if context.api_key:
        environment["AINERD_STORAGE__API_KEY"] = context.api_key
    with open(path.with_suffix(".log"), "wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    print(f"ainerd: explored; the report will be {path}", file=sys.stderr, flush=True)
    threading.Thread(target=_await, args=(process, path), name="ainerd-report", daemon=True).start()
    return path


def _await(process: "subprocess.Popen[bytes]", path: Path) -> None:
    log = path.with_suffix(".log")
    if process.wait() == 0:
        log.unlink(missing_ok=True)
    else:
        logger.warning("no report was written, see %s", log)


POLL_S = 0.25


def explore_remote(
    client: Container,
    n: int,
    *,
    agent: str | None = None,
    detector: Any,
    actuators: Sequence[Any],
    beside: Sequence[Any] = (),
    monitored: Sequence[Any] = (),
    shutter: Any = None,
    before: Callable[[], MsgGenerator[Any]] | None = None,
    acquire: Callable[..., MsgGenerator[Any]] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    beam: Beam | None = None,
    timeout_s: float = 600.0,
) -> MsgGenerator[list[str]]:
    """Plan: measure `n` positions that an agent in another process suggests: ``RE(explore_remote(client, 5, …))``.

    ``ainerd watch`` runs the agent on the same catalog. The agent must receive the documents of the runs, or they
    must be written to Tiled (`bluesky_tiled_plugins.TiledWriter`). Suggestions that a person took on a page come
    first. While a person holds the agent, the plan waits.

    Parameters
    ----------
    client : tiled.client.container.Container
        Root of the catalog.
    n : int
        Number of positions.
    agent : str, optional
        Name of the agent whose suggestions are measured. It is required if several agents have a suggestion.
    detector, actuators, beside, monitored, shutter, before, acquire
        As for `build_agent` and `ainerd.steering.visit`.
    bounds : mapping of str to (float, float), optional
        Limits by the actuators' names, in addition to the actuators' own limits.
    beam : Beam, optional
        A suspender of the RunEngine. If the beam is lost during an exposure, the exposure is repeated.
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
        has other actuators, or if it lies outside `bounds` or the limits of an actuator. In the last case the
        suggestion fails with this reason.
    RuntimeError
        If no suggestion arrives in time.
    """
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"explore_remote wants a number of positions, got {n!r}")
    remote = _Remote(ResultStore(client["ainerd"]), agent, list(actuators), bounds or {}, timeout_s)
    measure = partial(
        visit, beside=beside, monitored=monitored, shutter=shutter, before=before, acquire=acquire, timeout_s=timeout_s
    )
    return _explore(remote, n, detector, lambda analysed: retaking(measure(analysed), lambda: beam))


def _explore(
    remote: "_Remote", n: int, detector: Any, measure: Callable[..., Callable[..., MsgGenerator[Any]]]
) -> MsgGenerator[list[str]]:
    uids: list[str] = []
    pool = ThreadPoolExecutor(1, "ainerd-remote")
    try:
        for _ in range(n):
            asked = pool.submit(remote.take)
            # an error is raised below; `gather` keeps asyncio from logging it where the plan has ended before
            wait = partial(lambda f: asyncio.gather(asyncio.wrap_future(f), return_exceptions=True), asked)
            yield from bps.wait_for([wait])
            record = asked.result()

            def analysed(uid: str, trial: str = record.id) -> "Future[None]":
                return pool.submit(remote.wait_for_result, trial, uid)

            suggestion = {ID_KEY: record.id, "reason": record.reason, **record.positions}
            try:
                uids += yield from measure(analysed)([suggestion], remote.actuators, [detector])
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

    def take(self) -> SuggestionRecord:
        """Wait for a suggestion that may be measured now, take it, and return it."""
        for _ in self._looks():
            record = self._offered()
            if record is None:
                continue
            names = {actuator.name for actuator in self.actuators}
            if set(record.positions) != names:
                of, here = (", ".join(sorted(each)) for each in (record.positions, names))
                raise ValueError(f"agent {record.agent!r} suggests positions of {of}, the actuators are {here}")
            try:
                bounds = {name: self.bounds.get(name, (-math.inf, math.inf)) for name in record.positions}
                check_position(record.positions, bounds)
                check_limits(self.actuators, record.positions)
            except ValueError as error:
                self.store.set_status(record.id, "failed", str(error), instead_of=["proposed"])
                raise ValueError(f"agent {record.agent!r} suggests a position that is out of reach: {error}") from None
            self.agent = record.agent  # stay with this agent, even if others have suggestions later
            if record.status == "accepted" or self._takes(record):
                self._measured.add(record.id)
                return record
        why = self._waits or "is `ainerd watch` running on this catalogue?"
        raise RuntimeError(f"no suggestion came in {self.timeout_s:g} s: {why}")

    def _takes(self, record: SuggestionRecord) -> bool:
        """Send the command to take a suggestion, and return whether the agent has accepted it."""
        agent = str(record.agent)
        position, reason, terms = record.positions, record.reason, record.terms
        take = Take(suggestion=record.id, position=position, reason=reason, terms=terms, by=agent, now=True)
        node = AgentNode(self.store.container, agent)
        try:
            if not node.send(take):
                return False
        except KeyError:  # there has never been an agent with this name
            return False
        for _ in self._looks():
            if (status := node.command(take.id)["status"]) != "asked":
                return bool(status == "done")
        return False

    def _offered(self) -> SuggestionRecord | None:
        """Return the suggestion that a person took, or else the newest one.

        Return None while a person holds the agent, or must take a suggestion first.
        """
        newest = None if self.agent else self.store.next_suggestion()
        agent = self.agent or (newest.agent if newest is not None else None)
        state = read_agent(self.store.container, agent) if agent else {}
        self._waits = ""
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
        return self.store.next_suggestion(agent) if newest is None and agent else newest

    def wait_for_result(self, trial_id: str, uid: str) -> None:
        """Wait until the agent has written the outcome of the suggestion in this run, or until the timeout."""
        for _ in self._looks():
            record = self.store.suggestion(trial_id)
            if record.status in ("measured", "failed") and record.raw_uid == uid:
                return

    def give_up(self, record: SuggestionRecord) -> None:
        """Report to the agent that a suggestion was taken but not measured."""
        why, agent = "the exposure was not finished", str(record.agent)
        reject = Reject(
            id=f"failed-{record.id}", suggestion=record.id, position=record.positions, by=agent, why=why, failed=True
        )
        AgentNode(self.store.container, agent).send(reject)

    def _looks(self) -> Iterator[None]:
        """Yield at each poll, with pauses, until the timeout or until the plan has ended."""
        end = time.monotonic() + self.timeout_s
        while time.monotonic() < end and not self.given_up.is_set():
            yield
            self.given_up.wait(POLL_S)
