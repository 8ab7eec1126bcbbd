"""The reduced two-time correlation, exact and in one pass.

Resizing is linear and separable, so the resized C2 = D Dᵀ/N is (R D)(R D)ᵀ/N: each frame is added into the few rows
of R D it touches and then forgotten. Memory and the work after the last frame do not grow with the number of frames.
"""

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from ainerd.xpcs._normalize import Diagonal, Normalization, Sums, check_choice, diagonal_correction, scales
from ainerd.xpcs._operators import Reduction, reduction_operator
from ainerd.xpcs._partition import Partition


class TwoTimeReducer:
    """Two-time correlation maps of `size` × `size` from frames as they come.

    Parameters
    ----------
    partition : Partition
    n_frames : int
        Frames that will come.
    size : int
        Rows of the map.
    reduction : {"area", "gaussian", "decimate"}
        See `ainerd.xpcs._operators.reduction_operator`.
    sigma : float, optional
        Of "gaussian", in frames; the paper's is 2.
    diagonal : {"poisson", "neighbour", "raw"}
        What stands at t1 = t2.
    normalization : {"smoothed", "paper", "symmetric"}
        How counts become fluctuations.
    valid : array_like of bool, shape (n_frames,), optional
        False for frames to leave out. Frames without a photon in a bin are left out of that bin in any case.
    dtype : {"float32", "float64"}
        Of the accumulated rows and the maps.

    Raises
    ------
    ValueError
        If an option is unknown or does not fit.

    Examples
    --------
    >>> reducer = TwoTimeReducer(partition, 5000)                          # doctest: +SKIP
    >>> for block in blocks:                                               # doctest: +SKIP
    ...     reducer.push(block)
    >>> maps = reducer.maps()                                              # doctest: +SKIP
    """

    def __init__(
        self,
        partition: Partition,
        n_frames: int,
        *,
        size: int = 256,
        reduction: Reduction = "area",
        sigma: float | None = None,
        diagonal: Diagonal = "poisson",
        normalization: Normalization = "smoothed",
        valid: ArrayLike | None = None,
        dtype: str = "float32",
    ) -> None:
        check_choice("diagonal", diagonal, Diagonal)
        check_choice("normalization", normalization, Normalization)
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
        self.partition, self.n_frames, self.size = partition, int(n_frames), size
        self.diagonal: Diagonal = diagonal
        self.normalization: Normalization = normalization
        self.operator = reduction_operator(reduction, self.n_frames, size, sigma)
        self.valid = None if valid is None else np.asarray(valid, dtype=bool)
        if self.valid is not None and self.valid.shape != (self.n_frames,):
            raise ValueError(f"valid has shape {self.valid.shape}, wanted ({self.n_frames},)")
        self.n_pushed = 0
        self.sums = Sums.empty(self.n_frames, len(partition.static_roi))
        by_frame = self.operator.tocsc()
        self._indptr, self._rows = by_frame.indptr.astype(np.int64), by_frame.indices.astype(np.int64)
        self._weights = by_frame.data.astype(dtype)
        self._reduced = np.zeros((size, len(partition.pixels)), dtype)
        self._last = np.zeros(len(partition.pixels), dtype)

    def push(self, frames: NDArray) -> None:
        """Add the next frames.

        Parameters
        ----------
        frames : ndarray, shape (b, ny, nx) or (b, n_pixels)
            Counts, whole frames or already gathered in the order of ``partition.pixels``; any block size.

        Raises
        ------
        ValueError
            If the frames do not fit the partition, are more than announced, or hold negative or non-finite numbers.
        """
        block = check_counts(self.partition.gather(frames)).astype(self._reduced.dtype)
        if self.n_pushed + len(block) > self.n_frames:
            raise ValueError(f"frame {self.n_pushed + len(block)} came, {self.n_frames} were announced")
        if len(block) == 0:
            return
        p = self.partition
        unit = self.normalization == "paper"
        keep = (
            np.ones(len(block), bool) if self.valid is None else self.valid[self.n_pushed : self.n_pushed + len(block)]
        )
        _accumulate(
            block, self._last, self.n_pushed, keep, unit, p.static_edges, p.static_roi, p.n_pixels,
            self._indptr, self._rows, self._weights, self._reduced,
            self.sums.counts, self.sums.squares, self.sums.products,
        )  # fmt: skip
        self._last = block[-1].copy()
        self.n_pushed += len(block)

    def maps(self) -> NDArray:
        """Two-time correlation maps, baseline 1.

        Returns
        -------
        ndarray, shape (n_roi, size, size)
            Rows without a single valid frame are NaN.

        Raises
        ------
        ValueError
            If frames are missing, or no frame holds a photon.
        """
        if self.n_pushed != self.n_frames:
            raise ValueError(f"{self.n_pushed} of {self.n_frames} frames have come")
        p, operator = self.partition, self.operator
        scale = scales(self.sums.counts, p, self.normalization, self.valid)
        if not scale.valid.any():
            raise ValueError(f"no valid frame with a photon in the {p.n_roi} bins")
        weight = operator @ scale.valid
        with np.errstate(divide="ignore"):
            renormalise = np.where(weight > 1e-9, 1 / weight, np.nan)
        diagonal = diagonal_correction(self.sums, p, scale, self.diagonal)
        pixel_scale = np.repeat(scale.sub, np.diff(p.static_edges)).astype(self._reduced.dtype)
        edges = np.append(0, np.cumsum(p.n_pixels))
        out = np.empty((p.n_roi, self.size, self.size), self._reduced.dtype)
        with threadpool_limits(1, "blas"):  # threads cost more than they bring on products this small
            for k, c2 in enumerate(out):
                rows = self._reduced[:, edges[k] : edges[k + 1]] * pixel_scale[edges[k] : edges[k + 1]]
                np.matmul(rows, rows.T, out=c2)
                c2 /= p.n_pixels[k]
                correction = ((operator * diagonal[:, k]) @ operator.T).tocoo()
                c2[correction.row, correction.col] += correction.data
                c2 *= np.outer(renormalise[:, k], renormalise[:, k])
        return out


def check_counts(block: NDArray) -> NDArray:
    """The block, C-ordered, if it can be counts; ValueError if it holds negative or non-finite numbers."""
    if block.dtype.kind not in "uif":
        raise ValueError(f"frames must be numbers, got {block.dtype}")
    if block.dtype.kind == "f" and not np.isfinite(block).all():
        raise ValueError("frames hold NaN or infinite counts; mask those pixels or leave those frames out")
    if block.dtype.kind != "u" and block.size and block.min() < 0:
        raise ValueError(f"frames hold negative counts (smallest {block.min()}); subtract no background before C2")
    return np.ascontiguousarray(block)


@nb.njit(nogil=True, fastmath=True, cache=True)
def _accumulate(
    block, last, t0, keep, unit, edges, roi, n_pixels, indptr, rows, weights, reduced, counts, squares, products
):  # fmt: skip
    n_sub = roi.size
    total = np.zeros(n_pixels.size)
    factor = np.zeros_like(
        weights[:1]
    )  # holds one number, in the dtype of the sum, so that the innermost loop stays in it
    for b in range(block.shape[0]):
        t = t0 + b
        total[:] = 0
        for j in range(n_sub):
            s = 0.0
            s2 = 0.0
            s1 = 0.0
            for p in range(edges[j], edges[j + 1]):
                v = np.float64(block[b, p])
                w = np.float64(last[p]) if b == 0 else np.float64(block[b - 1, p])
                s += v
                s2 += v * v
                s1 += v * w
            counts[t, j] = s
            squares[t, j] = s2
            products[t, j] = s1
            total[roi[j]] += s
        if not keep[b]:
            continue
        for j in range(n_sub):
            k = roi[j]
            if total[k] <= 0:
                continue
            scale = 1.0 if unit else n_pixels[k] / total[k]
            for i in range(indptr[t], indptr[t + 1]):
                factor[0] = weights[i] * scale
                f = factor[0]
                r = rows[i]
                for p in range(edges[j], edges[j + 1]):
                    reduced[r, p] += f * block[b, p]
