"""The latent space in two axes that stay what they are."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ainerd.technique import Landmarks
from ainerd.views._scene import Scene
from ainerd.views._style import discs, panel_title


def draw_latent(axes: Axes, scene: Scene, runs: pd.DataFrame) -> None:
    """The runs among the landmarks, in the landmarks' first two principal axes."""
    runs = runs[runs.index.isin(scene.embeddings.index)]
    points = scene.embeddings.loc[runs.index].to_numpy(float)
    landmarks = scene.landmarks if scene.landmarks is not None and scene.landmarks.names else None
    known = points if landmarks is None else np.asarray(landmarks.embeddings, float)
    middle, directions, share = principal_axes(known)
    if landmarks is not None:
        _draw_landmarks(axes, (known - middle) @ directions.T, landmarks)
    placed = (points - middle) @ directions.T if len(points) else np.empty((0, 2))
    discs(axes, runs.assign(u=placed[:, 0], v=placed[:, 1]), "u", "v", size=130)
    axes.margins(0.08)
    of = "the runs" if landmarks is None else "the landmarks"
    axes.set_xlabel("first principal axis" + (f" ({share[0]:.0%} of the spread of {of})" if share[0] else ""))
    axes.set_ylabel("second" + (f" ({share[1]:.0%})" if share[0] else ""))
    panel_title(axes, "Latent space" + ("" if landmarks is None else ": grey, what is known"))


def principal_axes(points: NDArray[np.float64]) -> tuple[NDArray, NDArray, NDArray]:
    """Mean (d,), first two principal directions (2, d) and their shares of the variance (2,), of (n, d).

    Each direction points to where its largest component is positive, so that a picture does not flip.
    """
    n, d = points.shape if points.size else (0, 2)
    middle = points.mean(axis=0) if n else np.zeros(d)
    directions, share = np.eye(2, max(d, 2))[:, :d], np.zeros(2)
    if n > 1:
        _, weights, found = np.linalg.svd(points - middle, full_matrices=False)
        kept = min(2, len(found))
        largest = np.abs(found[:kept]).argmax(axis=1)
        directions[:kept] = found[:kept] * np.sign(found[np.arange(kept), largest])[:, None]
        share[:kept] = weights[:kept] ** 2 / max((weights**2).sum(), np.finfo(float).tiny)
    return middle, directions, share


def _draw_landmarks(axes: Axes, placed: NDArray[np.float64], landmarks: Landmarks) -> None:
    names = np.array(landmarks.names)
    axes.scatter(placed[:, 0], placed[:, 1], s=5, color="0.82", linewidth=0, zorder=0)
    for name in np.unique(names):
        x, y = placed[names == name].T
        above = np.median(x), np.quantile(y, 0.75)
        axes.annotate(name, above, (0, 7), textcoords="offset points", ha="center", fontsize=8.5, color="0.35")
