"""The reduced two-time correlation, exact and in one pass.

Resizing is linear and separable, so the resized C2 = D Dᵀ/N is (R D)(R D)ᵀ/N: each frame is added into the few rows
of R D it touches and then forgotten. Memory and the work after the last frame do not grow with the number of frames,
except for three sums of each frame and static sub-bin.
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from ainerd.threads import one_thread
from ainerd.xpcs._counts import (
    Diagonal,
    Sums,
    accumulate,
    check_counts,
    check_valid,
    diagonal_correction,
    per_bin,
    scales,
)
from ainerd.xpcs._partition import Normalization, Partition, Precision, check_choice
from ainerd.xpcs._reduction import AreaRows, Reduction, make_rows


class TwoTimeReducer:
    """Two-time correlation maps of `size` × `size` pixels, from frames as they arrive.

    Parameters
    ----------
    partition : Partition
    n_frames : int or None
        Number of frames to come; None for an open-ended run, which only the reduction "area" allows.
    size : int
        Rows of the map.
    reduction : {"area", "gaussian", "decimate"}
        See `reduction_operator`.
    sigma : float, optional
        Width for "gaussian", in frames; 2 in the paper.
    diagonal : {"poisson", "neighbour", "raw"}
        Values at t1 = t2: without shot noise, the mean of the two neighbours, or as measured.
    normalization : {"smoothed", "paper", "symmetric"}
        How counts become fluctuations: divided by S(q) of each static sub-bin and by the mean of the frame, by the time
        mean alone, or by the mean of the frame alone.
    valid : array_like of bool, shape (n_frames,), optional
        False for frames to leave out. A frame without a photon in a bin is always left out of that bin.
    dtype : {"float32", "float64"}
        Type of the accumulated rows and the maps.

    Attributes
    ----------
    n_pushed : int
        Frames so far, including missing ones.
    sums : Sums
        Sums of each frame; rows beyond `n_pushed` are zero.

    Raises
    ------
    ValueError
        If an option is unknown or does not fit.

    Notes
    -----
    If the number of frames is announced, the map of all of them is exactly R C2 Rᵀ with R the reduction. The map of an
    open-ended run, or of a part of a run, is exactly R C2 Rᵀ too, with an R (`operator`) that differs from the area
    mean at the borders of the map's cells. Frames are summed in rows that double in length when all are full: 1 to 2
    rows for a cell if T is announced, 2 to 4 in an open-ended run. A row crossed by a border is shared between both
    cells in proportion to its length. Both maps agree to rounding if no border crosses a row: in an open-ended run of
    up to 4 size frames, or of size times a power of two, and at a half, a quarter … of an announced one. Otherwise the
    map is that of a slightly longer shutter. For a sample that relaxes over 5 rows of the map, exp(-2 Δ / 5), the error
    is .13 % of the contrast rms and at most 3.5 % next to the diagonal, and .4 % and 7 % for a part of an announced
    run; it is smaller, in proportion, for a slower sample.
    """

    def __init__(
        self,
        partition: Partition,
        n_frames: int | None,
        *,
        size: int = 256,
        reduction: Reduction = "area",
        sigma: float | None = None,
        diagonal: Diagonal = "poisson",
        normalization: Normalization = "smoothed",
        valid: ArrayLike | None = None,
        dtype: Precision = "float32",
    ) -> None:
        check_choice("diagonal", diagonal, Diagonal)
        check_choice("normalization", normalization, Normalization)
        check_choice("dtype", dtype, Precision)
        self.partition, self.size = partition, size
        self.n_frames = None if n_frames is None else int(n_frames)
        self.diagonal: Diagonal = diagonal
        self.normalization: Normalization = normalization
        self._rows = make_rows(reduction, self.n_frames, size, sigma)
        if valid is not None and self.n_frames is None:
            raise ValueError("valid needs n_frames; in an open-ended run, give it to push")
        capacity = self._rows.n_rows if self.n_frames is None else self.n_frames
        self._valid = check_valid(valid, capacity)
        self.n_pushed = 0
        self.sums = Sums.empty(capacity, partition, neighbours=diagonal == "neighbour", dtype=dtype)
        self._reduced = np.zeros((self._rows.n_rows, len(partition.pixels)), dtype)
        self._last = np.zeros(len(partition.pixels), dtype)
        self._good = np.ones(len(partition.pixels), bool)
        self._n_pixels = partition.n_pixels

    @property
    def operator(self) -> sp.csr_array:
        """R, (size, n_pushed), which reduces the frames so far to the rows of the map."""
        return self._rows.operators(self.n_pushed)[1]

    @property
    def rows(self) -> NDArray:
        """Counts of each pixel, summed over a few frames each, (n, n_pixels); zero in rows without a frame."""
        return self._reduced

    def push(self, frames: NDArray, *, first: int | None = None, valid: ArrayLike | None = None) -> None:
        """Add the next frames.

        Parameters
        ----------
        frames : ndarray, shape (b, ny, nx) or (b, n_pixels)
            Counts, whole frames or already gathered in the order of ``partition.pixels``; any block size.
        first : int, optional
            Index of the first of them in the run, from 0. Skipped frames are missing and left out.
        valid : array_like of bool, shape (b,), optional
            False for frames to leave out.

        Raises
        ------
        ValueError
            If the frames do not fit, are more than announced, repeat earlier ones, or hold negative or non-finite
            numbers.
        """
        block = check_counts(self.partition.gather(frames))
        begin = self._admit(len(block), first, valid)
        if len(block) == 0:
            return
        p, sums, end = self.partition, self.sums, self.n_pushed
        accumulate(
            block, self._last, begin, self._valid[begin:end], self.normalization == "paper",
            np.flatnonzero(~self._good), p.static_edges, p.static_roi, self._n_pixels, *self._rows.columns(begin, end),
            self._reduced, sums.counts, sums.squares, sums.products,
        )  # fmt: skip

    def leave_out(self, pixels: ArrayLike) -> None:
        """Leave pixels out of the maps, as if they had been masked from the first frame.

        Exact before the first frame, and for a pixel whose share of its bin's counts has been constant, such as a dead
        one. Otherwise a pixel's share of a frame is taken from the rows that the frame was added to, so that each row
        is exact in the mean over its pixels.

        Parameters
        ----------
        pixels : array_like of int
            Positions in ``partition.pixels``.
        """
        new = np.unique(np.asarray(pixels, dtype=np.int64))
        new = new[self._good[new]]
        sub = np.searchsorted(self.partition.static_edges, new, "right") - 1
        if self.n_pushed and new.size:
            self._take_out(new, sub)
        self._good[new] = False
        self.sums.pixels[0] -= np.bincount(sub, minlength=self.sums.pixels.shape[1])
        self._n_pixels = per_bin(self.sums.pixels, self.partition)[0].astype(np.int64)
        self._last[new] = 0

    def _take_out(self, pixels: NDArray[np.int64], sub: NDArray[np.int64]) -> None:
        """Take pixels, of these static sub-bins, out of rows and sums.

        A column of R D is zeroed for each pixel. The other columns were divided by the mean of a bin that included it,
        and are rescaled to the mean without it. The pixel's share of the sums of a frame is estimated by its share of
        the rows that the frame went into, with Poisson fluctuations.
        """
        n_frames, partition, sums = self.n_pushed, self.partition, self.sums
        by_frame = self._rows.by_frame(n_frames)
        by_frame.data *= self._valid[by_frame.indices]
        reduced, weight = self._reduced[: by_frame.shape[0]], by_frame.sum(0)
        edges = np.append(0, np.cumsum(partition.n_pixels))
        for k in np.unique(partition.static_roi[sub]):
            bin_ = slice(edges[k], edges[k + 1])
            mine, mine_sub = (x[partition.static_roi[sub] == k] for x in (pixels, sub))
            rows = reduced[:, bin_]
            before, n_before = rows.sum(1, dtype=float), self._good[bin_].sum()
            share = _ratio(reduced[:, mine].astype(float), before[:, None])
            reduced[:, mine] = 0
            if self.normalization != "paper":
                now = _ratio(before, rows.sum(1, dtype=float)) * (n_before - len(mine)) / n_before
                rows *= now.astype(reduced.dtype)[:, None]
            share_of_frame = _ratio(by_frame.T @ share, weight[:, None])
            total = sums.counts[:n_frames, partition.static_roi == k].sum(1, dtype=float)
            for j, s in zip(mine_sub, share_of_frame.T, strict=True):
                counts = s * total
                sums.counts[:n_frames, j] -= counts
                if len(sums.squares):
                    sums.squares[:n_frames, j] -= counts + counts**2
                    sums.products[1:n_frames, j] -= counts[1:] * counts[:-1]

    def _admit(self, n: int, first: int | None, valid: ArrayLike | None) -> int:
        """Make room for `n` frames and return the index of the first."""
        begin = self.n_pushed if first is None else int(first)
        end = begin + n
        if begin < self.n_pushed:
            raise ValueError(f"frame {begin} was pushed before: the next is {self.n_pushed}")
        if self.n_frames is not None and end > self.n_frames:
            raise ValueError(f"frame {end} was pushed, {self.n_frames} were announced")
        keep = check_valid(valid, n)
        while end > self._rows.capacity:
            assert isinstance(self._rows, AreaRows)  # the others know their frames
            half = self._rows.n_rows // 2
            self._rows.double()
            for r in range(half):  # in place
                np.add(self._reduced[2 * r], self._reduced[2 * r + 1], out=self._reduced[r])
            self._reduced[half:] = 0
        while end > len(self._valid):
            self.sums = self.sums.doubled()
            self._valid = np.append(self._valid, np.ones_like(self._valid))
        self._valid[begin:end] &= keep
        self.n_pushed = end
        return begin

    def maps(self, *, partial: bool = False) -> NDArray:
        """Return the two-time correlation maps, (n_roi, size, size), baseline 1.

        Rows without a valid frame are NaN, and so are bins whose pixels are all left out.

        Parameters
        ----------
        partial : bool
            Whether to make maps before all announced frames have arrived, for a run that was aborted or still goes on.
            They span the frames so far; see the notes above.

        Raises
        ------
        ValueError
            If frames are missing and `partial` is False (only "area" allows partial maps), or no frame holds a photon.
        """
        n = self.n_pushed
        if self.n_frames not in (None, n) and not partial:
            raise ValueError(f"{n} of {self.n_frames} frames have arrived; maps(partial=True) maps these")
        to_map, operator = self._rows.operators(n)
        p = self.partition
        sums = self.sums.first(n)
        scale = scales(sums, p, self.normalization, self._valid[:n])
        if not scale.valid.any():
            raise ValueError(f"no valid frame with a photon in the {p.n_roi} bins")
        diagonal = diagonal_correction(sums, p, scale, self.diagonal)
        weight = operator @ scale.valid
        n_pixels = self._n_pixels
        with np.errstate(divide="ignore"):
            renormalise = np.where((weight > 1e-9) & (n_pixels > 0), 1 / weight, np.nan)
        pixel_scale = np.repeat(scale.sub, np.diff(p.static_edges)).astype(self._reduced.dtype)
        dtype = self._reduced.dtype
        to_map, per_row = to_map.astype(dtype), (renormalise / np.sqrt(np.maximum(n_pixels, 1))).astype(dtype)
        edges = np.append(0, np.cumsum(p.n_pixels))
        out = np.empty((p.n_roi, self.size, self.size), dtype)
        with one_thread:  # on products this small more threads are slower
            for k, c2 in enumerate(out):
                bin_ = slice(edges[k], edges[k + 1])
                bin_rows = to_map @ self._reduced[: to_map.shape[1], bin_]
                bin_rows *= pixel_scale[bin_]
                bin_rows *= per_row[:, k, None]
                np.matmul(bin_rows, bin_rows.T, out=c2)
        for away in range(self.size):
            # R diag(v) Rᵀ, diagonal by diagonal, until rows share no frame
            shared = operator[: self.size - away].multiply(operator[away:])
            if shared.nnz == 0:
                break
            i = np.arange(self.size - away)
            values = ((shared @ diagonal) * renormalise[i] * renormalise[i + away]).T
            out[:, i, i + away] += values
            if away:
                out[:, i + away, i] += values
        return out


def _ratio(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x / y, 0 where y is not positive."""
    return np.divide(x, y, out=np.zeros(np.broadcast_shapes(x.shape, y.shape)), where=y > 0)
