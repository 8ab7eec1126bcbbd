"""Drawing of bins, masked pixels and beam on a frame."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, LogNorm, to_rgb
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ainerd_xpcs.numerics import Partition

Floats = NDArray[np.float64]

# Okabe and Ito, distinct for colour-blind readers, in the order of the bins.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
MASKED = "white"  # and nothing else
GREYS = LinearSegmentedColormap.from_list("greys", ["#101010", "#c4c4c4"])
BEAM = "#D00000"
MOST_NUMBERS = 80  # of bins in the picture


def draw_bins(
    figure: Any,
    partition: Partition,
    beam: tuple[float, float] | None = None,
    masked: NDArray[np.bool_] | None = None,
    *,
    frame: Floats | None = None,
) -> None:
    """Draw the bins on the whole detector, and enlarged with their numbers.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    partition : Partition
    beam : (float, float), optional
        (row, column) of the direct beam; the centre of pixel i is at i + 0.5.
    masked : ndarray of bool, shape (ny, nx), optional
        Pixels that are not used.
    frame : ndarray, shape (ny, nx), optional
        Mean counts; NaN at pixels that the detector marks.

    Raises
    ------
    ValueError
        If the frame has another shape.
    """
    if frame is not None and frame.shape != partition.shape:
        raise ValueError(f"the frame has {frame.shape} pixels, the bins are for {partition.shape}")
    figure.set_size_inches(13, 7.5)
    figure.set_layout_engine("none")  # a layout engine would cut titles of axes of equal aspect
    grid = {"left": 0.045, "right": 0.995, "bottom": 0.075, "top": 0.9, "wspace": 0.16}
    whole, near = figure.subplots(1, 2, width_ratios=[1.1, 1.2], gridspec_kw=grid)
    for axes in (whole, near):
        _picture(axes, partition, masked, frame)
        if beam is not None:
            (cross,) = axes.plot(beam[1], beam[0], "+", color=BEAM, markersize=14, markeredgewidth=2, zorder=5)
            cross.set_path_effects([withStroke(linewidth=4.5, foreground="white")])
        axes.set(xlabel="column", ylabel="row")
    rows, columns = np.divmod(partition.pixels, partition.shape[1])
    box = _box(rows, columns)
    for colour, width, style in (("white", 2.2, "-"), ("black", 1.0, "--")):
        around: dict[str, Any] = {"fill": False, "color": colour, "linewidth": width, "linestyle": style}
        whole.add_patch(Rectangle((box[0], box[2]), box[1] - box[0], box[3] - box[2], **around))
    ny, nx = partition.shape
    whole.set(xlim=(0, nx), ylim=(ny, 0))
    lines = [f"{ny} × {nx} pixels, {len(partition.pixels)} in {partition.n_roi} bins"]
    if beam is not None:
        off = not (0 <= beam[0] < ny and 0 <= beam[1] < nx)
        lines.append(f"+ beam{' (off the detector)' if off else ''}: row {beam[0]:g}, column {beam[1]:g}")
    if masked is not None and masked.any():
        lines.append(f"white: masked, {masked.mean():.1%}")
    if frame is None:
        lines.append("no frame")
    whole.set_title("\n".join(lines), fontsize=10, loc="left")
    near.set(xlim=(box[0], box[1]), ylim=(box[3], box[2]))
    _numbers(near, partition)


def _picture(axes: Axes, partition: Partition, masked: NDArray[np.bool_] | None, frame: Floats | None) -> None:
    """Draw counts in grey, bins in colour, masked pixels in white; rows grow downwards."""
    ny, nx = partition.shape
    extent = (0, nx, ny, 0)
    shown: dict[str, Any] = {"extent": extent, "interpolation": "nearest", "aspect": "equal"}
    if frame is None:
        axes.imshow(np.ones((1, 1)), cmap=ListedColormap(["#d0d0d0"]), **shown)
    else:
        counted = frame[np.isfinite(frame) & (frame > 0)]
        low, high = np.quantile(counted, [0.02, 0.999]) if counted.size else (0.1, 1.0)
        norm = LogNorm(low, max(high, low * 1.01), clip=True)
        axes.imshow(np.where(frame > 0, frame, low), cmap=GREYS, norm=norm, **shown)
    over = np.zeros((ny, nx, 4))
    bins = partition.roi_map
    palette = np.array([to_rgb(colour) for colour in COLOURS])
    inside = bins > 0
    over[inside, :3] = palette[bins[inside] % len(COLOURS)]
    over[inside, 3] = 0.45 if frame is not None else 0.75
    out = np.zeros((ny, nx), bool) if masked is None else masked
    if frame is not None:
        out = out | ~np.isfinite(frame)
    over[out, :3], over[out, 3] = to_rgb(MASKED), 1.0
    axes.imshow(over, **shown)


def _numbers(axes: Axes, partition: Partition) -> None:
    every = -(-partition.n_roi // MOST_NUMBERS)
    axes.set_title("bins by number" if every == 1 else f"bins by number, one in {every}", fontsize=10, loc="left")
    rows, columns = np.divmod(partition.pixels, partition.shape[1])
    ends = np.cumsum(partition.n_pixels)
    size = 10 if partition.n_roi <= 24 else 8 if partition.n_roi <= 48 else 6.5
    for k in range(0, partition.n_roi, every):
        begin, end = ends[k] - partition.n_pixels[k], ends[k]
        y, x = rows[begin:end] + 0.5, columns[begin:end] + 0.5
        # the middle of a whole ring is at the beam, so the number goes onto the pixel nearest to the middle
        nearest = np.argmin(np.square(y - y.mean()) + np.square(x - x.mean()))
        box = {"boxstyle": "round,pad=0.12", "facecolor": "white", "alpha": 0.85, "edgecolor": "none"}
        place: dict[str, Any] = {"ha": "center", "va": "center", "clip_on": True, "bbox": box}
        axes.text(x[nearest], y[nearest], str(partition.numbers[k]), fontsize=size, fontweight="bold", **place)


def _box(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> tuple[float, float, float, float]:
    """Return first and last column and row around the bins."""
    row, column = [rows.min(), rows.max() + 1], [columns.min(), columns.max() + 1]
    margin = 0.06 * max(row[1] - row[0], column[1] - column[0]) + 2
    return (column[0] - margin, column[1] + margin, row[0] - margin, row[1] + margin)
