"""Runs from Bluesky documents: frames as they arrive, readings, and checks of the files that hold frames.

Modules are imported on first use: a Tiled server needs the check of HDF5 files, and does not have Bluesky installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd.documents._at_once import documents_of_many
    from ainerd.documents._detector import whole_number
    from ainerd.documents._document import LARGEST, Document, WireError, checked, file_documents, line_documents, unpack
    from ainerd.documents._events import CANVAS, MODULE, N_MODULES, RIGAKU, count_frames, files_of
    from ainerd.documents._frames import BLOCK, FrameReader, Whole
    from ainerd.documents._items import BoundedDataset, list_items, open_item
    from ainerd.documents._metadata import Metadata
    from ainerd.documents._numbering import Block
    from ainerd.documents._run import EIGER, Run
    from ainerd.documents._storage import (
        AWAY,
        FrameError,
        MissingFrames,
        allowed_file,
        find_dataset,
        local_path,
        may_read,
        open_hdf5,
        require_closed,
    )
    from ainerd.documents._tiled_runs import (
        OPEN_S,
        Quiet,
        RunReader,
        documents_of,
        is_of_databroker,
        runs_by_time,
        streams_of,
    )

__all__ = [
    "AWAY", "BLOCK", "Block", "BoundedDataset", "CANVAS", "Document", "EIGER", "FrameError", "FrameReader", "LARGEST",
    "MODULE", "Metadata", "MissingFrames", "N_MODULES", "OPEN_S", "Quiet", "RIGAKU", "Run", "RunReader",
    "Whole", "WireError", "allowed_file", "checked", "count_frames", "documents_of", "documents_of_many",
    "file_documents", "files_of", "find_dataset", "is_of_databroker", "line_documents", "list_items", "local_path",
    "may_read", "open_hdf5", "open_item", "require_closed", "runs_by_time", "streams_of", "unpack", "whole_number",
]  # fmt: skip

_MODULE_OF = {
    "AWAY": "_storage", "BLOCK": "_frames", "Block": "_numbering", "BoundedDataset": "_items", "CANVAS": "_events",
    "Document": "_document", "EIGER": "_run", "FrameError": "_storage", "FrameReader": "_frames",
    "LARGEST": "_document", "LONGEST_S": "_tiled_runs", "MODULE": "_events", "Metadata": "_metadata",
    "MissingFrames": "_storage", "N_MODULES": "_events", "OPEN_S": "_tiled_runs", "Quiet": "_tiled_runs",
    "RIGAKU": "_events", "Run": "_run", "RunReader": "_tiled_runs", "Whole": "_frames", "WireError": "_document",
    "allowed_file": "_storage", "checked": "_document", "count_frames": "_events", "documents_of": "_tiled_runs",
    "documents_of_many": "_at_once", "file_documents": "_document", "files_of": "_events", "find_dataset": "_storage",
    "is_of_databroker": "_tiled_runs", "line_documents": "_document", "list_items": "_items", "local_path": "_storage",
    "may_read": "_storage", "open_hdf5": "_storage", "open_item": "_items", "require_closed": "_storage",
    "runs_by_time": "_tiled_runs", "streams_of": "_tiled_runs", "unpack": "_document", "whole_number": "_detector",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import the module of a name on first use."""
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
