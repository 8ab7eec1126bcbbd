"""Steer through the queueserver: suggestions wait in the queue of an RE Manager, among the items that people add."""

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import wait
from functools import partial
from typing import Any, Literal

from bluesky_adaptive.protocols import ID_KEY
from bluesky_adaptive.queueserver import CORRELATION_UID_KEY
from bluesky_queueserver_api import BPlan
from bluesky_queueserver_api.zmq import REManagerAPI

from ainerd.agent import Observer
from ainerd.documents import Quiet
from ainerd.jobs import in_background
from ainerd.results.commands import Reject, new_id
from ainerd.words import named_place

logger = logging.getLogger(__name__)

LOOK_S = 0.5  # between two looks at the queue
AWAY_S = 5.0  # between two attempts to add an item where no RE Manager answers
LOST_S = 20.0  # wait for the run of an item after the RE Manager was killed; then the exposure counts as failed
ENDED_WELL = ("completed", "stopped")
ABANDONED = "unknown"  # exit status of an item that ran when the RE Manager was killed; with others it is queued again


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

    Plan and metadata of an item are those of `bluesky_adaptive.queueserver`. Only one item at a time waits in the queue
    or runs, so that each position is chosen after the previous one is analysed. A plan that fails or is aborted stays
    in the queue, and counts once it has ended well. If a person removes an item, its position is rejected, and the
    agent suggests another one. If the RE Manager is killed while it measures, the exposure counts as failed. While a
    person holds the agent, no item is added. With ``steering.review``, none is added before a person took it.

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
        `ainerd.plans.visit`.
    documents : str
        Source of the documents of the runs; see `ainerd.sources.open_source`.
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
        If `n` is not a positive number, no position is left, the documents end, or the RE Manager has no open
        environment or does not allow the plan or a device.
    TimeoutError
        If no RE Manager answers at the start, or a run does not arrive.
    REManagerAPI.RequestFailedError
        If the RE Manager refuses the item, or is locked.
    """
    if n is not None and (not isinstance(n, int) or n < 1):
        raise ValueError(f"steer needs a number of positions, got {n!r}")
    stop, leave = stop or threading.Event(), threading.Event()
    optimizer, actuators = observer.optimizer, list(observer.bounds)
    queue, runs = _ManagerQueue(manager, plan, detector, actuators, stop), _Runs()
    uids, waited = list[str](), ""
    following = in_background("ainerd-queueserver", partial(observer.follow, documents, leave, then=runs))
    try:
        while not stop.is_set() and len(uids) != n:
            if following.done():
                raise following.exception() or ValueError(f"{documents}: the documents ended before the campaign")
            if waits := _waits_for(observer):
                if waits != waited:
                    logger.warning("nothing is added to the queue: %s", waits)
                waited = waits
                stop.wait(LOOK_S)
                continue
            waited = ""
            (suggestion,) = optimizer.suggest(1)
            mark = queue.add(suggestion)
            over = None
            while (uid := runs.ended.get(mark)) is None and over is None and not (stop.is_set() or following.done()):
                runs.news.wait(LOOK_S)
                runs.news.clear()
                over = queue.over(timeout_s)
            if uid is not None:
                uids.append(uid)
                observer.evaluate([uid], [suggestion], timeout_s)
                if n is None and optimizer.should_stop()[0]:
                    break
            elif over == "lost":
                logger.warning("the RE Manager was restarted while it measured %s", suggestion[ID_KEY])
                optimizer.register_failures([suggestion])
            elif over == "removed":
                id, why = str(suggestion[ID_KEY]), "it was taken out of the queue"
                position = {name: suggestion[name] for name in actuators}
                optimizer.apply(Reject(id=new_id(), suggestion=id, position=position, why=why))
        return uids
    finally:
        leave.set()
        optimizer.register_failures(queue.withdraw())
        wait([following])


def _waits_for(observer: Observer) -> str:
    """Return the reason why no item is added now; empty if one may be. ValueError if no position is left."""
    state = observer.optimizer.state
    if state.held is not None:
        return f"{state.held.by} holds the agent, until it is released"
    if not observer.review or state.taken(review=True) is not None:
        return ""
    suggestion = observer.suggest()
    place = named_place({name: suggestion[name] for name in observer.bounds}, {})
    return f"it waits until a person takes the suggestion {place} on the page"


class _Runs:
    """Keeps the runs that ended well, by the mark of their item."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}  # of the runs in progress, by uid
        self.ended: dict[str, str] = {}  # uids, by mark
        self.news = threading.Event()  # set after each run

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        if name == "start" and CORRELATION_UID_KEY in doc:
            self._marks[doc["uid"]] = doc[CORRELATION_UID_KEY]
        elif name == "stop":
            mark = self._marks.pop(doc["run_start"], None)
            if mark is not None and doc["exit_status"] == "success":
                self.ended[mark] = doc["run_start"]
            self.news.set()


class _ManagerQueue:
    """The queue of an RE Manager, with at most one item of the agent."""

    def __init__(
        self, manager: REManagerAPI, plan: str, detector: str, actuators: Sequence[str], stop: threading.Event
    ) -> None:
        self._rm, self._plan, self._detector, self._actuators, self._stop = manager, plan, detector, actuators, stop
        self._mark: str | None = None  # of the item
        self._suggestion: Mapping[str, Any] = {}
        self._is_open = True
        self._quiet = Quiet()  # time since the item was last in the queue
        if not manager.status()["worker_environment_exists"]:
            raise ValueError("the RE Manager has no open environment: `qserver environment open` opens one")
        plans, devices = manager.plans_allowed()["plans_allowed"], manager.devices_allowed()["devices_allowed"]
        for what, names, allowed in ("plan", [plan], plans), ("device", [detector, *actuators], devices):
            if missing := [name for name in names if name not in allowed]:
                raise ValueError(
                    f"the RE Manager allows no {what} {', '.join(missing)}; there are {', '.join(sorted(allowed))}"
                )
        manager.queue_autostart(True)

    def add(self, suggestion: Mapping[str, Any]) -> str:
        """Add an item, and return its mark.

        While no RE Manager answers, or it was restarted and has no environment, try again until `stop` is set.
        """
        mark = new_id()
        self._mark, self._suggestion = mark, suggestion
        md = {CORRELATION_UID_KEY: mark, "blop_suggestions": [suggestion]}
        item = BPlan(self._plan, [suggestion], list(self._actuators), [self._detector], md=md)
        while not self._stop.is_set():
            try:
                if self._is_ready():
                    # after a lost answer the item may be in the queue already, or measured
                    if not (self._ours(running=True) or self._ends()):
                        self._rm.item_add(item)
                    break
            except TimeoutError as error:
                logger.warning("the RE Manager does not answer: %s", error)
                self._stop.wait(AWAY_S)
        self._quiet.over()
        return mark

    def _is_ready(self) -> bool:
        """Return whether an environment is open; if not, wait a moment. A person opens it after a restart."""
        status, was_open = self._rm.status(reload=True), self._is_open
        self._is_open = bool(status["worker_environment_exists"])
        if not self._is_open:
            if was_open:
                logger.warning("the RE Manager has no open environment: `qserver environment open` opens one")
            self._stop.wait(LOOK_S)
        elif not status["queue_autostart_enabled"]:
            logger.warning("the queue does not start by itself: `qserver queue autostart enable` starts it")
        return self._is_open

    def over(self, timeout_s: float) -> Literal["removed", "lost"] | None:
        """Return "removed" if a person removed the item, "lost" if the RE Manager was killed while it ran, else None.

        Raises TimeoutError if the item ended more than `timeout_s` ago and its run has not arrived.
        """
        try:
            if self._ours(running=True):
                self._quiet.over()
                return None
            ends = self._ends()
        except TimeoutError as error:
            logger.warning("the RE Manager does not answer: %s", error)
            return None
        if ends[-1:] == [ABANDONED]:
            return "lost" if self._quiet.look() > LOST_S else None
        if not any(status in ENDED_WELL for status in ends):
            return "removed"
        if self._quiet.look() > timeout_s:
            raise TimeoutError(
                f"no run came within {timeout_s:g} s after its plan: check that runs are written to Tiled"
            )
        return None

    def withdraw(self) -> Sequence[Mapping[str, Any]]:
        """Remove the item from the queue, and return its suggestion in a list if it waited there."""
        try:
            items = self._ours(running=False)
            for item in items:
                self._rm.item_remove(uid=item["item_uid"])
        except (TimeoutError, self._rm.RequestFailedError) as error:
            logger.warning("an item may have stayed in the queue: %s", error)
            return []
        return [self._suggestion] if items else []

    def _ours(self, *, running: bool) -> list[Mapping[str, Any]]:
        """Return the item in a list if it waits in the queue (or, with `running`, is running)."""
        queue = self._rm.queue_get(reload=True)
        items = [*queue["items"], queue["running_item"]] if running else queue["items"]
        return [item for item in items if self._is_ours(item)]

    def _ends(self) -> list[str]:
        """Return how the item ended, each time that it ran."""
        history = self._rm.history_get(reload=True)["items"]
        return [item["result"]["exit_status"] for item in history if self._is_ours(item)]

    def _is_ours(self, item: Mapping[str, Any]) -> bool:
        md = item.get("kwargs", {}).get("md")
        return isinstance(md, Mapping) and self._mark is not None and md.get(CORRELATION_UID_KEY) == self._mark
