"""Time per frame of an exposure: screen, maps and g2 together, of one ring and of eight with as many pixels."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from ainerd.xpcs import MultiTau, Partition, Screen, TwoTimeReducer

BLOCK, PIXELS = 50, 18 * 8 * 80  # of a block; in the bins


def rows(quick: bool) -> list[dict[str, Any]]:
    """A row for each number of rings; the ways take turns, the best counts."""
    frames = np.random.default_rng(0).poisson(0.5, (500 if quick else 2000, PIXELS)).astype(np.uint16)
    partitions = {n: _partition(n) for n in (1, 8)}
    steps = {"maps": _maps, "maps and g2": _both, "screened": _screened}
    found = {(n, step): np.inf for n in partitions for step in steps}
    for step in steps.values():
        step(frames[:200], partitions[1])  # compiles
    for _ in track(range(2 if quick else 5), description="rounds", transient=True):
        for n, step in found:
            began = time.process_time()
            steps[step](frames, partitions[n])
            found[n, step] = min(found[n, step], (time.process_time() - began) / len(frames) * 1e6)
    return [
        {
            "rings × sectors": f"{n} × 18",
            **{f"{step} (µs a frame)": found[n, step] for step in steps},
            "to one ring": found[n, "screened"] / found[1, "screened"],
        }
        for n in partitions
    ]


def _partition(n_rings: int) -> Partition:
    """Rings of 18 bins in four static rings each."""
    n_roi = 18 * n_rings
    size = PIXELS // n_roi
    roi_map = np.repeat(np.arange(1, n_roi + 1), size).reshape(n_roi, size)
    return Partition.from_roi_map(roi_map, static_map=np.tile(np.arange(size) * 4 // size + 1, (n_roi, 1)))


def _maps(frames: NDArray[np.uint16], where: Partition) -> None:
    reducer = TwoTimeReducer(where, len(frames))
    for begin in range(0, len(frames), BLOCK):
        reducer.push(frames[begin : begin + BLOCK])


def _both(frames: NDArray[np.uint16], where: Partition) -> None:
    reducer, correlator = TwoTimeReducer(where, len(frames)), MultiTau(where, len(frames))
    for begin in range(0, len(frames), BLOCK):
        reducer.push(frames[begin : begin + BLOCK])
        correlator.push(frames[begin : begin + BLOCK])


def _screened(frames: NDArray[np.uint16], where: Partition) -> None:
    screen = Screen(where, len(frames))
    reducer, correlator = TwoTimeReducer(where, len(frames)), MultiTau(where, len(frames))
    for begin in range(0, len(frames), BLOCK):
        for screened in screen.push(frames[begin : begin + BLOCK]):
            screened.to(reducer, correlator)
    for screened in screen.flush():
        screened.to(reducer, correlator)
