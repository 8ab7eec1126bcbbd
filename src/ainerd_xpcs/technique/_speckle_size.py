"""The size of the speckle on the detector, in pixels."""

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.latent import SIZE

SPECKLE_PIXELS, _ROWS, _REACH = 12_000, 24, 3


def speckle_px(
    rows: NDArray[np.float32], shape: tuple[int, int], pixels: NDArray[np.int64], roi: NDArray[np.int64]
) -> float:
    """Return the number of pixels that see the same speckle: 1 + Σ m², m the correlation with other pixels.

    Parameters
    ----------
    rows : ndarray, shape (n, n_pixels)
        Counts of each pixel, summed over some time.
    shape : tuple of int
        Shape of the detector.
    pixels, roi : ndarray, shape (n_pixels,)
        Flat index and bin of each pixel.
    """
    some = slice(0, SPECKLE_PIXELS)
    pixels, roi = pixels[some], roi[some]
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, _ROWS).astype(int))][:, some].astype(np.float32)
    member = np.unique(roi, return_inverse=True)[1]
    size = np.bincount(member)
    mean = np.stack([np.bincount(member, row) for row in chosen]) / size
    lit = (mean > 0).all(1)
    if not lit.any():
        return 1.0
    chosen, mean = chosen[lit], mean[lit]
    deviation = chosen / mean[:, member] - 1
    signal = float((np.square(deviation) - 1 / mean[:, member]).mean())
    if signal <= 0:
        return 1.0
    place = np.full(shape[0] * shape[1], -1)
    place[pixels] = np.arange(len(pixels))
    row, column = np.divmod(pixels, shape[1])
    area, total = 1.0, float(np.square(deviation).mean())
    for down in range(_REACH + 1):
        for right in range(-_REACH if down else 1, _REACH + 1):
            inside = (row + down < shape[0]) & (0 <= column + right) & (column + right < shape[1])
            here = np.flatnonzero(inside)
            other = place[(row[here] + down) * shape[1] + column[here] + right]
            here, other = here[other >= 0], other[other >= 0]
            same_bin = member[here] == member[other]
            here, other = here[same_bin], other[same_bin]
            if len(here) < SIZE:
                continue
            m = float((deviation[:, here] * deviation[:, other]).mean()) / signal
            error = total / signal / np.sqrt(len(chosen) * len(here) / 2)
            if m > max(4 * error, 0.05):
                area += 2 * min(m, 1.0) ** 2
    return area
