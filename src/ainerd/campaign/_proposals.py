"""Proposals: the next position is chosen, kept apart from those of other sessions, and handed out once."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from bluesky_adaptive.protocols import ID_KEY

from ainerd.campaign._atlas import Atlas
from ainerd.campaign._exposures import ExposureChoice, exposure_of
from ainerd.campaign._ledger import Ledger
from ainerd.campaign._optimizer import OtherOptimizer
from ainerd.campaign._others import Others, Partners
from ainerd.campaign._queue import Queue, Ready
from ainerd.config import Steering
from ainerd.exposures import Exposure
from ainerd.steering import Explorer

MOST_TRIED = 50  # suggestions at places of other sessions, one after the other


@dataclass(kw_only=True)
class Proposals:
    """The suggestions that wait and those that were handed out."""

    explorer: Explorer | OtherOptimizer
    exposures: ExposureChoice | None  # with it each suggestion gets frame time, number of frames and transmission
    steering: Steering
    ledger: Ledger
    atlas: Atlas  # the holes of its paths are filled
    partners: Partners
    later: Callable[..., None]  # `later(write, *args, **kwargs)` adds a write to Tiled to the jobs
    learn_others: Callable[[], list[Mapping[str, float]]]  # results of other sessions; returns their positions
    save: Callable[[], None]  # writes the checkpoint, because the points of people have changed
    given: dict[str, dict[str, float]] = field(default_factory=dict)  # positions that were handed out, by id
    results: dict[str, str] = field(default_factory=dict)  # key of the first result of each suggestion
    lock: threading.RLock = field(default_factory=threading.RLock)
    _unfinished: set[str] = field(default_factory=set)  # handed out, but their exposures were not finished

    def __post_init__(self) -> None:
        self.others = Others(self.ledger, self.explorer, self.steering.shared_s, self.steering.beam_size)
        self.queue = Queue(self.steering.review)

    # choice

    def peek(self) -> dict[str, Any]:
        """Return the next suggestion, without taking it; ValueError if no position is left."""
        with self.lock:
            if (ready := self.queue.first) is None:
                ready = self._propose(self._chosen(1)[0])
            return dict(ready.suggestion)

    def follow(self) -> None:
        """Prepare the next suggestion, if a position is left; otherwise the next caller of `peek` gets the error."""
        with suppress(ValueError):
            self.peek()

    def renew(self) -> None:
        """Choose again after a result. If the choice is the same, the suggestion that waits stays as it is written.

        Sessions that share a sample propose anew, because they then learn each other's results.
        """
        if (own := self.queue.own) is None:
            return
        if self.steering.shared_s or not self.explorer.takes_back:
            self.withdraw_own("newer results", "superseded")
            return
        self.explorer.withdraw(own.id)
        new: dict[str, Any] | None = None
        with suppress(ValueError):  # no position is left: the next caller of `peek` gets the error
            new = self._chosen(1)[0]
        if new is not None and _choice(new) == _choice(own.suggestion):
            self.explorer.rename(new[ID_KEY], own.id)
            return
        self._withdraw(own, "newer results", "superseded")
        if new is not None:
            self._propose(new)

    def settle(self) -> bool:
        """Make sure that no other session measures the ready suggestion; return whether this is so.

        Where sessions share a sample (`Steering.shared_s`), the suggestion is written, and counts as this session's own
        if then no other has a right to its place: none has measured there, has accepted a suggestion there, or has
        proposed it earlier. Otherwise another one is tried. A suggestion that gets old is replaced by another one
        before other sessions may ignore it. Without other sessions, and for a person's point, nothing of this is done.
        First it reads the positions that are novel to agents of other techniques. Without `Steering.shared_s` it only
        chooses again if another session has measured meanwhile.

        Raises ValueError if no position is left.
        """
        self.look_elsewhere()
        if not self.steering.shared_s and self.learn_others():
            with self.lock:
                self.withdraw_own("another session has measured", "superseded")
                self.follow()
        for _ in range(MOST_TRIED if self.steering.shared_s else 0):
            with self.lock:
                if (ready := self.queue.first) is not None and ready.created:
                    return True
                if ready is not None and self.others.is_old:
                    self.withdraw_own("it has waited for too long", "superseded")
                suggestion = self.peek()
                id = suggestion[ID_KEY]
                if self.others.has_claimed(id):
                    return True
            self.ledger.suggested(suggestion)
            if not self._avoid_others(id) and (ready := self.queue.first) is not None and ready.id == id:
                return False  # Tiled does not answer
        return not self.steering.shared_s

    def look_elsewhere(self) -> None:
        """Choose again if the novel positions of other techniques have changed (`Steering.partners`)."""
        if self.partners.look():
            with self.lock:
                self.withdraw_own("an agent of another technique found something novel", "superseded")
                self.follow()

    def exposure_of(self, suggestion: Mapping[str, Any]) -> Exposure:
        """Return the exposure with which a suggestion is measured; ValueError if no dose is left for one."""
        with self.lock:
            assert self.exposures is not None
            return exposure_of(self.exposures.completed(suggestion))

    # handing out

    def hand_out(
        self, n: int = 1, by: str | None = None, status: str = "accepted", *, first: bool = False
    ) -> list[dict[str, Any]]:
        """Hand out the next positions, to be measured now. The ready suggestion comes first.

        Raises ValueError if no position is left, or if another session may measure there.
        """
        with self.lock:
            suggestions: list[dict[str, Any]] = []
            while len(suggestions) < n:
                if self.steering.shared_s and not self.settle():
                    raise ValueError("Tiled does not answer, so another session may measure there")
                if (ready := self.queue.first) is None:
                    break
                suggestions.append(ready.suggestion)
                self.give(ready.suggestion, ready.taken_by or by, status, first=first)
                self.remove(ready.id)
            more = self._chosen(n - len(suggestions)) if n > len(suggestions) else []
            for suggestion in more:
                self.give(suggestion, by, status, first=first)
        return suggestions + more

    def give(
        self, suggestion: Mapping[str, Any], by: str | None, status: str = "accepted", *, first: bool = False
    ) -> None:
        """Remember that a suggestion is handed out, and write its status."""
        id = suggestion[ID_KEY]
        self.others.own.add(id)
        self.given[id] = {name: suggestion[name] for name in self.explorer.names}
        self.queue.version += 1
        if self.exposures is not None:
            self.exposures.give(id, suggestion)
        self.later(self.ledger.suggested, suggestion, status, by, first=first)

    def unfinished(self, id: str) -> None:
        """Note that the exposure of a suggestion was not finished."""
        self._unfinished.add(id)
        self.queue.version += 1

    @property
    def taken(self) -> str | None:
        """Id of the suggestion that a person took and that is measured next, or None."""
        ready = self.queue.first
        return ready.id if ready is not None and ready.taken_by is not None else None

    @property
    def measuring(self) -> str | None:
        """Id of the suggestion that was handed out last, if its measurement is not over; None otherwise."""
        with self.lock:
            last = next(reversed(self.given), None)
            return None if last is None or last in self.results or last in self._unfinished else last

    @property
    def waiting(self) -> list[dict[str, Any]]:
        """The suggestions that wait, in the order in which they are measured; does not compute one.

        ``taken_by`` is the person who took one, or None; ``is_asked`` is whether a person took or added it.
        """
        with self.lock:
            return [{**x.suggestion, "taken_by": x.taken_by, "is_asked": bool(x.created)} for x in self.queue]

    def given_at(self, position: Mapping[str, float]) -> str | None:
        """Return the id of the newest suggestion that was handed out for this spot and has no result; None without one.

        `position` may have other readings besides the actuators.
        """
        with self.lock:
            if not set(self.explorer.names) <= set(position):
                return None
            given = self.given | {each.id: each.suggestion for each in self.queue if each.taken_by is not None}
            near = [id for id, x in given.items() if id not in self.results and self.others.is_near(x, position)]
        return near[-1] if near else None

    # queue

    def enqueue(self, ready: Ready) -> None:
        """Put a person's point behind those of others; one that was added keeps its place when it is taken.

        It is measured even if new results arrive before.
        """
        if self.queue.get(ready.id) is None:
            self.withdraw_own("a person's point comes first", by="person")
        self.queue.put(ready)
        self.others.own.add(ready.id)

    def remove(self, id: str) -> bool:
        """Remove a suggestion from the queue; return whether it was there."""
        gone = self.queue.remove(id)
        if gone is not None and gone.created:
            self.save()
        return gone is not None

    def withdraw_own(self, reason: str, status: str = "withdrawn", by: str | None = None) -> None:
        """Withdraw the explorer's suggestion, if it waits."""
        if (own := self.queue.own) is not None:
            self._withdraw(own, reason, status, by)

    def withdraw_where(self, reason: str) -> None:
        """Withdraw the explorer's suggestion, and the points of people that may no longer be measured."""
        self.withdraw_own(reason, by="person")
        window = self.explorer.window
        for asked in self.queue:
            place = np.array([float(asked.suggestion[name]) for name in window.names])
            if window.objection(window.position(place)) is not None:
                self._withdraw(asked, reason, by="person")

    def withdraw(self, reason: str) -> None:
        """Withdraw all suggestions that wait. Their positions may be suggested again."""
        with self.lock:
            for stale in self.queue:
                self._withdraw(stale, reason)

    # inside

    def _propose(self, suggestion: dict[str, Any]) -> Ready:
        """Let a suggestion of the explorer wait, and return the one that is ready then."""
        ready = Ready(suggestion)
        self.queue.put(ready)
        self.others.own.add(ready.id)
        if self.steering.shared_s:
            self.others.begin()
            self.later(self.settle)
        else:
            self.later(self.ledger.suggested, suggestion)
            self.later(self._avoid_others, ready.id)
        return self.queue.first or ready  # in the meantime another session may have got its place

    def _chosen(self, n: int) -> list[dict[str, Any]]:
        """Return new suggestions, which regard paths and other techniques, with exposures if these are chosen."""
        self.explorer.paths = [path.regimes for path in self.atlas.structure.paths]
        self.explorer.holes = self.atlas.holes()
        self.explorer.candidates = self.partners.candidates
        return self.explorer.suggest(n) if self.exposures is None else [self._exposed() for _ in range(n)]

    def _exposed(self) -> dict[str, Any]:
        """Return a new suggestion with its exposure: the spot of the newest result again, or another one."""
        assert self.exposures is not None
        if (again := self.exposures.again()) is not None:
            with suppress(ValueError):  # the bounds may have changed
                return self.exposures.completed(self.explorer.register_suggestions([again])[0])
        suggestion = self.explorer.suggest(1)[0]
        try:
            return self.exposures.completed(suggestion)
        except ValueError:
            if self.exposures.is_exposed(suggestion):  # the next suggestion lies elsewhere
                self.explorer.register_failures([suggestion])
            else:
                self.explorer.withdraw(suggestion[ID_KEY])
            raise

    def _avoid_others(self, id: str) -> bool:
        """Suggest another position if another session of this agent has already suggested one at the same place.

        Returns whether the suggestion is this session's own.
        """
        theirs = self.others.places_before(id)
        if theirs is None:
            return False
        # after the suggestions were read: one that was measured meanwhile is then among the results
        measured = self.learn_others()
        with self.lock:
            self.others.register(theirs)
            ready = self.queue.first
            if ready is None or ready.id != id:
                return False
            if any(self.others.is_near(ready.suggestion, x) for x in theirs.values()):
                self.withdraw_own("another session is to measure there", "superseded")
            elif measured:  # the reason may be wrong now: nothing was measured near here
                self.withdraw_own("another session has measured", "superseded")
            else:
                self.others.claim(id)
                return True
        self.follow()
        return False

    def _withdraw(self, stale: Ready, reason: str, status: str = "withdrawn", by: str | None = None) -> None:
        self.remove(stale.id)
        self.explorer.withdraw(stale.id)
        self.later(self.ledger.status, stale.id, status if stale.taken_by is None else "failed", reason, by=by)


def _choice(suggestion: Mapping[str, Any]) -> dict[str, Any]:
    """Return position, exposure and reason of a suggestion, without its id and the numbers behind the reason."""
    return {name: x for name, x in suggestion.items() if name not in (ID_KEY, *Explorer.terms)}
