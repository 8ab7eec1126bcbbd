"""Runs from Bluesky documents: sources, frames as they arrive, readings, and checks of the files that hold frames.

Only `_storage` is imported at once. A Tiled server needs its check of HDF5 files, and does not have Bluesky installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ainerd.documents._storage import (
    LOOK,
    FrameError,
    MissingFrames,
    check_bytes,
    check_heaps,
    local_path,
    lookup3,
)

if TYPE_CHECKING:
    from ainerd.documents._frames import BLOCK, FrameReader, Whole
    from ainerd.documents._run import DetectorKeys, Run
    from ainerd.documents._sources import Curve, check_source, open_documents
    from ainerd.documents._tiled import Quiet, RunReader, documents_of, streams_of, tiled_documents
    from ainerd.documents._wire import Document, WireError, checked, file_documents, unpack

__all__ = [
    "BLOCK",
    "LOOK",
    "Curve",
    "DetectorKeys",
    "Document",
    "FrameError",
    "FrameReader",
    "MissingFrames",
    "Quiet",
    "Run",
    "RunReader",
    "Whole",
    "WireError",
    "check_bytes",
    "check_heaps",
    "check_source",
    "checked",
    "documents_of",
    "file_documents",
    "local_path",
    "lookup3",
    "open_documents",
    "streams_of",
    "tiled_documents",
    "unpack",
]

_NAMES = {
    "_frames": ("BLOCK", "FrameReader", "Whole"),
    "_run": ("DetectorKeys", "Run"),
    "_sources": ("Curve", "check_source", "open_documents"),
    "_tiled": ("Quiet", "RunReader", "documents_of", "streams_of", "tiled_documents"),
    "_wire": ("Document", "WireError", "checked", "file_documents", "unpack"),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import the module of a name on first use."""
    if name in _MODULES:
        return getattr(import_module(f"ainerd.documents.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
