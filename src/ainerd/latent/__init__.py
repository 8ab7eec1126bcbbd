"""C2 maps to latent vectors, and a run's latent vectors to one point.

An `Encoder` turns the map of each bin into a latent vector; `run_embedding` makes one point of a run's. What trains
encoders is in `ainerd.latent.training`. `NoveltyScorer` and `RegimeModel` are those of `ainerd.novelty`.
"""

from ainerd.latent._embedding import REGIME_SCATTER, run_embedding
from ainerd.latent._encoder import Encoder
from ainerd.latent._grid import from_unit, to_unit
from ainerd.latent._weights import ModelError
from ainerd.novelty import NoveltyScorer, RegimeModel

__all__ = [
    "REGIME_SCATTER",
    "Encoder",
    "ModelError",
    "NoveltyScorer",
    "RegimeModel",
    "from_unit",
    "run_embedding",
    "to_unit",
]
