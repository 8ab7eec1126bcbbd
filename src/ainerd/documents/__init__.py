"""Bluesky documents to runs: the wanted pixels of each frame as they arrive, readings and series beside them."""

from ainerd.documents._files import file_documents
from ainerd.documents._frames import BLOCK, FrameError, FrameReader, MissingFrames, local_path
from ainerd.documents._quiet import Quiet
from ainerd.documents._replay import RunReader, documents_of, streams_of
from ainerd.documents._run import DetectorKeys, Run
from ainerd.documents._sources import check_source, open_documents
from ainerd.documents._whole import Whole
from ainerd.documents._wire import Document, WireError, checked
from ainerd.documents._zmq import Curve

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
    "checked",
    "check_source",
    "documents_of",
    "file_documents",
    "local_path",
    "open_documents",
    "streams_of",
]
