"""Sums of a block of dense frames over sub-bins and over frames, and where counts are too high, in one pass."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._partition import Array, Floats


def _kernel(number: Any) -> Callable[..., None]:
    @nb.njit(nogil=True, fastmath=True, cache=True)
    def add(block: Array, edges: Array, limit: Array, step: int, counts: Array, over: Array, column: Array) -> None:
        n_frames, n_pixels = block.shape
        whole = n_frames - n_frames % 4
        for b in range(0, whole, 4):  # four at once, to spread the cost of incomplete vectors
            for j in range(edges.size - 1):
                first, last = edges[j], edges[j + 1]
                x0, x1 = block[b, first:last], block[b + 1, first:last]
                x2, x3 = block[b + 2, first:last], block[b + 3, first:last]
                s0, s1, s2, s3, highest = number(0), number(0), number(0), number(0), x0[0]
                for p in range(x0.size):
                    s0, s1 = number(s0 + x0[p]), number(s1 + x1[p])
                    s2, s3 = number(s2 + x2[p]), number(s3 + x3[p])
                    highest = max(highest, max(max(x0[p], x1[p]), max(x2[p], x3[p])))
                counts[b, j], counts[b + 1, j], counts[b + 2, j], counts[b + 3, j] = s0, s1, s2, s3
                over[b : b + 4, j] = highest > limit[j]
            if step and b % (4 * step) == 0:
                x0, x1, x2, x3 = block[b], block[b + 1], block[b + 2], block[b + 3]
                for p in range(n_pixels):
                    column[p] = number(column[p] + x0[p] + x1[p] + x2[p] + x3[p])
        for b in range(whole, n_frames):
            for j in range(edges.size - 1):
                x = block[b, edges[j] : edges[j + 1]]
                s, highest = number(0), x[0]
                for p in range(x.size):
                    s, highest = number(s + x[p]), max(highest, x[p])
                counts[b, j], over[b, j] = s, highest > limit[j]
            if step == 1:
                for p in range(n_pixels):
                    column[p] = number(column[p] + block[b, p])

    return add


_sum_short, _sum = _kernel(np.uint32), _kernel(np.float64)


def add_block(
    block: Array, edges: NDArray[np.int64], limit: Floats, step: int = 0
) -> tuple[Floats, NDArray[np.bool_], Array]:
    """Return sums over sub-bins, (b, n_sub), whether a pixel of theirs is above `limit`, and sums over frames.

    The last, (n_pixels,), are over the frames that `is_summed` marks for this step.
    """
    # sums of 16-bit counts fit into 32 bits for blocks and sub-bins of this size
    short = block.dtype.kind == "u" and block.dtype.itemsize <= 2 and max(len(block), edges[-1]) < 1 << 16
    counts = np.empty((len(block), len(edges) - 1))
    over = np.empty(counts.shape, bool)
    column = np.zeros(block.shape[1], np.uint32 if short else np.float64)
    (_sum_short if short else _sum)(block, edges, limit, step, counts, over, column)
    return counts, over, column


@lru_cache(16)
def is_summed(n_frames: int, step: int) -> NDArray[np.bool_]:
    """Return which frames of a block `add_block` sums over: all, or every `step`-th group of four."""
    group = np.arange(n_frames) // 4
    return np.asarray((group % step == 0) & ((step == 1) | (group < n_frames // 4)))
