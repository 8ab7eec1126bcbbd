"""The full two-time correlation, and one-time correlations computed from maps."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.xpcs._counts import Diagonal, Sums, check_counts, diagonal_correction, scales
from ainerd.xpcs._partition import Normalization, Partition, Precision, check_choice
from ainerd.xpcs._reducer import TwoTimeReducer


def two_time(
    frames: NDArray,
    partition: Partition,
    *,
    size: int | None = None,
    diagonal: Diagonal = "poisson",
    normalization: Normalization = "smoothed",
    valid: ArrayLike | None = None,
    dtype: Precision = "float32",
) -> NDArray:
    """Return the two-time correlation C2(t1, t2) of each bin, (n_roi, T, T), or (n_roi, size, size) by the area mean.

    The baseline is 1; rows and columns of frames that are not valid are NaN. `frames` are counts, (T, ny, nx) or
    (T, n_pixels); the options are those of `TwoTimeReducer`.
    """
    options = {"diagonal": diagonal, "normalization": normalization, "valid": valid, "dtype": dtype}
    if size is not None:
        reducer = TwoTimeReducer(partition, len(frames), size=size, **options)  # type: ignore[arg-type]
        reducer.push(frames)
        return reducer.maps()
    check_choice("diagonal", diagonal, Diagonal)
    check_choice("normalization", normalization, Normalization)
    counts = check_counts(partition.gather(frames))
    keep = None if valid is None else np.asarray(valid, dtype=bool)
    sums = Sums.of(counts, partition)
    scale = scales(sums, partition, normalization, keep)
    correction = diagonal_correction(sums, partition, scale, diagonal)
    edges = np.append(0, np.cumsum(partition.n_pixels))
    sub = np.repeat(scale.sub, np.diff(partition.static_edges))
    out = np.empty((partition.n_roi, len(counts), len(counts)), dtype)
    diag = np.arange(len(counts))
    for k, c2 in enumerate(out):
        bin_ = slice(edges[k], edges[k + 1])
        d = (counts[:, bin_] * sub[bin_] * scale.frame[:, k, None]).astype(dtype)
        np.matmul(d, d.T, out=c2)
        c2 /= partition.n_pixels[k]
        c2[diag, diag] += correction[:, k]
        bad = ~scale.valid[:, k]
        c2[bad] = np.nan
        c2[:, bad] = np.nan
    return out


def g2_from_two_time(c2: ArrayLike) -> NDArray[np.float64]:
    """Return g2 by lag: the mean along the diagonals of maps (n_roi, n, n) or (n, n), ignoring NaN.

    Returns
    -------
    ndarray, shape (n_roi, n - 1) or (n - 1,)
        g2 at lags 1 to n - 1, in rows of the map; NaN where no element is left. Near the diagonal of a reduced map a
        row averages over lags that differ by up to its own length.
    """
    return g2_by_age(c2, 1)[1][..., 0, :]


def g2_by_age(c2: ArrayLike, n_ages: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return g2 by age and lag: cuts across the diagonal of a map.

    Parameters
    ----------
    c2 : array_like, shape (n_roi, n, n) or (n, n)
        Two-time maps; NaN is ignored.
    n_ages : int
        Number of strips of equal length in age, (t1 + t2) / 2.

    Returns
    -------
    age : ndarray, shape (n_ages,)
        Middle of each strip, in rows of the map, 0 at the start of the first row.
    value : ndarray, shape (n_roi, n_ages, n - 1) or (n_ages, n - 1)
        g2 at lags 1 to n - 1, in rows; NaN where no element is left: only middle ages have long lags.

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
