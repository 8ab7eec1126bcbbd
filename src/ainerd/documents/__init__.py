"""Runs from Bluesky documents: sources, frames as they arrive, readings, and checks of the files that hold frames.

Modules are imported on first use: a Tiled server needs the check of HDF5 files, and does not have Bluesky installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd.documents._frames import BLOCK, FrameReader, Whole
    from ainerd.documents._run import DetectorKeys, Run
    from ainerd.documents._sources import (
        Curve,
        Document,
        Quiet,
        RunReader,
        WireError,
        check_source,
        checked,
        documents_of,
        file_documents,
        open_documents,
        streams_of,
        tiled_documents,
        unpack,
    )
    from ainerd.documents._storage import FrameError, MissingFrames, check_bytes, local_path

_MODULES = {
    "_frames": ["BLOCK", "FrameReader", "Whole"],
    "_run": ["DetectorKeys", "Run"],
    "_sources": [
        "Curve", "Document", "Quiet", "RunReader", "WireError", "check_source", "checked", "documents_of",
        "file_documents", "open_documents", "streams_of", "tiled_documents", "unpack",
    ],
    "_storage": ["FrameError", "MissingFrames", "check_bytes", "local_path"],
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Import the module of a name on first use."""
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
