"""How many clusters the latents support, and what six ways of grouping make of them."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ainerd.techniques.rheo_xpcs.figures._maps import new_figure
from ainerd.views._style import UNASSIGNED, colour, title

if TYPE_CHECKING:
    from ainerd.novelty import Evidence  # not there in a light install

_DRAWN = "#0072B2"


def number_figure(found: "Evidence") -> Figure:
    """Inertia, silhouette and BIC over the number of clusters, what each proposes marked."""
    figure = new_figure(11, 3.6)
    curves = {"elbow": found.inertia, "silhouette": found.silhouette, "BIC": found.bic}
    names = {"elbow": "inertia of k-means", "silhouette": "mean silhouette", "BIC": "BIC of mixtures"}
    for axes, (name, curve) in zip(figure.subplots(1, 3), curves.items(), strict=True):
        proposed = found.proposed[name]
        axes.plot(found.k, curve, "o-", color=_DRAWN, markersize=4)
        axes.axvline(proposed, color="black", linewidth=0.9, linestyle="--")
        axes.set(xlabel="number of clusters", ylabel=names[name], xticks=found.k)
        title(axes, f"{name.capitalize() if name.islower() else name}: {proposed}")
    return figure


def ways_figure(
    flat: NDArray[np.float64],
    axes_names: tuple[str, str],
    labels: dict[str, NDArray[np.int64]],
    agreement: NDArray[np.float64],
) -> Figure:
    """Labels (n,) of each of m ways in two dimensions, (n, 2), and how far each pair agrees, (m, m)."""
    columns = -(-len(labels) // 2)
    figure = new_figure(3.1 * columns + 4.4, 6.0)
    left, right = np.asarray(figure.subfigures(1, 2, width_ratios=[3.1 * columns, 4.4]))
    panels = np.atleast_1d(left.subplots(2, columns, sharex=True, sharey=True)).ravel()
    mixed = np.random.default_rng(0).permutation(len(flat))  # so that no cluster hides another
    for axes, (name, of) in zip(panels, labels.items(), strict=False):
        axes.scatter(*flat[mixed].T, s=8, c=[colour(int(k)) for k in of[mixed]], linewidth=0)
        away = (of < 0).mean()
        title(axes, f"{name}: {of.max() + 1}" + (f", {away:.0%} unassigned" if away else ""))
    for axes in panels[len(labels) :]:
        axes.set_axis_off()
    left.supxlabel(axes_names[0], fontsize=9, color=UNASSIGNED)
    left.supylabel(axes_names[1], fontsize=9, color=UNASSIGNED)
    _draw_agreement(right.subplots(), list(labels), agreement)
    return figure


def _draw_agreement(axes: Axes, names: list[str], index: NDArray[np.float64]) -> None:
    axes.imshow(index, vmin=0, vmax=1, cmap="cividis")
    for i, j in np.ndindex(index.shape):
        axes.text(j, i, f"{index[i, j]:.2f}", ha="center", va="center", color="white" if index[i, j] < 0.6 else "black")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    title(axes, "Agreement: adjusted Rand index")
