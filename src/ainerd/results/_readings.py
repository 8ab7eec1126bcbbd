"""Readings that runs recorded, whether results keep them or not."""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tiled.client.container import Container


def run_readings(run: Container, names: Collection[str]) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Read scalars of a run.

    Returns
    -------
    values : dict of str to ndarray, shape (n,)
        Of those names that the run has: the values of each event of the first stream that has it, ``primary`` first;
        of the baseline only the first.
    known : list of str
        The names of all scalars in the run.
    """
    streams = dict(Container(run.context, item=run.item, structure_clients=run.structure_clients).items())
    values, known = dict[str, NDArray[Any]](), list[str]()
    for stream in sorted(streams, key=lambda name: name != "primary"):
        keys = streams[stream].metadata.get("data_keys") or {}
        scalars = [name for name, about in keys.items() if not about.get("shape")]
        known += [name for name in scalars if name not in known]
        if wanted := [name for name in scalars if name in names and name not in values]:
            data = streams[stream].read(wanted)
            rows = slice(1 if stream == "baseline" else None)
            values |= {name: np.ravel(data[name].values)[rows] for name in wanted if data[name].size}
    return values, known
