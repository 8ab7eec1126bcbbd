"""The contents of a campaign's figure, read from Tiled."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd.results import ResultStore
from ainerd.technique import Landmarks, Panels, Technique, panels
from ainerd.words import regime_name, scan_text

if TYPE_CHECKING:
    from ainerd.steering import SampleMap  # imports bluesky

logger = logging.getLogger(__name__)

# Okabe and Ito, distinct to the colour-blind too; after seven colours they repeat, darker.
_PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442"]
NEWEST = 60  # runs in the timeline
MOST_SERIES = 3  # strips that fit

Arrays = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]


Limits = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Next:
    """The position of the next run by motor, and why.

    Examples
    --------
    >>> Next(position={"sample_x": 3.0}, reason="a scratch").reason
    'a scratch'
    """

    position: Mapping[str, float]
    reason: str = ""


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
    kinds : mapping of int to str
        The word of each regime, from `kinds_of`.
    names : mapping of int to str
        Names that people gave regimes.

    Examples
    --------
    >>> scene = read_scene(store, Toy(), {"sample_x": (0.0, 7.0)})
    >>> scene.runs[["scan", "x", "regime", "novel"]].reset_index(drop=True)
      scan    x  regime  novel
    0    1  1.0       0  False
    1    2  2.0       0  False
    2    3  3.0       1   True
    3    4  4.0       1  False
    4    5  5.0       0  False
    5    6  6.0      -1  False
    >>> scene.labelled("tau_s")
    'tau_s (s)'
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
    kinds: Mapping[int, str] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)

    @property
    def runs(self) -> pd.DataFrame:
        """Finished runs, numbered from 1: scan, x, y, p, duration (s), regime, novel, done, colour."""
        runs = runs_of(self.table, tuple(self.bounds))
        return runs.assign(colour=[regime_colour(regime) for regime in runs["regime"]])

    def name(self, regime: int) -> str:
        """Return a regime with the name that a person gave it, or what its exposures do, if they are known."""
        return regime_name(regime, self.names, self.kinds)

    @property
    def units(self) -> Mapping[str, str]:
        """Units of the motors and the series."""
        return dict(self.table.attrs.get("units", {}))

    def labelled(self, quantity: str) -> str:
        """Return a quantity with its unit."""
        return f"{quantity} ({self.units[quantity]})" if quantity in self.units else quantity


def runs_of(table: pd.DataFrame, motors: tuple[str, ...]) -> pd.DataFrame:
    """Return the columns to draw of the finished runs, without missing ones; y is 0 without a second motor."""
    table = table[table["status"].ne("computing")]
    runs = pd.DataFrame({"number": np.arange(1, len(table) + 1)}, index=table.index)
    scans = (runs.assign(scan_id=runs["number"]) if "scan_id" not in table else table).astype(object)
    runs["scan"] = [scan_text(scan) for scan in scans.to_dict("records")]
    wanted = dict(zip("xy", motors, strict=False)) | {"p": "novelty_p", "n": "n_frames", "frame": "frame_time_s"}
    for name, column in wanted.items():
        runs[name] = table[column].astype(float) if column in table else np.nan
    if len(motors) < 2:
        runs["y"] = 0.0
    runs["duration"] = runs.pop("n") * runs.pop("frame")
    runs["regime"] = table["regime"].fillna(-1).astype(int)
    runs["novel"] = table["novel"].fillna(False).astype(bool)
    runs["done"] = table["status"].ne("failed")
    return runs


def newest_and_nearest(runs: pd.DataFrame, embeddings: pd.DataFrame) -> tuple[str | None, str | None]:
    """Return the keys of the newest run and of its nearest run in the latent space; None for a missing run.

    `runs` are those of a `Scene`.

    Examples
    --------
    >>> scene = read_scene(store, Toy(), {"sample_x": (0.0, 7.0)})
    >>> [store.record(key).scan_id for key in newest_and_nearest(scene.runs, scene.embeddings)]
    [5, 2]
    """
    keys = [str(key) for key in runs.index[runs["done"]] if key in embeddings.index]
    if len(keys) < 2:
        return keys[0] if keys else None, None
    *others, newest = keys
    return newest, str(((embeddings.loc[others] - embeddings.loc[newest]) ** 2).sum(axis=1).idxmin())


def regime_colour(regime: int) -> str:
    """Return the colour of a regime or cluster; grey if unassigned (-1).

    Examples
    --------
    >>> regime_colour(0), regime_colour(-1)
    ('#0072b2', '#9a9a9a')
    """
    if regime < 0:
        return "#9a9a9a"
    turn, place = divmod(regime, len(_PALETTE))
    return "#" + bytes(round(value * 0.55**turn) for value in bytes.fromhex(_PALETTE[place][1:])).hex()


def read_scene(store: ResultStore, technique: Technique, bounds: Mapping[str, Limits], **details: Any) -> Scene:
    """Read the scene of a campaign from Tiled: of arrays and series only those that are drawn.

    Parameters
    ----------
    store : ResultStore
    technique : Technique
    bounds : mapping of str to (float, float)
        Limits of the motors.
    **details
        Fields of `Scene` that are not in results.

    Examples
    --------
    >>> scene = read_scene(store, Toy(), {"sample_x": (0.0, 7.0)})
    >>> len(scene.table), scene.embeddings.shape  # the run that failed has no embedding
    (6, (5, 2))
    """
    landmarks = None
    try:
        landmarks = technique.landmarks()
    except Exception:  # a figure without landmarks is better than no figure
        logger.exception("the landmarks of technique %r are not drawn", technique.name)
    table, embeddings = store.table(all=True), store.embeddings()
    drawn = panels(technique.name)  # not before the first scene: it imports matplotlib
    wanted = getattr(drawn, "arrays", {})
    strip, gallery = {*wanted.get("strip", ())}, {*wanted.get("gallery", ())}
    runs = runs_of(table, tuple(bounds))
    recent = [str(key) for key in runs.index[runs["done"] & runs.index.isin(embeddings.index)][-NEWEST:]]
    arrays, series = dict[str, dict[str, NDArray[Any]]](), dict[str, dict[str, NDArray[Any]]]()
    for result in store.load(recent, strip | {*table.attrs.get("series", ())}):
        arrays[result.key] = dict(result.arrays)
        shown = [name for name in list(result.metadata["series"])[:MOST_SERIES] if name in result.tables]
        series[result.key] = {name: result.tables[name][["time", name]].to_numpy(float).T for name in shown}
    for result in store.load([key for key in newest_and_nearest(runs, embeddings) if key is not None], gallery):
        arrays[result.key] = arrays.get(result.key, {}) | result.arrays
    return Scene(
        table=table,
        embeddings=embeddings,
        alpha=technique.alpha,
        bounds=bounds,
        panels=drawn,
        arrays=arrays,
        series=series,
        landmarks=landmarks,
        **details,
    )
