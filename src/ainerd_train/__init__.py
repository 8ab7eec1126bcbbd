"""Training of the shipped encoders and nights on simulated exposures. Nothing here runs during an experiment.

Names are imported on first use: the linear encoder needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd_train._nights import Views, scorer_of, views
    from ainerd_train._ours import train_ours
    from ainerd_train._pca import PcaFit, train_pca
    from ainerd_train._run import train_run
    from ainerd_train._simulated import variant

__all__ = ["PcaFit", "Views", "scorer_of", "train_ours", "train_pca", "train_run", "variant", "views"]

_MODULES = {
    "PcaFit": "_pca", "Views": "_nights", "scorer_of": "_nights", "train_ours": "_ours", "train_pca": "_pca",
    "train_run": "_run", "variant": "_simulated", "views": "_nights",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
