"""The fold of a campaign: the state after a change, and the effects of the change.

It reads no clock and no Tiled, and draws no random numbers: the same changes give the same state.
"""

from collections.abc import Mapping

from ainerd.decisions import changes
from ainerd.decisions._state import Answer, Rules, State
from ainerd.decisions._step import Step
from ainerd.decisions._verbs import NotYet, execute
from ainerd.decisions.changes import Ready, parse_change
from ainerd.results import commands

MOST_ANSWERS = 1000  # commands whose answers are kept; more than can wait
GONE = "its session had ended"


def reduce(state: State, change: changes.Change, rules: Rules) -> tuple[State, tuple[changes.Effect, ...]]:
    """Return the state after a change, and the effects that the session writes.

    A command that comes twice changes nothing the second time.
    """
    step = Step(state, change, rules)
    match change:
        case changes.Asked(command=command):
            _ask(step, change, command)
        case changes.Began():
            _begin(step, change)
        case changes.Proposed():
            _propose(step, change)
        case changes.HandedOut(suggestion=suggestion, by=by):
            step.hand_out(suggestion, by)
        case changes.Unfinished(positions=positions):
            for id, position in positions.items():
                step.fail(id, position, "failed", "the exposure was not finished")
        case changes.Withdrawn(why=why, status=status, all=everything):
            for each in state.waiting if everything else filter(None, [state.own]):
                step.withdraw(each, why, status=status)
        case changes.Measured():
            _measure(step, change)
        case changes.Claimed():
            step.set(claims=change.claims)
            for i, text in enumerate(change.lines):
                key = f"{int(change.t * 1e9) + i:020d}-{change.id[:8]}"
                step.effects.append(changes.Line(text, key, ids=change.ids))
    return step.state, tuple(step.effects)


def fold(record: Mapping[str, object], state: State, rules: Rules) -> tuple[State, int, list[changes.Effect]]:
    """Fold the record of a change, after the results that its session had learned.

    Returns the state, the number of the newest change whose effects were written, and the effects. Any program may have
    written the record: it raises various errors.
    """
    change, effects = parse_change(record), list[changes.Effect]()
    for each in (*change.learned, change):
        state, following = reduce(state, each, rules)
        effects += following
    return state, change.written, effects


def _begin(step: Step, began: changes.Began) -> None:
    """Keep the bounds if the settings have the same as before, and close what the session before left open.

    Points of people wait on. A script may be measuring a position that it fetched. Any other position that was handed
    out counts as failed, because it may have been exposed.
    """
    state, configured = step.state, began.configured
    bounds = state.window.bounds if state.configured == configured else configured
    step.set(configured=configured, window=state.window.changed(bounds, state.window.excluded), exposed=began.exposed)
    for each in state.waiting:
        if each.id in began.exposed:
            step.remove(each.id)
            step.fail(each.id, each.suggestion.position, "failed", f"{GONE}: a run names it, which has no result")
            continue
        if not each.created or step.state.objection(each.suggestion.position):
            step.withdraw(each, GONE)
    for id, each in state.handed_out.items():
        if state.is_open(id) and id not in state.fetched:
            step.fail(id, each.suggestion.position, "failed", f"{GONE}: not measured")


def _propose(step: Step, proposed: changes.Proposed) -> None:
    """Let a suggestion wait, unless one waits already, or it may not be measured."""
    suggestion, id = proposed.suggestion, proposed.suggestion.id
    if proposed.why:
        step.withdraw(step.state.own, proposed.why, status="superseded")
    is_given = id in step.state.measured or id in step.state.handed_out
    if step.state.own is None and not is_given and not step.state.objection(suggestion.position):
        step.put(Ready(suggestion=suggestion))
        step.suggest(suggestion)


def _measure(step: Step, result: changes.Measured) -> None:
    step.remove(result.suggestion)
    step.set(measured={result.suggestion: result.key, **step.state.measured})
    status = "failed" if result.failed else "measured"
    step.effects.append(changes.SetStatus(result.suggestion, status, result.why, raw_uid=result.raw_uid))


def _ask(step: Step, asked: changes.Asked, command: commands.Command) -> None:
    """Execute a command. A second one with the same id changes nothing, and its answer stays."""
    if step.state.answer(command.id) is not None:
        return
    try:
        answer = execute(command, asked, step)
    except NotYet as reason:
        waits = isinstance(command, commands.Next) and asked.age_s < command.wait_s
        answer = Answer(status="waits" if waits else "refused", text=str(reason))
    except ValueError as error:
        answer = Answer(status="refused", text=str(error)[:300])
    answers = {**step.state.answers, command.id: answer.model_copy(update={"do": command.do})}
    step.set(answers=dict([*answers.items()][-MOST_ANSWERS:]))
    if asked.container and answer.status != "waits":  # otherwise it is executed again
        first = answer.fetched
        fetched = {"suggestion": first.id, "position": first.position, "reason": first.reason} if first else None
        reply = changes.Reply(asked.container, command.id, answer.status, answer.text, fetched)
        step.effects.append(reply)
