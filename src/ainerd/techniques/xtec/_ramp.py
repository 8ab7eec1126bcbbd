"""One ramp, while its frames come: what was taken at which temperature, and what that says."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Analysis, AnalysisError, Layout, RunInfo
from ainerd.techniques.xtec._cut import cut
from ainerd.techniques.xtec._follow import MOVED_PX, Moves, followed
from ainerd.techniques.xtec._frames import Group, grouped, intensities, marked, room
from ainerd.techniques.xtec._said import said

if TYPE_CHECKING:
    from ainerd.techniques.xtec._technique import XTEC

FEWEST_TEMPERATURES = 4
FEWEST_PIXELS = 50


class Ramp:
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
        return said(self._technique, t, x, mean, bright, moves, left_out)

    def _groups(self) -> list[Group]:
        settings, n = self._technique.settings, len(self._frames)
        readings = self._runs[0][0].readings
        temperature = readings.of_frames(settings.temperature)
        if temperature.shape != (n,) or not np.isfinite(temperature).any():
            raise AnalysisError(
                f"{settings.temperature!r} was not read: give the device to the plan, "
                "or name its data key in xtec.temperature"
            )
        temperature, time, exposure = temperature.copy(), np.empty(n), np.ones(n)
        for i, (run, first) in enumerate(self._runs):
            of_run = slice(first, self._runs[i + 1][1] if i + 1 < len(self._runs) else n)
            number = np.arange(of_run.stop - first)
            time[of_run] = run.start.get("time", i) + number * (run.frame_time_s or 1e-3)
            if number.size > 1 and not np.ptp(temperature[of_run]):
                temperature[of_run] = self._flown(run, temperature[of_run])
        for key in filter(None, (settings.monitor, settings.exposure)):
            found = readings.of_frames(key)
            if found.shape != (n,) or not np.isfinite(found).any():
                raise AnalysisError(f"{key!r} was not read: frames cannot be divided by it")
            exposure *= found
        return grouped(temperature, exposure, time, direction=settings.direction, merge=settings.merge)

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
        """Intensity at each temperature, (ny, nx); NaN where a pixel does not count."""
        bad = marked(self._frames)
        for number, counts in enumerate(intensities(self._frames, groups, self._dark)):
            image = np.full(self._shape, np.nan)
            image.ravel()[self.pixels] = np.where(bad, np.nan, counts)
            yield image if moves is None else moves.undone(image, number)


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
