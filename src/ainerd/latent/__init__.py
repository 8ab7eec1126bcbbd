"""C2 maps to latent vectors, regimes and a calibrated novelty claim.

An `Encoder` turns the map of each azimuthal bin into a latent vector; `run_embedding` makes one point of a
run's; `RegimeModel` groups runs; `NoveltyScorer`, fitted to the `Bank` noised to a run's statistics, says how
likely it is that the run is of a known kind. `DriftMartingale` says when the bank no longer describes what comes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ainerd.latent._bank import Bank
from ainerd.latent._bank_file import write_bank
from ainerd.latent._calibrate import FEWEST_OF_A_KIND, measured_exposure, simulated_exposures
from ainerd.latent._calibrated import calibrated
from ainerd.latent._drift import DriftMartingale, session_ranks
from ainerd.latent._embedding import REGIME_SCATTER, run_embedding
from ainerd.latent._encoder import Encoder
from ainerd.latent._grid import from_unit, to_unit
from ainerd.latent._novelty import NoveltyScorer, Verdict
from ainerd.latent._regimes import RegimeModel, match_labels
from ainerd.latent._run_features import run_features
from ainerd.latent._train import train_pca
from ainerd.latent._weights import ModelError

if TYPE_CHECKING:
    from ainerd.latent._paper import train_paper
    from ainerd.latent._recipe import train_ours
    from ainerd.latent._tune import tune_ours

__all__ = [
    "FEWEST_OF_A_KIND",
    "REGIME_SCATTER",
    "Bank",
    "DriftMartingale",
    "Encoder",
    "ModelError",
    "NoveltyScorer",
    "RegimeModel",
    "Verdict",
    "calibrated",
    "from_unit",
    "match_labels",
    "measured_exposure",
    "run_embedding",
    "run_features",
    "session_ranks",
    "simulated_exposures",
    "to_unit",
    "train_ours",
    "train_paper",
    "train_pca",
    "tune_ours",
    "write_bank",
]

_OF_TORCH = {"train_ours": "_recipe", "train_paper": "_paper", "tune_ours": "_tune"}


def __getattr__(name: str) -> Any:
    """Import what trains networks when it is asked for: nothing else here needs torch."""
    if name in _OF_TORCH:
        return getattr(import_module(f"ainerd.latent.{_OF_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
