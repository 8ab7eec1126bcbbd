"""All maps of a result as one picture."""

import numpy as np
from numpy.typing import NDArray

_GAP = 4  # pixels between maps
_LIMITS = (1.0, 99.5)  # percentiles that are black and white


def montage(maps: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Maps side by side, six in a row, in one scale of grey; time runs up and to the right.

    Parameters
    ----------
    maps : ndarray, shape (n, size, size)
    """
    n, size, _ = maps.shape
    low, high = np.nanpercentile(maps, _LIMITS)
    shades = 255 * (np.nan_to_num(maps, nan=low) - low) / max(high - low, 1e-12)
    columns = min(6, n)
    step = size + _GAP
    picture = np.zeros((-(-n // columns) * step - _GAP, columns * step - _GAP), np.uint8)
    for k, shade in enumerate(shades.clip(0, 255).astype(np.uint8)):
        row, column = divmod(k, columns)
        picture[row * step : row * step + size, column * step : column * step + size] = shade[::-1]
    return picture
