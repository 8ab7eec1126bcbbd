"""Two-time maps of one long run, on workers of Dask: each computes those of some bins."""

from pathlib import Path

import numpy as np
from distributed import Client

from ainerd.documents import FrameReader
from ainerd_xpcs import Partition, TwoTimeReducer

partition, path = Partition.load("qmap.h5"), Path("/data/movie.h5")


def maps_of(part, path, n_frames):
    """Return the two-time maps of some bins, (n, 256, 256)."""
    reader = FrameReader(path, "entry/data/data", part.pixels, part.shape)
    reducer = TwoTimeReducer(part, n_frames)
    for block in reader.blocks(0, n_frames):
        reducer.push(block)
    return reducer.maps()


with Client("tcp://scheduler.example.org:8786") as cluster:
    bins = np.array_split(np.arange(1, partition.n_roi + 1), 8)
    parts = cluster.map(maps_of, [partition.only(some) for some in bins], path=path, n_frames=100_000)
    maps = np.concatenate(cluster.gather(parts))  # (n_roi, 256, 256), bin k at maps[k - 1]
