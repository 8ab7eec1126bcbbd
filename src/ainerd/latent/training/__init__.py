"""Encoders fitted to simulated exposures, and one tuned to measured ones: nothing here runs beside an experiment."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ainerd.latent.training._pca_fit import train_pca

if TYPE_CHECKING:
    from ainerd.latent.training._paper import train_paper
    from ainerd.latent.training._recipe import train_ours
    from ainerd.latent.training._run_recipe import train_run
    from ainerd.latent.training._tune import tune_ours

__all__ = ["train_ours", "train_paper", "train_pca", "train_run", "tune_ours"]

_OF_TORCH = {"train_ours": "_recipe", "train_paper": "_paper", "train_run": "_run_recipe", "tune_ours": "_tune"}


def __getattr__(name: str) -> Any:
    """Import what trains networks when it is asked for: the linear encoder needs no torch."""
    if name in _OF_TORCH:
        return getattr(import_module(f"ainerd.latent.training.{_OF_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
