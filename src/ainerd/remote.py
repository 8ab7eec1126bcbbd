"""For the RunEngine's side, when the agent runs in a process of its own: suggestions come, and fates go, by Tiled."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator
from bluesky_adaptive.protocols import ID_KEY
from tiled.client.container import Container

from ainerd.results import ResultStore, SuggestionRecord
from ainerd.steering import visit

POLL_S = 0.25


def explore_remote(
    client: Container,
    n: int,
    *,
    detector: Any,
    actuators: Sequence[Any],
    beside: Sequence[Any] = (),
    monitored: Sequence[Any] = (),
    shutter: Any = None,
    before: Callable[[], MsgGenerator[Any]] | None = None,
    timeout_s: float = 600.0,
) -> MsgGenerator[list[str]]:
    """Plan: measure `n` positions that an agent elsewhere suggests: ``RE(explore_remote(client, 5, …))``.

    The agent is one that ``ainerd watch`` runs on the same catalogue. It sees the runs because somebody sends it
    their documents, or writes them to Tiled (`bluesky_tiled_plugins.TiledWriter`).

    Parameters
    ----------
    client : tiled.client.container.Container
        Root of the catalogue.
    n : int
        How many positions.
    detector, actuators, beside, monitored, shutter, before
        As `ainerd.agent.Agent` and `ainerd.steering.visit` take them.
    timeout_s : float
        Longest wait for a suggestion, and for the analysis of a run.

    Returns
    -------
    list of str
        Uids of the runs.

    Raises
    ------
    ValueError
        If `n` is no positive number.
    RuntimeError
        If no suggestion comes in time: no agent is there.
    """
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"explore_remote wants a number of positions, got {n!r}")
    return _explore(
        _Remote(client, timeout_s), n, detector, actuators, timeout_s,
        beside=beside, monitored=monitored, shutter=shutter, before=before,
    )  # fmt: skip


def _explore(
    remote: "_Remote", n: int, detector: Any, actuators: Sequence[Any], timeout_s: float, **options: Any
) -> MsgGenerator[list[str]]:
    uids: list[str] = []
    with ThreadPoolExecutor(1, "ainerd-remote") as pool:
        for _ in range(n):
            asked = pool.submit(remote.take)

            async def answered(asked: "Future[SuggestionRecord]" = asked) -> None:
                await asyncio.wait([asyncio.wrap_future(asked)])

            yield from bps.wait_for([answered])
            record = asked.result()

            def fate(uid: str, trial: str = record.id) -> "Future[None]":
                return pool.submit(remote.wait_for_fate, trial)

            acquire = visit(fate, timeout_s=timeout_s, **options)
            suggestion = {ID_KEY: record.id, "reason": record.reason, **record.positions}
            uids += yield from acquire([suggestion], actuators, [detector])
    return uids


class _Remote:
    """Asks Tiled, again and again, off the RunEngine's thread."""

    def __init__(self, client: Container, timeout_s: float) -> None:
        self._store, self._suggestions = ResultStore(client["ainerd"]), client["ainerd", "suggestions"]
        self._timeout_s = timeout_s

    def take(self) -> SuggestionRecord:
        """The next suggestion, accepted."""
        end = time.monotonic() + self._timeout_s
        while time.monotonic() < end:
            record = self._store.next_suggestion()
            if record is not None:
                self._store.set_fate(record.id, "accepted")
                return record
            time.sleep(POLL_S)
        raise RuntimeError(f"no suggestion came in {self._timeout_s:g} s: is `ainerd watch` running on this catalogue?")

    def wait_for_fate(self, trial_id: str) -> None:
        """Return once the agent has said what became of the suggestion, or not in time."""
        end = time.monotonic() + self._timeout_s
        while time.monotonic() < end:
            if self._suggestions[trial_id].metadata["fate"] in ("measured", "failed"):
                return
            time.sleep(POLL_S)
