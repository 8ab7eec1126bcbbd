"""Rheo-XPCS: the technique that measures dynamics in speckle movies of a sheared sample.

Names are imported on first use, because figures and exports need neither scipy nor numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd.techniques.rheo_xpcs._bank import Bank, add_systematics, read_bank, write_bank
    from ainerd.techniques.rheo_xpcs._bins import build_partition, check_bins, dead_pixels, questions
    from ainerd.techniques.rheo_xpcs._calibration import Views, calibrated, scorer_of, views
    from ainerd.techniques.rheo_xpcs._clean import SHARES, Clean, measured_exposure, seen_from, simulated_exposures
    from ainerd.techniques.rheo_xpcs._drawing import draw_exposure, draw_map, highest, new_figure
    from ainerd.techniques.rheo_xpcs._features import TERMS, Sectors, run_features
    from ainerd.techniques.rheo_xpcs._field import Field, q_of_pixels
    from ainerd.techniques.rheo_xpcs._files import find_movie, read_curves
    from ainerd.techniques.rheo_xpcs._picture import Picture
    from ainerd.techniques.rheo_xpcs._preshear import preshear, preshear_of
    from ainerd.techniques.rheo_xpcs._settings import PartitionSettings, RheoXPCSSettings
    from ainerd.techniques.rheo_xpcs._sketch import draw_bins
    from ainerd.techniques.rheo_xpcs._technique import RheoXPCS
    from ainerd.techniques.rheo_xpcs._verdict import bank_options, judge, pooled_contrast
    from ainerd.techniques.rheo_xpcs.panels import draw_columns, sentences

_MODULES = {
    "_bank": ["Bank", "add_systematics", "read_bank", "write_bank"],
    "_bins": ["build_partition", "check_bins", "dead_pixels", "questions"],
    "_calibration": ["Views", "calibrated", "scorer_of", "views"],
    "_clean": ["SHARES", "Clean", "measured_exposure", "seen_from", "simulated_exposures"],
    "_drawing": ["draw_exposure", "draw_map", "highest", "new_figure"],
    "_features": ["TERMS", "Sectors", "run_features"],
    "_field": ["Field", "q_of_pixels"],
    "_files": ["find_movie", "read_curves"],
    "_picture": ["Picture"],
    "_preshear": ["preshear", "preshear_of"],
    "_settings": ["PartitionSettings", "RheoXPCSSettings"],
    "_sketch": ["draw_bins"],
    "_technique": ["RheoXPCS"],
    "_verdict": ["bank_options", "judge", "pooled_contrast"],
    "panels": ["draw_columns", "sentences"],
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
