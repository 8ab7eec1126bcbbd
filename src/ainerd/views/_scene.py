"""The contents of a campaign's figure, read from Tiled in any thread; only the main thread draws."""

import logging
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd.results import ResultStore, scan_text
from ainerd.technique import Landmarks, Panels, Technique, panels
from ainerd.views._style import regime_colour

if TYPE_CHECKING:
    from ainerd.steering import SampleMap  # imports bluesky

logger = logging.getLogger(__name__)

NEWEST = 60  # runs in the timeline
MOST_SERIES = 3  # strips that fit

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Next:
    """The position of the next run by motor, and why; the terms are those of `ainerd.steering.Explorer.suggest`."""

    position: Mapping[str, float]
    reason: str = ""
    terms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that `campaign_figure` draws.

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
    panels : Panels, optional
        The drawing functions of the technique.
    arrays : mapping of str to mapping of str to ndarray
        By key, the arrays of each result that the panels use.
    series : mapping of str to mapping of str to ndarray, shape (2, n)
        By key and name: times in s from the start of the run, and values.
    landmarks : Landmarks, optional
        They fix the axes of the latent map.
    following : Next, optional
    belief : SampleMap, optional
        The most likely regime at each position.
    truth : ndarray of int, shape (ny, nx), optional
        Regions of a simulated sample over `bounds`, first row at the lower bound.
    """

    table: pd.DataFrame
    embeddings: pd.DataFrame
    alpha: float
    bounds: Mapping[str, tuple[float, float]]
    panels: Panels | None = None
    arrays: Mapping[str, Arrays] = field(default_factory=dict)
    series: Mapping[str, Arrays] = field(default_factory=dict)
    landmarks: Landmarks | None = None
    following: Next | None = None
    belief: "SampleMap | None" = None
    truth: NDArray[Any] | None = None

    @property
    def runs(self) -> pd.DataFrame:
        """Finished runs, numbered from 1: scan, x, y, p, duration (s), regime, novel, done, colour."""
        return runs_of(self.table, tuple(self.bounds))

    @property
    def kinds(self) -> Mapping[int, str]:
        """The known kind that most runs of a regime resemble, by regime, if the technique names one."""
        if "nearest_known" not in self.table:
            return {}
        known = self.table[self.table["regime"].ge(0).fillna(False)].dropna(subset=["nearest_known"])
        shares = {
            regime: each.value_counts(normalize=True) for regime, each in known.groupby("regime")["nearest_known"]
        }
        return {int(str(regime)): str(share.index[0]) for regime, share in shares.items() if share.iloc[0] > 0.5}

    @property
    def units(self) -> Mapping[str, str]:
        """Units of the motors and the series."""
        return dict(self.table.attrs.get("units", {}))

    def labelled(self, quantity: str) -> str:
        """Return a quantity with its unit."""
        return f"{quantity} ({self.units[quantity]})" if quantity in self.units else quantity


def runs_of(table: pd.DataFrame, motors: tuple[str, ...]) -> pd.DataFrame:
    """Return the columns to draw of the finished runs, without missing ones; with one motor y is 0."""
    table = table[table["status"].ne("computing")]
    runs = pd.DataFrame({"number": np.arange(1, len(table) + 1)}, index=table.index)
    scans = table["scan_id"] if "scan_id" in table else runs["number"]
    events = table["event"] if "event" in table else [None] * len(table)
    runs["scan"] = [scan_text(*scan) for scan in zip(scans.astype(object), events, strict=True)]
    wanted = dict(zip("xy", motors, strict=False)) | {"p": "novelty_p", "n": "n_frames", "frame": "frame_time_s"}
    for name, column in wanted.items():
        runs[name] = table[column].astype(float) if column in table else np.nan
    if len(motors) < 2:
        runs["y"] = 0.0
    runs["duration"] = runs.pop("n") * runs.pop("frame")
    runs["regime"] = table["regime"].fillna(-1).astype(int)
    runs["novel"] = table["novel"].fillna(False).astype(bool)
    runs["done"] = table["status"].ne("failed")
    runs["colour"] = [regime_colour(regime) for regime in runs["regime"]]
    return runs


def newest_and_nearest(runs: pd.DataFrame, embeddings: pd.DataFrame) -> tuple[str | None, str | None, float]:
    """Return the keys of the newest run and of its nearest run in the latent space, and their distance.

    `runs` are those of a `Scene`. A missing run is None, a missing distance NaN.
    """
    keys = [str(key) for key in runs.index[runs["done"]] if key in embeddings.index]
    if len(keys) < 2:
        return keys[0] if keys else None, None, np.nan
    *others, newest = keys
    distance = np.sqrt(((embeddings.loc[others] - embeddings.loc[newest]) ** 2).sum(axis=1))
    return newest, str(distance.idxmin()), float(distance.min())


@dataclass(frozen=True)
class _Shown:
    """The arrays and series of a result that were read."""

    available: frozenset[str]  # names of its arrays
    series: Arrays
    arrays: Arrays


class SceneReader:
    """Reads the scenes of one campaign within these `bounds`. Data that do not change are read once."""

    def __init__(self, store: ResultStore, technique: Technique, bounds: Mapping[str, tuple[float, float]]) -> None:
        self._store, self._technique, self._bounds = store, technique, bounds
        self._panels = panels(technique.name)
        self._landmarks: Landmarks | None = None
        self._shown: dict[str, _Shown] = {}

    def read(self, **details: Any) -> Scene:
        """Return the current scene; `details` are the fields that are not in Tiled: following, belief, truth."""
        if self._landmarks is None:
            try:
                self._landmarks = self._technique.landmarks()
            except Exception:  # a figure without landmarks is better than no figure
                logger.exception("the landmarks of technique %r are not drawn", self._technique.name)
                self._landmarks = Landmarks(embeddings=np.empty((0, 0), np.float32), names=[])
        table, embeddings = self._store.table(), self._store.embeddings()
        runs = runs_of(table, tuple(self._bounds))
        wanted = getattr(self._panels, "arrays", {})
        recent = runs.index[runs["done"] & runs.index.isin(embeddings.index)][-NEWEST:]
        names = {str(key): set(wanted.get("strip", ())) for key in recent}
        for key in newest_and_nearest(runs, embeddings)[:2]:
            if key is not None:
                names[key] = names.get(key, set()).union(wanted.get("gallery", ()))
        growing = table.index[table["status"].eq("growing")]
        final = {key: shown for key, shown in self._shown.items() if key not in growing}
        self._shown = shown = {key: self._read(key, names[key], final.get(key)) for key in names}
        return Scene(
            table=table,
            embeddings=embeddings,
            alpha=self._technique.alpha,
            bounds=self._bounds,
            panels=self._panels,
            arrays={key: result.arrays for key, result in shown.items()},
            series={key: result.series for key, result in shown.items()},
            landmarks=self._landmarks,
            **details,
        )

    def _read(self, key: str, names: Set[str], known: _Shown | None) -> _Shown:
        """Read the series and these arrays of a result, except those that are known."""
        if known is None:
            record = self._store.record(key)
            series = {name: self._read_series(key, name) for name in list(record.series)[:MOST_SERIES]}
            known = _Shown(frozenset(record.arrays), series, {})
        before = known.arrays
        arrays = {n: before[n] if n in before else self._store.array(key, n) for n in names & known.available}
        return replace(known, arrays=arrays)

    def _read_series(self, key: str, name: str) -> NDArray[np.float64]:
        return self._store.series(key, name)[["time", name]].to_numpy(float).T
