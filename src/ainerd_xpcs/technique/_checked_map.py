"""Recognise the form of a stored two-time map: half or whole, the corner where time begins, C2 or C2 - 1, its level.

Programs write different forms, and their files seldom name the form. The map shows it: C2 is symmetric. C2 of
normalised intensities is 1 at lags at which nothing is correlated, and never above 2.
"""

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Map = NDArray[np.float32]
FILLED = 0.99  # share of one half of a map that holds one number, if the half is not stored
ASYMMETRY = 0.01  # rms of the difference from its mirror image, over the standard deviation of the map
LOWEST, HIGHEST = 0.9, 2.1  # C2 at lags at which nothing, or everything, is correlated, with noise


def put_right(c2: NDArray[Any], baseline: int, what: str) -> Map:
    """Return the whole map, C2 with time from the upper left corner, and NaN in rows without photons.

    Parameters
    ----------
    c2 : ndarray, shape (T, T)
        As it is stored: C2 or C2 - 1, perhaps one half. A frame without photons has a row of 0 or NaN.
    baseline : int
        Value without correlation that the file states, 0 or 1.
    what : str
        Name of the map.

    Raises
    ------
    ValueError
        If the map is not symmetric, or its level is that of no map; the message names it.
    """
    c2 = np.array(c2, dtype=np.float32)
    whole = _whole(c2)
    if whole is None:
        whole = _whole(c2[::-1])
    if whole is None:
        raise ValueError(
            f"{what} is not symmetric, and no half of it is empty: is it C2 over two times, (T, T), of one bin?"
        )
    off = ~np.eye(len(whole), dtype=bool)
    dead = ~(off & np.isfinite(whole) & (whole != 0)).any(1)
    whole[dead] = whole[:, dead] = np.nan
    return _with_baseline(whole, baseline, what)


def _whole(c2: Map) -> Map | None:
    """Return a map of which a half may be stored; None if it is neither symmetric nor a half."""
    half = np.tri(len(c2), k=-1, dtype=bool)
    below, above = c2[half], c2.T[half]
    is_below, is_above = _is_stored(below), _is_stored(above)
    if is_below != is_above:
        stored = np.tril(c2, -1) if is_below else np.triu(c2, 1)
        return np.asarray(stored + stored.T + np.diag(c2.diagonal()), dtype=np.float32)
    known = np.isfinite(below) & np.isfinite(above)
    if not known.any() or (np.isfinite(below) != np.isfinite(above)).any():
        return None
    rms = np.sqrt(np.square(below[known] - above[known], dtype=float).mean())
    level = max(float(np.std(below[known], dtype=float)), 1e-6 * float(np.abs(below[known]).max()))
    return c2.copy() if rms <= ASYMMETRY * level else None


def _is_stored(half: Map) -> bool:
    """Return whether a half of a map holds more than one number, such as 0, 1, -1 or NaN."""
    finite = half[np.isfinite(half)]
    filler = (finite == np.median(finite)).sum() if finite.size else 0
    return bool(half.size - finite.size + filler <= FILLED * half.size)


def _with_baseline(c2: Map, baseline: int, what: str) -> Map:
    """Return C2; add 1 if the map is C2 - 1."""
    n = len(c2)
    near = float(np.nanmean([*c2.diagonal(1), *c2.diagonal(2)]))
    far = float(np.nanmean(c2[np.tri(n, k=-(n // 2), dtype=bool)]))  # the map is symmetric
    if baseline == 0 and not LOWEST <= far <= HIGHEST:
        c2 = c2 + np.float32(1)
        near, far = near + 1, far + 1
    elif baseline == 1 and far < LOWEST and far < near / 2 and LOWEST <= far + 1:
        logger.warning("%s has the level %.3g at long lags: it is taken as C2 - 1", what, far)
        c2 = c2 + np.float32(1)
        near, far = near + 1, far + 1
    elif baseline == 0:
        raise ValueError(f"{what} has the level {far:.3g} at long lags, and the file states that it is C2 - 1")
    if not (LOWEST <= far <= HIGHEST and near <= HIGHEST):
        raise ValueError(
            f"{what} is {near:.3g} at short lags and {far:.3g} at long ones: C2 of normalised intensities is 1 to 2, "
            "and C2 - 1 falls towards 0; divide the map by the mean intensities of its two times"
        )
    return c2
