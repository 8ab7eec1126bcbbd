"""Pages of ours in Tiled's own web interface: routes on its server, and the files of the views.

`router` belongs to a Tiled server, as that of `ainerd.server.result_files` does. The views themselves are found by
Tiled's web interface in its settings, which ``python -m ainerd.server.pages`` writes.
"""

from fastapi import APIRouter

from ainerd.server.pages import _static
from ainerd.server.pages._ui import ui_settings, write_ui_settings

router = APIRouter(prefix="/ainerd")
router.include_router(_static.router)

__all__ = ["router", "ui_settings", "write_ui_settings"]
