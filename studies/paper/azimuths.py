"""Every azimuth of every exposure as a point of the latent space, and the stress over time, from Tiled.

`coincidence` correlates label changes with stress dips: the paper's Fig. 3 in numbers.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from ainerd.results import ResultStore

AGES = "since_shear"  # a series; a reading has another name
_SHUFFLES = 500
_TOO_FAST_S = 60.0
_NEEDED = 7  # readings to which a step on a parabola is fitted
_NO_STRESS = pd.DataFrame({"exposure": [], "age": [], "stress": []})


@dataclass(frozen=True, kw_only=True)
class Azimuths:
    """The azimuths of n exposures, in order of time.

    Attributes
    ----------
    runs : pandas.DataFrame
        A row for each exposure, with `start_s` and `stop_s`: when it began and ended, in seconds since shear stopped.
    points : ndarray, shape (n, n_roi, m)
        Latent vector of each azimuth's map at length 1, which figures and clusters compare.
    labels : ndarray of int, shape (n, n_roi)
        Cluster of each azimuth's `points`, the largest one first.
    stress : pandas.DataFrame
        Columns ``exposure`` (its number), ``age`` (s) and ``stress`` (Pa); empty if no stress was recorded.
    """

    runs: pd.DataFrame
    points: NDArray[np.float64]
    labels: NDArray[np.int64]
    stress: pd.DataFrame

    @property
    def flat(self) -> NDArray[np.float64]:
        """The points of all azimuths, (n * n_roi, m)."""
        return self.points.reshape(-1, self.points.shape[-1])

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return int(self.labels.max(initial=-1)) + 1

    @property
    def duration_s(self) -> float:
        """Length of an exposure."""
        return float((self.runs["stop_s"] - self.runs["start_s"]).median())

    @property
    def spread(self) -> NDArray[np.float64]:
        """Rms distance of an exposure's azimuths from their mean, (n,)."""
        away = self.points - self.points.mean(axis=1, keepdims=True)
        return np.sqrt(np.square(away).sum(axis=2).mean(axis=1))

    @property
    def step(self) -> NDArray[np.float64]:
        """Distance of each exposure's mean from the one before, (n,); NaN for the first."""
        means = self.points.mean(axis=1)
        return np.r_[np.nan, np.linalg.norm(np.diff(means, axis=0), axis=1)][: len(means)]


def read_azimuths(store: ResultStore, *, k: int = 4, age: str = "time_since_shear", series: str = "stress") -> Azimuths:
    """Read the complete results of the newest parameters and cluster their azimuths by k-means, as the paper does.

    Latent vectors are compared at length 1: the length is mostly the speckle contrast, which scatters between azimuths.

    Parameters
    ----------
    store : ResultStore
    k : int
        Number of clusters; the paper has 4 to 6.
    age : str
        Name of the reading that is the time since shear stopped. Without it times count from the first exposure. If the
        series `AGES` was monitored, it gives the times of the stress.
    series : str
        Name of the series of the stress.

    Raises
    ------
    ValueError
        If there is no complete result.
    """
    table, compared = store.table(all=True), store.embeddings().index
    runs = table[table.index.isin(compared)]
    if runs.empty:
        raise ValueError("there is no complete result to draw: run a campaign first")
    latents = np.stack([store.array(str(key), "latent") for key in runs.index])
    duration = runs["n_frames"].astype(float) * runs["frame_time_s"]
    since_first = (runs["run_time"] - runs["run_time"].min()).dt.total_seconds()
    start = runs[age].fillna(since_first) if age in runs else since_first
    runs = runs.assign(start_s=start, stop_s=start + duration)
    stress = [_stress(store, str(key), run, series) for key, run in runs.iterrows()]
    stress = [table.assign(exposure=i) for i, table in enumerate(stress) if len(table)]
    points, stress = unit(latents), pd.concat(stress or [_NO_STRESS])
    return Azimuths(runs=runs, points=points, labels=cluster(points, k), stress=stress)


def _stress(store: ResultStore, key: str, run: pd.Series, series: str) -> pd.DataFrame:
    """Return columns age and stress of one exposure; if the age was not monitored, the series spans the exposure."""
    names = store.record(key).series
    if series not in names:
        return _NO_STRESS
    measured = store.rows(key, series).dropna().query("time >= 0")  # the first value is from before the run
    time = measured["time"].to_numpy(float)
    if AGES in names:
        aged = store.rows(key, AGES)
        ages = np.interp(time, aged["time"], aged[AGES])
    else:
        ages = run["start_s"] + time * (run["stop_s"] - run["start_s"]) / max(time.max(initial=0.0), 1e-9)
    return pd.DataFrame({"age": ages, "stress": measured[series].to_numpy(float)})


def unit(latents: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scale vectors (..., m) to length 1."""
    length = np.linalg.norm(latents.astype(float), axis=-1, keepdims=True)
    return latents / np.maximum(length, np.finfo(float).tiny)


def cluster(points: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Return k-means labels (...,) of points (..., m), the largest cluster 0; fewer than k if points repeat."""
    flat = points.reshape(-1, points.shape[-1])
    fit = KMeans(min(k, len(np.unique(flat, axis=0))), n_init=10, random_state=0).fit(flat)
    _, place, sizes = np.unique(fit.labels_, return_inverse=True, return_counts=True)
    return np.argsort(-sizes, kind="stable").argsort()[place].reshape(points.shape[:-1])


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
    later, earlier = pd.Series(changes), pd.Series(dips)
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN where one of them does not vary
        return np.array([later.corr(earlier.shift(k), min_periods=3) for k in lag])
