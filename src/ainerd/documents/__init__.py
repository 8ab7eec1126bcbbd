"""Runs from Bluesky documents: sources, frames as they arrive, readings, and checks of the files that hold frames.

Modules are imported on first use: a Tiled server needs the check of HDF5 files, and does not have Bluesky installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd.documents._acquisition import Acquisition
    from ainerd.documents._at_once import documents_of_many
    from ainerd.documents._events import RIGAKU, count_frames
    from ainerd.documents._folder import Folder, folder_documents
    from ainerd.documents._frames import BLOCK, FrameReader, Whole
    from ainerd.documents._items import BoundedDataset, list_items, open_item
    from ainerd.documents._metadata import Metadata
    from ainerd.documents._numbering import Block
    from ainerd.documents._run import EIGER, Run
    from ainerd.documents._sources import check_source, file_documents, line_documents, open_documents, tiled_documents
    from ainerd.documents._storage import FrameError, MissingFrames, local_path, may_read, open_hdf5
    from ainerd.documents._tiled_runs import Quiet, RunReader, documents_of, runs_by_time, streams_of
    from ainerd.documents._wire import Curve, Document, WireError, checked, unpack

__all__ = [
    "Acquisition", "BLOCK", "Block", "BoundedDataset", "Curve", "Document", "EIGER", "Folder", "FrameError",
    "FrameReader", "Metadata", "MissingFrames", "Quiet", "RIGAKU", "Run", "RunReader", "Whole", "WireError",
    "check_source", "checked", "count_frames", "documents_of", "documents_of_many", "file_documents",
    "folder_documents", "line_documents", "list_items", "local_path", "may_read", "open_documents", "open_hdf5",
    "open_item", "runs_by_time", "streams_of", "tiled_documents", "unpack",
]  # fmt: skip

# the lightest first
_MODULES = (
    "_storage", "_items", "_metadata", "_events", "_wire", "_tiled_runs", "_sources", "_at_once", "_frames",
    "_numbering", "_run", "_acquisition", "_folder",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import the modules on first use, beginning with the one that needs least, until one has the name."""
    for module in _MODULES if name in __all__ else ():
        if hasattr(found := import_module(f"{__name__}.{module}"), name):
            return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
