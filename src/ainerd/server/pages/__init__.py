"""Pages of ours in Tiled's own web interface: routes on its server, and the files of the views.

`router` belongs to a Tiled server, as that of `ainerd.server.result_files` does. The views themselves are found by
Tiled's web interface in its settings, which ``python -m ainerd.server.pages`` writes. One route is for
`ainerd.results.ResultStore`.
"""

from fastapi import APIRouter

from ainerd.server.pages import (
    _campaign,
    _live,
    _mean,
    _replay,
    _result,
    _session,
    _several,
    _static,
    _table,
    _wishes,
)
from ainerd.server.pages._ui import ui_settings, write_ui_settings

router = APIRouter(prefix="/ainerd")
for part in (_static, _session, _campaign, _live, _mean, _replay, _table, _result, _several, _wishes):
    router.include_router(part.router)

__all__ = ["router", "ui_settings", "write_ui_settings"]
