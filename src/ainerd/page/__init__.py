"""The page of a campaign in Tiled's web interface: scripts for a browser, without a part in the server.

Any web server can serve the files, also Tiled's own. They hold no data. Our scripts are the parts of one
function, concatenated in the order of `PARTS`. A name is therefore the same in all of them, and a part uses constants
only of the parts before it. Scripts of techniques find the names that they may use in ``window.__AINERD__``.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from ainerd.technique import names, panels

HERE = Path(__file__).parent
PARTS = (
    "react", "words", "server", "theme", "plot", "scene", "reading", "actions", "maps", "timeline", "gallery", "header",
    "log", "next", "table", "result", "runs", "campaign",
)  # fmt: skip
FILES = ("ainerd.css", "open.html", "plotly.min.js")
PLOTLY_VERSION, PLOTLY_SHA256 = "4.1.1", "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"
SPECS = (
    "AinerdCampaign", "AinerdResults", "AinerdResult", "AinerdSuggestions", "AinerdSuggestion", "AinerdLogbook",
    "AinerdLog", "CatalogOfBlueskyRuns",
)  # fmt: skip


def write_page(folder: Path) -> None:
    """Write the files of the page, with the scripts of the installed techniques, to a folder.

    Examples
    --------
    >>> write_page(folder / "page")
    >>> (folder / "page" / "views.js").read_text().startswith("(() => {")
    True
    """
    folder.mkdir(parents=True, exist_ok=True)
    techniques = dict[str, dict[str, Any]]()
    for name in names():
        drawing = panels(name)
        view = getattr(drawing, "view", None)
        if view is not None:
            (folder / f"technique-{name}.js").write_text(f"{{\n{Path(view).read_text()}}}\n")
        about = {"view": view is not None, "thumbnail": getattr(drawing, "thumbnail", None)}
        techniques[name] = about | {part: [*getattr(drawing, part, ())] for part in ("quantities", "between")}
    parts = "".join((HERE / f"{part}.js").read_text() for part in PARTS)
    # in a block of strict code a name that two parts declare is an error, not the later one
    script = f'(() => {{\n"use strict";\n{{\nconst TECHNIQUES = {json.dumps(techniques)};\n{parts}}}\n}})();\n'
    (folder / "views.js").write_text(script)
    for name in FILES:
        shutil.copyfile(HERE / name, folder / name)


def spec_views(url: str) -> list[dict[str, str]]:
    """Return the lines ``spec_views`` of the settings of Tiled's web interface; `url` is that of ``views.js``."""
    return [{"spec": spec, "url": url} for spec in SPECS]


def ui_settings(url: str) -> dict[str, Any]:
    """Return Tiled's own settings of its web interface, with a view for each of our specs, and for raw runs."""
    import yaml
    from tiled.utils import SHARE_TILED_PATH

    settings = yaml.safe_load(Path(SHARE_TILED_PATH, "static", "default_ui_settings.yml").read_text())
    return {**settings, "spec_views": [*(settings.get("spec_views") or []), *spec_views(url)]}
