"""Frames by temperature, and the intensity at each: the same numbers in whatever order runs are given."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import DTypeLike, NDArray


def room(shape: tuple[int, ...], dtype: DTypeLike, memory: float) -> NDArray:
    """An array to be filled; one of more than `memory` bytes lies in a temporary file."""
    if math.prod(shape) * np.dtype(dtype).itemsize <= memory:
        return np.empty(shape, dtype)
    with TemporaryFile(prefix="ainerd-xtec-") as file:  # the mapping keeps it after it is closed
        return np.asarray(np.memmap(file, dtype, "w+", shape=shape))


def marked(frames: Iterable[NDArray]) -> NDArray[np.bool_]:
    """Pixels that the detector marks in some frame, (n_pixels,): negative, the highest integer, or not finite."""
    bad = np.zeros(1, bool)
    for frame in frames:
        highest = np.inf if frame.dtype.kind == "f" else np.iinfo(frame.dtype).max
        bad = bad | ~((frame >= 0) & (frame < highest))
    return bad


@dataclass(frozen=True)
class Group:
    """Frames that count as one temperature: its value, the frames in order, what they are divided by."""

    temperature: float
    frames: tuple[int, ...]
    exposure: float


def grouped(
    temperature: NDArray[np.float64],
    exposure: NDArray[np.float64],
    time: NDArray[np.float64],
    *,
    direction: str,
    merge: float | None,
) -> list[Group]:
    """Frames by temperature, ascending, from what is known of each, (n,); one with NaN or without exposure is left out.

    With a `direction` ("heating", "cooling"; "both" has all) frames count by the change of temperature since the frame
    before it in time. Temperatures that differ by no more than `merge` are one; None: a 300th of their range.
    """
    order = np.lexsort((temperature, time))
    order = order[np.isfinite(temperature[order]) & np.isfinite(exposure[order]) & (exposure[order] > 0)]
    if not order.size:
        return []
    t = temperature[order]
    merge = np.ptp(t) / 300 if merge is None else merge
    if direction != "both":
        change = np.diff(t, prepend=t[0])
        change[np.abs(change) <= merge] = 0
        moves = np.flatnonzero(change)
        if not moves.size:
            return []
        latest = np.searchsorted(moves, np.arange(t.size), side="right") - 1
        rising = change[moves[np.maximum(latest, 0)]] > 0  # frames before the first change go with it
        order = order[rising == (direction == "heating")]
    order = order[np.lexsort((order, time[order], temperature[order]))]
    groups: list[list[int]] = []
    for frame in order.tolist():
        if groups and temperature[frame] - temperature[groups[-1][0]] <= merge:
            groups[-1].append(frame)
        else:
            groups.append([frame])
    total = math.fsum(exposure[order]) / max(len(order), 1)
    return [
        Group(math.fsum(temperature[g]) / len(g), tuple(g), math.fsum(exposure[g]) / total)
        for g in map(np.array, groups)
    ]


def intensities(
    frames: Sequence[NDArray], groups: Sequence[Group], dark: NDArray[np.float64] | float
) -> Iterator[NDArray[np.float64]]:
    """Counts of each group, less the dark counts of its frames, for one mean exposure, (n_pixels,) in turn."""
    kind = np.float64 if frames[0].dtype.kind == "f" else np.int64
    for group in groups:
        counts = np.zeros(frames[0].shape, kind)
        for number in group.frames:
            counts += frames[number]
        yield (counts.astype(np.float64) - len(group.frames) * dark) / group.exposure
