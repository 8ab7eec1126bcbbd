"""Every azimuth of every exposure as a point of the latent space, and what happened when: read from Tiled alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ainerd.results import ResultStore
from ainerd.views._style import colour


@dataclass(frozen=True, kw_only=True)
class Azimuths:
    """The azimuths of n exposures, in order of time.

    Attributes
    ----------
    runs : pandas.DataFrame
        A row each, as `ainerd.results.ResultStore.table` gives it, index ``key``, with `start_s` and `stop_s`: time
        since shear stopped (without a rheometer: since the first exposure) as the exposure began and ended.
    latents : ndarray, shape (n, n_roi, m)
        Latent vector of each azimuth's map.
    points : ndarray, shape (n, n_roi, m)
        What figures and clusters compare: `latents`, or what was made of them.
    labels : ndarray of int, shape (n, n_roi)
        Cluster of each azimuth's `points`, the largest one first.
    stress : pandas.DataFrame
        Columns ``exposure`` (its number), ``age`` (s) and ``stress`` (Pa); empty where none was monitored.
    """

    runs: pd.DataFrame
    latents: NDArray[np.float32]
    points: NDArray[np.float64]
    labels: NDArray[np.int64]
    stress: pd.DataFrame

    @property
    def n_clusters(self) -> int:
        """How many clusters there are."""
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
    """The complete results of the newest parameters, their azimuths clustered by k-means as Horwath et al. (2024) did.

    Latent vectors are compared at length 1: the contrast of so few speckles scatters from azimuth to azimuth, and it is
    mostly the length.

    Parameters
    ----------
    store : ResultStore
    k : int
        Number of clusters; the paper has 4 to 6.
    age : str
        What the time since shear stopped is called in the results: a reading of each run, and a series where it was
        monitored.
    series : str
        What the stress is called, a series.

    Raises
    ------
    ValueError
        If there is no complete result.
    """
    table, compared = store.table(), store.embeddings().index
    runs = table[table.index.isin(compared)]
    if runs.empty:
        raise ValueError("there is no complete result to draw: run a campaign first")
    latents = np.stack([store.array(str(key), "latent") for key in runs.index])
    duration = runs["n_frames"].astype(float) * runs["frame_time_s"]
    since_first = (runs["run_time"] - runs["run_time"].min()).dt.total_seconds()
    start = runs[age].fillna(since_first) if age in runs else since_first
    runs = runs.assign(start_s=start, stop_s=start + duration)
    read = [
        _stress(store, str(key), run, age, series).assign(exposure=i) for i, (key, run) in enumerate(runs.iterrows())
    ]
    stress = pd.concat([readings for readings in read if len(readings)] or read[:1])
    points = unit(latents)
    return Azimuths(runs=runs, latents=latents, points=points, labels=cluster(points, k), stress=stress)


def _stress(store: ResultStore, key: str, run: pd.Series, age: str, series: str) -> pd.DataFrame:
    """Columns age and stress of one exposure.

    Without a monitored age the series is taken to last as long as the exposure.
    """
    there = store.record(key).series
    if series not in there:
        return pd.DataFrame({"age": [], "stress": []})
    measured = store.series(key, series).dropna().query("time >= 0")  # the first value is from before the run
    time = measured["time"].to_numpy(float)
    if age in there:
        aged = store.series(key, age)
        ages = np.interp(time, aged["time"], aged[age])
    else:
        ages = run["start_s"] + (run["stop_s"] - run["start_s"]) * time / max(time.max(initial=0), 1e-9)
    return pd.DataFrame({"age": ages, "stress": measured[series].to_numpy(float)})


def cluster_marks(azimuths: Azimuths, marker: str = "o") -> list[Line2D]:
    """A mark in the colour of each cluster, for a legend."""
    style: dict[str, Any] = {"marker": marker, "linestyle": "none"}
    return [Line2D([], [], color=colour(c), label=f"cluster {c}", **style) for c in range(azimuths.n_clusters)]


def unit(latents: NDArray[np.float32]) -> NDArray[np.float64]:
    """Vectors (..., m) brought to length 1."""
    length = np.linalg.norm(latents.astype(float), axis=-1, keepdims=True)
    return latents / np.maximum(length, np.finfo(float).tiny)


def cluster(points: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """K-means labels (...,) of points (..., m), the largest cluster 0; fewer clusters where points are fewer."""
    from sklearn.cluster import KMeans  # not there in a light install

    flat = points.reshape(-1, points.shape[-1])
    found = KMeans(min(k, len(np.unique(flat, axis=0))), n_init=10, random_state=0).fit(flat).labels_
    by_size = np.argsort(-np.bincount(found), kind="stable")
    return by_size.argsort()[found].reshape(points.shape[:-1])
