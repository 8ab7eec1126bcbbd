"""How counts become fluctuations D = I / (S_q a(t)) and what stands on the diagonal.

All of it needs only the sums over each static sub-bin and frame, so it can be settled after the frames have gone by.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.xpcs._counts import Sums
from ainerd.xpcs._partition import Partition

Diagonal = Literal["poisson", "neighbour", "raw"]
Normalization = Literal["smoothed", "paper", "symmetric"]


def check_choice(name: str, value: str, choices: object) -> None:
    """Raise ValueError unless `value` is one of the literals in `choices`."""
    if value not in get_args(choices):
        raise ValueError(f"no {name} {value!r}: there are {', '.join(map(repr, get_args(choices)))}")


@dataclass(frozen=True)
class Scales:
    """Factors that turn counts of one bin into D: D[t, p] = frame[t] * sub[j(p)] * I[t, p].

    `frame`, (T, n_roi), is 0 where the frame is not `valid` in that bin; `sub` is (n_sub,).
    """

    frame: NDArray[np.float64]
    sub: NDArray[np.float64]
    valid: NDArray[np.bool_]


def per_bin(values: NDArray, partition: Partition, weights: ArrayLike = 1.0) -> NDArray:
    """Weighted sums over each bin, (T, n_roi), of what is known for the static sub-bins, (T, n_sub)."""
    member = partition.static_roi[:, None] == np.arange(partition.n_roi)
    return values @ (member * np.reshape(weights, (-1, 1)))  # one product: a (T, n_sub) of its own would be large


def scales(
    sums: Sums, partition: Partition, normalization: Normalization, valid: NDArray[np.bool_] | None = None
) -> Scales:
    """Factors of a normalisation, with frames without a photon in a bin left out of it.

    ``smoothed``: I / (S_q a(t)), S_q the time mean of a static sub-bin, a(t) = ΣI / ΣS_q over the bin. ``symmetric``:
    S_q constant over the bin (scikit-beam, pychx). ``paper``: the time mean over all pixels of a static label, in
    whatever bin, and no factor of the frame (Horwath et al. 2024).
    """
    total = per_bin(sums.counts, partition)
    good = total > 0
    if valid is not None:
        good = good & valid[:, None]
    roi, size = partition.static_roi, sums.pixels[-1]
    kept = good[:, roi]
    seen = np.einsum("tj,tj->j", kept, np.broadcast_to(sums.pixels, kept.shape))
    mean_sub = np.einsum("tj,tj->j", kept, sums.counts) * _inverse(seen)
    if normalization == "paper":
        label = np.unique(partition.static_label, return_inverse=True)[1]
        mean = np.bincount(label, mean_sub * size)[label] * _inverse(np.bincount(label, size)[label])
        return Scales(good.astype(float), _inverse(mean), good)
    mean_bin = np.bincount(roi, mean_sub * size, partition.n_roi) * _inverse(np.bincount(roi, size, partition.n_roi))
    frame = np.where(good, per_bin(sums.pixels, partition) * _inverse(total), 0)
    sub = np.ones(len(roi)) if normalization == "symmetric" else mean_bin[roi] * _inverse(mean_sub)
    return Scales(frame, sub, good)


def diagonal_correction(sums: Sums, partition: Partition, scale: Scales, diagonal: Diagonal) -> NDArray[np.float64]:
    """What to add to C2(t, t) as it comes out of the counts, (T, n_roi).

    ``poisson``: <I(I - 1)>, which takes a counter's shot noise off exactly. ``neighbour``: the mean of C2(t, t ± 1),
    as pyXpcsViewer does. ``raw``: nothing.
    """
    frame = scale.frame
    if diagonal == "raw":
        return np.zeros_like(frame)
    per_pixel = _inverse(per_bin(sums.pixels, partition))
    if diagonal == "poisson":
        return -per_bin(sums.counts, partition, scale.sub**2) * per_pixel * frame**2
    squares, products = (per_bin(x, partition, scale.sub**2) * per_pixel for x in (sums.squares, sums.products))
    before = np.zeros_like(frame)
    before[1:] = products[1:] * frame[1:] * frame[:-1]
    after = np.vstack([before[1:], np.zeros_like(before[:1])])
    has_before = np.zeros_like(scale.valid)
    has_before[1:] = scale.valid[1:] & scale.valid[:-1]
    has_after = np.vstack([has_before[1:], np.zeros_like(has_before[:1])])
    neighbours = has_before.astype(int) + has_after
    mean = (before + after) / np.maximum(neighbours, 1)
    return np.where(neighbours > 0, mean - squares * frame**2, 0)


def _inverse(x: NDArray) -> NDArray[np.float64]:
    return np.divide(1.0, x, out=np.zeros(np.shape(x)), where=np.asarray(x) > 0)
