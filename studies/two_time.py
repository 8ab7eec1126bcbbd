"""The reduced two-time correlation against every peer: one thread each, frames in memory, in one run.

Eighteen bins of 570 pixels in four static rings, half a photon a pixel and frame. Peers give the full T × T without
a resize, which is in their favour; only `gemm` resizes.
"""

import argparse
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from skimage.transform import resize
from threadpoolctl import threadpool_limits

from ainerd.xpcs import Partition, TwoTimeReducer, g2, reduction_operator, two_time
from studies import _peers
from studies._report import report

BLOCK = 50


def partition() -> Partition:
    """Eighteen bins of 570 pixels in four static rings, as `Partition.annular` cuts them."""
    roi_map = np.repeat(np.arange(1, 19), 570).reshape(18, 570)
    return Partition.from_roi_map(roi_map, static_map=np.tile(np.arange(570) // 143 + 1, (18, 1)))


def frames(n_frames: int, photons: float = 0.5) -> NDArray[np.uint16]:
    """Speckle that forgets within a tenth of the run, in a beam that flickers; gathered, (n_frames, 10260)."""
    rng = np.random.default_rng(0)
    field, keep = rng.normal(size=(2, 18 * 570)).astype(np.float32), np.exp(-10 / n_frames)
    out = np.empty((n_frames, 18 * 570), np.uint16)
    for t, row in enumerate(out):
        field = keep * field + np.float32(np.sqrt(1 - keep**2)) * rng.standard_normal(field.shape, np.float32)
        row[:] = rng.poisson((field**2).sum(0) * (0.5 * photons * (1 + 0.15 * np.sin(t / 7))))
    return out


def reduced(blocks: Iterator[NDArray], where: Partition, n_frames: int, **options: Any) -> NDArray:
    """Maps by the reducer, block by block."""
    reducer = TwoTimeReducer(where, n_frames, **options)
    for block in blocks:
        reducer.push(block)
    return reducer.maps()


def in_blocks(movie: NDArray) -> Iterator[NDArray]:
    """Blocks of a movie."""
    for start in range(0, len(movie), BLOCK):
        yield movie[start : start + BLOCK]


def seconds(call: Callable[[], Any], repeats: int = 1) -> float:
    """Shortest of `repeats`."""
    best = np.inf
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return best


def speed(quick: bool) -> list[dict[str, Any]]:
    """A row for each method and T; the ratio is to ours at the same T."""
    where, rows = partition(), []
    n = 1000 if quick else 5000
    movie = frames(n)
    reduced(in_blocks(movie[:100]), where, 100)  # compiles
    plan: list[tuple[str, _peers.Peer, int]] = [
        ("float32 GEMM + resize", _peers.gemm, n),
        ("boost_corr TwotimeCorrelator, CPU", _peers.boost_corr, n),
        ("boost_corr's bare algorithm, torch", _peers.boost_corr_algorithm, n),
        ("pychx auto_two_Arrayc", _peers.pychx, n),
        ("scikit-beam two_time_corr", _peers.scikit_beam, 100 if quick else 500),
    ]
    with Progress(transient=True) as bar:
        task = bar.add_task("peers", total=len(plan))
        for name, peer, t in plan:
            ours = seconds(lambda t=t: reduced(in_blocks(movie[:t]), where, t), 5)  # type: ignore[misc]
            try:
                theirs = seconds(lambda peer=peer, t=t: peer(movie[:t], where))  # type: ignore[misc]
            except ImportError as err:
                print(f"{name}: not here ({err}); see studies/_peers.py")
                theirs = np.nan
            again = seconds(lambda t=t: reduced(in_blocks(movie[:t]), where, t), 5)  # type: ignore[misc]
            ours = min(ours, again)
            rows.append({"what": name, "T": t, "theirs (s)": theirs, "ours (s)": ours, "ratio": theirs / ours})
            bar.advance(task)
    lags = frames(1000) if quick else movie
    ours = seconds(lambda: g2(lags, where), 3)
    try:
        theirs = seconds(lambda: _peers.scikit_beam_multi_tau(lags, where))
    except ImportError:
        theirs = np.nan
    rows.append(
        {
            "what": "g2: scikit-beam multi-tau",
            "T": len(lags),
            "theirs (s)": theirs,
            "ours (s)": ours,
            "ratio": theirs / ours,
        }
    )
    return rows


def growth(quick: bool) -> list[dict[str, Any]]:
    """Time by T, from a movie gone through again, in a row each."""
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


def deviation() -> list[dict[str, Any]]:
    """Largest difference from skimage on the full C2, from R C Rᵀ (area, decimate), and of g2 from the diagonals."""
    where = Partition.from_roi_map(
        np.repeat([1, 2], 570).reshape(2, 570), static_map=np.tile(np.arange(570) // 57 + 1, (2, 1))
    )
    rows: list[dict[str, Any]] = []
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


def memory() -> list[dict[str, Any]]:
    """Peak of what a reduction allocates above its frames."""
    where, rows = partition(), []
    reduced(in_blocks(frames(100)), where, 100)  # what numba compiles is not what a run allocates
    for t in (1000, 5000):
        movie = frames(t)
        tracemalloc.start()
        reduced(in_blocks(movie), where, t)
        rows.append({"T": t, "extra memory (MB)": tracemalloc.get_traced_memory()[1] / 1e6})
        tracemalloc.stop()
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller T, for a look")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers'
    import torch

    torch.set_num_threads(1)
    with threadpool_limits(1):
        report("two_time", speed(arguments.quick), threads=1)
        report("two_time_growth", growth(arguments.quick), threads=1)
    report("two_time_deviation", deviation())
    report("two_time_memory", memory())


if __name__ == "__main__":
    main()
