"""Runs from Bluesky documents: frames as they arrive, readings, and the files that hold frames."""

from ainerd.documents._document import Document, checked, file_documents
from ainerd.documents._events import EventFrames, count_frames
from ainerd.documents._frames import FrameReader, Whole
from ainerd.documents._metadata import Metadata
from ainerd.documents._numbering import Block
from ainerd.documents._run import Run
from ainerd.documents._storage import FrameError, MissingFrames, allowed_file, check_size, open_hdf5, open_item
from ainerd.documents._tiled_runs import Quiet, RunReader, documents_of

__all__ = [
    "Block", "Document", "EventFrames", "FrameError", "FrameReader", "Metadata", "MissingFrames",
    "Quiet", "Run", "RunReader", "Whole", "allowed_file", "check_size", "checked", "count_frames",
    "documents_of", "file_documents", "open_hdf5", "open_item",
]  # fmt: skip
