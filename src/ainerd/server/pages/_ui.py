"""What Tiled's web interface is told of our views."""

from pathlib import Path
from typing import Any

import yaml
from tiled.utils import SHARE_TILED_PATH

VIEWS = "/custom/ainerd/static/views.js"
SPECS = (
    "AinerdCampaign",
    "AinerdResults",
    "AinerdResult",
    "AinerdSuggestions",
    "AinerdSuggestion",
    "AinerdLogbook",
    "AinerdLog",
)


def ui_settings(root_path: str = "") -> dict[str, Any]:
    """Tiled's own settings of its web interface, with a view for each of our specs.

    `root_path` is where the server's address begins, if a proxy has it elsewhere than at ``/``.
    """
    settings = yaml.safe_load(Path(SHARE_TILED_PATH, "static", "default_ui_settings.yml").read_text())
    ours = [{"spec": spec, "url": root_path + VIEWS} for spec in SPECS]
    return {**settings, "spec_views": [*(settings.get("spec_views") or []), *ours]}


def write_ui_settings(path: Path) -> Path:
    """The same as a file, for Tiled's variable ``TILED_UI_SETTINGS``."""
    part = path.with_suffix(".part")
    part.write_text(yaml.safe_dump(ui_settings(), sort_keys=False))
    return part.replace(path)
