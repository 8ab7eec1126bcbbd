"""Events of some frames sorted into tiles of neighbouring pixels, whose sums fit the first cache.

C2, g2 and the screens add each event to arrays as long as the detector has pixels. Frame by frame, each event is in
another place of memory; tile by tile it is not. Within a tile, events have the order of the frames, and so do all sums.
"""

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._partition import Array

SHIFT = 13
TILE = 1 << SHIFT  # pixels


@dataclass(frozen=True, eq=False)
class Tiles:
    """Events by tile, and then by frame.

    Attributes
    ----------
    begins : ndarray of int64, shape (n_tile + 1,)
        First event of each tile, and the number of events.
    events : ndarray of uint32, shape (m, 3)
        Position of the frame in the list of frames, pixel, and count.
    """

    begins: NDArray[np.int64]
    events: NDArray[np.uint32]

    @classmethod
    def of(cls, offsets: Array, pixel: Array, count: Array, n_pixels: int) -> "Tiles":
        """Sort events of frames; the arguments are those of `Events`."""
        begins = np.zeros((n_pixels - 1 >> SHIFT) + 2, np.int64)
        events = np.empty((len(pixel), 3), np.uint32)
        _sort(offsets, pixel, count, begins, events)
        return cls(begins, events)


@nb.njit(nogil=True, cache=True)
def _sort(offsets: Array, pixel: Array, count: Array, begins: Array, events: Array) -> None:
    for p in pixel:
        begins[(p >> SHIFT) + 1] += 1
    for tile in range(1, begins.size):
        begins[tile] += begins[tile - 1]
    place = begins.copy()
    for b in range(offsets.size - 1):
        for e in range(offsets[b], offsets[b + 1]):
            p = np.uintp(pixel[e])
            i = np.uintp(place[p >> np.uintp(SHIFT)])
            place[p >> np.uintp(SHIFT)] += 1
            events[i, 0], events[i, 1], events[i, 2] = b, p, count[e]
