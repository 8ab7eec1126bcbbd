"""The decisions of a campaign as numbered events, and the state after them: a pure fold, without Tiled or threads."""

from ainerd.decisions import events
from ainerd.decisions._fold import fold, reduce
from ainerd.decisions._state import UNTAKEN, Answer, Held, Rules, State, is_position

__all__ = [
    "UNTAKEN", "Answer", "Held", "Rules", "State", "events", "fold",
    "is_position", "reduce",
]  # fmt: skip
