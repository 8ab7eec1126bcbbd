"""Plan for a RunEngine whose agent runs in another process: suggestions and their status travel through Tiled."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator
from bluesky_adaptive.protocols import ID_KEY
from tiled.client.container import Container

from ainerd.agent._plans import Beam, retaking
from ainerd.results import AgentNode, Reject, ResultStore, SuggestionRecord, Take, read_agent
from ainerd.steering import check_limits, visit

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
    detector, actuators, beside, monitored, shutter, before
        As for `ainerd.agent.Agent` and `ainerd.steering.visit`.
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
    return _explore(
        _Remote(client, agent, actuators, bounds or {}, timeout_s), n, detector, actuators, timeout_s,
        beside=beside, monitored=monitored, shutter=shutter, before=before, beam=beam,
    )  # fmt: skip


def _explore(
    remote: "_Remote",
    n: int,
    detector: Any,
    actuators: Sequence[Any],
    timeout_s: float,
    *,
    beam: Beam | None,
    **options: Any,
) -> MsgGenerator[list[str]]:
    uids: list[str] = []
    pool = ThreadPoolExecutor(1, "ainerd-remote")
    try:
        for _ in range(n):
            asked = pool.submit(remote.take)

            async def answered(asked: "Future[SuggestionRecord]" = asked) -> None:
                await asyncio.gather(asyncio.wrap_future(asked), return_exceptions=True)  # raised below

            yield from bps.wait_for([answered])
            record = asked.result()

            def analysed(uid: str, trial: str = record.id) -> "Future[None]":
                return pool.submit(remote.wait_for_result, trial, uid)

            acquire = retaking(visit(analysed, timeout_s=timeout_s, **options), lambda: beam)
            suggestion = {ID_KEY: record.id, "reason": record.reason, **record.positions}
            try:
                uids += yield from acquire([suggestion], actuators, [detector])
            except Exception:
                pool.submit(remote.give_up, record)
                raise
    finally:
        remote.given_up.set()  # so that an aborted plan does not block the RunEngine until the timeout
        pool.shutdown()
    return uids


class _Remote:
    """Polls Tiled, outside the RunEngine's thread."""

    def __init__(
        self,
        client: Container,
        agent: str | None,
        actuators: Sequence[Any],
        bounds: Mapping[str, tuple[float, float]],
        timeout_s: float,
    ) -> None:
        self._store = ResultStore(client["ainerd"])
        self._agent, self._actuators, self._bounds, self._timeout_s = agent, list(actuators), bounds, timeout_s
        self._measured: set[str] = set()  # ids of suggestions that this plan took
        self._waits = ""  # reason why no suggestion is taken
        self.given_up = threading.Event()

    def take(self) -> SuggestionRecord:
        """Wait for a suggestion that may be measured now, take it, and return it."""
        for _ in self._looks():
            record = self._offered()
            if record is None:
                continue
            names = {actuator.name for actuator in self._actuators}
            if set(record.positions) != names:
                of, here = (", ".join(sorted(each)) for each in (record.positions, names))
                raise ValueError(f"agent {record.agent!r} suggests positions of {of}, the actuators are {here}")
            try:
                self._check(record.positions)
            except ValueError as error:
                self._store.set_status(record.id, "failed", str(error), instead_of=["proposed"])
                raise ValueError(f"agent {record.agent!r} suggests a position that is out of reach: {error}") from None
            self._agent = record.agent  # stay with this agent, even if others have suggestions later
            if record.status == "accepted" or self._takes(record):
                self._measured.add(record.id)
                return record
        why = self._waits or "is `ainerd watch` running on this catalogue?"
        raise RuntimeError(f"no suggestion came in {self._timeout_s:g} s: {why}")

    def _takes(self, record: SuggestionRecord) -> bool:
        """Send the command to take a suggestion, and return whether the agent has accepted it."""
        agent = str(record.agent)
        position, reason, terms = record.positions, record.reason, record.terms
        take = Take(suggestion=record.id, position=position, reason=reason, terms=terms, by=agent, now=True)
        node = AgentNode(self._store.container, agent)
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
        found = None if self._agent else self._store.next_suggestion()
        agent = self._agent or (found.agent if found is not None else None)
        said = read_agent(self._store.container, agent) if agent else {}
        self._waits = ""
        if isinstance(held := said.get("held"), dict):
            self._waits = f"{held.get('by')} holds it"
            return None
        taken = said.get("taken")
        if isinstance(taken, str) and taken not in self._measured:
            record = self._store.suggestion(taken)
            return record if record.status == "accepted" else None
        if said.get("review"):
            self._waits = "nobody took one"
            return None
        return self._store.next_suggestion(agent) if found is None and agent else found

    def _check(self, position: Mapping[str, float]) -> None:
        """Raise ValueError unless the position lies within the bounds and the limits of the actuators."""
        for name, (low, high) in self._bounds.items():
            if name in position and not low <= position[name] <= high:
                raise ValueError(f"{name} = {position[name]:g} lies outside its bounds ({low}, {high})")
        check_limits(self._actuators, position)

    def wait_for_result(self, trial_id: str, uid: str) -> None:
        """Wait until the agent has written the outcome of the suggestion in this run, or until the timeout."""
        for _ in self._looks():
            record = self._store.suggestion(trial_id)
            if record.status in ("measured", "failed") and record.raw_uid == uid:
                return

    def give_up(self, record: SuggestionRecord) -> None:
        """Report to the agent that a suggestion was taken but not measured."""
        why, agent = "the exposure was not finished", str(record.agent)
        reject = Reject(
            id=f"failed-{record.id}", suggestion=record.id, position=record.positions, by=agent, why=why, failed=True
        )
        AgentNode(self._store.container, agent).send(reject)

    def _looks(self) -> Iterator[None]:
        """Yield at each poll, with pauses, until the timeout or until the plan has ended."""
        end = time.monotonic() + self._timeout_s
        while time.monotonic() < end and not self.given_up.is_set():
            yield
            self.given_up.wait(POLL_S)
