"""The campaign of one agent: it learns from results, suggests positions, and executes the commands of people."""

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial, wraps
from typing import Any, TypeVar

from bluesky_adaptive.protocols import ID_KEY

from ainerd.campaign._atlas import Atlas, remembered
from ainerd.campaign._claims import Claims
from ainerd.campaign._history import History
from ainerd.campaign._ledger import Ledger, Notices
from ainerd.campaign._optimizer import Travel, optimizer_of
from ainerd.campaign._proposals import Partners, Proposals
from ainerd.campaign._reference import SteeringReference
from ainerd.campaign._results import Results
from ainerd.campaign._sentences import sentences
from ainerd.config import Steering
from ainerd.decisions import NO_REASON, Answer, Rules, State, events, is_position
from ainerd.jobs import Jobs
from ainerd.results import ResultStore, commands, digest
from ainerd.steering import SampleMap, Window
from ainerd.technique import Outcome, Technique
from ainerd.words import storable

logger = logging.getLogger(__name__)
F = TypeVar("F", bound=Callable[..., Any])
MAX_CONSECUTIVE_FAILURES = 5  # a plan stops after this many exposures in a row without a result
READS = "this session only reads, agent.take_over() steers from here"


def _owned(method: F) -> F:
    """Let the thread that owns the state of the campaign call a method."""

    @wraps(method)
    def inner(self: "Campaign", *args: Any, **kwargs: Any) -> Any:
        return self.own.ask(partial(method, self, *args, **kwargs))

    return inner  # type: ignore[return-value]


class Campaign:
    """Updates the explorer, the regimes and the suggestions of one agent with its results in Tiled.

    The campaign is a bluesky-adaptive `Optimizer` with all optional protocols. It answers each result that is in Tiled,
    so that runs taken by hand count as well. It only reads until `take_over`.

    Two threads work for it. One owns the state and the optimizer: it folds events, executes commands and answers
    results, and never waits for Tiled. The other one reads and writes Tiled. Any thread may call a public method.

    Parameters
    ----------
    technique : Technique
        If it has an optimizer, the campaign uses it instead of an `Explorer`.
    store : ResultStore
        Store of the agent.
    steering : Steering
    own, tiled : Jobs
    unit : str
        Unit of the actuators.
    travel : (TravelTime, float), optional
        Travel time and length of an exposure, which the `Explorer` weighs.
    announce : callable, optional
        Called with the name of an event ("claim", "alarm" or "failure"), a sentence, and the outcome that it follows.

    Attributes
    ----------
    own, tiled : Jobs
        Jobs of the two threads.
    order : Order
    explorer : Explorer or OtherOptimizer
    atlas : Atlas
    claims : Claims
    reference : SteeringReference
    ledger : Ledger
    notices : Notices
    """

    def __init__(
        self,
        technique: Technique,
        store: ResultStore,
        steering: Steering,
        own: Jobs,
        tiled: Jobs,
        *,
        unit: str = "",
        travel: Travel | None = None,
        announce: Callable[[str, str, Outcome], None] = lambda event, text, outcome: None,
    ) -> None:
        names = tuple(steering.bounds)
        self._remembered = partial(remembered, store, names)
        remembered_ = self._remembered()
        known = [outcome for outcome in remembered_ if not outcome.awaits_regime]
        self.own, self.tiled, self._steering = own, tiled, steering
        self._announce = announce
        self._weighs_travel = travel is not None or any(knob.costs for knob in steering.knobs.values())
        rules = rules_of(steering, technique.name, unit)
        self._store, self.ledger = store, Ledger(store, names, unit)
        self._history = History(store, self.ledger, rules, own, tiled)
        self.order = self._history.order
        self.atlas = Atlas(technique, store, names, known)
        self.claims = Claims(technique)
        self.notices = Notices(self.ledger, self._history.later, self.atlas.components)
        self.explorer = optimizer_of(technique, steering, self.atlas.label, unit, travel)
        self.reference = SteeringReference(self.claims, self.explorer)
        self._partners = Partners(store, names, steering.partners)
        self._proposals = Proposals(self._history, self.explorer, self._partners)
        self._results = Results(
            steering, self._history, self.atlas, self.explorer, self.reference, technique.embedding_size
        )
        self._failures = 0  # exposures in a row without a result
        self._known: dict[str, Outcome] = {}  # results, while another session steers
        self._take_in(known)

    @property
    def state(self) -> State:
        """State of the campaign after the events so far."""
        return self.order.state

    @property
    def rules(self) -> Rules:
        """The settings of this session."""
        return self.order.rules

    @property
    def window(self) -> Window:
        """The bounds within which the agent measures, and the excluded boxes."""
        return self.state.window

    @property
    def steers(self) -> bool:
        """Whether this session steers; otherwise it reads what another one does."""
        return self.order.steers

    def take_over(self) -> None:
        """Steer from now on. The session that has steered until then reads.

        The points of people that it leaves are measured, and its results are answered. Raises `ainerd.results.Away` if
        Tiled does not answer.
        """
        unanswered = self.tiled.ask(self._read)
        first = {outcome.trial_id: outcome for outcome in reversed([*self._known.values(), *unanswered])}
        learned = tuple(self._measured(first[id]) for id in self.order.unfinished if id in first)
        began = events.Began(session=self.rules.session, configured=self.rules.window.bounds, learned=learned)
        self.tiled.ask(partial(self.order.begin, began))
        self.own.ask(partial(self._begun, unanswered))

    def _begun(self, unanswered: Sequence[Outcome]) -> None:
        self._steer_as_decided()
        for outcome in unanswered:
            self.answer(outcome)
        known, self._known = self._known | {outcome.key: outcome for outcome in unanswered}, {}
        self._history.later(self.ledger.log_last, known)
        self.checkpoint()

    def look(self) -> None:
        """Stop steering if another session has begun to; while that one steers, read what it does.

        Raises `ainerd.results.Away` if Tiled does not answer.
        """
        if self.steers:
            self.tiled.ask(self.order.look)
        else:
            self.tiled.ask(self._read)

    def _read(self) -> list[Outcome]:
        """Read events and results of the session that steers; return the results that have no regime yet."""
        self.order.read()
        new = self._remembered(but=self._results.known)
        known = [outcome for outcome in new if not outcome.awaits_regime]
        self.own.ask(partial(self._adopt, known, self._store.current_labels()))
        return [outcome for outcome in new if outcome.awaits_regime]

    def _adopt(self, outcomes: Sequence[Outcome], labels: Mapping[str, int]) -> None:
        self.atlas.adopt(outcomes, labels)
        self._take_in(outcomes)

    def _take_in(self, outcomes: Sequence[Outcome]) -> None:
        """Learn results of the session that steers, or of an earlier one."""
        measured = dict[str, str]()
        for outcome in outcomes:
            if outcome.is_of_suggestion:
                measured.setdefault(outcome.trial_id, outcome.key)
        self.order.know(measured)
        self._known |= {outcome.key: outcome for outcome in outcomes}
        self.explorer.ingest(self._results.points(outcomes))
        self._steer_as_decided()

    def _steer_as_decided(self) -> None:
        """Follow the claims and decisions in the events."""
        if not self.claims.restore(self.state.claims):
            # an earlier session has announced these claims
            self.claims.update(self.atlas.exposures(), self.atlas.components)
        self.reference.judge_all()
        self._proposals.expect()

    @_owned
    def end(self) -> None:
        """Withdraw the waiting suggestions, because the session ends."""
        self._proposals.is_over = True
        if self.steers and self.state.waiting:
            self._history.happen(events.Withdrawn(why="the session ended", all=True))

    # results

    @_owned
    def answer(self, outcome: Outcome) -> Outcome:
        """Answer a result that is in Tiled, and return it with its regime and own p-value.

        The campaign learns the result and prepares the next suggestion. The regime, the status of its suggestion and
        the log are written after that. A recalled result (the run came again, or another process was faster) is
        learned once, and not logged unless it has no regime yet.
        """
        if not self.steers or (outcome.is_recalled and outcome.key in self._results.usable):
            return outcome
        is_usable, is_new = outcome.status != "failed", not outcome.is_recalled or bool(outcome.awaits_regime)
        if outcome.embedding is not None and is_new:
            p, compared = self.atlas.own_p(outcome)
            outcome = replace(outcome, regime=self.atlas.add(outcome), own_p=p, awaits_regime="")
            self._results.label(outcome.key, p, compared)
        if is_usable and not is_new:
            self.atlas.learn(outcome)
        self._failures = 0 if is_usable else self._failures + 1
        elsewhere = self._results.elsewhere(outcome)
        self._proposals.running.pop(outcome.key, None)
        self.explorer.ingest(self._results.points([outcome]))
        if outcome.exposure_s and self._weighs_travel:
            self.explorer.exposure_s = outcome.exposure_s
        if outcome.is_of_suggestion:
            self.order.happen(self._measured(outcome))
        self._proposals.expect()
        self._proposals.renew()
        self.checkpoint()
        if is_usable and elsewhere is not None:
            self._history.later(self.ledger.note, elsewhere, raw_uid=outcome.raw_uid, result=outcome.key)
        if is_new:
            self._report(outcome)
        self._proposals.follow()
        return outcome

    def _measured(self, outcome: Outcome) -> events.Measured:
        """Return the event of the result of a suggestion."""
        elsewhere = self._results.elsewhere(outcome)
        why = storable(outcome.reason or elsewhere or "")[: events.LONGEST] or None
        failed = outcome.status == "failed" or elsewhere is not None
        return events.Measured(
            key=outcome.key, suggestion=outcome.trial_id, failed=failed, why=why, raw_uid=outcome.raw_uid
        )

    def _report(self, outcome: Outcome) -> None:
        """Log a new result, and the claims and notices that follow from it."""
        finding = self.ledger.finding(outcome, differs_from_known=outcome.key not in self.atlas.close_to_known)
        had_alarm = bool(self.claims.alarm)
        lines = self.claims.update(self.atlas.exposures(), self.atlas.components)
        ids: dict[str, Any] = {"raw_uid": outcome.raw_uid, "result": outcome.key}
        self._history.later(self.ledger.finding_once if outcome.is_recalled else self.ledger.note, finding, **ids)
        for line in lines:
            self._history.later(self.ledger.note, line, **ids)
            is_alarm = line == lines[-1] and bool(self.claims.alarm) != had_alarm
            self._announce("alarm" if is_alarm else "claim", line, outcome)
        if self._failures > 1:
            why = f": {outcome.reason}" if outcome.reason else ""
            self._announce("failure", f"the last {self._failures} exposures gave no result{why}", outcome)
        if lines:  # a claim is in the log before an event has it
            self._history.happen(events.Claimed(claims=self.claims.state()))
        self._steer_by()
        before = self.atlas.regime_before(outcome, self.explorer.window, self._steering.beam_size)
        self.notices.post(outcome, before, *self.should_stop(), self.atlas.components)

    @_owned
    def begun(self, trial_id: str) -> None:
        """Prepare the suggestion that follows the run of a suggestion, which begins now, so that people can decide.

        An optimizer that cannot take a suggestion back is asked only after a result.
        """
        if self.steers and trial_id in self.state.handed_out and self.explorer.takes_back:
            self._proposals.follow()

    @_owned
    def expose(self, outcome: Outcome) -> None:
        """Count a run in progress, which nobody suggested, as an exposure of its spot, before it has a result."""
        if not self.steers or outcome.trial_id in self.state.handed_out:
            return
        if is_position(outcome.positions, self.rules.names):
            self._proposals.running[outcome.key] = outcome.positions
            self._proposals.expect()
            if self.explorer.takes_back:
                self._proposals.renew("a run began that nobody suggested")

    def catch_up(self) -> None:
        """Write the events, effects and regimes that Tiled does not have, if it answers. In the thread for Tiled."""
        if self.steers:
            self._history.catch_up()
            self._results.write_labels()

    @property
    def results(self) -> set[str]:
        """Keys of the complete results that are known."""
        return self._results.usable

    # people

    @_owned
    def apply(self, command: commands.Command, *, container: str = "", refused: str = "") -> Answer:
        """Execute a command, and write its effects. Only this method executes commands.

        A second command with the same id changes nothing and gets the same answer. This holds in later sessions too,
        because the events contain the commands. A `Next` that must wait gets the answer ``waits``, and is no event.
        A command that came as a node in Tiled, in a `container`, gets its answer there. With `refused`, a reason, it is
        not executed. Raises RuntimeError if another session steers.
        """
        self.require_steering()
        if (known := self.state.answer(command.id)) is not None:
            do, answer = known
            return answer if do == command.do else Answer("refused", f"somebody was first, with {do!r}")
        if command.id in self.order.refused:
            return self.order.refused[command.id]
        asked = self._asked(command, refused).model_copy(update={"container": container})
        is_first = isinstance(command, commands.Next | commands.Hold | commands.Release)
        _, answer = self._history.happen(asked, first=is_first).answers[command.id]
        self._proposals.expect()
        if isinstance(command, commands.TakeBack):
            self._proposals.follow()
        return self.order.refused.get(command.id, answer)

    def _asked(self, command: commands.Command, refused: str) -> events.Asked:
        """Return the event of a command. It holds the suggestion and the objections of the optimizer, if it has any."""
        if refused:
            return events.Asked(command=command, refused=refused)
        suggestion, objection = None, ""
        try:
            match command:
                case commands.Next() | commands.Accept():
                    if isinstance(command, commands.Accept) or self.state.held is None:
                        self._proposals.ready()
                case commands.Add():
                    position = commands.check_position(command.position, self.explorer.bounds)
                    asked = {ID_KEY: command.id, **position, "reason": command.why or NO_REASON}
                    (suggestion,) = self.explorer.register_suggestions([asked])
                case commands.Take() if self.state.get(command.suggestion) is None:
                    position = self.rules.position(command.position)
                    asked = {**command.terms, **position, ID_KEY: command.suggestion}
                    self.explorer.register_suggestions([{**asked, "reason": command.reason or NO_REASON}])
                case commands.Name() if command.regime not in self.atlas.labels:
                    raise ValueError(f"there is no regime {command.regime}")
        except ValueError as error:
            objection = str(error)
        rules = self.rules
        return events.Asked(
            command=command, suggestion=suggestion, objection=objection,
            settings=rules.settings, review=rules.review,
        )  # fmt: skip

    def position(self, values: Sequence[float] | Mapping[str, float]) -> dict[str, float]:
        """Return a position by actuator; raise ValueError unless each actuator has a number within its bounds."""
        if not isinstance(values, Mapping):
            names = self.explorer.names
            if len(values) != len(names):
                raise ValueError(f"a position has {len(names)} numbers ({', '.join(names)}), got {len(values)}")
            values = dict(zip(names, values, strict=True))
        return commands.check_position(values, self.explorer.bounds)

    def sentences(self) -> list[str]:
        """Return sentences about regimes without a gap between them."""
        return sentences(self.atlas.components)

    @_owned
    def map(self) -> SampleMap | None:
        """Return the belief over position; None for an optimizer of the technique."""
        return self.explorer.map()

    # suggestions that wait, and those that are being measured

    @property
    def waiting(self) -> list[dict[str, Any]]:
        """The suggestions that wait, in the order in which they are measured; does not compute one.

        ``taken_by`` is the person who took one, or None; ``is_asked`` is whether a person took or added it.
        """
        waiting = self.state.waiting
        return [{**x.suggestion, "taken_by": x.taken_by, "is_asked": bool(x.created)} for x in waiting]

    @property
    def taken(self) -> str | None:
        """Id of the suggestion that a person took and that is measured next, or None."""
        return self.state.taken(review=self.rules.review)

    @property
    def measuring(self) -> str | None:
        """Id of the suggestion that was handed out last, if its measurement is not over; None otherwise."""
        last = next(reversed([*self.state.handed_out]), None)
        return last if last is not None and self.state.is_open(last) else None

    def given_at(self, position: Mapping[str, float]) -> str | None:
        """Return the id of the newest suggestion that was handed out for this spot and has no result; None without one.

        `position` may have other readings besides the actuators.
        """
        if not is_position(position, self.rules.names):
            return None
        state = self.state
        taken = {each.id: each for each in state.waiting if each.taken_by is not None}
        open_ = {**state.handed_out, **taken}
        near = [
            id
            for id, each in open_.items()
            if id not in state.measured and self.rules.are_near(each.suggestion, position)
        ]
        return near[-1] if near else None

    # the optimizer that bluesky-adaptive knows

    @_owned
    def peek(self) -> dict[str, Any]:
        """Return the next suggestion, without taking it; ValueError if no position is left, or none is chosen yet."""
        return dict(self._proposals.ready().suggestion)

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Hand out the next positions, to be measured now. The ready suggestion comes first.

        In review this is the one that a person took; without one, ValueError is raised. It is also raised if no
        position is left. Raises RuntimeError if another session steers.
        """
        self.require_steering()
        return self.own.ask(partial(self._proposals.hand_out, num_points or 1))

    def require_steering(self) -> None:
        """Raise RuntimeError if another session steers."""
        if not self.steers:
            raise RuntimeError(f"another session steers: {READS}")

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Do nothing: the worker passes a result to the campaign after it is written.

        A plan passes the same result, or NaN if it did not wait for the end of the analysis. NaN must not count as a
        failed exposure.
        """

    @_owned
    def register_suggestions(self, suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Add points of a person. Suggestions that were handed out are returned unchanged."""
        self.require_steering()
        registered = []
        for suggestion in suggestions:
            added = dict(suggestion)
            if suggestion.get(ID_KEY) not in self.state.handed_out:
                (added,) = self.explorer.register_suggestions([suggestion])
                self._proposals.give(added, "person")
            registered.append(added)
        return registered

    @_owned
    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Record exposures that could not be taken."""
        if not self.steers:
            return
        positions = {str(each[ID_KEY]): self.rules.position(each) for each in suggestions}
        self._history.happen(events.Unfinished(positions=positions))
        self._proposals.expect()

    @_owned
    def get_best_points(self) -> list[tuple[str, dict[str, float], dict[str, float | None]]]:
        """Return the novel exposures, most novel first."""
        return self.explorer.get_best_points()

    @_owned
    def should_stop(self) -> tuple[bool, str]:
        """Return whether a plan should end by itself, and the reason in words; see `Explorer.should_stop`."""
        if self._failures >= MAX_CONSECUTIVE_FAILURES:
            return True, f"the last {self._failures} exposures gave no result"
        return self.explorer.should_stop()

    def checkpoint(self) -> None:
        """Write the events and effects that are not in Tiled yet."""
        self._history.later(self._history.catch_up)

    def look_elsewhere(self) -> None:
        """Choose again if the novel positions of other techniques have changed (`Steering.partners`)."""
        if self.tiled.ask(self._partners.look):
            self.own.ask(self._choose_again)

    def _choose_again(self) -> None:
        self._proposals.withdraw_own("an agent of another technique found something novel", "withdrawn")
        self._proposals.follow()

    def _steer_by(self) -> None:
        """Steer by the reference, if it has changed, and log it."""
        if (line := self.reference.change()) is not None:
            self._history.later(self.ledger.note, line)
            self._proposals.withdraw_own("another reference steers", "superseded")


def rules_of(steering: Steering, technique: str, unit: str) -> Rules:
    """Return the settings of a new session, for a technique by its name and the unit of the actuators."""
    # a person relies on these when they take a suggestion
    settings = {"technique": technique, "unit": unit, "steering": steering.model_dump_json()}
    return Rules(
        session=uuid.uuid4().hex,
        window=Window(steering.bounds, unit=unit, knobs=steering.knobs),
        unit=unit,
        review=steering.review,
        settings=digest(settings),
        beam_size=steering.beam_size,
    )
