"""The verbs of people: each changes the state of a campaign, and returns its answer."""

from functools import singledispatch

from ainerd.decisions import changes
from ainerd.decisions._state import UNTAKEN, Answer, Held, limits_text, within
from ainerd.decisions._step import Step
from ainerd.decisions.changes import Ready
from ainerd.results import commands
from ainerd.steering import Suggestion
from ainerd.words import sender

TAKEN_WITHIN_S = 12 * 3600.0  # an older `Take` is refused: the sample may have been changed
FETCHED_WITHIN_S = 60.0  # beyond its `wait_s` an older `Next` is refused
MOST_FETCHED = 20  # positions of scripts that are remembered
NOT_LEFT = "no position is left"


class NotYet(Exception):
    """Raised if a command must wait; the message gives the reason."""


@singledispatch
def execute(command: commands.Command, asked: changes.Asked, step: Step) -> Answer:
    """Execute the command of a change in a step of the fold.

    Raises ValueError if it is refused, and NotYet if it must wait.
    """
    raise TypeError(f"{command!r} is not a command")


def _done(text: str, suggestion: Suggestion | None = None, fetched: Suggestion | None = None) -> Answer:
    return Answer(status="done", text=text, suggestion=suggestion, fetched=fetched)


@execute.register
def _hold(command: commands.Hold, asked: changes.Asked, step: Step) -> Answer:
    step.set(held=Held(by=command.by, why=command.why, t=asked.t))
    step.effects.append(changes.ShowHold())
    step.log(command, "holds the campaign" + (f": {command.why}" if command.why else ""))
    return _done("the agent takes no new suggestion until somebody releases it")


@execute.register
def _release(command: commands.Release, asked: changes.Asked, step: Step) -> Answer:
    step.effects.append(changes.ShowHold())
    if step.state.held is not None:
        step.set(held=None)
        step.log(command, "released the campaign")
    return _done("the plans continue")


@execute.register
def _accept(command: commands.Accept, asked: changes.Asked, step: Step) -> Answer:
    suggestion = _first(asked, step).suggestion
    step.hand_out(suggestion, command.by)
    step.log(command, "accepted {}", suggestion)
    return _done("the plan has received this position", suggestion)


@execute.register
def _next(command: commands.Next, asked: changes.Asked, step: Step) -> Answer:
    """Hand out the next position to a script."""
    state, rules = step.state, step.rules
    last = next(filter(state.is_open, state.fetched[-1:]), None)
    if asked.age_s > command.wait_s + FETCHED_WITHIN_S:
        raise ValueError(f"it was asked for {asked.age_s:.0f} s ago, and the script may be gone: ask again")
    if state.held is not None:
        raise NotYet(f"{sender(state.held.by)} holds the campaign")
    if asked.review and state.taken(review=True) is None:
        raise NotYet(UNTAKEN)
    if last is not None and command.wait_s:
        there = rules.text(state.handed_out[last].suggestion.position)
        raise NotYet(f"no result has come from {there}, fetched before")
    suggestion = _first(asked, step).suggestion
    step.hand_out(suggestion, command.by, "taken")
    if last is not None:
        step.effects.append(changes.SetStatus(last, "superseded", "another position was fetched", command.by))
    step.set(fetched=(*state.fetched, suggestion.id)[-MOST_FETCHED:])
    step.log(command, "fetched {}", suggestion)
    return _done(suggestion.reason, suggestion, suggestion)


@execute.register
def _take(command: commands.Take, asked: changes.Asked, step: Step) -> Answer:
    id, state = command.suggestion, step.state
    if id in state.handed_out or state.was_exposed(id):
        raise ValueError("it was measured already, or is being measured")
    if asked.age_s > TAKEN_WITHIN_S:
        raise ValueError(f"it was taken {asked.age_s / 3600:.0f} h ago, when no agent was there: take or add a new one")
    taken = _seen(command, step)
    if state.get(id) is None:
        if objection := asked.objection or state.objection(taken.position):
            step.effects.append(changes.SetStatus(id, "failed", objection))
            raise ValueError(objection)
        step.withdraw(state.own, f"{command.who} took another one", command.by)
    step.put_last(command, taken, command.by)
    step.suggest(taken, "accepted", command.by)
    step.log(command, "took {}" + (f": {command.why}" if command.why else ""), taken)
    return _done(_place(id, asked.review, step), taken)


@execute.register
def _reject(command: commands.Reject, asked: changes.Asked, step: Step) -> Answer:
    id, state = command.suggestion, step.state
    if id in state.measured:
        raise ValueError("it was measured already")
    rejected = _seen(command, step)
    step.remove(id)
    if state.get(id) is None:  # another suggestion has replaced it, maybe at the same place
        step.withdraw(state.own, "another suggestion was rejected", command.by)
    step.fail(id, command.position, "rejected", command.because, command.by)
    step.log(command, f"rejected {{}}: {command.because}", rejected)
    return _done("the agent measures neither this position nor one close to it")


@execute.register
def _take_back(command: commands.TakeBack, asked: changes.Asked, step: Step) -> Answer:
    """Withdraw a point of a person; its position may be suggested again."""
    waiting = step.state.get(command.suggestion)
    if waiting is None or not waiting.created:
        raise ValueError("it does not wait any more: it is being measured, or it was withdrawn")
    step.remove(waiting.id)
    why = command.why or f"{command.who} took it back"
    step.effects.append(changes.SetStatus(waiting.id, "withdrawn", why, command.by))
    step.log(command, "took {} back", waiting.suggestion)
    return _done("the agent chooses again")


@execute.register
def _add(command: commands.Add, asked: changes.Asked, step: Step) -> Answer:
    if step.state.was_exposed(command.id):  # by a session that was killed before it could answer
        raise ValueError("it was measured already")
    if asked.objection or asked.suggestion is None:
        raise ValueError(asked.objection or NOT_LEFT)
    if objection := step.state.objection(asked.suggestion.position):
        raise ValueError(objection)
    step.put_last(command, asked.suggestion)
    step.suggest(asked.suggestion, by=command.by)
    step.log(command, "wants {} next" + (f": {command.why}" if command.why else ""), asked.suggestion)
    return _done(_place(command.id, asked.review, step), asked.suggestion)


@execute.register
def _exclude(command: commands.Exclude, asked: changes.Asked, step: Step) -> Answer:
    window = step.state.window
    step.change_window(window.bounds, [*window.excluded, command.region], "a region was excluded", command.by)
    text = f"excluded {limits_text(command.region)}" + (f": {command.why}" if command.why else "")
    step.decide(command, text, excluded=window.excluded)
    return _done("the agent suggests no position in this region")


@execute.register
def _name(command: commands.Name, asked: changes.Asked, step: Step) -> Answer:
    if objection := asked.objection:
        raise ValueError(objection)
    regime, before = f"regime {command.regime}", step.state.names
    names = {**before, command.regime: command.name}
    step.set(names={number: name for number, name in names.items() if name})
    text = f"calls {regime} {command.name!r}" if command.name else f"took the name of {regime} away"
    step.decide(command, text, names=before)
    return _done("the regime has this name now")


@execute.register
def _leave_out(command: commands.LeaveOut, asked: changes.Asked, step: Step) -> Answer:
    before, key = step.state.left_out, command.result
    if objection := asked.objection or ("it is left out already" if key in before else ""):
        raise ValueError(objection)
    if not command.why:
        raise ValueError("give a reason")
    step.set(left_out={**before, key: f"{command.who}: {command.why}"})
    step.effects.append(changes.Mark(key, step.state.left_out[key]))
    step.decide(
        command,
        f"left out {command.name or f'result {key}'}: {command.why}",
        left_out=before,
    )
    return _done("regimes, references and the map are made without it; agent.undo() takes it back")


@execute.register
def _undo(command: commands.Undo, asked: changes.Asked, step: Step) -> Answer:
    state = step.state
    if not state.decisions:
        raise ValueError("there is no decision to take back")
    *earlier, last = state.decisions
    if command.decision not in ("", last.id):
        raise ValueError(f"the last decision is another one now: {last.text}")
    names = state.names if last.names is None else last.names
    left_out = state.left_out if last.left_out is None else last.left_out
    bounds = state.window.bounds if last.bounds is None else within(last.bounds, state.configured)
    step.set(names=names, left_out=left_out, decisions=tuple(earlier))
    changed = {*state.left_out} ^ {*left_out}
    step.effects += [changes.Mark(key, left_out.get(key)) for key in sorted(changed)]
    if last.bounds is not None or last.excluded is not None:
        excluded = state.window.excluded if last.excluded is None else last.excluded
        step.change_window(bounds, excluded, "a decision was taken back", command.by)
    step.log(command, f"took back: {last.text}")
    return _done(f"taken back: {last.text}")


@execute.register
def _set_bounds(command: commands.SetBounds, asked: changes.Asked, step: Step) -> Answer:
    before = step.state.window
    step.change_window(
        within(command.bounds, step.state.configured), before.excluded, "the bounds were changed", command.by
    )
    step.decide(command, text := f"set the bounds to {limits_text(step.state.window.bounds)}", bounds=before.bounds)
    return _done(f"{command.who} {text}")


@execute.register
def _set_excluded(command: commands.SetExcluded, asked: changes.Asked, step: Step) -> Answer:
    before, regions = step.state.window, "; ".join(map(limits_text, command.regions))
    step.change_window(before.bounds, command.regions, "the excluded regions were changed", command.by)
    text = f"excluded {regions}, and nothing else" if regions else "allowed all regions"
    step.decide(command, text, excluded=before.excluded)
    return _done(f"{command.who} {text}")


def _first(asked: changes.Asked, step: Step) -> Ready:
    """Return the suggestion that is measured next; ValueError if none waits."""
    first = step.state.next(review=asked.review)
    if asked.objection or first is None:
        raise ValueError(asked.objection or NOT_LEFT)
    return first


def _seen(command: commands.Take | commands.Reject, step: Step) -> Suggestion:
    """Return the suggestion of a verdict.

    Raises ValueError if it is at another position than the one that the sender saw.
    """
    rules, position = step.rules, step.rules.position(command.position)
    if (waiting := step.state.get(command.suggestion)) is None:
        reason = command.reason or command.because
        return Suggestion(id=command.suggestion, position=position, reason=reason, terms=command.terms)
    if (now := waiting.suggestion.position) != position:
        raise ValueError(
            f"the suggestion differs from the one that was seen, it is now at {rules.text(now)}: "
            "look again, and decide on that"
        )
    return waiting.suggestion


def _place(id: str, review: bool, step: Step) -> str:
    """Return when a point is measured, in words."""
    waiting = [each for each in step.state.waiting if not review or each.taken_by is not None or each.id == id]
    before = next(i for i, each in enumerate(waiting) if each.id == id)
    when = "it is measured next" if not before else f"it is number {before + 1} in the queue"
    return f"{when}, once a person takes it" if review and waiting[before].taken_by is None else when
