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
        begins: list[int] = []
        sub: list[int] = []
        for j, (first, last) in enumerate(zip(partition.static_edges[:-1], partition.static_edges[1:], strict=True)):
            size = last - first
            wanted = PARTS * size / partition.n_pixels[partition.static_roi[j]]
            n = min(max(1, round(wanted)), size)
            begins += (first + np.arange(n) * size // n).tolist()
            sub += [j] * n
        of_sub = np.array(sub)
        return cls(np.append(begins, len(partition.pixels)), of_sub, partition.static_roi[of_sub])

    @property
    def size(self) -> NDArray[np.int64]:
        """Pixels of each, (n_part,)."""
        return np.diff(self.edges)
