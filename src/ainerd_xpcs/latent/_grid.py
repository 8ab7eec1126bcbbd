"""C2 maps of 64 × 64 cells, their upper triangles, means over ages, and harmonics over azimuths.

A C2 map is symmetric, so its upper triangle is enough. With a weight of sqrt(2) off the diagonal, distances between
triangles are distances between maps.
"""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIZE = 64
MAP_SIZE = 256
ROWS, COLS = np.triu_indices(SIZE)
WEIGHT = np.where(ROWS == COLS, 1, np.sqrt(2)).astype(np.float32)

# First lag of each bin, in cells of 1/64 exposure.
_LAGS = np.array([0, 1, 2, 3, 5, 8, 13, 21, 34])
LAG_BIN = np.searchsorted(_LAGS, COLS - ROWS, "right") - 1
LAG_MEAN = ((LAG_BIN == np.arange(_LAGS.size)[:, None]) / np.bincount(LAG_BIN)[:, None]).astype(np.float32)
_LEAST_PLATEAU = 0.01
_RIDGE = 0.05  # keeps harmonics small that the bins do not determine, as in a narrow sector
_ORDERS = (2, 4)  # by Friedel's symmetry odd orders vanish

# The published measured maps are scaled to [0, 1]: decorrelated levels are 0.09 to 0.18, short-lag plateaus 0.6 to 0.8.
# With these two numbers, baseline 1 becomes 0.125 and a plateau of contrast 0.2 becomes 0.625; contrasts up to
# 0.35 stay inside.
UNIT_ZERO, UNIT_SPAN = 0.95, 0.4


def to_unit(maps: ArrayLike) -> NDArray[np.float32]:
    """Scale maps of baseline 1 to [0, 1] as in the published data: clip((C - 0.95) / 0.4, 0, 1).

    Examples
    --------
    >>> to_unit([[1.0, 1.15], [1.15, 1.35]]).round(3)
    array([[0.125, 0.5  ],
           [0.5  , 1.   ]], dtype=float32)
    """
    return np.asarray(np.clip((np.asarray(maps, dtype=np.float32) - UNIT_ZERO) / UNIT_SPAN, 0, 1))


def from_unit(scaled: ArrayLike) -> NDArray[np.float32]:
    """Convert maps on the [0, 1] scale of the published data to baseline 1: 0.95 + 0.4 x.

    Examples
    --------
    >>> from_unit(to_unit([1.0, 1.2])).round(3)
    array([1. , 1.2], dtype=float32)
    """
    return UNIT_ZERO + UNIT_SPAN * np.asarray(scaled, dtype=np.float32)


def block_mean(maps: NDArray[np.float32], size: int = SIZE) -> NDArray[np.float32]:
    """Average maps (n, s, s) over blocks to (n, size, size); s must be a multiple of `size`.

    Examples
    --------
    >>> maps = np.arange(256 * 256, dtype=np.float32).reshape(1, 256, 256)
    >>> block_mean(maps)[0, 0, 0] == maps[0, :4, :4].mean()
    np.True_
    """
    block = maps.shape[-1] // size
    return maps if block == 1 else maps.reshape(-1, size, block, size, block).mean((2, 4))


def to_triangle(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the upper triangles (n, 2080) of maps (n, 64, 64).

    Examples
    --------
    >>> maps = np.add.outer(np.arange(64.0), np.arange(64.0))
    >>> triangle = to_triangle(maps)
    >>> triangle.size == 64 * 65 / 2, triangle.max() == 126
    (True, np.True_)
    """
    return maps.reshape(*maps.shape[:-2], SIZE * SIZE).take(ROWS * SIZE + COLS, axis=-1)


def from_triangle(triangles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return symmetric maps (n, 64, 64) from upper triangles (n, 2080).

    Examples
    --------
    >>> maps = np.random.default_rng(0).normal(size=(1, 64, 64))
    >>> maps += maps.swapaxes(1, 2)
    >>> np.array_equal(from_triangle(to_triangle(maps)), maps)
    True
    """
    return triangles.take(_cell_of_triangle(), axis=-1)


def weighted(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors (n, 2080) whose distances are those between the maps (n, 64, 64)."""
    return to_triangle(maps) * WEIGHT


def interpolate(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Interpolate maps (n, 64, 64) linearly between cell centers to (n, 256, 256)."""
    operator = _linear_operator()
    return np.asarray(np.matmul(np.matmul(operator, maps), operator.T))


def decay_and_unsteadiness(triangles: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return columns 0–14 (n, 15) of triangles (n, 2080) of C - 1, and the plateau (n, 1) they are divided by.

    Examples
    --------
    >>> columns, plateau = decay_and_unsteadiness(np.ones((3, 2080), np.float32))
    >>> columns.shape, plateau.shape
    ((3, 15), (3, 1))
    """
    decay = triangles @ LAG_MEAN.T
    spread = np.sqrt(np.square(triangles - decay[:, LAG_BIN]) @ LAG_MEAN.T)
    plateau = np.maximum(decay[:, :1], _LEAST_PLATEAU)
    return np.hstack([decay[:, 1:] / plateau, 2 * spread[:, 1:-1] / plateau]), plateau


def harmonics(phi_deg: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float32]:
    """Return the operator (5, n) from values of n bins to mean, cosine and sine of the second and fourth harmonic.

    It is a weighted least-squares fit. If an azimuth is not finite, only the mean is determined.
    """
    phi = np.asarray(phi_deg, dtype=float)
    share = np.full(phi.size, 1.0) if weights is None else np.asarray(weights, dtype=float)
    share = share / share.sum()
    out = np.zeros((1 + 2 * len(_ORDERS), phi.size))
    if not np.isfinite(phi).all():
        out[0] = share
        return out.astype(np.float32)
    turn = np.deg2rad(phi)
    waves = np.stack([np.ones_like(turn), *(f(k * turn) for k in _ORDERS for f in (np.cos, np.sin))])
    normal = (waves * share) @ waves.T + _RIDGE * np.diag([0.0] + [1.0] * (len(waves) - 1))
    return np.linalg.solve(normal, waves * share).astype(np.float32)


@cache
def _cell_of_triangle() -> NDArray[np.intp]:
    index = np.empty((SIZE, SIZE), dtype=np.intp)
    index[ROWS, COLS] = index[COLS, ROWS] = np.arange(ROWS.size)
    return index


@cache
def _linear_operator() -> NDArray[np.float32]:
    at = np.clip((np.arange(MAP_SIZE) + 0.5) * SIZE / MAP_SIZE - 0.5, 0, SIZE - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(at[:, None] - np.arange(SIZE))), dtype=np.float32)
