"""Frames as they come, and the intensity at each temperature: the same numbers in whatever order runs are given."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray


class Frames:
    """Gathered frames (n, n_pixels), in the detector's dtype; those beyond `memory` bytes lie in a file on disk."""

    def __init__(self, memory: float) -> None:
        self._memory, self._used, self._n = memory, 0, 0
        self._blocks: list[NDArray] = []
        self._firsts: list[int] = []

    def __len__(self) -> int:
        return self._n

    def append(self, block: NDArray) -> None:
        """Copy a block of frames."""
        self._used += block.nbytes
        if self._used <= self._memory:
            kept = block.copy()
        else:
            with TemporaryFile(prefix="ainerd-xtec-") as file:  # the mapping keeps it after it is closed
                kept = np.memmap(file, block.dtype, "w+", shape=block.shape)
            kept[:] = block
        self._firsts.append(self._n)
        self._blocks.append(kept)
        self._n += len(block)

    def __getitem__(self, number: int) -> NDArray:
        block = int(np.searchsorted(self._firsts, number, side="right")) - 1
        return self._blocks[block][number - self._firsts[block]]

    def bad(self) -> NDArray[np.bool_]:
        """Pixels that the detector marks in some frame, (n_pixels,): negative, the highest integer, or not finite."""
        bad = np.zeros(self._blocks[0].shape[1], bool)
        for frame in (frame for block in self._blocks for frame in block):
            if frame.dtype.kind == "f":
                bad |= ~np.isfinite(frame) | (frame < 0)
            else:
                bad |= (frame == np.iinfo(frame.dtype).max) | (frame < 0)
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
    """Frames by temperature, ascending.

    Parameters
    ----------
    temperature, exposure, time : ndarray, shape (n,)
        Of each frame; a frame with NaN in temperature or exposure is left out.
    direction : {"both", "heating", "cooling"}
        Which frames count, by the change of temperature since the frame before it in time.
    merge : float or None
        Temperatures that differ by no more are one; None: a 300th of their range.
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
    total = math.fsum(exposure[order]) / len(order)
    return [
        Group(math.fsum(temperature[g]) / len(g), tuple(g), math.fsum(exposure[g]) / total)
        for g in map(np.array, groups)
    ]


def intensities(
    frames: Frames, groups: Sequence[Group], dark: NDArray[np.float64] | None
) -> Iterator[NDArray[np.float64]]:
    """Counts of each group, less the dark counts of its frames, for one mean exposure, (n_pixels,) in turn."""
    for group in groups:
        kind = np.float64 if frames[0].dtype.kind == "f" else np.int64
        counts = np.zeros(frames[0].shape, kind)
        for number in group.frames:
            counts += frames[number]
        less = 0.0 if dark is None else len(group.frames) * dark
        yield (counts.astype(np.float64) - less) / group.exposure
