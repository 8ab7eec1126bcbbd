"""Which results are like one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ainerd.server.pages._short import ShortResult

NEAREST = 8


def nearest(key: str, results: Sequence[ShortResult]) -> list[dict[str, Any]]:
    """Results of the same agent and parameters by their distance in the latent space."""
    me = next((r for r in results if r.key == key), None)
    if me is None or me.embedding is None:
        return []
    alike = [
        r
        for r in results
        if r is not me
        and (r.agent, r.digest) == (me.agent, me.digest)
        and r.embedding is not None
        and r.embedding.size == me.embedding.size
    ]
    if not alike:
        return []
    distance = np.sqrt(((np.stack([r.embedding for r in alike]) - me.embedding) ** 2).sum(axis=1))
    order = np.argsort(distance, kind="stable")[:NEAREST]
    return [{"key": alike[i].key, "scan": alike[i].scan, "distance": float(distance[i])} for i in order]
