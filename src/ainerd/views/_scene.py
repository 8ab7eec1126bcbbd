"""What a campaign's figure shows, read from Tiled: in any thread, while only the main one draws."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd.results import ResultStore
from ainerd.steering import SampleMap
from ainerd.technique import Landmarks, Technique
from ainerd.views._style import colour

NEWEST = 60  # runs whose azimuths and series are shown


@dataclass(frozen=True, kw_only=True)
class Next:
    """Where the next run will be.

    Attributes
    ----------
    position : mapping of str to float
        By motor.
    reason : str
    terms : mapping of str to float
        What speaks for it and against it; see `ainerd.steering.Explorer.suggest`.
    """

    position: Mapping[str, float]
    reason: str = ""
    terms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that `draw_campaign` draws.

    Attributes
    ----------
    table : pandas.DataFrame
        Results by time, as `ainerd.results.ResultStore.table` gives them; failed ones may be among them.
    embeddings : pandas.DataFrame, shape (n, d)
        Points of the latent space by key.
    alpha : float
        Level at which a run counts as novel.
    bounds : mapping of str to (float, float)
        Extent of the sample by motor; the first two are drawn.
    units : mapping of str to str
        Of the motors and the series.
    maps : mapping of str to ndarray, shape (t, t)
        C2 averaged over azimuths, by key: at least of the newest run and of the one nearest to it.
    reconstruction : ndarray, shape (t, t), optional
        What the latent vectors hold of the newest run's map.
    latents : mapping of str to ndarray, shape (n_roi, m)
        Latent vectors of the azimuths, by key.
    series_name : str
    series : mapping of str to ndarray, shape (2, n)
        By key: times in s since the run began, and values.
    landmarks : Landmarks, optional
        They fix the axes of the latent map.
    following : Next, optional
    belief : SampleMap, optional
        Which regime is believed to be where.
    truth : ndarray of int, shape (ny, nx), optional
        Regions of a simulated sample over `bounds`, first row at the lower bound.
    """

    table: pd.DataFrame
    embeddings: pd.DataFrame
    alpha: float
    bounds: Mapping[str, tuple[float, float]]
    units: Mapping[str, str] = field(default_factory=dict)
    maps: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    reconstruction: NDArray[Any] | None = None
    latents: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    series_name: str = "stress"
    series: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    landmarks: Landmarks | None = None
    following: Next | None = None
    belief: SampleMap | None = None
    truth: NDArray[Any] | None = None

    @property
    def runs(self) -> pd.DataFrame:
        """The finished runs, numbered from 1: x, y, p, duration (s), regime, novel, done, colour."""
        return runs_of(self.table, tuple(self.bounds))

    def labelled(self, quantity: str) -> str:
        """A quantity with its unit."""
        return f"{quantity} ({self.units[quantity]})" if quantity in self.units else quantity


def runs_of(table: pd.DataFrame, motors: tuple[str, ...]) -> pd.DataFrame:
    """The columns that are drawn, plain and complete, of the finished runs; with one motor y is 0."""
    table = table[table["status"].ne("computing")]
    runs = pd.DataFrame({"number": np.arange(1, len(table) + 1)}, index=table.index)
    wanted = dict(zip("xy", motors, strict=False)) | {"p": "novelty_p", "n": "n_frames", "frame": "frame_time_s"}
    for name, column in wanted.items():
        runs[name] = table[column].astype(float) if column in table else np.nan
    if len(motors) < 2:
        runs["y"] = 0.0
    runs["duration"] = runs.pop("n") * runs.pop("frame")
    runs["regime"] = table["regime"].fillna(-1).astype(int)
    runs["novel"] = table["novel"].fillna(False).astype(bool)
    runs["done"] = table["status"].eq("complete")
    runs["colour"] = [colour(regime) for regime in runs["regime"]]
    return runs


def newest_and_nearest(runs: pd.DataFrame, embeddings: pd.DataFrame) -> tuple[str | None, str | None, float]:
    """The newest complete run, the one that looks most like it, and how far apart they lie in the latent space."""
    keys = [str(key) for key in runs.index[runs["done"]] if key in embeddings.index]
    if len(keys) < 2:
        return keys[0] if keys else None, None, np.nan
    *others, newest = keys
    distance = np.sqrt(((embeddings.loc[others] - embeddings.loc[newest]) ** 2).sum(axis=1))
    return newest, str(distance.idxmin()), float(distance.min())


class SceneReader:
    """Reads the scenes of one campaign; what never changes is read once.

    Parameters
    ----------
    store : ResultStore
    technique : Technique
    bounds : mapping of str to (float, float)
        Extent of the sample by motor.
    series : str
        Name of the series under the azimuths, such as ``stress``.
    """

    def __init__(
        self, store: ResultStore, technique: Technique, bounds: Mapping[str, tuple[float, float]], series: str
    ) -> None:
        self._store, self._technique, self._bounds, self._series_name = store, technique, bounds, series
        self._landmarks: Landmarks | None = None
        self._latents: dict[str, NDArray[Any]] = {}
        self._series: dict[str, NDArray[Any]] = {}
        self._maps: dict[str, NDArray[Any]] = {}

    def read(self, **about: Any) -> Scene:
        """The campaign as it is now; `about` is what Tiled does not know of a `Scene`: following, belief, truth."""
        if self._landmarks is None:
            self._landmarks = self._technique.landmarks()
        table, embeddings = self._store.table(), self._store.embeddings()
        runs = runs_of(table, tuple(self._bounds))
        newest, nearest, _ = newest_and_nearest(runs, embeddings)
        for key in runs.index[runs["done"] & runs.index.isin(embeddings.index)][-NEWEST:]:
            if key not in self._latents:
                self._latents[key] = self._store.array(key, "latent")
                self._series[key] = self._read_series(key)
        shown = [key for key in (newest, nearest) if key is not None]
        self._maps = {key: self._maps[key] if key in self._maps else self._mean_map(key) for key in shown}
        return Scene(
            table=table,
            embeddings=embeddings,
            alpha=self._technique.alpha,
            bounds=self._bounds,
            units=self._store.record(newest).units if newest else {},
            maps=self._maps,
            reconstruction=self._technique.reconstruct(self._latents[newest]).mean(axis=0) if newest else None,
            latents=dict(self._latents),
            series_name=self._series_name,
            series=dict(self._series),
            landmarks=self._landmarks,
            **about,
        )

    def _mean_map(self, key: str) -> NDArray[Any]:
        return np.nanmean(self._store.c2(key), axis=0)

    def _read_series(self, key: str) -> NDArray[Any]:
        try:
            return self._store.series(key, self._series_name)[["time", self._series_name]].to_numpy(float).T
        except KeyError:  # a run without it
            return np.empty((2, 0))
