"""A partition in parts, for workers that share one run."""

import numpy as np

from ainerd.xpcs._normalize import Normalization, check_choice
from ainerd.xpcs._partition import Partition


def split(partition: Partition, n: int, *, normalization: Normalization = "smoothed") -> list[Partition]:
    """Parts of a partition, each with some whole bins, numbered from 1, and about as many pixels.

    Maps and g2 of the parts, one after the other along the first axis, are those of the whole partition: the same
    numbers, but for the rounding of float64 in what is added to the diagonal of a map. A bin is not cut: each frame is
    scaled by its mean over all pixels of a bin before it is added up with others.

    Parameters
    ----------
    partition : Partition
    n : int
        The most parts; there are fewer where bins are few or large.
    normalization : {"smoothed", "paper", "symmetric"}
        What the maps will be made with. "paper" pools a static label over all bins that hold it, so that only between
        rings that share none can a partition be split for it.

    Raises
    ------
    ValueError
        If `n` is not positive, or the normalisation unknown.
    """
    if n < 1:
        raise ValueError(f"a partition is split into at least one part, got {n}")
    check_choice("normalization", normalization, Normalization)
    cuts = np.arange(1, partition.n_roi)  # bins from 0 that a part may begin with
    if normalization == "paper":
        roi, label = partition.static_roi, partition.static_label
        cuts = np.array([k for k in cuts if not np.intersect1d(label[roi < k], label[roi >= k]).size], int)
    edges = [0, partition.n_roi]
    if cuts.size:
        before = np.cumsum(partition.n_pixels)[cuts - 1]
        wanted = partition.n_pixels.sum() * np.arange(1, n)[:, None] / n
        edges += cuts[np.abs(before - wanted).argmin(1)].tolist()
    edges = sorted(set(edges))
    return [_bins(partition, first, last) for first, last in zip(edges[:-1], edges[1:], strict=True)]


def _bins(partition: Partition, first: int, last: int) -> Partition:
    """The partition of bins first to last - 1, from 0."""
    roi_map = partition.roi_map - first
    used = (roi_map > 0) & (roi_map <= last - first)
    return Partition(
        roi_map=np.where(used, roi_map, 0),
        static_map=np.where(used, partition.static_map, 0),
        q=partition.q[first:last],
        phi=partition.phi[first:last],
        static_q=partition.static_q,
    )
