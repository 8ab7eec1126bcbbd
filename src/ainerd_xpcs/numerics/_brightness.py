"""Static sub-bins of equal brightness, for partitions that come without any, such as labels of regions."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._partition import Floats, Partition

SEEN = 4.0  # variance that a gradient explains, in that by which chance would explain it
STEP = 0.05  # of the brightness, in a sub-bin
FEWEST_PIXELS = 25  # of a sub-bin
ODD = 0.05, 20.0  # of the median: darker and brighter pixels are dead and hot
FEWEST_COUNTS = 20.0  # of a pixel in the mean, with which a dead one is known


def by_brightness(partition: Partition, counts: Floats) -> Partition:
    """Return a partition whose bins are cut where the brightness of the smoothed mean frame differs.

    The mean frame is smoothed by a parabola in row and column for each bin. Pixels of like brightness are one static
    sub-bin, so that a gradient inside a bin adds no baseline to C2 and g2. A bin without a gradient stays whole.

    Parameters
    ----------
    partition : Partition
        Without static sub-bins.
    counts : ndarray, shape (n_pixels,)
        Sum of some frames, in the order of ``partition.pixels``.

    Returns
    -------
    Partition
        The same one, if no bin has a gradient. Otherwise its `pixels` have another order.

    Examples
    --------
    >>> bright = np.repeat(np.linspace(1, 3, 40), 40)  # from row to row
    >>> counts = np.random.default_rng(0).poisson(100 * bright)
    >>> len(by_brightness(Partition.from_roi_map(np.ones((40, 40), int)), counts).static_roi)
    18
    """
    static, edges = np.ones(partition.roi_map.size, np.int32), partition.static_edges
    for begin, end in zip(edges, edges[1:], strict=False):
        static[partition.pixels[begin:end]] = 1 + _cut(partition, partition.pixels[begin:end], counts[begin:end])
    if (static == 1).all():
        return partition
    return replace(partition, static_map=np.where(partition.roi_map > 0, static.reshape(partition.shape), 0))


def _cut(partition: Partition, pixels: NDArray[np.int64], counts: Floats) -> NDArray[np.int64]:
    """Return the number of the sub-bin, from 0, of each pixel of a bin."""
    known, middle = np.isfinite(counts), float(np.nanmedian(counts))
    if middle > FEWEST_COUNTS:
        known &= (counts > ODD[0] * middle) & (counts < ODD[1] * middle)
    n, level = np.count_nonzero(known), float(counts[known].mean()) if known.any() else 0.0
    place = np.stack(np.divmod(pixels, partition.shape[1])).astype(float)
    place = (place - place.mean(1, keepdims=True)) / np.maximum(place.std(1, keepdims=True), 1e-9)
    basis = np.stack([np.ones(len(pixels)), *place, *place**2, place[0] * place[1]], axis=1)
    if n < 2 * FEWEST_PIXELS or not level > 0:
        return np.zeros(len(pixels), np.int64)
    smooth = basis @ np.linalg.lstsq(basis[known], counts[known], rcond=None)[0]
    chance = ((counts - smooth)[known] ** 2).sum() / (n - basis.shape[1]) * (basis.shape[1] - 1)
    if not ((smooth - level)[known] ** 2).sum() > SEEN * chance:
        return np.zeros(len(pixels), np.int64)
    low, high = np.quantile(smooth[known], [0.05, 0.95])
    n_sub = min(int(np.ceil((high - low) / level / STEP)), int(n) // FEWEST_PIXELS)
    order = np.argsort(np.argsort(smooth, kind="stable"))
    return np.asarray(order * n_sub // len(pixels))
