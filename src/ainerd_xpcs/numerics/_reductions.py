"""Reductions of two-time maps: which rows a frame is added to while it arrives, and how rows become a map."""

from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ainerd_xpcs.numerics._partition import Floats, check_choice

Reduction = Literal["area", "gaussian", "decimate"]
# (indptr, rows, weights): frame b is added to rows[indptr[b]:indptr[b + 1]], with these weights
Columns = tuple[NDArray[np.int64], NDArray[np.int64], Floats]
ROWS, OPEN_ROWS = 2, 4  # rows for each row of the map, in an announced and in an open-ended run
MOST_AT_ONCE = 1_000_000  # frames of reductions whose weights are all in memory


def reduction_operator(kind: Reduction, n_frames: int, size: int, sigma: float | None = None) -> sp.csr_array:
    """Return R of one reduction, (size, n_frames), whose rows sum to 1; raise ValueError for impossible arguments.

    "area": mean over the frames that each map pixel covers. "gaussian": the paper's Gaussian of `sigma` frames followed
    by linear interpolation, as ``skimage.transform.resize(order=1, anti_aliasing_sigma=sigma)`` does. "decimate": that
    interpolation alone.

    Examples
    --------
    >>> reduction_operator("area", 5, 2).toarray()  # the third frame belongs to both halves
    array([[0.4, 0.4, 0.2, 0. , 0. ],
           [0. , 0. , 0.2, 0.4, 0.4]])
    """
    check_reduction(kind, n_frames, size, sigma)
    if kind == "area":  # time in 1/size of a frame
        return _overlap(np.arange(size + 1) * n_frames, np.arange(n_frames + 1) * size) / n_frames
    interpolation = _interpolate(n_frames, size)
    return interpolation if sigma is None else (interpolation @ _blur(n_frames, sigma)).tocsr()


def check_reduction(kind: Reduction, n_frames: int, size: int, sigma: float | None) -> None:
    """Raise ValueError for arguments of `reduction_operator` that are impossible."""
    if n_frames < 2 or size < 1:
        raise ValueError(f"a reduction needs at least 2 frames and a size of at least 1, got {n_frames} and {size}")
    if (kind == "gaussian") != (sigma is not None):
        raise ValueError(f"sigma belongs to reduction 'gaussian' and to it alone, got {kind!r} with sigma={sigma}")
    if sigma is not None and sigma <= 0:
        raise ValueError(f"sigma must be positive, got {sigma}")
    check_choice("reduction", kind, Reduction)
    if kind != "area" and n_frames > MOST_AT_ONCE:
        raise ValueError(
            f"reduction {kind!r} takes at most {MOST_AT_ONCE} frames, got {n_frames}: 'area' takes any number"
        )


def _overlap(cells: NDArray[np.int64], bins: NDArray[np.int64]) -> sp.csr_array:
    """Return the overlap of each interval between two `cells` with each between two `bins`, (n_cells, n_bins).

    Both hold increasing borders with the same first and last value; they are whole numbers, so nothing is rounded.
    """
    edges = np.union1d(cells, bins)
    rows = np.searchsorted(cells, edges[:-1], "right") - 1
    cols = np.searchsorted(bins, edges[:-1], "right") - 1
    return sp.csr_array((np.diff(edges).astype(float), (rows, cols)), (len(cells) - 1, len(bins) - 1))


def _interpolate(n_frames: int, size: int) -> sp.csr_array:
    # pixel-centre grid of ndimage.zoom(grid_mode=True)
    u = np.clip((np.arange(size) + 0.5) * n_frames / size - 0.5, 0, n_frames - 1)
    left = np.minimum(u.astype(int), n_frames - 2)
    rows = np.tile(np.arange(size), 2)
    return sp.csr_array((np.r_[1 - (u - left), u - left], (rows, np.r_[left, left + 1])), (size, n_frames))


def _blur(n_frames: int, sigma: float) -> sp.csr_array:
    # ndimage.gaussian_filter1d(mode="mirror", truncate=4)
    offsets = np.arange(-int(4 * sigma + 0.5), int(4 * sigma + 0.5) + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    period = 2 * (n_frames - 1)
    cols = np.abs(np.arange(n_frames)[:, None] + offsets).ravel() % period
    cols = np.where(cols >= n_frames, period - cols, cols)
    rows = np.repeat(np.arange(n_frames), offsets.size)
    return sp.csr_array((np.tile(weights / weights.sum(), n_frames), (rows, cols)), (n_frames, n_frames))


class MapRows:
    """The rows of the map itself, for reductions that cannot be split into finer rows."""

    def __init__(self, operator: sp.csr_array) -> None:
        self._operator = operator
        self.n_rows, self.capacity = operator.shape
        self._by_frame = by_frame = operator.tocsc()
        self._columns = by_frame.indptr.astype(np.int64), by_frame.indices.astype(np.int64), by_frame.data

    def columns(self, first: int, last: int) -> Columns:
        """Return the rows of frames first to last - 1."""
        indptr, *rest = self._columns
        return indptr[first : last + 1], *rest

    def columns_at(self, frames: NDArray[np.int64]) -> Columns:
        """Return the rows of these frames."""
        some = self._by_frame[:, frames]
        return some.indptr.astype(np.int64), some.indices.astype(np.int64), some.data

    def to_map(self, n_frames: int) -> sp.csr_array:
        """Return the operator from rows to the map."""
        if n_frames != self.capacity:
            raise ValueError(f"{n_frames} of {self.capacity} frames have arrived; only 'area' maps a part of a run")
        return sp.eye_array(self.n_rows, format="csr")

    def operators(self, n_frames: int) -> tuple[sp.csr_array, sp.csr_array]:
        """Return the operators (rows to map, frames to map)."""
        return self.to_map(n_frames), self._operator

    def by_frame(self, n_frames: int) -> sp.csr_array:
        """Return the weight of each frame so far in each row, (n_rows, n_frames)."""
        return self._operator[:, :n_frames].tocsr()


class AreaRows:
    """Sums over rows of equal length, which double in length when all are full.

    A map of any number of frames can be made of them: a row inside one cell of the map belongs to it with all its
    frames, a row crossed by a border is shared in proportion. With T announced there are 2 size rows, of
    T / (2 size) frames at the end and of T / (2 size 2^k), just above one, at the beginning (and size rows for
    T < 2 size), so the map of all T is the exact area mean. Without T, there are 4 size rows that begin with one frame.

    Time is counted in 1/unit of a frame, which makes all borders whole numbers.
    """

    def __init__(self, n_frames: int | None, size: int) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.size = size
        finer = OPEN_ROWS if n_frames is None else min(max(n_frames // size, 1), ROWS)
        self.n_rows = finer * size
        if n_frames is None:
            self.length = self.unit = self.n_rows
        else:
            self.length, self.unit = n_frames, self.n_rows << max((n_frames // self.n_rows).bit_length() - 1, 0)

    @property
    def capacity(self) -> int:
        """Frames that the rows hold before they double."""
        return self.n_rows * self.length // self.unit

    def columns(self, first: int, last: int) -> Columns:
        """Return the rows of frames first to last - 1."""
        return self.columns_at(np.arange(first, last))

    def columns_at(self, frames: NDArray[np.int64]) -> Columns:
        """Return the rows of these frames."""
        begin = frames * self.unit
        lowest = begin // self.length
        touched = (begin + self.unit - 1) // self.length - lowest + 1
        indptr = np.append(0, np.cumsum(touched))
        rows = np.arange(indptr[-1]) + np.repeat(lowest - indptr[:-1], touched)
        begin = np.repeat(begin, touched)
        shared = np.minimum(begin + self.unit, (rows + 1) * self.length) - np.maximum(begin, rows * self.length)
        return indptr, rows, shared / self.unit

    def operator_at(self, to_map: sp.csr_array, frames: NDArray[np.int64]) -> sp.csr_array:
        """Return the operator from these frames to the rows of the map that `to_map`, (n, n_rows), makes."""
        indptr, rows, weights = self.columns_at(frames)
        return (to_map @ sp.csc_array((weights, rows, indptr), (to_map.shape[1], len(frames))).tocsr()).tocsr()

    def to_map(self, n_frames: int) -> sp.csr_array:
        """Return the operator from rows to the map, after `n_frames`."""
        if n_frames < 2:
            raise ValueError(f"a map needs at least 2 frames, got {n_frames}")
        end, rows = self._borders(n_frames)
        cells = np.arange(self.size + 1) * (end // self.size)
        to_map = _overlap(cells, rows)
        to_map.data *= self.size / n_frames / np.diff(rows)[to_map.indices]
        return to_map

    def operators(self, n_frames: int) -> tuple[sp.csr_array, sp.csr_array]:
        """Return the operators (rows to map, frames to map) after `n_frames`."""
        to_map = self.to_map(n_frames)
        return to_map, (to_map @ self.by_frame(n_frames)).tocsr()

    def by_frame(self, n_frames: int) -> sp.csr_array:
        """Return the weight of each frame so far in each row in use, (n, n_frames)."""
        _, rows = self._borders(n_frames)
        return _overlap(rows, np.arange(n_frames + 1) * self.unit) / self.unit

    def frames_of(self, first: int, last: int) -> tuple[int, int]:
        """Return the frames, first and end, that are in rows `first` to `last` - 1."""
        return first * self.length // self.unit, -(-last * self.length // self.unit)

    def _borders(self, n_frames: int) -> tuple[int, NDArray[np.int64]]:
        end = n_frames * self.unit
        return end, np.append(np.arange(0, end, self.length), end)
