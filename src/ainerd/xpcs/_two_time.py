"""The full two-time correlation, for a person who asks for it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.xpcs._counts import Sums, check_counts
from ainerd.xpcs._normalize import Diagonal, Normalization, check_choice, diagonal_correction, scales
from ainerd.xpcs._partition import Partition
from ainerd.xpcs._reducer import TwoTimeReducer


def two_time(
    frames: NDArray,
    partition: Partition,
    *,
    size: int | None = None,
    diagonal: Diagonal = "poisson",
    normalization: Normalization = "smoothed",
    valid: ArrayLike | None = None,
    dtype: str = "float32",
) -> NDArray:
    """Two-time correlation C2(t1, t2) of each bin, (n_roi, T, T), or (n_roi, size, size) by the area mean.

    Baseline 1; rows and columns of frames that are not valid are NaN. `frames` are counts, (T, ny, nx) or
    (T, n_pixels), and the options those of `TwoTimeReducer`.
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
