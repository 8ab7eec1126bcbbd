"""Two-time maps of frames that come at any times: each row holds as many frames as the others."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics import Events, Partition, Screened, TwoTimeReducer

MAP_ROWS = 256


class FrameMap:
    """Two-time maps whose rows hold equal numbers of frames, whenever these came: one each for up to 256 frames.

    Parameters
    ----------
    partition : Partition
    flat : ndarray, shape (n_pixels,), optional
        As for `TwoTimeReducer`.
    """

    def __init__(self, partition: Partition, flat: NDArray[np.floating[Any]] | None = None) -> None:
        self._partition, self._flat = partition, flat
        self._held: list[Screened] = []  # until there are more frames than rows
        self._reducer: TwoTimeReducer | None = None
        self._ticks: list[NDArray[np.int64]] = []

    @property
    def n_frames(self) -> int:
        """Number of frames so far."""
        return sum(map(len, self._ticks))

    def push(self, screened: Screened) -> None:
        """Add the next frames, which are dense: events have no need of `RunInfo.has_ticks`."""
        if isinstance(screened.frames, Events):
            return
        self._ticks.append(np.arange(screened.first, screened.first + len(screened.frames)))
        if self._reducer is None and self.n_frames > MAP_ROWS:
            self._reducer = self._filled(None, MAP_ROWS)
        if self._reducer is None:
            self._held.append(screened)
        else:
            _add(screened, self._reducer)

    def maps(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return maps, (n_roi, n, n), and the mean tick of the frames in each row, (n,).

        Raises ValueError for fewer than two frames.
        """
        n, ticks = min(self.n_frames, MAP_ROWS), np.concatenate([np.empty(0, np.int64), *self._ticks])
        reducer = self._reducer or self._filled(self.n_frames, n)
        until = np.append(0, np.cumsum(ticks))
        sums = np.diff(np.interp(np.arange(n + 1) * len(ticks) / n, np.arange(len(until)), until))
        return reducer.maps(partial=True), sums * n / len(ticks)

    def _filled(self, n_frames: int | None, size: int) -> TwoTimeReducer:
        """Return a reducer with the frames that are held."""
        reducer = TwoTimeReducer(self._partition, n_frames, size=size, flat=self._flat)
        for screened in self._held:
            _add(screened, reducer)
        self._held.clear()
        return reducer


def _add(screened: Screened, reducer: TwoTimeReducer) -> None:
    """Add frames as if they followed those before at once."""
    if screened.leave_out.size:
        reducer.leave_out(screened.leave_out)
    reducer.push(screened.frames, valid=screened.valid)
