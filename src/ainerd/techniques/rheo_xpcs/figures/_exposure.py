"""One exposure on one page: its maps and its g2."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray


def exposure_figure(
    c2: NDArray[np.float32],
    tau: NDArray[np.float64],
    g2: NDArray[np.float64],
    *,
    duration_s: float,
    names: list[str],
    title: str,
) -> Figure:
    """Two-time maps of every bin, and g2 of all.

    Parameters
    ----------
    c2 : ndarray, shape (n_roi, n, n)
    tau : ndarray, shape (n_lags,)
        In seconds.
    g2 : ndarray, shape (n_roi, n_lags)
    duration_s : float
        Length of the exposure.
    names : list of str
        Of the bins.
    title : str
    """
    columns = min(6, len(c2))
    rows = -(-len(c2) // columns)
    figure = Figure(figsize=(2 * columns + 5, 2 * rows + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    halves = figure.add_gridspec(1, 2, width_ratios=[2 * columns, 5])
    maps, curves = figure.add_subfigure(halves[0, 0]), figure.add_subfigure(halves[0, 1])
    low, high = np.percentile(c2, [1, 99.5])
    axes = np.atleast_1d(maps.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)).ravel()
    for ax, image, name in zip(axes, c2, names, strict=False):
        shown = ax.imshow(image, origin="lower", extent=(0, duration_s, 0, duration_s), vmin=low, vmax=high)
        ax.set_title(name, fontsize="small")
    for ax in axes[len(c2) :]:
        ax.set_axis_off()
    maps.supxlabel("$t_1$ (s)")
    maps.supylabel("$t_2$ (s)")
    maps.colorbar(shown, ax=axes.tolist(), label="$C_2$", shrink=0.8)
    ax = curves.subplots()
    for k, curve in enumerate(g2):
        ax.semilogx(tau, curve, ".-", ms=3, lw=0.8, alpha=0.7, color=_hue(k / max(len(g2), 1)))
    ax.set(xlabel=r"$\tau$ (s)", ylabel="$g_2$", title="all bins")
    figure.suptitle(title)
    return figure


def _hue(part: float) -> tuple[float, ...]:
    from matplotlib import colormaps

    return colormaps["twilight"](part)
