"""Rheo-XPCS: the technique that reads dynamics from speckle movies of a sample that was sheared.

Imported when asked for: figures and exports need neither torch nor numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd.techniques.rheo_xpcs._bank import Bank
    from ainerd.techniques.rheo_xpcs._bank_file import write_bank
    from ainerd.techniques.rheo_xpcs._bins import build_partition
    from ainerd.techniques.rheo_xpcs._calibrated import calibrated
    from ainerd.techniques.rheo_xpcs._curves_file import Curves, has_curves, read_curves
    from ainerd.techniques.rheo_xpcs._drawing import draw_columns, draw_exposure, draw_map, highest, new_figure
    from ainerd.techniques.rheo_xpcs._exposures import (
        FEWEST_MEASURED,
        FEWEST_OF_A_KIND,
        FEWEST_SIMULATED,
        measured_exposure,
        simulated_exposures,
        stretched,
    )
    from ainerd.techniques.rheo_xpcs._features import TERMS, run_features
    from ainerd.techniques.rheo_xpcs._preshear import preshear, preshear_of
    from ainerd.techniques.rheo_xpcs._settings import PartitionSettings, RheoXPCSSettings
    from ainerd.techniques.rheo_xpcs._technique import RheoXPCS

_WHERE = {
    "FEWEST_MEASURED": "_exposures",
    "FEWEST_OF_A_KIND": "_exposures",
    "FEWEST_SIMULATED": "_exposures",
    "TERMS": "_features",
    "Bank": "_bank",
    "Curves": "_curves_file",
    "PartitionSettings": "_settings",
    "RheoXPCS": "_technique",
    "RheoXPCSSettings": "_settings",
    "build_partition": "_bins",
    "calibrated": "_calibrated",
    "draw_columns": "_drawing",
    "draw_exposure": "_drawing",
    "draw_map": "_drawing",
    "has_curves": "_curves_file",
    "highest": "_drawing",
    "measured_exposure": "_exposures",
    "new_figure": "_drawing",
    "preshear": "_preshear",
    "preshear_of": "_preshear",
    "read_curves": "_curves_file",
    "run_features": "_features",
    "simulated_exposures": "_exposures",
    "stretched": "_exposures",
    "write_bank": "_bank_file",
}
__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
