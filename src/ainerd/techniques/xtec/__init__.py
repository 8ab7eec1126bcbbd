"""X-TEC: clusters of the temperature trajectories of diffraction pixels. Imported when asked for: panels are light."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd.techniques.xtec._settings import XTECSettings
    from ainerd.techniques.xtec._smooth import smoothing
    from ainerd.techniques.xtec._technique import XTEC

_WHERE = {"XTEC": "_technique", "XTECSettings": "_settings", "smoothing": "_smooth"}
__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
