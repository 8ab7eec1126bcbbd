"""Run after run: novelty, the regimes of the azimuths, and the stress under them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ainerd.views._scene import NEWEST, Scene
from ainerd.views._style import NOVEL, colour, discs, nothing, title


def draw_timeline(strips: Sequence[Axes], scene: Scene, runs: pd.DataFrame) -> None:
    """Three strips over the newest runs, a column each."""
    novelty, azimuths, stress = strips
    recent = runs.iloc[-NEWEST:]
    _draw_novelty(novelty, scene, recent)
    _draw_azimuths(azimuths, scene, runs, recent)
    _draw_series(stress, scene, recent)
    first = recent["number"].min() if len(recent) else 1
    last = max(recent["number"].max() if len(recent) else 1, first + 5)
    stress.set_xlim(first - 0.5, last + 0.5)
    stress.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    stress.set_xlabel("run, in order of time")
    for axes in (novelty, azimuths):
        axes.tick_params(labelbottom=False)


def _draw_novelty(axes: Axes, scene: Scene, runs: pd.DataFrame) -> None:
    title(axes, "d", "Run after run: novelty, regime of each azimuth, " + scene.series_name)
    lowest = np.nanmin([scene.alpha, runs["p"].min()])
    axes.set(yscale="log", ylim=(lowest / 2.5, 2.0), ylabel="novelty p")
    axes.axhspan(lowest / 2.5, scene.alpha, color="black", alpha=0.07, linewidth=0, zorder=0)
    axes.axhline(scene.alpha, color=NOVEL, linewidth=0.9, linestyle="--", zorder=1)
    discs(axes, runs[runs["p"].notna()], "number", "p", size=90)
    failed = runs[~runs["done"]]
    axes.scatter(failed["number"], np.full(len(failed), 1.25), marker="x", s=36, color="0.25", zorder=3)
    unclaimed = runs[runs["done"] & runs["p"].isna()]
    axes.scatter(unclaimed["number"], np.full(len(unclaimed), 1.25), marker="$?$", s=36, c=list(unclaimed["colour"]))


def _draw_azimuths(axes: Axes, scene: Scene, runs: pd.DataFrame, recent: pd.DataFrame) -> None:
    axes.set(ylim=(0, 360), yticks=[0, 90, 180, 270, 360], ylabel="azimuth (°)")
    axes.set_facecolor("0.93")
    number_of = recent["number"].to_dict()
    for key, labels in azimuth_regimes(scene, runs).items():
        if key in number_of:
            column = np.array([to_rgb(colour(regime)) for regime in labels])[:, None]
            extent = (number_of[key] - 0.5, number_of[key] + 0.5, 0, 360)
            axes.imshow(column, extent=extent, origin="lower", aspect="auto")
    if not scene.latents:
        nothing(axes, "no complete run yet")


def azimuth_regimes(scene: Scene, runs: pd.DataFrame) -> dict[str, NDArray[np.int64]]:
    """Regime that each azimuth looks like by itself, (n_roi,) by key of the run.

    The one whose runs' latent vectors have the mean nearest to the azimuth's; a run that flows looks like another
    regime across the flow.
    """
    regime_by_key = runs["regime"].to_dict()
    latents = {key: z for key, z in scene.latents.items() if regime_by_key.get(key, -1) >= 0}
    if not latents:
        return {}
    regime_of = np.array([regime_by_key[key] for key in latents])
    means = np.array([z.mean(axis=0) for z in latents.values()])
    regimes = np.unique(regime_of)
    centres = np.array([means[regime_of == regime].mean(axis=0) for regime in regimes])
    return {key: regimes[np.linalg.norm(z[:, None] - centres, axis=2).argmin(axis=1)] for key, z in latents.items()}


def _draw_series(axes: Axes, scene: Scene, recent: pd.DataFrame) -> None:
    values: list[float] = []
    number_of = recent["number"].to_dict()
    for key, (times, measured) in scene.series.items():
        known = np.isfinite(measured) & (times >= 0)  # the first value is from before the run
        if key in number_of and known.any():
            within = times[known] / max(times[known].max(), 1e-9)  # shares of the exposure
            axes.plot(
                number_of[key] - 0.45 + 0.9 * within, measured[known], ".-", color="0.25", linewidth=1, markersize=3
            )
            values.extend(measured[known])
    if not values:
        nothing(axes, f"no {scene.series_name} recorded")
        axes.set_yticks([])
    elif min(values) > 0 and max(values) > 20 * min(values):
        axes.set_yscale("log")
    axes.set_ylabel(scene.labelled(scene.series_name))
