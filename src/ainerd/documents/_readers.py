"""Where the announced frames of a run are: in a file of this machine, in an event, or in Tiled."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd.config import Detector
from ainerd.documents._classic import HDF5
from ainerd.documents._events import RESULT, RIGAKU, EventFrames
from ainerd.documents._frames import FrameReader, HeldFrames, Ints, Whole
from ainerd.documents._numbering import AnnouncedFrames
from ainerd.documents._storage import MissingFrames, local_path
from ainerd.documents._tiled_frames import TiledFrames

Reader = FrameReader | EventFrames | HeldFrames | TiledFrames


class Readers:
    """Finds the reader of announced frames, which stays open until another one is needed.

    Parameters
    ----------
    keys : Detector
    resources : mapping of str to dict
        Descriptions of files by uid, to which files may be added.
    roots : iterable of Path
        Folders from which frames may be read.
    raw : tiled.client.container.Container, optional
        The raw runs in Tiled.

    Attributes
    ----------
    held : dict
        Frames in events, by uid of the event.
    """

    def __init__(
        self, keys: Detector, resources: Mapping[str, dict[str, Any]], roots: Iterable[Path], raw: Container | None
    ) -> None:
        self._keys, self._resources, self._roots, self._raw = keys, resources, tuple(roots), raw
        self.held: dict[str, NDArray[Any]] = {}
        self._open: tuple[str, Ints, Reader] | None = None  # resource and pixels of the reader

    def open(
        self, part: AnnouncedFrames, pixels: Ints, whole: Whole, shape: tuple[int, ...], address: tuple[str, str]
    ) -> Reader:
        """Return a reader of the resource or event that holds announced frames.

        `shape` is that of an index, `address` the uid of the run and the name of the stream in Tiled.
        """
        resource = part.resource
        if self._open is None or self._open[0] != resource or not np.array_equal(self._open[1], pixels):
            self.close()
            if resource in self.held:
                reader: Reader = HeldFrames(self.held[resource], pixels, shape)
            else:
                where = (*address, self._keys.image), part.row - part.start
                reader = self._find(self._resources[resource], *where, pixels, whole, (shape[-2], shape[-1]))
            self._open = resource, pixels, reader
        return self._open[2]

    def look_elsewhere(self) -> None:
        """Find the next frames anew. Files of events stay open: they notice themselves when frames appear."""
        if self._open is None or not isinstance(self._open[2], EventFrames):
            self.close()

    def close(self) -> None:
        """Close the file being read."""
        if self._open is not None and isinstance(self._open[2], FrameReader | EventFrames):
            self._open[2].close()
        self._open = None

    def _find(
        self,
        doc: dict[str, Any],
        path: tuple[str, str, str],
        offset: int,
        pixels: Ints,
        whole: Whole,
        shape: tuple[int, int],
    ) -> Reader:
        """Return a reader for the frames of a resource: for Tiled if the file is not available."""
        options, dataset = doc["parameters"], doc["parameters"].get("dataset")
        if doc["mimetype"] in (RIGAKU, RESULT):
            file, order = local_path(doc["uri"], self._roots), self._keys.pixel_order
            return EventFrames.open(file, shape, self._roots, order, whole.viewer, doc["mimetype"])
        try:
            if doc["mimetype"] != HDF5 or not dataset:
                raise MissingFrames(f"frames of type {doc['mimetype']!r} with parameters {options} are not read")
            file = local_path(doc["uri"], self._roots)
        except MissingFrames as error:
            if self._raw is None:
                raise
            return TiledFrames(self._raw, path, pixels, shape, offset=offset, why=str(error))
        return FrameReader(file, dataset, pixels, shape, roots=self._roots)
