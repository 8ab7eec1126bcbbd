"""The decisions of a campaign as numbered changes, and the state after them: a pure fold, without Tiled or threads."""

from ainerd.decisions import changes
from ainerd.decisions._fold import fold, reduce
from ainerd.decisions._state import UNTAKEN, Answer, Held, Rules, State, is_position

__all__ = [
    "UNTAKEN", "Answer", "Held", "Rules", "State", "changes", "fold",
    "is_position", "reduce",
]  # fmt: skip
