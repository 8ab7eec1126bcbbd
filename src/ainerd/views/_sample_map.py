"""Where the runs were, which regime lies where, and where next and why."""

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch
from numpy.typing import NDArray

from ainerd.views._scene import Scene
from ainerd.views._style import discs, empty_panel, panel_title, regime_colour
from ainerd.words import named_place

if TYPE_CHECKING:
    from ainerd.steering import SampleMap  # imports bluesky

_NEXT: dict[str, Any] = {"marker": "*", "facecolor": "gold", "edgecolor": "black", "linewidth": 0.9}
STEPS = 30  # of the path that have an arrowhead
_LENGTHS = {"empty_radius"}  # terms in the motors' unit; the others are chances and shares


def draw_map(axes: Axes, scene: Scene, runs: pd.DataFrame) -> None:
    """The sample with the path, the regimes around it, and the next point."""
    motors = tuple(scene.bounds)[:2]
    x_range, y_range = [scene.bounds[motor] for motor in motors] + [(-1.0, 1.0)] * (2 - len(motors))
    placed = runs.dropna(subset=["x", "y"])
    done = placed[placed["done"]]
    if scene.belief is not None and scene.belief.regime.ndim <= 2:
        _shade(axes, scene.belief, (*x_range, *y_range))
    if scene.truth is not None:
        region = np.unique(scene.truth, return_inverse=True)[1].reshape(np.shape(scene.truth))
        style: dict[str, Any] = {"extent": (*x_range, *y_range), "linestyles": ":", "linewidths": 1.0}
        axes.contour(region, levels=np.arange(region.max()) + 0.5, colors="0.3", zorder=1, **style)
    axes.plot(placed["x"], placed["y"], color="0.45", linewidth=0.8, zorder=1)
    _point_forward(axes, placed[["x", "y"]].to_numpy(float))
    failed = placed[~placed["done"]]
    axes.scatter(failed["x"], failed["y"], marker="x", s=40, color="0.25", zorder=3)
    discs(axes, done, "x", "y", size=130)
    if scene.following is not None:
        x, y = [scene.following.position[motor] for motor in motors] + [0.0] * (2 - len(motors))
        axes.scatter(x, y, s=330, zorder=6, **_NEXT)
    margin_x, margin_y = (0.03 * (high - low) for low, high in (x_range, y_range))
    axes.set(xlim=(x_range[0] - margin_x, x_range[1] + margin_x), ylim=(y_range[0] - margin_y, y_range[1] + margin_y))
    axes.set_xlabel(scene.labelled(motors[0]))
    if len(motors) > 1:
        axes.set(ylabel=scene.labelled(motors[1]), aspect="equal")
    else:
        axes.set_yticks([])
    panel_title(axes, "Sample" + (" (dotted: the simulated regions)" if scene.truth is not None else ""))


def _point_forward(axes: Axes, path: NDArray[np.float64]) -> None:
    """An arrowhead in the middle of each of the newest steps of a path, (n, 2), which says where it went."""
    steps = np.diff(path, axis=0)
    for start, step in list(zip(path[:-1], steps, strict=True))[-STEPS:]:
        if np.any(step):
            middle, tip = start + 0.5 * step, start + 0.54 * step
            arrow = FancyArrowPatch(middle, tip, arrowstyle="-|>", mutation_scale=9, color="0.35", lw=0.8, zorder=2)
            axes.add_patch(arrow)


def _shade(axes: Axes, belief: "SampleMap", extent: tuple[float, float, float, float]) -> None:
    """Paint each regime in its colour where it is believed to be, the paler the less sure."""
    regime, confidence = np.atleast_2d(belief.regime), np.atleast_2d(belief.confidence)
    image = np.zeros((*regime.shape, 4))
    for kind in np.unique(regime):
        image[regime == kind, :3] = to_rgb(regime_colour(int(kind)))
    image[..., 3] = 0.45 * confidence
    axes.imshow(image, extent=extent, origin="lower", interpolation="nearest", zorder=0)


def draw_terms(axes: Axes, scene: Scene) -> None:
    """A card that says where next, why, and what speaks for it."""
    axes.set(xlim=(0, 1), ylim=(1, 0))
    axes.set_axis_off()
    axes.set_title("Next point", fontsize=11, loc="left")
    if scene.following is None:
        empty_panel(axes, "none is ready")
        return
    following = scene.following
    place = named_place(following.position, scene.units).replace(", ", "\n")
    reason = "\n".join(textwrap.wrap(following.reason, 25))
    axes.text(0, 0.02, f"{place}\n\n{reason}", va="top", fontsize=8.5, linespacing=1.25, parse_math=False)
    height = min(0.11, 0.5 / max(len(following.terms), 1))
    for row, (term, value) in enumerate(reversed(list(following.terms.items()))):
        bottom, unit = 0.985 - height * row, ""
        if term in _LENGTHS:
            unit = f" {scene.units.get(next(iter(following.position)), '')}"
        else:
            axes.barh(bottom, 1, height=0.018, color="0.9")
            axes.barh(bottom, value, height=0.018, color="0.3")
        axes.text(0, bottom - 0.015, f"{term.replace('_', ' ')} {value:.2f}{unit}", va="bottom", fontsize=8)
