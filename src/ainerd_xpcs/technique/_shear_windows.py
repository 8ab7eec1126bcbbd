"""The shear rate of a steady flow in windows of a run, while its frames arrive."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.threads import one_thread
from ainerd_xpcs.numerics import Events, MultiTau, Partition, Screened, fit_shear_rate
from ainerd_xpcs.technique._features import Ring
from ainerd_xpcs.technique._numbers import narrowest
from ainerd_xpcs.technique._settings import ShearRateSettings

Floats = NDArray[np.float64]
FEWEST = 8  # frames of a window
NUMBERS = ("shear_rate_1_s", "shear_rate_1_s_err", "shear_rate_1_s_below")
WHY = "no_shear_rate"
UNITS = {**dict.fromkeys(NUMBERS, "1/s"), "time": "s", "chi2": "1"}
NO_BINS = "the ring in the middle needs three bins or more, whose q and phi are known"
TOO_SHORT = "the run is shorter than half a window"


class ShearWindows:
    """Takes the frames of a run, and fits the shear rate of its middle ring, window by window.

    Each window has a correlator of its own, and is fitted when the next one begins, so memory does not grow. A window
    of which less than a half was measured is left out.

    Parameters
    ----------
    settings : ShearRateSettings
    partition : Partition
    ring : Ring
    frame_time_s : float
    flat : ndarray, shape (n_pixels,), optional
    """

    def __init__(
        self,
        settings: ShearRateSettings,
        partition: Partition,
        ring: Ring,
        frame_time_s: float,
        flat: NDArray[np.floating[Any]] | None = None,
    ) -> None:
        self._gap_nm, self._frame_time_s = 1000 * settings.gap_um, frame_time_s
        self._partition = partition.only(ring.bins + 1)
        self._mine = np.flatnonzero(np.isin(partition.roi_map.ravel()[partition.pixels], ring.bins + 1))
        self._flat = None if flat is None else flat[self._mine]
        self._n = round(settings.window_s / frame_time_s)
        self._window, self._last = -1, -1  # number of the window, and of its newest frame
        self._correlator: MultiTau | None = None
        self._out = np.empty(0, np.int64)  # bad pixels so far
        self._rows: list[tuple[float | str, ...]] = []
        self._q_flow, self._reason = _q_flow(self._partition, settings.direction_deg), ""
        if len(ring.bins) < 3 or not np.isfinite(self._q_flow.ravel()[self._partition.pixels]).all():
            self._reason = NO_BINS
        elif self._n < FEWEST:
            self._reason = f"a window of {settings.window_s:g} s holds {self._n} frames, and needs {FEWEST} or more"

    def push(self, screened: Screened) -> None:
        """Take the next frames."""
        if self._reason:
            return
        out = np.flatnonzero(np.isin(self._mine, screened.leave_out))
        self._out = np.append(self._out, out)
        if self._correlator is not None:
            self._correlator.leave_out(out)
        frames = screened.frames
        if isinstance(frames, Events):
            frames = frames.only(self._mine)
            numbers = frames.ticks
        else:
            frames = frames[:, self._mine]
            numbers = screened.first + np.arange(len(frames))
        for window in np.unique(numbers // self._n):
            correlator, first = self._in_window(int(window)), int(window) * self._n
            some = slice(*np.searchsorted(numbers, [first, first + self._n]))
            self._last = int(numbers[some][-1])
            if isinstance(frames, Events):
                correlator.push(frames.between(first, first + self._n).moved(-first))
            else:
                correlator.push(frames[some], screened.valid[some], first=int(numbers[some][0]) - first)

    def _in_window(self, window: int) -> MultiTau:
        """Return the correlator of a window; fit the one before if this one is new."""
        if self._correlator is None or window != self._window:
            self._fit()
            self._window, self._correlator = window, MultiTau(self._partition, self._flat)
            self._correlator.leave_out(self._out)
        return self._correlator

    @one_thread
    def _fit(self) -> None:
        """Fit the shear rate of the window so far."""
        first = self._window * self._n
        n_frames = self._last + 1 - first
        if self._correlator is None or 2 * n_frames < self._n:
            return
        curve = self._correlator.result()
        fit = fit_shear_rate([curve], self._frame_time_s, self._partition, self._q_flow, self._gap_nm)
        middle = (first + n_frames / 2) * self._frame_time_s
        self._rows.append((middle, fit.rate[0], fit.rate_err[0], fit.bound[0], fit.chi2[0], fit.reason[0]))

    def finish(self, doubt: str | None, lost: float) -> tuple[dict[str, dict[str, NDArray[Any]]], dict[str, Any]]:
        """Return the table of the windows, and the numbers of the run; with a doubt about its frames, the doubt alone.

        The rate of the run is the mean of the windows in which it is known, or smaller than the largest bound. If a
        share of the frames may be `lost`, the errors include that, which more windows do not make smaller.
        """
        self._fit()
        if doubt or not self._rows:
            return {}, {WHY: doubt or self._reason or TOO_SHORT}
        table = dict(zip(("time", *NUMBERS, "chi2", WHY), map(np.array, zip(*self._rows, strict=True)), strict=True))
        rate, error, bound = (table[name] for name in NUMBERS)
        known = np.isfinite(rate)
        of_mean = np.sqrt(np.square(error[known]).sum()) / max(known.sum(), 1)
        error[:] = np.hypot(error, lost * rate)
        summary: dict[str, Any] = {}
        if known.any():
            mean = rate[known].mean()
            values = mean, np.hypot(of_mean, lost * mean)
            summary = dict(zip(NUMBERS, map(float, values), strict=False))
        else:
            summary[WHY] = "; ".join(dict.fromkeys(table[WHY].tolist()))
            if np.isfinite(bound).all():
                summary[NUMBERS[2]] = float(bound.max())
        return {"shear_rate": table}, summary


def _q_flow(partition: Partition, direction_deg: float) -> Floats:
    """Return q along the flow in 1/nm, (ny, nx), as if the pixels of a static sub-bin were even in azimuth.

    Only the distribution in each bin is used. NaN where q or phi is unknown.
    """
    n_pixels = np.diff(partition.static_edges)
    bins = partition.static_roi
    q = partition.q[bins] if partition.static_q is None else partition.static_q[partition.static_label - 1]
    place = np.concatenate([(np.arange(n) + 0.5) / n - 0.5 for n in n_pixels])
    angle = np.deg2rad(np.repeat(partition.phi[bins], n_pixels) + narrowest(partition.phi) * place - direction_deg)
    out = np.zeros(partition.shape)
    out.ravel()[partition.pixels] = np.repeat(q, n_pixels) * np.cos(angle)
    return out
