"""The decisions of a campaign as numbered events, and the state after them: a pure fold, without Tiled or threads."""

from ainerd.decisions import events
from ainerd.decisions._fold import moments, reduce
from ainerd.decisions._state import UNTAKEN, Answer, Rules, State, terms_of
from ainerd.decisions._verbs import NO_REASON, is_position

__all__ = [
    "NO_REASON", "UNTAKEN", "Answer", "Rules", "State", "events",
    "is_position", "moments", "reduce", "terms_of",
]  # fmt: skip
