"""X-ray photon correlation spectroscopy: partitions of a detector, two-time correlations, g2 and its fits.

The names are those of `ainerd_xpcs.numerics`, which needs no Bluesky and no Tiled. They are imported on first use,
because figures of results need neither scipy nor numba. `ainerd_xpcs.technique` is the technique of the agent.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd_xpcs.numerics import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name.startswith("_") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("ainerd_xpcs.numerics"), name)
