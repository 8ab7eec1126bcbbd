"""Novelty of a run, regimes of many runs, and which of them are new: statistics for any technique.

`NoveltyScorer` is a conformal scorer, `RegimeModel` groups the embeddings of many runs, `RegimeTest` judges regimes.
"""

from ainerd.novelty._discovery import LOOKS, Discoveries, RegimeTest, night, share
from ainerd.novelty._regimes import RegimeModel, find_regimes, grouped, match_labels
from ainerd.novelty._scorer import NoveltyScorer, Verdict

__all__ = [
    "LOOKS", "Discoveries", "NoveltyScorer", "RegimeModel", "RegimeTest", "Verdict", "find_regimes",
    "grouped", "match_labels", "night", "share",
]  # fmt: skip
