"""Pixels taken out of a reduction that has begun."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ainerd.xpcs._counts import Sums
from ainerd.xpcs._partition import Partition


def take_out(
    pixels: NDArray[np.int64],
    good: NDArray[np.bool_],
    reduced: NDArray[np.floating],
    by_frame: sp.csr_array,
    sums: Sums,
    partition: Partition,
    unit: bool,
) -> None:
    """Take pixels out of rows and sums, in place.

    A row of R D is dropped for each of them. The others were divided by the mean of a bin that the pixel was part of:
    they are brought to the mean that they have without it. Its share of the sums of a frame is taken to be its share of
    the row, or rows, that the frame went into, with the fluctuation of a Poisson number. That is exact where the share
    is constant over a row, for a dead pixel above all; otherwise the mean of a row is exact, and that of its frames is
    off by the fluctuation of the pixel's share.

    Parameters
    ----------
    pixels : ndarray of int
        Positions in ``partition.pixels``, of pixels that are still good.
    good : ndarray of bool, shape (n_pixels,)
        Becomes False there.
    reduced : ndarray, shape (n_rows, n_pixels)
    by_frame : sparse array, shape (n_rows, T)
        How much of each frame went into which row.
    sums : Sums
        Of T frames at least.
    partition : Partition
    unit : bool
        Whether frames were added as they are, not divided by the mean of a bin.
    """
    n_frames = by_frame.shape[1]
    edges = np.append(0, np.cumsum(partition.n_pixels))
    sub = np.searchsorted(partition.static_edges, pixels, "right") - 1
    weight = by_frame.sum(0)
    for k in np.unique(partition.static_roi[sub]):
        bin_ = slice(edges[k], edges[k + 1])
        mine, mine_sub = (x[partition.static_roi[sub] == k] for x in (pixels, sub))
        rows = reduced[:, bin_]
        before, n_before = rows.sum(1, dtype=float), good[bin_].sum()
        share = _over(reduced[:, mine].astype(float), before[:, None])
        good[mine] = False
        reduced[:, mine] = 0
        if not unit:
            now = _over(before, rows.sum(1, dtype=float)) * good[bin_].sum() / n_before
            rows *= now.astype(reduced.dtype)[:, None]
        at = _over(by_frame.T @ share, weight[:, None])  # by frame
        total = sums.counts[:n_frames, partition.static_roi == k].sum(1, dtype=float)
        for j, s in zip(mine_sub, at.T, strict=True):
            counts = s * total
            sums.counts[:n_frames, j] -= counts
            if len(sums.squares):
                sums.squares[:n_frames, j] -= counts + counts**2
                sums.products[1:n_frames, j] -= counts[1:] * counts[:-1]
    sums.pixels[0] -= np.bincount(sub, minlength=sums.pixels.shape[1])


def _over(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(x, y, out=np.zeros(np.broadcast_shapes(x.shape, y.shape)), where=y > 0)
