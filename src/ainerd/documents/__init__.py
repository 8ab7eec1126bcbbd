"""Runs from Bluesky documents: frames as they arrive, readings, and checks of the files that hold frames.

Modules are imported on first use: a Tiled server needs the check of HDF5 files, and does not have Bluesky installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd.documents._document import Document, checked, file_documents
    from ainerd.documents._events import EventFrames, count_frames
    from ainerd.documents._frames import FrameReader, Whole
    from ainerd.documents._items import check_size, open_item
    from ainerd.documents._metadata import Metadata
    from ainerd.documents._numbering import Block
    from ainerd.documents._run import Run
    from ainerd.documents._storage import FrameError, MissingFrames, allowed_file, may_read, open_hdf5
    from ainerd.documents._tiled_runs import Quiet, RunReader, documents_of

__all__ = [
    "Block", "Document", "EventFrames", "FrameError", "FrameReader", "Metadata", "MissingFrames",
    "Quiet", "Run", "RunReader", "Whole", "allowed_file", "check_size", "checked", "count_frames",
    "documents_of", "file_documents", "may_read", "open_hdf5", "open_item",
]  # fmt: skip

_MODULE_OF = {
    "Block": "_numbering", "Document": "_document", "EventFrames": "_events",
    "FrameError": "_storage", "FrameReader": "_frames", "Metadata": "_metadata", "MissingFrames": "_storage",
    "Quiet": "_tiled_runs", "Run": "_run", "RunReader": "_tiled_runs", "Whole": "_frames", "allowed_file": "_storage",
    "check_size": "_items", "checked": "_document", "count_frames": "_events", "documents_of": "_tiled_runs",
    "file_documents": "_document",
    "may_read": "_storage", "open_hdf5": "_storage",
    "open_item": "_items",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import the module of a name on first use."""
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
