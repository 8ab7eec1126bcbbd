"""Regimes from embeddings whose noise is known."""

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage


def regimes_at(noise: float, embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
    """Group embeddings (n, e) that noise does not tell apart, (n,), numbered by first appearance.

    Average linkage, cut at `noise`: the distance that 99 in 100 pairs of exposures of one regime stay below. A cut
    at the calibrated noise finds small regimes that a cut relative to the distances at hand does not.
    """
    if len(embeddings) < 2:
        return np.zeros(len(embeddings), dtype=np.int64)
    groups = fcluster(linkage(embeddings, "average"), noise, "distance")
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return first.argsort().argsort()[inverse]
