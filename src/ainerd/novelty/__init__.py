"""Whether a run is of a known kind, which regime it belongs to, and when what is known no longer describes what comes.

Statistics of points and p-values, for any technique: `NoveltyScorer` is a conformal scorer, `RegimeModel` groups the
embeddings of many runs, `DriftMartingale` watches the p-values of a session.
"""

from ainerd.novelty._discovery import LOOKS, Discoveries, RegimeTest, night, share
from ainerd.novelty._drift import DriftMartingale, session_ranks
from ainerd.novelty._grouping import Grouped, grouped
from ainerd.novelty._regimes import RegimeModel, find_regimes, match_labels
from ainerd.novelty._scorer import NoveltyScorer, Verdict

__all__ = [
    "LOOKS",
    "Discoveries",
    "DriftMartingale",
    "Grouped",
    "NoveltyScorer",
    "RegimeModel",
    "RegimeTest",
    "Verdict",
    "find_regimes",
    "grouped",
    "match_labels",
    "night",
    "session_ranks",
    "share",
]
