"""The campaign of one agent: learn from results, suggest positions, and execute the commands of people."""

import math
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from bluesky_adaptive.protocols import ID_KEY

from ainerd.campaign._atlas import Atlas, remembered
from ainerd.campaign._claims import Claims
from ainerd.campaign._exposures import ExposureChoice, exposure_of
from ainerd.campaign._ledger import Ledger, Notices, limits_text
from ainerd.campaign._optimizer import Travel, optimizer_of
from ainerd.campaign._others import Others
from ainerd.campaign._partners import Partners
from ainerd.campaign._sentences import sentences
from ainerd.config import Steering
from ainerd.exposures import Exposure
from ainerd.novelty import LEVEL
from ainerd.results import ResultStore, commands, read_checkpoint, utc_now
from ainerd.steering import DoseBook, Explorer, SampleMap
from ainerd.technique import Outcome, Technique, is_novel

MAX_CONSECUTIVE_FAILURES = 5  # a plan stops after this many exposures in a row without a result
MOST_APPLIED = 100  # commands whose answers are kept
TAKEN_WITHIN_S = 12 * 3600.0  # an older `Take` is refused: the sample may have been changed
MOST_TRIED = 50  # suggestions at places of other sessions, one after the other
MOST_FETCHED = 20  # positions of scripts that are remembered
NO_REASON = "asked for by a person"
UNTAKEN = "nobody has taken a suggestion on a page"
REFERENCES = {"bank": "p against the bank", "session": "p against this session"}


@dataclass(frozen=True)
class Answer:
    """The answer to a command.

    Attributes
    ----------
    status : str
        ``done`` or ``refused``; ``waits`` if it must be executed again later.
    text : str
        A sentence.
    suggestion : dict or None
        The suggestion that comes first.
    fetched : dict or None
        What the sender of a `Next` gets: id, position and reason of the suggestion. The checkpoint keeps it.
    """

    status: str
    text: str
    suggestion: dict[str, Any] | None = None
    fetched: dict[str, Any] | None = None


class _NotYet(Exception):
    """Raised if a command must wait; the message gives the reason."""


@dataclass(frozen=True)
class _Ready:
    """A suggestion that waits for its measurement. The checkpoint keeps it if a person chose it."""

    suggestion: dict[str, Any]
    created: str = ""  # when a person chose it; empty for a suggestion of the explorer
    taken_by: str | None = None  # the person who took it

    @property
    def id(self) -> str:
        return str(self.suggestion[ID_KEY])


class Campaign:
    """Updates the explorer, the regimes and the suggestions of one agent with its results in Tiled.

    The campaign is a bluesky-adaptive `Optimizer` with all optional protocols. The worker passes results to the
    explorer, so that runs taken by hand count as well. All writing to Tiled is done in jobs.

    Parameters
    ----------
    technique : Technique
        If it has an optimizer, the campaign uses it instead of an `Explorer`.
    store : ResultStore
        Store of the agent.
    steering : Steering
    submit : callable
        Adds a job that writes to those of the worker; with ``first=True`` it comes before other writes.
    unit : str
        Unit of the actuators.
    principal : str or None
        The agent's account on a server with accounts. It is written with suggestions.
    travel : (TravelTime, float), optional
        Travel time and length of an exposure, which the `Explorer` weighs.
    book : DoseBook, optional
        Doses so far. With it each suggestion gets frame time, number of frames and transmission.

    Attributes
    ----------
    explorer : Explorer or OtherOptimizer
    atlas : Atlas
    claims : Claims
    ledger : Ledger
    notices : Notices
    results : set of str
        Keys of the complete results that are known.
    has_accounts : bool
        Whether the server has accounts, so that only commands with one are verified.
    held : dict or None
        Person who holds the campaign, reason and time; None if nobody holds it.
    regime_names : dict of int to str
        Names from people, by regime.
    version : int
        It grows with each change of the queue and of the point that is measured.
    """

    def __init__(
        self,
        technique: Technique,
        store: ResultStore,
        steering: Steering,
        submit: Callable[..., object],
        *,
        readings: Sequence[str] = (),
        unit: str = "",
        principal: str | None = None,
        travel: Travel | None = None,
        book: DoseBook | None = None,
    ) -> None:
        names = tuple(steering.bounds)
        self._remembered = partial(remembered, store, names, readings, None if book is None else technique.pace)
        known = self._remembered()
        self._size, self._submit, self._beam_size = technique.embedding_size, submit, steering.beam_size
        self._age = steering.age  # its name in the readings; empty if it is not recorded
        costs = any(knob.costs for knob in steering.knobs.values())
        self.has_accounts = principal is not None
        self._weighs_travel, self._review = costs or travel is not None, steering.review
        self._lock, self._saving = threading.RLock(), threading.RLock()
        self._configured = {name: list(limits) for name, limits in steering.bounds.items()}
        self.ledger = Ledger(store, names, unit, principal)
        self.atlas = Atlas(technique, store, names, known)
        self.claims = Claims(technique)
        self.notices = Notices(self.ledger, self._later, self.atlas.structure)
        self._partners = Partners(store, names, steering.partners)
        self.explorer = optimizer_of(technique, steering, self.atlas.label, unit, travel)
        self.exposures: ExposureChoice | None = None
        if book is not None:
            assert steering.beam_size is not None  # checked by the settings
            window, smallest = self.explorer.window, steering.smallest_feature
            self.exposures = ExposureChoice(book.options, window, smallest, steering.beam_size, book)
        self._queue: list[_Ready] = []  # points of people in their order; without any, the explorer's suggestion
        self.version = 0
        self._unfinished: set[str] = set()  # handed out, but their exposures were not finished
        self._given: dict[str, dict[str, float]] = {}  # positions that were handed out for measurement, by id
        self._fetched: list[str] = []  # ids of positions that scripts fetched, the last one at the end
        self._shared_s = steering.shared_s
        self._others = Others(self.ledger, self.explorer, steering.shared_s, steering.beam_size)
        self._seen: set[str] = set()  # keys of all results that are known
        self._results: dict[str, str] = {}  # key of the first result of each suggestion
        self.results: set[str] = set()
        self._failures = 0  # exposures in a row without a result
        self._rejected: list[dict[str, float]] = []
        self._applied: dict[str, tuple[str, Answer]] = {}  # verb and answer of commands, by id
        self._chosen: str | None = None  # the reference that a person chose
        self._steers = "bank"
        self._judged: dict[str, tuple[float | None, bool | None, float | None]] = {}  # p, verdict and own p by point
        self.held: dict[str, Any] | None = None
        self.regime_names: dict[int, str] = {}
        self._learn(known)
        self._found_before, self._began = known, utc_now()
        self._read_checkpoint = partial(read_checkpoint, store.container, str(store.agent))
        self._left = self._restore(self._read_checkpoint())  # the points of people that an earlier session left
        self._judge_all()

    # start

    def resume(self) -> None:
        """Restore the points of people, if the session was killed before their measurement."""
        for left in self._left:
            if _age_s(left.created) > TAKEN_WITHIN_S or left.id in self._results:
                continue
            if set(self.explorer.names) <= set(left.suggestion):
                with self._lock, suppress(ValueError):  # its position may now be outside the bounds or excluded
                    self.explorer.register_suggestions([left.suggestion])
                    self._enqueue(left)

    def close_open(self) -> None:
        """Write the final status of suggestions that an earlier session left open, and log the last result of it."""
        known, self._found_before = self._found_before, []
        before = self._began
        if self._shared_s:
            before = (datetime.now(UTC) - timedelta(seconds=self._shared_s)).isoformat()
        self.ledger.close_open(known, self._others.own, before, is_shared=self._shared_s > 0)

    # results, from the worker

    def assign(self, outcome: Outcome) -> dict[str, Any]:
        """Return regime and own p-value of an analysed run, and the version of the atlas with this regime."""
        with self._lock:
            own = self.atlas.own_p(outcome)
            self.atlas.add(outcome)
        version = self.atlas.keep(self._lock)
        return {"regime": self.atlas.regime_of(outcome.key), "atlas_version": version, "own_p": own}

    def absorb(self, outcome: Outcome) -> None:
        """Learn from a finished run, write the status of its suggestion, and prepare the next suggestion.

        A recalled result (the run came again, or another process was faster) is learned once, and not logged.
        """
        with self._lock:
            if outcome.is_recalled and outcome.key in self.results:
                return
            is_usable = outcome.status != "failed"
            if outcome.is_recalled and is_usable:
                self.atlas.learn(outcome)
            self._failures = 0 if is_usable else self._failures + 1
            self._learn([outcome])
            if outcome.exposure_s and self._weighs_travel and isinstance(self.explorer, Explorer):
                self.explorer.exposure_s = outcome.exposure_s
            self._remove(outcome.trial_id)
            # before its status is written: a plan in another process then takes no suggestion older than this result
            self._withdraw_own("newer results", "superseded")
            self.version += 1
        if outcome.trial_id != outcome.key:
            status = "measured" if is_usable else "failed"
            self._later(self.ledger.status, outcome.trial_id, status, outcome.reason or None, outcome.raw_uid)
        if not outcome.is_recalled:
            told_apart = outcome.key not in self.atlas.not_told_apart
            finding = self.ledger.finding(outcome, told_apart=told_apart)
            lines = self.claims.update(self.atlas.exposures(), self.atlas.structure.components)
            # a claim is in the log before a checkpoint can know it
            note = self.ledger.note if lines else partial(self._later, self.ledger.note)
            note(finding, raw_uid=outcome.raw_uid, result=outcome.key)
            for line in lines:
                once = uuid.uuid5(uuid.NAMESPACE_OID, line).hex if self._shared_s else None  # others find it as well
                note(line, once=once, raw_uid=outcome.raw_uid, result=outcome.key)
            if lines:
                self.checkpoint()
            with self._lock:
                self._steer_by()
            before = self.atlas.regime_before(outcome, self.explorer.window, self._beam_size)
            self.notices.post(outcome, before, *self.should_stop(), self.atlas.structure)
        self.follow()

    def follow(self) -> None:
        """Prepare the next suggestion, if a position is left; otherwise the next caller of `peek` gets the error.

        The worker calls it also when a run begins, so that people can decide on the point after the one being
        measured. An optimizer that is not an `Explorer` cannot take a suggestion back, so it is asked only after a
        result.
        """
        with suppress(ValueError):
            self.peek()

    def begun(self, trial_id: str) -> None:
        """Prepare the suggestion that follows the run of a suggestion, which begins now."""
        if trial_id in self._given and isinstance(self.explorer, Explorer):
            self.follow()

    # commands

    def apply(self, command: commands.Command) -> Answer:
        """Execute a command, and write the status that follows from it. Only this method executes commands.

        A second command with the same id changes nothing and gets the same answer. This holds in later sessions too,
        because the checkpoint contains the answers, with the state that the commands changed. A `Next` that must wait
        gets the answer ``waits``, which does not count.
        """
        with self._lock:
            if (known := self._applied.get(command.id)) is not None:
                do, answer = known
                return answer if do == command.do else Answer("refused", f"somebody was first, with {do!r}")
            try:
                answer = self._execute(command)
            except _NotYet as reason:
                if isinstance(command, commands.Next) and _age_s(command.created) < command.wait_s:
                    return Answer("waits", str(reason))
                answer = Answer("refused", str(reason))
            except ValueError as error:
                answer = Answer("refused", str(error)[:300])
            self._applied[command.id] = command.do, answer
            for old in list(self._applied)[:-MOST_APPLIED]:
                del self._applied[old]
            self.checkpoint(first=isinstance(command, commands.Next))
        return answer

    def recall(self) -> None:
        """Read the commands that another session of this agent has applied, before taking over one of its commands."""
        state = self._read_checkpoint()
        with self._lock:
            self._recall(state)

    def _execute(self, command: commands.Command) -> Answer:
        text, suggestion = "", None
        match command:
            case commands.Next():
                return self._fetch(command)
            case commands.Accept():
                self._check_sender(command)
                (suggestion,) = self._hand_out(1, command.signed)
                self._log(command, "accepted {}", suggestion)
                text = "the plan has received this position"
            case commands.Take():
                suggestion = self._take(command)
                text = "it is measured now" if command.now else self._place_of(command.suggestion)
            case commands.Reject():
                self._reject(command)
                text = "the agent measures neither this position nor one close to it"
            case commands.Hold():
                self.held = {"by": command.signed, "why": command.why, "t": time.time()}
                self._log(command, "holds the campaign" + (f": {command.why}" if command.why else ""))
                text = "the agent takes no new suggestion until somebody releases it"
            case commands.Release():
                if self.held is not None:
                    self.held = None
                    self._log(command, "released the campaign")
                text = "the plans continue"
            case commands.Exclude():
                self.explorer.exclude(command.region)
                self._withdraw_where("a region was excluded")
                self._log(command, f"excluded {limits_text(command.region)}: {command.why or NO_REASON}")
                text = "the agent suggests no position in this region"
            case commands.Add():
                suggestion = self._add(command)
                text = self._place_of(command.id)
            case commands.Reorder():
                self._reorder(command)
                text = f"the order is now {self._queue_text()}"
            case commands.Name():
                self._name(command)
                text = "the regime has this name now"
            case commands.Reference():
                self._chosen = None if command.to == "automatic" else command.to
                self._log(command, f"chose the reference that steers: {command.to}")
                self._steer_by()
                text = f"{REFERENCES[self.reference]} steers"
            case commands.SetBounds():
                self.explorer.bounds = command.bounds
                self._withdraw_where("the bounds were changed")
                text = f"bounds are now {limits_text(self.explorer.bounds)}"
                self._later(self.ledger.note, text, once=command.log_key, by=command.signed)
            case commands.SetExcluded():
                self.explorer.excluded = command.regions
                self._withdraw_where("the excluded regions were changed")
                text = f"excluded are now {'; '.join(map(limits_text, command.regions)) or 'no regions'}"
                self._later(self.ledger.note, text, once=command.log_key, by=command.signed)
            case commands.Note() | commands.Propose():  # these need no agent: `ResultStore.note`, `ResultStore.propose`
                raise ValueError(f"{command.do!r} is not for an agent")
        return Answer("done", text, suggestion)

    def _fetch(self, command: commands.Next) -> Answer:
        """Hand out the next position to a script, which waits: its writes come first."""
        last = next((id for id in self._fetched[-1:] if id not in self._results), None)
        if self.held is not None:
            raise _NotYet(f"{self.held['by']} holds the campaign")
        if self._review and self.taken is None:
            raise _NotYet(UNTAKEN)
        if last is not None and command.wait_s:
            raise _NotYet(f"no result has come from {self.ledger.position_text(self._given[last])}, fetched before")
        (suggestion,) = self._hand_out(1, command.signed, "taken", first=True)
        if last is not None:
            self._later(self.ledger.status, last, "superseded", "another position was fetched", by=command.signed)
        id = suggestion[ID_KEY]
        self._fetched = [*self._fetched, id][-MOST_FETCHED:]
        self._log(command, "fetched {}", suggestion, first=True)
        fetched = {"suggestion": id, "position": self._given[id], "reason": suggestion["reason"]}
        return Answer("done", suggestion["reason"], suggestion, fetched)

    def _take(self, command: commands.Take) -> dict[str, Any]:
        if command.suggestion in self._given or command.suggestion in self._results:
            raise ValueError("it was measured already, or is being measured")
        if not command.now:
            self._check_sender(command)
        elif self._review and self.taken != command.suggestion:
            raise ValueError(f"{UNTAKEN}: this campaign is in review")
        if (age_s := _age_s(command.created)) > TAKEN_WITHIN_S:
            raise ValueError(f"it was taken {age_s / 3600:.0f} h ago, when no agent was there: take or add a new one")
        waiting = next((each for each in self._queue if each.id == command.suggestion), None)
        if waiting is not None:
            taken = waiting.suggestion
        else:
            id, position = command.suggestion, self._named(command.position)
            taken = {**command.terms, **position, ID_KEY: id, "reason": command.reason or NO_REASON}
            try:
                self.explorer.register_suggestions([taken])  # raises ValueError if it may not be measured
            except ValueError as error:
                self._later(self.ledger.status, id, "failed", str(error))
                raise
            self._withdraw_own(f"{command.who} took another one", by=command.signed)
        if command.now:
            self._remove(command.suggestion)
            self._give([taken], command.signed if waiting is None else waiting.taken_by or command.signed)
            return taken
        self._enqueue(_Ready(taken, command.created, command.signed))
        self._later(self.ledger.suggested, taken, "accepted", command.signed)
        self._log(command, "took {}" + (f": {command.why}" if command.why else ""), taken)
        return taken

    def _check_sender(self, command: commands.Command) -> None:
        """Raise ValueError if a suggestion needs the approval of an account, and the command comes from none."""
        if self._review and self.has_accounts and not command.verified:
            raise ValueError("in review a person with an account takes a suggestion: nobody vouches for this")

    def _reject(self, command: commands.Reject) -> None:
        id, position = command.suggestion, self._named(command.position)
        if id in self._results:
            raise ValueError("it was measured already")
        waited = self._remove(id)
        if not waited and not command.failed:  # another suggestion has replaced it, maybe at the same place
            self._withdraw_own("another suggestion was rejected", by=command.signed)
        if command.failed or not waited:
            self.explorer.register_failures([{ID_KEY: id, **position}])
        if command.failed:
            self._unfinished.add(id)
            self.version += 1
            self._later(self.ledger.status, id, "failed", command.why, by=command.signed)
            return
        why = command.why or NO_REASON
        self._rejected.append(position)
        self._later(self.ledger.status, id, "rejected", why, by=command.signed)
        self._log(command, f"rejected {{}}: {why}", {ID_KEY: id, **position})

    def _add(self, command: commands.Add) -> dict[str, Any]:
        if command.id in self._results:  # measured by a session that was killed before it could answer
            raise ValueError("it was measured already")
        why = command.why or NO_REASON
        position = self.position(command.position)
        (added,) = self.explorer.register_suggestions([{ID_KEY: command.id, **position, "reason": why}])
        self._enqueue(_Ready(added, command.created))
        self._later(self.ledger.suggested, added, by=command.signed, principal=command.principal)
        self._log(command, f"wants {{}} next: {why}", added)
        return dict(added)

    def _reorder(self, command: commands.Reorder) -> None:
        waiting = {each.id: each for each in self._queue if each.created}
        if unknown := [id for id in command.order if id not in waiting]:
            raise ValueError(f"{unknown[0][:60]!r} does not wait in the queue: it was measured, rejected or withdrawn")
        if len(set(command.order)) < len(command.order):
            raise ValueError("a point is named twice")
        first = [waiting[id] for id in command.order]
        self._queue = [*first, *(each for each in self._queue if each not in first)]
        self.version += 1
        self._log(command, f"put the points in another order: {self._queue_text()}")

    def _queue_text(self) -> str:
        return ", ".join(self.ledger.position_text(each.suggestion) for each in self._queue)

    def _place_of(self, id: str) -> str:
        """Return when a point of the queue is measured, in words."""
        waiting = [each for each in self._queue if not self._review or each.taken_by is not None or each.id == id]
        before = next(i for i, each in enumerate(waiting) if each.id == id)
        when = "it is measured next" if not before else f"it is number {before + 1} in the queue"
        return f"{when}, once a person takes it" if self._review and waiting[before].taken_by is None else when

    def _name(self, command: commands.Name) -> None:
        regime, name = command.regime, command.name
        if regime not in self.atlas.labels:
            raise ValueError(f"there is no regime {regime}")
        others = {number: known for number, known in self.regime_names.items() if number != regime}
        self.regime_names = {**others, regime: name} if name else others
        called = f"calls regime {regime} {name!r}" if name else f"took the name of regime {regime} away"
        self._log(command, called)

    def _log(
        self,
        command: commands.Command,
        text: str,
        suggestion: Mapping[str, Any] | None = None,
        *,
        first: bool = False,
    ) -> None:
        """Log a command. The position of the suggestion replaces ``{}`` in the text."""
        line, ids = f"{command.who} {text}", {}
        by = None if isinstance(command, commands.Next) else command.signed  # a script that measures decides nothing
        if suggestion is not None:
            line = line.replace("{}", self.ledger.position_text(suggestion), 1)
            ids = {"suggestion_id": suggestion[ID_KEY]}
        self._later(self.ledger.note, line, once=command.log_key, by=by, first=first, **ids)

    # the optimizer that bluesky-adaptive knows

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Hand out the next positions, to be measured now. The ready suggestion comes first.

        In review this is the one that a person took; without one, ValueError is raised.
        """
        if self._review:
            with self._lock:
                self.peek()  # raises ValueError if no position is left
                if self.taken is None or (num_points or 1) > 1:
                    raise ValueError(f"{UNTAKEN}: this campaign is in review")
                return self._hand_out(1)
        return self._hand_out(num_points or 1)

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Do nothing: the worker passes a result to the campaign after it is written.

        A plan passes the same result, or NaN if it did not wait for the end of the analysis. NaN must not count as a
        failed exposure.
        """

    def register_suggestions(self, suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Add points of a person. Suggestions that were handed out are returned unchanged."""
        with self._lock:
            registered = []
            for suggestion in suggestions:
                added = [dict(suggestion)]
                if suggestion.get(ID_KEY) not in self._given:
                    added = self.explorer.register_suggestions([suggestion])
                    if self.exposures is not None:
                        added = [self.exposures.completed({**suggestion, **each}) for each in added]
                    self._give(added, "person")
                registered += added
        return registered

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Record exposures that could not be taken."""
        with self._lock:
            self.explorer.register_failures(suggestions)
            self._unfinished |= {str(suggestion[ID_KEY]) for suggestion in suggestions}
            self.version += 1
        for suggestion in suggestions:
            self._later(self.ledger.status, suggestion[ID_KEY], "failed", "the exposure was not finished")

    def get_best_points(self) -> list[tuple[str, dict[str, float], dict[str, float | None]]]:
        """Return the novel exposures, most novel first."""
        with self._lock:
            return self.explorer.get_best_points()

    def should_stop(self) -> tuple[bool, str]:
        """Return whether a plan should end by itself, and the reason in words; see `Explorer.should_stop`."""
        if self._failures >= MAX_CONSECUTIVE_FAILURES:
            return True, f"the last {self._failures} exposures gave no result"
        with self._lock:
            return self.explorer.should_stop()

    def checkpoint(self, *, first: bool = False) -> None:
        """Write the state that is not in results: the changes that people made, and the applied commands."""
        self.ledger.is_saved = False
        self._later(self.save, first=first)

    def save(self) -> None:
        """Write the state of this moment, so that writes in another order than their requests keep the newest."""
        with self._saving:  # the thread that reads commands writes it, too
            self.ledger.checkpoint(self._state())

    def _state(self) -> dict[str, Any]:
        with self._lock:
            return {
                "configured": self._configured,
                "bounds": {name: list(limits) for name, limits in self.explorer.bounds.items()},
                "excluded": [{name: list(limits) for name, limits in box.items()} for box in self.explorer.excluded],
                "rejected": list(self._rejected),
                "held": self.held,
                "names": {str(regime): name for regime, name in self.regime_names.items()},
                "claims": self.claims.state(),
                "reference": self._chosen,
                "queue": [asdict(each) for each in self._queue if each.created],
                "fetched": {id: self._given[id] for id in self._fetched},
                "applied": {id: [do, x.status, x.text, x.fetched] for id, (do, x) in self._applied.items()},
            }

    # state

    @property
    def reference(self) -> str:
        """The reference whose p-values steer: "bank", or "session" once the sample is claimed to be new."""
        return self._chosen or ("bank" if self.claims.of_sample is None else "session")

    @property
    def taken(self) -> str | None:
        """Id of the suggestion that a person took and that is measured next, or None."""
        ready = self._ready
        return ready.id if ready is not None and ready.taken_by is not None else None

    @property
    def queue(self) -> list[dict[str, Any]]:
        """The suggestions that wait, in the order in which they are measured; does not compute one.

        These are the points of people; without any, the suggestion of the explorer. ``taken_by`` is the person who took
        one, or None; ``is_asked`` is whether a person took or added it.
        """
        with self._lock:
            extra = ({"taken_by": each.taken_by, "is_asked": bool(each.created)} for each in self._queue)
            return [{**each.suggestion, **more} for each, more in zip(self._queue, extra, strict=True)]

    @property
    def measuring(self) -> str | None:
        """Id of the suggestion that was handed out last, if its measurement is not over; None otherwise."""
        with self._lock:
            last = next(reversed(self._given), None)
            return None if last is None or last in self._results or last in self._unfinished else last

    def position(self, values: Sequence[float] | Mapping[str, float]) -> dict[str, float]:
        """Return a position by actuator; raise ValueError unless each actuator has a number within its bounds."""
        if not isinstance(values, Mapping):
            names = self.explorer.names
            if len(values) != len(names):
                raise ValueError(f"a position has {len(names)} numbers ({', '.join(names)}), got {len(values)}")
            values = dict(zip(names, values, strict=True))
        return commands.check_position(values, self.explorer.bounds)

    def given_at(self, position: Mapping[str, float]) -> str | None:
        """Return the id of the newest suggestion that was handed out for this spot and has no result; None without one.

        `position` may have other readings besides the actuators.
        """
        with self._lock:
            if not set(self.explorer.names) <= set(position):
                return None
            given = self._given | {each.id: each.suggestion for each in self._queue if each.taken_by is not None}
            near = [id for id, x in given.items() if id not in self._results and self._others.is_near(x, position)]
        return near[-1] if near else None

    def peek(self) -> dict[str, Any]:
        """Return the next suggestion, without taking it."""
        with self._lock:
            if (ready := self._ready) is None:
                ready = _Ready(self._suggested(1)[0])
                self._queue.append(ready)
                self._others.own.add(ready.id)
                self.version += 1
                if self._shared_s:
                    self._others.begin()
                    self._later(self.settle)
                else:
                    self._later(self.ledger.suggested, ready.suggestion)
                    self._later(self._avoid_others, ready.id)
                ready = self._ready or ready  # in the meantime another session may have got its place
            return dict(ready.suggestion)

    def settle(self) -> bool:
        """Make sure that no other session measures the ready suggestion; return whether this is so.

        Where sessions share a sample (`Steering.shared_s`), the suggestion is written, and counts as this session's own
        if then no other has a right to its place: none has measured there, has accepted a suggestion there, or has
        proposed it earlier. Otherwise another one is tried. A suggestion that gets old is replaced by another one
        before other sessions may ignore it. Without other sessions, and for a person's point, nothing of this is done.
        First what is novel to the agents of other techniques is read.

        Raises ValueError if no position is left.
        """
        self.look_elsewhere()
        for _ in range(MOST_TRIED if self._shared_s else 0):
            with self._lock:
                if (ready := self._ready) is not None and ready.created:
                    return True
                if ready is not None and self._others.is_old:
                    self._withdraw_own("it has waited for too long", "superseded")
                suggestion = self.peek()
                if self._others.has_claimed(suggestion[ID_KEY]):
                    return True
            self.ledger.suggested(suggestion)
            if not self._avoid_others(suggestion[ID_KEY]) and self._is_ready(suggestion[ID_KEY]):
                return False  # Tiled does not answer
        return not self._shared_s

    def look_elsewhere(self) -> None:
        """Choose again if the novel positions of other techniques have changed (`Steering.partners`)."""
        if self._partners.look():
            with self._lock, suppress(ValueError):  # no position is left: the next caller of `peek` gets the error
                self._withdraw_own("an agent of another technique found something novel", "superseded")
                self.peek()

    def exposure_of(self, suggestion: Mapping[str, Any]) -> Exposure:
        """Return the exposure with which a suggestion is measured; ValueError if no dose is left for one."""
        with self._lock:
            assert self.exposures is not None
            return exposure_of(self.exposures.completed(suggestion))

    def sentences(self) -> list[str]:
        """Return what is known of the regimes, in sentences."""
        return sentences(self.atlas.structure)

    def map(self) -> SampleMap | None:
        """Return the belief over position; None for an optimizer of the technique."""
        with self._lock:
            return self.explorer.map()

    def withdraw(self, reason: str) -> None:
        """Withdraw all suggestions that wait. Their positions may be suggested again."""
        with self._lock:
            for stale in list(self._queue):
                self._withdraw(stale, reason)

    # inside

    def _suggested(self, n: int) -> list[dict[str, Any]]:
        """Return new suggestions, which follow paths and other techniques, with exposures if these are chosen."""
        if isinstance(self.explorer, Explorer):
            self.explorer.following = self.atlas.following(self._age)
            self.explorer.candidates = self._partners.candidates
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

    @property
    def _ready(self) -> _Ready | None:
        """The suggestion that is measured next: in mode review the first that a person took, if there is one."""
        waiting = list(self._queue)
        taken = (each for each in waiting if each.taken_by is not None) if self._review else iter(())
        return next(taken, waiting[0] if waiting else None)

    def _is_ready(self, id: str) -> bool:
        return self._ready is not None and self._ready.id == id

    def _enqueue(self, ready: _Ready) -> None:
        """Put a person's point behind those of others; one that was added keeps its place when it is taken.

        It is measured even if new results arrive before.
        """
        place = next((i for i, each in enumerate(self._queue) if each.id == ready.id), None)
        if place is not None:
            self._queue[place] = ready
        else:
            self._withdraw_own("a person's point comes first", by="person")
            self._queue.append(ready)
        self._others.own.add(ready.id)
        self.version += 1

    def _remove(self, id: str) -> bool:
        """Remove a suggestion from the queue; return whether it was there."""
        gone = [each for each in self._queue if each.id == id]
        self._queue = [each for each in self._queue if each.id != id]
        if gone:
            self.version += 1
            if gone[0].created:
                self.checkpoint()
        return bool(gone)

    def _withdraw_own(self, reason: str, status: str = "withdrawn", by: str | None = None) -> None:
        """Withdraw the explorer's suggestion, if it waits."""
        for own in [each for each in self._queue if not each.created]:
            self._withdraw(own, reason, status, by)

    def _withdraw_where(self, reason: str) -> None:
        """Withdraw the explorer's suggestion, and the points of people that may no longer be measured."""
        with self._lock:
            self._withdraw_own(reason, by="person")
            window = self.explorer.window
            for asked in list(self._queue):
                place = np.array([float(asked.suggestion[name]) for name in window.names])
                if window.objection(window.position(place)) is not None:
                    self._withdraw(asked, reason, by="person")

    def _withdraw(self, stale: _Ready, reason: str, status: str = "withdrawn", by: str | None = None) -> None:
        self._remove(stale.id)
        self.explorer.withdraw(stale.id)
        self._later(self.ledger.status, stale.id, status if stale.taken_by is None else "failed", reason, by=by)

    def _hand_out(
        self, n: int, by: str | None = None, status: str = "accepted", *, first: bool = False
    ) -> list[dict[str, Any]]:
        if self._shared_s:
            return [self._hand_out_own(by, status, first=first) for _ in range(n)]
        with self._lock:
            suggestions: list[dict[str, Any]] = []
            while len(suggestions) < n and (ready := self._ready) is not None:
                suggestions.append(ready.suggestion)
                self._give([ready.suggestion], ready.taken_by or by, status, first=first)
                self._remove(ready.id)
            more = self._suggested(n - len(suggestions)) if n > len(suggestions) else []
            self._give(more, by, status, first=first)
        return suggestions + more

    def _hand_out_own(self, by: str | None, status: str, *, first: bool) -> dict[str, Any]:
        """Hand out a position that no other session measures."""
        with self._lock:
            if not self.settle():
                raise ValueError("whether another session measures there is not known: Tiled does not answer")
            ready = self._ready
            assert ready is not None
            self._give([ready.suggestion], ready.taken_by or by, status, first=first)
            self._remove(ready.id)
        return ready.suggestion

    def _give(
        self, suggestions: Sequence[Mapping[str, Any]], by: str | None, status: str = "accepted", *, first: bool = False
    ) -> None:
        for suggestion in suggestions:
            self._others.own.add(suggestion[ID_KEY])
            self._given[suggestion[ID_KEY]] = {name: suggestion[name] for name in self.explorer.names}
            self.version += 1
            if self.exposures is not None:
                self.exposures.give(suggestion[ID_KEY], suggestion)
            self._later(self.ledger.suggested, suggestion, status, by, first=first)

    def _avoid_others(self, id: str) -> bool:
        """Suggest another position if another session of this agent has already suggested one at the same place.

        Returns whether the suggestion is this session's own.
        """
        theirs = self._others.places_before(id)
        if theirs is None:
            return False
        measured = self._learn_from_others() if self._shared_s else []  # after suggestions, whose results precede this
        with self._lock:
            self._others.register(theirs)
            ready = self._ready
            if ready is None or ready.id != id:
                return False
            if not any(self._others.is_near(ready.suggestion, x) for x in (*theirs.values(), *measured)):
                self._others.claim(id)
                return True
            self._withdraw_own("another session is to measure there", "superseded")
        with suppress(ValueError):  # no position is left: the next caller of `peek` gets the error
            self.peek()
        return False

    def _learn_from_others(self) -> list[Mapping[str, float]]:
        """Learn the results of other sessions that are new in Tiled, and return their positions."""
        new = self._remembered(but=self._seen)
        with self._lock:
            new = [outcome for outcome in new if outcome.key not in self._seen]
            for outcome in new:
                if outcome.status != "failed":
                    self.atlas.learn(outcome)
            self._learn(new)
        return [outcome.positions for outcome in new if set(self.explorer.names) <= set(outcome.positions)]

    def _named(self, position: Mapping[str, float]) -> dict[str, float]:
        """Return one number for each actuator, in the order of the actuators."""
        if set(position) != set(self.explorer.names):
            raise ValueError(f"a position has {', '.join(self.explorer.names)}, got {', '.join(position) or 'nothing'}")
        return {name: position[name] for name in self.explorer.names}

    def _steer_by(self) -> None:
        """Steer by the reference, if it has changed, and log it."""
        if self._steers == self.reference:
            return
        self._judge_all()
        sample = (
            "this sample is claimed to be new" if self.claims.of_sample else "no claim says that this sample is new"
        )
        because = "a person chose it" if self._chosen else sample
        line = f"from now on {REFERENCES[self._steers]} steers, because {because}"
        other = "bank" if self._steers == "session" else "session"
        self._later(self.ledger.note, f'{line}: agent.reference("{other}") chooses the other')
        self._withdraw_own("another reference steers", "superseded")

    def _judge_all(self) -> None:
        """Give the explorer the verdicts of all points by the reference that steers now."""
        self._steers = self.reference
        if isinstance(self.explorer, Explorer):
            self.explorer.judge({id: self._verdict(known) for id, known in self._judged.items()})

    def _verdict(self, known: tuple[float | None, bool | None, float | None]) -> tuple[float | None, bool | None]:
        """Return p and verdict by the reference that steers, from p, verdict and own p of a result."""
        p, novel, own = known
        return (p, novel) if self._steers == "bank" else (own, own is not None and bool(is_novel(own, LEVEL)))

    def _learn(self, outcomes: Sequence[Outcome]) -> None:
        """Pass results with a known position to the explorer. It has no other source of results."""
        points, names = [], self.explorer.names
        if self.exposures is not None:
            self.exposures.learn(outcomes)
        self._seen |= {outcome.key for outcome in outcomes}
        for outcome in outcomes:
            if outcome.status != "failed":
                self.results.add(outcome.key)
            first = self._results.setdefault(outcome.trial_id, outcome.key)
            position = {**self._given.get(outcome.trial_id, {}), **outcome.positions}
            if all(math.isfinite(position.get(name, math.nan)) for name in names):
                z = outcome.embedding
                id = outcome.trial_id if outcome.key == first else outcome.key  # two results are two points
                self._judged[id] = outcome.novelty_p, outcome.novel, outcome.own_p
                p, novel = self._verdict(self._judged[id])
                point = {
                    **position,
                    ID_KEY: id,
                    "embedding": np.full(self._size, np.nan, np.float32) if z is None else z,
                    "novelty_p": p,
                    "novel": novel,
                    "age_s": outcome.readings.get(self._age),
                }
                points.append(point)
        self.explorer.ingest(points)

    def _restore(self, state: Mapping[str, Any]) -> list[_Ready]:
        """Restore a checkpoint, and return the points of people that were not measured.

        If the bounds in the settings have changed since the checkpoint, they replace the bounds of the checkpoint.
        """
        if not self.claims.restore(state.get("claims") or {}):
            # an earlier session has announced these claims
            self.claims.update(self.atlas.exposures(), self.atlas.structure.components)
        if not state:
            return []
        if state["configured"] == self._configured:
            self.explorer.bounds = {name: (low, high) for name, (low, high) in state["bounds"].items()}
        for region in state["excluded"]:
            if set(region) <= set(self.explorer.names):  # otherwise it has actuators that are no longer in use
                self.explorer.exclude({name: (low, high) for name, (low, high) in region.items()})
        self.held, self._chosen = state.get("held"), state.get("reference")
        self.regime_names = {int(regime): name for regime, name in (state.get("names") or {}).items()}
        self._rejected = [dict(position) for position in state["rejected"] if set(position) == set(self.explorer.names)]
        self.explorer.register_failures([{ID_KEY: uuid.uuid4().hex, **position} for position in self._rejected])
        self._recall(state)
        fetched = {id: x for id, x in (state.get("fetched") or {}).items() if set(x) == set(self.explorer.names)}
        self._given, self._fetched = fetched | self._given, [*fetched]
        return [_Ready(**left) for left in state.get("queue") or []]

    def _recall(self, state: Mapping[str, Any]) -> None:
        """Restore the applied commands from a checkpoint."""
        applied = (state.get("applied") or {}).items()
        known = {id: (do, Answer(status, text, None, *fetched)) for id, (do, status, text, *fetched) in applied}
        self._applied = known | self._applied

    def _later(self, write: Callable[..., object], *args: Any, first: bool = False, **kwargs: Any) -> None:
        self._submit(partial(write, *args, **kwargs), first=first)


def _age_s(created: str) -> float:
    """Return the seconds since a time in ISO 8601."""
    return (datetime.now(UTC) - datetime.fromisoformat(created).astimezone(UTC)).total_seconds()
