"""The verbs of people: each changes the state of a campaign, and returns its answer."""

from functools import singledispatch

from ainerd.decisions import events
from ainerd.decisions._state import UNTAKEN, Answer, Held, limits_text, within
from ainerd.decisions._step import Step
from ainerd.decisions.events import Ready
from ainerd.results import commands
from ainerd.steering import Suggestion

TAKEN_WITHIN_S = 12 * 3600.0  # an older `Take` is refused: the sample may have been changed
FETCHED_WITHIN_S = 60.0  # beyond its `wait_s` an older `Next` is refused
MOST_FETCHED = 20  # positions of scripts that are remembered
NO_REASON = "asked for by a person"
NOT_LEFT = "no position is left"


class NotYet(Exception):
    """Raised if a command must wait; the message gives the reason."""


@singledispatch
def execute(command: commands.Command, asked: events.Asked, step: Step) -> Answer:
    """Execute the command of an event in a step of the fold.

    Raises ValueError if it is refused, and NotYet if it must wait.
    """
    raise TypeError(f"{command!r} is not a command")


def _done(text: str, suggestion: Suggestion | None = None, fetched: Suggestion | None = None) -> Answer:
    return Answer(status="done", text=text, suggestion=suggestion, fetched=fetched)


@execute.register
def _hold(command: commands.Hold, asked: events.Asked, step: Step) -> Answer:
    step.set(held=Held(by=command.by, why=command.why, t=asked.t))
    step.effects.append(events.ShowHold())
    step.log(command, "holds the campaign" + (f": {command.why}" if command.why else ""))
    return _done("the agent takes no new suggestion until somebody releases it")


@execute.register
def _release(command: commands.Release, asked: events.Asked, step: Step) -> Answer:
    step.effects.append(events.ShowHold())
    if step.state.held is not None:
        step.set(held=None)
        step.log(command, "released the campaign")
    return _done("the plans continue")


@execute.register
def _accept(command: commands.Accept, asked: events.Asked, step: Step) -> Answer:
    suggestion = _first(asked, step).suggestion
    step.hand_out(suggestion, command.by)
    step.log(command, "accepted {}", suggestion)
    return _done("the plan has received this position", suggestion)


@execute.register
def _next(command: commands.Next, asked: events.Asked, step: Step) -> Answer:
    """Hand out the next position to a script."""
    state, rules = step.state, step.rules
    last = next(filter(state.is_open, state.fetched[-1:]), None)
    if asked.age_s > command.wait_s + FETCHED_WITHIN_S:
        raise ValueError(f"it was asked for {asked.age_s:.0f} s ago, and the script may be gone: ask again")
    if state.held is not None:
        raise NotYet(f"{state.held.by} holds the campaign")
    if asked.review and state.taken(review=True) is None:
        raise NotYet(UNTAKEN)
    if last is not None and command.wait_s:
        there = rules.text(state.handed_out[last].suggestion.position)
        raise NotYet(f"no result has come from {there}, fetched before")
    suggestion = _first(asked, step).suggestion
    step.hand_out(suggestion, command.by, "taken")
    if last is not None:
        step.effects.append(events.SetStatus(last, "superseded", "another position was fetched", command.by))
    step.set(fetched=(*state.fetched, suggestion.id)[-MOST_FETCHED:])
    step.log(command, "fetched {}", suggestion)
    return _done(suggestion.reason, suggestion, suggestion)


@execute.register
def _take(command: commands.Take, asked: events.Asked, step: Step) -> Answer:
    id, state = command.suggestion, step.state
    if id in state.handed_out or state.was_exposed(id):
        raise ValueError("it was measured already, or is being measured")
    if asked.age_s > TAKEN_WITHIN_S:
        raise ValueError(f"it was taken {asked.age_s / 3600:.0f} h ago, when no agent was there: take or add a new one")
    taken = _seen(command, step)
    if state.get(id) is None:
        if objection := asked.objection or state.objection(taken.position):
            step.effects.append(events.SetStatus(id, "failed", objection))
            raise ValueError(objection)
        step.withdraw(state.own, f"{command.who} took another one", command.by)
    step.put_last(taken, command.created, command.by)
    step.suggest(taken, "accepted", command.by)
    step.log(command, "took {}" + (f": {command.why}" if command.why else ""), taken)
    return _done(_place(id, asked.review, step), taken)


@execute.register
def _reject(command: commands.Reject, asked: events.Asked, step: Step) -> Answer:
    id, state = command.suggestion, step.state
    if id in state.measured:
        raise ValueError("it was measured already")
    rejected = _seen(command, step)
    step.remove(id)
    if state.get(id) is None:  # another suggestion has replaced it, maybe at the same place
        step.withdraw(state.own, "another suggestion was rejected", command.by)
    why = command.why or NO_REASON
    step.fail(id, command.position, "rejected", why, command.by)
    step.log(command, f"rejected {{}}: {why}", rejected)
    return _done("the agent measures neither this position nor one close to it")


@execute.register
def _take_back(command: commands.TakeBack, asked: events.Asked, step: Step) -> Answer:
    """Withdraw a point of a person; its position may be suggested again."""
    waiting = step.state.get(command.suggestion)
    if waiting is None or not waiting.created:
        raise ValueError("it does not wait any more: it is being measured, or it was withdrawn")
    step.remove(waiting.id)
    why = command.why or f"{command.who} took it back"
    step.effects.append(events.SetStatus(waiting.id, "withdrawn", why, command.by))
    step.log(command, "took {} back", waiting.suggestion)
    return _done("the agent chooses again")


@execute.register
def _add(command: commands.Add, asked: events.Asked, step: Step) -> Answer:
    if step.state.was_exposed(command.id):  # by a session that was killed before it could answer
        raise ValueError("it was measured already")
    if asked.objection or asked.suggestion is None:
        raise ValueError(asked.objection or NOT_LEFT)
    if objection := step.state.objection(asked.suggestion.position):
        raise ValueError(objection)
    step.put_last(asked.suggestion, command.created)
    step.suggest(asked.suggestion, by=command.by)
    step.log(command, f"wants {{}} next: {command.why or NO_REASON}", asked.suggestion)
    return _done(_place(command.id, asked.review, step), asked.suggestion)


@execute.register
def _exclude(command: commands.Exclude, asked: events.Asked, step: Step) -> Answer:
    window = step.state.window
    step.change_window(window.bounds, [*window.excluded, command.region], "a region was excluded")
    step.log(command, f"excluded {limits_text(command.region)}: {command.why or NO_REASON}")
    return _done("the agent suggests no position in this region")


@execute.register
def _name(command: commands.Name, asked: events.Asked, step: Step) -> Answer:
    if objection := asked.objection:
        raise ValueError(objection)
    regime, names = f"regime {command.regime}", {**step.state.names, command.regime: command.name}
    step.set(names={number: name for number, name in names.items() if name})
    step.log(command, f"calls {regime} {command.name!r}" if command.name else f"took the name of {regime} away")
    return _done("the regime has this name now")


@execute.register
def _set_bounds(command: commands.SetBounds, asked: events.Asked, step: Step) -> Answer:
    bounds = within(command.bounds, step.state.configured)
    step.change_window(bounds, step.state.window.excluded, "the bounds were changed")
    text = f"bounds are now {limits_text(step.state.window.bounds)}"
    step.line(command, text)
    return _done(text)


@execute.register
def _set_excluded(command: commands.SetExcluded, asked: events.Asked, step: Step) -> Answer:
    step.change_window(step.state.window.bounds, command.regions, "the excluded regions were changed")
    text = f"excluded are now {'; '.join(map(limits_text, command.regions)) or 'no regions'}"
    step.line(command, text)
    return _done(text)


def _first(asked: events.Asked, step: Step) -> Ready:
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
        reason = command.reason or NO_REASON
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
