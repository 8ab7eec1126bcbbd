"""One ramp, while its frames come: what was taken at which temperature, and what that says."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray

from ainerd.technique import Analysis, AnalysisError, Layout, RunAnalysis, RunInfo
from ainerd.techniques.xtec._cut import cut
from ainerd.techniques.xtec._follow import MOVED_PX, Moves, followed
from ainerd.techniques.xtec._said import said
from ainerd.techniques.xtec._settings import XTECSettings
from ainerd.threads import one_thread

if TYPE_CHECKING:
    from ainerd.techniques.xtec._technique import XTEC

FEWEST_TEMPERATURES = 4
FEWEST_PIXELS = 50


@dataclass(frozen=True)
class Group:
    """Frames that count as one temperature: its value, the frames in order, what they are divided by."""

    temperature: float
    frames: tuple[int, ...]
    exposure: float


class Ramp(RunAnalysis):
    """The frames of a series so far.

    Runs may come in any order: frames are summed exactly and sorted by temperature before anything is computed.
    """

    layouts: Mapping[str, Layout] = {}  # how many temperatures will come is not known

    def __init__(self, technique: "XTEC", run: RunInfo) -> None:
        self._technique, self._shape = technique, tuple(run.frame_shape)
        mask, dark = technique.mask, technique.dark
        for name, array in (("mask", mask), ("dark", dark)):
            if array is not None and array.shape != self._shape:
                raise AnalysisError(f"frames of {_by(self._shape)} pixels, xtec.{name} is of {_by(array.shape)}")
        self.pixels: NDArray[np.int64] = np.flatnonzero(np.ones(self._shape, bool) if mask is None else ~mask)
        if not self.pixels.size:
            raise AnalysisError("xtec.mask leaves no pixel")
        self._dark = 0.0 if dark is None else dark.ravel()[self.pixels]
        self._frames: list[NDArray] = []
        self._memory = technique.settings.memory_gb * 1e9  # what is left of it
        self._runs: list[tuple[RunInfo, int]] = [(run, 0)]  # and the number of its first frame

    def next_run(self, run: RunInfo) -> None:
        """Go on with another run of the series."""
        self._runs.append((run, len(self._frames)))
        if tuple(run.frame_shape) != self._shape:
            raise AnalysisError(
                f"frames of {_by(run.frame_shape)} pixels in a series of {_by(self._shape)}: the run is left out"
            )

    def push(self, block: NDArray) -> None:
        """Take the next frames."""
        kept = room(block.shape, block.dtype, self._memory)
        kept[:] = block
        self._frames += list(kept)
        self._memory = max(self._memory - kept.nbytes, 0.0)

    @one_thread
    def finish(self) -> Analysis:
        """What the frames so far say."""
        if not len(self._frames):
            raise AnalysisError("no frame came")
        settings, groups = self._technique.settings, self._groups()
        if len(groups) < FEWEST_TEMPERATURES:
            self._technique.known = None  # steering begins anew with this ramp
            at = ", ".join(f"{g.temperature:g}" for g in groups)
            raise AnalysisError(
                f"frames at {len(groups)} temperature(s) ({at or 'none'} {settings.unit}): "
                f"trajectories need at least {FEWEST_TEMPERATURES}"
            )
        moves = followed(self._images(groups, None)) if settings.follow else None
        applied = moves if moves is not None and moves.farthest_px > MOVED_PX else None
        mean = sum(self._images(groups, applied), np.zeros(self._shape)) / len(groups)
        try:
            bright = cut(np.nan_to_num(mean.ravel()), settings.cut)
        except ValueError as error:
            raise AnalysisError(str(error)) from None
        n = int(bright.keep.sum())
        if n < FEWEST_PIXELS:
            raise AnalysisError(f"{n} pixels stand out of the background: at least {FEWEST_PIXELS} are needed")
        x = room((n, len(groups)), np.float32, self._memory)
        for column, image in enumerate(self._images(groups, applied)):
            x[:, column] = image.ravel()[bright.keep]
        t, left_out = np.array([g.temperature for g in groups]), len(self._frames) - sum(len(g.frames) for g in groups)
        analysis, self._technique.known = said(settings, t, x, mean, bright, moves, left_out)
        return analysis

    def _groups(self) -> list[Group]:
        settings, n = self._technique.settings, len(self._frames)
        temperature = self._read(settings.temperature, "give the device to the plan, or name it in xtec.temperature")
        time, exposure = np.empty(n), np.ones(n)
        ends = [first for _, first in self._runs[1:]] + [n]
        for i, ((run, first), end) in enumerate(zip(self._runs, ends, strict=True)):
            time[first:end] = run.start.get("time", i) + np.arange(end - first) * (run.frame_time_s or 1e-3)
            if end - first > 1 and not np.ptp(temperature[first:end]):
                temperature[first:end] = self._flown(run, temperature[first:end])
        for key in filter(None, (settings.monitor, settings.exposure)):
            exposure *= self._read(key, "frames cannot be divided by it")
        return grouped(temperature, exposure, time, settings)

    def _read(self, key: str, without: str) -> NDArray[np.float64]:
        """What was read with each frame; AnalysisError says what it means that there is nothing."""
        found = self._runs[0][0].readings.of_frames(key).copy()
        if found.size != len(self._frames) or not np.isfinite(found).any():
            raise AnalysisError(f"{key!r} was not read: {without}")
        return found

    def _flown(self, run: RunInfo, once: NDArray[np.float64]) -> NDArray[np.float64]:
        """Temperatures of the frames of a run in which it was recorded, not read with each frame."""
        settings, began = self._technique.settings, run.start.get("time", -np.inf)
        others = [r.start.get("time", -np.inf) for r, _ in self._runs]
        ends = min((t for t in others if t > began), default=np.inf)
        time, value = run.readings.series(settings.temperature)
        within = (time >= began) & (time < ends)
        time, value = time[within], value[within]
        enough = settings.merge if settings.merge is not None else 1e-3 * float(np.abs(once[0]))
        if value.size < 2 or np.ptp(value) <= enough:
            return once
        if run.frame_time_s is None:
            raise AnalysisError(
                f"{settings.temperature!r} changed during a run, and the detector does not say how fast it takes "
                "frames: read it with each frame, or name the key in [detector] frame_time_s"
            )
        return np.interp(began + (np.arange(once.size) + 0.5) * run.frame_time_s, time, value)

    def _images(self, groups: list[Group], moves: Moves | None) -> Iterator[NDArray[np.float64]]:
        """Counts at each temperature, less dark counts, for one mean exposure, (ny, nx).

        NaN where the detector marks a pixel in some frame: negative, the highest integer, or not finite.
        """
        bad = np.zeros(self.pixels.size, bool)
        for frame in self._frames:
            highest = np.inf if frame.dtype.kind == "f" else np.iinfo(frame.dtype).max
            bad |= ~((frame >= 0) & (frame < highest))
        kind = np.result_type(np.int64, *{frame.dtype for frame in self._frames})
        for step, group in enumerate(groups):
            counts = np.zeros(self.pixels.size, kind)
            for number in group.frames:
                counts += self._frames[number]
            image = np.full(self._shape, np.nan)
            image.ravel()[self.pixels] = np.where(bad, np.nan, counts - len(group.frames) * self._dark) / group.exposure
            yield image if moves is None else moves.undone(image, step)


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def room(shape: tuple[int, ...], dtype: DTypeLike, memory: float) -> NDArray:
    """An array to be filled; one of more than `memory` bytes lies in a temporary file."""
    if math.prod(shape) * np.dtype(dtype).itemsize <= memory:
        return np.empty(shape, dtype)
    with TemporaryFile(prefix="ainerd-xtec-") as file:  # the mapping keeps it after it is closed
        return np.asarray(np.memmap(file, dtype, "w+", shape=shape))


def grouped(
    temperature: NDArray[np.float64], exposure: NDArray[np.float64], time: NDArray[np.float64], settings: XTECSettings
) -> list[Group]:
    """Frames by temperature, ascending, from what is known of each, (n,); one with NaN or without exposure is left out.

    With a direction ("heating", "cooling"; "both" has all) frames count by the change of temperature since the frame
    before it in time. Temperatures that differ by no more than `merge` are one; None: a 300th of their range.
    """
    order = np.lexsort((temperature, time))
    order = order[np.isfinite(temperature[order]) & np.isfinite(exposure[order]) & (exposure[order] > 0)]
    if not order.size:
        return []
    t = temperature[order]
    merge = np.ptp(t) / 300 if settings.merge is None else settings.merge
    if settings.direction != "both":
        change = pd.Series(np.diff(t, prepend=t[0]))
        change = change.where(change.abs() > merge).ffill().bfill()  # a frame without a move goes with the one before
        order = order[(change > 0) if settings.direction == "heating" else (change < 0)]
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
