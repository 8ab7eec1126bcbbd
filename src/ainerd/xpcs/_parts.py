"""Bins cut into parts, whose scatter is the error of what is found in a bin."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd.xpcs._partition import Partition

PARTS = 16  # of a bin: enough for errors that are known to a fifth, and few enough to cost little


@dataclass(frozen=True)
class Parts:
    """Neighbouring pixels of one static sub-bin each.

    `edges`, (n_part + 1,), say where they begin in the order of ``partition.pixels``; `sub` and `roi`, (n_part,), to
    which static sub-bin and bin, from 0, they belong.
    """

    edges: NDArray[np.int64]
    sub: NDArray[np.int64]
    roi: NDArray[np.int64]

    @classmethod
    def of(cls, partition: Partition) -> "Parts":
        """About sixteen parts of about equal size for each bin; no fewer than it has static sub-bins."""
        size, first = np.diff(partition.static_edges), partition.static_edges[:-1]
        wanted = np.rint(PARTS * size / partition.n_pixels[partition.static_roi])
        n = np.clip(wanted.astype(np.int64), 1, size)
        sub = np.repeat(np.arange(len(size)), n)
        number = np.arange(len(sub)) - np.repeat(np.cumsum(n) - n, n)  # in its sub-bin
        begins = first[sub] + number * size[sub] // n[sub]
        return cls(np.append(begins, len(partition.pixels)), sub, partition.static_roi[sub])

    @property
    def size(self) -> NDArray[np.int64]:
        """Pixels of each, (n_part,)."""
        return np.diff(self.edges)
