"""X-TEC-s: clusters that respect where pixels lie."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
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
    place = np.arange(n)
    if cell is not None:
        angle = 2 * np.pi * points / cell
        points = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) / 2  # sin² of half an angle is a distance here
        points, place = np.unique(points.round(9), axis=0, return_inverse=True)
        place = place.ravel()
    m = len(points)
    pairs = cKDTree(points).query_pairs(REACH * length, output_type="ndarray").T
    half = sparse.csr_array((np.ones(pairs.shape[1], np.float32), tuple(pairs)), shape=(m, m))
    near = half + half.T + sparse.eye_array(m, dtype=np.float32)
    gather = sparse.csr_array((np.ones(n, np.float32), (place, np.arange(n))), shape=(m, n))
    norm = (near @ gather.sum(axis=1))[:, None]
    return lambda shares: np.ascontiguousarray(((near @ (gather @ shares.T)) / norm)[place].T)
