"""The reduced two-time correlation beside other codes: one thread each, frames in memory, in one run.

Eighteen bins of 570 pixels in four static rings, half a photon a pixel and frame. The others return the full T × T
without a resize, which is in their favour; only `gemm` resizes.
"""

import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from skimage.transform import resize
from threadpoolctl import threadpool_limits

from ainerd.xpcs import Partition, TwoTimeReducer, g2, reduction_operator, two_time
from studies._tools import Row, Study, report, seconds

BLOCK = 50
Peer = Callable[[NDArray, Partition], NDArray]

study = Study(__doc__)


@study.part
def run(quick: bool = False) -> None:
    """Measure, with smaller T if ``--quick``."""
    import torch

    warnings.simplefilter("ignore")  # those of the peers
    torch.set_num_threads(1)
    with threadpool_limits(1):
        report("two_time", speed(quick), threads=1)
        report("two_time_growth", growth(quick), threads=1)
    report("two_time_deviation", deviation())
    report("two_time_memory", memory())


def partition() -> Partition:
    """Return eighteen bins of 570 pixels in four static rings, as `Partition.annular` cuts them."""
    roi_map = np.repeat(np.arange(1, 19), 570).reshape(18, 570)
    return Partition.from_roi_map(roi_map, static_map=np.tile(np.arange(570) // 143 + 1, (18, 1)))


def frames(n_frames: int, photons: float = 0.5) -> NDArray[np.uint16]:
    """Return speckle that decorrelates within a tenth of the run, in a flickering beam; gathered, (n_frames, 10260)."""
    rng = np.random.default_rng(0)
    field, keep = rng.normal(size=(2, 18 * 570)).astype(np.float32), np.exp(-10 / n_frames)
    out = np.empty((n_frames, 18 * 570), np.uint16)
    for t, row in enumerate(out):
        field = keep * field + np.float32(np.sqrt(1 - keep**2)) * rng.standard_normal(field.shape, np.float32)
        row[:] = rng.poisson((field**2).sum(0) * (0.5 * photons * (1 + 0.15 * np.sin(t / 7))))
    return out


def reduced(blocks: Iterator[NDArray], where: Partition, n_frames: int, **options: Any) -> NDArray:
    """Return the maps of blocks of frames."""
    reducer = TwoTimeReducer(where, n_frames, **options)
    for block in blocks:
        reducer.push(block)
    return reducer.maps()


def in_blocks(movie: NDArray) -> Iterator[NDArray]:
    """Yield the blocks of a movie."""
    for start in range(0, len(movie), BLOCK):
        yield movie[start : start + BLOCK]


def speed(quick: bool) -> list[Row]:
    """Return a row for each method and T; the ratio is to ours at the same T."""
    where, rows = partition(), []
    n = 1000 if quick else 5000
    movie = frames(n)
    reduced(in_blocks(movie[:100]), where, 100)  # compiles
    plan: list[tuple[str, Peer, int]] = [
        ("float32 GEMM + resize", gemm, n),
        ("boost_corr TwotimeCorrelator, CPU", boost_corr, n),
        ("boost_corr's bare algorithm, torch", boost_corr_algorithm, n),
        ("pychx auto_two_Arrayc", pychx, n),
        ("scikit-beam two_time_corr", scikit_beam, 100 if quick else 500),
    ]
    for name, peer, t in track(plan, "peers", transient=True):
        rows.append(
            beside(name, t, partial(peer, movie[:t], where), lambda t=t: reduced(in_blocks(movie[:t]), where, t))
        )
    lags = frames(1000) if quick else movie
    peer = partial(scikit_beam_multi_tau, lags, where)
    rows.append(beside("g2: scikit-beam multi-tau", len(lags), peer, lambda: g2(lags, where)))
    return rows


def beside(name: str, t: int, peer: Callable[[], Any], ours: Callable[[], Any]) -> Row:
    """Return the times of a peer, which may be missing, and of ours before and after it."""
    best = seconds(ours, 5)
    try:
        theirs = seconds(peer)
    except ImportError as err:
        print(f"{name} is not installed: {err}")
        theirs = np.nan
    best = min(best, seconds(ours, 5))
    return {"what": name, "T": t, "theirs (s)": theirs, "ours (s)": best, "ratio": theirs / best}


def growth(quick: bool) -> list[Row]:
    """Return the time by T, of a movie that is repeated."""
    where, movie, rows = partition(), frames(500), []
    for t in (1000, 2000, 5000) if quick else (1000, 2000, 5000, 10_000, 20_000):
        blocks = list(in_blocks(movie))  # gathered once, so that the loop times the reducer alone
        passes = t // len(movie)

        def run(blocks: list[NDArray] = blocks, passes: int = passes, t: int = t) -> NDArray:
            return reduced((x for _ in range(passes) for x in blocks), where, t)

        took = seconds(run, 3)
        rows.append(
            {
                "T": t,
                "ours (s)": took,
                "µs a frame": 1e6 * took / t,
                "against linear": took / t / (rows[0]["ours (s)"] / 1000) if rows else 1.0,
            }
        )
    return rows


def deviation() -> list[Row]:
    """Return the largest difference from skimage on the full C2, from R C Rᵀ, and of g2 from the diagonals."""
    where = Partition.from_roi_map(
        np.repeat([1, 2], 570).reshape(2, 570), static_map=np.tile(np.arange(570) // 57 + 1, (2, 1))
    )
    rows: list[Row] = []
    movie = frames(700)[:, :1140]
    for dtype in ("float32", "float64"):
        worst = dict.fromkeys(("gaussian", "area", "decimate"), 0.0)
        for diagonal in ("poisson", "neighbour", "raw"):
            for normalization in ("smoothed", "paper", "symmetric"):
                options: dict[str, Any] = {"diagonal": diagonal, "normalization": normalization}
                full = two_time(movie, where, dtype="float64", **options)
                for kind in worst:
                    sigma = 2.0 if kind == "gaussian" else None
                    ours = reduced(in_blocks(movie), where, 700, reduction=kind, sigma=sigma, dtype=dtype, **options)
                    operator = reduction_operator(kind, 700, 256, sigma).toarray()  # type: ignore[arg-type]
                    truth = (
                        [resize(c, (256, 256), order=1, anti_aliasing=True, anti_aliasing_sigma=2.0) for c in full]
                        if kind == "gaussian"
                        else operator @ full @ operator.T
                    )
                    worst[kind] = max(worst[kind], float(np.abs(ours - truth).max()))
        rows += [{"what": f"{kind}, worst of 9", "dtype": dtype, "deviation": value} for kind, value in worst.items()]
    full = two_time(movie, where, dtype="float64")
    truth = np.array([[np.diagonal(c, lag).mean() for lag in range(1, 700)] for c in full])
    rows.append({"what": "g2, all lags", "dtype": "", "deviation": float(np.abs(g2(movie, where).value - truth).max())})
    return rows


def memory() -> list[Row]:
    """Return the peak of memory that a reduction allocates beside its frames."""
    where, rows = partition(), []
    reduced(in_blocks(frames(100)), where, 100)  # compiles
    for t in (1000, 5000):
        movie = frames(t)
        tracemalloc.start()
        reduced(in_blocks(movie), where, t)
        rows.append({"T": t, "extra memory (MB)": tracemalloc.get_traced_memory()[1] / 1e6})
        tracemalloc.stop()
    return rows


def gemm(frames: NDArray, partition: Partition) -> NDArray:
    """Return the full C2 by one float32 product a bin, the Poisson diagonal and skimage's resize, as plain NumPy."""
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
    """Run `TwotimeCorrelator` of boost_corr on the CPU: full T × T and their diagonal means, the last bin's map.

    It is on no package index: put the ``src`` of a checkout on PYTHONPATH.
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
    """Run the bare algorithm of boost_corr in torch: its correlator without copies and diagonal means.

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
    """Run `auto_two_Arrayc` of pyCHX, full T × T, on float64 frames as its `Get_Pixel_Array` makes them."""
    from pyCHX.chx_correlationc import auto_two_Arrayc

    return auto_two_Arrayc(frames.astype(np.float64), _as_image(partition))


def scikit_beam(frames: NDArray, partition: Partition) -> NDArray:
    """Run `two_time_corr` of scikit-beam, one level, full T × T."""
    from skbeam.core.correlation import two_time_corr

    labels = _as_image(partition)
    images = frames.reshape(len(frames), *labels.shape)
    return two_time_corr(labels, images, len(frames), len(frames), num_levels=1).g2


def scikit_beam_multi_tau(frames: NDArray, partition: Partition) -> NDArray:
    """Run `multi_tau_auto_corr` of scikit-beam, 16 channels, (n_lags, n_roi)."""
    from skbeam.core.correlation import multi_tau_auto_corr

    labels = _as_image(partition)
    levels = int(np.ceil(np.log2(len(frames) / 16))) + 1
    return multi_tau_auto_corr(levels, 16, labels, frames.reshape(len(frames), *labels.shape))[0]


def _as_image(partition: Partition) -> NDArray[np.int64]:
    """Return the labels of the gathered pixels as an image of one row a bin (bins of equal size)."""
    return np.repeat(np.arange(1, partition.n_roi + 1), partition.n_pixels).reshape(partition.n_roi, -1)


if __name__ == "__main__":
    study()
