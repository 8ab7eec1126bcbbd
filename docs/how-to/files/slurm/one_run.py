"""C2 and g2 of one long run, on workers of Dask: each computes those of some bins."""

from pathlib import Path

import numpy as np
from distributed import Client

from ainerd.documents import FrameReader
from ainerd_xpcs import MultiTau, Partition, TwoTimeReducer


def correlated(bins, n_frames=100_000):
    """Return the two-time maps of some bins, (n, 256, 256), and g2 with its errors, (n, n_lags)."""
    part = Partition.load("qmap.h5").only(bins)
    reader = FrameReader(Path("/data/movie.h5"), "entry/data/data", part.pixels, part.shape)
    reducer, correlator = TwoTimeReducer(part, n_frames), MultiTau(part)
    for block in reader.blocks(0, n_frames):
        reducer.push(block)
        correlator.push(block)
    g2 = correlator.result()
    return reducer.maps(), g2.value, g2.error


with Client("tcp://scheduler.example.org:8786") as cluster:
    bins = np.arange(1, Partition.load("qmap.h5").n_roi + 1)
    parts = cluster.gather(cluster.map(correlated, np.array_split(bins, 8)))
    c2, g2, g2_err = map(np.concatenate, zip(*parts, strict=True))  # bin k is at k - 1
