"""For the RunEngine when the agent runs in a process of its own: suggestions and their status, through Tiled."""

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
    """Plan: measure `n` positions that an agent elsewhere suggests: ``RE(explore_remote(client, 5, …))``.

    The agent is one that ``ainerd watch`` runs on the same catalogue. It sees the runs because somebody sends it
    their documents, or writes them to Tiled (`bluesky_tiled_plugins.TiledWriter`). What a person took on a page comes
    first, and nothing is measured while one holds the agent.

    Parameters
    ----------
    client : tiled.client.container.Container
        Root of the catalogue.
    n : int
        How many positions.
    agent : str, optional
        Name of the agent whose suggestions are measured. It must be given where several agents have one.
    detector, actuators, beside, monitored, shutter, before
        As `ainerd.agent.Agent` and `ainerd.steering.visit` take them.
    bounds : mapping of str to (float, float), optional
        Limits by the actuators' names, beside those that the actuators have of their own.
    beam : Beam, optional
        A suspender of the RunEngine: an exposure that the beam was lost in is taken again.
    timeout_s : float
        Longest wait for a suggestion, and for the analysis of a run.

    Returns
    -------
    list of str
        Uids of the runs.

    Raises
    ------
    ValueError
        If `n` is no positive number, several agents have suggestions and none is named, a suggestion is of other
        actuators, or it leads beyond `bounds` or the limits of an actuator: it is then closed with that reason.
    RuntimeError
        If no suggestion comes in time: no agent is there.
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
        remote.given_up.set()  # an aborted plan does not hold the RunEngine until the wait is over
        pool.shutdown()
    return uids


class _Remote:
    """Asks Tiled, again and again, off the RunEngine's thread."""

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
        self._measured: set[str] = set()  # ids that were taken here
        self._waits = ""  # why none is taken
        self.given_up = threading.Event()

    def take(self) -> SuggestionRecord:
        """Wait for a suggestion that may be measured now, and return it, accepted."""
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
                raise ValueError(f"agent {record.agent!r} suggests what cannot be measured: {error}") from None
            self._agent = record.agent  # the next one of the same agent, whoever else comes
            if record.status == "accepted" or self._takes(record):
                self._measured.add(record.id)
                return record
        why = self._waits or "is `ainerd watch` running on this catalogue?"
        raise RuntimeError(f"no suggestion came in {self._timeout_s:g} s: {why}")

    def _takes(self, record: SuggestionRecord) -> bool:
        """Send the verdict on a suggestion, and wait until the agent has applied it; False if somebody was first."""
        agent = str(record.agent)
        position, reason, terms = record.positions, record.reason, record.terms
        take = Take(suggestion=record.id, position=position, reason=reason, terms=terms, by=agent, now=True)
        node = AgentNode(self._store.container, agent)
        try:
            if not node.send(take):
                return False
        except KeyError:  # an agent of this name was never there
            return False
        for _ in self._looks():
            if (status := node.command(take.id)["status"]) != "asked":
                return bool(status == "done")
        return False

    def _offered(self) -> SuggestionRecord | None:
        """What a person took, or else the newest suggestion; None while they hold, or are to take it first."""
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
        """ValueError unless the actuators may and can go there."""
        for name, (low, high) in self._bounds.items():
            if name in position and not low <= position[name] <= high:
                raise ValueError(f"{name} = {position[name]:g} lies outside its bounds ({low}, {high})")
        check_limits(self._actuators, position)

    def wait_for_result(self, trial_id: str, uid: str) -> None:
        """Return once the agent has written the outcome of the suggestion in this run, or after the timeout."""
        for _ in self._looks():
            record = self._store.suggestion(trial_id)
            if record.status in ("measured", "failed") and record.raw_uid == uid:
                return

    def give_up(self, record: SuggestionRecord) -> None:
        """Tell the agent that a suggestion was taken, and not measured."""
        why, agent = "the exposure was not finished", str(record.agent)
        reject = Reject(
            id=f"failed-{record.id}", suggestion=record.id, position=record.positions, by=agent, why=why, failed=True
        )
        AgentNode(self._store.container, agent).send(reject)

    def _looks(self) -> Iterator[None]:
        """One after the other, with pauses, until time is up or nobody wants to know any more."""
        end = time.monotonic() + self._timeout_s
        while time.monotonic() < end and not self.given_up.is_set():
            yield
            self.given_up.wait(POLL_S)
