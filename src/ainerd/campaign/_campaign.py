"""The campaign of one agent: it learns from results, suggests positions, and executes the commands of people."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial, wraps
from typing import Any, TypeVar

import numpy as np
from bluesky_adaptive.protocols import ID_KEY

from ainerd.campaign._atlas import Atlas, remembered
from ainerd.campaign._claims import Claims
from ainerd.campaign._comparison import Comparison
from ainerd.campaign._journal import Journal
from ainerd.campaign._optimizer import Travel, search_of
from ainerd.campaign._partners import Partners
from ainerd.campaign._proposals import Proposals
from ainerd.campaign._sentences import changed_reference, changes_of_regimes, elsewhere, finding, position_text
from ainerd.config import Steering
from ainerd.decisions import Answer, Rules, State, changes, is_position
from ainerd.jobs import Jobs
from ainerd.novelty import LEVEL, Components
from ainerd.processes import whereabouts
from ainerd.results import Result, ResultStore, commands
from ainerd.steering import Exposures, SampleMap, Suggestion
from ainerd.technique import Technique, is_novel
from ainerd.words import regime_name, run_text, sender, storable

F = TypeVar("F", bound=Callable[..., Any])
MAX_CONSECUTIVE_FAILURES = 5  # a plan stops after this many exposures in a row without a result
READS = "this session only reads; agent.take_over() steers from here once that one has ended"


def _owned(method: F) -> F:
    """Let the thread that owns the state of the campaign call a method."""

    @wraps(method)
    def inner(self: "Campaign", *args: Any, **kwargs: Any) -> Any:
        return self.own.ask(partial(method, self, *args, **kwargs))

    return inner  # type: ignore[return-value]


class Campaign:
    """Updates the exposures, the regimes and the suggestions of one agent with its results in Tiled.

    The campaign is a bluesky-adaptive `Optimizer` with all optional protocols. It answers each result that is in Tiled,
    so that runs taken by hand count as well. It only reads until `take_over`.

    Two threads work for it. One owns the state and the exposures: it folds changes, executes commands and answers
    results, and never waits for Tiled. The other one reads and writes Tiled. Any thread may call a public method.

    Parameters
    ----------
    technique : Technique
        If it has an optimizer, the campaign asks it for positions.
    store : ResultStore
        Store of the agent.
    steering : Steering
    own, tiled : Jobs
        Of the two threads.
    unit : str
        Unit of the actuators.
    travel : (TravelTime, float), optional
        Travel time and length of an exposure, which are weighed.
    announce : callable, optional
        Called with the kind of a message ("new", "alarm" or "failure"), a sentence, and the outcome that it follows.
    starts : callable, optional
        Returns the start documents of the newest raw runs: a suggestion that one names is not measured again.

    Attributes
    ----------
    rules : Rules
    journal : Journal
    exposures : Exposures
    atlas : Atlas
    claims : Claims
    advice : str or None
        What to do about a change of regime in the latest run.
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
        announce: Callable[[str, str, Result], None] = lambda kind, text, outcome: None,
        starts: Callable[[], Iterable[Mapping[str, Any]]] = tuple,
    ) -> None:
        self._starts = starts
        self.rules = rules = Rules.of(steering, unit)
        self.own, self.tiled, self._store, self._announce = own, tiled, store, announce
        self._weighs_travel = travel is not None or any(knob.costs for knob in steering.knobs.values())
        self.journal = Journal(store, rules, own, tiled, Comparison(store, technique))
        self.exposures = Exposures(rules.names, technique.embedding_size, technique.alpha)
        self.atlas, self.claims = Atlas(technique, self.exposures), Claims(technique)
        self._partners, self._smallest = Partners(store, rules.names, steering.partners), steering.smallest_feature
        search, other = search_of(technique, steering, unit, travel)
        self._proposals = Proposals(self.journal, self.exposures, search, other, self._partners)
        self._failures, self._was_explored = 0, False  # exposures in a row without a result
        self._seen: tuple[int, Mapping[str, int]] = 0, {}  # number and labels of the results that were read
        self._components = Components()  # that the log knows
        self.advice: str | None = None
        self._read()

    @property
    def state(self) -> State:
        """State of the campaign after the changes so far."""
        return self.journal.state

    @property
    def steers(self) -> bool:
        """Whether this session steers; otherwise it reads what another one does."""
        return self.journal.steers

    def take_over(self) -> None:
        """Steer from now on: the session that has steered until now has ended.

        The points of people that it leaves are measured, and its results are answered. Raises RuntimeError if another
        session begins to steer at this moment, and `ainerd.results.Away` if Tiled does not answer.
        """
        outcomes = self.tiled.ask(self._read)
        first = {outcome.trial_id: outcome for outcome in reversed(outcomes)}
        left = {id: first[id] for id in self.state.open if id in first}
        began = changes.Began(
            session=self.rules.session,
            configured=self.rules.window.bounds,
            exposed=tuple(self._named_by_runs() - {*self.state.measured, *first}),
            learned=tuple(_measured(each, self._elsewhere(each)) for each in left.values()),
        )
        self.tiled.ask(partial(self.journal.begin, began))
        self.own.ask(partial(self._begun, outcomes, left))

    def _named_by_runs(self) -> set[str]:
        return {id for start in self._starts() if isinstance(id := start.get("suggestion_id"), str)}

    def _begun(self, outcomes: Sequence[Result], left: Container[str]) -> None:
        self._follow_state()
        for outcome in outcomes:
            if outcome.awaits_regime:
                self.answer(outcome)
            elif outcome.status == "failed" and outcome.trial_id in left:  # its session may have ended before its line
                self.journal.write(_line(finding(outcome, self.rules, self.state.names), outcome))
        self.checkpoint()

    def look(self) -> None:
        """Stop steering if another session has begun to; while that one steers, read what it does.

        Raises `ainerd.results.Away` if Tiled does not answer.
        """
        self.tiled.ask(self.journal.look if self.steers else self._read)

    def _read(self) -> list[Result]:
        """Read the changes and results of the session that steers, and return the results."""
        self.journal.read()
        outcomes, labels = remembered(self._store, self.rules.names), self._store.current_labels()
        known = [each for each in outcomes if not each.awaits_regime]
        self.own.ask(partial(self._adopt, known, labels))
        return outcomes

    def _adopt(self, outcomes: Sequence[Result], labels: Mapping[str, int]) -> None:
        """Learn the results of the session that steers, or of an earlier one."""
        self.journal.know({each.trial_id: each.key for each in reversed(outcomes) if each.is_of_suggestion})
        if (seen := (len(outcomes), labels)) != self._seen:
            for outcome in outcomes:
                self._learn(outcome)
                self.exposures.give(outcome.key, regime=outcome.regime)
            self.exposures.leave_out(self.state.left_out)
            self.atlas.begin(labels.values())
            self.exposures.settle()
            self._seen = seen
        self._follow_state()

    def _follow_state(self) -> None:
        """Follow the claims and decisions in the changes."""
        self.claims.names = self.state.names
        if not self.claims.restore(self.state.claims):
            # an earlier session has announced these claims
            self.claims.update(self.atlas.with_p(), self.atlas.components, self.state.left_out)
        self._components = self.atlas.components
        self._judge()

    @_owned
    def end(self) -> None:
        """Withdraw the waiting suggestions, because the session ends."""
        self._proposals.is_over = True
        if self.steers and self.state.waiting:
            self.journal.happen(changes.Withdrawn(why="the session ended", all=True))

    # results

    @_owned
    def answer(self, outcome: Result) -> Result:
        """Answer a result that is in Tiled, and return it with its regime and own p-value.

        The campaign learns the result and prepares the next suggestion. The regime, the status of its suggestion and
        the log are written after that. A recalled result (the run came again, or another process was faster) is
        learned once, and not logged unless it has no regime yet.
        """
        if not self.steers or (outcome.is_recalled and self.exposures.is_measured(outcome.key)):
            return outcome
        if not outcome.is_in_tiled:  # the next start analyses it
            self._failures += 1
            self._proposals.running.pop(outcome.key, None)
            return outcome
        is_new = not outcome.is_recalled or bool(outcome.awaits_regime)
        self._learn(outcome)
        if is_new:
            outcome = self._labelled(outcome)
        elif outcome.embedding is not None:
            self.atlas.fit(outcome.key)
        self._failures = self._failures + 1 if outcome.status == "failed" else 0
        self.exposures.settle()
        self._proposals.running.pop(outcome.key, None)
        if outcome.exposure_s and self._weighs_travel:
            self._proposals.weigh(outcome.exposure_s)
        moved = self._elsewhere(outcome)
        if outcome.is_of_suggestion:
            self.journal.happen(_measured(outcome, moved))
        self._proposals.renew()
        if moved is not None and outcome.status != "failed":
            self.journal.write(_line(moved, outcome))
        if is_new:
            self._report(outcome)
        self._proposals.follow()
        return outcome

    def _learn(self, outcome: Result) -> None:
        """Add a result to the exposures. One that records no position is where it was suggested."""
        asked = self.state.handed_out.get(outcome.trial_id)
        self.exposures.add(
            outcome.key,
            {**({} if asked is None else asked.suggestion.position), **outcome.positions},
            outcome.embedding,
            suggestion=outcome.trial_id,
            p=outcome.novelty_p,
            novel=outcome.novel,
            own_p=outcome.own_p,
            regime=outcome.regime,
        )
        if outcome.is_of_another:
            self.exposures.give(outcome.key, of_another=True)

    def _labelled(self, outcome: Result) -> Result:
        """Return a new result with its regime and own p-value. Its line of the log and its regime are written."""
        effects: list[changes.Effect] = []
        if outcome.embedding is not None:
            key, ids = outcome.key, {"raw_uid": outcome.raw_uid, "result": outcome.key}
            p, compared = self.atlas.own_p(key)
            self.exposures.give(key, own_p=np.nan if p is None else p)
            self.atlas.fit(key)
            regime = self.exposures.regime(key)
            outcome = replace(outcome, regime=regime, own_p=p, own_regimes=compared)
            if (regimes := self.atlas.refitted()) is not None:
                effects.append(changes.Refit(regimes))
            # the first sentence is the verdict
            sentences = (outcome.sentence(), *outcome.sentences[1:]) if outcome.sentences else ()
            before = self.atlas.before(key, self.state.window, self.rules.beam_size)
            name = "" if self.shown(outcome).novel else run_text(outcome.names)
            alike = self.atlas.of_regime(key)
            effects.append(changes.Label(key, regime, p, compared, sentences, before, alike, name, ids))
        differs = outcome.key not in self.atlas.close_to_known
        text = finding(self.shown(outcome), self.rules, self.state.names, differs_from_known=differs)
        self.journal.write(_line(text, outcome), *effects)
        return replace(outcome, awaits_regime="")

    def _report(self, outcome: Result) -> None:
        """Announce and log what follows from a new result: claims, another reference, changes of regimes."""
        lines, alarm = self._follow_regimes({"raw_uid": outcome.raw_uid, "result": outcome.key})
        for line in lines:
            self._announce("new", line, outcome)
        for line in alarm:
            self._announce("alarm", line, outcome)
        if self._failures > 1:
            why = f": {outcome.reason}" if outcome.reason else ""
            self._announce("failure", f"the last {self._failures} exposures gave no result{why}", outcome)
        self._advise(outcome)

    def _regroup(self) -> None:
        """Follow the names of regimes, and the results that people left out or took back in."""
        self.claims.names = self.state.names
        is_changed = self.exposures.leave_out(self.state.left_out)
        if is_changed:
            self.atlas.refit()
        self.journal.write(changes.Refit(self.atlas.record()))
        if is_changed:
            self.exposures.settle()
            self._follow_regimes({})
        if self._proposals.takes_back:
            self._proposals.withdraw("a person named a regime, or left a result out", "superseded")

    def _follow_regimes(self, ids: dict[str, str]) -> tuple[list[str], list[str]]:
        """Log the consequences of the present regimes, and return the sentences of the claims and the alarm."""
        lines, alarm = self.claims.update(self.atlas.with_p(), self.atlas.components, self.state.left_out)
        if lines or alarm:
            self.journal.happen(changes.Claimed(claims=self.claims.state(), lines=(*lines, *alarm), ids=ids))
        if self._judge():
            self.journal.write(changes.Line(changed_reference(self.exposures.own_level)))
            self._proposals.withdraw("p compares with other exposures now", "superseded")
        for line in changes_of_regimes(self._components, self.atlas.components, self.state.names):
            self.journal.write(changes.Line(line, ids=ids))
        self._components = self.atlas.components
        explored, why = self.should_stop()
        if explored and not self._was_explored:
            self.journal.write(changes.Line(f"explored: {why}"))
        self._was_explored = explored
        return lines, alarm

    def _advise(self, outcome: Result) -> None:
        """Log a change of regime since the last exposure of the same spot."""
        earlier = self.atlas.before(outcome.key, self.state.window, self.rules.beam_size)
        before = -1 if earlier is None else self.exposures.regime(earlier)
        self.advice = None
        if outcome.regime >= 0 and before not in (-1, outcome.regime):
            was, now = (regime_name(regime, self.state.names) for regime in (before, outcome.regime))
            where = position_text(outcome.positions, self.rules)
            self.advice = f"the spot at {where} was {was}, now it is {now}: measure there again to follow the change"
            self.journal.write(_line(self.advice, outcome))

    def shown(self, outcome: Result) -> Result:
        """Return a result with the p-value and the verdict that steer, as people see it."""
        if (level := self.exposures.own_level) is None:
            return outcome
        own = outcome.own_p
        return replace(outcome, novelty_p=own, novel=own is not None and bool(is_novel(own, level)))

    def _judge(self) -> bool:
        """Judge exposures by the known kinds, or by this session once its sample is new; return if this changes."""
        before, level = self.exposures.own_level, None if self.claims.of_sample is None else LEVEL
        self.exposures.own_level = self._store.own_level = level
        return before != level

    def _elsewhere(self, outcome: Result) -> str | None:
        asked = self.state.handed_out.get(outcome.trial_id)
        return None if asked is None else elsewhere(outcome, asked.suggestion, self.rules, self._smallest)

    @_owned
    def begun(self, trial_id: str) -> None:
        """Prepare the suggestion that follows the run of a suggestion, which begins now, so that people can decide.

        An optimizer that cannot take a suggestion back is asked only after a result.
        """
        if self.steers and trial_id in self.state.handed_out and self._proposals.takes_back:
            self._proposals.follow()

    @_owned
    def expose(self, outcome: Result) -> None:
        """Count a run in progress, which nobody suggested, as an exposure of its spot, before it has a result."""
        if not self.steers or outcome.trial_id in self.state.handed_out:
            return
        if is_position(outcome.positions, self.rules.names):
            self._proposals.running[outcome.key] = outcome.positions
            if self._proposals.takes_back:
                self._proposals.renew("a run began that nobody suggested")

    def checkpoint(self) -> None:
        """Let the thread for Tiled write what Tiled does not have."""
        self.tiled.write(self.journal.catch_up)

    # people

    @_owned
    def apply(self, command: commands.Command, *, container: str = "", age_s: float = 0.0) -> Answer:
        """Execute a command, and write its effects. Only this method executes commands.

        A second command with the same id changes nothing and gets the same answer. This holds in later sessions too,
        because the changes contain the commands. A `Next` that must wait gets the answer ``waits``, and is no change.
        A command that came as a node in Tiled, in a `container`, gets its answer there; `changes.Asked` has `age_s`.
        Raises RuntimeError if another session steers.
        """
        self.require_steering()
        if (answer := self.state.answer(command.id) or self.journal.refused.get(command.id)) is not None:
            if answer.do not in ("", command.do):
                answer = Answer(status="refused", text=f"somebody was first, with {answer.do!r}")
            if container:
                self.journal.write(changes.Reply(container, command.id, answer.status, answer.text))
            return answer
        before = self.state
        after = self.journal.happen(self._proposals.asked(command, self.atlas, container, age_s))
        if after.names is not before.names or after.left_out is not before.left_out:
            self._regroup()
        if before.waiting and not isinstance(command, commands.Accept | commands.Next):  # it may have been withdrawn
            self._proposals.follow()
        return self.journal.refused.get(command.id) or after.answers[command.id]

    def position(self, values: Sequence[float] | Mapping[str, float]) -> dict[str, float]:
        """Return a position by actuator; raise ValueError unless each actuator has a number within its bounds."""
        if not isinstance(values, Mapping):
            names = self.rules.names
            if len(values) != len(names):
                raise ValueError(f"a position has {len(names)} numbers ({', '.join(names)}), got {len(values)}")
            values = dict(zip(names, values, strict=True))
        return commands.check_position(values, self.state.window.bounds)

    @_owned
    def map(self) -> SampleMap | None:
        """Return the belief over position; None for an optimizer of the technique."""
        return self._proposals.map()

    # the optimizer that bluesky-adaptive knows

    @_owned
    def peek(self) -> Suggestion:
        """Return the next suggestion, without taking it; ValueError if no position is left, or none is chosen yet."""
        return self._proposals.ready().suggestion

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Hand out the next positions, to be measured now. The ready suggestion comes first.

        In review this is the one that a person took; without one, ValueError is raised. It is also raised if no
        position is left. Raises RuntimeError if another session steers.
        """
        self.require_steering()
        return self.own.ask(partial(self._proposals.hand_out, num_points or 1))

    def require_steering(self) -> None:
        """Raise RuntimeError if another session steers."""
        if not self.journal.steers:
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
        registered, by = [], whereabouts()["user"]
        for point in suggestions:
            id, reason = (
                str(point.get(ID_KEY) or commands.new_id()),
                str(point.get("reason") or f"asked for by {sender(by)}"),
            )
            if id in self.state.handed_out:
                registered.append(dict(point))
                continue
            added = self._proposals.complete(self.rules.position(point), reason, id)
            self.journal.happen(changes.HandedOut(suggestion=added, by=by))
            registered.append(added.point)
        return registered

    @_owned
    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Record exposures that could not be taken."""
        if not self.steers:
            return
        positions = {str(each[ID_KEY]): self.rules.position(each) for each in suggestions}
        self.journal.happen(changes.Unfinished(positions=positions))

    @_owned
    def get_best_points(self) -> list[tuple[str, dict[str, float], dict[str, float | None]]]:
        """Return the novel exposures, most novel first."""
        return self._proposals.best_points()

    @_owned
    def should_stop(self) -> tuple[bool, str]:
        """Return whether a plan should end by itself, and the reason in words; see `ainerd.steering.should_stop`."""
        if self._failures >= MAX_CONSECUTIVE_FAILURES:
            return True, f"the last {self._failures} exposures gave no result"
        return self._proposals.should_stop()

    def look_elsewhere(self) -> None:
        """Choose again if the novel positions of other techniques have changed (`Steering.partners`)."""
        if bool(self._partners.agents) and self.tiled.ask(self._partners.look):
            self.own.ask(self._choose_again)

    def _choose_again(self) -> None:
        self._proposals.withdraw("an agent of another technique found something novel", "withdrawn")
        self._proposals.follow()


def _measured(outcome: Result, elsewhere: str | None) -> changes.Measured:
    """Return the change by the result of a suggestion; it has failed if it was measured `elsewhere`."""
    why = storable(outcome.reason or elsewhere or "")[: changes.LONGEST] or None
    failed = outcome.status == "failed" or elsewhere is not None
    return changes.Measured(
        key=outcome.key, suggestion=outcome.trial_id, failed=failed, why=why, raw_uid=outcome.raw_uid
    )


def _line(text: str, outcome: Result) -> changes.Line:
    """Return a line of the log on a result. The first line on a result without a regime is written once."""
    awaits = outcome.awaits_regime
    once = commands.log_key(awaits, outcome.key) if awaits else commands.new_id()
    return changes.Line(text, once, ids={"raw_uid": outcome.raw_uid, "result": outcome.key})
