"""The reduced two-time correlation beside other codes: one thread each, frames in memory, in one run.

run        speed against other codes, and growth with T: eighteen bins of 570 pixels in four static rings, half a photon
           a pixel and frame. The others return the full T × T without a resize, which is in their favour; only `gemm`
           resizes.
deviation  largest difference from the resized full map, and memory beside the frames
noise      variance of the noise of sparse frames: rows of the map that are normalised as a whole, and g2 whose pairs of
           frames have the weight of their photons, against frames that are normalised one by one
"""

import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, pairwise, repeat

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from skimage.transform import resize
from threadpoolctl import threadpool_limits

from ainerd_xpcs import MultiTau, Partition, reduction_operator, two_time
from studies._movies import BLOCK, reduced
from studies._tools import Row, Study, report, seconds
from tests.weighted import full_map

Peer = Callable[[NDArray, Partition], NDArray]

study = Study(__doc__)


@study.part
def run(quick: bool = False) -> None:
    """Measure, with smaller T if ``--quick``."""
    import torch

    warnings.simplefilter("ignore")  # those of the peers
    torch.set_num_threads(1)
    with threadpool_limits(1):
        report("two_time", speed(quick), least={"ratio": 20.0}, threads=1)
        report("two_time_growth", growth(quick), most={"against linear": 1.2}, threads=1)


@study.part
def deviation() -> None:
    """Measure the largest difference from R C Rᵀ, C being the full C2, and the peak of memory."""
    report("two_time_deviation", deviations(), most={"deviation": "allowed"})
    report("two_time_memory", memory(), most={"extra memory (MB)": 40.0})


@study.part
def noise(quick: bool = False) -> None:
    """Measure the noise of sparse frames, with fewer bins if ``--quick``."""
    with threadpool_limits(1):
        rows = track(noise_of_maps(20 if quick else 100), "noise", transient=True)
        report("two_time_noise", rows, most={"rows / smallest": 1.05, "g2: ours / smallest": 1.25})


def noise_of_maps(n_bins: int) -> Iterator[Row]:
    """Yield the variance of the noise of 64 × 64 maps of 2560 frames, of bins of 570 pixels, and of g2 at 15 lags.

    The smallest is that of all pairs of photons: the pixels over the photons of both rows, or over the sum of the
    products of the photons of both frames.
    """
    n, n_frames, size, lags = 570, 2560, 64, range(1, 16)
    one, rows = Partition.from_roi_map(np.ones((1, n), int)), reduction_operator("area", n_frames, size).toarray()
    far, rng = np.triu_indices(size, 8), np.random.default_rng(0)
    for photons in (0.57, 2, 10, 100, 10_000):
        ours, single, least = (np.empty((n_bins, far[0].size)) for _ in range(3))
        g2s, g2s_single, g2s_least = (np.empty((n_bins, len(lags))) for _ in range(3))
        for k in range(n_bins):
            counts = rng.poisson(photons / n, (n_frames, n)).astype(np.uint16)
            light = counts.sum(1, dtype=float)
            weight = rows * (light > 0)
            weight /= weight.sum(1, keepdims=True)
            full = two_time(counts, one)[0]
            g2s_single[k] = [np.nanmean(np.diagonal(full, lag)) for lag in lags]
            single[k] = (weight @ np.nan_to_num(full) @ weight.T)[far]
            ours[k] = two_time(counts, one, size=size)[0][far]
            of_rows = rows @ light * n_frames / size
            least[k] = n / (of_rows[far[0]] * of_rows[far[1]])
            live = MultiTau(one)
            live.push(counts)
            g2s[k] = live.result().value[0, : len(lags)]
            g2s_least[k] = [n / (light[lag:] @ light[:-lag]) for lag in lags]
        yield {
            "photons a bin and frame": photons,
            "frame by frame / rows": variance(single) / variance(ours),
            "rows / smallest": variance(ours) / least.mean(),
            "g2: frame by frame / ours": variance(g2s_single) / variance(g2s),
            "g2: ours / smallest": variance(g2s) / g2s_least.mean(),
        }


def variance(x: NDArray[np.float64]) -> float:
    """Return the variance over elements about the mean of each bin, (n_bins, m)."""
    return float(x.var(1).mean())


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


def in_blocks(movie: NDArray) -> Iterator[NDArray]:
    """Yield the blocks of a movie."""
    for start in range(0, len(movie), BLOCK):
        yield movie[start : start + BLOCK]


def speed(quick: bool) -> Iterator[Row]:
    """Yield a row for each method and T; the ratio is to ours at the same T."""
    where, n = partition(), 1000 if quick else 5000
    movie = frames(n)
    reduced(in_blocks(movie[:100]), where, 100)  # compiles
    plan: list[tuple[str, Peer, int]] = [
        ("float32 GEMM + resize", gemm, n),
        ("boost_corr TwotimeCorrelator, CPU", boost_corr, n),
        ("pychx auto_two_Arrayc", pychx, n),
        ("scikit-beam two_time_corr", scikit_beam, 100 if quick else 500),
    ]
    for name, peer, t in track(plan, "peers", transient=True):
        ours = partial(lambda t: reduced(in_blocks(movie[:t]), where, t), t)
        before = seconds(ours, 5)
        try:
            theirs = seconds(partial(peer, movie[:t], where))
        except ImportError as err:
            print(f"{name} is not installed: {err}")
            theirs = np.nan
        best = min(before, seconds(ours, 5))
        yield {"what": name, "T": t, "theirs (s)": theirs, "ours (s)": best, "ratio": theirs / best}


def growth(quick: bool) -> Iterator[Row]:
    """Yield the time by T, of a movie that is repeated."""
    where, blocks = partition(), list(in_blocks(frames(500)))  # gathered once, so that the loop times the reducer alone
    first = None
    for t in (1000, 2000, 5000) if quick else (1000, 2000, 5000, 10_000, 20_000):
        took = seconds(partial(lambda t: reduced(chain.from_iterable(repeat(blocks, t // 500)), where, t), t), 3)
        first = first or took / t
        yield {"T": t, "ours (s)": took, "µs a frame": 1e6 * took / t, "against linear": took / t / first}


def deviations() -> Iterator[Row]:
    """Yield the largest difference from R C Rᵀ, C being the full C2; frames count by their photons in the bin."""
    rings = np.tile(np.arange(570) // 57 + 1, (2, 1))
    where = Partition.from_roi_map(np.repeat([1, 2], 570).reshape(2, 570), static_map=rings)
    movie, operator = frames(700)[:, :1140], reduction_operator("area", 700, 256).toarray()
    photons = movie.reshape(700, 2, 570).sum(2, dtype=float).T[:, None]  # of each bin and frame
    weighted = operator * photons / (operator @ photons.swapaxes(1, 2))
    for dtype, allowed in {"float32": 5e-6, "float64": 2e-14}.items():
        ours = reduced(in_blocks(movie), where, 700, dtype=dtype)
        full = full_map(movie.reshape(700, 2, 570), where)
        truth = weighted @ full @ np.swapaxes(weighted, -1, -2)
        yield {"dtype": dtype, "deviation": float(np.abs(ours - truth).max()), "allowed": allowed}


def memory() -> Iterator[Row]:
    """Yield the peak of memory that a reduction allocates beside its frames."""
    some = frames(500)
    reduced(in_blocks(some), partition(), 500)  # compiles
    for t in (1000, 5000):
        movie = np.tile(some, (t // 500, 1))
        tracemalloc.start()
        reduced(in_blocks(movie), partition(), t)
        yield {"T": t, "extra memory (MB)": tracemalloc.get_traced_memory()[1] / 1e6}
        tracemalloc.stop()


def gemm(frames: NDArray, partition: Partition) -> NDArray:
    """Return the full C2 by one float32 product a bin, the Poisson diagonal and skimage's resize, as plain NumPy."""
    out = np.empty((partition.n_roi, 256, 256), np.float32)
    for c2, bin_ in zip(out, bins(partition), strict=True):
        d = frames[:, bin_].astype(np.float32)
        mean = d.mean(1, keepdims=True)
        full = (d / mean) @ (d / mean).T / d.shape[1]
        full[np.diag_indices(len(d))] -= 1 / mean[:, 0]
        c2[:] = resize(full, (256, 256), order=1, anti_aliasing=True, anti_aliasing_sigma=2.0)
    return out


def boost_corr(frames: NDArray, partition: Partition) -> NDArray:
    """Run `TwotimeCorrelator` of boost_corr on the CPU: full T × T and their diagonal means, the last bin's map.

    The package index has it for Python 3.12 and later; the ``src`` of a checkout on PYTHONPATH serves for all.
    """
    import torch
    from boost_corr.twotime import TwotimeCorrelator

    static = [slice(a, b) for a, b in pairwise(partition.static_edges)]
    slices = {
        "dq_idx": np.arange(partition.n_roi), "dq_slc": bins(partition),
        "sq_idx": np.arange(len(static)), "sq_slc": static,
    }  # fmt: skip
    correlator = TwotimeCorrelator(slices, len(frames), det_size=(1, frames.shape[1]))
    correlator.process(torch.from_numpy(frames.astype(np.float32)))
    correlator.post_processing("sqmap")
    maps = [a for each in correlator.get_twotime_generator() for name, a in each.items() if "correlation_map" in name]
    return maps[-1]


def pychx(frames: NDArray, partition: Partition) -> NDArray:
    """Run `auto_two_Arrayc` of pyCHX, full T × T, on float64 frames as its `Get_Pixel_Array` makes them."""
    from pyCHX.chx_correlationc import auto_two_Arrayc

    return auto_two_Arrayc(frames.astype(np.float64), as_image(partition))


def scikit_beam(frames: NDArray, partition: Partition) -> NDArray:
    """Run `two_time_corr` of scikit-beam, one level, full T × T."""
    from skbeam.core.correlation import two_time_corr

    labels, n = as_image(partition), len(frames)
    return two_time_corr(labels, frames.reshape(n, *labels.shape), n, n, num_levels=1).g2


def bins(partition: Partition) -> list[slice]:
    """Return where the gathered pixels of each bin are."""
    return [slice(a, b) for a, b in pairwise(np.append(0, np.cumsum(partition.n_pixels)))]


def as_image(partition: Partition) -> NDArray[np.int64]:
    """Return the labels of the gathered pixels as an image of one row a bin (bins of equal size)."""
    return np.repeat(np.arange(1, partition.n_roi + 1), partition.n_pixels).reshape(partition.n_roi, -1)


if __name__ == "__main__":
    study()
