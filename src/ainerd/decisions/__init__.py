"""The decisions of a campaign as numbered events, and the state after them: a pure fold, without Tiled or threads."""

from ainerd.decisions import events
from ainerd.decisions._fold import NO_REASON, age_s, is_position, reduce
from ainerd.decisions._moments import Moment, moments
from ainerd.decisions._state import UNTAKEN, Answer, Rules, State, limits_text, terms_of

__all__ = [
    "NO_REASON", "UNTAKEN", "Answer", "Moment", "Rules", "State", "age_s", "events",
    "is_position", "limits_text", "moments", "reduce", "terms_of",
]  # fmt: skip
