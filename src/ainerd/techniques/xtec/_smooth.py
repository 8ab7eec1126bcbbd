"""X-TEC-s: clusters that respect where pixels lie."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, sparse
from scipy.spatial import cKDTree

REACH = float(np.sqrt(np.log(100))) * (1 - 1e-9)  # where the kernel falls to a hundredth, in lengths


def smoothing(
    positions: ArrayLike, length: float, cell: tuple[float, float] | None = None
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """What averages responsibilities (k, n) over neighbours, with equal weights: linear in the pixels.

    The same as the matrix of `Build_Markov_Matrix` in ``xtec`` 0.1.1 with ``uniform_similarity``.

    Parameters
    ----------
    positions : array_like, shape (n, 2)
        Row and column of each pixel.
    length : float
        Neighbours are pixels with exp(-d² / length²) > 0.01, d in pixels; with a cell those with
        exp(-Σ sin²(π d / cell) / length²) > 0.01.
    cell : (float, float), optional
        Rows and columns from a zone to the next: the same place in all zones is one neighbourhood.
    """
    points = np.asarray(positions, float)
    n = len(points)
    if cell is not None:
        angle = 2 * np.pi * points / cell
        points = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) / 2  # sin² of half an angle is a distance here
        points, place = np.unique(points.round(9), axis=0, return_inverse=True)
        gather = sparse.csr_matrix((np.ones(n, np.float32), (place.ravel(), np.arange(n))), shape=(len(points), n))
    pairs = cKDTree(points).query_pairs(REACH * length, output_type="ndarray")
    ones = np.ones(len(pairs), np.float32)
    half = sparse.csr_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(len(points),) * 2)
    near = (half + half.T + sparse.identity(len(points), np.float32)).tocsr()
    if cell is None:
        norm = near.sum(axis=1).A1.astype(np.float32)
        return lambda shares: np.ascontiguousarray(((near @ shares.T) / norm[:, None]).T)
    norm = near @ gather.sum(axis=1).A1.astype(np.float32)
    return lambda shares: np.ascontiguousarray(((near @ (gather @ shares.T)) / norm[:, None])[place.ravel()].T)


def patches(keep: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number of the patch of connected kept pixels, diagonals too, of each kept pixel, from 0."""
    return ndimage.label(keep, np.ones((3, 3)))[0][keep].astype(np.int64) - 1


def averages(x: NDArray[np.float32], group: NDArray[np.int64], n: int) -> tuple[NDArray[np.float64], NDArray]:
    """Mean trajectory (n, n_temperatures) and number of pixels (n,) of each group; NaN where there is none."""
    size = np.bincount(group, minlength=n)
    sums = np.stack([np.bincount(group, weights=column, minlength=n) for column in x.T], axis=1)
    with np.errstate(invalid="ignore"):
        return sums / size[:, None], size
