"""Files of other programs, analysed without Bluesky or as runs; repeats averaged; results exported.

`read_curves` and `MapFile` read g2 and two-time maps that others wrote, `find_movie`, `EventMovie` and `read_rigaku`
frames and events. `Average` averages repeats. Names are imported on first use, because exports need neither scipy nor
numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd_files._names import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name.startswith("_") and name != "__all__":  # Python then imports the module of this name
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("ainerd_files._names"), name)
