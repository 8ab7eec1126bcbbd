"""How counts become fluctuations D = I / (S_q a(t)) and what stands on the diagonal.

All of it needs only sums over each static sub-bin and frame: S = ΣI, Q = ΣI², P = ΣI_t I_{t-1}. So it can be settled
after the frames have gone by.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ainerd.xpcs._partition import Partition

Diagonal = Literal["poisson", "neighbour", "raw"]
Normalization = Literal["smoothed", "paper", "symmetric"]


def check_choice(name: str, value: str, choices: object) -> None:
    """Raise ValueError unless `value` is one of the literals in `choices`."""
    if value not in get_args(choices):
        raise ValueError(f"no {name} {value!r}: there are {', '.join(map(repr, get_args(choices)))}")


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Sums over the pixels of each static sub-bin, frame by frame, each (T, n_sub)."""

    counts: NDArray[np.float64]
    squares: NDArray[np.float64]
    products: NDArray[np.float64]

    @classmethod
    def empty(cls, n_frames: int, n_sub: int) -> "Sums":
        """Room for `n_frames`."""
        return cls(**{name: np.zeros((n_frames, n_sub)) for name in ("counts", "squares", "products")})

    @classmethod
    def of(cls, counts: NDArray, partition: Partition) -> "Sums":
        """Sums of frames in memory, gathered (T, n_pixels)."""
        starts = partition.static_edges[:-1]
        sums = cls.empty(len(counts), len(starts))
        previous = np.zeros(counts.shape[1])
        for t, row in enumerate(counts):
            now = row.astype(np.float64)
            sums.counts[t] = np.add.reduceat(now, starts)
            sums.squares[t] = np.add.reduceat(now * now, starts)
            sums.products[t] = np.add.reduceat(now * previous, starts)
            previous = now
        return sums


@dataclass(frozen=True)
class Scales:
    """Factors that turn counts of one bin into D: D[t, p] = frame[t] * sub[j(p)] * I[t, p].

    Attributes
    ----------
    frame : ndarray, shape (T, n_roi)
        0 where the frame is not valid in that bin.
    sub : ndarray, shape (n_sub,)
    valid : ndarray of bool, shape (T, n_roi)
    """

    frame: NDArray[np.float64]
    sub: NDArray[np.float64]
    valid: NDArray[np.bool_]


def bin_counts(counts: NDArray[np.float64], partition: Partition) -> NDArray[np.float64]:
    """Photons of each frame in each bin, (T, n_roi), from those in the static sub-bins, (T, n_sub)."""
    starts = np.searchsorted(partition.static_roi, np.arange(partition.n_roi))
    return np.add.reduceat(counts, starts, axis=1)


def scales(
    counts: NDArray[np.float64],
    partition: Partition,
    normalization: Normalization,
    valid: NDArray[np.bool_] | None,
) -> Scales:
    """Factors of a normalisation, with frames without a photon in a bin left out of it.

    ``smoothed``: I / (S_q a(t)), S_q the time mean of a static sub-bin, a(t) = ΣI / ΣS_q over the bin. ``symmetric``:
    S_q constant over the bin (scikit-beam, pychx). ``paper``: the time mean over the whole static ring and no factor
    of the frame (Horwath et al. 2024).
    """
    total = bin_counts(counts, partition)
    good = total > 0
    if valid is not None:
        good = good & valid[:, None]
    roi, n_sub = partition.static_roi, np.diff(partition.static_edges)
    frames = np.maximum(good.sum(0), 1)
    mean_sub = np.where(good[:, roi], counts, 0).sum(0) / frames[roi] / n_sub
    if normalization == "paper":
        ring = partition.static_ring
        mean = np.bincount(ring, mean_sub * n_sub)[ring] / np.bincount(ring, n_sub)[ring]
        return Scales(good.astype(float), _inverse(mean), good)
    mean_bin = np.bincount(roi, mean_sub * n_sub, partition.n_roi) / partition.n_pixels
    frame = np.where(good, partition.n_pixels * _inverse(total), 0)
    sub = np.ones(len(roi)) if normalization == "symmetric" else mean_bin[roi] * _inverse(mean_sub)
    return Scales(frame, sub, good)


def diagonal_correction(sums: Sums, partition: Partition, scale: Scales, diagonal: Diagonal) -> NDArray[np.float64]:
    """What to add to C2(t, t) as it comes out of the counts, (T, n_roi).

    ``poisson``: <I(I - 1)>, which takes a counter's shot noise off exactly. ``neighbour``: the mean of C2(t, t ± 1),
    as pyXpcsViewer does. ``raw``: nothing.
    """
    c2, frame = _per_bin(sums.squares, partition, scale), scale.frame
    if diagonal == "raw":
        return np.zeros_like(frame)
    if diagonal == "poisson":
        return -_per_bin(sums.counts, partition, scale) * frame**2
    before = np.zeros_like(frame)
    before[1:] = _per_bin(sums.products, partition, scale)[1:] * frame[1:] * frame[:-1]
    after = np.vstack([before[1:], np.zeros_like(before[:1])])
    has_before = np.zeros_like(scale.valid)
    has_before[1:] = scale.valid[1:] & scale.valid[:-1]
    has_after = np.vstack([has_before[1:], np.zeros_like(has_before[:1])])
    neighbours = has_before.astype(int) + has_after
    mean = (before + after) / np.maximum(neighbours, 1)
    return np.where(neighbours > 0, mean - c2 * frame**2, 0)


def _per_bin(sums: NDArray[np.float64], partition: Partition, scale: Scales) -> NDArray[np.float64]:
    return bin_counts(sums * scale.sub**2, partition) / partition.n_pixels


def _inverse(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(1.0, x, out=np.zeros_like(x), where=x > 0)
