"""Rheo-XPCS: the technique that measures dynamics in speckle movies of a sheared sample.

Names are imported on first use of one of them, because figures and exports need neither scipy nor numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd.techniques.rheo_xpcs._names import *  # noqa: F403


def __getattr__(name: str) -> Any:
    return getattr(import_module("ainerd.techniques.rheo_xpcs._names"), name)
