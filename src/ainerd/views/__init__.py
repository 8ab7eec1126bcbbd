"""Figures of a campaign, reports, and lines for the terminal.

Functions that draw are imported when they are first used, because matplotlib takes half a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ainerd.views._kinds import kinds_of, principal_axes, regime_kinds
from ainerd.views._scene import (
    Next,
    Scene,
    newest_and_nearest,
    read_scene,
    regime_colour,
)
from ainerd.views._terminal import Logbook, run_line, status_panel

if TYPE_CHECKING:
    from ainerd.views._figure import campaign_figure
    from ainerd.views._report import report_html
    from ainerd.views._style import empty_panel, panel_title

__all__ = [
    "Logbook", "Next", "Scene", "read_scene", "campaign_figure", "empty_panel", "kinds_of", "newest_and_nearest",
    "panel_title", "principal_axes", "regime_colour", "regime_kinds", "report_html", "run_line",
    "status_panel",
]  # fmt: skip

_MODULE_OF = {
    "campaign_figure": "_figure", "empty_panel": "_style", "panel_title": "_style", "report_html": "_report",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
