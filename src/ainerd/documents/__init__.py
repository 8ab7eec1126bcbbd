"""Runs from Bluesky documents: sources, frames as they arrive, readings, and checks of the files that hold frames.

Only `_storage` is imported at once. A Tiled server needs its check of HDF5 files, and does not have Bluesky installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ainerd.documents._storage import FrameError, MissingFrames, check_bytes, local_path

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
    )  # fmt: skip

__all__ = [
    "BLOCK",
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
    "check_source",
    "checked",
    "documents_of",
    "file_documents",
    "local_path",
    "open_documents",
    "streams_of",
    "tiled_documents",
    "unpack",
]

_NAMES = {"_frames": ("BLOCK", "FrameReader", "Whole"), "_run": ("DetectorKeys", "Run")}  # others: `_sources`


def __getattr__(name: str) -> Any:
    """Import the module of a name on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = next((module for module, names in _NAMES.items() if name in names), "_sources")
    return getattr(import_module(f"ainerd.documents.{module}"), name)
