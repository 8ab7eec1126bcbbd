"""Linear operators R that reduce T frames to n: the reduced map is R C Rᵀ."""

from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Reduction = Literal["area", "gaussian", "decimate"]


def reduction_operator(kind: Reduction, n_frames: int, size: int, sigma: float | None = None) -> sp.csr_array:
    """R of one reduction, (size, n_frames), whose rows sum to 1; ValueError if it cannot be made.

    "area": mean over the frames each map pixel covers. "gaussian": the paper's Gaussian of `sigma` frames followed by
    linear interpolation, as ``skimage.transform.resize(order=1, anti_aliasing_sigma=sigma)`` does. "decimate": that
    interpolation alone.
    """
    if n_frames < 2 or size < 1:
        raise ValueError(f"a reduction wants at least 2 frames and a size of 1, got {n_frames} and {size}")
    if (kind == "gaussian") != (sigma is not None):
        raise ValueError(f"sigma belongs to reduction 'gaussian' and to it alone, got {kind!r} with sigma={sigma}")
    if kind == "area":
        return _area(n_frames, size)
    if kind == "decimate":
        return _interpolate(n_frames, size)
    if kind == "gaussian" and sigma is not None:
        if sigma <= 0:
            raise ValueError(f"sigma must be positive, got {sigma}")
        return (_interpolate(n_frames, size) @ _blur(n_frames, sigma)).tocsr()
    raise ValueError(f"no reduction {kind!r}: there are 'area', 'gaussian', 'decimate'")


def overlap(cells: NDArray[np.int64], bins: NDArray[np.int64]) -> sp.csr_array:
    """What each interval between two `cells` shares with each between two `bins`, (n_cells, n_bins).

    Both hold increasing borders, with the same first and the same last; whole numbers, so that nothing is rounded.
    """
    edges = np.union1d(cells, bins)
    rows = np.searchsorted(cells, edges[:-1], "right") - 1
    cols = np.searchsorted(bins, edges[:-1], "right") - 1
    return sp.csr_array((np.diff(edges).astype(float), (rows, cols)), (len(cells) - 1, len(bins) - 1))


def _area(n_frames: int, size: int) -> sp.csr_array:
    # in 1/size of a frame
    return overlap(np.arange(size + 1) * n_frames, np.arange(n_frames + 1) * size) / n_frames


def _interpolate(n_frames: int, size: int) -> sp.csr_array:
    # pixel-centre grid of ndimage.zoom(grid_mode=True)
    u = np.clip((np.arange(size) + 0.5) * n_frames / size - 0.5, 0, n_frames - 1)
    left = np.minimum(u.astype(int), n_frames - 2)
    rows = np.tile(np.arange(size), 2)
    return sp.csr_array((np.r_[1 - (u - left), u - left], (rows, np.r_[left, left + 1])), (size, n_frames))


def _blur(n_frames: int, sigma: float) -> sp.csr_array:
    # ndimage.gaussian_filter1d(mode="mirror", truncate=4)
    offsets = np.arange(-int(4 * sigma + 0.5), int(4 * sigma + 0.5) + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    period = 2 * (n_frames - 1)
    cols = np.abs(np.arange(n_frames)[:, None] + offsets).ravel() % period
    cols = np.where(cols >= n_frames, period - cols, cols)
    rows = np.repeat(np.arange(n_frames), offsets.size)
    return sp.csr_array((np.tile(weights / weights.sum(), n_frames), (rows, cols)), (n_frames, n_frames))
