"""Regimes by their points, and what p-values say against it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.novelty._regimes import mean_by
from ainerd.novelty._tree import tree_of

CLOSE = 2 / 3  # of the width: what 19 in 20 pairs of one regime stay below
BETWEEN = 1.4  # widths from a regime, up to where a lone run may be of it after all


@dataclass(frozen=True)
class Settled:
    """Labels (n,), -1 unassigned; and which novel runs nothing but their p-value tells from known ones of a regime."""

    labels: NDArray[np.int64]
    not_told_apart: NDArray[np.bool_]


def settled(z: ArrayLike, labels: ArrayLike, novel: ArrayLike, *, width: float) -> Settled:
    """What p-values change of the regimes that points alone give.

    A novel run does not take the label of a regime that holds runs that are not, unless it lies as near to these as
    runs of one regime do: then the points do not tell them apart, and it is said. Novel runs that are taken out are
    regimes of their own. A lone run that is not novel, and is hardly farther from a regime than its own would be, is
    unassigned: one more exposure tells.

    Parameters
    ----------
    z : array_like, shape (n, d)
    labels : array_like of int, shape (n,)
        Regimes by points alone.
    novel : array_like, shape (n,)
        1 where a run is novel, 0 where it is not, -1 where nothing is claimed.
    width : float
        Distance that two runs of one regime seldom exceed.
    """
    z, novel = np.asarray(z, dtype=float), np.asarray(novel)
    out, close = np.array(labels, dtype=np.int64), np.zeros(len(z), dtype=bool)
    fresh = int(out.max(initial=-1)) + 1
    for regime in np.unique(out[(novel == 1) & (out >= 0)]):
        known, new = (np.flatnonzero((out == regime) & ((novel == 1) == is_new)) for is_new in (False, True))
        if not known.size:
            continue
        apart = mean_by(z[new], z[known], [slice(None)])[:, 0] > CLOSE * width
        close[new[~apart]] = True
        gone = new[apart]
        if gone.size:
            out[gone] = fresh - 1 + tree_of(z[gone], width).groups(width)
            fresh = int(out.max()) + 1
    size = np.bincount(out[out >= 0], minlength=1)
    alone = np.flatnonzero((novel == 0) & (out >= 0) & (size[np.maximum(out, 0)] == 1))
    larger = np.flatnonzero((out >= 0) & (size[np.maximum(out, 0)] > 1))
    if alone.size and larger.size:
        mean = mean_by(z[alone], z[larger], [out[larger] == k for k in np.unique(out[larger])])
        out[alone[mean.min(1) <= BETWEEN * width]] = -1
    return Settled(out, close)
