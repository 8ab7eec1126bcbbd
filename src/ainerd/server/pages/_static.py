"""Files of the pages: our scripts, plotly.js and the scripts of techniques; and the settings of Tiled's web interface.

The files hold no data, so no key is asked for. Long files are compressed once. Nothing is ever fetched from elsewhere.

Our scripts are the parts of one function, concatenated in the order of `PARTS`, because a browser runs one long script
faster than a Tiled server answers thirty requests. A name is therefore the same in all of them, and a part uses
constants only of the parts before it. Scripts of techniques find the names that they may use in ``window.__AINERD__``.
"""

import gzip
import mimetypes
import re
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import yaml
from fastapi import APIRouter, HTTPException, Request, Response
from tiled.utils import SHARE_TILED_PATH

from ainerd.technique import names, panels

STATIC = Path(__file__).parent / "static"
VIEWS = "views.js"  # the script that Tiled loads
PARTS = (
    "react", "words", "server", "theme", "plot", "state", "actions", "maps", "timeline", "gallery", "header", "log",
    "next", "table", "result", "runs", "campaign",
)  # fmt: skip
PLOTLY = "plotly.min.js"  # plotly-cartesian.min.js, with lines, bars and heat maps, as published by its authors (MIT)
PLOTLY_VERSION, PLOTLY_SHA256 = "4.1.1", "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"
TYPES = {".js": "text/javascript", ".json": "application/json", ".svg": "image/svg+xml"}
SPECS = (
    "AinerdCampaign", "AinerdResults", "AinerdResult", "AinerdSuggestions", "AinerdSuggestion", "AinerdLogbook",
    "AinerdLog", "CatalogOfBlueskyRuns",
)  # fmt: skip
router = APIRouter()


def ui_settings(root_path: str = "") -> dict[str, Any]:
    """Return Tiled's own settings of its web interface, with a view for each of our specs, and for raw runs.

    `root_path` is the path at which a proxy serves Tiled, if it is not ``/``.
    """
    settings = yaml.safe_load(Path(SHARE_TILED_PATH, "static", "default_ui_settings.yml").read_text())
    ours = [{"spec": spec, "url": f"{root_path}/custom/ainerd/static/{VIEWS}"} for spec in SPECS]
    return {**settings, "spec_views": [*(settings.get("spec_views") or []), *ours]}


def write_ui_settings(path: Path) -> Path:
    """Write these settings to a file, for Tiled's variable ``TILED_UI_SETTINGS``."""
    part = path.with_suffix(".part")
    part.write_text(yaml.safe_dump(ui_settings(), sort_keys=False))
    return part.replace(path)


@router.get("/static/{name}")
async def static(request: Request, name: str) -> Response:
    """Return a file of the pages."""
    if name == VIEWS:
        return await _send(request, "no-cache", *(STATIC / f"{part}.js" for part in PARTS))
    if name == PLOTLY:
        return await _send(request, "max-age=86400", STATIC / name)
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name):
        raise HTTPException(404)
    return await _send(request, "no-cache", STATIC / name)


@router.get("/technique/{name}/view.js")
async def technique_view(request: Request, name: str) -> Response:
    """Return the script with which a technique draws its results."""
    path = view_script(name)
    if path is None:
        raise HTTPException(404, f"technique {name!r} has no page of its own")
    return await _send(request, "no-cache", path)


@lru_cache
def view_script(technique: str) -> Path | None:
    """Return the script of an installed technique; None if it has none."""
    if technique not in names():
        return None
    path = getattr(panels(technique), "view", None)
    return Path(path) if path is not None and Path(path).is_file() else None


async def _send(request: Request, cache_control: str, *paths: Path) -> Response:
    """Answer with a file, or with the parts of our script."""
    try:
        changed = max(path.stat().st_mtime_ns for path in paths)
        tag, plain, compressed = await anyio.to_thread.run_sync(_read, changed, *paths)
    except OSError:
        raise HTTPException(404) from None
    media_type = TYPES.get(paths[0].suffix) or mimetypes.guess_type(paths[0].name)[0] or "application/octet-stream"
    headers = {
        "ETag": tag,
        "Cache-Control": cache_control,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(compressed, media_type=media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(plain, media_type=media_type, headers=headers)


@lru_cache(maxsize=32)
def _read(changed: int, *paths: Path) -> tuple[str, bytes, bytes]:
    """Return a tag, the contents, and the contents compressed."""
    plain = b"".join(path.read_bytes() for path in paths)
    if len(paths) > 1:  # in a block of strict code a name that two parts declare is an error, not the later one
        plain = b'(() => {\n"use strict";\n{\n' + plain + b"}\n})();\n"
    return f'"{sha256(plain).hexdigest()[:20]}"', plain, gzip.compress(plain, 6, mtime=0)
