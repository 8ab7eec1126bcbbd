"""Events of a Rigaku detector to C2 and g2: the peak of memory of long runs.

The detector has 512 × 1024 pixels. Eighteen bins of 997 pixels in four static rings, or the whole detector in 32 bins.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.progress import track

from ainerd.threads import one_thread
from ainerd_files import read_rigaku
from ainerd_xpcs import Events, EventScreen, MultiTau, Partition, TwoTimeReducer
from sim_devices import sparse_speckle, write_words
from studies._tools import Row, Study, forget_peak, memory_mb, report, seconds

SHAPE = (512, 1024)
DISTINCT = 16_384  # frames

study = Study(__doc__)


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


def peaks(folder: Path, n_frames: int, pixels: str) -> Iterator[Row]:
    """Yield the peak beside the memory at the beginning; the frames of a file come again, by some pixels apart."""
    path = folder / "movie.bin"
    write_words(path, track(sparse_speckle(DISTINCT, 0.001, shape=SHAPE), f"{DISTINCT} frames", transient=True))
    for name, partition in PARTITIONS.items():
        if pixels not in ("", name):
            continue
        where, total = partition(), n_frames if name == "18 bins" else n_frames // 10
        read = partial(read_rigaku, path, where, order="rows", n_frames=DISTINCT)
        parts = list(read()) if name == "18 bins" else None  # which takes less time than to read them again
        long_run(read, where, DISTINCT, parts)  # compiles
        forget_peak()
        begun = memory_mb()
        took = seconds(partial(long_run, read, where, total, parts))
        yield {
            "pixels": name,
            "T": total,
            "peak (MB)": memory_mb("VmHWM") - begun,
            "allowed (MB)": 200.0 if name == "18 bins" else 1500.0,
            "s": took,
        }


def long_run(
    read: Callable[[], Iterator[Events]], where: Partition, n_frames: int, parts: Sequence[Events] | None
) -> None:
    """Screen and correlate `n_frames`; the frames come again and again."""
    reducer, live, screen = TwoTimeReducer(where, n_frames), MultiTau(where), EventScreen(where, n_frames)
    for first in track(range(0, n_frames, DISTINCT), f"{n_frames} frames", transient=True):
        for events in parts or read():
            pixel = (events.pixel + first // DISTINCT) % events.shape[0]  # copies would be left out
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
