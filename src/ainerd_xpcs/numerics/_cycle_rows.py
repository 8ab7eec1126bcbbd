"""The correlation of cycle with cycle, brought up to date when it is asked for.

The counts of a cycle are a row. When all rows are full, neighbours are added in pairs, and so are the products of rows
that are known: both are sums, so nothing is lost but resolution. Products are computed once, of the rows that are new.
So the correlation after each cycle costs as much as one row, and memory does not grow with the number of cycles.
"""

import numpy as np
from numpy.typing import NDArray

from ainerd.threads import one_thread
from ainerd_xpcs.numerics._partition import Array, Partition

Floats = NDArray[np.float64]


class CycleRows:
    """Two-time correlation of sums over cycles, at some phases, in at most `size` rows.

    It is that of `two_time` with ``normalization="symmetric"`` of the sums: each row is divided by its mean.

    Parameters
    ----------
    partition : Partition
    n_phases : int
    size : int
        Even.

    Attributes
    ----------
    length : int
        Cycles in a row, a power of two.

    Raises
    ------
    ValueError
        If `size` is odd or below two.
    """

    def __init__(self, partition: Partition, n_phases: int, size: int) -> None:
        if size < 2 or size % 2:
            raise ValueError(f"the map of cycles has an even number of rows, got {size}")
        self.partition, self.length, self._size = partition, 1, size
        self._rows = np.zeros((n_phases, size, len(partition.pixels)), np.float32)
        self._products = np.zeros((n_phases, partition.n_roi, size, size), np.float32)
        self._known = 0  # rows whose products are known
        self._seen = np.zeros(n_phases, int)

    @property
    def n_cycles(self) -> int:
        """Cycles that came at all phases, with missing ones."""
        return int(self._seen.min())

    def add(self, number: int, phase: int, counts: Array) -> None:
        """Add the counts of a cycle, (n_pixels,), at a phase, given by its place in the list of phases."""
        while number >= self._size * self.length:
            self._halve()
        self._rows[phase, number // self.length] += counts
        self._seen[phase] = number + 1

    def _halve(self) -> None:
        half, known = self._size // 2, self._known // 2
        for rows in self._rows:
            for r in range(half):  # in place
                np.add(rows[2 * r], rows[2 * r + 1], out=rows[r])
            rows[half:] = 0
        for of_bins in self._products:
            for products in of_bins:
                pairs = products[: 2 * known, : 2 * known].reshape(known, 2, known, 2)
                products[:known, :known] = pairs.sum((1, 3))
        self.length, self._known = 2 * self.length, known

    def maps(self) -> Floats:
        """Return C2 of the rows that are complete, mean over the phases, (n_roi, k, k); NaN where no photon came."""
        n, known = self.n_cycles // self.length, self._known
        edges = np.append(0, np.cumsum(self.partition.n_pixels))
        out = np.zeros((self.partition.n_roi, n, n))
        on = np.arange(n)
        with one_thread, np.errstate(divide="ignore", invalid="ignore"):  # more threads are slower on such products
            for rows, of_bins in zip(self._rows, self._products, strict=True):
                for k, products in enumerate(of_bins):
                    mine = rows[:n, edges[k] : edges[k + 1]]
                    if known < n:
                        new = mine[known:] @ mine.T
                        products[known:n, :n], products[:n, known:n] = new, new.T
                    photons = mine.sum(1, dtype=float)
                    scale = np.sqrt(mine.shape[1]) / np.where(photons > 0, photons, np.nan)
                    c2 = products[:n, :n].astype(float)
                    c2[on, on] -= photons  # shot noise
                    out[k] += scale[:, None] * c2 * scale
        self._known = n
        return out / len(self._rows)
