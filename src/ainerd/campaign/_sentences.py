"""Sentences about a result, and about regimes without a gap between them."""

from collections.abc import Iterator, Mapping

import numpy as np

from ainerd.decisions import Rules
from ainerd.novelty import Components
from ainerd.results import Result
from ainerd.steering import Suggestion
from ainerd.words import named_place, place, regime_names, run_text

Names = Mapping[int, str]  # of regimes, from people


def position_text(position: Mapping[str, float], rules: Rules, *, of_file: bool = False) -> str:
    """Return a position in words, which a plan recorded, or the result file of a pipeline contains."""
    known = {name: position[name] for name in rules.names if name in position}
    units = rules.window.units
    if len(known) == len(rules.names):
        return place(known, units)
    missing = " and ".join(name for name in rules.names if name not in known)
    them = "them" if len(known) + 1 < len(rules.names) else "it"
    remedy = f"name {them} in [acquisition.readings]" if of_file else f"add {them} to the detectors of the plan"
    return f"{named_place(known, units) or 'an unknown position'} ({missing} not recorded: {remedy})"


def finding(outcome: Result, rules: Rules, names: Names, *, differs_from_known: bool = True) -> str:
    """Return a result in words; `names` are those of regimes.

    `differs_from_known` is whether the embedding of a novel result differs from those of known regimes.
    """
    of_file = outcome.scan_id is None and bool(outcome.file)
    name = "" if outcome.scan_id is None and not of_file else f"{run_text(outcome.names)} "
    where = f"{name}at {position_text(outcome.positions, rules, of_file=of_file)}"
    remark = "" if differs_from_known else ", but close to the others of its regime"
    return f"{where}: {outcome.verdict(names, remark)}"


def elsewhere(outcome: Result, asked: Suggestion, rules: Rules, smallest: float | None) -> str | None:
    """Return where a suggestion was measured in place of its position, in words; None if it was measured there.

    The motors may differ from it by half the radius of the smallest region, or by a twentieth of the window without
    one. The result counts where the motors stood.
    """
    window, there = rules.window, outcome.positions
    if not set(window.names) <= set(there):
        return None
    off = window.position(np.array([there[name] - asked.position[name] for name in window.names]))
    if np.linalg.norm(off[~window.is_apart]) <= (smallest or window.width / 10) / 2:
        return None
    stood, suggested = rules.text(there), rules.text(asked.position)
    return f"the motors stood at {stood} when {suggested} was to be measured: do they move?"


def changed_reference(own_level: float | None) -> str:
    """Return the line about the exposures with which p compares from now on."""
    kinds, session = "simulated exposures", "earlier exposures of this session"
    if own_level is None:
        return f"from now on p compares an exposure with {kinds}, because this sample is not called new any more"
    return f"from now on p compares an exposure with {session}, because this sample is new"


def sentences(components: Components, names: Names) -> list[str]:
    """Return a sentence for each component of several regimes."""
    return [_broad(group, names) for group in components.groups if len(group) > 1]


def changes_of_regimes(before: Components, now: Components, names: Names) -> Iterator[str]:
    """Yield a sentence for each component that has a gap now, and for each new component of several regimes."""
    regimes = {regime for group in now.groups for regime in group}
    for group in before.groups:
        left = sorted(regimes & set(group))
        if len({now.of(regime) for regime in left}) > 1:
            yield f"{regime_names(left, names)} now have a gap between them: they are not one kind any more"
    yield from (_broad(group, names) for group in now.groups if len(group) > 1 and group not in before.groups)


def _broad(group: tuple[int, ...], names: Names) -> str:
    return f"{regime_names(group, names)} have no gap between them: they are one broad kind"
