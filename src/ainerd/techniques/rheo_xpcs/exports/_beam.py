"""The picture of the beam in the forms that files want: whole frames, rings of pixels, even steps of time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def unbinned(mean_frame: NDArray[np.float32], factor: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """A mean frame over the pixels of the detector, (ny, nx): each has the mean of its cell of `factor` × `factor`."""
    return mean_frame.repeat(factor, axis=0).repeat(factor, axis=1)[: shape[0], : shape[1]]


def ring_map(q: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.int32]:
    """The nearest ring of each pixel, from 1, by q of the pixels (ny, nx) and of the rings."""
    borders = (centres[:-1] + centres[1:]) / 2
    return (np.searchsorted(borders, q) + 1).astype(np.int32)


def resampled(values: NDArray[Any], centres: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Means over `n` equal parts of a run of what was averaged over equal stretches around `centres` (the last short).

    What a stretch holds is taken for evenly spread.
    """
    step = 2 * centres[0]
    edges = np.append(np.arange(centres.size) * step, 2 * centres[-1] - (centres.size - 1) * step)
    until = np.append(0.0, np.cumsum(values * np.diff(edges)))
    parts = np.linspace(0.0, edges[-1], n + 1)
    return np.diff(np.interp(parts, edges, until)) / np.diff(parts)
