"""The campaign of one agent: it learns from results, suggests positions, and executes the commands of people."""

import logging
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import numpy as np
from bluesky_adaptive.protocols import ID_KEY

from ainerd.campaign._atlas import Atlas, remembered
from ainerd.campaign._claims import Claims
from ainerd.campaign._decisions import INVALID, Answer, Decisions, age_s, shared_of, within
from ainerd.campaign._exposures import ExposureChoice
from ainerd.campaign._ledger import Ledger, Notices
from ainerd.campaign._optimizer import Travel, optimizer_of
from ainerd.campaign._others import Partners
from ainerd.campaign._proposals import Proposals
from ainerd.campaign._queue import UNTAKEN
from ainerd.campaign._reference import SteeringReference
from ainerd.campaign._sentences import sentences
from ainerd.config import Steering
from ainerd.results import AgentNode, ResultStore, commands, digest
from ainerd.steering import DoseBook, SampleMap
from ainerd.technique import Outcome, Technique
from ainerd.words import utc_now

logger = logging.getLogger(__name__)
ANSWER_S = 60.0  # until a session answers a result of another session
MAX_CONSECUTIVE_FAILURES = 5  # a plan stops after this many exposures in a row without a result


class Campaign:
    """Updates the explorer, the regimes and the suggestions of one agent with its results in Tiled.

    The campaign is a bluesky-adaptive `Optimizer` with all optional protocols. It answers each result that is in
    Tiled, so that runs taken by hand count as well. Its answers, commands and writes are jobs of its own thread, for
    which the analysis does not wait.

    Parameters
    ----------
    technique : Technique
        If it has an optimizer, the campaign uses it instead of an `Explorer`.
    store : ResultStore
        Store of the agent.
    steering : Steering
    submit : callable
        Adds a job that writes to those of the campaign; with ``first=True`` it comes before other writes.
    unit : str
        Unit of the actuators.
    principal : str or None
        The agent's account on a server with accounts. It is written with suggestions.
    travel : (TravelTime, float), optional
        Travel time and length of an exposure, which the `Explorer` weighs.
    book : DoseBook, optional
        Doses so far. With it each suggestion gets frame time, number of frames and transmission.
    announce : callable, optional
        Called with the name of an event ("claim", "alarm" or "failure"), a sentence, and the outcome that it follows.

    Attributes
    ----------
    explorer : Explorer or OtherOptimizer
    atlas : Atlas
    claims : Claims
    reference : SteeringReference
    proposals : Proposals
    decisions : Decisions
    ledger : Ledger
    notices : Notices
    results : set of str
        Keys of the complete results that are known.
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
        announce: Callable[[str, str, Outcome], None] = lambda event, text, outcome: None,
    ) -> None:
        names = tuple(steering.bounds)
        self._remembered = partial(remembered, store, names, readings, None if book is None else technique.pace)
        remembered_ = self._remembered()
        known = [outcome for outcome in remembered_ if not outcome.awaits_regime]
        self._unanswered = [outcome for outcome in remembered_ if outcome.awaits_regime]  # by an earlier session
        self._unlabelled: dict[str, dict[str, Any]] = {}  # labels that are not in Tiled yet, by key of the result
        self._size, self._submit, self._steering = technique.embedding_size, submit, steering
        self._announce = announce
        self._weighs_travel = travel is not None or any(knob.costs for knob in steering.knobs.values())
        self._configured = {name: list(limits) for name, limits in steering.bounds.items()}
        self._store, self._store_name = store, str(store.agent)
        self._changes = self._written = 0  # numbers of the newest change, and of the newest in Tiled
        self.ledger = Ledger(store, names, unit, principal)
        self.atlas = Atlas(technique, store, names, known)
        self.claims = Claims(technique)
        self.notices = Notices(self.ledger, self._later, self.atlas.structure)
        self.explorer = optimizer_of(technique, steering, self.atlas.label, unit, travel)
        self.exposures: ExposureChoice | None = None
        if book is not None:
            assert steering.beam_size is not None  # checked by the settings
            window, smallest = self.explorer.window, steering.smallest_feature
            self.exposures = ExposureChoice(book.options, window, smallest, steering.beam_size, book)
        self.proposals = Proposals(
            explorer=self.explorer,
            exposures=self.exposures,
            steering=steering,
            ledger=self.ledger,
            atlas=self.atlas,
            partners=Partners(store, names, steering.partners),
            later=self._later,
            learn_others=self._learn_from_others,
            save=self.checkpoint,
        )
        self._lock = self.proposals.lock
        self.reference = SteeringReference(self.claims, self.explorer)
        self.decisions = Decisions(
            proposals=self.proposals,
            atlas=self.atlas,
            reference=self.reference,
            ledger=self.ledger,
            later=self._later,
            save=self.checkpoint,
            steer=self._steer_by,
            ceiling=steering.bounds,
            review=steering.review,
            settings=_digest_of(technique.name, unit, steering),
            has_accounts=principal is not None,
            sealed=self._sealed,
        )
        self._seen: set[str] = set()  # keys of all results that are known
        self.results: set[str] = set()
        self._failures = 0  # exposures in a row without a result
        self._learn(known)
        self._found_before, self._began = known, utc_now()
        self._read_checkpoint = AgentNode(store.container, str(store.agent)).checkpoint
        self._is_overwritten, self._problem = False, ""
        self._restore(self._read_checkpoint())
        self.reference.judge_all()

    def close_open(self) -> None:
        """Answer the results that an earlier session left, close its suggestions, and log its last result."""
        unanswered, self._unanswered = self._unanswered, []
        for outcome in unanswered:
            self.answer(outcome)
        known, self._found_before = [*self._found_before, *unanswered], []
        before, shared_s = self._began, self._steering.shared_s
        if shared_s:
            before = (datetime.now(UTC) - timedelta(seconds=shared_s)).isoformat()
        self.ledger.close_open(known, self.proposals.others.own, before, is_shared=shared_s > 0)

    # results

    def answer(self, outcome: Outcome) -> Outcome:
        """Answer a result that is in Tiled, and return it with its regime and own p-value.

        The regime is written to the result, and the campaign learns the result, writes the status of its suggestion,
        and prepares the next suggestion. A recalled result (the run came again, or another process was faster) is
        learned once, and not logged unless it has no regime yet.
        """
        if outcome.is_recalled and outcome.key in self.results:
            return outcome
        is_usable, is_new = outcome.status != "failed", not outcome.is_recalled or bool(outcome.awaits_regime)
        if outcome.embedding is not None and is_new:
            outcome = self._labelled(outcome)
        with self._lock:
            if is_usable and not is_new:
                self.atlas.learn(outcome)
            self._failures = 0 if is_usable else self._failures + 1
            self._learn([outcome])
            if outcome.exposure_s and self._weighs_travel:
                self.explorer.exposure_s = outcome.exposure_s
            self.proposals.remove(outcome.trial_id)
            # before its status is written: a plan in another process then takes no suggestion older than this result
            self.proposals.renew()
            self.proposals.queue.version += 1
        if outcome.trial_id != outcome.key:
            elsewhere = self._elsewhere(outcome)
            status, why = "measured" if is_usable and elsewhere is None else "failed", outcome.reason or elsewhere
            self._later(self.ledger.status, outcome.trial_id, status, why, outcome.raw_uid)
            if is_usable and elsewhere is not None:
                self._later(self.ledger.note, elsewhere, raw_uid=outcome.raw_uid, result=outcome.key)
        if is_new:
            told_apart = outcome.key not in self.atlas.not_told_apart
            finding = self.ledger.finding(outcome, told_apart=told_apart)
            had_alarm = bool(self.claims.alarm)
            lines = self.claims.update(self.atlas.exposures(), self.atlas.structure.components)
            # a claim is in the log before a checkpoint can know it
            note = self.ledger.note if lines else partial(self._later, self.ledger.note)
            if not (outcome.is_recalled and self.ledger.is_logged(outcome.key)):
                note(finding, raw_uid=outcome.raw_uid, result=outcome.key)
            for line in lines:  # other sessions find it as well
                once = uuid.uuid5(uuid.NAMESPACE_OID, line).hex if self._steering.shared_s else None
                note(line, once=once, raw_uid=outcome.raw_uid, result=outcome.key)
                is_alarm = line == lines[-1] and bool(self.claims.alarm) != had_alarm
                self._announce("alarm" if is_alarm else "claim", line, outcome)
            if self._failures > 1:
                why = f": {outcome.reason}" if outcome.reason else ""
                self._announce("failure", f"the last {self._failures} exposures gave no result{why}", outcome)
            if lines:
                self.checkpoint()
            with self._lock:
                self._steer_by()
            before = self.atlas.regime_before(outcome, self.explorer.window, self._steering.beam_size)
            self.notices.post(outcome, before, *self.should_stop(), self.atlas.structure)
        self.proposals.follow()
        return outcome

    def write_labels(self) -> None:
        """Write the labels of results that are not in Tiled yet, if Tiled answers."""
        if not self._unlabelled or (self._store.seems_away and not self._store.answers()):
            return
        try:
            version = self.atlas.keep(self._lock)
            for key, label in list(self._unlabelled.items()):
                try:
                    self._store.label(key, regime=self.atlas.regime_of(key), atlas_version=version, **label)
                except KeyError:  # somebody has removed the result
                    logger.debug("result %s is gone", key)
                except httpx.HTTPStatusError as error:
                    if error.response.is_server_error:
                        raise
                    logger.warning("the regime of result %s is refused: %s", key, error)
                del self._unlabelled[key]
        except httpx.HTTPError as error:
            logger.debug("labels are not written: %s", error)

    def begun(self, trial_id: str) -> None:
        """Prepare the suggestion that follows the run of a suggestion, which begins now, so that people can decide.

        An optimizer that cannot take a suggestion back is asked only after a result.
        """
        if trial_id in self.proposals.given and self.explorer.takes_back:
            self.proposals.follow()

    # people

    def apply(self, command: commands.Command) -> Answer:
        """Execute a command, see `Decisions.apply`."""
        return self.decisions.apply(command)

    def recall(self) -> None:
        """Read the commands that another session of this agent has applied, before taking over one of its commands."""
        state = self._read_checkpoint()
        with self._lock, suppress(*INVALID):
            self.decisions.recall(state)

    def position(self, values: Sequence[float] | Mapping[str, float]) -> dict[str, float]:
        """Return a position by actuator; raise ValueError unless each actuator has a number within its bounds."""
        if not isinstance(values, Mapping):
            names = self.explorer.names
            if len(values) != len(names):
                raise ValueError(f"a position has {len(names)} numbers ({', '.join(names)}), got {len(values)}")
            values = dict(zip(names, values, strict=True))
        return commands.check_position(values, self.explorer.bounds)

    def sentences(self) -> list[str]:
        """Return sentences about the regimes: gaps, paths and breaks."""
        return sentences(self.atlas.structure)

    def map(self) -> SampleMap | None:
        """Return the belief over position; None for an optimizer of the technique."""
        with self._lock:
            return self.explorer.map()

    # the optimizer that bluesky-adaptive knows

    def peek(self) -> dict[str, Any]:
        """Return the next suggestion, without taking it."""
        return self.proposals.peek()

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Hand out the next positions, to be measured now. The ready suggestion comes first.

        In review this is the one that a person took; without one, ValueError is raised.
        """
        with self._lock:
            if self._steering.review:
                self.peek()  # raises ValueError if no position is left
                if self.proposals.taken is None or (num_points or 1) > 1:
                    raise ValueError(f"{UNTAKEN}: this campaign is in review")
            return self.proposals.hand_out(num_points or 1)

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
                added = dict(suggestion)
                if suggestion.get(ID_KEY) not in self.proposals.given:
                    (added,) = self.explorer.register_suggestions([suggestion])
                    if self.exposures is not None:
                        added = self.exposures.completed({**suggestion, **added})
                    self.proposals.give(added, "person")
                registered.append(added)
        return registered

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Record exposures that could not be taken."""
        with self._lock:
            self.explorer.register_failures(suggestions)
            for suggestion in suggestions:
                self.proposals.unfinished(str(suggestion[ID_KEY]))
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
        self._changes += 1
        self._later(self.save, self._changes, first=first)

    def save(self, change: int) -> None:
        """Write the state of this moment, unless the change with this number is in Tiled already."""
        if change <= self._written:
            return
        try:
            self._merge()
        except httpx.HTTPError as error:  # the next look writes it
            logger.warning("the checkpoint of %s is not written yet: %s", self._store_name, error)
            return
        with self._lock:
            newest = self._changes
            state = {
                "configured": self._configured,
                "bounds": {name: list(limits) for name, limits in self.explorer.bounds.items()},
                "excluded": [{name: [*limits] for name, limits in box.items()} for box in self.explorer.excluded],
                "claims": self.claims.state(),
                **self.decisions.state(),
            }
        self.ledger.checkpoint(state)
        if self.ledger.is_saved:
            self._written = newest

    def look(self) -> bool:
        """Adopt what other sessions of this agent have decided, such as a hold; return whether something has changed.

        If another session has written its checkpoint over a decision of this one, the checkpoint is written again.
        """
        changed = self._merge()
        if self._is_overwritten:
            self.checkpoint()
        return changed

    # inside

    def _labelled(self, outcome: Outcome) -> Outcome:
        """Return a result with its regime and own p-value, which are written to Tiled now or, if it is away, later."""
        with self._lock:
            p, compared = self.atlas.own_p(outcome)
            self.atlas.add(outcome)
        self._unlabelled[outcome.key] = {"own_p": p, "own_regimes": compared}
        self.write_labels()
        if outcome.key in self._unlabelled:
            logger.warning("the regime of result %s is not written yet: Tiled does not take it", outcome.key)
        return replace(outcome, regime=self.atlas.regime_of(outcome.key), own_p=p, awaits_regime="")

    def _elsewhere(self, outcome: Outcome) -> str | None:
        """Return where a suggestion was measured in place of its position, in words; None if it was measured there.

        The motors may differ from it by half of `Steering.smallest_feature`, by default a tenth of the window. The
        result counts where they stood.
        """
        given, window = self.proposals.given.get(outcome.trial_id), self.explorer.window
        if given is None or not set(window.names) <= set(outcome.positions):
            return None
        off = window.position(np.array([outcome.positions[name] - given[name] for name in window.names]))
        if np.linalg.norm(off[~window.is_apart]) <= (self._steering.smallest_feature or window.width / 10) / 2:
            return None
        there, here = (self.ledger.position_text(position) for position in (given, outcome.positions))
        return f"the motors stood at {here} when {there} was to be measured: do they move?"

    def _merge(self) -> bool:
        state = self._read_checkpoint()
        try:
            backing = self.decisions.backing(state)
            with self._lock:
                theirs, ours = shared_of(state)[0], self.decisions.lasting
                self._is_overwritten = bool(state) and any(theirs.get(slot, 0.0) < t for slot, t in ours.items())
                return self.decisions.merge(state, backing)
        except INVALID as error:  # it is written over
            self._is_overwritten = True
            if self._problem != (problem := f"{type(error).__name__}: {error}"):
                self._problem = problem
                logger.warning("the checkpoint of %s is invalid and left out, %s", self._store_name, problem)
            return False

    def _sealed(self, id: str) -> commands.Command | None:
        """Return the command with this id, if a server with accounts vouches for it."""
        try:
            sealed = AgentNode(self._store.container, self._store_name).vouched(id, {})
            return commands.parse_command({**sealed, "id": id})
        except (httpx.HTTPError, ValueError):  # Tiled is away, or there is no such command
            return None

    def _learn_from_others(self) -> list[Mapping[str, float]]:
        """Learn the results of other sessions that are new in Tiled, and return their positions.

        A result without a regime is left to its own session, and answered here if that does not happen in `ANSWER_S`.
        """
        try:
            new = [] if self.ledger.seems_away else self._remembered(but=self._seen)
        except httpx.HTTPError as error:
            logger.debug("results of other sessions are not read: %s", error)
            return []
        with self._lock:
            new = [outcome for outcome in new if outcome.key not in self._seen]
            for outcome in new:
                if outcome.awaits_regime and age_s(outcome.awaits_regime) > ANSWER_S:
                    self._later(self.answer, outcome)
            new = [outcome for outcome in new if not outcome.awaits_regime]
            for outcome in new:
                if outcome.status != "failed":
                    self.atlas.learn(outcome)
            self._learn(new)
        return [outcome.positions for outcome in new if set(self.explorer.names) <= set(outcome.positions)]

    def _steer_by(self) -> None:
        """Steer by the reference, if it has changed, and log it."""
        if (line := self.reference.change()) is not None:
            self._later(self.ledger.note, line)
            self.proposals.withdraw_own("another reference steers", "superseded")

    def _learn(self, outcomes: Sequence[Outcome]) -> None:
        """Pass results with a known position to the explorer. It has no other source of results."""
        points, names = [], self.explorer.names
        if self.exposures is not None:
            self.exposures.learn(outcomes)
        self._seen |= {outcome.key for outcome in outcomes}
        for outcome in outcomes:
            if outcome.status != "failed":
                self.results.add(outcome.key)
            first = self.proposals.results.setdefault(outcome.trial_id, outcome.key)
            position = {**self.proposals.given.get(outcome.trial_id, {}), **outcome.positions}
            if all(math.isfinite(position.get(name, math.nan)) for name in names):
                z = outcome.embedding
                id = outcome.trial_id if outcome.key == first else outcome.key  # two results are two points
                p, novel = self.reference.verdict(id, outcome)
                point = {
                    **position,
                    ID_KEY: id,
                    "embedding": np.full(self._size, np.nan, np.float32) if z is None else z,
                    "novelty_p": p,
                    "novel": novel,
                    "age_s": outcome.readings.get(self._steering.age),
                }
                points.append(point)
        self.explorer.ingest(points)

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Restore a checkpoint; log what any program with a key may have written there and cannot be used.

        If the bounds in the settings have changed since the checkpoint, they replace the bounds of the checkpoint.
        """
        try:
            self._adopt(state)
        except INVALID as error:
            logger.warning(
                "the rest of the checkpoint of %s is left out, %s: %s", self._store_name, type(error).__name__, error
            )

    def _adopt(self, state: Mapping[str, Any]) -> None:
        if not self.claims.restore(state.get("claims") or {}):
            # an earlier session has announced these claims
            self.claims.update(self.atlas.exposures(), self.atlas.structure.components)
        if not state:
            return
        if state["configured"] == self._configured:
            bounds = {name: (float(low), float(high)) for name, (low, high) in state["bounds"].items()}
            self.explorer.bounds = within(bounds, self.decisions.ceiling)
        for region in state["excluded"]:
            if set(region) <= set(self.explorer.names):  # otherwise it has actuators that are no longer in use
                self.explorer.exclude({name: (low, high) for name, (low, high) in region.items()})
        self.decisions.restore(state)

    def _later(self, write: Callable[..., object], *args: Any, first: bool = False, **kwargs: Any) -> None:
        self._submit(partial(write, *args, **kwargs), first=first)


def _digest_of(technique: str, unit: str, steering: Steering) -> str:
    """Return the digest of the settings that a person relies on when they take a suggestion."""
    return digest({"technique": technique, "unit": unit, "steering": steering.model_dump_json()})
