"""Steer through the queueserver: suggestions wait in the queue of an RE Manager, among the items that people add."""

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bluesky_adaptive.protocols import ID_KEY, QueueserverOptimizationProblem
from bluesky_adaptive.queueserver import CORRELATION_UID_KEY, QueueserverClient, QueueserverOptimizationRunner
from bluesky_queueserver_api import BPlan
from bluesky_queueserver_api.zmq import REManagerAPI

from ainerd.agent._observer import Observer
from ainerd.documents import Quiet
from ainerd.results.commands import Reject, new_id

logger = logging.getLogger(__name__)

LOOK_S = 0.5  # between two looks at the queue
AWAY_S = 5.0  # between two attempts to add an item where no RE Manager answers
ENDED_WELL = ("completed", "stopped", "unknown")  # with any other exit status an item goes back into the queue


def steer(
    observer: Observer,
    manager: REManagerAPI,
    *,
    detector: str,
    n: int | None = None,
    plan: str = "measure",
    documents: str = "tiled",
    stop: threading.Event | None = None,
    timeout_s: float = 600.0,
) -> list[str]:
    """Measure the suggestions of an agent with an RE Manager, until `n` positions or until the sample is explored.

    This runs `bluesky_adaptive.queueserver.QueueserverOptimizationRunner` with the agent as its optimizer. Only one
    item at a time waits in the queue or runs, so that each position is chosen after the previous one is analysed. A
    plan that fails or is aborted stays in the queue, and counts once it has ended well. If a person removes an item,
    its position is rejected, and the agent suggests another one. While a person holds the agent, no item is added.

    Parameters
    ----------
    observer : Observer
        The agent. It also learns from runs that other people take.
    manager : bluesky_queueserver_api.zmq.REManagerAPI
        The RE Manager. Its queue is started, and set to start by itself from now on.
    detector : str
        Name of the detector in the RE Manager's environment. The actuators have the same names there as in the bounds.
    n : int, optional
        Number of positions; by default continue until ``observer.optimizer.should_stop()``.
    plan : str
        Name of a plan in that environment with the arguments suggestions, actuators, sensors and `md`; see
        `ainerd.steering.visit`.
    documents : str
        Source of the documents of the runs; see `ainerd.documents.open_documents`.
    stop : threading.Event, optional
        Set it to end early. An item that waits in the queue is then removed.
    timeout_s : float
        Longest wait for a run after its plan has ended, and for its analysis.

    Returns
    -------
    list of str
        Uids of the runs.

    Raises
    ------
    ValueError
        If `n` is not a positive number, the settings ask for review, no position is left, the documents end, or the RE
        Manager has no open environment or does not allow the plan or a device.
    TimeoutError
        If no RE Manager answers at the start, or a run does not arrive.
    REManagerAPI.RequestFailedError
        If the RE Manager refuses the item, or is locked.
    """
    if n is not None and (not isinstance(n, int) or n < 1):
        raise ValueError(f"steer wants a number of positions, got {n!r}")
    if observer.review:
        raise ValueError("steering.review: a queue cannot wait for a person; remove the setting or use agent.explore")
    stop, explored = stop or threading.Event(), threading.Event()
    actuators = list(observer.bounds)
    uids: list[str] = []

    def evaluate(uid: str, suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        outcomes = observer.evaluate([uid], suggestions, timeout_s)
        if n is None and observer.optimizer.should_stop()[0]:  # the runner does not check this
            explored.set()
            runner.stop()
        elif observer.optimizer.held is not None:
            runner.stop()
        return outcomes

    source = _Source(observer, documents)
    queue = _Queue(manager, source, stop, plan, [detector, *actuators])
    problem = QueueserverOptimizationProblem(observer.optimizer, actuators, [detector], evaluate, plan)
    runner = QueueserverOptimizationRunner(problem, queue)
    try:
        while not (stop.is_set() or explored.is_set() or len(uids) == n):
            if (held := observer.optimizer.held) is not None:
                logger.warning("%s holds the agent: nothing is added to the queue until it is released", held["by"])
                while observer.optimizer.held is not None and not stop.wait(LOOK_S):
                    pass
                continue
            future = runner.run(sys.maxsize if n is None else n - len(uids))
            while not (future.done() or stop.wait(LOOK_S)):
                source.check()
                with queue.lock:
                    if not future.done() and queue.is_item_gone(timeout_s):
                        runner.stop()
                        for suggestion in queue.forget():
                            position = {name: suggestion[name] for name in actuators}
                            id, why = str(suggestion[ID_KEY]), "it was taken out of the queue"
                            observer.optimizer.apply(Reject(id=new_id(), suggestion=id, position=position, why=why))
            if future.done():
                uids += future.result().uids
        return uids
    finally:
        runner.stop()
        queue.stop_listener()
        observer.optimizer.register_failures(queue.withdraw())


class _Source:
    """Passes the documents of the runs to the agent, then to the runner. Replaces the runner's `RemoteDispatcher`.

    The `RemoteDispatcher` reads pickle, and misses runs that end while it does not listen.
    """

    def __init__(self, observer: Observer, documents: str) -> None:
        self._observer, self._documents = observer, documents
        self._stop, self._ended = threading.Event(), threading.Event()
        self._error: Exception | None = None

    def subscribe(self, callback: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._callback = callback

    def start(self) -> None:
        try:
            self._observer.follow(self._documents, self._stop, then=self._callback)
        except Exception as error:
            self._error = error
        finally:
            self._ended.set()

    def stop(self) -> None:
        self._stop.set()
        self._ended.wait()

    def check(self) -> None:
        """Raise an error if the documents have ended."""
        if self._ended.is_set():
            raise self._error or ValueError(f"{self._documents}: the documents ended before the campaign")


class _Queue(QueueserverClient):
    """Connects the runner to the queue. The runner gets only the run of the item that it waits for, if it ended well.

    The runner of bluesky-adaptive 1.0.0 ends for good if a run with the mark of another item arrives, or if its own run
    fails. It waits forever for an item that is no longer in the queue.
    """

    def __init__(
        self, manager: REManagerAPI, source: _Source, stop: threading.Event, plan: str, devices: Iterable[str]
    ) -> None:
        self.lock = threading.RLock()  # held while the runner changes from one item to the next
        self._rm, self._stop, self._plan, self._devices = manager, stop, plan, tuple(devices)
        self._mark: str | None = None  # of the item for which the runner waits
        self._suggestions: Sequence[Mapping[str, Any]] = ()
        self._quiet = Quiet()  # time since the item was last in the queue
        self.check_environment()  # before anything is started
        super().__init__(manager, source)

    def check_environment(self) -> None:
        if not self._rm.status()["worker_environment_exists"]:
            raise ValueError("the RE Manager has no open environment: `qserver environment open` opens one")
        plans, devices = self._rm.plans_allowed()["plans_allowed"], self._rm.devices_allowed()["devices_allowed"]
        for what, names, allowed in ("plan", [self._plan], plans), ("device", self._devices, devices):
            if missing := [name for name in names if name not in allowed]:
                raise ValueError(
                    f"the RE Manager allows no {what} {', '.join(missing)}; there are {', '.join(sorted(allowed))}"
                )

    def start_listener(self, on_stop: Callable[[Any, Any], None]) -> None:
        def heard(start: Mapping[str, Any], stop: Mapping[str, Any]) -> None:
            with self.lock:
                if start[CORRELATION_UID_KEY] == self._mark and stop["exit_status"] == "success":
                    on_stop(start, stop)

        super().start_listener(heard)

    def submit_plan(self, plan: BPlan) -> None:
        with self.lock:
            self._mark, self._suggestions = plan.kwargs["md"][CORRELATION_UID_KEY], plan.args[0]
            while True:
                try:
                    if not self._ours(running=True):  # after a lost answer the item may be in the queue already
                        super().submit_plan(plan)
                    self._quiet.over()
                    return
                except TimeoutError as error:
                    logger.warning("the RE Manager is away: %s", error)
                    if self._stop.wait(AWAY_S):
                        raise

    def is_item_gone(self, timeout_s: float) -> bool:
        """Return whether a person removed the item.

        Raises TimeoutError if the item ended more than `timeout_s` ago and its run has not arrived.
        """
        try:
            if self._ours(running=True):
                self._quiet.over()
                return False
            history = self._rm.history_get(reload=True)["items"]
        except TimeoutError as error:
            logger.warning("the RE Manager is away: %s", error)
            return False
        if not any(self._is_ours(item) and item["result"]["exit_status"] in ENDED_WELL for item in history):
            return True
        if self._quiet.look() > timeout_s:
            raise TimeoutError(
                f"no run came within {timeout_s:g} s after its plan: check that runs are written to Tiled"
            )
        return False

    def forget(self) -> Sequence[Mapping[str, Any]]:
        """Stop waiting for the item, and return its suggestions."""
        self._mark = None
        return self._suggestions

    def withdraw(self) -> Sequence[Mapping[str, Any]]:
        """Remove the item from the queue, and return its suggestions if it waited there."""
        try:
            items = self._ours(running=False)
            for item in items:
                self._rm.item_remove(uid=item["item_uid"])
        except (TimeoutError, self._rm.RequestFailedError) as error:
            logger.warning("an item may have stayed in the queue: %s", error)
            return ()
        return self.forget() if items else ()

    def _ours(self, *, running: bool) -> list[Mapping[str, Any]]:
        """Return the item in a list if it waits in the queue (or, with `running`, is running)."""
        queue = self._rm.queue_get(reload=True)
        items = [*queue["items"], queue["running_item"]] if running else queue["items"]
        return [item for item in items if self._is_ours(item)]

    def _is_ours(self, item: Mapping[str, Any]) -> bool:
        md = item.get("kwargs", {}).get("md")
        return isinstance(md, Mapping) and self._mark is not None and md.get(CORRELATION_UID_KEY) == self._mark
