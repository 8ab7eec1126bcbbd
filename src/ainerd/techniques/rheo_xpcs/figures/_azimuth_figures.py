"""Figures of the azimuths of many exposures: in the latent space, and cluster by cluster."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ainerd.techniques.rheo_xpcs.figures._azimuths import Azimuths, cluster_marks
from ainerd.techniques.rheo_xpcs.figures._maps import draw_map, highest, new_figure
from ainerd.views._latent_map import principal_axes
from ainerd.views._style import colour

_FEWEST_FOR_UMAP = 50
Maps = Callable[[str], NDArray[Any]]  # C2 maps (n_roi, t, t) of a result, by key


def latent_figure(azimuths: Azimuths) -> Figure:
    """The latent space in two dimensions, by cluster and by time.

    The two dimensions are UMAP's with the paper's settings, or principal axes where umap-learn is not installed or
    there are fewer than 50 azimuths.
    """
    points = azimuths.points.reshape(-1, azimuths.latents.shape[-1])
    labels = azimuths.labels.ravel()
    flat, names = two_dimensions(points)
    figure = new_figure(11, 5.2)
    by_cluster, by_time = figure.subplots(1, 2, sharex=True, sharey=True)
    mixed = np.random.default_rng(0).permutation(len(flat))  # so that no cluster hides another
    by_cluster.scatter(*flat[mixed].T, s=14, c=[colour(int(k)) for k in labels[mixed]], linewidth=0)
    by_cluster.legend(handles=cluster_marks(azimuths), frameon=False, fontsize=9, loc="best")
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
    sums, squares = np.zeros((2, k, 1, 1))
    for key, labels in zip(azimuths.runs.index, azimuths.labels, strict=True):  # maps of all would fill the memory
        maps, belongs = c2_of(str(key)).astype(float), labels == np.arange(k)[:, None]
        sums = sums + np.tensordot(belongs, maps, 1)
        squares = squares + np.tensordot(belongs, maps**2, 1)
    members = np.bincount(azimuths.labels.ravel(), minlength=k)
    means = sums / members[:, None, None]
    scatters = np.sqrt(np.maximum(squares / members[:, None, None] - means**2, 0))
    figure = new_figure(2.7 * k + 1.0, 5.6)
    upper, lower = figure.subplots(2, k, sharex=True, sharey=True, squeeze=False)
    for c, (axes, image) in enumerate(zip(upper, means, strict=True)):
        mean = draw_map(axes, image, azimuths.duration_s, 1.0, highest(means), colour(c))
        exposures = int((azimuths.labels == c).any(axis=1).sum())
        axes.set_title(f"cluster {c}\n{members[c]} azimuths, {exposures} exposures", fontsize=9)
    for c, (axes, image) in enumerate(zip(lower, scatters, strict=True)):
        scatter = draw_map(axes, image, azimuths.duration_s, 0.0, highest(scatters), colour(c))
        axes.set_xlabel("$t_1$ (s)")
    for row, drawn, what in ((upper, mean, "mean of $C_2$"), (lower, scatter, "scatter of $C_2$")):
        row[0].set_ylabel("$t_2$ (s)")
        figure.colorbar(drawn, ax=list(row), label=what, shrink=0.85, pad=0.02)
    return figure


def two_dimensions(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[str, str]]:
    """Points (n, 2) for a figure, of points (n, m), and the names of the two axes."""
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
