"""Runs from Bluesky documents: frames as they arrive, readings, and the files that hold frames."""

from ainerd.documents._classic import MIMETYPES
from ainerd.documents._detector import whole_number
from ainerd.documents._document import Document, checked, file_documents
from ainerd.documents._events import EventFrames
from ainerd.documents._frames import FrameReader, Whole
from ainerd.documents._numbering import Block
from ainerd.documents._run import Run
from ainerd.documents._storage import AWAY, FrameError, MissingFrames, allowed_file, open_hdf5, open_item
from ainerd.documents._tiled_runs import Quiet, RunReader, documents_of

__all__ = [
    "AWAY", "MIMETYPES", "Block", "Document", "EventFrames", "FrameError", "FrameReader", "MissingFrames",
    "Quiet", "Run", "RunReader", "Whole", "allowed_file", "checked",
    "documents_of", "file_documents", "open_hdf5", "open_item", "whole_number",
]  # fmt: skip
