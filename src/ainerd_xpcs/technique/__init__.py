"""Rheo-XPCS: the technique that measures dynamics in speckle movies of a sheared sample.

Names are imported on first use of one of them, because figures and exports need neither scipy nor numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd_xpcs.technique._names import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name.startswith("_"):  # Python then imports the module of this name
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("ainerd_xpcs.technique._names"), name)
