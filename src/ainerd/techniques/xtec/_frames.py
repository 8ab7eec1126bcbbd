"""Frames by temperature, in the same order in whatever order runs are given."""

import math
from dataclasses import dataclass
from tempfile import TemporaryFile

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray


def room(shape: tuple[int, ...], dtype: DTypeLike, memory: float) -> NDArray:
    """An array to be filled; one of more than `memory` bytes lies in a temporary file."""
    if math.prod(shape) * np.dtype(dtype).itemsize <= memory:
        return np.empty(shape, dtype)
    with TemporaryFile(prefix="ainerd-xtec-") as file:  # the mapping keeps it after it is closed
        return np.asarray(np.memmap(file, dtype, "w+", shape=shape))


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
        change = pd.Series(np.diff(t, prepend=t[0]))
        change = change.where(change.abs() > merge).ffill().bfill()  # a frame without a move goes with the one before
        order = order[(change > 0) if direction == "heating" else (change < 0)]
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
