"""Files of the pages: our scripts, plotly.js, and the scripts of techniques. They hold no data, so nobody is asked who.

What is long is packed once, and sent so to who takes it; nothing is ever fetched from elsewhere.
"""

import gzip
import mimetypes
import re
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import anyio
from fastapi import APIRouter, HTTPException, Request, Response

from ainerd.server.pages._bundle import VIEWS, bundle
from ainerd.technique import names, panels

STATIC = Path(__file__).parent / "static"
PLOTLY = "plotly.min.js"
WORTH_PACKING = 1000
KINDS = {".js": "text/javascript", ".json": "application/json", ".svg": "image/svg+xml"}
router = APIRouter()


class _File(NamedTuple):
    tag: str
    plain: bytes
    packed: bytes


@router.get("/static/{name}")
async def static(request: Request, name: str) -> Response:
    """A file of the pages."""
    if name == VIEWS:
        changed = max(path.stat().st_mtime_ns for path in STATIC.glob("*.js"))
        return _answer(request, await anyio.to_thread.run_sync(_views, changed), KINDS[".js"], "no-cache")
    path = _plotly() if name == PLOTLY else STATIC / name
    if path is None:
        raise HTTPException(404, "plotly is not installed beside the server: pip install plotly")
    if name != PLOTLY and not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name):
        raise HTTPException(404)
    return await _sent(request, path, "max-age=86400" if name == PLOTLY else "no-cache")


@router.get("/technique/{name}/view.js")
async def technique_view(request: Request, name: str) -> Response:
    """The script with which a technique draws a result of its own."""
    path = view_script(name)
    if path is None:
        raise HTTPException(404, f"technique {name!r} draws no page")
    return await _sent(request, path, "no-cache")


@lru_cache
def view_script(technique: str) -> Path | None:
    """Script of a technique that is installed; None if there is none."""
    if technique not in names():
        return None
    path = getattr(panels(technique), "view", None)
    return Path(path) if path is not None and Path(path).is_file() else None


async def _sent(request: Request, path: Path, keep: str) -> Response:
    try:
        about = path.stat()
        file = await anyio.to_thread.run_sync(_read, path, about.st_mtime_ns, about.st_size)
    except OSError:
        raise HTTPException(404) from None
    kind = KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _answer(request, file, kind, keep)


def _answer(request: Request, file: _File, kind: str, keep: str) -> Response:
    headers = {"ETag": file.tag, "Cache-Control": keep, "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff"}
    if file.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if file.packed and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, media_type=kind, headers=headers | {"Content-Encoding": "gzip"})
    return Response(file.plain, media_type=kind, headers=headers)


@lru_cache(maxsize=32)
def _read(path: Path, changed: int, size: int) -> _File:
    return _packed(path.read_bytes(), packs=path.suffix != ".png")


@lru_cache(maxsize=1)
def _views(changed: int) -> _File:
    return _packed(bundle(STATIC).encode())


def _packed(plain: bytes, packs: bool = True) -> _File:
    packed = gzip.compress(plain, 6, mtime=0) if packs and len(plain) > WORTH_PACKING else b""
    return _File(f'"{sha256(plain).hexdigest()[:20]}"', plain, packed)


@lru_cache
def _plotly() -> Path | None:
    """Where plotly.js is, without an import of plotly, which takes long."""
    found = find_spec("plotly")
    places = [] if found is None else list(found.submodule_search_locations or [])
    path = Path(places[0], "package_data", PLOTLY) if places else None
    return path if path is not None and path.is_file() else None
