"""A result as a file: NXxpcs, with the groups that pyXpcsViewer reads."""

from ainerd.techniques.rheo_xpcs.exports._nexus import write_nexus
from ainerd.techniques.rheo_xpcs.exports._viewer import MASKS, write_viewer

__all__ = ["MASKS", "write_nexus", "write_viewer"]
