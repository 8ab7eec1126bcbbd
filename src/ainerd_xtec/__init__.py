"""X-TEC: clusters of the temperature trajectories of diffraction pixels.

Names are imported on first use of one of them, because the module `panels` must work in a light install.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd_xtec._names import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name.startswith("_"):  # Python then imports the module of this name
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("ainerd_xtec._names"), name)
