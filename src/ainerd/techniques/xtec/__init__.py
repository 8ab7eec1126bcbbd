"""X-TEC: clusters of the temperature trajectories of diffraction pixels.

Names are imported on first use, because the module `panels` must work in a light install.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd.techniques.xtec._clusters import Mixture, find_clusters, fit, improve, responsibilities, smoothing
    from ainerd.techniques.xtec._pixels import cut, rescale
    from ainerd.techniques.xtec._settings import XTECSettings
    from ainerd.techniques.xtec._technique import XTEC
    from ainerd.techniques.xtec._transitions import Trajectories, information, posteriors, transitions

_MODULES = {
    "_clusters": ("Mixture", "find_clusters", "fit", "improve", "responsibilities", "smoothing"),
    "_pixels": ("cut", "rescale"),
    "_settings": ("XTECSettings",),
    "_technique": ("XTEC",),
    "_transitions": ("Trajectories", "information", "posteriors", "transitions"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
