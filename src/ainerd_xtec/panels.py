"""Drawings and sentences of a ramp."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from ainerd.views import regime_colour
from ainerd.words import amount, value_with_error

arrays = {"gallery": ("trajectories", "temperature", "labels"), "strip": ("trajectories", "temperature")}
quantities = ("clusters", "transition_1")
between = ("lowest", "highest")
thumbnail = "labels?format=image/png"
view = Path(__file__).with_name("view.js")

TOO_CLOSE = 0.15  # of the range: labels of transitions would overlap
IN_COLUMN = 12  # clusters in a column of the legend


def plot(result: Any, figure: Any) -> None:
    """Draw the trajectories by cluster, the map of clusters, and the mean frame."""
    figure.set_layout_engine("constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.5, 1, 1])
    arrays = {name: result[name].read() for name in ("temperature", "trajectories", "trajectories_sd", "labels")}
    unit, ramped = result.metadata["units"]["temperature"], result.metadata["parameters"]["temperature"]
    _trajectories(left, arrays)
    left.set_xlabel(_labelled(ramped, unit), parse_math=False)
    before, width = -np.inf, float(np.ptp(arrays["temperature"]))
    for (at, low, high), (text, *_) in _transitions(result.metadata):
        left.axvspan(low, high, color="0.85", zorder=0)
        left.axvline(at, color="0.4", linewidth=0.8)
        row, before = (1.045, -np.inf) if at - before < TOO_CLOSE * width else (1.005, at)
        left.annotate(amount(text, unit), (at, row), xycoords=("data", "axes fraction"), ha="center", fontsize=9)
    _map(middle, arrays)
    frame = np.log(np.maximum(result["mean_frame"].read(), 1e-3))
    right.imshow(frame, cmap="gray", vmin=np.nanquantile(frame, 0.01))
    right.set_title("log mean counts", fontsize=10)
    right.set_axis_off()


def gallery(figure: Any, scene: Any, runs: Any) -> None:
    """Draw trajectories and map of the newest ramp, beside those of another one."""
    shown = [key for key in runs.index if "labels" in scene.arrays.get(key, {})][-2:][::-1]
    grid = figure.subplots(2, max(len(shown), 1), squeeze=False)
    for axes, key in zip(grid.T, shown, strict=False):
        _trajectories(axes[0], scene.arrays[key])
        _map(axes[1], scene.arrays[key])
        axes[0].set_title("newest" if key == shown[0] else "and another", fontsize=8)


def strip(axes: Any, scene: Any, runs: Any) -> None:
    """Draw the change of trajectories between temperatures, a column for each ramp: transitions stand out."""
    for key, of_ramp in scene.arrays.items():
        t = of_ramp["temperature"]
        change = np.abs(np.diff(of_ramp["trajectories"], axis=1)).max(axis=0) / np.diff(t)
        shade = colormaps["Greys"](0.1 + 0.9 * change / max(change.max(), 1e-9))
        axes.vlines(np.full(len(change), float(runs["number"][key])), t[:-1], t[1:], color=shade, linewidth=6)
    axes.set_ylabel(_labelled("ramp", scene.units.get("lowest")))
    axes.set_title("where trajectories change", loc="right", fontsize=8, pad=2)


def columns(summary: Mapping[str, Any], units: Mapping[str, str]) -> dict[str, str]:
    """Return the number of clusters and the transitions, for the table of results."""
    unit = units.get("transition_1", "")
    intervals = (f"{at} ({low}–{high})" for _, (at, low, high) in _transitions(summary))
    clusters = f"{summary['clusters']:.0f}" if "clusters" in summary else ""
    return {"clusters": clusters, _labelled("transitions", unit): ", ".join(intervals)}


def sentences(summary: Mapping[str, Any]) -> list[str]:
    """Describe the numbers of a ramp."""
    if "clusters" not in summary:
        return []
    lines = [f"{summary['clusters']} clusters of {summary['pixels']} pixels at {summary['temperatures']} temperatures"]
    if summary.get("stability") == "unstable":
        starts, halves = (f"{summary[name]:.2f}" for name in ("starts_agree", "halves_agree"))
        agree = f"other starts agree with {starts}, halves of the pixels with {halves} (adjusted Rand index)"
        lines[0] += f"; they are unstable: {agree}"
    for number, (_, (at, low, high)) in enumerate(_transitions(summary), 1):
        merged = f"transition_{number}_merged" in summary
        lines.append(
            f"a transition at {at}, between {low} and {high} (90 %)" + "; its clusters differ: it may be two" * merged
        )
    if not summary.get("transitions"):
        lines.append("no significant transition")
    if marked := summary.get("pixels_marked"):
        lines.append(f"{marked} pixels are left out: negative, the highest number, or not finite in a frame")
    if missing := summary.get("pixels_unmeasured"):
        lines.append(f"{missing} pixels are left out: they hold 0 at some temperatures, where they were not measured")
    if noise := summary.get("noise_clusters"):
        why = "pixels chosen by half of the temperatures do not follow each other at the others"
        lines.append(f"clusters that are noise, and show no transition: {noise}; their {why}")
    followed = str(summary.get("followed", ""))
    if followed == "yes":
        size = value_with_error(summary["expansion_px"], summary["expansion_px_err"])
        lines.append(f"peaks move by {size} pixels, and are followed")
    elif followed.startswith(("no: too few", "no: peaks do not move alike")):
        lines.append(f"peaks may move, and are not followed: {followed[4:]}")
    if summary.get("odd_patches"):
        place = f"row {summary['oddest_row']:.0f}, column {summary['oddest_column']:.0f}"
        lines.append(f"{summary['odd_patches']} patch(es) with a trajectory unlike all others, the oddest at {place}")
    return lines


def _transitions(summary: Mapping[str, Any]) -> Iterator[tuple[Sequence[float], Sequence[str]]]:
    """Yield place and interval of each transition, as numbers and as texts with the digits that the interval needs."""
    number = 1
    while f"transition_{number}" in summary:
        at, low, high = (summary[f"transition_{number}{end}"] for end in ("", "_low", "_high"))
        decimals = max(1, 1 - math.floor(math.log10(high - low))) if high > low else 1
        yield (at, low, high), [f"{x:.{decimals}f}" for x in (at, low, high)]
        number += 1


def _labelled(name: str, unit: str | None) -> str:
    return f"{name} ({unit})" if unit not in (None, "", "1") else name


def _trajectories(axes: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
    t, labels = arrays["temperature"], arrays["labels"]
    spread = arrays.get("trajectories_sd", np.zeros_like(arrays["trajectories"]))
    for k, (mean, sd) in enumerate(zip(arrays["trajectories"], spread, strict=True)):
        colour, label = regime_colour(k), f"{k}: {np.sum(labels == k)} px"
        axes.plot(t, mean, ".-", color=colour, label=label, markersize=3, linewidth=1)
        axes.fill_between(t, mean - sd, mean + sd, color=colour, alpha=0.15, linewidth=0)
    axes.set_ylabel("scaled intensity")
    columns = math.ceil(len(spread) / IN_COLUMN)
    axes.legend(fontsize=8 if columns == 1 else 5, title="cluster", title_fontsize=8, ncols=columns)


def _map(axes: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
    n = len(arrays["trajectories"])
    colours = ["black", *map(regime_colour, range(n))]
    axes.imshow(arrays["labels"], cmap=ListedColormap(colours), vmin=-1.5, vmax=n - 0.5, interpolation="nearest")
    axes.set_title("cluster of each pixel", fontsize=10)
    axes.set_axis_off()
