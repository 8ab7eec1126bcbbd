"""Cyclic shear: echoes of the speckle from cycle to cycle, and the moduli of the same cycles.

The names serve a script, without Bluesky and Tiled. `ainerd_shear.part` is the part of rheo-XPCS that an agent runs,
`ainerd_shear.panels` draws its results. Names are imported on first use, because figures need neither scipy nor numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd_shear._names import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name.startswith("_") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("ainerd_shear._names"), name)
