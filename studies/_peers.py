"""What others compute, from the same gathered frames: their own code where it installs, else their algorithm."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from ainerd.xpcs import Partition

Peer = Callable[[NDArray, Partition], NDArray]


def gemm(frames: NDArray, partition: Partition) -> NDArray:
    """Full C2 by one float32 product a bin, the Poisson diagonal, skimage's resize: as one writes it with NumPy."""
    edges = np.append(0, np.cumsum(partition.n_pixels))
    out = np.empty((partition.n_roi, 256, 256), np.float32)
    t = np.arange(len(frames))
    for k, c2 in enumerate(out):
        d = frames[:, edges[k] : edges[k + 1]].astype(np.float32)
        mean = d.mean(1, keepdims=True)
        full = (d / mean) @ (d / mean).T / d.shape[1]
        full[t, t] -= 1 / mean[:, 0]
        c2[:] = resize(full, (256, 256), order=1, anti_aliasing=True, anti_aliasing_sigma=2.0)
    return out


def boost_corr(frames: NDArray, partition: Partition) -> NDArray:
    """`TwotimeCorrelator` of boost_corr, on the CPU: full T × T and their diagonal means, the last bin's map.

    It is on no package index; with a checkout's ``src`` on PYTHONPATH it is found.
    """
    import torch
    from boost_corr.twotime import TwotimeCorrelator

    edges = np.append(0, np.cumsum(partition.n_pixels))
    slices = {
        "dq_idx": np.arange(partition.n_roi),
        "dq_slc": [slice(a, b) for a, b in pairwise(edges)],
        "sq_idx": np.arange(len(partition.static_roi)),
        "sq_slc": [slice(a, b) for a, b in pairwise(partition.static_edges)],
    }
    correlator = TwotimeCorrelator(slices, len(frames), det_size=(1, frames.shape[1]))
    correlator.process(torch.from_numpy(frames.astype(np.float32)))
    correlator.post_processing("sqmap")
    c2 = np.empty(0)
    for result in correlator.get_twotime_generator():
        for name, array in result.items():
            if name.startswith("correlation_map"):
                c2 = array
    return c2


def boost_corr_algorithm(frames: NDArray, partition: Partition) -> NDArray:
    """The bare algorithm of boost_corr in torch: what its correlator does less copies and diagonal means.

    Each frame is divided by the mean of each static bin; one product a bin; symmetric normalisation. Full T × T, the
    last bin's.
    """
    import torch

    edges = np.append(0, np.cumsum(partition.n_pixels))
    sub = np.repeat(np.arange(len(partition.static_roi)), np.diff(partition.static_edges))
    index, n_sub = torch.from_numpy(sub), len(partition.static_roi)
    size = torch.from_numpy(np.diff(partition.static_edges)).float()
    x = torch.from_numpy(frames.astype(np.float32))
    mean = torch.zeros(len(x), n_sub).index_add_(1, index, x) / size
    x = x / mean.clamp(min=1e-9)[:, index]
    for k in range(partition.n_roi):
        d = x[:, edges[k] : edges[k + 1]]
        c2 = d @ d.T / d.shape[1]
        s = d.mean(1)
        c2 /= s[:, None] * s[None]
    return c2.numpy()


def pychx(frames: NDArray, partition: Partition) -> NDArray:
    """`auto_two_Arrayc` of pyCHX, full T × T; its frames are float64 (as its `Get_Pixel_Array` gives them)."""
    from pyCHX.chx_correlationc import auto_two_Arrayc

    return auto_two_Arrayc(frames.astype(np.float64), _as_image(partition))


def scikit_beam(frames: NDArray, partition: Partition) -> NDArray:
    """`two_time_corr` of scikit-beam, one level, full T × T."""
    from skbeam.core.correlation import two_time_corr

    labels = _as_image(partition)
    images = frames.reshape(len(frames), *labels.shape)
    return two_time_corr(labels, images, len(frames), len(frames), num_levels=1).g2


def scikit_beam_multi_tau(frames: NDArray, partition: Partition) -> NDArray:
    """`multi_tau_auto_corr` of scikit-beam, 16 channels, (n_lags, n_roi)."""
    from skbeam.core.correlation import multi_tau_auto_corr

    labels = _as_image(partition)
    levels = int(np.ceil(np.log2(len(frames) / 16))) + 1
    return multi_tau_auto_corr(levels, 16, labels, frames.reshape(len(frames), *labels.shape))[0]


def _as_image(partition: Partition) -> NDArray[np.int64]:
    """Labels of the gathered pixels as an image of one row a bin (bins of equal size)."""
    return np.repeat(np.arange(1, partition.n_roi + 1), partition.n_pixels).reshape(partition.n_roi, -1)
