"""What is drawn of a ramp."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

arrays = {"gallery": ("trajectories", "temperature", "labels"), "strip": ("trajectories", "temperature")}
quantities = ("clusters", "transition_1")
thumbnail = "labels?format=image/png"
view = Path(__file__).with_name("view.js")


def plot(result: Any, figure: Any) -> None:
    """Trajectories by cluster, the map of clusters, and the mean frame."""
    figure.set_layout_engine("constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.5, 1, 1])
    said, t = result.metadata, result["temperature"].read()
    trajectories, sd = result["trajectories"].read(), result["trajectories_sd"].read()
    unit = said["units"]["temperature"]
    labels = result["labels"].read()
    _trajectories(left, t, trajectories, sd, unit, np.bincount(labels[labels >= 0], minlength=len(trajectories)))
    for at, low, high in _transitions(said):
        left.axvspan(low, high, color="0.85", zorder=0)
        left.axvline(at, color="0.4", linewidth=0.8)
        left.annotate(f"{at:.1f} {unit}", (at, 1.005), xycoords=("data", "axes fraction"), ha="center", fontsize=7)
    _map(middle, labels, len(trajectories))
    frame = np.maximum(result["mean_frame"].read(), 1e-3)
    right.imshow(np.log(frame), cmap="gray", vmin=np.nanquantile(np.log(frame), 0.01))
    right.set_title("log mean counts", fontsize=8)
    right.set_axis_off()


def image(result: Any) -> NDArray[np.uint8]:
    """The map of clusters."""
    labels = result["labels"].read().astype(float)
    return (255 * (labels + 1) / max(labels.max() + 1, 1)).astype(np.uint8)


def gallery(figure: Any, scene: Any, runs: Any) -> None:
    """Trajectories and map of the newest ramp, beside those of the one most like it."""
    shown = [key for key in runs.index if "trajectories" in scene.arrays.get(key, {})][-2:][::-1]
    grid = figure.subplots(2, max(len(shown), 1), squeeze=False)
    for axes, key in zip(grid.T, shown, strict=False):
        found = scene.arrays[key]
        _trajectories(axes[0], found["temperature"], found["trajectories"], None, "")
        _map(axes[1], found["labels"], len(found["trajectories"])) if "labels" in found else axes[1].set_axis_off()
        axes[0].set_title("newest" if key == shown[0] else "and another", fontsize=8)


def strip(axes: Any, scene: Any, runs: Any) -> None:
    """How much trajectories change from one temperature to the next, a column for each ramp: transitions stand out."""
    for key, found in scene.arrays.items():
        if {"trajectories", "temperature"} <= set(found) and key in runs.index:
            t, change = found["temperature"], np.abs(np.diff(found["trajectories"], axis=1)).max(axis=0)
            change = change / np.diff(t)
            shade = change / max(change.max(), 1e-9)
            middle = np.full(len(change), float(runs["number"][key]))
            axes.vlines(middle, t[:-1], t[1:], color=colormaps["Greys"](0.1 + 0.9 * shade), linewidth=6)
    axes.set_ylabel("temperature")
    axes.set_title("where trajectories change", loc="right", fontsize=8, pad=2)


def columns(summary: Mapping[str, Any], units: Mapping[str, str]) -> dict[str, str]:
    """How many clusters, and where the transitions are, for the table of results."""
    unit = units.get("transition_1", "")
    found = (f"{at:.1f} ({low:.1f}–{high:.1f})" for at, low, high in _transitions(summary))
    return {
        "clusters": f"{summary['clusters']:.0f}" if "clusters" in summary else "",
        f"transitions ({unit})" if unit else "transitions": ", ".join(found),
    }


def sentences(summary: Mapping[str, Any]) -> list[str]:
    """The numbers of a ramp in words."""
    if "clusters" not in summary:
        return []
    said = [f"{summary['clusters']} clusters of {summary['pixels']} pixels at {summary['temperatures']} temperatures"]
    if summary.get("stability") == "unstable":
        said[0] += (
            f"; they are unstable: other starts agree with {summary['starts_agree']:.2f}, halves of the pixels with "
            f"{summary['halves_agree']:.2f} (adjusted Rand index)"
        )
    said += [
        f"a transition at {at:.1f}, between {low:.1f} and {high:.1f} (90 %)" for at, low, high in _transitions(summary)
    ]
    if not summary.get("transitions"):
        said.append("no transition that can be told")
    if summary.get("expansion_px", 0) > 1 or str(summary.get("followed", "")).startswith("no: too few"):
        moved = f"peaks move by {summary['expansion_px']:.1f} pixels" if "expansion_px" in summary else "peaks may move"
        said.append(f"{moved}; followed: {summary['followed']}")
    if summary.get("odd_patches"):
        at = f"row {summary['oddest_row']:.0f}, column {summary['oddest_column']:.0f}"
        said.append(f"{summary['odd_patches']} patch(es) with a trajectory like none other, the oddest at {at}")
    return said


def _transitions(said: Mapping[str, Any]) -> Iterator[tuple[float, float, float]]:
    number = 1
    while f"transition_{number}" in said:
        yield tuple(said[f"transition_{number}{end}"] for end in ("", "_low", "_high"))
        number += 1


def _trajectories(axes: Any, t: Any, means: Any, sd: Any, unit: str, pixels: Any = None) -> None:
    for k, mean in enumerate(means):
        colour = _colour(k)
        label = f"{k}" if pixels is None else f"{k}: {pixels[k]} px"
        axes.plot(t, mean, ".-", color=colour, label=label, markersize=3, linewidth=1)
        if sd is not None:
            axes.fill_between(t, mean - sd[k], mean + sd[k], color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel=f"temperature ({unit})" if unit else "temperature", ylabel="scaled intensity")
    axes.legend(fontsize=6, title="cluster", title_fontsize=6)


def _map(axes: Any, labels: NDArray[np.integer], n: int) -> None:
    colours = ListedColormap(["black", *(_colour(k) for k in range(max(n, 1)))])
    axes.imshow(labels, cmap=colours, vmin=-1.5, vmax=max(n, 1) - 0.5, interpolation="nearest")
    axes.set_title("cluster of each pixel", fontsize=8)
    axes.set_axis_off()


def _colour(k: int) -> Any:
    return colormaps["tab10"](k % 10)
