"""Pixels that have reached the end of a detector's range."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ainerd.xpcs._partition import Partition

NEVER = np.iinfo(np.int64).max


class Saturation:
    """Which pixels are left out, and from which frame on: those with counts at or above a level."""

    def __init__(self, level: float, partition: Partition) -> None:
        self.level, self._partition = level, partition
        self.since = np.full(len(partition.pixels), NEVER)
        self._sub = np.repeat(np.arange(len(partition.static_roi)), np.diff(partition.static_edges))

    @property
    def good(self) -> NDArray[np.bool_]:
        """Pixels that have not saturated, (n_pixels,)."""
        return self.since == NEVER

    def note(self, frame: NDArray[np.int64], pixel: NDArray[np.int64]) -> None:
        """Take note of entries that are at the level."""
        np.minimum.at(self.since, pixel, frame)

    def runs(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Runs of frames, from first to last - 1, between which no pixel drops out."""
        cuts = np.unique(self.since[(self.since > first) & (self.since < last)])
        edges = [first, *cuts.tolist(), last]
        return zip(edges[:-1], edges[1:], strict=True)

    def n_pixels(self, frame: int) -> NDArray[np.int64]:
        """Pixels of each bin that are in use in a frame, (n_roi,)."""
        dropped = self._partition.static_roi[self._sub[self.since <= frame]]
        return self._partition.n_pixels - np.bincount(dropped, minlength=self._partition.n_roi)

    def pixels(self, n_frames: int) -> NDArray[np.int64]:
        """Pixels of each static sub-bin in use, frame by frame, (n_frames, n_sub); (1, n_sub) if all are in use."""
        saturated = np.flatnonzero(self.since < n_frames)
        pixels = np.tile(np.diff(self._partition.static_edges), (n_frames if saturated.size else 1, 1))
        for p in saturated:
            pixels[self.since[p] :, self._sub[p]] -= 1
        return pixels
