"""Correlation of label changes with stress dips: the paper's Fig. 3 in numbers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from studies.paper.azimuths import Azimuths

_SHUFFLES = 500
_TOO_FAST_S = 60.0
_NEEDED = 7  # readings to which a step on a parabola is fitted


@dataclass(frozen=True, kw_only=True)
class Coincidence:
    """Cross-correlation of label changes with stress dips, over consecutive exposures.

    Attributes
    ----------
    lag : ndarray of int, shape (m,)
        Exposures from the dip to the label change; negative if the change comes first.
    correlation : ndarray, shape (m,)
        Pearson's coefficient at each lag, over the exposures for which both are known.
    chance : float
        Correlation that the highest of all lags reaches in one of twenty cases if the dips are shuffled.
    changes : ndarray, shape (n,)
        Share of an exposure's azimuths with another label than in the exposure before, and than in the one after; the
        mean of both.
    dips : ndarray, shape (n,)
        Size of the step down in the stress during each exposure, in Pa; see `stress_dips`.
    """

    lag: NDArray[np.int64]
    correlation: NDArray[np.float64]
    chance: float
    changes: NDArray[np.float64]
    dips: NDArray[np.float64]

    @property
    def peak(self) -> int:
        """Lag of the highest correlation; ValueError if no correlation is known."""
        return int(self.lag[np.nanargmax(self.correlation)])

    def __str__(self) -> str:
        if not np.isfinite(self.correlation).any():
            return "labels never change, or the stress never dips: there is nothing to correlate"
        away = f"{abs(self.peak)} exposure{'s' * (abs(self.peak) > 1)} {'after' if self.peak > 0 else 'before'} the dip"
        highest = float(np.nanmax(self.correlation))
        more = "labels change with the stress" if highest > self.chance else "labels change no more than by chance"
        return (
            f"{more}: correlation {highest:.2f}, highest {away if self.peak else 'in the exposure of the dip'}; "
            f"chance reaches {self.chance:.2f} in 1 of 20"
        )


def coincidence(azimuths: Azimuths, *, most: int = 8) -> Coincidence:
    """Correlate label changes with stress dips at lags of up to `most` exposures.

    `azimuths` are consecutive exposures at one place. ValueError if there are fewer than three times `most`, or if no
    stress was monitored.
    """
    n = len(azimuths.runs)
    if n < 3 * most:
        raise ValueError(f"{n} exposures are too few for lags up to {most}: {3 * most} at least")
    if azimuths.stress.empty:
        raise ValueError("no stress was monitored: name it in the settings, recorded.series")
    changes = label_changes(azimuths.labels)
    dips = stress_dips(azimuths.stress, n)
    lag = np.arange(-most, most + 1)
    shuffled = np.random.default_rng(0)
    highest = [np.nanmax(_correlation(changes, shuffled.permutation(dips), lag)) for _ in range(_SHUFFLES)]
    return Coincidence(
        lag=lag,
        correlation=_correlation(changes, dips, lag),
        chance=float(np.quantile(highest, 0.95)),
        changes=changes,
        dips=dips,
    )


def label_changes(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share (n,) of azimuths with another label before and after, from labels (n, n_roi)."""
    changed = np.r_[np.nan, (labels[1:] != labels[:-1]).mean(axis=1), np.nan]
    return np.nanmean([changed[:-1], changed[1:]], axis=0)


def stress_dips(stress: pd.DataFrame, n: int) -> NDArray[np.float64]:
    """Return the size in Pa of the step down in each of n exposures, 0 without a step; NaN if it cannot be known.

    It cannot be known if the exposure has fewer than two readings, or begins in the first minute after shear, when the
    stress falls too fast. If an exposure has fewer than seven readings, the nearest before and after are used as well.
    """
    dips = np.full(n, np.nan)
    stress = stress.sort_values("age")
    age, value = stress["age"].to_numpy(float), stress["stress"].to_numpy(float)
    for exposure, place in stress.reset_index(drop=True).groupby("exposure").groups.items():
        if not 0 <= int(str(exposure)) < n or len(place) < 2 or len(age) < _NEEDED:
            continue
        first, last = int(place.min()), int(place.max()) + 1
        if age[first] > _TOO_FAST_S:
            lack = max(_NEEDED - (last - first), 0)
            low = max(min(first - lack // 2, len(age) - _NEEDED), 0)
            high = min(max(last, low + _NEEDED), len(age))
            near = slice(low, high)
            dips[int(str(exposure))] = step_down(age[near], value[near], (first - low, last - low))
    return dips


def step_down(t: NDArray[np.float64], y: NDArray[np.float64], within: tuple[int, int] | None = None) -> float:
    """Fit a parabola with a step down to readings y at times t; return the size of the step.

    At least two readings lie on either side. `within` limits the first reading after the step to a range of indices.
    """
    x = (t - t.mean()) / max(np.ptp(t), np.finfo(float).tiny)
    smooth = np.vander(x, 3)
    least, size = np.inf, 0.0
    first, last = within or (0, len(t))
    for i in range(max(first, 2), min(last, len(t) - 1)):
        model = np.column_stack([smooth, np.arange(len(t)) >= i])
        fit = np.linalg.lstsq(model, y, rcond=None)[0]
        left = np.square(y - model @ fit).sum()
        if left < least:
            least, size = left, max(-float(fit[-1]), 0.0)
    return size


def _correlation(
    changes: NDArray[np.float64], dips: NDArray[np.float64], lag: NDArray[np.int64]
) -> NDArray[np.float64]:
    n, found = len(changes), np.full(lag.size, np.nan)
    for i, k in enumerate(lag):
        later, earlier = changes[max(k, 0) : n + min(k, 0)], dips[max(-k, 0) : n - max(k, 0)]
        both = np.isfinite(later) & np.isfinite(earlier)
        if both.sum() > 2 and later[both].std() > 0 and earlier[both].std() > 0:
            found[i] = np.corrcoef(later[both], earlier[both])[0, 1]
    return found
