"""What the learned encoder sees of a map: numbers that are linear in it, and how noisy it is.

A map is first divided by its short-lag level, so that contrast is a number beside the shape and not in it. The
linear numbers are principal components of noise-free maps, which keep detail, and means over age × log-lag cells,
which tell dynamics apart (rows of the table below are ages, columns logarithms of the lag).
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ainerd.latent._grid import COLS, ROWS, SIZE, WEIGHT, to_triangle

_LAGS = np.array([0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48])
_AGES = 12
_BANDS = ((2, 8), (8, 24), (24, 63))  # lags over which the noise is gauged
N_GAUGES = 2 + 3 * len(_BANDS)
N_NOISE_GAUGES = N_GAUGES + 3 * len(_BANDS) + 2
_LEAST_LEVEL = 0.02


def weighted(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors (n, 2080) whose distances are those between the maps (n, 64, 64)."""
    return to_triangle(maps) * WEIGHT


@cache
def age_lag() -> NDArray[np.float32]:
    """Means over age × log-lag cells of a weighted vector, (cells, 2080); cells without a pixel left out."""
    lag = COLS - ROWS
    cell = (np.searchsorted(_LAGS, lag, "right") - 1) * _AGES
    cell += np.minimum(_AGES * ROWS // (SIZE - lag), _AGES - 1)
    operator = (cell == np.unique(cell)[:, None]) / WEIGHT
    return (operator / (operator * WEIGHT).sum(1, keepdims=True)).astype(np.float32)


def scaled(maps: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Divide maps (n, 64, 64) by their short-lag level.

    Returns
    -------
    x : ndarray, shape (n, 2080)
        Weighted (C - 1) / level.
    level : ndarray, shape (n,)
    gauges : ndarray, shape (n, 11)
        Logs of the level, of the diagonal over the level, and of the noise in three bands of lag: rms and median
        size of the difference ΔtΔt' of x, in which noise is large and dynamics small, and median size of the
        difference Δt²Δt'², in which they are smaller still.
    """
    above = maps - 1
    diagonal, first = above.diagonal(0, 1, 2).mean(1), above.diagonal(1, 1, 2).mean(1)
    level = np.maximum(first, np.minimum(diagonal, 2.5 * np.maximum(first, 0) + 0.05)).clip(_LEAST_LEVEL)
    x = np.clip(above / level[:, None, None], -8, 9)
    once, twice = (_differences(x, order) for order in (1, 2))
    gauges = [np.log(level), np.log(np.clip(diagonal / level, 0.1, 10))]
    for low, high in _BANDS:
        first_order, second_order = once[:, _band(1, low, high)], twice[:, _band(2, low, high)]
        sizes = np.sqrt(np.square(first_order).mean(1)), _median(first_order), _median(second_order)
        gauges += [np.log(size + 1e-3) for size in sizes]
    return weighted(x), level, np.stack(gauges, axis=1).astype(np.float32)


def noise_gauges(
    maps: NDArray[np.float32], level: NDArray[np.float32], gauges: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What tells how noisy maps (n, 64, 64) are, whatever their dynamics: 22 gauges (n, 22).

    They are those of `scaled`; in each band, logs of quartile and median size of the third difference along both axes,
    in which hardly any dynamics is left, and the mean; mean and log spread of the diagonal.
    """
    x = np.clip((maps - 1) / level[:, None, None], -8, 9)
    diagonal = x.diagonal(0, 1, 2)
    thrice, columns = _differences(x, 3), [diagonal.mean(1), np.log(diagonal.std(1) + 1e-3)]
    for low, high in _BANDS:
        size = np.abs(thrice[:, _band(3, low, high)])
        quarter, half = size.shape[1] // 4, size.shape[1] // 2
        size.partition((quarter, half), axis=1)
        mean = x.reshape(len(x), SIZE**2)[:, _band(0, low, high)].mean(1)
        columns += [np.log(size[:, quarter] / 0.3186 + 1e-3), np.log(size[:, half] / 0.6745 + 1e-3), mean]
    return np.column_stack([gauges, *columns]).astype(np.float32)


def _differences(x: NDArray[np.float32], order: int) -> NDArray[np.float32]:
    """Differences of this order along both axes, flattened, in which white noise keeps its size."""
    along = np.diff(np.diff(x, order, axis=1), order, axis=2)
    return along.reshape(-1, along.shape[1] ** 2) / np.float32((2, 6, 20)[order - 1])


def _median(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Standard deviation (n,) of normal numbers of the same median size."""
    return (np.median(np.abs(x), axis=1) / 0.6745).astype(np.float32)


@cache
def _band(order: int, low: int, high: int) -> NDArray[np.intp]:
    """Where the differences of an order lie at these lags."""
    i, j = np.indices((SIZE - order, SIZE - order))
    return np.flatnonzero(((j - i >= low) & (j - i < high)).ravel())
