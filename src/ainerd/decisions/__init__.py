"""The decisions of a campaign as numbered events, and the state after them: a pure fold, without Tiled or threads."""

from ainerd.decisions import events
from ainerd.decisions._fold import NO_REASON, is_position, reduce
from ainerd.decisions._moments import moments
from ainerd.decisions._state import UNTAKEN, Answer, Rules, State, terms_of

__all__ = [
    "NO_REASON", "UNTAKEN", "Answer", "Rules", "State", "events",
    "is_position", "moments", "reduce", "terms_of",
]  # fmt: skip
