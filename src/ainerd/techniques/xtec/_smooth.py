"""X-TEC-s: clusters that respect where pixels lie."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from ainerd.techniques.xtec._cut import blocks

REACH = float(np.sqrt(np.log(100))) * (1 - 1e-9)  # where the kernel falls to a hundredth, in lengths


def smoothing(
    positions: ArrayLike, length: float, cell: tuple[float, float] | None = None
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """What averages responsibilities (k, n) over neighbours, with equal weights, in place: linear in the pixels.

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
    points, place = np.asarray(positions, float), None
    n = len(points)
    if cell is not None:
        angle = 2 * np.pi * points / cell
        points = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) / 2  # sin² of half an angle is a distance here
        points, place = np.unique(points.round(9), axis=0, return_inverse=True)
        place = place.ravel()
    near = _near(points, REACH * length)

    def summed(share: NDArray) -> NDArray:
        """Over the neighbours of each pixel."""
        of_places = share if place is None else np.bincount(place, share)
        of_places = of_places + near @ of_places + near.T @ of_places
        return of_places if place is None else of_places[place]

    size = summed(np.ones(n, np.float32))

    def smooth(shares: NDArray[np.float32]) -> NDArray[np.float32]:
        for share in shares:
            share[:] = summed(share) / size
        return shares

    return smooth


def _near(points: NDArray[np.float64], reach: float) -> sparse.csr_array:
    """Ones where a later point is no farther than `reach`, (n, n)."""
    tree, rows = cKDTree(points), []
    for which in blocks(len(points)):
        block = points[which]
        pairs = cKDTree(block).sparse_distance_matrix(tree, reach, output_type="ndarray")
        pairs = pairs[pairs["j"] > pairs["i"] + which.start]
        at = pairs["i"].astype(np.int32), pairs["j"].astype(np.int32)
        rows.append(sparse.csr_array((np.ones(len(pairs), np.float32), at), shape=(len(block), len(points))))
    return sparse.vstack(rows, format="csr")
