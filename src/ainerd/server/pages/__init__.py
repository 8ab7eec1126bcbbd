"""The pages of ainerd in Tiled's own web interface: routes on its server, and the files of the views.

`router` belongs to a Tiled server. Tiled's web interface finds the views in
its settings, which ``python -m ainerd.server.pages`` prints. The route `changes` is for `ainerd.results.ResultStore`.
"""

from fastapi import APIRouter

from ainerd.server import _access
from ainerd.server.pages import _campaign, _commands, _live, _results, _static
from ainerd.server.pages._static import ui_settings, write_ui_settings

router = APIRouter(prefix="/ainerd")
for part in (_static, _access, _campaign, _live, _results, _commands):
    router.include_router(part.router)

__all__ = ["router", "ui_settings", "write_ui_settings"]
