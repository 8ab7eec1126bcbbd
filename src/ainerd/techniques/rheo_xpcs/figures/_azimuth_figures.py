"""Figures of the azimuths of many exposures: in the latent space, cluster by cluster, and the most alike."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ainerd.techniques.rheo_xpcs.figures._azimuths import Azimuths
from ainerd.techniques.rheo_xpcs.figures._gallery import off_diagonal
from ainerd.views._latent_map import principal_axes
from ainerd.views._style import C2_MAP, colour

_FEWEST_FOR_UMAP = 50
Maps = Callable[[str], NDArray[Any]]  # C2 maps (n_roi, t, t) of a result, by key


def latent_figure(azimuths: Azimuths) -> Figure:
    """The latent space in two dimensions, by cluster and by time.

    The two dimensions are UMAP's with the paper's settings, or principal axes where umap-learn is not installed or
    there are fewer than 50 azimuths.
    """
    points = azimuths.points.reshape(-1, azimuths.latents.shape[-1])
    labels = azimuths.labels.ravel()
    flat, names = _two_dimensions(points)
    figure = new_figure(11, 5.2)
    by_cluster, by_time = figure.subplots(1, 2, sharex=True, sharey=True)
    mixed = np.random.default_rng(0).permutation(len(flat))  # so that no cluster hides another
    by_cluster.scatter(*flat[mixed].T, s=14, c=[colour(int(k)) for k in labels[mixed]], linewidth=0)
    by_cluster.legend(handles=_cluster_marks(azimuths), frameon=False, fontsize=9, loc="best")
    by_cluster.set_title("k-means clusters of the latent vectors", fontsize=11, loc="left")
    minutes = np.repeat(azimuths.runs["start_s"].to_numpy(float) / 60, azimuths.labels.shape[1])
    drawn = by_time.scatter(*flat[mixed].T, s=14, c=minutes[mixed], cmap="cividis", linewidth=0)
    figure.colorbar(drawn, ax=by_time, label="time since shear stopped (min)", pad=0.02)
    by_time.set_title("the same, by time", fontsize=11, loc="left")
    for axes in (by_cluster, by_time):
        axes.set_xlabel(names[0])
    by_cluster.set_ylabel(names[1])
    n, n_roi = azimuths.labels.shape
    figure.suptitle(f"Latent space: {n} exposures × {n_roi} azimuths", x=0.01, ha="left", fontsize=12)
    return figure


def cluster_figure(azimuths: Azimuths, c2_of: Maps) -> Figure:
    """Mean and scatter of the C2 maps of each cluster."""
    k = azimuths.n_clusters
    sums, squares = [0.0] * k, [0.0] * k
    for key, labels in zip(azimuths.runs.index, azimuths.labels, strict=True):
        maps = c2_of(str(key))
        for c in np.unique(labels):
            sums[c] = sums[c] + maps[labels == c].sum(axis=0)
            squares[c] = squares[c] + np.square(maps[labels == c], dtype=np.float64).sum(axis=0)
    members = np.bincount(azimuths.labels.ravel(), minlength=k)
    means = [np.asarray(total) / n for total, n in zip(sums, members, strict=True)]
    scatters = [
        np.sqrt(np.maximum(np.asarray(square) / n - mean**2, 0))
        for square, mean, n in zip(squares, means, members, strict=True)
    ]
    figure = new_figure(2.7 * k + 1.0, 5.6)
    upper, lower = figure.subplots(2, k, sharex=True, sharey=True, squeeze=False)
    for c, (axes, image) in enumerate(zip(upper, means, strict=True)):
        mean = draw_c2(axes, image, azimuths, 1.0, high(means), colour(c))
        exposures = int((azimuths.labels == c).any(axis=1).sum())
        axes.set_title(f"cluster {c}\n{members[c]} azimuths, {exposures} exposures", fontsize=9)
    for c, (axes, image) in enumerate(zip(lower, scatters, strict=True)):
        scatter = draw_c2(axes, image, azimuths, 0.0, high(scatters), colour(c))
        axes.set_xlabel("$t_1$ (s)")
    for row, drawn, what in ((upper, mean, "mean of $C_2$"), (lower, scatter, "scatter of $C_2$")):
        row[0].set_ylabel("$t_2$ (s)")
        figure.colorbar(drawn, ax=list(row), label=what, shrink=0.85, pad=0.02)
    return figure


def similarity_figure(azimuths: Azimuths, c2_of: Maps, *, n_similar: int = 5) -> Figure:
    """For the azimuth in the middle of each cluster, those of other exposures that are nearest in the latent space."""
    n_roi = azimuths.labels.shape[1]
    points = azimuths.points.reshape(-1, azimuths.latents.shape[-1])
    labels, run = azimuths.labels.ravel(), np.repeat(np.arange(len(azimuths.runs)), n_roi)
    rows = []
    for c in range(azimuths.n_clusters):
        middle = middle_of(azimuths, c)
        distance = np.linalg.norm(points - points[middle], axis=1)
        others = np.flatnonzero(run != run[middle])
        rows.append((middle, distance, others[distance[others].argsort()][:n_similar]))
    figure = new_figure(1.75 * (1 + n_similar) + 1.2, 2.0 * len(rows) + 0.5)
    panels = figure.subplots(len(rows), 1 + n_similar, sharex=True, sharey=True, squeeze=False)
    wanted = {int(run[i]) for middle, _, near in rows for i in (middle, *near)}
    maps = {i: c2_of(str(azimuths.runs.index[i])) for i in wanted}
    shown = [[maps[run[i]][i % n_roi] for i in (middle, *near)] for middle, _, near in rows]
    top = high([image for images in shown for image in images])
    for axes_of_row, images, (middle, distance, near) in zip(panels, shown, rows, strict=True):
        for axes in axes_of_row[len(images) :]:
            axes.set_visible(False)
        for axes, image, i in zip(axes_of_row, images, (middle, *near), strict=False):
            drawn = draw_c2(axes, image, azimuths, 1.0, top, colour(int(labels[i])))
            place = f"run {run[i] + 1}, {_degrees(i % n_roi, n_roi)}"
            axes.set_title(place if i == middle else f"{place}\ndistance {distance[i]:.2f}", fontsize=8)
            axes.tick_params(labelsize=8)
        axes_of_row[0].set_ylabel("$t_2$ (s)", fontsize=9)
    for axes in panels[-1]:
        axes.set_xlabel("$t_1$ (s)", fontsize=9)
    figure.colorbar(drawn, ax=panels.ravel().tolist(), label="$C_2$", shrink=0.6, pad=0.01)
    figure.suptitle(
        "Left: the middle of each cluster. Then the nearest in the latent space, of other exposures",
        x=0.01,
        ha="left",
        fontsize=11,
    )
    return figure


def middle_of(azimuths: Azimuths, cluster: int) -> int:
    """The azimuth, counted over all exposures, that is nearest to the median of its cluster."""
    points = azimuths.points.reshape(-1, azimuths.latents.shape[-1])
    members = np.flatnonzero(azimuths.labels.ravel() == cluster)
    return int(members[np.linalg.norm(points[members] - np.median(points[members], axis=0), axis=1).argmin()])


def draw_c2(axes: Axes, image: NDArray[Any], azimuths: Azimuths, low: float, high: float, frame: str) -> Any:
    """A map in seconds, framed in its cluster's colour."""
    duration = float((azimuths.runs["stop_s"] - azimuths.runs["start_s"]).median())
    style: dict[str, Any] = {"extent": (0, duration, 0, duration), "origin": "lower", "cmap": C2_MAP}
    drawn = axes.imshow(image, vmin=low, vmax=high, **style)
    for side in axes.spines.values():
        side.set(color=frame, linewidth=2.5)
    return drawn


def new_figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1))
    FigureCanvasAgg(figure)
    return figure


def high(images: list[NDArray[Any]]) -> float:
    return max(float(np.percentile(off_diagonal(image), 99.5)) for image in images)


def _degrees(roi: int, n_roi: int) -> str:
    return f"{360 * roi / n_roi:.0f}–{360 * (roi + 1) / n_roi:.0f}°"


def _cluster_marks(azimuths: Azimuths) -> list[Line2D]:
    return [
        Line2D([], [], marker="o", linestyle="none", color=colour(c), label=f"cluster {c}")
        for c in range(azimuths.n_clusters)
    ]


def _two_dimensions(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[str, str]]:
    umap = _umap() if len(points) >= _FEWEST_FOR_UMAP else None
    if umap is not None:
        return umap(n_neighbors=5, min_dist=0.25, random_state=0, n_jobs=1).fit_transform(points), ("UMAP 1", "UMAP 2")
    middle, directions, share = principal_axes(points)
    names = f"first principal axis ({share[0]:.0%})", f"second principal axis ({share[1]:.0%})"
    return (points - middle) @ directions.T, names


def _umap() -> Any:
    """UMAP, or None where umap-learn is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # it misses Tensorflow
        try:
            from umap import UMAP
        except ImportError:
            return None
    return UMAP
