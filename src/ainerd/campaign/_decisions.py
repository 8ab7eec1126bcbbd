"""Decisions of people: their commands are executed here, each once."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from bluesky_adaptive.protocols import ID_KEY

from ainerd.campaign._atlas import Atlas
from ainerd.campaign._ledger import Ledger, limits_text
from ainerd.campaign._optimizer import terms_of
from ainerd.campaign._queue import UNTAKEN, Ready
from ainerd.campaign._reference import NAMES, SteeringReference
from ainerd.results import commands
from ainerd.words import utc_now

if TYPE_CHECKING:
    from ainerd.campaign._proposals import Proposals

MOST_APPLIED = 100  # commands whose answers are kept
TAKEN_WITHIN_S = 12 * 3600.0  # an older `Take` is refused: the sample may have been changed
FETCHED_WITHIN_S = 60.0  # beyond its `wait_s` an older `Next` is refused
MOST_FETCHED = 20  # positions of scripts that are remembered
INVALID = AttributeError, KeyError, TypeError, ValueError  # raised for a checkpoint that another program wrote
LATEST = 1e11  # s, the latest time of a decision in a checkpoint, year 5138
HOLDS = "holds the campaign"  # the end of the answer to a program that must wait for a release
NO_REASON = "asked for by a person"


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
        Id, position and reason of the suggestion, for the sender of a `Next`. The checkpoint keeps them.

    Examples
    --------
    >>> Answer("refused", "Position 3 has been measured.").status
    'refused'
    """

    status: str
    text: str
    suggestion: dict[str, Any] | None = None
    fetched: dict[str, Any] | None = None


class _NotYet(Exception):
    """Raised if a command must wait; the message gives the reason."""


@dataclass(kw_only=True)
class Decisions:
    """Executes the commands of people, and keeps what follows from them."""

    proposals: "Proposals"
    atlas: Atlas
    reference: SteeringReference
    ledger: Ledger
    later: Callable[..., None]  # `later(write, *args, **kwargs)` adds a write to Tiled to the jobs
    save: Callable[..., None]  # writes the checkpoint; with `first=True` before other writes
    steer: Callable[[], None]  # steers by the reference, which may have changed
    ceiling: Mapping[str, tuple[float, float]]  # limits in the settings: no command widens the bounds beyond them
    review: bool  # whether a person must take each suggestion
    settings: str  # digest of the settings that people see with a suggestion
    has_accounts: bool  # whether the server has accounts, so that only commands with one are verified
    sealed: Callable[[str], commands.Command | None]  # the command with an id, if a server with accounts has sealed it
    held: dict[str, Any] | None = None  # person who holds the campaign, reason and time
    regime_names: dict[int, str] = field(default_factory=dict)  # from people, by regime
    stamps: dict[str, float] = field(default_factory=dict)  # when each decision was made; of a box, by its text
    backs: dict[str, tuple[str, str]] = field(default_factory=dict)  # id and time of the command of each decision
    _rejected: list[dict[str, float]] = field(default_factory=list)
    _fetched: list[str] = field(default_factory=list)  # ids of positions that scripts fetched, the last one at the end
    _applied: dict[str, tuple[str, Answer]] = field(default_factory=dict)  # verb and answer of commands, by id
    _left: list[Ready] = field(default_factory=list)  # the points of people that an earlier session left

    def apply(self, command: commands.Command) -> Answer:
        """Execute a command, and write the status that follows from it. Only this method executes commands.

        A second command with the same id changes nothing and gets the same answer. This holds in later sessions too,
        because the checkpoint contains the answers, with the state that the commands changed. A `Next` that must wait
        gets the answer ``waits``, which does not count.
        """
        with self.proposals.lock:
            if (known := self._applied.get(command.id)) is not None:
                do, answer = known
                return answer if do == command.do else Answer("refused", f"somebody was first, with {do!r}")
            try:
                answer = self._execute(command)
            except _NotYet as reason:
                if isinstance(command, commands.Next) and age_s(command.created) < command.wait_s:
                    return Answer("waits", str(reason))
                answer = Answer("refused", str(reason))
            except ValueError as error:
                answer = Answer("refused", str(error)[:300])
            if answer.status == "done":
                self._stamp(command)
            self._applied[command.id] = command.do, answer
            for old in list(self._applied)[:-MOST_APPLIED]:
                del self._applied[old]
            self.save(first=isinstance(command, commands.Next | commands.Hold | commands.Release))
        return answer

    # other sessions of this agent

    def _stamp(self, command: commands.Command) -> None:
        """Note when a decision was made that all sessions of this agent share.

        It is later than every decision that this session knows, whatever the clocks of the machines show.
        """
        now = max(time.time(), math.nextafter(max(self.stamps.values(), default=0.0), math.inf))
        slots = slots_of(command)
        self.stamps |= dict.fromkeys(slots, now)
        id = command.id if command.is_of_a_person and command.principal is not None else ""  # others look for its seal
        self.backs |= dict.fromkeys(slots, (id, command.created))

    @property
    def lasting(self) -> dict[str, float]:
        """Stamps of the decisions that another session of this agent adopts, see `merge`."""
        restrict = {limits_text(box) for box in self.proposals.explorer.excluded}
        restrict |= set() if self.held is None else {"held"}
        return {
            slot: t
            for slot, t in self.stamps.items()
            if not self.has_accounts or slot in restrict or self.backs.get(slot, ("", ""))[0]
        }

    def backing(self, state: Mapping[str, Any]) -> dict[str, commands.Command]:
        """Return the sealed commands of people from which newer decisions in a checkpoint follow, by decision.

        A command counts only if it was sent after those that this session knows: an old one undoes no new one. It asks
        the server, so it is called without the lock. Empty on a server with one key, which seals nothing.
        """
        theirs, _, _, backs = shared_of(state)
        boxes, found = [limits_text(box) for box in self.proposals.explorer.excluded], {}
        for slot, (id, _) in backs.items() if self.has_accounts else ():
            if not id or theirs.get(slot, 0.0) <= self.stamps.get(slot, 0.0):
                continue
            known = [self.backs[each][1] for each in [slot, *(boxes if slot == "lifted" else [])] if each in self.backs]
            command = self.sealed(id)
            if command is None or not command.is_of_a_person or slot not in slots_of(command):
                continue
            if all(moment(command.created) > moment(created) for created in known):
                found[slot] = command
        return found

    def merge(self, state: Mapping[str, Any], backing: Mapping[str, commands.Command]) -> bool:
        """Adopt what other sessions of this agent have decided since; return whether something has changed.

        The newer of two decisions on the same thing counts. Excluded boxes and rejected positions of both count, unless
        a newer decision has lifted the boxes. So the order in which sessions write their checkpoints does not matter.

        On a server with accounts a program with the key of a service may have written the checkpoint. There a hold and
        excluded boxes are adopted, and of the rest only what the commands in `backing` say.
        """
        theirs, held, reference, _ = shared_of(state)
        newer = {slot for slot, t in theirs.items() if t > self.stamps.get(slot, 0.0)}
        explorer, names = self.proposals.explorer, state.get("names") or {}
        own = set(explorer.names)
        rejected = [{name: float(v) for name, v in x.items()} for x in state.get("rejected") or [] if set(x) == own]
        new = [x for x in rejected if x not in self._rejected and all(map(math.isfinite, x.values()))]
        if not newer and not new:
            return False
        bounds = {name: (float(low), float(high)) for name, (low, high) in (state.get("bounds") or {}).items()}
        regions = [{n: (float(a), float(b)) for n, (a, b) in box.items()} for box in state.get("excluded") or []]
        if self.has_accounts:
            restrict = {limits_text(box) for box in regions} | ({"held"} if self.held is None else set())
            newer &= {*restrict, *backing}
            held = held and {**held, "person": True}  # only a person releases it
        for command in backing.values():
            match command:
                case commands.Hold():
                    held = {"by": command.signed, "why": command.why, "t": theirs["held"], "person": True}
                case commands.Release():
                    held = None
                case commands.SetBounds():
                    bounds = command.bounds
                case commands.Reference():
                    reference = chosen(command)
                case commands.Name():
                    names = {**names, str(command.regime): command.name}
        regime_names = dict(self.regime_names)
        for slot in newer:
            if slot.startswith("name ") and (regime := slot.removeprefix("name ")).isdecimal():
                regime_names.pop(int(regime), None)
                regime_names |= {int(regime): str(names[regime])} if names.get(regime) else {}
        stamps = self.stamps | {slot: theirs[slot] for slot in newer}
        lifted = stamps.get("lifted", 0.0)
        known = {limits_text(box): box for box in [*explorer.excluded, *regions] if set(box) <= own}
        kept = [box for name, box in known.items() if stamps.get(name, lifted) >= lifted]
        if kept != explorer.excluded:
            explorer.excluded = kept  # raises ValueError if a box is invalid; nothing is adopted then
        self.stamps, self.regime_names, now = stamps, regime_names, utc_now()
        adopted = {slot: (backing[slot].id, backing[slot].created) if slot in backing else ("", now) for slot in newer}
        self.backs |= adopted
        if "held" in newer:
            self.held = held
        if "reference" in newer:
            self.reference.chosen = reference
        if "bounds" in newer and set(bounds) == own:
            with suppress(ValueError):  # the settings of that session are wider
                explorer.bounds = within(bounds, self.ceiling)
        self._rejected += new
        explorer.register_failures([{ID_KEY: uuid4().hex, **position} for position in new])
        self.proposals.withdraw_where("another session of this agent was told so")
        self.proposals.queue.version += 1
        return True

    # checkpoint

    def state(self) -> dict[str, Any]:
        """Return the decisions as plain values, for the checkpoint."""
        given = self.proposals.given
        return {
            "rejected": list(self._rejected),
            "stamps": dict(self.stamps),
            "backs": {slot: list(back) for slot, back in self.backs.items()},
            "held": self.held,
            "names": {str(regime): name for regime, name in self.regime_names.items()},
            "reference": self.reference.chosen,
            "queue": [asdict(each) for each in self.proposals.queue if each.created],
            "fetched": {id: given[id] for id in self._fetched},
            "applied": {id: [do, x.status, x.text, x.fetched] for id, (do, x) in self._applied.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a checkpoint, except the points that wait, see `resume`."""
        names = set(self.proposals.explorer.names)
        self.stamps, self.held, self.reference.chosen, self.backs = shared_of(state)
        self.regime_names = {int(regime): name for regime, name in (state.get("names") or {}).items()}
        self._rejected = [dict(position) for position in state["rejected"] if set(position) == names]
        self.proposals.explorer.register_failures([{ID_KEY: uuid4().hex, **position} for position in self._rejected])
        self.recall(state)
        fetched = {id: x for id, x in (state.get("fetched") or {}).items() if set(x) == names}
        self.proposals.given, self._fetched = fetched | self.proposals.given, [*fetched]
        self._left = [Ready(**left) for left in state.get("queue") or []]

    def recall(self, state: Mapping[str, Any]) -> None:
        """Restore the applied commands from a checkpoint."""
        applied = (state.get("applied") or {}).items()
        known = {id: (do, Answer(status, text, None, *fetched)) for id, (do, status, text, *fetched) in applied}
        self._applied = known | self._applied

    def resume(self) -> None:
        """Restore the points of people, if the session was killed before their measurement."""
        for each in self._left:
            with suppress(*INVALID):  # it may now be outside the bounds, or excluded
                left = self._approved(each)
                if age_s(left.created) > TAKEN_WITHIN_S or left.id in self.proposals.results:
                    continue
                if set(self.proposals.explorer.names) <= set(left.suggestion):
                    with self.proposals.lock:
                        self.proposals.explorer.register_suggestions([left.suggestion])
                        self.proposals.enqueue(left)

    def _approved(self, left: Ready) -> Ready:
        """Return a point of the checkpoint; on a server with accounts only the seal of a `Take` approves it."""
        if not self.has_accounts or left.taken_by is None:
            return left
        take, back = self.sealed(f"verdict-{left.id}"), self.sealed(f"back-{left.id}")
        if isinstance(take, commands.Take) and take.is_of_a_person and back is None:
            with suppress(ValueError):  # it differs from what that person saw
                self._check_seen(take, self._named(take.position), left.suggestion)
                return replace(left, created=take.created, taken_by=take.signed)
        return replace(left, taken_by=None)

    # commands

    def _execute(self, command: commands.Command) -> Answer:
        text, suggestion = "", None
        self._check_sender(command)
        match command:
            case commands.Next():
                return self._fetch(command)
            case commands.Accept():
                (suggestion,) = self.proposals.hand_out(1, command.signed)
                self._log(command, "accepted {}", suggestion)
                text = "the plan has received this position"
            case commands.Take():
                suggestion = self._take(command)
                text = "it is measured now" if command.now else self.proposals.queue.place(command.suggestion)
            case commands.Reject():
                self._reject(command)
                text = "the agent measures neither this position nor one close to it"
            case commands.TakeBack():
                self._take_back(command)
                text = "the agent chooses again"
            case commands.Hold():
                if not (self.has_accounts and self._is_held_by_a_person and not command.is_of_a_person):
                    by, is_person = command.signed, command.is_of_a_person
                    self.held = {"by": by, "why": command.why, "t": time.time(), "person": is_person}
                self._log(command, "holds the campaign" + (f": {command.why}" if command.why else ""))
                text = "the agent takes no new suggestion until somebody releases it"
            case commands.Release():
                if self.held is not None:
                    self.held = None
                    self._log(command, "released the campaign")
                text = "the plans continue"
            case commands.Exclude():
                self.proposals.explorer.exclude(command.region)
                self.proposals.withdraw_where("a region was excluded")
                self._log(command, f"excluded {limits_text(command.region)}: {command.why or NO_REASON}")
                text = "the agent suggests no position in this region"
            case commands.Add():
                suggestion = self._add(command)
                text = self.proposals.queue.place(command.id)
            case commands.Reorder():
                self.proposals.queue.reorder(command.order)
                order = ", ".join(self.ledger.position_text(each.suggestion) for each in self.proposals.queue)
                self._log(command, f"put the points in another order: {order}")
                text = f"the order is now {order}"
            case commands.Name():
                self._name(command)
                text = "the regime has this name now"
            case commands.Reference():
                self.reference.chosen = chosen(command)
                self._log(command, f"chose the reference that steers: {command.to}")
                self.steer()
                text = f"{self.reference.text} steers"
            case commands.SetBounds():
                self.proposals.explorer.bounds = within(command.bounds, self.ceiling)
                self.proposals.withdraw_where("the bounds were changed")
                text = f"bounds are now {limits_text(self.proposals.explorer.bounds)}"
                self.later(self.ledger.note, text, once=command.log_key, by=command.signed)
            case commands.SetExcluded():
                self.proposals.explorer.excluded = command.regions
                self.proposals.withdraw_where("the excluded regions were changed")
                text = f"excluded are now {'; '.join(map(limits_text, command.regions)) or 'no regions'}"
                self.later(self.ledger.note, text, once=command.log_key, by=command.signed)
            case commands.Note() | commands.Propose():  # these need no agent: `ResultStore.note`, `ResultStore.propose`
                raise ValueError(f"{command.do!r} is not for an agent")
        return Answer("done", text, suggestion)

    def _fetch(self, command: commands.Next) -> Answer:
        """Hand out the next position to a script, which waits: its writes come first."""
        given, results = self.proposals.given, self.proposals.results
        last = next((id for id in self._fetched[-1:] if id not in results), None)
        if (old_s := age_s(command.created)) > command.wait_s + FETCHED_WITHIN_S:
            raise ValueError(f"it was asked for {old_s:.0f} s ago, and the script may be gone: ask again")
        if self.held is not None:
            raise _NotYet(f"{self.held['by']} {HOLDS}")
        if self.review and self.proposals.taken is None:
            raise _NotYet(UNTAKEN)
        if last is not None and command.wait_s:
            raise _NotYet(f"no result has come from {self.ledger.position_text(given[last])}, fetched before")
        (suggestion,) = self.proposals.hand_out(1, command.signed, "taken", first=True)
        if last is not None:
            self.later(self.ledger.status, last, "superseded", "another position was fetched", by=command.signed)
        id = suggestion[ID_KEY]
        self._fetched = [*self._fetched, id][-MOST_FETCHED:]
        self._log(command, "fetched {}", suggestion, first=True)
        fetched = {"suggestion": id, "position": given[id], "reason": suggestion["reason"]}
        return Answer("done", suggestion["reason"], suggestion, fetched)

    def _take(self, command: commands.Take) -> dict[str, Any]:
        id, proposals = command.suggestion, self.proposals
        if id in proposals.given or id in proposals.results:
            raise ValueError("it was measured already, or is being measured")
        if command.now and self.review and proposals.taken != id:
            raise ValueError(f"{UNTAKEN}: this campaign is in review")
        if (old_s := age_s(command.created)) > TAKEN_WITHIN_S:
            raise ValueError(f"it was taken {old_s / 3600:.0f} h ago, when no agent was there: take or add a new one")
        if command.now and self.held is not None:
            raise ValueError(f"{self.held['by']} {HOLDS}")
        waiting = proposals.queue.get(id)
        position = self._named(command.position)
        taken = {**command.terms, **position, ID_KEY: id, "reason": command.reason or NO_REASON}
        if waiting is not None:
            taken = waiting.suggestion
        self._check_seen(command, position, taken if waiting is not None else {**taken, "reason": command.reason})
        if waiting is None:
            try:
                self.proposals.explorer.register_suggestions([taken])  # raises ValueError if it may not be measured
            except ValueError as error:
                self.later(self.ledger.status, id, "failed", str(error))
                raise
            proposals.withdraw_own(f"{command.who} took another one", by=command.signed)
        if command.now:
            proposals.remove(id)
            proposals.give(taken, command.signed if waiting is None else waiting.taken_by or command.signed)
            return taken
        proposals.enqueue(Ready(taken, command.created, command.signed))
        self.later(self.ledger.suggested, taken, "accepted", command.signed)
        self._log(command, "took {}" + (f": {command.why}" if command.why else ""), taken)
        return taken

    def _take_back(self, command: commands.TakeBack) -> None:
        """Withdraw a point of a person; its position may be suggested again."""
        waiting = self.proposals.queue.get(command.suggestion)
        if waiting is None or not waiting.created:
            raise ValueError("it does not wait any more: it is being measured, or it was withdrawn")
        self.proposals.remove(waiting.id)
        self.proposals.explorer.withdraw(waiting.id)
        why = command.why or f"{command.who} took it back"
        self.later(self.ledger.status, waiting.id, "withdrawn", why, by=command.signed, taken=True)
        self._log(command, "took {} back", waiting.suggestion)
        self.proposals.follow()

    def _check_sender(self, command: commands.Command) -> None:
        """Raise ValueError if the command needs a person with an account, and the server knows of none.

        On a server with accounts any other sender, such as the key of a service or a program that writes to Tiled
        directly, may ask for a point and restrict what is measured. It may not approve a suggestion in review, nor undo
        what a person has decided. A server with one key cannot tell senders apart.
        """
        if not self.has_accounts or command.is_of_a_person:
            return
        match command:
            case commands.Take(now=True) | commands.Next() | commands.Add() | commands.Exclude() | commands.Hold():
                return  # in review the first two get only what a person took
            case commands.Take() | commands.Accept():
                if not self.review:
                    return
                raise ValueError("in review a person with an account takes a suggestion: nobody vouches for this")
            case commands.Reject(failed=failed):
                waiting = self.proposals.queue.get(command.suggestion)
                if failed or waiting is None or not waiting.created:
                    return
            case commands.Release() if not self._is_held_by_a_person:
                return
        raise ValueError(f"a person with an account decides this ({command.do!r}): nobody vouches for this")

    @property
    def _is_held_by_a_person(self) -> bool:
        return self.held is not None and bool(self.held.get("person", True))

    def _check_seen(
        self, command: commands.Take | commands.Reject, position: Mapping[str, float], waiting: Mapping[str, Any]
    ) -> None:
        """Raise ValueError if the suggestion differs from the one that the sender saw."""
        names = self.proposals.explorer.names
        now = {name: float(waiting[name]) for name in names}
        shown = commands.seen(now, waiting["reason"], terms_of(waiting, names), self.settings)
        if now != position or command.seen not in ("", shown):
            raise ValueError(
                f"the suggestion differs from the one that was seen, it is now at {self.ledger.position_text(now)}: "
                "look again, and decide on that"
            )

    def _reject(self, command: commands.Reject) -> None:
        id, position = command.suggestion, self._named(command.position)
        if id in self.proposals.results:
            raise ValueError("it was measured already")
        waiting = self.proposals.queue.get(id)
        own = {**command.terms, **position, "reason": command.reason}
        self._check_seen(command, position, own if waiting is None else waiting.suggestion)
        waited = self.proposals.remove(id)
        if not waited and not command.failed:  # another suggestion has replaced it, maybe at the same place
            self.proposals.withdraw_own("another suggestion was rejected", by=command.signed)
        if command.failed or not waited:
            self.proposals.explorer.register_failures([{ID_KEY: id, **position}])
        if command.failed:
            self.proposals.unfinished(id)
            self.later(self.ledger.status, id, "failed", command.why, by=command.signed)
            return
        why = command.why or NO_REASON
        self._rejected.append(position)
        self.later(self.ledger.status, id, "rejected", why, by=command.signed)
        self._log(command, f"rejected {{}}: {why}", {ID_KEY: id, **position})

    def _add(self, command: commands.Add) -> dict[str, Any]:
        if command.id in self.proposals.results:  # measured by a session that was killed before it could answer
            raise ValueError("it was measured already")
        why = command.why or NO_REASON
        position = commands.check_position(command.position, self.proposals.explorer.bounds)
        (added,) = self.proposals.explorer.register_suggestions([{ID_KEY: command.id, **position, "reason": why}])
        self.proposals.enqueue(Ready(added, command.created))
        self.later(self.ledger.suggested, added, by=command.signed, principal=command.principal)
        self._log(command, f"wants {{}} next: {why}", added)
        return dict(added)

    def _name(self, command: commands.Name) -> None:
        regime, name = command.regime, command.name
        if regime not in self.atlas.labels:
            raise ValueError(f"there is no regime {regime}")
        others = {number: known for number, known in self.regime_names.items() if number != regime}
        self.regime_names = {**others, regime: name} if name else others
        self._log(command, f"calls regime {regime} {name!r}" if name else f"took the name of regime {regime} away")

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
        self.later(self.ledger.note, line, once=command.log_key, by=by, first=first, **ids)

    def _named(self, position: Mapping[str, float]) -> dict[str, float]:
        """Return one number for each actuator, in the order of the actuators."""
        return commands.check_position(position, dict.fromkeys(self.proposals.explorer.names, (-math.inf, math.inf)))


def within(
    bounds: Mapping[str, tuple[float, float]], ceiling: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Return the bounds; ValueError if they reach beyond the ceiling.

    Examples
    --------
    >>> within({"sample_x": (0.0, 500.0)}, {"sample_x": (0.0, 10.0)})
    Traceback (most recent call last):
    ValueError: sample_x = 0 to 500 reaches beyond the limits in the settings, 0 to 10: only the settings widen them
    """
    for name, (low, high) in bounds.items():
        least, most = ceiling.get(name, (-math.inf, math.inf))
        if low < least or high > most:
            raise ValueError(
                f"{name} = {low:g} to {high:g} reaches beyond the limits in the settings, {least:g} to {most:g}: only "
                "the settings widen them"
            )
    return dict(bounds)


def slots_of(command: commands.Command) -> set[str]:
    """Return the decisions that a command makes and that all sessions of an agent share; of a box, its text."""
    match command:
        case commands.Hold() | commands.Release():
            return {"held"}
        case commands.Exclude():
            return {limits_text(command.region)}
        case commands.SetExcluded():
            return {"lifted", *map(limits_text, command.regions)}
        case commands.SetBounds():
            return {"bounds"}
        case commands.Reference():
            return {"reference"}
        case commands.Name():
            return {f"name {command.regime}"}
    return set()


def chosen(command: commands.Reference) -> str | None:
    """Return the reference that a person chose; None if the agent chooses."""
    return None if command.to == "automatic" else command.to


def shared_of(
    state: Mapping[str, Any],
) -> tuple[dict[str, float], dict[str, Any] | None, str | None, dict[str, tuple[str, str]]]:
    """Return the stamps, the hold, the chosen reference, and the commands of the decisions in a checkpoint.

    Any program with a key may have written it: one of `INVALID` if it is.
    """
    stamps = {str(slot): float(t) for slot, t in (state.get("stamps") or {}).items()}
    if wrong := [slot for slot, t in stamps.items() if not 0 <= t <= LATEST]:
        raise ValueError(f"{wrong[0][:60]!r} has no time of a clock")
    if (held := state.get("held")) is not None:
        held = {**held, "by": str(held["by"]), "why": str(held["why"]), "t": float(held["t"])}
    if (reference := state.get("reference")) not in (None, *NAMES):
        raise ValueError("there is no such reference")
    backs = {str(slot): (str(id), str(created)) for slot, (id, created) in (state.get("backs") or {}).items()}
    for _, created in backs.values():
        moment(created)  # raises ValueError if it is no time
    return stamps, held, reference, backs


def age_s(created: str) -> float:
    """Return the seconds since a time in ISO 8601."""
    return (datetime.now(UTC) - moment(created)).total_seconds()


def moment(created: str) -> datetime:
    """Parse a time in ISO 8601; raise ValueError if the text is not one."""
    return datetime.fromisoformat(created).astimezone(UTC)
