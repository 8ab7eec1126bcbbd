"""Train encoders on simulated exposures; nothing here runs during an experiment."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ainerd_xpcs.latent.training._pca import PcaFit, train_pca
from ainerd_xpcs.latent.training._simulated import variant

if TYPE_CHECKING:
    from ainerd_xpcs.latent.training._ours import train_ours
    from ainerd_xpcs.latent.training._run import train_run

__all__ = ["PcaFit", "train_ours", "train_pca", "train_run", "variant"]

_MODULES = {"train_ours": "_ours", "train_run": "_run"}


def __getattr__(name: str) -> Any:
    """Import torch only when a network is trained: the linear encoder needs none."""
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
