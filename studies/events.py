"""Events of a Rigaku detector to C2 and g2: frames per second, and memory.

The detector has 512 × 1024 pixels. Eighteen bins of 997 pixels in four static rings, or the whole detector in 32 bins.
Files are in the page cache.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from ainerd.threads import one_thread
from ainerd_files import read_rigaku
from ainerd_xpcs import (
    Events,
    EventScreen,
    MultiTau,
    Partition,
    TwoTimeReducer,
)
from sim_devices import sparse_speckle, write_words
from studies._tools import Row, Study, forget_peak, memory_mb, report, seconds

SHAPE = (512, 1024)
FRAMES = 2048  # of a block
LEVELS = (0.0005, 0.001, 0.01)  # photons a pixel and frame

study = Study(__doc__)


@study.part
def speed(rounds: int = 3, frames: int = 16_384, pixels: str = "") -> None:
    """Measure frames per second, from the file to the sums of both; of the whole detector `frames` at most."""
    with tempfile.TemporaryDirectory() as folder, one_thread:
        rows = rates(Path(folder), rounds, frames, pixels)
        report("events_speed", rows, least={"with C2 and g2": "dense"}, threads=1)


@study.part
def memory(frames: int = 1_000_000, pixels: str = "") -> None:
    """Measure the peak of memory of long runs, with screen, a map and g2; `pixels` names one of the partitions."""
    with tempfile.TemporaryDirectory() as folder, one_thread:
        rows = peaks(Path(folder), frames, pixels)
        report("events_memory", rows, most={"peak (MB)": "allowed (MB)"})


def eighteen() -> Partition:
    """Return eighteen sectors of 997 pixels each, in four static rings."""
    y, x = np.indices(SHAPE) - np.array([256, 512])[:, None, None] + 0.5
    r = np.hypot(x, y)
    ring = (r > 104) & (r < 129.2)
    roi_map = np.where(ring, (np.arctan2(y, x) / np.pi + 1) * 9 // 1 + 1, 0).astype(int).clip(0, 18)
    return Partition.from_roi_map(roi_map, static_map=np.where(ring, ((r - 104) / 6.3).astype(int).clip(0, 3) + 1, 1))


def whole() -> Partition:
    """Return all pixels, in 32 bins."""
    y, x = np.indices(SHAPE)
    return Partition.from_roi_map(y // 128 * 8 + x // 128 + 1)


PARTITIONS: dict[str, Callable[[], Partition]] = {"18 bins": eighteen, "whole": whole}


def movie(folder: Path, photons: float, n_frames: int) -> Path:
    """Write a file, and return its path."""
    path = folder / f"{photons}_{n_frames}.bin"
    if not path.exists():
        drawn = sparse_speckle(n_frames, photons, shape=SHAPE)
        write_words(path, track(drawn, f"{n_frames} frames of {photons} photons", transient=True))
    return path


def blocks(path: Path, where: Partition, n_frames: int) -> Iterator[Events]:
    """Yield the blocks of a file."""
    return read_rigaku(path, where, order="rows", n_frames=n_frames)


def dense_of(events: Events, n_frames: int) -> NDArray[np.uint16]:
    """Return the last `n_frames` frames up to `events.stop`, gathered and dense."""
    out = np.zeros((n_frames, events.shape[0]), np.uint16)
    frame = np.repeat(events.ticks - (events.stop - n_frames), np.diff(events.offsets))
    out[frame, events.pixel] = events.count
    return out


def rates(folder: Path, rounds: int, n_frames: int, pixels: str) -> Iterator[Row]:
    """Yield thousands of frames per second, of events and of dense frames in memory."""
    for photons in LEVELS:
        for name, partition in PARTITIONS.items():
            if pixels not in ("", name):
                continue
            n = (n_frames if name == "whole" else 32_768) // (8 if photons == 0.01 else 1)
            path, where = movie(folder, photons, n), partition()
            ways = [partial(way, path, where, n) for way in (only_read, ours, screened)]
            for way in ways:  # fills the page cache and compiles
                way()
            turns = [[seconds(way) for way in ways] for _ in track(range(rounds), name, transient=True)]
            times = np.min(turns, axis=0)
            some = 200 if name == "whole" else 1000
            dense = seconds(partial(dense_way, path, where, some)) / some
            k = n / times / 1000
            yield {
                "photons": photons,
                "pixels": name,
                "T": n,
                "read (kframes/s)": k[0],
                "with C2 and g2": k[1],
                "with screens too": k[2],
                "dense": 1e-3 / dense,
                "ours / dense": k[1] * dense * 1000,
            }


def only_read(path: Path, where: Partition, n_frames: int) -> None:
    for _ in blocks(path, where, n_frames):
        pass


def ours(path: Path, where: Partition, n_frames: int) -> None:
    reducer, live = TwoTimeReducer(where, n_frames), MultiTau(where)
    for events in blocks(path, where, n_frames):
        reducer.push(events)
        live.push(events)
    live.result()


def screened(path: Path, where: Partition, n_frames: int) -> None:
    """Screen and correlate, as rheo-XPCS does."""
    reducer, live, screen = TwoTimeReducer(where, n_frames), MultiTau(where), EventScreen(where, n_frames)
    for events in blocks(path, where, n_frames):
        for ready in screen.push(events):
            ready.to(reducer, live)
    for ready in screen.flush():
        ready.to(reducer, live)
    live.result()


def dense_way(path: Path, where: Partition, n_frames: int) -> None:
    """Correlate dense frames; making them is in the time, as decoding is in the others."""
    reducer, live = TwoTimeReducer(where, n_frames), MultiTau(where)
    frames = dense_of(next(read_rigaku(path, where, order="rows", block=n_frames)), n_frames)
    for begin, end in pairwise(range(0, n_frames + 1, 50)):
        reducer.push(frames[begin:end])
        live.push(frames[begin:end])


def peaks(folder: Path, n_frames: int, pixels: str) -> Iterator[Row]:
    """Yield the peak beside the memory at the beginning; the frames of a file come again, by some pixels apart."""
    for name, partition in PARTITIONS.items():
        if pixels not in ("", name):
            continue
        distinct = 16_384
        path, where = movie(folder, 0.001, distinct), partition()
        ours(path, where, distinct)  # compiles
        total = n_frames if name == "18 bins" else n_frames // 10
        parts = list(blocks(path, where, distinct)) if name == "18 bins" else None
        forget_peak()
        begun = memory_mb()
        took = seconds(partial(long_run, path, where, total, distinct, parts))
        yield {
            "pixels": name,
            "T": total,
            "peak (MB)": memory_mb("VmHWM") - begun,
            "allowed (MB)": 200.0 if name == "18 bins" else 1500.0,
            "s": took,
        }


def long_run(path: Path, where: Partition, n_frames: int, distinct: int, parts: Any) -> None:
    reducer, live, screen = TwoTimeReducer(where, n_frames), MultiTau(where), EventScreen(where, n_frames)
    for first in track(range(0, n_frames, distinct), f"{n_frames} frames", transient=True):
        for events in parts or blocks(path, where, distinct):
            pixel = (events.pixel + first // distinct) % events.shape[0]  # copies would be left out
            late = replace(events, ticks=events.ticks + first, stop=events.stop + first, pixel=pixel)
            late = late.between(first, n_frames) if late.stop > n_frames else late
            for ready in screen.push(late):
                ready.to(reducer, live)
    for ready in screen.flush():
        ready.to(reducer, live)
    reducer.maps()
    live.result()
    assert screen.no_contrast is None


if __name__ == "__main__":
    study()
