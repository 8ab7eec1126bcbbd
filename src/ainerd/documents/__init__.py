"""Bluesky documents to runs: the wanted pixels of each frame as they arrive, readings and series beside them."""

from ainerd.documents._frames import BLOCK, FrameError, FrameReader, local_path
from ainerd.documents._replay import documents_of
from ainerd.documents._run import DetectorKeys, Run

__all__ = ["BLOCK", "DetectorKeys", "FrameError", "FrameReader", "Run", "documents_of", "local_path"]
