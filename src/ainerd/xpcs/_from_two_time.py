"""One-time correlations out of two-time maps."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def g2_from_two_time(c2: ArrayLike) -> NDArray[np.float64]:
    """g2 by lag: the mean along the diagonals of maps (n_roi, n, n) or (n, n), NaN left out.

    Returns
    -------
    ndarray, shape (n_roi, n - 1) or (n - 1,)
        At lags 1 to n - 1, in rows of the map; NaN where no element is left. Near the diagonal of a reduced map a row
        holds a spread of lags of its own length.
    """
    return g2_by_age(c2, 1)[1][..., 0, :]


def g2_by_age(c2: ArrayLike, n_ages: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """g2 by age and lag: cuts across the diagonal of a map.

    Parameters
    ----------
    c2 : array_like, shape (n_roi, n, n) or (n, n)
        Two-time maps; NaN is left out.
    n_ages : int
        Strips of equal length in age, (t1 + t2) / 2.

    Returns
    -------
    age : ndarray, shape (n_ages,)
        Middle of each strip, in rows of the map from the beginning of the first.
    value : ndarray, shape (n_roi, n_ages, n - 1) or (n_ages, n - 1)
        At lags 1 to n - 1, in rows; NaN where no element is left: long lags exist in the middle ages alone.

    Raises
    ------
    ValueError
        If the maps are not square, or there are more ages than rows.
    """
    maps = np.asarray(c2, dtype=float)
    n = maps.shape[-1]
    if maps.ndim not in (2, 3) or maps.shape[-2] != n or n < 2:
        raise ValueError(f"c2 must be maps (n_roi, n, n) or (n, n) with n > 1, got shape {maps.shape}")
    if not 1 <= n_ages <= n:
        raise ValueError(f"n_ages must lie between 1 and the {n} rows of the map, got {n_ages}")
    t1, t2 = np.triu_indices(n, 1)
    strip = (t1 + t2 + 1) * n_ages // (2 * n)  # t1 + t2 + 1 is twice the age at the middle of the element
    where = strip * (n - 1) + t2 - t1 - 1
    out = []
    for values in maps.reshape(-1, n, n)[:, t1, t2]:
        seen = np.isfinite(values)
        total = np.bincount(where[seen], values[seen], n_ages * (n - 1))
        count = np.bincount(where[seen], minlength=n_ages * (n - 1))
        out.append(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0))
    age = (np.arange(n_ages) + 0.5) * n / n_ages
    return age, np.reshape(out, (*maps.shape[:-2], n_ages, n - 1))
