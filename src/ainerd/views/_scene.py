"""What a campaign's figure shows, read from Tiled: in any thread, while only the main one draws."""

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

NEWEST = 60  # runs that have a column
MOST_SERIES = 3  # strips there is room for

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Next:
    """Where the next run will be, by motor, and why; the terms are those of `ainerd.steering.Explorer.suggest`."""

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
        What the technique draws.
    arrays : mapping of str to mapping of str to ndarray
        By key, those that the panels want and the result has.
    series : mapping of str to mapping of str to ndarray, shape (2, n)
        By key and name: times in s since the run began, and values.
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
    panels: Panels | None = None
    arrays: Mapping[str, Arrays] = field(default_factory=dict)
    series: Mapping[str, Arrays] = field(default_factory=dict)
    landmarks: Landmarks | None = None
    following: Next | None = None
    belief: "SampleMap | None" = None
    truth: NDArray[Any] | None = None

    @property
    def runs(self) -> pd.DataFrame:
        """The finished runs, numbered from 1: scan, x, y, p, duration (s), regime, novel, done, colour."""
        return runs_of(self.table, tuple(self.bounds))

    @property
    def kinds(self) -> Mapping[int, str]:
        """Of each regime the known kind that most of its runs look like, where the technique says so."""
        if "nearest_known" not in self.table:
            return {}
        known = self.table[self.table["regime"].ge(0).fillna(False)].dropna(subset=["nearest_known"])
        found = {}
        for regime, each in known.groupby("regime")["nearest_known"]:
            kind, count = each.mode().iloc[0], each.eq(each.mode().iloc[0]).sum()
            if 2 * count > len(each):
                found[int(str(regime))] = str(kind)
        return found

    @property
    def units(self) -> Mapping[str, str]:
        """Of the motors and the series."""
        return self.table.attrs.get("units", {})

    def labelled(self, quantity: str) -> str:
        """A quantity with its unit."""
        return f"{quantity} ({self.units[quantity]})" if quantity in self.units else quantity


def runs_of(table: pd.DataFrame, motors: tuple[str, ...]) -> pd.DataFrame:
    """The columns that are drawn, plain and complete, of the finished runs; with one motor y is 0."""
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
    """Keys of the newest run and of the one most like it, and how far apart they lie in the latent space.

    `runs` are those of a `Scene`. Without such a run the key is None, and the distance NaN.
    """
    keys = [str(key) for key in runs.index[runs["done"]] if key in embeddings.index]
    if len(keys) < 2:
        return keys[0] if keys else None, None, np.nan
    *others, newest = keys
    distance = np.sqrt(((embeddings.loc[others] - embeddings.loc[newest]) ** 2).sum(axis=1))
    return newest, str(distance.idxmin()), float(distance.min())


@dataclass(frozen=True)
class _Shown:
    """What was read of a result."""

    holds: frozenset[str]  # names of its arrays
    series: Arrays
    arrays: Arrays


class SceneReader:
    """Reads the scenes of one campaign on a sample of these `bounds`; what does not change is read once."""

    def __init__(self, store: ResultStore, technique: Technique, bounds: Mapping[str, tuple[float, float]]) -> None:
        self._store, self._technique, self._bounds = store, technique, bounds
        self._panels = panels(technique.name)
        self._landmarks: Landmarks | None = None
        self._shown: dict[str, _Shown] = {}

    def read(self, **about: Any) -> Scene:
        """The campaign as it is now; `about` is what Tiled does not know of a `Scene`: following, belief, truth."""
        if self._landmarks is None:
            try:
                self._landmarks = self._technique.landmarks()
            except Exception:  # a figure without them is better than none
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
            arrays={key: found.arrays for key, found in shown.items()},
            series={key: found.series for key, found in shown.items()},
            landmarks=self._landmarks,
            **about,
        )

    def _read(self, key: str, names: Set[str], known: _Shown | None) -> _Shown:
        """Series and these arrays of a result, as far as it has them, but for what is known."""
        if known is None:
            record = self._store.record(key)
            series = {name: self._read_series(key, name) for name in list(record.series)[:MOST_SERIES]}
            known = _Shown(frozenset(record.arrays), series, {})
        before = known.arrays
        arrays = {n: before[n] if n in before else self._store.array(key, n) for n in names & known.holds}
        return replace(known, arrays=arrays)

    def _read_series(self, key: str, name: str) -> NDArray[np.float64]:
        return self._store.series(key, name)[["time", name]].to_numpy(float).T
