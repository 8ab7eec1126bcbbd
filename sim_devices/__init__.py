"""A simulated rheo-XPCS instrument: ophyd devices around a sample whose dynamics depend on the position.

The devices do not know the agent; it learns about the sample only from Bluesky documents.
Modules are imported on first use: the IOC needs few of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim_devices._names import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        """Import all modules when a public name is used first."""
        if name == "__all__" or not name.startswith("_"):
            return getattr(import_module("sim_devices._names"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
