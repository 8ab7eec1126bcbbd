"""The reduced two-time correlation, exact and in one pass.

Resizing is linear and separable, so the resized C2 = D Dᵀ/N is (R D)(R D)ᵀ/N: each frame is added into the few rows
of R D it touches and then forgotten. Memory and the work after the last frame do not grow with the number of frames,
but for three sums of each frame and static sub-bin.
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from ainerd.threads import one_thread
from ainerd.xpcs._counts import Sums, accumulate, accumulate_events, check_counts
from ainerd.xpcs._leave_out import take_out
from ainerd.xpcs._normalize import Diagonal, Normalization, check_choice, diagonal_correction, per_bin, scales
from ainerd.xpcs._operators import Reduction
from ainerd.xpcs._partition import Partition
from ainerd.xpcs._rows import AreaRows, make_rows


class TwoTimeReducer:
    """Two-time correlation maps of `size` × `size` from frames as they come.

    Parameters
    ----------
    partition : Partition
    n_frames : int or None
        Frames that will come; None for an open-ended run, which reduction "area" alone can take.
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

    Attributes
    ----------
    n_pushed : int
        Frames that have gone by, missing ones included.
    sums : Sums
        Of the frames; rows beyond `n_pushed` are zero.

    Raises
    ------
    ValueError
        If an option is unknown or does not fit.

    Notes
    -----
    With the number of frames announced, the map of all of them is R C2 Rᵀ with R the reduction, exactly. The map of an
    open-ended run, or of a part of a run, is R C2 Rᵀ just as exactly, with an R (`operator`) that differs from the area
    mean at the borders of the map's cells. The frames are kept in rows that double in length when all are full: 1 to 2
    of them to a cell when T is announced, 2 to 4 in an open-ended run; a row that a border runs through is shared
    between both cells in proportion to its length. The two agree to rounding where no border runs through a row: in an
    open-ended run of up to 4 size frames, or of size times a power of two, and at a half, a quarter … of an announced
    one. Otherwise the map is that of a slightly longer shutter. Of a sample that relaxes over 5 rows of the map,
    exp(-2 Δ / 5), it is off by 0.13 % of the contrast rms and 3.5 % next to the diagonal at most, and by 0.4 % and 7 %
    for a part of an announced run; by less, in proportion, where the sample is slower.
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
        dtype: str = "float32",
    ) -> None:
        check_choice("diagonal", diagonal, Diagonal)
        check_choice("normalization", normalization, Normalization)
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
        self.partition, self.size = partition, size
        self.n_frames = None if n_frames is None else int(n_frames)
        self.diagonal: Diagonal = diagonal
        self.normalization: Normalization = normalization
        self._rows = make_rows(reduction, self.n_frames, size, sigma)
        capacity = self._rows.n_rows if self.n_frames is None else self.n_frames
        self._valid = np.ones(capacity, bool)
        if valid is not None:
            keep = np.asarray(valid, dtype=bool)
            if keep.shape != (self.n_frames,):
                wanted = f"({self.n_frames},); open-ended, give it to push"
                raise ValueError(f"valid has shape {keep.shape}, wanted {wanted}")
            self._valid = keep.copy()
        self.n_pushed = 0
        self.sums = Sums.empty(capacity, partition, neighbours=diagonal == "neighbour", dtype=dtype)
        self._reduced = np.zeros((self._rows.n_rows, len(partition.pixels)), dtype)
        self._last = np.zeros(len(partition.pixels), dtype)
        self._good = np.ones(len(partition.pixels), bool)
        self._n_pixels = partition.n_pixels

    @property
    def operator(self) -> sp.csr_array:
        """R, (size, n_pushed): what reduces the frames that have come to the rows of the map."""
        return self._rows.operators(self.n_pushed)[1]

    @property
    def rows(self) -> NDArray:
        """Counts of each pixel added up over a few frames at a time, (n, n_pixels); zero where none has come."""
        return self._reduced

    def push(self, frames: NDArray, *, first: int | None = None, valid: ArrayLike | None = None) -> None:
        """Add the next frames.

        Parameters
        ----------
        frames : ndarray, shape (b, ny, nx) or (b, n_pixels)
            Counts, whole frames or already gathered in the order of ``partition.pixels``; any block size.
        first : int, optional
            Index of the first of them in the run, from 0. Frames that it passes over are missing and left out.
        valid : array_like of bool, shape (b,), optional
            False for frames to leave out.

        Raises
        ------
        ValueError
            If the frames do not fit, are more than announced, have come before, or hold negative or non-finite numbers.
        """
        block = check_counts(self.partition.gather(frames))
        begin = self._admit(len(block), first, valid)
        if len(block) == 0:
            return
        p = self.partition
        accumulate(
            block, self._last, begin, self._valid[begin : self.n_pushed], self.normalization == "paper",
            np.flatnonzero(~self._good), p.static_edges, *self._where(begin),
        )  # fmt: skip

    def push_events(self, events: sp.csr_array, *, first: int | None = None, valid: ArrayLike | None = None) -> None:
        """Add the next frames as events, with the options and errors of `push`.

        `events`, (b, n_pixels), are counts by frame and pixel, in the order of ``partition.pixels``; of whole frames
        (b, ny * nx), those are ``events[:, partition.pixels]``.
        """
        if not sp.issparse(events) or events.format != "csr" or events.shape[1] != len(self.partition.pixels):
            raise ValueError(
                f"events must be a scipy CSR array (b, {len(self.partition.pixels)}) of gathered pixels, got "
                f"{type(events).__name__} of shape {np.shape(events)}"
            )
        if not events.has_canonical_format:
            events = events.copy()
            events.sum_duplicates()
        count, pixel = check_counts(events.data), events.indices
        begin = self._admit(events.shape[0], first, valid)
        count = np.where(self._good[pixel], count, 0).astype(self._reduced.dtype)
        p = self.partition
        sub = np.repeat(np.arange(len(p.static_roi)), np.diff(p.static_edges))
        accumulate_events(
            events.indptr, pixel, count, self._last, begin, self._valid[begin : self.n_pushed],
            self.normalization == "paper", sub, *self._where(begin),
        )  # fmt: skip

    def leave_out(self, pixels: ArrayLike) -> None:
        """Leave pixels out of the maps, as if they had been masked from the first frame.

        Exact if no frame has been pushed, and for a pixel whose share of its bin's counts has been constant, such as a
        dead one. Otherwise each row that the frames were added up in is exact in the mean over its pixels; see
        `ainerd.xpcs._leave_out`.

        Parameters
        ----------
        pixels : array_like of int
            Positions in ``partition.pixels``.
        """
        new = np.unique(np.asarray(pixels, dtype=np.int64))
        new = new[self._good[new]]
        if self.n_pushed and new.size:
            by_frame = self._rows.by_frame(self.n_pushed)
            by_frame.data *= self._valid[by_frame.indices]
            rows = self._reduced[: by_frame.shape[0]]
            take_out(new, self._good, rows, by_frame, self.sums, self.partition, self.normalization == "paper")
        elif new.size:
            self._good[new] = False
            sub = np.searchsorted(self.partition.static_edges, new, "right") - 1
            self.sums.pixels[0] -= np.bincount(sub, minlength=self.sums.pixels.shape[1])
        self._n_pixels = per_bin(self.sums.pixels, self.partition)[0].astype(np.int64)
        self._last[new] = 0

    def _admit(self, n: int, first: int | None, valid: ArrayLike | None) -> int:
        """Make room for `n` frames and say which the first is."""
        begin = self.n_pushed if first is None else int(first)
        end = begin + n
        if begin < self.n_pushed:
            raise ValueError(f"frame {begin} has come before: the next is {self.n_pushed}")
        if self.n_frames is not None and end > self.n_frames:
            raise ValueError(f"frame {end} came, {self.n_frames} were announced")
        keep = np.ones(n, bool) if valid is None else np.asarray(valid, dtype=bool)
        if keep.shape != (n,):
            raise ValueError(f"valid has shape {keep.shape}, wanted ({n},)")
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

    def _where(self, begin: int) -> tuple[NDArray, ...]:
        """What the kernels want to know of frames from `begin` on."""
        p, sums = self.partition, self.sums
        columns = self._rows.columns(begin, self.n_pushed)
        return p.static_roi, self._n_pixels, *columns, self._reduced, sums.counts, sums.squares, sums.products

    def maps(self, *, partial: bool = False) -> NDArray:
        """Two-time correlation maps (n_roi, size, size), baseline 1.

        Rows without a single valid frame are NaN, and bins whose pixels are all left out.

        Parameters
        ----------
        partial : bool
            Whether the frames that have come are enough though more were announced: the maps of a run that was
            aborted, or of one that still goes on. They span the frames that have come; see the notes above.

        Raises
        ------
        ValueError
            If frames are missing and the map is not to be a partial one (which "area" alone can give), or no frame
            holds a photon.
        """
        n = self.n_pushed
        if self.n_frames not in (None, n) and not partial:
            raise ValueError(f"{n} of {self.n_frames} frames have come; maps(partial=True) takes them for the whole")
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
        with one_thread:  # more cost more than they bring on products this small
            for k, c2 in enumerate(out):
                bin_ = slice(edges[k], edges[k + 1])
                bin_rows = to_map @ self._reduced[: to_map.shape[1], bin_]
                bin_rows *= pixel_scale[bin_]
                bin_rows *= per_row[:, k, None]
                np.matmul(bin_rows, bin_rows.T, out=c2)
        for away in range(self.size):
            # R diag(v) Rᵀ, diagonal by diagonal: rows so far apart share no frame
            shared = operator[: self.size - away].multiply(operator[away:])
            if shared.nnz == 0:
                break
            i = np.arange(self.size - away)
            values = ((shared @ diagonal) * renormalise[i] * renormalise[i + away]).T
            out[:, i, i + away] += values
            if away:
                out[:, i + away, i] += values
        return out
