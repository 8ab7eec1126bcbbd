"""Echoes of cyclic shear: correlations of frames that see the same phase in different cycles, while they arrive.

The frames of each phase are summed by cycle. g2 of these sums is that of `MultiTau`, with a cycle in place of a frame,
and their map that of `TwoTimeReducer`. Memory grows with the logarithm of the number of cycles.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.numerics import (
    G2,
    MultiTau,
    Partition,
    Relaxation,
    TwoTimeReducer,
    check_counts,
    check_valid,
    fit_relaxation,
    student_factor,
)

Array = NDArray[Any]
Floats = NDArray[np.float64]
KNOWN = 3.0  # errors by which a contrast exceeds zero, if heights are measured in it


@dataclass(frozen=True, kw_only=True)
class EchoCurves:
    """Echoes of all cycles so far; arrays by bin, NaN where the data do not determine a value.

    Attributes
    ----------
    lag : ndarray, shape (n,)
        In cycles.
    height, height_err : ndarray, shape (n_roi, n)
        g2 - 1 after so many cycles, over the contrast within a frame: 1 if all of the sample returns. The error is that
        of the scatter of the parts of a bin, widened for their number.
    g2 : G2
        With lags in cycles; means over the phases.
    c2 : ndarray, shape (n_roi, k, k)
        Correlation of cycle with cycle, mean over the phases; the diagonal is the contrast within a frame.
    cycles_a_row : int
        Cycles in a row of `c2`.
    q : ndarray, shape (n_roi,)
        In 1/nm.
    off_phase : float
        Root mean square distance of the frames from their phases, in cycles.
    n_cycles : int
        Cycles with frames at each phase.

    Examples
    --------
    >>> from ainerd_xpcs import Partition
    >>> echoes = Echoes(Partition.from_roi_map(np.ones((40, 40), int)))
    >>> echoes.push(movie, np.arange(256))
    >>> found = echoes.result()
    >>> found.c2.shape, found.from_cycle(lag=5)[0].mean().round(1)  # exp(-2 5 / 10)
    ((1, 255, 255), np.float64(0.4))
    """

    lag: Floats
    height: Floats
    height_err: Floats
    g2: G2
    c2: Floats
    cycles_a_row: int
    q: Floats
    off_phase: float
    n_cycles: int

    @cached_property
    def decay(self) -> Relaxation:
        """Fit of the bins one by one, with tau in cycles.

        It has the `exponent`, and the share that returns for good, `static` of the field and `plateau` of g2 - 1, with
        errors, bounds or reasons (`no_tau`). The fit is made at first use, and takes some hundredths of a second a bin.
        """
        return fit_relaxation(self.g2)

    @property
    def velocity(self) -> Floats:
        """1 / (q tau), in nm per cycle, (n_roi,)."""
        return 1 / (self.q * self.decay.tau)

    @property
    def velocity_err(self) -> Floats:
        """Error of the velocity, (n_roi,)."""
        return self.velocity * self.decay.tau_err / self.decay.tau

    @property
    def velocity_below(self) -> Floats:
        """Upper limit of 95 % of the velocity, (n_roi,), where there is only a lower limit of tau."""
        return 1 / (self.q * self.decay.tau_above)

    def from_cycle(self, lag: int = 1, bins: ArrayLike | None = None) -> tuple[Floats, Floats]:
        """Return g2 - 1 after `lag` rows of `c2` by the row it starts from, mean of bins, (k - lag,), and its error.

        The error comes from the scatter of the bins, so three or more of one q are needed. Bins without light are left
        out.
        """
        maps = self.c2 if bins is None else self.c2[np.asarray(bins, dtype=int)]
        dark = np.isnan(maps).all((1, 2))
        each = np.diagonal(maps[~dark | dark.all()], lag, 1, 2) - 1
        if len(each) < 3:
            return each.mean(0), np.full(each.shape[1], np.nan)
        return each.mean(0), each.std(0, ddof=1) / np.sqrt(len(each))


class Echoes:
    """Echoes from frames as they arrive, at some phases of the cycle.

    Parameters
    ----------
    partition : Partition
    phases : sequence of float
        Middles of the windows in the cycle, from 0 to below 1. The strain passes zero at 0 and 1/2 and turns at 1/4 and
        3/4, where it stays the same for longest.
    within : float
        Half the width of a window, in cycles. Frames in a window are summed, other frames are not used.
    size : int
        Most rows of the map of cycles, a multiple of four. When all are full, rows are added in pairs.

    Raises
    ------
    ValueError
        If windows overlap or lie outside the cycle, or `size` is no multiple of four.

    Examples
    --------
    >>> from ainerd_xpcs import Partition
    >>> echoes = Echoes(Partition.from_roi_map(np.ones((40, 40), int), q=[0.05]))
    >>> echoes.push(movie, np.arange(256))  # a frame in each cycle
    >>> echoes.end()
    >>> found = echoes.result()
    >>> found.height[0, [0, 9]].round(1), found.decay.tau.round()  # exp(-2 lag / 10)
    (array([0.8, 0.1]), array([10.]))
    """

    def __init__(
        self,
        partition: Partition,
        phases: Sequence[float] = (0.0,),
        *,
        within: float = 0.02,
        size: int = 256,
    ) -> None:
        middles = np.sort(np.asarray(phases, dtype=float))
        gaps = np.diff(np.append(middles, middles[:1] + 1))
        if not (middles.size and 0 <= middles[0] and middles[-1] < 1 and 0 < within and gaps.min() > 2 * within):
            raise ValueError(f"phases {list(phases)} ± {within} must be windows in the cycle that do not overlap")
        self.partition, self._within, self._middles = partition, within, middles
        self._g2 = [MultiTau(partition) for _ in middles]
        if size < 4 or size % 4:
            raise ValueError(f"the rows of the map of cycles are a multiple of four, got {size}")
        self._maps = [TwoTimeReducer(partition, None, size=size // 4) for _ in middles]  # of four rows each
        self._origin: float | None = None
        self._last = -np.inf
        self._begun: tuple[int, Array] | None = None  # number and sum of the window that still goes on
        self._square, self._n_frames = 0.0, 0
        self._n_windows = np.zeros(len(middles), int)  # with frames, of each phase

    def push(self, frames: Array, phase: ArrayLike, valid: ArrayLike | None = None) -> None:
        """Add the next frames.

        Parameters
        ----------
        frames : ndarray, shape (b, ny, nx) or (b, n_pixels)
            Counts.
        phase : array_like, shape (b,)
            In cycles, increasing, from `CyclePhase.at`.
        valid : array_like of bool, shape (b,), optional

        Raises
        ------
        ValueError
            If frames and phases do not fit, phases do not increase, or counts are none.
        """
        at = np.asarray(phase, dtype=float)
        if at.shape != (len(frames),) or not np.all(np.diff(at, prepend=self._last) > 0):
            raise ValueError(f"the phases of {len(frames)} frames must be as many numbers, and increase")
        keep = check_valid(valid, len(frames))
        if not len(frames):
            return
        if self._origin is None:
            self._origin = float(np.floor(at[0]))
        off = at - self._origin - self._middles[:, None]
        cycles = np.rint(off).astype(int)
        off -= cycles
        used, which = np.nonzero(((np.abs(off) <= self._within) & (cycles >= 0) & keep).T)
        if used.size:
            block = check_counts(self.partition.gather(np.asarray(frames)[used]))
            self._square += float(np.square(off[which, used]).sum())
            self._n_frames += used.size
            windows = cycles[which, used] * len(self._middles) + which
            starts = np.flatnonzero(np.diff(windows, prepend=-1))
            kind = np.int64 if block.dtype.kind in "ui" else float
            sums = np.add.reduceat(block, starts, axis=0, dtype=kind)
            for window, counts in zip(windows[starts].tolist(), sums, strict=True):
                if self._begun is not None and self._begun[0] == window:
                    counts = counts + self._begun[1]
                else:
                    self.end()
                self._begun = window, counts
        self._last = float(at[-1])
        if self._begun is not None:
            number, i = divmod(self._begun[0], len(self._middles))
            if number + self._middles[i] + self._within < self._last - self._origin:
                self.end()

    def end(self) -> None:
        """Take the last window for complete."""
        if self._begun is None:
            return
        number, i = divmod(self._begun[0], len(self._middles))
        for each in (self._g2[i], self._maps[i]):
            each.push(self._begun[1][None], first=number)
        self._n_windows[i] += 1
        self._begun = None

    def leave_out(self, pixels: ArrayLike) -> None:
        """Leave pixels out from the next frame on, positions in ``partition.pixels``; see `MultiTau.leave_out`."""
        for g2, reducer in zip(self._g2, self._maps, strict=True):
            g2.leave_out(pixels)
            reducer.leave_out(pixels)

    def result(self) -> EchoCurves:
        """Return the echoes of the windows that are complete; raise ValueError if they are in fewer than two cycles."""
        n = min(each.n_pushed for each in self._maps)
        if n < 2:
            raise ValueError(f"echoes need frames at each phase in at least 2 cycles, got {n}")
        g2 = _mean_of([each.result() for each in self._g2])
        height, height_err = heights(g2)
        in_row = max(each.row_frames for each in self._maps)
        maps = [each.maps_of_rows(in_row)[:, : n // in_row, : n // in_row] for each in self._maps]
        return EchoCurves(
            lag=g2.lag, height=height, height_err=height_err, g2=g2,
            c2=np.mean(maps, axis=0, dtype=float), cycles_a_row=in_row, q=self.partition.q,
            off_phase=float(np.sqrt(self._square / max(self._n_frames, 1))), n_cycles=int(self._n_windows.min()),
        )  # fmt: skip


def heights(g2: G2) -> tuple[Floats, Floats]:
    """Return g2 - 1 over the contrast within a frame, (n_roi, n), and its error from the scatter of the parts."""
    value, error = np.full((2, *g2.value.shape), np.nan)
    for k, contrast in enumerate(g2.contrast0):
        mine = (g2.part_roi == k) & (g2.part_weight > 0)
        if not contrast > KNOWN * g2.contrast0_err[k]:
            continue
        value[k] = (g2.value[k] - 1 - g2.bias[k]) / contrast
        off = g2.parts[mine] - 1 - g2.bias[k] - value[k] * g2.parts0[mine, None]
        weight = g2.part_weight[mine] / g2.part_weight[mine].sum()
        freedom = mine.sum() - 1
        error[k] = student_factor(freedom) * np.sqrt(weight @ (off - weight @ off) ** 2 / freedom) / contrast
    return value, error


def _mean_of(each: list[G2]) -> G2:
    """Return the mean of the g2 of some phases.

    Each phase shows another speckle in the same pixels, so their mean is that of more pixels: as many as the scatter of
    the parts tells.
    """
    first, n = each[0], min(len(g2.lag) for g2 in each)
    if len(each) == 1:
        return first

    def variance(parts: Floats, value: Floats) -> Floats:
        """Return the variance of the means of bins, (n_roi, m), from the scatter of their parts, (n_part, m)."""
        out, roi = np.zeros_like(value), first.part_roi
        np.add.at(out, roi, first.part_weight[:, None] * (parts - value[roi]) ** 2)
        n_parts = np.bincount(roi, first.part_weight > 0, len(out))
        return np.asarray(np.where(n_parts > 1, out.T / np.maximum(n_parts - 1, 1), np.nan).T)

    mean: dict[str, Any] = {
        name: np.mean([getattr(g2, name)[:, :n] for g2 in each], axis=0) for name in ("value", "parts", "bias")
    }
    mean |= {name: np.mean([getattr(g2, name) for g2 in each], axis=0) for name in ("contrast0", "parts0", "counts")}
    together = variance(mean["parts"], mean["value"])
    of_contrast = variance(mean["parts0"][:, None], mean["contrast0"][:, None])[:, 0]
    alone = np.mean([variance(g2.parts[:, :n], g2.value[:, :n]) for g2 in each], axis=0)
    more = np.nanmedian(np.divide(alone, together, out=np.ones_like(alone), where=together > 0))
    n_pixels = np.rint(first.n_pixels * np.clip(more, 1, len(each))).astype(np.int64)
    n_frames = min(g2.n_frames for g2 in each)
    errors = {"error": np.sqrt(together), "contrast0_err": np.sqrt(of_contrast)}
    return replace(first, lag=first.lag[:n], n_pixels=n_pixels, n_frames=n_frames, **errors, **mean)
