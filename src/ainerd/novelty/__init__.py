"""Novelty of a run, regimes of many runs, and drift of a session: statistics for any technique.

`NoveltyScorer` is a conformal scorer, `RegimeModel` groups the embeddings of many runs, `DriftMartingale` monitors the
p-values of a session.
"""

from ainerd.novelty._discovery import LOOKS, Discoveries, DriftMartingale, RegimeTest, night, share
from ainerd.novelty._regimes import RegimeModel, find_regimes, grouped, match_labels
from ainerd.novelty._scorer import NoveltyScorer, Verdict

__all__ = [
    "LOOKS", "Discoveries", "DriftMartingale", "NoveltyScorer", "RegimeModel", "RegimeTest", "Verdict", "find_regimes",
    "grouped", "match_labels", "night", "share",
]  # fmt: skip
