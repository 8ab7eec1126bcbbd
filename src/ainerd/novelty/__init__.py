"""Novelty of a run, regimes of many runs, and which of them are new: statistics for any technique.

`NoveltyScorer` is a conformal scorer, `find_regimes` groups the embeddings of many runs, `RegimeTest` judges regimes.
"""

from ainerd.novelty._discovery import LOOKS, OF_SAMPLE, Discoveries, RegimeTest, night, share
from ainerd.novelty._gaps import Border, Components, components, gap, threshold
from ainerd.novelty._own import LEVEL, MOST, null_distances, own_p
from ainerd.novelty._regimes import find_regimes, grouped, match_labels
from ainerd.novelty._scorer import NoveltyScorer, Verdict

__all__ = [
    "LEVEL", "LOOKS", "MOST", "OF_SAMPLE", "Border", "Components", "Discoveries", "NoveltyScorer", "RegimeTest",
    "Verdict", "components", "find_regimes", "gap", "grouped", "match_labels", "night", "null_distances", "own_p",
    "share", "threshold",
]  # fmt: skip
