"""The 64-pixel grid the statistics live on, and the way to it and back.

A C2 map is symmetric, so its upper triangle says everything; with a weight of sqrt(2) off the diagonal,
distances between triangles are distances between maps.
"""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIZE = 64
MAP_SIZE = 256
ROWS, COLS = np.triu_indices(SIZE)
WEIGHT = np.where(ROWS == COLS, 1, np.sqrt(2)).astype(np.float32)

# Measured maps were published scaled to [0, 1]. Their decorrelated level is 0.09 to 0.18 and their short-lag
# plateau 0.6 to 0.8; with these two numbers baseline 1 falls on 0.125 and a plateau of contrast 0.2 on 0.625,
# and contrasts up to 0.35 stay inside.
UNIT_ZERO, UNIT_SPAN = 0.95, 0.4


def to_unit(maps: ArrayLike) -> NDArray[np.float32]:
    """Maps of baseline 1 on the [0, 1] scale of the published data: clip((C - 0.95) / 0.4, 0, 1)."""
    return np.clip((np.asarray(maps, dtype=np.float32) - UNIT_ZERO) / UNIT_SPAN, 0, 1)


def from_unit(scaled: ArrayLike) -> NDArray[np.float32]:
    """Maps on the [0, 1] scale of the published data as maps of baseline 1: 0.95 + 0.4 x."""
    return UNIT_ZERO + UNIT_SPAN * np.asarray(scaled, dtype=np.float32)


def block_mean(maps: NDArray[np.float32], size: int = SIZE) -> NDArray[np.float32]:
    """Maps (n, s, s) averaged over blocks to (n, size, size); s a multiple of `size`."""
    block = maps.shape[-1] // size
    return maps if block == 1 else maps.reshape(-1, size, block, size, block).mean((2, 4))


def to_triangle(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Upper triangles (n, 2080) of maps (n, 64, 64)."""
    return maps.reshape(*maps.shape[:-2], SIZE * SIZE).take(ROWS * SIZE + COLS, axis=-1)


def from_triangle(triangles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Symmetric maps (n, 64, 64) of upper triangles (n, 2080)."""
    return triangles.take(_cell_of_triangle(), axis=-1)


def interpolate(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maps (n, 64, 64) interpolated linearly between cell centres to (n, 256, 256)."""
    operator = _linear_operator()
    return np.matmul(np.matmul(operator, maps), operator.T)


@cache
def _cell_of_triangle() -> NDArray[np.intp]:
    where = np.empty((SIZE, SIZE), dtype=np.intp)
    where[ROWS, COLS] = where[COLS, ROWS] = np.arange(ROWS.size)
    return where


@cache
def _linear_operator() -> NDArray[np.float32]:
    at = np.clip((np.arange(MAP_SIZE) + 0.5) * SIZE / MAP_SIZE - 0.5, 0, SIZE - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(SIZE))).astype(np.float32)
