"""Two-time maps as pictures, one or those of all bins, and labels of the azimuths as columns."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from ainerd.views._style import colour

C2_MAP = "magma"
COLUMNS = 6  # maps in a row
GAP = 4  # pixels between maps
LIMITS = (1.0, 99.5)  # percentiles that are black and white


def side_by_side(maps: NDArray[Any]) -> NDArray[np.float64]:
    """Maps (n, size, size) as one picture, six in a row, time up and to the right, NaN between them."""
    n, size, _ = maps.shape
    step, columns = size + GAP, min(COLUMNS, n)
    picture = np.full((-(-n // columns) * step - GAP, columns * step - GAP), np.nan)
    for k, image in enumerate(maps):
        row, column = divmod(k, columns)
        picture[row * step : row * step + size, column * step : column * step + size] = image[::-1]
    return picture


def montage(maps: NDArray[Any]) -> NDArray[np.uint8]:
    """The same in grey: black and white are percentiles 1 and 99.5 of all, what is between the maps is black."""
    low, high = np.nanpercentile(maps, LIMITS)
    shades = 255 * (side_by_side(maps) - low) / max(high - low, 1e-12)
    return np.nan_to_num(shades).clip(0, 255).astype(np.uint8)


def highest(images: Iterable[NDArray[Any]]) -> float:
    """Percentile 99.5 beside the diagonal, which may hold shot noise: the largest of several maps."""
    return max(float(np.nanpercentile(image[~np.eye(len(image), dtype=bool)], 99.5)) for image in images)


def draw_map(axes: Axes, image: NDArray[Any], duration: float, low: float, high: float, frame: str) -> Any:
    """A map over times from 0 to `duration`, in a coloured frame."""
    style: dict[str, Any] = {"extent": (0, duration, 0, duration), "origin": "lower", "cmap": C2_MAP}
    drawn = axes.imshow(image, vmin=low, vmax=high, **style)
    for side in axes.spines.values():
        side.set(color=frame, linewidth=2.5)
    return drawn


def draw_columns(axes: Axes, columns: Iterable[tuple[float, float, NDArray[np.int64]]]) -> None:
    """Of each (left, right, labels) a column over all azimuths, in the colours of the labels (n_roi,)."""
    for left, right, labels in columns:
        column = np.array([to_rgb(colour(int(label))) for label in labels])[:, None]
        axes.imshow(column, extent=(left, right, 0, 360), origin="lower", aspect="auto", zorder=1)
    axes.set(ylim=(0, 360), yticks=[0, 90, 180, 270, 360], ylabel="azimuth (°)")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1))
